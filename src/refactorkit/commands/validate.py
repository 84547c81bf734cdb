"""Read every migration file, hold it to goose's rules and to the conventions, run nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from refactorkit.commands.chain import reading
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefactorkitError
from refactorkit.migrations import conventions
from refactorkit.migrations.conventions import Finding
from refactorkit.migrations.files import migration_paths, read_file
from refactorkit.migrations.model import Migration
from refactorkit.postgres import checksums, history
from refactorkit.postgres.checksums import FileState
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import TableName


@dataclass(frozen=True, kw_only=True)
class ValidateRequest:
    """What to look at.

    Attributes:
        directory: the folder of the files.
        environ: the variables that ENVSUB puts in.
        hold_to_conventions: also check naming, blocks, IF [NOT] EXISTS and capitals.
        dsn: a database whose recorded checksums the files are compared with; None for none.
        table: its version table.
    """

    directory: Path
    environ: Mapping[str, str] = field(repr=False)
    hold_to_conventions: bool = True
    dsn: Dsn | None = None
    table: str = "goose_db_version"


@dataclass(frozen=True, kw_only=True)
class FileReport:
    """One file, whatever its name and text are.

    Attributes:
        file: its name without the folder.
        migration: what it says; None where its name or the file itself cannot be read.
        error: why not, a sentence; None where it could be read.
    """

    file: str
    migration: Migration | None
    error: str | None

    @property
    def is_broken(self) -> bool:
        """Tell whether the file cannot be run in one direction at least."""
        if self.migration is None:
            return True
        return bool(self.migration.up.error or self.migration.down.error)


@dataclass(frozen=True, kw_only=True)
class ValidateResult:
    """What was found.

    Attributes:
        files: every ``*.sql`` of the folder, by version; those without one come last.
        problems: sentences about the files as a whole.
        findings: where the conventions are not met.
        edited: files that are no longer what was applied.
        not_compared: why the database's checksums were not compared; None where they were, or
            where no database was given.
    """

    files: tuple[FileReport, ...]
    problems: tuple[str, ...]
    findings: tuple[Finding, ...]
    edited: tuple[str, ...]
    not_compared: str | None

    @property
    def verdict(self) -> Verdict:
        """PASS where there is nothing to say against any file."""
        if (
            self.problems
            or self.findings
            or self.edited
            or any(report.is_broken for report in self.files)
        ):
            return Verdict.FAIL
        return Verdict.INCOMPLETE if self.not_compared else Verdict.PASS


def validate(request: ValidateRequest) -> ValidateResult:
    """Read all files; a broken one is reported like any other.

    Raises:
        UsageError: there is no such folder, or the version table's name is none.
        FailedError: the folder cannot be read.
    """
    table = TableName.parse(request.table)
    paths = migration_paths(request.directory)
    files = tuple(sorted((_report(path, request.environ) for path in paths), key=_order))
    migrations = tuple(each.migration for each in files if each.migration is not None)
    findings: tuple[Finding, ...] = ()
    if request.hold_to_conventions:
        findings = tuple(f for migration in migrations for f in conventions.check(migration))
    edited: tuple[str, ...] = ()
    not_compared: str | None = None
    if request.dsn is not None:
        try:
            edited, not_compared = _compare(request.dsn, table, migrations)
        except RefactorkitError as error:
            not_compared = error.message
    return ValidateResult(
        files=files,
        problems=tuple(_duplicates(migrations)),
        findings=findings,
        edited=edited,
        not_compared=not_compared,
    )


def _report(path: Path, environ: Mapping[str, str]) -> FileReport:
    try:
        migration = read_file(path, environ=environ)
    except RefactorkitError as error:
        return FileReport(file=path.name, migration=None, error=error.message)
    return FileReport(file=path.name, migration=migration, error=None)


def _order(report: FileReport) -> tuple[bool, int, str]:
    version = report.migration.version if report.migration else 0
    return (report.migration is None, version, report.file)


def _duplicates(migrations: tuple[Migration, ...]) -> list[str]:
    counts = Counter(migration.version for migration in migrations)
    return [
        f"Version {version} has {count} files: "
        f"{', '.join(each.file for each in migrations if each.version == version)}."
        for version, count in sorted(counts.items())
        if count > 1
    ]


def _compare(
    dsn: Dsn, table: TableName, migrations: tuple[Migration, ...]
) -> tuple[tuple[str, ...], str | None]:
    """Return the edited files, and why nothing could be compared."""
    with connected(dsn) as connection, reading():
        applied = history.read(connection, history.find(connection, table))
        recorded = checksums.read(connection)
    if recorded.by_version is None:
        return (), "This user may not read archive.migration_checksums."
    edited = tuple(
        each.file
        for each in migrations
        if applied.is_applied(each.version)
        and recorded.state(each, applied.newest[each.version]) is FileState.EDITED
    )
    return edited, None
