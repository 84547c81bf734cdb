"""One session that works on an online cutover: the only runner, on one connection."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from refactorkit.commands.chain import Chain, Found, look, reading
from refactorkit.commands.former import keeping_former, with_former
from refactorkit.commands.online.model import OnlineRequest
from refactorkit.commands.operation.deletions import guards
from refactorkit.errors import NOTHING_CHANGED, RefactorkitError, RefusedError, UsageError
from refactorkit.mapping.compiled import refactor_of
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.stage import stage_of
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Migration
from refactorkit.migrations.one_message import in_one_message
from refactorkit.migrations.plan import Step, plan_up
from refactorkit.postgres import checksums, history
from refactorkit.postgres.connection import (
    Connection,
    connected,
    refuse_read_only,
    set_for_session,
)
from refactorkit.postgres.history import TableName
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.staging import Staged, Stager


@dataclass(kw_only=True)
class Session:
    """What the phases share.

    Attributes:
        request: what was asked for.
        connection: in autocommit, holding the session lock.
        mapping: what is cut over.
        found: files and history as they were at the beginning.
        stager: runs the statements.
        version: that the database is at.
    """

    request: OnlineRequest
    connection: Connection
    mapping: Mapping
    found: Found
    stager: Stager
    version: int

    @property
    def chain(self) -> Chain:
        """Files and database."""
        return self.request.chain

    @property
    def is_switched(self) -> bool:
        """Whether the migration was applied before."""
        return self.found.history.is_applied(self.mapping.version)

    def step(self) -> Step:
        """Return the one step that is to be staged; it goes to the server in one message.

        Raises:
            RefusedError: others are to be run before it, or it was applied.
        """
        steps = plan_up(
            self.found.migrations,
            self.found.history,
            to=self.mapping.version,
            allow_missing=False,
        )
        if [step.migration.version for step in steps] != [self.mapping.version]:
            raise RefusedError(
                f"The database is at version {self.version}: only {self.mapping.migration} may be"
                " pending.",
                state=NOTHING_CHANGED,
                hint=f"Run refactorkit up --to {self.mapping.version - 1} first.",
            )
        migration = steps[0].migration
        if self.request.keep_former:
            former = keeping_former(self.connection, steps, self.mapping)
            migration = with_former(migration, former)
        return replace(steps[0], migration=replace(migration, up=in_one_message(migration.up)))

    def staged(self) -> Staged | None:
        """Return what is staged now."""
        with reading():
            return self.stager.look()

    def state(self) -> str:
        """Say in which state the database is, for an error: as it says now, if it can be asked."""
        try:
            with reading():
                table = history.find(self.connection, TableName.parse(self.request.chain.table))
                version = history.read(self.connection, table).current
        except RefactorkitError:
            return "What is staged stays. Ask refactorkit status once the server answers."
        if version >= self.mapping.version:
            return f"The database is at version {version}, whole."
        return (
            f"The database is at version {version}, and the application can work on; what is"
            " staged stays. The same command goes on from there, --abort takes it away."
        )


@contextlib.contextmanager
def session(request: OnlineRequest, *, alone: bool = True) -> Iterator[Session]:
    """Open a session for the length of a block.

    Args:
        request: what is cut over.
        alone: be the only runner; without, nothing may be changed.

    Raises:
        BusyError: another runner is at work.
        UsageError: none of the files is a refactor.
        RefusedError: the migration is not what its mapping compiles to, or the server is read-only.
    """
    TableName.parse(request.chain.table)  # before anything is opened
    migrations = read_folder(request.chain.directory, environ=request.chain.environ)
    mapping = _newest(migrations, request.chain.directory)
    with (
        connected(request.chain.dsn) as connection,
        contextlib.ExitStack() as stack,
    ):
        if alone:
            stack.enter_context(session_lock(connection, wait_seconds=request.lock_wait_seconds))
        found = look(connection, request.chain, migrations)
        with reading():
            if alone:
                refuse_read_only(connection, request.chain.dsn)
                checksums.refuse_unusable(connection, will_record=True)
            if accepted := guards(request.accept):
                set_for_session(connection, {"refactorkit.accept": ",".join(accepted)})
        opened = Session(
            request=request,
            connection=connection,
            mapping=mapping,
            found=found,
            stager=Stager(
                connection,
                stage_of(mapping),
                limits=request.locks,
                state=lambda: opened.state(),  # noqa: PLW0108 - there is no `opened` yet
            ),
            version=found.history.current,
        )
        yield opened


def _newest(migrations: tuple[Migration, ...], directory: Path) -> Mapping:
    """Return the mapping of the newest refactor among the files, which must be as it was compiled.

    Another file would not know what is staged by this program.

    Raises:
        UsageError: none of the files is a refactor.
        RefusedError: it was edited, or compiled by another version.
    """
    refactors = [found for found in map(refactor_of, migrations) if found is not None]
    if not refactors:
        raise UsageError(
            f"None of the files in {directory} is a refactor: there is nothing to cut over to.",
            state=NOTHING_CHANGED,
            hint="Ordinary files are run by refactorkit up; is --dir the right folder?",
        )
    newest = refactors[-1]
    if not newest.is_as_compiled:
        raise RefusedError(
            f"{newest.migration.file} is not what this program compiles from its mapping.",
            state=NOTHING_CHANGED,
            hint="Run refactorkit compile, and look at what has changed; or cut over without"
            " --online.",
        )
    return newest.mapping
