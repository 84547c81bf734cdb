"""One transaction that writes in the archive, one at a time, beside no Up and no Down."""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, FailedError
from refactorkit.postgres import server_errors
from refactorkit.postgres.commit import CommitOutcome, settle, transaction_id
from refactorkit.postgres.connection import Connection, connected, refuse_read_only, set_for_session
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.lock_waits import LockLimits, LockTimeout
from refactorkit.postgres.locks import session_lock

WRITER: Final = "refactorkit.archive_writer"
"""The setting by which a transaction says that it means to change the archive: its own id."""

_LOCK_WAIT_SECONDS: Final = 10.0
_SETTLE_SECONDS: Final = 60.0
_PINNED: Final = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
}

_GRANTEES: Final = """
    SELECT DISTINCT r.rolname::pg_catalog.text
    FROM pg_catalog.pg_class AS c
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x
    JOIN pg_catalog.pg_roles AS r ON r.oid = x.grantee
    WHERE c.relnamespace = pg_catalog.to_regnamespace('archive') AND c.relname = %s
        AND x.grantee <> c.relowner
    ORDER BY 1
"""


@contextlib.contextmanager
def archive_transaction(
    dsn: Dsn, *, doing: str, keep: bool = True, one_snapshot: bool = False
) -> Iterator[Connection]:
    """Have a connection in a transaction that is committed at the end of the block, or undone.

    Holds the lock that migrations take. Names mean ``pg_catalog``; the archive's guards let it by.

    Args:
        dsn: the database.
        doing: what is being done, the beginning of a sentence.
        keep: False undoes it at the end, so that nothing is changed.
        one_snapshot: see one state of the database from the first statement to the last.

    Raises:
        BusyError: a migration is running, or a lock is not to be had.
        RefactorkitError: what the block raised, after a rollback; or what the server said.
        FailedError: also where the COMMIT got no answer; says whether it happened.
    """
    with connected(dsn) as connection, session_lock(connection, wait_seconds=_LOCK_WAIT_SECONDS):
        transaction = None
        committing = False
        try:
            refuse_read_only(connection, dsn)
            LockTimeout(connection, LockLimits()).apply()
            set_for_session(connection, _PINNED)
            connection.execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ"
                if one_snapshot
                else "BEGIN ISOLATION LEVEL READ COMMITTED"
            )
            let_by(connection)
            yield connection
            if not keep:
                connection.execute("ROLLBACK")
                return
            transaction = transaction_id(connection)
            committing = True
            connection.execute("COMMIT")
        except psycopg.Error as error:
            if committing and connection.closed:
                _settle(dsn, transaction, doing)
                return
            _roll_back(connection)
            raise server_errors.explain(error, doing=doing, state=NOTHING_CHANGED) from None
        except BaseException:
            _roll_back(connection)
            raise


def let_by(connection: Connection) -> None:
    """Tell the archive's guards that the open transaction means to change what is kept."""
    connection.execute(
        "SELECT pg_catalog.set_config(%s, pg_catalog.pg_current_xact_id()::pg_catalog.text, true)",
        (WRITER,),
    )


def close(connection: Connection, table: str) -> None:
    """Take a new table of the archive away from everybody but its owner (default privileges)."""
    name = sql.Identifier("archive", table)
    connection.execute(sql.SQL("REVOKE ALL ON {} FROM PUBLIC").format(name))
    for (role,) in connection.execute(_GRANTEES, (table,)).fetchall():
        connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, sql.Identifier(role)))


def _settle(dsn: Dsn, transaction: str | None, doing: str) -> None:
    outcome = settle(dsn, transaction, patience_seconds=_SETTLE_SECONDS)
    lost = f"{doing}: the connection was lost during the COMMIT"
    if outcome is CommitOutcome.ROLLED_BACK:
        raise FailedError(
            f"{lost}, which did not happen.",
            state=NOTHING_CHANGED,
            hint="Run the same command again.",
        )
    if outcome is CommitOutcome.UNKNOWN:
        raise FailedError(
            f"{lost}, and the server does not say whether it happened.",
            state="All of it was done, or none of it.",
            hint="Ask refactorkit archive status, before anything else.",
        )


def _roll_back(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        if not connection.closed:
            connection.execute("ROLLBACK")
