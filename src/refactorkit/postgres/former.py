"""The former version's views in a database: what is in their way, who uses them, their end."""

from typing import Any, Final

from psycopg import sql

from refactorkit.mapping.former import Former
from refactorkit.postgres.connection import Connection, fetch_value

_USERS: Final = """
SELECT DISTINCT a.pid, coalesce(a.application_name, '')
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
        WHERE d.datname = pg_catalog.current_database())
    AND n.nspname = %s AND l.pid <> pg_catalog.pg_backend_pid()
ORDER BY 1
"""


def schemas(connection: Connection) -> tuple[str, ...]:
    """Return the schemas in which a former version is kept beside, as their comments say."""
    return tuple(
        name
        for (name,) in connection.execute(
            "SELECT n.nspname::text FROM pg_catalog.pg_namespace AS n"
            " WHERE pg_catalog.starts_with("
            "pg_catalog.obj_description(n.oid, 'pg_namespace'), 'refactorkit: version ') ORDER BY 1"
        ).fetchall()
    )


def is_in_place(connection: Connection, former: Former) -> bool:
    """Tell whether the schema is there, and ours."""
    row = connection.execute(_trusted(former.in_place)).fetchone()
    return row is not None and bool(row[0])


def obstacles(connection: Connection, former: Former) -> tuple[str, ...]:
    """Return sentences that say why the views cannot be made; empty where they can."""
    return tuple(line for (line,) in connection.execute(_trusted(former.obstacles)).fetchall())


def sessions_in_it(connection: Connection, former: Former) -> tuple[tuple[int, str], ...]:
    """Return process id and application of each session that holds or awaits a lock on a view.

    Who only has the schema in its ``search_path``, and is between two transactions, is not seen.
    """
    return tuple(connection.execute(_USERS, (former.schema,)).fetchall())


def writes(connection: Connection, former: Former) -> tuple[tuple[str, str, int], ...]:
    """Return how much was written through the views since the last Up: table, action, rows."""
    schema, table = former.writes.split(".")
    log = sql.Identifier(schema, table)
    if fetch_value(connection, "SELECT pg_catalog.to_regclass(%s)::text", (former.writes,)) is None:
        return ()
    turns = sql.Identifier(schema, table.removesuffix("_former_writes") + "_turns")
    rows: list[Any] = connection.execute(
        sql.SQL(
            "SELECT w.table_name, w.action, pg_catalog.count(*) FROM {} AS w"
            " WHERE w.turn OPERATOR(pg_catalog.=)"
            " (SELECT pg_catalog.max(u.turn) FROM {} AS u)"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).format(log, turns)
    ).fetchall()
    return tuple(rows)


def drop(connection: Connection, former: Former) -> None:
    """Take the schema away; in a transaction with a ``lock_timeout``."""
    connection.execute(former.drop)


def _trusted(query: str) -> bytes:
    """A query that was compiled from a mapping, whose names were checked."""
    return query.encode()
