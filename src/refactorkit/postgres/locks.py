"""One runner at a time: the session lock that goose's library takes too.

The lock is polled. A blocking request would be a waiting statement that holds a snapshot, and
CREATE INDEX CONCURRENTLY in the other runner would wait for it: a deadlock.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import psycopg
import structlog

from refactorkit.errors import NOTHING_CHANGED, BusyError
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, fetch_value

LOCK_ID: Final = 4097083626  # goose: lock.DefaultLockID
_POLL_SECONDS: Final = 0.2
_HOLDERS: Final = """
    SELECT held.pid, activity.application_name
    FROM pg_catalog.pg_locks AS held
    LEFT JOIN pg_catalog.pg_stat_activity AS activity ON activity.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
        AND held.classid::bigint = %(id)s >> 32
        AND held.objid::bigint = %(id)s & 4294967295
        AND held.database = (
            SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
        )
    ORDER BY held.pid
"""

_log = structlog.get_logger()


@contextlib.contextmanager
def session_lock(connection: Connection, *, wait_seconds: float) -> Iterator[None]:
    """Hold goose's session lock for the length of a block.

    Args:
        connection: in autocommit; the lock belongs to its session and ends with it.
        wait_seconds: how long to go on asking; 0 asks once.

    Raises:
        BusyError: another runner holds the lock; says which process.
        FailedError: the connection was lost.
    """
    with server_errors.explained(doing="Taking the session lock", state=NOTHING_CHANGED):
        _take(connection, wait_seconds)
    try:
        yield
    finally:
        # A session that broke has lost its lock already, and the first error is what matters.
        with contextlib.suppress(psycopg.Error):
            connection.execute("SELECT pg_catalog.pg_advisory_unlock(%s)", (LOCK_ID,))


def _take(connection: Connection, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while not fetch_value(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s)", (LOCK_ID,)):
        if time.monotonic() >= deadline:
            raise BusyError(
                f"Another runner is migrating this database: {_holder(connection)}.",
                state=NOTHING_CHANGED,
                hint="Wait until it is done and try again, or wait longer with --lock-wait.",
            )
        if not told:
            told = True
            _log.warning("lock.waiting", wait_seconds=wait_seconds)
        time.sleep(_POLL_SECONDS)


def _holder(connection: Connection) -> str:
    rows = connection.execute(_HOLDERS, {"id": LOCK_ID}).fetchall()
    if not rows:
        return "it ended this moment"
    pid, application = rows[0]
    shown = "".join(c for c in application or "" if c.isprintable())
    return f"process {pid}" + (f', application "{shown}"' if shown else "")
