"""Read the catalog of a database in the shape of `schema_facts`."""

import psycopg

from tests.integration.schema_facts import Column, Table

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# NOT NULL is a named constraint from PostgreSQL 18 on; the columns tell it on every version.
CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = %s::regclass AND contype <> 'n'
"""
INDEXES = """
SELECT c.relname, pg_get_indexdef(c.oid)
FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid AND contype IN ('p', 'u'))
"""
TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind NOT IN ('i', 'S')
    AND c.relname <> 'goose_db_version'
"""
SEQUENCES = """
SELECT c.relname, format('%s.%s', d.refobjid::regclass, a.attname)
FROM pg_class AS c
LEFT JOIN pg_depend AS d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
    AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S'
    AND c.relname <> 'goose_db_version_id_seq'
"""


def read_tables(connection: psycopg.Connection) -> dict[str, Table]:
    """Return every table of `public`, goose's own aside."""
    names = [name for (name,) in connection.execute(TABLES)]
    return {name: _read_table(connection, name) for name in names}


def read_sequences(connection: psycopg.Connection) -> dict[str, str]:
    """Return the sequences of `public` with the column that owns each, goose's own aside."""
    return dict(connection.execute(SEQUENCES).fetchall())


def _read_table(connection: psycopg.Connection, name: str) -> Table:
    columns: tuple[Column, ...] = tuple(connection.execute(COLUMNS, [name]).fetchall())
    indexes = {}
    for index, definition in connection.execute(INDEXES, [name]):
        plain = f"CREATE INDEX {index} ON public.{name} USING btree "
        assert definition.startswith(plain), definition
        indexes[index] = definition.removeprefix(plain)
    return Table(
        columns=columns,
        constraints=dict(connection.execute(CONSTRAINTS, [name]).fetchall()),
        indexes=indexes,
    )
