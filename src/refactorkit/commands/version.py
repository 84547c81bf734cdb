"""Say at which version a database is."""

from dataclasses import dataclass

from refactorkit.commands.chain import reading
from refactorkit.postgres import history
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import TableName


@dataclass(frozen=True, kw_only=True)
class VersionResult:
    """Where a database is.

    Attributes:
        version: the version that was applied last; 0 for none.
        table: schema and name of the version table.
        table_exists: False where nothing was ever applied.
    """

    version: int
    table: str
    table_exists: bool


def version(dsn: Dsn, *, table: str) -> VersionResult:
    """Read the version; changes nothing, not even where the version table is missing.

    Raises:
        RefactorkitError: the database cannot be read, or the table is not a version table.
    """
    name = TableName.parse(table)
    with connected(dsn) as connection, reading():
        found = history.find(connection, name)
        return VersionResult(
            version=history.read(connection, found).current,
            table=found.label,
            table_exists=found.exists,
        )
