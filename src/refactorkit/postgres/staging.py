"""Stages a refactor beside the running old version: the statements of ``mapping.stage``, run.

Every step is one transaction and can be repeated; what was done is what the database says. A
transaction that waits for a lock longer than the limit is rolled back and tried again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog
from psycopg import sql

from refactorkit.errors import BusyError, RefusedError
from refactorkit.mapping.stage import NewIndex, Stage
from refactorkit.mapping.staging import Helper
from refactorkit.mapping.verification import Check
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import (
    Connection,
    fetch_value,
    set_for_session,
    set_for_transaction,
)
from refactorkit.postgres.lock_waits import LockLimits, pause_seconds
from refactorkit.postgres.verification import Outcome, run_check, snapshot

# What Up sets for its own transaction, too: names mean what they say, and nothing hides a row.
_PINNED: Final = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
}
_LISTED: Final = 10
_TIDY_AFTER: Final = 10_000  # keys that were looked at
# For locks that no reader or writer waits for, nor behind.
_NO_LIMIT: Final = {"lock_timeout": "0"}
# A row that another transaction wrote in the same moment: the batch is simply done again.
_DO_AGAIN: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Staged:
    """What is staged.

    Attributes:
        is_expanded: whether columns and triggers are there.
        subjects: rows that were made in the target, and that the old version can see.
        waiting: at most so many keys were written down since, and are yet to be looked at; 0 where
            none is; but for those that are parked.
        has_parked: whether rows were written after they had been come to, which are looked at once
            all have been; ``parked`` counts them.
        walked: whether every source row has been come to.
        has_natives: whether it is noted who is nobody's subject.
        is_counted: whether the running counts are sure.
        is_ready: whether indexes and statistics are made.
    """

    is_expanded: bool
    subjects: int
    waiting: int
    has_parked: bool
    walked: bool
    has_natives: bool
    is_counted: bool
    is_ready: bool

    @property
    def can_switch(self) -> bool:
        """Whether all that is left is what was written last."""
        is_filled = self.walked and not self.has_parked
        return is_filled and self.has_natives and self.is_counted and self.is_ready


class Stager:
    """Runs the steps of staging on one connection."""

    def __init__(
        self, connection: Connection, stage: Stage, *, limits: LockLimits, state: Callable[[], str]
    ) -> None:
        """Prepare.

        Args:
            connection: in autocommit, holding the session lock.
            stage: what to run.
            limits: how long a transaction waits for locks, all together, and how often again.
            state: says in which state the database is, for errors.
        """
        self._connection = connection
        self._stage = stage
        self._limits = limits
        self._state = state
        self._untidy = _TIDY_AFTER  # an earlier run may have left some

    def look(self) -> Staged | None:
        """Return what is staged; None where nothing is."""
        stage = self._stage
        table, captured, parked = (
            sql.Identifier("archive", name) for name in (stage.table, stage.captured, stage.parked)
        )
        exists = fetch_value(
            self._connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'archive' AND c.relname = %s)",
            (self._stage.table,),
        )
        if not exists:
            return None
        row = self._connection.execute(
            sql.SQL(
                "SELECT is_expanded, subjects, walked, natives IS NOT NULL, is_counted, is_ready,"
                # From the first to the last: counting them would take longer the more there are.
                " (SELECT coalesce(pg_catalog.max(id) - pg_catalog.min(id) + 1, 0) FROM {}),"
                " EXISTS (SELECT FROM {})"
                " FROM {}"
            ).format(captured, parked, table)
        ).fetchone()
        if row is None:
            raise RefusedError(
                f"archive.{self._stage.table} is empty: somebody else wrote to it.",
                state=self._state(),
            )
        return Staged(
            is_expanded=row[0],
            subjects=row[1],
            walked=row[2],
            has_natives=row[3],
            is_counted=row[4],
            is_ready=row[5],
            waiting=row[6],
            has_parked=row[7],
        )

    def parked(self) -> int:
        """Count the keys that wait until all rows have been come to."""
        query = sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(
            sql.Identifier("archive", self._stage.parked)
        )
        with server_errors.explained(doing="Counting what was written", state=self._state()):
            return int(fetch_value(self._connection, query))

    def look_first(self, *, at_all: bool = False) -> None:
        """Run Up's guards without its locks.

        Args:
            at_all: look at all rows, also where columns and triggers are staged: before the first
                subject is made.

        Raises:
            RefusedError: one of them said no.
        """
        self._transaction(
            self._stage.look_first,
            doing="Looking before anything is staged",
            settings={"refactorkit.look": "at all" if at_all else ""},
        )

    def prepare(self) -> None:
        """Make the archive: nobody waits for it."""
        self._transaction(self._stage.prepare, doing="Making the archive")

    def expand(self) -> None:
        """Make columns, checks and triggers, under one short lock."""
        self._transaction(self._stage.expand, doing="Staging the columns and triggers")

    def complete(self) -> None:
        """Make what a batch does, with plans that are made once a session."""
        self._transaction(self._stage.complete, doing="Making what a batch does")

    def check(self) -> None:
        """Validate the checks, before the table grows."""
        for statement in self._stage.checks:
            self._transaction((statement,), doing="Validating the checks", settings=_NO_LIMIT)

    def note_natives(self) -> None:
        """Note who is nobody's subject."""
        self._transaction((self._stage.natives,), doing="Noting who is there already")

    def help_deletions(self) -> None:
        """Index what points at the target, where nothing does it yet."""
        for helper in self._stage.helpers:
            if not self._is_helped(helper):
                table = sql.Identifier(*helper.table.split("."))
                self._index(
                    helper.name,
                    sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} ({}) WHERE {} IS NOT NULL").format(
                        sql.Identifier(helper.name),
                        table,
                        sql.Identifier(helper.column),
                        sql.Identifier(helper.column),
                    ),
                )

    def walk(self, rows: int) -> None:
        """Make subjects for so many rows, the next in the order of their keys."""
        self._batch(walked=rows)

    def look_again(self, rows: int) -> None:
        """Look at as many rows as that which were written meanwhile.

        As long as not all rows have been come to, those that have been are parked instead; then as
        many of these are looked at as well.
        """
        self._batch(written=rows)
        self._untidy += rows
        if self._untidy >= _TIDY_AFTER:
            self._tidy()

    def _batch(self, *, walked: int = 0, written: int = 0) -> None:
        self._transaction(
            (self._stage.batch,),
            doing="Making subjects",
            settings={"refactorkit.walked": str(walked), "refactorkit.written": str(written)},
        )

    def index(self, report: Callable[[str], None]) -> None:
        """Build the indexes of the new version; nobody waits for it."""
        for index in self._stage.indexes:
            report(index.name)
            self._new_index(index)

    def settle(self) -> None:
        """Take statistics, and note that all is ready but what is written from now on."""
        taking = server_errors.explained(doing="Taking statistics", state=self._state())
        with taking:
            set_for_session(self._connection, {"lock_timeout": "0"})
            for statement in self._stage.statistics:
                self._connection.execute(statement)
        self._transaction(
            (
                sql.SQL("UPDATE {} SET is_ready = true").format(
                    sql.Identifier("archive", self._stage.table)
                ),
            ),
            doing="Noting that all is ready",
        )

    def recount(self) -> None:
        """Count again, where something was done behind the back of the running counts."""
        self._transaction((self._stage.recount,), doing="Counting the subjects")

    def compare(self) -> Outcome:
        """Compare what is staged with what Up makes, every row and column, in one snapshot.

        Rows whose key is written down are looked at again in any case, and do not count.
        """
        check = Check(
            name="what is staged",
            rows=self._stage.compared,
            differences=self._stage.differences,
        )
        comparing = server_errors.explained(doing="Comparing what is staged", state=self._state())
        with comparing, snapshot(self._connection):
            # Each over all rows: compiling them costs more than it gains, and in the order of keys
            # nothing is written to temporary files beside the application.
            for setting in ("jit", "enable_hashjoin", "enable_sort"):
                self._connection.execute(f"SET LOCAL {setting} = off".encode())
            return run_check(self._connection, check, limit=_LISTED)

    def take_away(self, rows: int) -> None:
        """Take so many subjects away again."""
        self._transaction(
            (self._stage.take_away,),
            doing="Taking subjects away",
            settings={"refactorkit.batch": str(rows)},
        )

    def left(self) -> int:
        """Return how many rows there are yet to be taken away, or to be left as they were."""
        counting = server_errors.explained(doing="Counting the subjects", state=self._state())
        with counting, self._connection.transaction():
            self._connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            row = self._connection.execute(self._stage.left).fetchone()
        return int(row[0]) if row else 0

    def contract(self) -> None:
        """Take everything else away, under one short lock."""
        self._transaction((self._stage.contract,), doing="Taking away what was staged")

    def source_rows(self) -> int:
        """Return the planner's guess at the number of rows to go."""
        row = self._connection.execute(self._stage.rows).fetchone()
        return int(row[0]) if row else 0

    def unvalidated(self) -> list[tuple[str, str]]:
        """Return table and name of the foreign keys of schema public that wait for validation."""
        looking = server_errors.explained(doing="Looking for foreign keys", state=self._state())
        with looking, self._connection.transaction():
            self._connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            return self._connection.execute(self._stage.unvalidated).fetchall()

    def validate(self, table: str, name: str) -> None:
        """Validate one foreign key, then take statistics: reads and writes go on."""
        qualified = sql.Identifier("public", table)
        for statement in (
            sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(
                qualified, sql.Identifier(name)
            ),
            sql.SQL("ANALYZE {}").format(qualified),
        ):
            self._transaction((statement,), doing=f"Validating {name}", settings=_NO_LIMIT)

    def run(self, statements: Sequence[bytes | sql.Composed], *, doing: str) -> None:
        """Run statements of another kind of preparation, in the same way.

        Raises:
            BusyError: a lock was not to be had.
            RefactorkitError: anything else that went wrong; the transaction is rolled back.
        """
        self._transaction(statements, doing=doing)

    def _transaction(
        self,
        statements: Sequence[bytes | sql.Composed],
        *,
        doing: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Run statements as one transaction, again after lock timeouts.

        Raises:
            BusyError: a lock was not to be had.
            RefactorkitError: anything else that went wrong; the transaction is rolled back.
        """
        attempt = 1
        while True:
            try:
                with self._connection.transaction():
                    self._connection.execute(b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                    set_for_transaction(
                        self._connection, _PINNED | self._lock_timeout() | dict(settings or {})
                    )
                    for statement in statements:
                        self._connection.execute(statement)
            except _DO_AGAIN as error:
                if attempt > self._limits.retries:
                    raise server_errors.explain(
                        error, doing=f"{doing}, tried {attempt} times,", state=self._state()
                    ) from error
                pause = pause_seconds(attempt)
                _log.info("stage.retried", attempt=attempt, sqlstate=error.sqlstate, seconds=pause)
                time.sleep(pause)
                attempt += 1
            except psycopg.Error as error:
                raise server_errors.explain(error, doing=doing, state=self._state()) from error
            else:
                return

    def _tidy(self) -> None:
        """Make room of the keys that were looked at: else every look reads past all of them.

        The server's own vacuum comes once a minute at best. Nobody waits for this one.
        """
        with server_errors.explained(doing="Tidying up", state=self._state()):
            self._connection.execute(
                sql.SQL("VACUUM (SKIP_LOCKED, TRUNCATE false, INDEX_CLEANUP on) {}, {}").format(
                    sql.Identifier("archive", self._stage.captured),
                    sql.Identifier("archive", self._stage.parked),
                )
            )
        self._untidy = 0

    def _lock_timeout(self) -> dict[str, str]:
        return {"lock_timeout": f"{self._limits.timeout_ms or 0}ms"}

    def _new_index(self, index: NewIndex) -> None:
        self._index(index.name, index.create.encode())

    def _index(self, name: str, create: bytes | sql.Composed) -> None:
        """Build an index unless it is there; one that was left half-built is built anew.

        The build waits for other transactions as long as it takes: nobody waits for it.

        Raises:
            BusyError: it could not be built.
        """
        state = self._index_state(name)
        if state is True:
            return
        drop = sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier("public", name))
        try:
            set_for_session(self._connection, {"lock_timeout": "0", "default_tablespace": ""})
            if state is False:
                self._connection.execute(drop)
            self._connection.execute(create)
        except psycopg.Error as error:
            raise server_errors.explain(
                error, doing=f"Building the index {name}", state=self._state()
            ) from error
        if self._index_state(name) is not True:
            raise BusyError(
                f"The index {name} is there and not usable.", state=self._state(), hint="Try again."
            )

    def _index_state(self, name: str) -> bool | None:
        """Return whether an index of schema public is valid; None where it is not there."""
        with server_errors.explained(doing=f"Looking for the index {name}", state=self._state()):
            valid = fetch_value(
                self._connection,
                "SELECT x.indisvalid FROM pg_catalog.pg_index AS x"
                " JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid"
                " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE n.nspname = 'public' AND c.relname = %s",
                (name,),
            )
        return None if valid is None else bool(valid)

    def _is_helped(self, helper: Helper) -> bool:
        """Tell whether an index leads with the column that points at the target."""
        with server_errors.explained(doing="Looking for indexes", state=self._state()):
            return bool(
                fetch_value(
                    self._connection,
                    "SELECT EXISTS (SELECT FROM pg_catalog.pg_index AS x"
                    " JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid"
                    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
                    " JOIN pg_catalog.pg_attribute AS a"
                    " ON a.attrelid = c.oid AND a.attnum = x.indkey[0]"
                    " WHERE n.nspname || '.' || c.relname = %s AND a.attname = %s AND x.indisvalid"
                    " AND x.indexprs IS NULL AND (x.indpred IS NULL OR x.indexrelid ="
                    " pg_catalog.to_regclass(%s)))",
                    (helper.table, helper.column, f"public.{helper.name}"),
                )
            )
