"""Runs the steps of a plan: one transaction per file, its version row included.

Statements go to the server as they are, in the simple protocol and without parameters, so ``%``
and ``$1`` mean nothing special and one text may hold several statements, which are then one
implicit transaction. Whatever stops a run, its error says at which version the database is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg
import structlog
from psycopg import pq

from refactorkit.errors import BusyError, FailedError, RefactorkitError, RefusedError
from refactorkit.migrations.model import Direction, Statement
from refactorkit.migrations.plan import Step
from refactorkit.postgres import checksums, history, server_errors
from refactorkit.postgres.commit import CommitOutcome, settle, transaction_id
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import VersionTable
from refactorkit.postgres.hold_budget import HeldTooLongError, HoldBudget
from refactorkit.postgres.lock_waits import LockLimits, LockTimeout, pause_seconds
from refactorkit.postgres.lock_watch import LockWatch
from refactorkit.postgres.observation import Observer
from refactorkit.postgres.progress import Phase, Progress, StepResult

_SETTLE_SECONDS: Final = 60.0

_log = structlog.get_logger()


class Runner:
    """Runs steps on one connection, in order, and stops at the first that fails."""

    def __init__(
        self,
        *,
        dsn: Dsn,
        connection: Connection,
        table: VersionTable,
        version: int,
        limits: LockLimits,
        observer: Observer | None = None,
        rehearsal: bool = False,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare a run.

        Args:
            dsn: where the connection leads, to ask again after a lost COMMIT.
            connection: in autocommit, holding the session lock.
            table: the version table; it is made when the first step needs it.
            version: the version that the table says the database is at.
            limits: for table locks.
            observer: is told of each statement.
            rehearsal: roll each file's transaction back where it would be committed.
            between: is called after each pause between two attempts.
        """
        self._between = between
        self._dsn = dsn
        self._connection = connection
        self._table = table
        self._retries = limits.retries
        self._lock_timeout = LockTimeout(connection, limits)
        self._budget = HoldBudget(connection, limits.max_hold_ms)
        self._watch = LockWatch(
            dsn, connection, terminate_after_seconds=limits.terminate_blockers_after_seconds
        )
        self._observer = observer or Observer()
        self._rehearsal = rehearsal
        self._progress = Progress(version=version)
        self._notices: list[str] = []

    @property
    def version(self) -> int:
        """The version that the database is at, as far as this run knows."""
        return self._progress.version

    def run(self, steps: Sequence[Step]) -> tuple[StepResult, ...]:
        """Run all steps; of a rehearsal, one, which is rolled back at its end.

        Raises:
            ValueError: a rehearsal of several files, or of one that has no transaction.
            RefusedError: a guard in the SQL said no.
            BusyError: a lock was not to be had, or the server asks to try again.
            FailedError: a statement or the connection failed; earlier files stay.
        """
        if self._rehearsal and (
            not self._table.exists or [step.migration.transaction for step in steps] != [True]
        ):
            raise ValueError("only one file with a transaction can be rehearsed")
        self._connection.add_notice_handler(self._note)
        with self._failing():
            self._watch.prepare(self._lock_timeout.apply())
            self._budget.prepare()
            if steps and not self._table.exists:
                self._table = history.create(self._connection, self._table)
        with self._watch:
            for step in steps:
                self._run_step(step, last=step is steps[-1])
        return tuple(self._progress.done)

    def _run_step(self, step: Step, *, last: bool) -> None:
        migration = step.migration
        facts = {"file": migration.file, "direction": str(step.direction)}
        started = time.monotonic()
        ended_before = len(self._watch.terminated)
        _log.debug("step.started", statements=len(step.script.statements), **facts)
        attempts = 1
        if migration.transaction:
            attempts = self._in_transaction(step, last=last)
        else:
            self._without_transaction(step, last=last)
        seconds = time.monotonic() - started
        if self._rehearsal:
            self._progress.version_once_committed = self._progress.version
        self._progress.finish(
            StepResult(
                version=migration.version,
                file=migration.file,
                direction=step.direction,
                statements=len(step.script.statements),
                transaction=migration.transaction,
                attempts=attempts,
                seconds=seconds,
                notices=tuple(self._notices),
                terminated=tuple(
                    each.blocker.describe()
                    for each in self._watch.terminated[ended_before:]
                    if each.done
                ),
            )
        )
        _log.info("step.done", seconds=round(seconds, 3), attempts=attempts, **facts)
        if not self._rehearsal:
            self._observer.done(step)

    def _in_transaction(self, step: Step, *, last: bool) -> int:
        """Run a file as one transaction, again after lock timeouts; return the attempts."""
        attempt = 1
        while True:
            self._progress.begin(step)
            self._notices.clear()
            self._watch.begin_attempt()
            with self._failing():
                self._observer.begin(step, attempt=attempt)
            try:
                self._attempt(step, last=last)
            except (psycopg.errors.LockNotAvailable, HeldTooLongError) as error:
                self._observer.ended(committed=False)
                if attempt > self._retries or self._progress.committed_by_file:
                    raise self._gave_up(error, attempt) from error
                pause = pause_seconds(attempt)
                _log.warning(
                    "step.retried",
                    file=step.migration.file,
                    attempt=attempt,
                    wait_seconds=round(pause, 3),
                    sqlstate=error.sqlstate if isinstance(error, psycopg.Error) else None,
                )
                with self._failing():
                    time.sleep(pause)
                    self._between()
                attempt += 1
            else:
                return attempt

    def _gave_up(
        self, error: psycopg.errors.LockNotAvailable | HeldTooLongError, attempts: int
    ) -> RefactorkitError:
        """Return the error of the last attempt, which names whoever was in the way."""
        times = "once" if attempts == 1 else f"{attempts} times"
        if isinstance(error, HeldTooLongError):
            made: RefactorkitError = BusyError(
                f"{error.message}, tried {times}; it was at {self._progress.place()}.",
                state=self._progress.state(),
                hint="Try again when there is less to do, or allow it more milliseconds.",
            )
        else:
            made = server_errors.explain(
                error,
                doing=f"{self._progress.place()}, tried {times},",
                state=self._progress.state(),
            )
        made.message = " ".join(part for part in (made.message, self._watch.sentence()) if part)
        return made

    def _attempt(self, step: Step, *, last: bool) -> None:
        """Run a file once.

        Raises:
            psycopg.errors.LockNotAvailable: a lock timeout; the transaction is rolled back.
            HeldTooLongError: it took too long; the transaction is rolled back.
            RefactorkitError: anything else.
        """
        with self._failing(may_retry=True):
            self._budget.begin()
            self._connection.execute(b"BEGIN")
            for statement in step.script.statements:
                self._progress.statement = statement
                self._budget.allow()
                self._send(statement)
            self._budget.allow()
            self._record(step)
            self._observer.before_end(self._budget.allow)
            self._budget.end()
        if self._rehearsal:
            self._roll_back()
        else:
            self._commit(step, last=last)
        self._observer.ended(committed=not self._rehearsal)

    def _send(self, statement: Statement) -> None:
        """Send one statement inside the transaction, and notice when the file ends that itself."""
        self._observer.before(statement)
        with self._watch.waiting():
            cursor = self._connection.execute(statement.data)
        tags = tuple(_command_tags(cursor))
        self._observer.after(statement, tags)
        status = self._connection.info.transaction_status
        if status == pq.TransactionStatus.INTRANS and "COMMIT" not in tags:
            return
        if "COMMIT" not in tags:
            raise FailedError(
                f"{self._progress.place()} ended the file's transaction without a commit.",
                state=self._progress.state(),
                hint="Take ROLLBACK or PREPARE TRANSACTION out of the file.",
            )
        # goose goes on here, and so must we: the work is committed, so its row has to be written.
        self._progress.committed_by_file = True
        _log.warning("step.transaction_ended_by_file", line=statement.line)
        if status == pq.TransactionStatus.IDLE:
            self._connection.execute(b"BEGIN")

    def _without_transaction(self, step: Step, *, last: bool) -> None:
        """Run a NO TRANSACTION file statement by statement; its row comes last, never twice."""
        self._progress.begin(step)
        self._notices.clear()
        self._watch.begin_attempt()
        with self._failing():
            self._observer.begin(step, attempt=1)
            for statement in step.script.statements:
                self._progress.statement = statement
                self._observer.before(statement)
                with self._lock_timeout.lifted_for(statement), self._watch.waiting():
                    cursor = self._connection.execute(statement.data)
                self._observer.after(statement, tuple(_command_tags(cursor)))
            self._connection.execute(b"BEGIN")
            self._record(step)
        self._commit(step, last=last)
        self._observer.ended(committed=True)

    def _record(self, step: Step) -> None:
        """Write the version row and the checksum in the open transaction."""
        version = step.migration.version
        self._progress.phase = Phase.RECORDING
        if step.direction is Direction.UP:
            history.record_up(self._connection, self._table, version)
            checksums.record(self._connection, step.migration)
        else:
            history.record_down(self._connection, self._table, version)
            checksums.forget(self._connection, version)
        self._progress.version_once_committed = history.read(self._connection, self._table).current

    def _commit(self, step: Step, *, last: bool) -> None:
        """Commit, and where the answer is lost, find out what became of it."""
        with self._failing():
            transaction = transaction_id(self._connection)
            self._progress.phase = Phase.COMMITTING
            try:
                self._connection.execute(b"COMMIT")
            except KeyboardInterrupt:
                self._settle(step, transaction, last=last)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
                self._settle(step, transaction, last=last)

    def _settle(self, step: Step, transaction: str | None, *, last: bool) -> None:
        """Decide a COMMIT that got no answer; return where it happened and nothing is left to do.

        Raises:
            FailedError: it did not happen, or nobody knows, or files are left to be run.
        """
        self._connection.close()
        file = step.migration.file
        _log.warning("commit.unanswered", file=file)
        outcome = settle(self._dsn, transaction, patience_seconds=_SETTLE_SECONDS)
        lost = f"The connection was lost during the COMMIT of {file}"
        if outcome is CommitOutcome.ROLLED_BACK:
            raise FailedError(
                f"{lost}. The server was asked again: the COMMIT did not happen.",
                state=self._progress.state(),
                hint="Run the same command again.",
            )
        if outcome is CommitOutcome.UNKNOWN:
            raise FailedError(
                f"{lost}, and the server does not say whether it happened.",
                state=f"{file} is either done as a whole or not at all.",
                hint="Ask refactorkit status once the server answers, before anything else.",
            )
        if not last:
            raise FailedError(
                f"{lost}. The server was asked again: the COMMIT happened.",
                state=f"{file} is done ({step.direction}); the files after it were not run.",
                hint="Run the same command again for the rest.",
            )

    @contextmanager
    def _failing(self, *, may_retry: bool = False) -> Iterator[None]:
        """Roll back and explain whatever goes wrong in the block.

        Args:
            may_retry: let a lock timeout through, after the rollback.
        """
        try:
            yield
        except RefusedError as error:
            self._roll_back()
            error.state = self._progress.state()
            raise
        except RefactorkitError:
            self._roll_back()
            raise
        except KeyboardInterrupt:
            self._roll_back()
            raise FailedError(
                f"Interrupted at {self._progress.place()}.", state=self._progress.state()
            ) from None
        except psycopg.Error as error:
            lost = self._connection.closed
            self._roll_back()
            place = self._progress.place(server_errors.position(error) or 1)
            if server_errors.is_guard(error):  # what a guard says is the answer, not an accident
                _log.info("step.refused", sqlstate=error.sqlstate)
            else:
                _log.error("step.failed", sqlstate=error.sqlstate, error_class=type(error).__name__)
            if lost:
                raise FailedError(
                    f"The connection was lost at {place}.",
                    state=self._progress.state(),
                    hint="Look at the server's log; when it answers, run the same command again.",
                ) from error
            if may_retry and isinstance(error, psycopg.errors.LockNotAvailable):
                raise
            if may_retry and self._budget.ended_it(error):
                raise self._budget.error() from error
            explained = server_errors.explain(error, doing=place, state=self._progress.state())
            if isinstance(error, psycopg.errors.LockNotAvailable):
                explained.message = f"{explained.message} {self._watch.sentence()}".rstrip()
            raise explained from error

    def _roll_back(self) -> None:
        if self._connection.closed:
            return
        try:
            if self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
                self._connection.execute(b"ROLLBACK")
        except psycopg.Error as error:
            _log.warning("rollback.failed", sqlstate=error.sqlstate)
            self._connection.close()  # the end of the session rolls back in any case

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Keep what our own SQL says to people; of other notices only the code is logged."""
        if (diagnostic.sqlstate or "").startswith("RK"):
            self._notices.append(diagnostic.message_primary or "")
        else:
            _log.debug("server.notice", sqlstate=diagnostic.sqlstate)


def _command_tags(cursor: psycopg.Cursor[tuple[object, ...]]) -> Iterator[str]:
    """Yield what the server answered to each statement of the text, such as ``CREATE TABLE``."""
    while True:
        result = cursor.pgresult
        if result is not None and result.command_status:
            yield result.command_status.decode()
        if not cursor.nextset():
            return
