"""Rows in canonical form, streamed from the server: COPY in binary, one row at a time in memory.

Only inside ``pinned``: what travels as text depends on these settings, and on nothing else.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import pq, sql

from refactorkit.postgres.connection import Connection, fetch_value

_PINNED: Final = {
    "search_path": "pg_catalog, pg_temp",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "off",
    "quote_all_identifiers": "off",
    "xmlbinary": "base64",
    "work_mem": "64MB",
    "jit": "off",
    "enable_sort": "off",  # where an index has the order: a sort of whole rows goes to disk
}
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
COPY_TRAILER: Final = b"\xff\xff"


@contextlib.contextmanager
def pinned(
    connection: Connection, *, read_only: bool, snapshot: str | None = None
) -> Iterator[None]:
    """Have one snapshot for the length of a block, and every setting that text depends on.

    Args:
        connection: in no transaction.
        read_only: whether nothing can be changed.
        snapshot: of another connection (``shared_snapshot``); None: a new one.
    """
    with connection.transaction():
        mode = "READ ONLY" if read_only else "READ WRITE"
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, {mode}".encode())
        if snapshot is not None:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        pin(connection)
        yield


def pin(connection: Connection) -> None:
    """Have, for the rest of a transaction, every setting that text depends on."""
    for name, value in _PINNED.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))


@contextlib.contextmanager
def pinned_texts(connection: Connection) -> Iterator[None]:
    """Have, inside somebody else's transaction, every setting that text depends on; then theirs.

    Where the block fails the transaction does, and takes the settings back itself.
    """
    theirs = {}
    for name, value in _PINNED.items():
        theirs[name] = fetch_value(
            connection, "SELECT pg_catalog.current_setting(%s, true)", (name,)
        )
        connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))
    yield
    for name, value in theirs.items():
        connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value or ""))


def shared_snapshot(connection: Connection) -> str:
    """Return the name by which another connection can have this transaction's snapshot."""
    return str(fetch_value(connection, "SELECT pg_export_snapshot()"))


def rows(connection: Connection, query: sql.Composed) -> Iterator[bytes]:
    """Yield each row of a query in canonical form; its first column is to be the salt.

    The generator must be run to its end, or the connection closed.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # The driver waits for the first row, which may come after a long sort, so that Ctrl-C ends
        # it. All others are there, or on their way: asking libpq itself costs a third.
        row = bytes(copy.read())
        if not row.startswith(COPY_HEADER):
            raise ValueError("the server's COPY does not begin as COPY in binary does")
        row = row[len(COPY_HEADER) :] or bytes(copy.read())
        receive = connection.pgconn.get_copy_data
        while row != COPY_TRAILER:
            yield row
            length, data = receive(0)
            if length <= 0 or data is None:
                raise _broken_off(connection)
            row = bytes(data)
        copy.read()  # the server's word that this was all


def _broken_off(connection: Connection) -> psycopg.Error:
    """Return why the rows ended before their end."""
    result = connection.pgconn.get_result()
    if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
        return psycopg.errors.error_from_result(result)
    return psycopg.OperationalError("the connection was lost in the middle of a COPY")
