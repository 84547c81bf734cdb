"""Roles and guards around the archive: made, and taken away again.

Each function wants the transaction of ``archive_writes.archive_transaction``, and does one thing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Final

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.care import guard_function
from refactorkit.mapping.guards import kept_tables, moved_tables
from refactorkit.mapping.keeping import Kept, kept
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.connection import Connection, fetch_value

SUFFIX: Final = "_owner"
_LONGEST_NAME: Final = 63  # bytes; PostgreSQL cuts what is longer
_GRANT_OPTIONS_SINCE: Final = 160000
EVENT_GUARDS: Final = (
    resources.files("refactorkit.postgres").joinpath("event_guards.sql").read_bytes()
)
EVENTS: Final = (("refactorkit_guard_alter", "ddl_command_end"), ("refactorkit_guard_drop", "sql_drop"))  # fmt: skip # noqa: E501
_OPEN: Final = """
    SELECT 'TABLE', c.oid::pg_catalog.regclass::pg_catalog.text
    FROM pg_class AS c, aclexplode(c.relacl) AS x
    WHERE c.relnamespace = to_regnamespace('archive') AND x.grantee = 0
        AND c.relkind IN ('r', 'v', 'm') AND starts_with(c.relname, %(prefix)s)
    UNION
    SELECT 'FUNCTION', p.oid::regprocedure::pg_catalog.text
    FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
    WHERE p.pronamespace = to_regnamespace('archive') AND x.grantee = 0
        AND starts_with(p.proname, %(prefix)s)
    ORDER BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The three roles of an archive; none of them can log in.

    Attributes:
        owner: of the schema and of what is kept there; the runner is its only member.
        reader: may read, but for secret columns.
        eraser: may read, change and delete rows.
    """

    owner: str
    reader: str
    eraser: str

    @classmethod
    def of(cls, owner: str) -> "Roles":
        """Return the three names that go with the owner's.

        Raises:
            RefusedError: the name does not end as 0011 looks for it, or is too long.
        """
        stem = owner.removesuffix(SUFFIX)
        fits = len(f"{stem}_reader".encode()) <= _LONGEST_NAME
        if stem == owner or not stem or not fits or stem.startswith("pg_"):
            raise RefusedError(
                f"The owner's name must end in {SUFFIX} and leave room for the other two.",
                state=NOTHING_CHANGED,
                hint="Name it with --owner NAME_owner.",
            )
        return cls(owner=owner, reader=f"{stem}_reader", eraser=f"{stem}_eraser")


def runner(connection: Connection) -> str:
    """Return who runs the migrations: the archive's owner, or the member of its owner."""
    found = fetch_value(
        connection,
        "SELECT CASE WHEN o.rolcanlogin OR o.rolsuper THEN o.rolname ELSE coalesce(("
        " SELECT r.rolname FROM pg_catalog.pg_auth_members AS m"
        " JOIN pg_catalog.pg_roles AS r ON r.oid = m.member"
        " WHERE m.roleid = o.oid ORDER BY r.rolname LIMIT 1), current_user) END::pg_catalog.text"
        " FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner"
        " WHERE n.nspname = 'archive'",
    )
    return str(found)


def present_owner(connection: Connection) -> str | None:
    """Return the owner of an archive that was hardened, None for one that was not."""
    found = fetch_value(
        connection,
        "SELECT o.rolname::pg_catalog.text FROM pg_catalog.pg_namespace AS n"
        " JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner"
        " WHERE n.nspname = 'archive' AND NOT o.rolcanlogin AND NOT o.rolsuper"
        " AND pg_catalog.right(o.rolname, 6) = %s"
        " AND 2 = (SELECT count(*) FROM pg_catalog.pg_roles AS r WHERE NOT r.rolcanlogin"
        " AND r.rolname IN (pg_catalog.left(o.rolname, -5) || 'reader',"
        " pg_catalog.left(o.rolname, -5) || 'eraser'))",
        (SUFFIX,),
    )
    return None if found is None else str(found)


def make_roles(connection: Connection, roles: Roles, runner_name: str) -> None:
    """Make the roles that are missing, and the runner a member of the owner."""
    for name in (roles.owner, roles.reader, roles.eraser):
        row = connection.execute(
            "SELECT rolcanlogin OR rolsuper OR rolcreaterole OR rolbypassrls"
            " FROM pg_catalog.pg_roles WHERE rolname = %s",
            (name,),
        ).fetchone()
        if row is None:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
        elif row[0]:
            raise RefusedError(
                f"The role {name} is there already, and can log in or has rights of its own.",
                state=NOTHING_CHANGED,
                hint="Choose other names: --owner NAME_owner.",
            )
    if not fetch_value(
        connection,
        "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = %s",
        (runner_name,),
    ):
        how = " WITH INHERIT TRUE, SET TRUE" if _has_grant_options(connection) else ""
        connection.execute(
            sql.SQL("GRANT {} TO {}").format(
                sql.Identifier(roles.owner), sql.Identifier(runner_name)
            )
            + sql.SQL(how)
        )
    others = fetch_value(
        connection,
        "SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_catalog.pg_roles AS r"
        " WHERE r.rolname NOT IN (%s, %s) AND NOT r.rolsuper"
        " AND pg_catalog.pg_has_role(r.oid, %s::regrole::oid, 'MEMBER')",
        (roles.owner, runner_name, _quoted(connection, roles.owner)),
    )
    if others:
        raise RefusedError(
            f"{roles.owner} has other members than {runner_name}: {others}.",
            state=NOTHING_CHANGED,
            hint="They could plant code that Up and Down run. Revoke their membership first.",
        )


def give(connection: Connection, owner: str, mappings: Iterable[Mapping]) -> None:
    """Make a role the owner of schema archive and of what refactors keep there.

    Tables that move between the schemas keep their owner, and so do those of other migrations.
    """
    role = sql.Identifier(owner)
    connection.execute(sql.SQL("ALTER SCHEMA archive OWNER TO {}").format(role))
    for mapping in mappings:
        for table in _tables(connection, mapping):
            connection.execute(
                sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier("archive", table), role)
            )
        for (function,) in connection.execute(
            "SELECT oid::regprocedure::pg_catalog.text FROM pg_catalog.pg_proc"
            " WHERE pronamespace = pg_catalog.to_regnamespace('archive')"
            " AND pg_catalog.starts_with(proname, %s) ORDER BY 1",
            (f"{mapping.name}_",),
        ).fetchall():
            connection.execute(
                sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(sql.SQL(function), role)
            )


def grant(connection: Connection, roles: Roles, mappings: Iterable[Mapping]) -> None:
    """Let reader and eraser in, column by column for the reader.

    Column grants leave out what a later Up or Down adds to a table, until this is run again.
    """
    connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA archive TO {}, {}").format(
            sql.Identifier(roles.reader), sql.Identifier(roles.eraser)
        )
    )
    for mapping in mappings:
        for one in kept(mapping):
            if not one.is_moved and exists(connection, one.table):
                let_in(connection, roles, one)


def let_in(connection: Connection, roles: Roles, one: Kept) -> None:
    """Let reader and eraser into one table of the archive; nobody changes a log there."""
    table = sql.Identifier("archive", one.table)
    columns = [
        name
        for name in _columns(connection, one.table)
        if name not in one.secret and (one.known is None or name in one.known)
    ]
    connection.execute(
        sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)), table, sql.Identifier(roles.reader)
        )
    )
    rights = "SELECT" if one.is_log else "SELECT, UPDATE, DELETE"
    connection.execute(
        sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), table, sql.Identifier(roles.eraser))
    )


def revoke(connection: Connection, roles: Roles, mappings: Iterable[Mapping]) -> None:
    """Take back what ``grant`` gave."""
    both = sql.SQL(", ").join([sql.Identifier(roles.reader), sql.Identifier(roles.eraser)])
    connection.execute(sql.SQL("REVOKE ALL ON SCHEMA archive FROM {}").format(both))
    for mapping in mappings:
        for table in _tables(connection, mapping):
            name = sql.Identifier("archive", table)
            connection.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, both))


def close_to_public(connection: Connection, mappings: Iterable[Mapping]) -> None:
    """Take everything in the archive away from PUBLIC: schema, tables, functions."""
    connection.execute("REVOKE ALL ON SCHEMA archive FROM PUBLIC")
    for mapping in mappings:
        for kind, name in connection.execute(_OPEN, {"prefix": f"{mapping.name}_"}).fetchall():
            connection.execute(
                sql.SQL("REVOKE ALL ON {} {} FROM PUBLIC").format(sql.SQL(kind), sql.SQL(name))
            )


def make_guards(connection: Connection, mapping: Mapping, after: Direction) -> None:
    """Put a guard on each table that this mapping keeps, and switch it on for good."""
    connection.execute(guard_function(mapping).encode())
    function = sql.Identifier("archive", f"{mapping.name}_guard")
    connection.execute(sql.SQL("REVOKE ALL ON FUNCTION {}() FROM PUBLIC").format(function))
    for table in _guarded(connection, mapping, after):
        put_guard(connection, mapping.name, table)


def has_guards(connection: Connection, name: str) -> bool:
    """Tell whether a refactor's part of the archive has guards, by the one on its pairs."""
    return bool(
        fetch_value(
            connection,
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t"
            " JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
            " WHERE c.relnamespace = pg_catalog.to_regnamespace('archive')"
            " AND c.relname = %s AND t.tgname = %s)",
            (f"{name}_map", f"{name}_guard"),
        )
    )


def put_guard(connection: Connection, name: str, table: str) -> None:
    """Put a refactor's guard, whose function is there, on one table of the archive, for good."""
    guard, on = sql.Identifier(f"{name}_guard"), sql.Identifier("archive", table)
    connection.execute(sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(guard, on))
    connection.execute(
        sql.SQL(
            "CREATE TRIGGER {} BEFORE UPDATE OR DELETE OR TRUNCATE ON {} EXECUTE FUNCTION {}()"
        ).format(guard, on, sql.Identifier("archive", f"{name}_guard"))
    )
    connection.execute(sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}").format(on, guard))


def drop_guards(connection: Connection, mapping: Mapping, after: Direction) -> None:
    """Take the guards off again."""
    guard = sql.Identifier(f"{mapping.name}_guard")
    for table in _guarded(connection, mapping, after):
        connection.execute(
            sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(
                guard, sql.Identifier("archive", table)
            )
        )


def make_event_guards(
    connection: Connection, owner: str | None, turns: Iterable[tuple[Mapping, Direction]]
) -> None:
    """Make the event triggers, and the schema in which they know what they guard."""
    drop_event_guards(connection)
    connection.execute(EVENT_GUARDS)
    for mapping, after in turns:
        stays = {table.removeprefix("archive.") for table in kept_tables(mapping)}
        for table in _guarded(connection, mapping, after):
            connection.execute(
                "INSERT INTO refactorkit_guard.guarded (object, schema, moves)"
                " SELECT c.oid, c.relnamespace, %s FROM pg_catalog.pg_class AS c"
                " WHERE c.relnamespace = pg_catalog.to_regnamespace('archive') AND c.relname = %s",
                (table not in stays, table),
            )
    if owner is not None:
        role = sql.Identifier(owner)
        for kind, name in (
            ("FUNCTION", "refactorkit_guard.refuse()"),
            ("TABLE", "refactorkit_guard.guarded"),
            ("SCHEMA", "refactorkit_guard"),
        ):
            connection.execute(
                sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(kind), sql.SQL(name), role)
            )
    for name, event in EVENTS:
        connection.execute(
            sql.SQL(
                "CREATE EVENT TRIGGER {} ON {} EXECUTE FUNCTION refactorkit_guard.refuse()"
            ).format(sql.Identifier(name), sql.SQL(event))
        )
        connection.execute(
            sql.SQL("ALTER EVENT TRIGGER {} ENABLE ALWAYS").format(sql.Identifier(name))
        )


def drop_event_guards(connection: Connection) -> None:
    """Take the event triggers and their schema away, where they are."""
    for name, _ in EVENTS:
        connection.execute(sql.SQL("DROP EVENT TRIGGER IF EXISTS {}").format(sql.Identifier(name)))
    connection.execute("DROP FUNCTION IF EXISTS refactorkit_guard.refuse()")
    connection.execute("DROP TABLE IF EXISTS refactorkit_guard.guarded")
    connection.execute("DROP SCHEMA IF EXISTS refactorkit_guard RESTRICT")


def drop_roles(connection: Connection, roles: Roles) -> None:
    """Drop the three roles; fails where something outside this archive still needs one."""
    for name in (roles.reader, roles.eraser, roles.owner):
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def _guarded(connection: Connection, mapping: Mapping, after: Direction) -> list[str]:
    names = (*kept_tables(mapping), *moved_tables(mapping, after))
    found = [name.removeprefix("archive.") for name in names]
    return [name for name in found if exists(connection, name)]


def _tables(connection: Connection, mapping: Mapping) -> list[str]:
    names = {table.table for table in kept(mapping) if not table.is_moved}
    return sorted(name for name in names if exists(connection, name))


def _columns(connection: Connection, table: str) -> list[str]:
    return [
        row[0]
        for row in connection.execute(
            "SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a"
            " JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = pg_catalog.to_regnamespace('archive') AND c.relname = %s"
            " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (table,),
        ).fetchall()
    ]


def _has_grant_options(connection: Connection) -> bool:
    return connection.info.server_version >= _GRANT_OPTIONS_SINCE


def _quoted(connection: Connection, name: str) -> str:
    return str(fetch_value(connection, "SELECT pg_catalog.quote_ident(%s)", (name,)))


def act_as(connection: Connection, role: str) -> None:
    """Take the rights of a role until the transaction ends."""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
