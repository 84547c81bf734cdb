"""The mapping that a migration was compiled from, read back from its own text.

A compiled Up writes its mapping into ``archive.<name>_turns``, as a literal. So the file itself
says whether it is a refactor and of what, wherever it came from; no file beside it is needed.
"""

import re
from typing import Final

from pydantic import ValidationError

from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Migration
from refactorkit.migrations.sql_tokens import Kind, Token, split_statements

_TURNS: Final = re.compile(r"(.+)_turns")


def embedded_mapping(migration: Migration) -> Mapping | None:
    """Return the mapping that a migration carries, None where it is no refactor of ours.

    Blind spot: a mapping of a later format than this program reads is not seen.
    """
    for statement in migration.up.statements:
        if "_turns" not in statement.text:  # the rare word first: tokens are slow
            continue
        for tokens in split_statements(statement.text):
            mapping = _written_by(tokens)
            if mapping is not None and mapping.version == migration.version:
                return mapping
    return None


def _written_by(tokens: tuple[Token, ...]) -> Mapping | None:
    begins = [token.text for token in tokens[:5]]
    if [word.upper() for word in begins[:3]] != ["INSERT", "INTO", "ARCHIVE"]:
        return None
    table = _TURNS.fullmatch(begins[-1])
    if table is None:
        return None
    for token in tokens:
        if token.kind is Kind.QUOTED and token.text.startswith("'{"):
            try:
                mapping = Mapping.model_validate_json(token.text[1:-1].replace("''", "'"))
            except ValidationError:
                continue
            if mapping.name == table[1]:
                return mapping
    return None
