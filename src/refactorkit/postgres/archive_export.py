"""Schema ``archive`` as definitions and rows, out of one snapshot and into one transaction."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.dumping import Programs, section_text

_PINNED: Final = (
    "SET LOCAL search_path = pg_catalog, pg_temp",
    "SET LOCAL row_security = off",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
)
_TABLES: Final = """
    SELECT c.relname::text, c.relkind::text, ARRAY(
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY a.attnum)
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'p', 'f', 'm')
    ORDER BY 1
"""
_SEQUENCES: Final = """
    SELECT c.relname::text FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind = 'S' ORDER BY 1
"""
_GRANTS: Final = """
    SELECT c.relname::text, '', c.relkind = 'S', x.privilege_type,
        CASE WHEN x.grantee = 0 THEN '' ELSE pg_get_userbyid(x.grantee) END::text, x.is_grantable
    FROM pg_class AS c, aclexplode(c.relacl) AS x
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'S')
        AND x.grantee <> c.relowner AND c.relname = ANY (%(moved)s)
    UNION ALL
    SELECT c.relname::text, a.attname::text, false, x.privilege_type,
        CASE WHEN x.grantee = 0 THEN '' ELSE pg_get_userbyid(x.grantee) END::text, x.is_grantable
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL aclexplode(a.attacl) AS x
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind = 'r'
        AND x.grantee <> c.relowner AND c.relname = ANY (%(moved)s)
    ORDER BY 1, 2, 4, 5
"""
_PRIVILEGES: Final = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN",
     "USAGE"}
)  # fmt: skip


def exported_snapshot(connection: Connection) -> str:
    """Return the id by which pg_dump can join what the open transaction sees; pin its settings.

    Args:
        connection: in ``archive_transaction``, with one snapshot.
    """
    for setting in _PINNED:
        connection.execute(setting)
    return str(fetch_value(connection, "SELECT pg_catalog.pg_export_snapshot()"))


def describe(
    connection: Connection, programs: Programs, snapshot: str, *, moved: Iterable[str]
) -> dict[str, Any]:
    """Return how the archive is made again: definitions, tables and columns, sequences, grants.

    Args:
        connection: in the transaction of ``exported_snapshot``.
        programs: where pg_dump is.
        snapshot: its id.
        moved: the tables whose grants belong to what comes home with them, and their sequences.

    Raises:
        RefusedError: something other than an ordinary table lies there.
        CannotDumpError: pg_dump could not do it.
    """
    tables = connection.execute(_TABLES).fetchall()
    odd = ", ".join(name for name, kind, _ in tables if kind != "r")
    if odd:
        raise RefusedError(
            f"Schema archive holds what an export cannot carry: {odd}.",
            state=NOTHING_CHANGED,
            hint="It is not refactorkit's: move it elsewhere first.",
        )
    sequences = []
    for (name,) in connection.execute(_SEQUENCES).fetchall():
        row = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier("archive", name))
        ).fetchone()
        if row is not None:
            sequences.append({"name": name, "last_value": row[0], "is_called": row[1]})
    grants = connection.execute(
        _GRANTS, {"moved": [*moved, *(sequence["name"] for sequence in sequences)]}
    ).fetchall()
    return {
        "before_rows": section_text(
            connection, programs, "archive", section="pre-data", snapshot=snapshot
        ).decode(),
        "after_rows": section_text(
            connection, programs, "archive", section="post-data", snapshot=snapshot
        ).decode(),
        "tables": [{"name": name, "columns": columns} for name, _, columns in tables],
        "sequences": sequences,
        "grants": [
            {
                "object": name,
                "column": column,
                "is_sequence": is_sequence,
                "privilege": privilege,
                "role": role,
                "with_grant_option": grantable,
            }
            for name, column, is_sequence, privilege, role, grantable in grants
        ],
        "server_version": connection.info.server_version,
        "system_identifier": str(
            fetch_value(
                connection,
                "SELECT system_identifier::text FROM pg_catalog.pg_control_system()",
            )
        )
        if fetch_value(
            connection,
            "SELECT pg_catalog.has_function_privilege("
            "'pg_catalog.pg_control_system()'::regprocedure, 'EXECUTE')",
        )
        else None,
    }


def rows(connection: Connection, table: str, columns: list[str]) -> Iterator[bytes]:
    """Yield a table's rows in COPY's text format; in that transaction."""
    query = sql.SQL("COPY {} ({}) TO STDOUT").format(
        sql.Identifier("archive", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for data in copy:
            yield bytes(data)


def make_tables(connection: Connection, head: Mapping[str, Any]) -> None:
    """Make the archive's tables and functions, in the open transaction."""
    for setting in _PINNED:
        connection.execute(setting)
    connection.execute(str(head["before_rows"]).encode())


def fill(connection: Connection, table: str, columns: list[str], data: Iterable[bytes]) -> None:
    """Write rows in COPY's text format into a table, in the open transaction."""
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("archive", table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for piece in data:
            copy.write(piece)


def finish(connection: Connection, head: Mapping[str, Any], missing_roles: Iterable[str]) -> None:
    """Make indexes, constraints and triggers, set sequences, and grant what moved tables had."""
    connection.execute(str(head["after_rows"]).encode())
    for sequence in head["sequences"]:
        connection.execute(
            sql.SQL("SELECT pg_catalog.setval({}::regclass, %s, %s)").format(
                sql.Literal(sql.Identifier("archive", sequence["name"]).as_string(connection))
            ),
            (sequence["last_value"], sequence["is_called"]),
        )
    for one in head["grants"]:
        if one["role"] in missing_roles:
            continue
        if one["privilege"] not in _PRIVILEGES:
            raise RefusedError(
                "The export holds a right of an unknown kind.", state=NOTHING_CHANGED
            )
        column = (
            sql.SQL(" ({})").format(sql.Identifier(one["column"])) if one["column"] else sql.SQL("")
        )
        connection.execute(
            sql.SQL("GRANT {}{} ON {} {} TO {}{}").format(
                sql.SQL(one["privilege"]),
                column,
                sql.SQL("SEQUENCE" if one["is_sequence"] else "TABLE"),
                sql.Identifier("archive", one["object"]),
                sql.Identifier(one["role"]) if one["role"] else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if one["with_grant_option"] else ""),
            )
        )


def missing_roles(connection: Connection, head: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the roles that had rights on what moved, and are not on this server."""
    named = sorted({one["role"] for one in head["grants"] if one["role"]})
    found = {
        row[0]
        for row in connection.execute(
            "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)", (named,)
        ).fetchall()
    }
    return tuple(name for name in named if name not in found)


def has_archive(connection: Connection) -> bool:
    """Tell whether there is a schema archive, or anything outside it that is called so."""
    return bool(fetch_value(connection, "SELECT pg_catalog.to_regnamespace('archive') IS NOT NULL"))


def has_tables(connection: Connection) -> bool:
    """Tell whether schema public holds any table."""
    return bool(
        fetch_value(
            connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = pg_catalog.to_regnamespace('public'))",
        )
    )
