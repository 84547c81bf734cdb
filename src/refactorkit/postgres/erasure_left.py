"""What an erasure does not reach: counted where that can be done by keys, named where it cannot.

Nothing here looks at a value. Blind spots: a table of ``public`` that names people under a column
name that the mapping does not use, and texts that somebody wrote about a person anywhere.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import psycopg
import structlog
from psycopg import sql

from refactorkit.mapping.erasure import relations
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.erasure import Count, Erasure
from refactorkit.postgres.erasure_guards import tables_of

UNREACHED: Final = (
    "the write-ahead log and its archive, until they are recycled",
    "backups and dumps: restore none without erasing again",
    "replicas and subscribers, until they have caught up",
    "dead tuples in the data files, until VACUUM (values of dropped columns lie in them too)",
    "the server's log, where it logs statements or their parameters",
    "ids in rows of others (whose owner, creator or custodian the person was) in the archive",
    "what the application or anybody else copied elsewhere",
)

_NAMING: Final = """
    SELECT c.relname::text, a.attname::text
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> ALL (%s)
        AND a.attname = ANY (%s) AND a.atttypid IN (
            'pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
            'pg_catalog.int8'::pg_catalog.regtype)
    ORDER BY 1, 2
"""
_EVENTS: Final = """
    SELECT c.relname::text
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND (
        SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND NOT a.attisdropped
            AND a.attname IN ('target_type', 'target_id')
    ) = 2
    ORDER BY 1
"""

# What is counted, the query, and its parameters.
_Query: TypeAlias = tuple[str, sql.Composed, tuple[object, ...]]

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left after an erasure.

    Attributes:
        naming: rows of tables that no mapping knows and that name the person by key.
        orphans: rows of the archive about rows that are gone: whose they were is not known.
        uncounted: what could not be counted, by name.
    """

    naming: tuple[Count, ...]
    orphans: tuple[Count, ...]
    uncounted: tuple[str, ...]


def left(connection: Connection, mapping: Mapping, after: Direction, done: Erasure) -> Left:
    """Count what names the person still, outside of any transaction; nothing is locked."""
    queries: list[_Query] = []
    known = [name.partition(".")[2] for name in tables_of(mapping, after)]
    ids = _columns(mapping, done)
    rows = connection.execute(_NAMING, (known, list(ids))).fetchall()
    for table, column in rows:
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY (%s::bigint[])").format(
            sql.Identifier("public", table), sql.Identifier(column)
        )
        queries.append((f"public.{table}.{column}", query, (sorted(ids[column]),)))
    for (table,) in connection.execute(_EVENTS).fetchall():
        types, keys = _named(mapping, after, done)
        query = sql.SQL(
            "SELECT count(*) FROM {} AS x WHERE EXISTS ("
            "SELECT FROM unnest(%s::text[], %s::text[]) AS p (type, id)"
            " WHERE lower(x.target_type::text) = p.type AND x.target_id::text = p.id)"
        ).format(sql.Identifier("public", table))
        queries.append((f"public.{table}", query, (types, keys)))
    naming, uncounted = _count(connection, queries)
    orphans, more = _count(connection, _orphans(connection, mapping))
    return Left(naming=naming, orphans=orphans, uncounted=(*uncounted, *more))


def analyze(connection: Connection, tables: tuple[str, ...]) -> tuple[str, ...]:
    """Take statistics anew, for the old ones hold values; return the tables where that failed."""
    failed = []
    for name in tables:
        schema, _, table = name.partition(".")
        try:
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table)))
        except psycopg.Error as error:
            _log.warning("analyze.failed", table=name, sqlstate=error.sqlstate)
            failed.append(name)
    return tuple(failed)


def _columns(mapping: Mapping, done: Erasure) -> dict[str, set[int]]:
    """Return the columns that name a person in the mapping's tables, with the ids to look for."""
    found: dict[str, set[int]] = {}
    for link in mapping.link:
        found.setdefault(link.column, set()).update(done.person.sources)
        found.setdefault(link.becomes, set()).update(done.person.targets)
    for column in (*(d.column for d in mapping.dependant), *(t.column for t in mapping.table)):
        found.setdefault(column, set()).update(done.person.targets)
    return found


def _named(mapping: Mapping, after: Direction, done: Erasure) -> tuple[list[str], list[str]]:
    """Return what an event calls the person's rows: table (or its singular), and key."""
    types: list[str] = []
    keys: list[str] = []
    for relation in relations(mapping, after):
        for key in done.keys.get(relation.name, []):
            for name in {relation.name, relation.name.removesuffix("s")}:
                types.append(name)
                keys.append(key)
    return types, keys


def _orphans(connection: Connection, mapping: Mapping) -> list[_Query]:
    """Return queries of rows in chain tables of the archive whose link row is no more."""
    made: list[_Query] = []
    for link in mapping.link:
        rows = connection.execute(
            "SELECT c.relname::text FROM pg_catalog.pg_class AS c"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = %s"
            " WHERE n.nspname = 'archive' AND c.relkind = 'r' AND NOT a.attisdropped"
            " AND pg_catalog.strpos('_' || c.relname || '_', %s) > 0"
            " AND NOT pg_catalog.starts_with(c.relname, %s) ORDER BY 1",
            (link.key, f"_{link.table}_", f"{mapping.name}_"),
        ).fetchall()
        for (table,) in rows:
            query = sql.SQL(
                "SELECT count(*) FROM {table} AS x"
                " WHERE NOT EXISTS (SELECT FROM {living} AS l WHERE l.{key} = x.{key})"
                " AND NOT EXISTS (SELECT FROM {withheld} AS l WHERE l.{key} = x.{key})"
            ).format(
                table=sql.Identifier("archive", table),
                living=sql.Identifier("public", link.table),
                withheld=sql.Identifier("archive", f"{mapping.name}_withheld_{link.table}"),
                key=sql.Identifier(link.key),
            )
            made.append((f"archive.{table}", query, ()))
    return made


def _count(
    connection: Connection, queries: list[_Query]
) -> tuple[tuple[Count, ...], tuple[str, ...]]:
    counted: list[Count] = []
    uncounted: list[str] = []
    for name, query, parameters in queries:
        try:
            rows = int(fetch_value(connection, query, parameters))
        except psycopg.Error as error:
            _log.warning("count.failed", table=name, sqlstate=error.sqlstate)
            uncounted.append(name)
        else:
            if rows:
                counted.append(Count(name=name, rows=rows))
    return tuple(counted), tuple(uncounted)
