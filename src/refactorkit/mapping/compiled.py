"""The mapping that a compiled migration carries in itself.

Up stores it in the archive, so its whole text is in the file. A file from which exactly this file
would be compiled again is understood; any other one was edited, or is of another version.
"""

import hashlib
from dataclasses import dataclass

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Migration


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
    mapping = embedded_mapping(migration)
    if mapping is None:
        return None
    compiled = compile_migration(mapping).encode()
    return Refactor(
        migration=migration,
        mapping=mapping,
        is_as_compiled=hashlib.sha256(compiled).hexdigest() == migration.checksum,
    )
