"""Work that is one transaction: retried after lock timeouts, and settled where COMMIT is lost."""

import contextlib
import time
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
import structlog
from psycopg import pq

from refactorkit.errors import NOTHING_CHANGED, FailedError
from refactorkit.postgres import server_errors
from refactorkit.postgres.commit import CommitOutcome, settle, transaction_id
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.lock_waits import LockLimits, LockTimeout, pause_seconds

_SETTLE_SECONDS: Final = 60.0

_log = structlog.get_logger()
T = TypeVar("T")


def in_one_transaction(
    dsn: Dsn,
    connection: Connection,
    limits: LockLimits,
    *,
    doing: str,
    work: Callable[[], T],
    keep: bool = True,
) -> T:
    """Do work in one transaction and return what it returns: all of it, or nothing.

    Args:
        dsn: where the connection leads, to ask again after a lost COMMIT.
        connection: in autocommit, no transaction open.
        limits: for table locks; after SQLSTATE 55P03 the work is done anew.
        doing: what is being done, the beginning of a sentence.
        work: sends its statements on the connection; may be called again after a rollback.
        keep: False rolls back at the end, so that nothing is changed.

    Raises:
        RefactorkitError: the work's own, after a rollback; or what the server said.
        FailedError: also where the COMMIT was lost; says whether it happened.
    """
    with server_errors.explained(doing=doing, state=NOTHING_CHANGED):
        LockTimeout(connection, limits).apply()
    attempt = 1
    while True:
        try:
            return _attempt(dsn, connection, doing=doing, work=work, keep=keep)
        except psycopg.errors.LockNotAvailable as error:
            if attempt > limits.retries:
                times = "once" if attempt == 1 else f"{attempt} times"
                raise server_errors.explain(
                    error, doing=f"{doing}, tried {times},", state=NOTHING_CHANGED
                ) from error
            pause = pause_seconds(attempt)
            _log.warning("transaction.retried", attempt=attempt, wait_seconds=round(pause, 3))
            time.sleep(pause)
            attempt += 1
        except psycopg.Error as error:
            raise server_errors.explain(error, doing=doing, state=NOTHING_CHANGED) from error


def _attempt(
    dsn: Dsn, connection: Connection, *, doing: str, work: Callable[[], T], keep: bool
) -> T:
    try:
        connection.execute(b"BEGIN")
        result = work()
        transaction = transaction_id(connection)
    except KeyboardInterrupt:
        _roll_back(connection)
        raise FailedError(f"{doing} was interrupted.", state=NOTHING_CHANGED) from None
    except BaseException:
        _roll_back(connection)
        raise
    if not keep:
        _roll_back(connection)
        return result
    try:
        connection.execute(b"COMMIT")
    except KeyboardInterrupt:
        _settle(dsn, connection, transaction, doing)
    except psycopg.OperationalError:
        if not connection.closed:
            raise
        _settle(dsn, connection, transaction, doing)
    return result


def _settle(dsn: Dsn, connection: Connection, transaction: str | None, doing: str) -> None:
    """Decide a COMMIT that got no answer; return where it happened."""
    connection.close()
    outcome = settle(dsn, transaction, patience_seconds=_SETTLE_SECONDS)
    lost = f"{doing}: the connection was lost during the COMMIT"
    if outcome is CommitOutcome.ROLLED_BACK:
        raise FailedError(
            f"{lost}. The server was asked again: the COMMIT did not happen.",
            state=NOTHING_CHANGED,
            hint="Run the same command again.",
        )
    if outcome is CommitOutcome.UNKNOWN:
        raise FailedError(
            f"{lost}, and the server does not say whether it happened.",
            state="It is either done as a whole or not at all.",
            hint="Run the same command again once the server answers: it says which.",
        )


def _roll_back(connection: Connection) -> None:
    if connection.closed:
        return
    with contextlib.suppress(psycopg.Error):
        if connection.info.transaction_status != pq.TransactionStatus.IDLE:
            connection.execute(b"ROLLBACK")
            return
        return
    connection.close()  # the end of the session rolls back in any case
