"""Constraints that the rows which Down writes would break: found by asking them beforehand.

A constraint's expression is the server's own text of it. It is evaluated on the rows as Down would
write them, in a read-only transaction. What calls functions of somebody's own, or volatile ones, is
not called here: whoever owns the table could have any of them run by whoever looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import sql
from psycopg.rows import TupleRow

from refactorkit.mapping.rollback import RollbackQueries
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.rollback_figures import Obstacle

_log = structlog.get_logger()

_COLUMNS = """
    SELECT a.attname::text, pg_catalog.quote_ident(a.attname), a.attgenerated <> '', a.atthasdef
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
# The last column: it rests on a function that somebody made, or on one that does something.
_CHECKS = """
    SELECT c.conname::text, pg_catalog.pg_get_expr(c.conbin, c.conrelid),
        ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)),
        c.convalidated,
        EXISTS (SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = c.oid
                AND d.refclassid <> 'pg_catalog.pg_class'::regclass)
            OR EXISTS (SELECT FROM pg_catalog.regexp_matches(
                    c.conbin::text, ':(?:op)?funcid ([0-9]+)', 'g') AS called (id)
                JOIN pg_catalog.pg_proc AS p ON p.oid = called.id[1]::oid AND p.provolatile = 'v')
    FROM pg_catalog.pg_constraint AS c
    WHERE c.contype = 'c' AND c.conrelid = pg_catalog.to_regclass(%s)
        AND coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::boolean, true)
    ORDER BY 1
"""
# Primary keys aside: Down gives no id twice. Indexes that hold the whole key cannot be broken.
_UNIQUE = """
    SELECT i.relname::text,
        ARRAY(SELECT pg_catalog.pg_get_indexdef(x.indexrelid, k, false)
            FROM pg_catalog.generate_series(1, x.indnkeyatts) AS k ORDER BY k),
        pg_catalog.pg_get_expr(x.indpred, x.indrelid),
        ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)),
        coalesce((pg_catalog.to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false),
        x.indisexclusion OR 0 = ANY (x.indkey) AND EXISTS (SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = x.indexrelid
                AND d.refclassid = 'pg_catalog.pg_proc'::regclass)
    FROM pg_catalog.pg_index AS x
    JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    WHERE x.indrelid = pg_catalog.to_regclass(%s) AND NOT x.indisprimary
        AND (x.indisunique OR x.indisexclusion)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS p
            WHERE p.indrelid = x.indrelid AND p.indisprimary AND NOT x.indisexclusion
                AND p.indkey::smallint[] <@ x.indkey::smallint[])
    ORDER BY 1
"""
# A keeper has a column of that name from an earlier turn, and of another type.
_TYPES = """
    SELECT k.attrelid::regclass::text, k.attname::text
    FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]))
        AS pair (keeper, live)
    JOIN pg_catalog.pg_attribute AS k ON k.attrelid = pg_catalog.to_regclass(pair.keeper)
    JOIN pg_catalog.pg_attribute AS l ON l.attrelid = pg_catalog.to_regclass(pair.live)
        AND l.attname = k.attname
    WHERE k.attnum > 0 AND l.attnum > 0 AND NOT k.attisdropped AND NOT l.attisdropped
        AND l.attgenerated = '' AND (k.atttypid, k.atttypmod) <> (l.atttypid, l.atttypmod)
    ORDER BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """How many rows Down writes: of the source, made for natives, of natives, of each link."""

    sources: int
    created: int
    natives: int
    links: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column of a table that Down writes; ``quoted`` is its name as SQL has it."""

    name: str
    quoted: str
    is_generated: bool
    has_default: bool


@dataclass(frozen=True, kw_only=True)
class _Check:
    """A CHECK constraint: its name and its expression in the server's words."""

    name: str
    expression: str


def broken_constraints(
    connection: Connection, queries: RollbackQueries, written: Written
) -> tuple[tuple[Obstacle, ...], tuple[str, ...]]:
    """Ask the constraints of the tables that Down writes.

    Returns:
        what would be broken, and sentences about what could not be found out.
    """
    asker = _Asker(connection, queries)
    asker.types()
    if written.sources or written.created:
        asker.sources(created=bool(written.created))
    if written.natives:
        asker.natives()
    for link in queries.links:
        if written.links[link.table]:
            asker.link(link.table, link.person)
    return tuple(asker.broken), tuple(asker.unknown)


class _Asker:
    """Asks one table after the other, and gathers the answers."""

    def __init__(self, connection: Connection, queries: RollbackQueries) -> None:
        self._connection = connection
        self._queries = queries
        self.broken: list[Obstacle] = []
        self.unknown: list[str] = []

    def types(self) -> None:
        """Columns that someone added, dropped, and added again as something else."""
        keepers, living = zip(*self._queries.keepers, strict=True)
        self.unknown += [
            f"{table}.{column} is of another type than the column that it would keep: whether"
            " Down can keep it is not known."
            for table, column in self._connection.execute(
                _TYPES, (list(keepers), list(living))
            ).fetchall()
        ]

    def sources(self, *, created: bool) -> None:
        """Rows of the source that are merged or go to another owner, and those of natives."""
        table = self._queries.source
        columns = self._columns(table)
        filled = set(self._queries.native_source_columns)
        unsure = {column.name for column in columns if column.is_generated}
        if created:  # what a default gives is known only when it is given
            unsure |= {c.name for c in columns if c.has_default and c.name not in filled}
        known = set(self._queries.source_columns)
        others = [column.quoted for column in columns if column.name not in known]
        checks = self._checks(table, unsure=unsure)
        self._count(table, self._queries.written_sources(others, every=False), checks)
        for name, expressions, predicate, used, nulls_equal, foreign in self._unique(table):
            if foreign or unsure.intersection(used):
                self._not_asked(name, table)
                continue
            rows = self._queries.written_sources(others, every=True)
            self._count_duplicates(
                table, rows, name, expressions, predicate, nulls_equal=nulls_equal
            )

    def natives(self) -> None:
        """Rows of the target that stay and are written."""
        table = self._queries.target
        columns = self._columns(table)
        unsure = {column.name for column in columns if column.is_generated}
        changed = set(self._queries.native_columns)
        checks = self._checks(table, unsure=unsure, changed=changed)
        rows = self._queries.written_targets([column.quoted for column in columns])
        self._count(table, rows, checks)
        self._leave_unique(table, changed | unsure)

    def link(self, name: str, person: str) -> None:
        """Rows of a link that get another number."""
        table = f"public.{name}"
        columns = self._columns(table)
        unsure = {column.name for column in columns if column.is_generated}
        others = [column.quoted for column in columns if column.name != person]
        checks = self._checks(table, unsure=unsure, changed={person})
        self._count(table, self._queries.written_links(name, others), checks)
        self._leave_unique(table, {person} | unsure)

    def _columns(self, table: str) -> list[_Column]:
        return [
            _Column(name=name, quoted=quoted, is_generated=generated, has_default=default)
            for name, quoted, generated, default in self._connection.execute(
                _COLUMNS, (table,)
            ).fetchall()
        ]

    def _checks(
        self, table: str, *, unsure: set[str], changed: set[str] | None = None
    ) -> list[_Check]:
        """Return the checks that can be asked; the others become sentences.

        Args:
            table: with its schema.
            unsure: columns whose values are not known beforehand.
            changed: the columns that Down changes; None for whole rows. A validated check of other
                columns holds now, and goes on holding.
        """
        found = []
        for name, expression, used, validated, foreign in self._connection.execute(
            _CHECKS, (table,)
        ).fetchall():
            if changed is not None and validated and used and not changed.intersection(used):
                continue
            if foreign or unsure.intersection(used):
                self._not_asked(name, table)
            else:
                found.append(_Check(name=name, expression=expression))
        return found

    def _unique(self, table: str) -> list[Any]:
        return self._connection.execute(_UNIQUE, (table,)).fetchall()

    def _leave_unique(self, table: str, changed: set[str]) -> None:
        """Say of unique indexes over changed columns that they were not asked."""
        for name, _, _, used, _, foreign in self._unique(table):
            if foreign or changed.intersection(used):
                self._not_asked(name, table)

    def _not_asked(self, name: str, table: str) -> None:
        self.unknown.append(
            f"Whether the rows that Down writes meet {name} of {table} is not known."
        )

    def _count(self, table: str, rows: str, checks: list[_Check]) -> None:
        """Count the rows that break each check; one that cannot be asked is told by itself."""
        if not checks:
            return
        counts = sql.SQL(", ").join(
            sql.SQL("pg_catalog.count(*) FILTER (WHERE NOT (")
            + sql.SQL(check.expression)
            + sql.SQL("))")
            for check in checks
        )
        query = sql.SQL(rows) + sql.SQL(" SELECT ") + counts
        query += sql.SQL(" FROM written AS ") + _alias(table)
        found = self._asked(query)
        if found is not None:
            self.broken += [
                Obstacle(table=table, constraint=check.name, column="", rows=count)
                for check, count in zip(checks, found, strict=True)
                if count
            ]
        elif len(checks) == 1:
            self._not_asked(checks[0].name, table)
        else:
            for check in checks:
                self._count(table, rows, [check])

    def _asked(self, query: sql.Composed) -> TupleRow | None:
        """Return the query's row; None where the constraint's own text fails on a row."""
        try:
            with self._connection.transaction():
                return self._connection.execute(query).fetchone()
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            _log.debug("constraint.not_asked", sqlstate=error.sqlstate)
            return None

    def _count_duplicates(
        self,
        table: str,
        rows: str,
        name: str,
        expressions: list[str],
        predicate: str | None,
        *,
        nulls_equal: bool,
    ) -> None:
        keys = [sql.SQL("(") + sql.SQL(text) + sql.SQL(")") for text in expressions]
        conditions = [sql.SQL("(") + sql.SQL(predicate or "true") + sql.SQL(")")]
        if not nulls_equal:
            conditions += [key + sql.SQL(" IS NOT NULL") for key in keys]
        query = (
            sql.SQL(rows)
            + sql.SQL(" SELECT coalesce(pg_catalog.sum(same.n), 0)::bigint FROM (")
            + sql.SQL("SELECT pg_catalog.count(*) AS n FROM written AS ")
            + _alias(table)
            + sql.SQL(" WHERE ")
            + sql.SQL(" AND ").join(conditions)
            + sql.SQL(" GROUP BY ")
            + sql.SQL(", ").join(keys)
            + sql.SQL(" HAVING pg_catalog.count(*) > 1) AS same")
        )
        found = self._asked(query)
        if found is None:
            self._not_asked(name, table)
        elif found[0]:
            self.broken.append(Obstacle(table=table, constraint=name, column="", rows=found[0]))


def _alias(table: str) -> sql.Identifier:
    """Return the name by which the server's text of a constraint may call the row."""
    return sql.Identifier(table.partition(".")[2])
