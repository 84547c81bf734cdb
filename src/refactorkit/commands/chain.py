"""A chain of migrations and the database it belongs to: what up, down and redo have in common."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from refactorkit.errors import NOTHING_CHANGED
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.history import History
from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.plan import Step
from refactorkit.postgres import checksums, history, server_errors
from refactorkit.postgres.blockers import refuse_unless_it_may_signal
from refactorkit.postgres.connection import (
    Connection,
    connected,
    refuse_read_only,
    set_for_session,
)
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.execution import Runner
from refactorkit.postgres.history import TableName, VersionTable
from refactorkit.postgres.lock_waits import LockLimits
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.observation import Observer
from refactorkit.postgres.progress import StepResult

DEFAULT_LOCK_WAIT_SECONDS: Final = 10.0

_log = structlog.get_logger()

Planner = Callable[[tuple[Migration, ...], History], tuple[Step, ...]]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Files and the database they are for.

    Attributes:
        dsn: the database.
        directory: the folder of the files.
        table: the version table, as the user writes it.
        environ: the variables that ENVSUB puts in.
    """

    dsn: Dsn
    directory: Path
    table: str
    environ: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long to wait for others.

    Attributes:
        lock_wait_seconds: for another runner to end.
        locks: for table locks.
    """

    lock_wait_seconds: float = DEFAULT_LOCK_WAIT_SECONDS
    locks: LockLimits = field(default_factory=LockLimits)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a look at files and database finds.

    Attributes:
        table: the version table.
        history: its rows.
        migrations: the files by version.
        checksums: what was recorded of applied files.
    """

    table: VersionTable
    history: History
    migrations: tuple[Migration, ...]
    checksums: checksums.Checksums


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What was run, or would be.

    Attributes:
        before: the version at the beginning.
        after: the version at the end; with a dry run the same.
        planned: the steps in order.
        done: the result of each step; empty with a dry run.
        dry_run: True where nothing was run.
    """

    before: int
    after: int
    planned: tuple[Step, ...]
    done: tuple[StepResult, ...]
    dry_run: bool


def look(connection: Connection, chain: Chain, migrations: tuple[Migration, ...]) -> Found:
    """Read what the database knows; changes nothing."""
    with reading():
        table = history.find(connection, TableName.parse(chain.table))
        return Found(
            table=table,
            history=history.read(connection, table),
            migrations=migrations,
            checksums=checksums.read(connection),
        )


@dataclass(frozen=True, kw_only=True)
class Session:
    """A connection under the session lock, or without it, and what was found through it.

    Attributes:
        chain: files and database.
        connection: in autocommit.
        found: files and version table, as they were when the session began.
        limits: how long to wait for others.
    """

    chain: Chain
    connection: Connection = field(repr=False)
    found: Found
    limits: Limits


@contextlib.contextmanager
def session(chain: Chain, *, limits: Limits, locked: bool) -> Iterator[Session]:
    """Look at files and database, and stay connected for the length of a block.

    Args:
        chain: files and database.
        limits: how long to wait for others.
        locked: hold the session lock meanwhile, so that no other runner changes what was found.

    Raises:
        RefactorkitError: the files or the database cannot be read, or another runner is at work.
    """
    TableName.parse(chain.table)  # before anything is opened
    migrations = read_folder(chain.directory, environ=chain.environ)
    with connected(chain.dsn) as connection, contextlib.ExitStack() as stack:
        if locked:
            stack.enter_context(session_lock(connection, wait_seconds=limits.lock_wait_seconds))
        found = look(connection, chain, migrations)
        yield Session(chain=chain, connection=connection, found=found, limits=limits)


def prepare(session: Session, steps: tuple[Step, ...], settings: Mapping[str, str]) -> None:
    """Refuse what could not be run, before anything is changed, and set what the SQL reads.

    Raises:
        RefusedError: the server is read-only, checksums cannot be kept, or blockers are to be
            terminated by somebody who may not.
    """
    connection = session.connection
    with reading():
        if steps:
            refuse_read_only(connection, session.chain.dsn)
            checksums.refuse_unusable(
                connection, will_record=any(step.direction is Direction.UP for step in steps)
            )
            if session.limits.locks.terminate_blockers_after_seconds is not None:
                refuse_unless_it_may_signal(connection)
        set_for_session(connection, settings)
    _warn(session.found, steps)


def execute(
    session: Session,
    steps: tuple[Step, ...],
    *,
    observer: Observer | None = None,
    rehearsal: bool = False,
) -> RunResult:
    """Run steps that were prepared.

    Args:
        session: under the session lock.
        steps: what to run.
        observer: is told of each statement.
        rehearsal: roll the one step back at its end.

    Raises:
        RefactorkitError: as the runner does, with the state of the database.
    """
    before = session.found.history.current
    runner = Runner(
        dsn=session.chain.dsn,
        connection=session.connection,
        table=session.found.table,
        version=before,
        limits=session.limits.locks,
        observer=observer,
        rehearsal=rehearsal,
    )
    done = runner.run(steps)
    return RunResult(
        before=before, after=runner.version, planned=steps, done=done, dry_run=rehearsal
    )


def run(
    chain: Chain,
    planner: Planner,
    *,
    limits: Limits,
    settings: Mapping[str, str],
    dry_run: bool,
) -> RunResult:
    """Plan and run steps under the session lock; a dry run only plans, and takes no lock.

    Args:
        chain: files and database.
        planner: makes the steps of files and history.
        limits: how long to wait for others.
        settings: configuration parameters that the SQL of the files reads.
        dry_run: run nothing.

    Raises:
        RefactorkitError: as the planner and the runner do, with the state of the database.
    """
    with session(chain, limits=limits, locked=not dry_run) as opened:
        steps = planner(opened.found.migrations, opened.found.history)
        prepare(opened, steps, settings)
        if dry_run or not steps:
            before = opened.found.history.current
            return RunResult(before=before, after=before, planned=steps, done=(), dry_run=dry_run)
        return execute(opened, steps)


def version_after(history: History, steps: tuple[Step, ...]) -> int:
    """Return the version that the database will be at when the steps have run."""
    applied = set(history.applied)
    for step in steps:
        if step.direction is Direction.UP:
            applied.add(step.migration.version)
        else:
            applied.discard(step.migration.version)
    return max(applied, default=0)


def reading() -> contextlib.AbstractContextManager[None]:
    """Explain a server's error in a block that changes nothing."""
    return server_errors.explained(doing="Reading the state of the database", state=NOTHING_CHANGED)


def _warn(found: Found, steps: tuple[Step, ...]) -> None:
    """Log what is odd about the chain, though goose's rules let it pass."""
    files = {migration.version for migration in found.migrations}
    for version in sorted(found.history.applied - files - {0}):
        _log.warning("version.without_file", version=version)
    for migration in {step.migration.version: step.migration for step in steps}.values():
        row = found.history.newest.get(migration.version)
        if (
            row is not None
            and row.applied
            and found.checksums.state(migration, row) is checksums.FileState.EDITED
        ):
            _log.warning("file.edited", file=migration.file, version=migration.version)
