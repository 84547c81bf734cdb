"""A COMMIT whose answer never came: did it happen?

The server may have committed although the client saw an error. Doing the work again would be
wrong in one case, giving up in the other, so the server is asked on a new connection, by the
transaction's id. Source: PostgreSQL manual, section 9.27.8, ``pg_xact_status``.
"""

import contextlib
import time
from enum import StrEnum
from typing import Final

import psycopg
import structlog

from refactorkit.errors import RefactorkitError
from refactorkit.postgres.connection import Connection, connected, fetch_value
from refactorkit.postgres.dsn import Dsn

_ASK_AGAIN_SECONDS: Final = 0.5
_END_SESSION_AFTER: Final = 4  # times asked
_END_SESSION: Final = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = pg_catalog.current_database()
        AND backend_xid = (%s::pg_catalog.xid8)::pg_catalog.xid
"""
_log = structlog.get_logger()


class CommitOutcome(StrEnum):
    """What became of a transaction."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"
    UNKNOWN = "unknown"


def transaction_id(connection: Connection) -> str | None:
    """Return the id of the open transaction, None where it has written nothing."""
    value = fetch_value(
        connection, "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text"
    )
    return None if value is None else str(value)


def settle(dsn: Dsn, transaction: str | None, *, patience_seconds: float) -> CommitOutcome:
    """Find out what became of a transaction, on new connections, never by doing it again.

    A server that does not know yet that its client is gone keeps the transaction open, maybe for
    hours. A session that is found like that is ended, and its end decides.

    Args:
        dsn: where it ran.
        transaction: its id; a transaction without one has written nothing.
        patience_seconds: how long to go on asking while the server is not there, or the
            transaction is still in progress.

    Returns:
        UNKNOWN where the server did not answer in that time, or no longer remembers.
    """
    if transaction is None:
        return CommitOutcome.ROLLED_BACK
    deadline = time.monotonic() + patience_seconds
    asked = 0
    while True:
        status = _ask(dsn, transaction, end_session=asked >= _END_SESSION_AFTER)
        asked += 1
        _log.warning("commit.asked", outcome=status or "no answer")
        if status == "committed":
            return CommitOutcome.COMMITTED
        if status == "aborted":
            return CommitOutcome.ROLLED_BACK
        if status == "forgotten" or time.monotonic() >= deadline:
            return CommitOutcome.UNKNOWN
        time.sleep(_ASK_AGAIN_SECONDS)


def _ask(dsn: Dsn, transaction: str, *, end_session: bool) -> str | None:
    """Return what the server says, "forgotten" where it cannot, None where it does not answer."""
    with contextlib.suppress(RefactorkitError, psycopg.OperationalError), connected(dsn) as new:
        try:
            status = fetch_value(
                new, "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.xid8)", (transaction,)
            )
        except psycopg.errors.InvalidParameterValue:
            return "forgotten"  # another server took over, which never saw this transaction
        if status == "in progress" and end_session:
            new.execute(_END_SESSION, (transaction,))
        return "forgotten" if status is None else str(status)
    return None
