"""What lies in schema ``archive``: tables, sizes, and who may look at them.

All functions want to be called inside ``verification.snapshot``.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from refactorkit.postgres.connection import Connection, fetch_value

_TABLES: Final = """
    SELECT c.relname::text, pg_total_relation_size(c.oid), pg_get_userbyid(c.relowner)::text,
        has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE'),
        ARRAY(
            SELECT a.attname::text FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY 1
"""
_READERS: Final = """
    SELECT c.relname::text, r.rolname::text
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN pg_roles AS r
    WHERE n.nspname = 'archive' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND NOT r.rolsuper AND NOT starts_with(r.rolname, 'pg_')
        AND has_schema_privilege(r.oid, n.oid, 'USAGE')
        AND has_any_column_privilege(r.oid, c.oid, 'SELECT')
    ORDER BY 1, 2
"""
_DEFAULTS: Final = """
    SELECT DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END::text
    FROM pg_default_acl AS d
    CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
    WHERE d.defaclobjtype IN ('r', 'n') AND x.grantee <> d.defaclrole
        AND d.defaclnamespace IN (0, to_regnamespace('archive'))
        AND d.defaclrole IN (
            SELECT c.relowner FROM pg_class AS c WHERE c.relnamespace = to_regnamespace('archive')
            UNION
            SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = 'archive')
    ORDER BY 1
"""
_SETTING: Final = """
    SELECT split_part(entry, '=', 2)
    FROM pg_db_role_setting AS s
    CROSS JOIN LATERAL unnest(s.setconfig) AS entry
    WHERE s.setrole = 0 AND starts_with(entry, 'refactorkit.retention=')
        AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

# Bounded, so that the end is a date that this program can hold.
_INTERVAL: Final = re.compile(
    r"\s*([0-9]{1,3}\s+(year|month)|[0-9]{1,5}\s+(week|day))s?\s*", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class ArchiveTable:
    """A table of the archive.

    Attributes:
        name: without the schema.
        size_bytes: on disk, with indexes and what is stored out of line.
        owner: the role.
        columns: their names, in order.
        rows: None where this user may not read it.
        readers: roles without superuser rights that can read any of its columns.
    """

    name: str
    size_bytes: int
    owner: str
    columns: tuple[str, ...]
    rows: int | None
    readers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long the archive is to be kept: the database's setting ``refactorkit.retention``.

    Attributes:
        text: as the operator wrote it; None where nobody set it.
        until: when what was archived last may be destroyed; None where that cannot be said.
    """

    text: str | None
    until: datetime | None


def tables(connection: Connection) -> tuple[ArchiveTable, ...]:
    """Return every table of the archive with its rows counted, by name."""
    readers: dict[str, list[str]] = {}
    for table, role in connection.execute(_READERS).fetchall():
        readers.setdefault(table, []).append(role)
    found = connection.execute(_TABLES).fetchall()
    return tuple(
        ArchiveTable(
            name=name,
            size_bytes=size,
            owner=owner,
            columns=tuple(columns),
            rows=count(connection, name) if readable else None,
            readers=tuple(readers.get(name, ())),
        )
        for name, size, owner, readable, columns in found
    )


def count(connection: Connection, table: str) -> int:
    """Return how many rows a table of the archive has."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("archive", table))
    return int(fetch_value(connection, query))


def turns_of(
    connection: Connection, table: str, column: str, log: str
) -> tuple[datetime | None, datetime | None]:
    """Return when the oldest and the newest row of a table were written, None without rows.

    Args:
        connection: inside a snapshot.
        table: of the archive.
        column: holds the number of a turn.
        log: the table of turns.
    """
    query = sql.SQL(
        "SELECT min(t.at), max(t.at) FROM (SELECT DISTINCT {} AS turn FROM {}) AS x"
        " JOIN {} AS t ON t.turn = x.turn"
    ).format(sql.Identifier(column), sql.Identifier("archive", table),
             sql.Identifier("archive", log))  # fmt: skip
    row = connection.execute(query).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def default_grantees(connection: Connection) -> tuple[str, ...]:
    """Return the roles to which default privileges would open new tables of the archive."""
    return tuple(row[0] for row in connection.execute(_DEFAULTS).fetchall())


def superusers(connection: Connection) -> int:
    """Return how many superusers can log in: they read everything."""
    return int(
        fetch_value(
            connection, "SELECT count(*) FROM pg_catalog.pg_roles WHERE rolsuper AND rolcanlogin"
        )
    )


def schema_owner(connection: Connection) -> str | None:
    """Return who owns schema archive; None where there is none."""
    value = fetch_value(
        connection,
        "SELECT pg_catalog.pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace"
        " WHERE nspname = 'archive'",
    )
    return None if value is None else str(value)


def retention(connection: Connection, since: datetime) -> Retention:
    """Return the database's retention, and when something archived at ``since`` may go.

    The setting of the database alone counts: one of a session or a role destroys nothing early.
    """
    text = fetch_value(connection, _SETTING)
    if text is None or not _INTERVAL.fullmatch(text):
        return Retention(text=text, until=None)
    until = fetch_value(connection, "SELECT %s + %s::interval", (since, text))
    return Retention(text=text, until=until)
