"""Prepares a rollback beside the running new version: the statements of ``mapping.preparation``.

What was prepared is what the database says. Down takes it up, whoever runs it, as far as it can be
relied on, and takes it away; an abort takes it away as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
from psycopg import sql

from refactorkit.mapping.model import Mapping
from refactorkit.mapping.preparation import Preparation, preparation_of
from refactorkit.mapping.stage import stage_of
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.lock_waits import DEFAULT_TIMEOUT_MS, LockLimits
from refactorkit.postgres.staging import Stager


@dataclass(frozen=True, kw_only=True)
class PreparedRows:
    """What is prepared.

    Attributes:
        looked_at: when all rows were looked at last; None where they were not yet.
        keys: that were written down, then or since: Down looks at no more rows than that.
        is_spoilt: whether Down would look at every row all the same: something was written that it
            cannot foresee, or is not as it was when all rows were looked at.
    """

    looked_at: datetime | None
    keys: int
    is_spoilt: bool


def what_is_prepared(connection: Connection, preparation: Preparation) -> PreparedRows | None:
    """Return what is prepared; None where nothing is.

    Raises:
        psycopg.Error: this user may not look into the archive, or the connection failed.
    """
    if not _exists(connection, preparation):
        return None
    table, captured = (
        sql.Identifier("archive", name) for name in (preparation.table, preparation.captured)
    )
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        looked_at, keys = connection.execute(
            sql.SQL(
                "SELECT (SELECT p.at FROM {} AS p WHERE p.facts IS NOT NULL),"
                " (SELECT count(*) FROM {})"
            ).format(table, captured)
        ).fetchone() or (None, 0)
        relied = connection.execute(preparation.reliable).fetchone()
    is_spoilt = looked_at is not None and relied != (True,)
    return PreparedRows(looked_at=looked_at, keys=keys, is_spoilt=is_spoilt)


def try_to_see(connection: Connection, mapping: Mapping) -> tuple[bool, PreparedRows | None]:
    """Tell whether something is prepared, and what; None where this user may not look at it.

    Args:
        connection: in a transaction, which goes on.
        mapping: of the refactor that would be taken back.
    """
    preparation = preparation_of(mapping)
    if not _exists(connection, preparation):
        return False, None
    try:
        with connection.transaction():
            return True, what_is_prepared(connection, preparation)
    except psycopg.ProgrammingError:
        return True, None


def _exists(connection: Connection, preparation: Preparation) -> bool:
    return bool(
        fetch_value(
            connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'archive' AND c.relname = %s)",
            (preparation.table,),
        )
    )


class Preparer:
    """Runs the steps of the preparation on one connection."""

    def __init__(
        self,
        connection: Connection,
        mapping: Mapping,
        *,
        limits: LockLimits,
        state: Callable[[], str],
        report: Callable[[str], None] = lambda _doing: None,
    ) -> None:
        """Prepare.

        Args:
            connection: in autocommit, holding the session lock.
            mapping: of the refactor that is to be taken back.
            limits: how long a transaction waits for locks, and how often again.
            state: says in which state the database is, for errors.
            report: is told before each transaction what it does.
        """
        self._report = report
        self._connection = connection
        self._preparation = preparation_of(mapping)
        if limits.timeout_ms is None:
            limits = replace(limits, timeout_ms=DEFAULT_TIMEOUT_MS)
        self._stager = Stager(connection, stage_of(mapping), limits=limits, state=state)

    def look(self) -> PreparedRows | None:
        """Return what is prepared; None where nothing is."""
        return what_is_prepared(self._connection, self._preparation)

    def hook(self) -> None:
        """Have every write written down from now on; each table is locked for a moment.

        Killed in the midst, it can be called again.
        """
        if self.look() is None:
            self._run(self._preparation.make, doing="Making room for what is prepared")
        for hook in self._preparation.hooks:
            self._run(hook, doing="Having writes written down")

    def find_out(self) -> None:
        """Look at all rows, anew: nobody waits for it."""
        self._run(self._preparation.look, doing="Looking at all rows")

    def take_away(self) -> None:
        """Take everything away that was prepared; killed in the midst, it can be called again."""
        for unhook in self._preparation.unhooks:
            self._run(unhook, doing="Taking away what was prepared")
        self._run(self._preparation.take_away, doing="Taking away what was prepared")

    def _run(self, statements: tuple[bytes, ...], *, doing: str) -> None:
        self._report(doing)
        self._stager.run(statements, doing=doing)
