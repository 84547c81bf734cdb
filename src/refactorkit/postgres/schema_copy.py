"""A database with the schema of another one and none of its rows, to try statements out on.

The embedded server is where it is made: the server of the original does nothing but answer
``pg_dump --schema-only``, which holds ACCESS SHARE locks for a moment. Bookkeeping that the files
read is copied with its rows: the version table, the recorded checksums, and of each refactor the
log of its turns, which holds counts, settings and ids, no row of anybody.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from refactorkit.errors import FailedError, RefactorkitError
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, connected, fetch_value
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs, copy_schema, role_for_restore
from refactorkit.postgres.embedded import EmbeddedServer
from refactorkit.postgres.history import VersionTable
from refactorkit.postgres.throwaway import Throwaway, throwaway_database, with_setting

_SUPERUSER: Final = "postgres"
_ROLES: Final = """
    SELECT rolname::text, rolsuper FROM pg_catalog.pg_roles
    WHERE rolname NOT LIKE 'pg\\_%%' AND rolname <> %s ORDER BY 1
"""
_MEMBERS: Final = """
    SELECT r.rolname::text, m.rolname::text
    FROM pg_catalog.pg_auth_members AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
    JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
    ORDER BY 1, 2
"""
_TURNS: Final = """
    SELECT n.nspname::text, c.relname::text
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'archive' AND c.relkind = 'r'
        AND (c.relname LIKE '%\\_turns' OR c.relname = 'migration_checksums')
    ORDER BY 1, 2
"""
_NEXT_ID: Final = """
    SELECT pg_catalog.setval(d.objid::regclass, 1000000)
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = d.objid
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
        AND n.nspname || '.' || c.relname = %(table)s
"""


class CannotCopyError(FailedError):
    """The schema could not be copied; the original was only read."""


@dataclass(frozen=True, kw_only=True)
class SchemaCopy:
    """A copy that is there for the length of a block.

    Attributes:
        dsn: how to reach it, with the rights of the original's user.
        server_version: of the server that it is on, such as ``18.6``.
    """

    dsn: Dsn
    server_version: str


@contextlib.contextmanager
def schema_copy(
    connection: Connection, table: VersionTable, programs: Programs
) -> Iterator[SchemaCopy]:
    """Have a copy of a database's schema, on a private server, and nothing of it afterwards.

    Args:
        connection: leads to the original, which is only read.
        table: the version table.
        programs: where pg_dump and pg_restore are.

    Raises:
        CannotCopyError: it cannot be made, with the reason.
    """
    with contextlib.ExitStack() as stack:
        try:
            user = str(fetch_value(connection, "SELECT current_user::text"))
            role = role_for_restore(connection) or user
            server = stack.enter_context(EmbeddedServer.start(durable=False))
            admin_dsn = Dsn.parse(server.dsn(_SUPERUSER))
            with connected(admin_dsn) as admin:
                _make_roles(connection, admin)
            made = stack.enter_context(_database(admin_dsn, role))
            with connected(made.plain_dsn) as target:
                copy_schema(connection, target, programs, role=role)
                _copy_rows(connection, target, table)
        except psycopg.Error as error:
            explained = server_errors.explain(error, doing="Copying the schema", state="")
            raise CannotCopyError(explained.message) from error
        except CannotCopyError:
            raise
        except RefactorkitError as error:
            raise CannotCopyError(error.message, hint=error.hint) from error
        yield SchemaCopy(
            dsn=with_setting(made.plain_dsn, "role", user), server_version=server.version
        )


def _database(admin: Dsn, owner: str) -> contextlib.AbstractContextManager[Throwaway]:
    return throwaway_database(admin, owner=owner, keep=False)


def _make_roles(source: Connection, target: Connection) -> None:
    """Make roles of the same names, without passwords, that are members of each other as there."""
    for name, is_superuser in source.execute(_ROLES, (_SUPERUSER,)).fetchall():
        kind = sql.SQL("SUPERUSER" if is_superuser else "NOSUPERUSER")
        target.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(name), kind))
    for role, member in source.execute(_MEMBERS).fetchall():
        # A predefined role that this server does not have is nothing that our locks hang on.
        with contextlib.suppress(psycopg.errors.UndefinedObject):
            target.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member))
            )


def _copy_rows(source: Connection, target: Connection, table: VersionTable) -> None:
    tables: list[Any] = source.execute(_TURNS.encode()).fetchall()
    if table.exists:
        tables.append((table.schema, table.name))
    for schema, name in tables:
        _copy_table(source, target, sql.Identifier(schema, name), _columns(source, schema, name))
    if table.exists:
        # The next version row takes a new id, and a sequence of the copy begins at 1.
        target.execute(_NEXT_ID, {"table": f"{table.schema}.{table.name}"})


def _columns(source: Connection, schema: str, name: str) -> Sequence[str]:
    rows = source.execute(
        "SELECT a.attname::text FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid = pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text,"
        " %s::text)) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"
        " ORDER BY a.attnum",
        (schema, name),
    ).fetchall()
    return [row[0] for row in rows]


def _copy_table(
    source: Connection, target: Connection, table: sql.Identifier, columns: Sequence[str]
) -> None:
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    out = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(names, table)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)
    with (
        source.cursor() as reading,
        target.cursor() as writing,
        reading.copy(out) as rows,
        writing.copy(into) as copied,
    ):
        for block in rows:
            copied.write(bytes(block))
