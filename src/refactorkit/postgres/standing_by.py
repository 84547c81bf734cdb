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
_SNAPSHOT: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT pg_catalog.pg_current_snapshot()"
)
_TIMEOUTS: Final = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "statement_timeout",
    "transaction_timeout",
)

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
    try:
        if before.info.transaction_status != pq.TransactionStatus.IDLE:
            before.execute("ROLLBACK")
        before.execute(_SNAPSHOT)
    except psycopg.Error as error:  # the evidence says then that it was made afterwards
        _log.warning("evidence.not_witnessed", sqlstate=error.sqlstate)
        return None
    return Witnessed(before=before, since=since, transaction_id=transaction_id)


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
