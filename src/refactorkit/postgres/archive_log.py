"""What a refactor's own log in the archive says: decisions, tombstones, the last turns."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from refactorkit.postgres.connection import Connection, fetch_value


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The decisions of one rule about one column.

    Attributes:
        rule: which one.
        table: where a value or a row gave way.
        column: empty where it is about whole rows.
        count: how many.
        oldest: when the first was made.
        newest: when the last was made.
    """

    rule: str
    table: str
    column: str
    count: int
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, kw_only=True)
class Span:
    """Rows of a log.

    Attributes:
        count: how many.
        oldest: when the first was written; None without rows, or where the table does not say.
        newest: the same of the last.
    """

    count: int
    oldest: datetime | None
    newest: datetime | None


def exists(connection: Connection, table: str) -> bool:
    """Tell whether schema archive has a table of this name."""
    return bool(
        fetch_value(
            connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'archive' AND c.relname = %s AND c.relkind = 'r')",
            (table,),
        )
    )


def decisions(connection: Connection, name: str) -> tuple[Decisions, ...]:
    """Return a refactor's decisions by rule, table and column, no values; none without a log."""
    if not exists(connection, f"{name}_decisions"):
        return ()
    query = sql.SQL(
        "SELECT rule, table_name, column_name, count(*), min(at), max(at) FROM {}"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    ).format(sql.Identifier("archive", f"{name}_decisions"))
    return tuple(
        Decisions(rule=rule, table=table, column=column, count=count, oldest=oldest, newest=newest)
        for rule, table, column, count, oldest, newest in connection.execute(query).fetchall()
    )


def span(connection: Connection, table: str) -> Span | None:
    """Return how many rows a log has, and from when to when; None where there is no such table."""
    if not exists(connection, table):
        return None
    has_time = fetch_value(
        connection,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a"
        " JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'archive' AND c.relname = %s AND a.attname = 'at'"
        " AND a.atttypid = 'pg_catalog.timestamptz'::pg_catalog.regtype)",
        (table,),
    )
    query = "SELECT count(*), min(at), max(at) FROM {}" if has_time else (
        "SELECT count(*), NULL, NULL FROM {}")  # fmt: skip
    row = connection.execute(sql.SQL(query).format(sql.Identifier("archive", table))).fetchone()
    return None if row is None else Span(count=row[0], oldest=row[1], newest=row[2])
