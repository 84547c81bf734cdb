"""Law 10 on the way back: who will read then what they cannot read now."""

from refactorkit.postgres.connection import Connection

_NEW_READERS = """
    SELECT who FROM (
        SELECT r.rolname::text AS who,
            pg_catalog.has_any_column_privilege(r.oid, source.oid, 'SELECT') AS later,
            pg_catalog.has_table_privilege(r.oid, target.oid, 'SELECT') AS today
        FROM pg_catalog.pg_roles AS r, source, target
        WHERE NOT r.rolsuper AND NOT pg_catalog.starts_with(r.rolname, 'pg_')
            AND pg_catalog.has_schema_privilege(r.oid, 'public', 'USAGE')
        UNION ALL
        SELECT 'PUBLIC',
            pg_catalog.has_any_column_privilege('public', source.oid, 'SELECT'),
            pg_catalog.has_table_privilege('public', target.oid, 'SELECT')
        FROM source, target
        WHERE pg_catalog.has_schema_privilege('public', 'public', 'USAGE')
    ) AS reads
    WHERE reads.later AND NOT reads.today
    ORDER BY who COLLATE "C"
"""


def new_readers(connection: Connection, *, source: str, target: str) -> tuple[str, ...]:
    """Return the roles that Down lets read what was written into the target meanwhile.

    Grants on the source stayed while it was in the archive, closed by the schema alone. Such roles
    saw the source before the cutover, and are ordinary: it is told, and never stops a rollback.

    Args:
        connection: in a transaction of the caller's.
        source: the table that comes back, where it is now, with its schema.
        target: the table whose rows it takes back, with its schema.

    Returns:
        Names, with ``PUBLIC`` for everybody; superusers aside.
    """
    tables = (
        "WITH source AS (SELECT pg_catalog.to_regclass(%s)::oid AS oid),"
        " target AS (SELECT pg_catalog.to_regclass(%s)::oid AS oid)"
    )
    rows = connection.execute((tables + _NEW_READERS).encode(), (source, target)).fetchall()
    return tuple(name for (name,) in rows)
