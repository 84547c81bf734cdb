"""The mapping that a compiled migration carries in itself.

Up stores it in the archive, so its whole text is in the file. A file from which exactly this file
would be compiled again is understood; any other one was edited, or is of another version.
"""

import hashlib
import json
from dataclasses import dataclass

from pydantic import ValidationError

from refactorkit.mapping.compile import compile_migration, mapping_hash
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Migration
from refactorkit.migrations.sql_tokens import Kind, tokenize

_BEGINS = "INSERT INTO archive."
_FORMAT = '"format"'


@dataclass(frozen=True, kw_only=True)
class Refactor:
    """A migration that was compiled from a mapping.

    Attributes:
        migration: the file.
        mapping: what it carries.
        is_as_compiled: whether the file is, to the byte, what this program makes of the mapping.
    """

    migration: Migration
    mapping: Mapping
    is_as_compiled: bool


def refactor_of(migration: Migration) -> Refactor | None:
    """Return the refactor that a file is, or None where it is an ordinary migration.

    A file whose mapping this program cannot read counts as an ordinary one.
    """
    for statement in migration.up.statements:
        # Tokens are looked for only where a turn is written: the files are long.
        if "_turns (" not in statement.text or _BEGINS not in statement.text:
            continue
        for token in tokenize(statement.text):
            if token.kind is Kind.QUOTED and token.text.startswith("'{") and _FORMAT in token.text:
                mapping = _read(token.text)
                if mapping is not None:
                    return Refactor(
                        migration=migration,
                        mapping=mapping,
                        is_as_compiled=_is_compiled(migration, mapping, statement.text),
                    )
    return None


def _read(literal: str) -> Mapping | None:
    text = literal[1:-1].replace("''", "'")
    try:
        return Mapping.model_validate_json(text)
    except (ValidationError, json.JSONDecodeError):
        return None


def _is_compiled(migration: Migration, mapping: Mapping, statement: str) -> bool:
    if mapping_hash(mapping) not in statement:
        return False
    compiled = compile_migration(mapping).encode()
    return hashlib.sha256(compiled).hexdigest() == migration.checksum
