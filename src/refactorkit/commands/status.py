"""Hold files and version table against each other."""

from dataclasses import dataclass, replace
from enum import StrEnum

from refactorkit.commands.chain import Chain, Found, look, reading
from refactorkit.commands.verdict import Verdict
from refactorkit.migrations.files import read_folder
from refactorkit.postgres import former
from refactorkit.postgres.checksums import FileState
from refactorkit.postgres.connection import connected
from refactorkit.postgres.history import TableName


class MigrationState(StrEnum):
    """What is to be said of one version."""

    APPLIED = "applied"
    PENDING = "pending"
    MISSING = "missing"
    """Pending, below the highest applied version: up refuses it without ``--allow-missing``."""
    NO_FILE = "no file"
    """Applied, and nothing says how to take it back."""


@dataclass(frozen=True, kw_only=True)
class MigrationStatus:
    """One version.

    Attributes:
        version: its number.
        file: its file; None where there is none.
        state: see there.
        applied_at: ISO 8601 without a zone, as the table has it; None where it has nothing.
        content: the file against its recorded checksum; None where it is not applied.
    """

    version: int
    file: str | None
    state: MigrationState
    applied_at: str | None
    content: FileState | None


@dataclass(frozen=True, kw_only=True)
class StatusResult:
    """Where a database is, version by version.

    Attributes:
        version: the version that was applied last; 0 for none.
        table: schema and name of the version table.
        migrations: every version that has a file or is applied, by version.
        beside: schemas in which a former version's application works on.
    """

    version: int
    table: str
    migrations: tuple[MigrationStatus, ...]
    beside: tuple[str, ...] = ()

    def count(self, what: MigrationState | FileState) -> int:
        """Return how many versions are in a state."""
        return sum(what in (each.state, each.content) for each in self.migrations)

    @property
    def verdict(self) -> Verdict:
        """PASS where every file is applied as it is now, as far as recorded, and all have files.

        Checksums that cannot be read make it incomplete; that none was recorded does not.
        """
        findings = (
            MigrationState.PENDING,
            MigrationState.MISSING,
            MigrationState.NO_FILE,
            FileState.EDITED,
        )
        if any(self.count(finding) for finding in findings):
            return Verdict.FAIL
        return Verdict.INCOMPLETE if self.count(FileState.UNREADABLE) else Verdict.PASS


def status(chain: Chain) -> StatusResult:
    """Read the status; changes nothing, not even where the version table is missing.

    Raises:
        RefactorkitError: the files or the database cannot be read.
    """
    TableName.parse(chain.table)  # before anything is opened
    migrations = read_folder(chain.directory, environ=chain.environ)
    with connected(chain.dsn) as connection:
        found = look(connection, chain, migrations)
        with reading():
            beside = former.schemas(connection)
        return replace(_compare(found), beside=beside)


def _compare(found: Found) -> StatusResult:
    history = found.history
    files = {migration.version: migration for migration in found.migrations}
    statuses = []
    for version in sorted(files.keys() | (history.applied - {0})):
        migration = files.get(version)
        row = history.newest.get(version)
        applied = row is not None and row.applied
        if migration is None:
            state = MigrationState.NO_FILE
        elif applied:
            state = MigrationState.APPLIED
        else:
            below = version < history.highest
            state = MigrationState.MISSING if below else MigrationState.PENDING
        statuses.append(
            MigrationStatus(
                version=version,
                file=migration.file if migration else None,
                state=state,
                applied_at=row.at if row and applied else None,
                content=found.checksums.state(migration, row)
                if migration and row and applied
                else None,
            )
        )
    return StatusResult(
        version=history.current, table=found.table.label, migrations=tuple(statuses)
    )
