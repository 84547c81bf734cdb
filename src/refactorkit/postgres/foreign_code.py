"""Refuse a version table that would run what somebody else put there.

Whoever may create in the schema can make the version table before the first Up does, with a trigger
or a default that calls a function of theirs: it would run with the rights of the migrating role,
which is often a superuser. The same goes for whoever was granted TRIGGER on it. Reading is no safer
than writing: the planner calls the functions of an index's condition, and of
extended statistics. Tables of goose have nothing
of the kind.

Blind spots: a domain of a trusted role whose check calls a stranger's function; an index that the
table's owner makes after the last look.
"""

from typing import Final

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres.connection import Connection, fetch_value

# A superuser is a member of everybody: that is no trust.
_FOREIGN: Final = """
    WITH RECURSIVE me AS (
        SELECT r.oid, r.rolsuper FROM pg_catalog.pg_roles AS r
        WHERE r.rolname = coalesce(%(runner)s::pg_catalog.name, current_user)
    ),
    family (oid) AS (
        SELECT c.oid FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %(schema)s AND c.relname = %(name)s
        UNION
        SELECT i.inhrelid FROM family AS f
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.oid
    ),
    parts (classid, objid) AS (
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, f.oid FROM family AS f
        UNION
        SELECT d.classid, d.objid FROM family AS f
        JOIN pg_catalog.pg_depend AS d
            ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = f.oid
        WHERE d.classid IN (
            'pg_catalog.pg_class'::pg_catalog.regclass,
            'pg_catalog.pg_attrdef'::pg_catalog.regclass,
            'pg_catalog.pg_constraint'::pg_catalog.regclass,
            'pg_catalog.pg_trigger'::pg_catalog.regclass,
            'pg_catalog.pg_policy'::pg_catalog.regclass,
            'pg_catalog.pg_statistic_ext'::pg_catalog.regclass)
            AND d.deptype IN ('a', 'i')
    ),
    used (what, owner) AS (
        SELECT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0),
            coalesce(p.proowner, o.oprowner, t.typowner, k.opcowner)
        FROM parts AS x
        JOIN pg_catalog.pg_depend AS d ON d.classid = x.classid AND d.objid = x.objid
        LEFT JOIN pg_catalog.pg_proc AS p
            ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
        LEFT JOIN pg_catalog.pg_operator AS o
            ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
        LEFT JOIN pg_catalog.pg_type AS t
            ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND t.oid = d.refobjid
        LEFT JOIN pg_catalog.pg_opclass AS k
            ON d.refclassid = 'pg_catalog.pg_opclass'::pg_catalog.regclass AND k.oid = d.refobjid
    )
    SELECT pg_catalog.format('%%s of role %%s', u.what, r.rolname)
    FROM used AS u
    CROSS JOIN me
    JOIN pg_catalog.pg_roles AS r ON r.oid = u.owner
    WHERE r.oid <> me.oid AND NOT r.rolsuper
        AND (me.rolsuper OR NOT pg_catalog.pg_has_role(me.oid, r.oid, 'USAGE'))
    UNION
    SELECT pg_catalog.format('rule %%I', w.rulename)
    FROM family AS f JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = f.oid
    ORDER BY 1
"""


def refuse_foreign_code(
    connection: Connection, schema: str, table: str, *, runner: str | None = None
) -> None:
    """Stop before a version table is read or written, where that would run another role's code.

    Args:
        connection: of any role.
        schema: of the version table, which need not exist.
        table: its name.
        runner: the role that is going to use it; None for the connection's own.

    Raises:
        RefusedError: a trigger, default, constraint, index, column or statistics uses what another
            role owns and can change, or a rule rewrites what is written.
    """
    rows = connection.execute(
        _FOREIGN, {"runner": runner, "schema": schema, "name": table}
    ).fetchall()
    if rows:
        raise RefusedError(
            f"Using {schema}.{table} would run what is not the migrating role's own:"
            f" {', '.join(str(what) for (what,) in rows)}.",
            state=NOTHING_CHANGED,
            hint="Find out who put it there and why, and take it away: goose's table has no"
            " trigger, no rule, and no function in it.",
        )


def lock_for_writing(connection: Connection, schema: str, table: str) -> None:
    """Keep triggers from being made on it until the open transaction ends, and look again.

    Where this role may insert only, it may not lock on servers before 16, and just looks.

    Raises:
        RefusedError: as ``refuse_foreign_code``; the transaction must then be rolled back.
    """
    name = sql.Identifier(schema, table)
    may = fetch_value(
        connection,
        sql.SQL("SELECT pg_catalog.has_table_privilege({}, 'UPDATE, DELETE, TRUNCATE')").format(
            sql.Literal(name.as_string(connection))
        ),
    )
    if may:
        connection.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(name))
    refuse_foreign_code(connection, schema, table)
