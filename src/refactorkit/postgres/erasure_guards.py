"""What an erasure must find before it deletes anything: the tables as the mapping knows them.

Erasure writes no value and drops nothing, so it asks for less than Up and Down do: every table and
column of the mapping is there, each is an ordinary table without rules and row security (they would
hide or rewrite what is deleted), and no foreign key leads to one of them that the mapping does not
know (its cascade would take rows of others).
"""

from collections.abc import Iterable
from typing import Final

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.guards import Guards, down_guards, expected_tables, up_guards
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection

_MISSING: Final = """
    SELECT t FROM unnest(%s::text[]) WITH ORDINALITY AS x (t, n)
    WHERE to_regclass(t) IS NULL ORDER BY n
"""
_MISSING_COLUMNS: Final = """
    SELECT format('%%s.%%s', k.t, k.c)
    FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS k (t, c, n)
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = k.t::regclass AND a.attname = k.c AND NOT a.attisdropped)
    ORDER BY k.n
"""
_REFUSALS: Final = """
    SELECT format('%%s is not an ordinary table', c.oid::regclass)
    FROM pg_class AS c
    WHERE c.oid = ANY (%(tables)s::regclass[]) AND (c.relkind <> 'r' OR c.relispartition)
    UNION
    SELECT format('%%s takes part in inheritance with %%s',
        i.inhrelid::regclass, i.inhparent::regclass)
    FROM pg_inherits AS i
    WHERE i.inhrelid = ANY (%(tables)s::regclass[]) OR i.inhparent = ANY (%(tables)s::regclass[])
    UNION
    SELECT format('rule %%I on %%s would rewrite what is done here',
        r.rulename, r.ev_class::regclass)
    FROM pg_rewrite AS r
    WHERE r.ev_class = ANY (%(tables)s::regclass[])
    UNION
    SELECT format('row security is on for %%s, and could hide rows', c.oid::regclass)
    FROM pg_class AS c
    WHERE c.oid = ANY (%(tables)s::regclass[]) AND (c.relrowsecurity OR c.relforcerowsecurity)
    UNION
    SELECT format('foreign key %%I of %%s is not as the mapping knows it: %%s',
        c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid))
    FROM pg_constraint AS c
    WHERE c.contype = 'f' AND c.confrelid = ANY (%(tables)s::regclass[])
        AND NOT EXISTS (
            SELECT
            FROM unnest(%(key_tables)s::text[], %(key_names)s::text[], %(key_definitions)s::text[])
                AS known (t, name, def)
            WHERE to_regclass(known.t) = c.conrelid AND known.name = c.conname
                AND known.def = regexp_replace(pg_get_constraintdef(c.oid), ' NOT VALID$', ''))
    ORDER BY 1
"""


def tables_of(mapping: Mapping, after: Direction) -> tuple[str, ...]:
    """Return the living tables in the order in which Up and Down lock them."""
    guards = _guards(mapping, after)
    if after is Direction.UP:
        return guards.tables
    return (*guards.tables, *(f"archive.{table.table}" for table in mapping.table))


def lock(connection: Connection, mapping: Mapping, after: Direction) -> None:
    """Lock the living tables against writes, in the order of Up and Down; reading goes on.

    Raises:
        RefusedError: a table is not there: the database is at neither version.
    """
    tables = tables_of(mapping, after)
    missing = [
        name for (name,) in connection.execute(_MISSING, ([*tables, *expected_tables(mapping)],))
    ]
    if missing:
        raise RefusedError(
            f"{', '.join(missing)} is not there: {_neither(mapping)}",
            state=NOTHING_CHANGED,
            hint="Look at refactorkit status: is this the database that you mean?",
        )
    connection.execute(
        sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(
            sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in tables)
        )
    )


def refuse(
    connection: Connection, mapping: Mapping, after: Direction, others: Iterable[str]
) -> None:
    """Refuse what would make an erasure incomplete or take rows of others; under the lock.

    Args:
        connection: in the transaction that holds the lock.
        mapping: what the refactor ran with.
        after: the direction of the last turn.
        others: more tables in which rows will be deleted.

    Raises:
        RefusedError: names everything that is in the way.
    """
    guards = _guards(mapping, after)
    missing = [
        name
        for (name,) in connection.execute(
            _MISSING_COLUMNS,
            ([t for t, _, _ in guards.columns], [c for _, c, _ in guards.columns]),
        )
    ]
    if missing:
        raise RefusedError(
            f"{', '.join(missing)} is not there: {_neither(mapping)}", state=NOTHING_CHANGED
        )
    found = connection.execute(
        _REFUSALS,
        {
            "tables": [*tables_of(mapping, after), *expected_tables(mapping), *others],
            "key_tables": [t for t, _, _ in guards.foreign_keys],
            "key_names": [name for _, name, _ in guards.foreign_keys],
            "key_definitions": [definition for _, _, definition in guards.foreign_keys],
        },
    ).fetchall()
    if found:
        raise RefusedError(
            f"Nobody can be erased here yet: {'; '.join(text for (text,) in found)}.",
            state=NOTHING_CHANGED,
            hint="Mend what is named, and make it again afterwards if it must be there.",
        )


def _guards(mapping: Mapping, after: Direction) -> Guards:
    return down_guards(mapping) if after is Direction.UP else up_guards(mapping)


def _neither(mapping: Mapping) -> str:
    return f"this database is neither at version {mapping.version - 1} nor at {mapping.version}."
