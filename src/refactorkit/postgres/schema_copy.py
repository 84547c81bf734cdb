"""A database with the schema of another one and none of its rows, to try statements out on.

The embedded server is where it is made: the server of the original does nothing but answer
``pg_dump --schema-only``, which holds ACCESS SHARE locks for a moment. Bookkeeping that the files
read is copied with its rows: the version table, the recorded checksums, and of each refactor the
log of its turns, which holds counts, settings and ids, no row of anybody.
"""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from refactorkit.errors import FailedError, RefactorkitError
from refactorkit.postgres import server_errors
from refactorkit.postgres.cluster import new_password
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs, copy_schema
from refactorkit.postgres.embedded import EmbeddedServer
from refactorkit.postgres.history import VersionTable
from refactorkit.postgres.throwaway import throwaway_database, with_setting

_BOOTSTRAP: Final = "postgres"  # as the embedded server names its first superuser
_ROLES: Final = """
    SELECT r.rolname::text FROM pg_catalog.pg_roles AS r
    WHERE r.rolname NOT LIKE 'pg\\_%' ORDER BY 1
"""
_MEMBERS: Final = """
    SELECT r.rolname::text, m.rolname::text
    FROM pg_catalog.pg_auth_members AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
    JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
    ORDER BY 1, 2
"""
_RUNNER: Final = """
    SELECT current_user::text, r.rolsuper, o.rolname::text,
        pg_catalog.has_database_privilege(d.oid, 'CREATE')
    FROM pg_catalog.pg_database AS d
    JOIN pg_catalog.pg_roles AS o ON o.oid = d.datdba
    JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
    WHERE d.datname = pg_catalog.current_database()
"""
_OPEN_SCHEMAS: Final = """
    SELECT n.nspname::text
    FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS x
    WHERE x.grantee = 0 AND x.privilege_type = 'CREATE' ORDER BY 1
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


@dataclass(frozen=True, kw_only=True)
class _Runner:
    """Who runs the statements there, and what they may.

    Attributes:
        name: the role.
        is_superuser: whether it is one there; here it becomes a member of all others instead.
        owner: the role that owns the database.
        may_create: whether it may make schemas.
    """

    name: str
    is_superuser: bool
    owner: str
    may_create: bool


@contextlib.contextmanager
def schema_copy(
    connection: Connection, table: VersionTable, programs: Programs
) -> Iterator[SchemaCopy]:
    """Have a copy of a database's schema, on a private server, and nothing of it afterwards.

    Owners, grants and memberships are as there, but nobody is a superuser: what somebody has put
    into the schema never runs with such rights on this machine. What only a superuser can make (an
    event trigger, some extensions) therefore cannot be copied.

    Args:
        connection: leads to the original, which is only read.
        table: the version table.
        programs: where pg_dump and pg_restore are.

    Raises:
        CannotCopyError: it cannot be made, with the reason.
    """
    with contextlib.ExitStack() as stack:
        try:
            runner = _runner(connection)
            server = stack.enter_context(EmbeddedServer.start(durable=False))
            admin, restorer = _make_roles(connection, Dsn.parse(server.dsn(_BOOTSTRAP)), runner)
            made = stack.enter_context(throwaway_database(admin, owner=runner.owner, keep=False))
            if runner.may_create:
                with connected(admin) as granting:
                    granting.execute(
                        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                            sql.Identifier(made.name), sql.Identifier(runner.name)
                        )
                    )
            dsn = restorer.with_database(made.name)
            with (
                connected(admin.with_database(made.name)) as caring,
                connected(dsn) as target,
                _open_schemas(connection, caring, restorer.parameters["user"]),
            ):
                copy_schema(connection, target, programs, role=None)
                _copy_rows(connection, target, table)
        except psycopg.Error as error:
            explained = server_errors.explain(error, doing="Copying the schema", state="")
            raise CannotCopyError(explained.message) from error
        except RefactorkitError as error:
            raise CannotCopyError(error.message, hint=error.hint) from error
        yield SchemaCopy(dsn=with_setting(dsn, "role", runner.name), server_version=server.version)


def _runner(connection: Connection) -> _Runner:
    row = connection.execute(_RUNNER).fetchone()
    if row is None:
        raise CannotCopyError("The server does not know the database that we are connected to.")
    name, is_superuser, owner, may_create = row
    return _Runner(name=name, is_superuser=is_superuser, owner=owner, may_create=may_create)


def _make_roles(source: Connection, bootstrap: Dsn, runner: _Runner) -> tuple[Dsn, Dsn]:
    """Make roles of the same names, members of each other as there, none of them a superuser.

    Returns:
        How to reach the server as the only superuser, and as a role that may make things for each
        of the others; neither has a name that one of them has.
    """
    admin, restorer = _login("admin"), _login("restorer")
    names = [name for (name,) in source.execute(_ROLES).fetchall()]
    members = source.execute(_MEMBERS).fetchall()
    with connected(bootstrap) as first:
        for role, kind in ((admin, "SUPERUSER"), (restorer, "NOSUPERUSER")):
            first.execute(
                sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
                    sql.Identifier(role["user"]), sql.SQL(kind), sql.Literal(role["password"])
                )
            )
    as_admin = Dsn(parameters={**bootstrap.parameters, **admin})
    as_restorer = Dsn(parameters={**bootstrap.parameters, **restorer})
    with connected(as_admin) as second:
        second.execute(
            sql.SQL("ALTER ROLE {} RENAME TO {}").format(
                sql.Identifier(_BOOTSTRAP), sql.Identifier(_login("bootstrap")["user"])
            )
        )
        for name in names:
            second.execute(sql.SQL("CREATE ROLE {} NOSUPERUSER").format(sql.Identifier(name)))
        everybody = [(name, restorer["user"]) for name in names]
        if runner.is_superuser:
            everybody += [(name, runner.name) for name in names if name != runner.name]
        for role_name, member in [*members, *everybody, ("pg_read_all_stats", runner.name)]:
            # A predefined role that this server does not have is nothing that our locks hang on;
            # and a superuser's new memberships may close a circle with the old ones.
            with contextlib.suppress(
                psycopg.errors.UndefinedObject, psycopg.errors.InvalidGrantOperation
            ):
                second.execute(
                    sql.SQL("GRANT {} TO {}").format(
                        sql.Identifier(role_name), sql.Identifier(member)
                    )
                )
    return as_admin, as_restorer


@contextlib.contextmanager
def _open_schemas(source: Connection, target: Connection, restorer: str) -> Iterator[None]:
    """Let everybody make things in every schema meanwhile, and afterwards whoever may it there.

    A table cannot be given to a role that may make none in its schema; only superusers can do so,
    as ours in the original did.
    """
    public, role = sql.SQL("PUBLIC"), sql.Identifier(restorer)
    default = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} {} CREATE ON SCHEMAS {} PUBLIC")
    target.execute(default.format(role, sql.SQL("GRANT"), sql.SQL("TO")))
    target.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(public))
    yield
    target.execute(default.format(role, sql.SQL("REVOKE"), sql.SQL("FROM")))
    open_there = {name for (name,) in source.execute(_OPEN_SCHEMAS).fetchall()}
    for (name,) in target.execute(_OPEN_SCHEMAS).fetchall():
        if name not in open_there:
            target.execute(
                sql.SQL("REVOKE CREATE ON SCHEMA {} FROM {}").format(sql.Identifier(name), public)
            )


def _login(purpose: str) -> dict[str, str]:
    return {"user": f"refactorkit_{purpose}_{secrets.token_hex(4)}", "password": new_password()}


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
