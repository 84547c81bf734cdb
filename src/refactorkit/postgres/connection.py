"""Connections: opened with bounded waits, refused with a sentence.

libpq gives no SQLSTATE for a connection that fails, only a text, and a text is nothing to branch
on. So a failed attempt is looked into: libpq's own ping tells a server that is not there from one
that refuses, the connection's state tells whether a password was asked for, and a second attempt
at the maintenance database tells a wrong password from a missing database.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final, LiteralString

import psycopg
from psycopg import pq, sql
from psycopg.rows import TupleRow

from refactorkit.errors import (
    NOTHING_CHANGED,
    BusyError,
    FailedError,
    RefactorkitError,
    RefusedError,
    UsageError,
)
from refactorkit.postgres.dsn import Dsn

Connection = psycopg.Connection[TupleRow]

_BOUNDED_WAITS: Final = {
    "connect_timeout": "10",  # seconds
    "keepalives": "1",
    "keepalives_idle": "30",  # seconds
    "keepalives_interval": "10",  # seconds
    "keepalives_count": "3",
}
_SHORT_WAIT: Final = {"connect_timeout": "3"}  # seconds, for the second look at a failure
_CHECK_CLIENT_SINCE: Final = 140000  # client_connection_check_interval came with PostgreSQL 14
_CHECK_CLIENT_EVERY: Final = "2s"
_MAINTENANCE_DATABASES: Final = ("postgres", "template1")


def connect(
    dsn: Dsn, *, application_name: str = "refactorkit", autocommit: bool = True
) -> Connection:
    """Open one connection, in UTF-8, that never waits without bound for a dead peer.

    Nothing is prepared on the server, so a statement without parameters goes over the simple
    protocol. On PostgreSQL 14 and later the server looks every two seconds whether this client
    still lives, and gives up a dead client's statement and its locks.

    Args:
        dsn: where to.
        application_name: what ``pg_stat_activity`` shows, unless the dsn names another.
        autocommit: False lets psycopg begin a transaction before the first statement.

    Raises:
        UsageError: the dsn does not say which database is meant, or contradicts itself.
        BusyError: the server is starting up or shutting down.
        FailedError: there is no server, or it refuses this user, password or database.
    """
    if not dsn.names_database:
        raise UsageError(
            "The database URL names no database.",
            state=NOTHING_CHANGED,
            hint="Write postgresql://USER@HOST/DATABASE; which database is meant is never guessed.",
        )
    parameters = {"application_name": application_name, **_BOUNDED_WAITS, **dsn.parameters}
    try:
        connection = _open(parameters, autocommit=True)
    except psycopg.ProgrammingError:
        raise UsageError(
            "The database URL holds parameters that libpq cannot use together.",
            state=NOTHING_CHANGED,
            hint="Look at sslmode, connect_timeout, and lists of hosts and ports.",
        ) from None
    except psycopg.OperationalError as error:
        raise _explain(error, dsn, parameters) from None
    try:
        _watch_client(connection)
        if not autocommit:
            connection.autocommit = False
    except psycopg.Error:
        connection.close()
        raise FailedError(
            f"The connection to {dsn.describe()} broke right after it was made.",
            state=NOTHING_CHANGED,
            hint="Look at the server's log, then try again.",
        ) from None
    return connection


@contextlib.contextmanager
def connected(dsn: Dsn, *, application_name: str = "refactorkit") -> Iterator[Connection]:
    """Open a connection in autocommit for the length of a block, and close it in any case.

    Raises:
        RefactorkitError: as ``connect`` does.
    """
    connection = connect(dsn, application_name=application_name)
    with contextlib.closing(connection):
        yield connection


def set_for_session(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set configuration parameters until the connection ends; values travel as parameters."""
    for name, value in settings.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def set_for_transaction(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set configuration parameters until the transaction ends, in one round trip."""
    connection.execute(
        "SELECT pg_catalog.set_config(s.name, s.value, true)"
        " FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]),"
        " pg_catalog.unnest(%s::pg_catalog.text[])) AS s (name, value)",
        (list(settings), list(settings.values())),
    )


def fetch_value(
    connection: Connection,
    query: LiteralString | sql.Composed,
    parameters: tuple[object, ...] = (),
) -> Any:
    """Return the only column of the only row of a query, or None where it returns no row."""
    row = connection.execute(query, parameters or None).fetchone()
    return None if row is None else row[0]


def same_server(dsn: Dsn, connection: Connection) -> Dsn:
    """Return the dsn of this very server, where the dsn names several or lets the caller choose."""
    names = (("host", "PGHOST"), ("hostaddr", "PGHOSTADDR"), ("port", "PGPORT"))
    if not any("," in (dsn.parameters.get(key) or os.environ.get(name, "")) for key, name in names):
        return dsn
    loose = {"host", "hostaddr", "port", "target_session_attrs", "load_balance_hosts"}
    kept = {key: value for key, value in dsn.parameters.items() if key not in loose}
    info = connection.info
    return Dsn(parameters={**kept, "host": info.host, "port": str(info.port)})


def refuse_read_only(connection: Connection, dsn: Dsn) -> None:
    """Stop before anything is tried on a server that cannot be written to.

    Raises:
        RefusedError: the server is a standby, or its transactions are read-only.
    """
    if fetch_value(connection, "SELECT pg_catalog.pg_is_in_recovery()"):
        raise RefusedError(
            f"The server of {dsn.describe()} is a standby: it can only be read.",
            state=NOTHING_CHANGED,
            hint="Use the address of the primary.",
        )
    if (
        fetch_value(connection, "SELECT pg_catalog.current_setting('transaction_read_only')")
        == "on"
    ):
        raise RefusedError(
            f"Transactions are read-only on {dsn.describe()} (default_transaction_read_only).",
            state=NOTHING_CHANGED,
            hint="Set default_transaction_read_only to off for this user or database.",
        )


def _open(parameters: Mapping[str, str], *, autocommit: bool) -> Connection:
    conninfo = psycopg.conninfo.make_conninfo("", **{**parameters, "client_encoding": "UTF8"})
    return psycopg.connect(conninfo, autocommit=autocommit, prepare_threshold=None)


def _watch_client(connection: Connection) -> None:
    if connection.info.server_version < _CHECK_CLIENT_SINCE:
        return
    # Servers on systems without the needed poll() event refuse any value but 0.
    with contextlib.suppress(psycopg.errors.InvalidParameterValue):
        set_for_session(connection, {"client_connection_check_interval": _CHECK_CLIENT_EVERY})


def _explain(
    error: psycopg.OperationalError, dsn: Dsn, parameters: Mapping[str, str]
) -> RefactorkitError:
    """Find out why a connection failed, without reading the message."""
    place = dsn.describe()
    conninfo = psycopg.conninfo.make_conninfo("", **{**parameters, **_SHORT_WAIT})
    ping = pq.PGconn.ping(conninfo.encode())
    if ping == pq.Ping.REJECT:
        return BusyError(
            f"The server of {place} is starting up, shutting down or recovering.",
            state=NOTHING_CHANGED,
            hint="Try again in a moment.",
        )
    if ping != pq.Ping.OK or isinstance(error, psycopg.errors.ConnectionTimeout):
        return FailedError(
            f"No PostgreSQL server answers for {place}.",
            state=NOTHING_CHANGED,
            hint="Check host and port (or the socket's folder), and that the server runs.",
        )
    pgconn = error.pgconn
    if pgconn is not None and pgconn.needs_password:
        return FailedError(
            f"The server asks for a password, and none was given for {place}.",
            state=NOTHING_CHANGED,
            hint="Put it into the URL, the variable PGPASSWORD, or a passfile.",
        )
    return _explain_refusal(dsn, parameters, used_password=bool(pgconn and pgconn.used_password))


def _explain_refusal(
    dsn: Dsn, parameters: Mapping[str, str], *, used_password: bool
) -> RefactorkitError:
    """Tell a refused login from a refused database by asking at the maintenance database."""
    for maintenance in _MAINTENANCE_DATABASES:
        try:
            connection = _open(
                {**parameters, **_SHORT_WAIT, "dbname": maintenance}, autocommit=True
            )
        except psycopg.Error:
            continue
        with contextlib.closing(connection):
            return _explain_database(connection, dsn)
    if used_password:
        return FailedError(
            f"The server refuses the login for {dsn.describe()}: wrong password or unknown user.",
            state=NOTHING_CHANGED,
            hint="Check the user and the password, in the URL, PGPASSWORD or the passfile.",
        )
    return FailedError(
        f"The server turns this connection to {dsn.describe()} away before asking for a password.",
        state=NOTHING_CHANGED,
        hint="It may have too many connections, not know this user, or not allow it from here "
        "(pg_hba.conf, TLS); the server's log says which.",
    )


def _explain_database(connection: Connection, dsn: Dsn) -> RefactorkitError:
    """Say what is the matter with the database; the login itself is good."""
    row = connection.execute(
        "SELECT datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT')"
        " FROM pg_catalog.pg_database WHERE datname = %s",
        (dsn.database or connection.info.user,),
    ).fetchone()
    if row is None:
        return FailedError(
            f"There is no such database: {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Check its name, or make it with createdb.",
        )
    if not row[0]:
        return RefusedError(
            f"This user may not connect to {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Ask its owner for GRANT CONNECT ON DATABASE.",
        )
    return FailedError(
        f"The server refuses connections to {dsn.describe()} for now.",
        state=NOTHING_CHANGED,
        hint="Its connection limit may be reached; the server's log says why.",
    )
