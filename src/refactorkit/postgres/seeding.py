"""Put made-up rows into a database at version 10: one transaction, by COPY, in bounded memory.

Where the user may set ``session_replication_role``, foreign keys are not checked row by row, which
would double the time: every reference is to a row that the same transaction has written. Triggers
that somebody added stay quiet then, too.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.lock_waits import LockLimits, LockTimeout
from refactorkit.seed import ids
from refactorkit.seed.ids import Size, Taken
from refactorkit.seed.rows import TABLES, TABLES_WITH_ID, tables
from refactorkit.seed.small_tables import LOGIN_ROLES, email_of
from refactorkit.seed.table_rows import TableRows

Report = Callable[[str, int, int], None]
"""Is told the table, how many of its rows were sent, and how many there will be."""

_ALL_OR_NONE: Final = "All of the rows are there or none of them, as public.patients shows."
_PEOPLE: Final = ("patients", "assessments", "users")
_MOCK_TABLE: Final = """
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class
        WHERE oid = pg_catalog.to_regclass('archive.mock_data_0006') AND relkind = 'r'
    )
"""
_HELD: Final = "SELECT EXISTS (SELECT FROM public.{table})"
_HELD_BESIDES_MOCK: Final = """
    SELECT EXISTS (
        SELECT FROM public.{table} AS live
        WHERE NOT EXISTS (
            SELECT FROM archive.mock_data_0006 AS mock
            WHERE mock.table_name = {name} AND mock.row_id = live.id
        )
    )
"""
_TAKEN: Final = """
    SELECT COALESCE(least(min(id), 1), 1),
        COALESCE(greatest(max(id), pg_catalog.pg_sequence_last_value({sequence}), 0), 0)
    FROM public.{table}
"""
_MOVE_SEQUENCE: Final = """
    SELECT pg_catalog.setval({sequence}, greatest(max(id), {highest}))
    FROM public.{table}
    HAVING greatest(max(id), {highest}) > 0
"""


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """What was put in.

    Attributes:
        rows: how many, for each table.
        login_emails: the addresses of the first users, with roles as in ``LOGIN_ROLES``.
    """

    rows: Mapping[str, int]
    login_emails: Sequence[str]


def fill(
    connection: Connection,
    size: Size,
    *,
    add: bool,
    password_hashes: Sequence[str],
    report: Report,
) -> Seeded:
    """Put made-up rows in, move the sequences past them, and ANALYZE.

    Args:
        connection: in autocommit, to a database at version 10.
        size: how much; the same size and ids in use give the same rows.
        add: also where the tables hold other rows than the migrations' mock data.
        password_hashes: for the first users; without, nobody can log in.
        report: is told about progress.

    Raises:
        RefusedError: the tables are in use, or the ids would not fit.
        BusyError: somebody else holds a lock on the tables.
        FailedError: the server refused; no row was written.
    """
    doing, state = "Taking the locks", NOTHING_CHANGED
    try:
        LockTimeout(connection, LockLimits()).apply()
        with connection.transaction():
            _lock(connection)
            if not add:
                _refuse_tables_in_use(connection)
            taken = {table: _taken(connection, table) for table in TABLES_WITH_ID}
            _refuse_ids_that_do_not_fit(size, taken)
            _leave_references_unchecked(connection)
            written = {}
            for part in tables(size, taken, password_hashes):
                doing = f"Filling public.{part.table}"
                _copy(connection, part, report)
                written[part.table] = part.count
            doing = "Moving the sequences"
            for table in TABLES_WITH_ID:
                _move_sequence(connection, table, taken[table])
            doing, state = "The COMMIT", _ALL_OR_NONE
        doing, state = "ANALYZE", "All rows are there."
        for table in TABLES:
            connection.execute(sql.SQL("ANALYZE public.{}").format(sql.Identifier(table)))
    except psycopg.Error as error:
        raise server_errors.explain(error, doing=doing, state=state) from None
    users = ids.user_ids(size, taken["users"], taken["patients"])
    emails = [email_of(role, user) for role, user in zip(LOGIN_ROLES, users, strict=False)]
    return Seeded(rows=written, login_emails=emails)


def _lock(connection: Connection) -> None:
    """Keep writers away, so that the ids in use stay what they are; readers are welcome."""
    names = sql.SQL(", ").join(sql.Identifier("public", table) for table in TABLES)
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(names))


def _refuse_tables_in_use(connection: Connection) -> None:
    held = sql.SQL(_HELD_BESIDES_MOCK if fetch_value(connection, _MOCK_TABLE) else _HELD)
    for table in _PEOPLE:
        query = held.format(table=sql.Identifier(table), name=sql.Literal(table))
        if fetch_value(connection, query):
            raise RefusedError(
                f"public.{table} holds rows that are not the migrations' mock data.",
                state=NOTHING_CHANGED,
                hint="Made-up rows belong into a database of their own; --add mixes them in.",
            )


def _refuse_ids_that_do_not_fit(size: Size, taken: Mapping[str, Taken]) -> None:
    if ids.highest_needed(size, taken) > ids.HIGHEST:
        raise RefusedError(
            f"The ids in use leave no room below {ids.HIGHEST} for so many rows.",
            state=NOTHING_CHANGED,
            hint="Make fewer rows, or use another database.",
        )


def _taken(connection: Connection, table: str) -> Taken:
    row = connection.execute(
        sql.SQL(_TAKEN).format(table=sql.Identifier(table), sequence=_sequence(table))
    ).fetchone()
    lowest, highest = row if row is not None else (1, 0)
    return Taken(lowest=lowest, highest=highest)


def _leave_references_unchecked(connection: Connection) -> None:
    with (
        contextlib.suppress(psycopg.errors.InsufficientPrivilege),
        connection.transaction(),
    ):
        connection.execute("SET LOCAL session_replication_role = 'replica'")


def _copy(connection: Connection, part: TableRows, report: Report) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("public", part.table),
        sql.SQL(", ").join(map(sql.Identifier, part.columns)),
    )
    sent = 0
    report(part.table, sent, part.count)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in part.blocks:
            copy.write(block)
            sent += block.count(b"\n")
            report(part.table, sent, part.count)


def _move_sequence(connection: Connection, table: str, taken: Taken) -> None:
    connection.execute(
        sql.SQL(_MOVE_SEQUENCE).format(
            table=sql.Identifier(table),
            sequence=_sequence(table),
            highest=sql.Literal(taken.highest),
        )
    )


def _sequence(table: str) -> sql.Composed:
    return sql.SQL("pg_catalog.pg_get_serial_sequence({}, 'id')::regclass").format(
        sql.Literal(f"public.{table}")
    )
