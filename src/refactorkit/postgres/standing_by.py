"""Sessions that stand by while a change runs: what they see is what it saw."""

from typing import Final

import psycopg
import structlog
from psycopg import pq, sql

from refactorkit.postgres.connection import Connection, fetch_value, set_for_session
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.overlay import Witnessed
from refactorkit.postgres.turn_facts import Moment

# A snapshot that has read no table holds no lock on one: it would stand in our own way.
_SNAPSHOT: Final = """
    BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    SELECT pg_catalog.pg_current_snapshot()::text
"""
_TIMEOUTS: Final = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "statement_timeout",
    "transaction_timeout",
)

_XIDS: Final = 2**32

_log = structlog.get_logger()


def without_timeouts(connection: Connection) -> None:
    """Let a session wait, in a transaction, for as long as a change takes."""
    for name in _TIMEOUTS:
        known = fetch_value(
            connection, "SELECT pg_catalog.current_setting(%s, true) IS NOT NULL", (name,)
        )
        if known:
            set_for_session(connection, {name: "0"})


def witness(before: Connection, since: Moment, runner: Connection) -> Witnessed | None:
    """Take a snapshot now, while a change holds its locks; an earlier one is given up.

    Args:
        before: a connection that nobody else uses.
        since: this moment.
        runner: that the change runs on, in its transaction.

    Returns:
        What was seen; None where the connection is lost: the change goes on without it.

    Raises:
        psycopg.Error: the connection of the change is lost.
    """
    transaction_id = fetch_value(runner, "SELECT pg_catalog.pg_current_xact_id_if_assigned()::text")
    if _look(before) is None:
        return None
    return Witnessed(before=before, since=since, transaction_id=transaction_id)


def witness_shortly_before(before: Connection) -> Witnessed | None:
    """Take a snapshot right before a change takes its locks, where under them no time is to spare.

    What is written between the two is told by the sum that the change records.

    Args:
        before: a connection that nobody else uses.

    Returns:
        What was seen; None where the connection is lost.
    """
    running = _look(before)
    return None if running is None else Witnessed(before=before, running=running)


def _look(before: Connection) -> tuple[int, ...] | None:
    """Take a new snapshot; return which transactions were at work, None where it cannot be had."""
    try:
        if before.info.transaction_status != pq.TransactionStatus.IDLE:
            before.execute("ROLLBACK")
        cursor = before.execute(_SNAPSHOT)
        cursor.nextset()
        (told,) = cursor.fetchone() or ("",)
    except psycopg.Error as error:  # the evidence says then that it was made afterwards
        _log.warning("evidence.not_witnessed", sqlstate=error.sqlstate)
        return None
    running = str(told).rpartition(":")[2]
    return tuple(int(each) % _XIDS for each in running.split(",") if each)


def has_evidence(connection: Connection, tables: EvidenceTables) -> bool:
    """Tell whether the last turn of a refactor has evidence."""
    if not tables.are_there(connection):
        return False
    return bool(
        fetch_value(
            connection,
            sql.SQL(
                "SELECT EXISTS (SELECT FROM {} AS e WHERE e.turn ="
                " (SELECT pg_catalog.max(t.turn) FROM {} AS t))"
            ).format(
                tables.identifier("evidence"), sql.Identifier("archive", f"{tables.name}_turns")
            ),
        )
    )
