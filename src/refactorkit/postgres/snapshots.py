"""Copies of tables inside a throwaway database, and comparisons in which bytes count.

Copies lie in a scratch schema of the same database, so that a comparison is one query in the
server, whatever the size, and no value leaves it. Rows are compared with ``record_image_ne``:
1.10 and 1.1 differ, and so do 0 and -0.

Blind spots: views, foreign tables and large objects are not copied.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from refactorkit.postgres.comparison_queries import (
    COUNT_KEYED,
    COUNT_KEYLESS,
    LIST_KEYED,
    LIST_KEYLESS,
    TABLES,
)
from refactorkit.postgres.connection import Connection, set_for_session
from refactorkit.postgres.verification import Difference

SERVER_SCHEMAS: Final = ("pg_catalog", "pg_toast", "information_schema")
_PINNED: Final = {
    "search_path": "pg_catalog, pg_temp",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "off",
    "work_mem": "64MB",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, or a copy of one.

    Attributes:
        schema: where it is.
        name: its name.
        columns: the type of each column, in order.
        key: the columns of the primary key; empty without one.
        key_may_be_shown: they hold numbers or UUIDs, not what people typed.
    """

    schema: str
    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    key_may_be_shown: bool

    @property
    def label(self) -> str:
        """Return schema and name."""
        return f"{self.schema}.{self.name}"

    def identifier(self) -> sql.Identifier:
        """Return the name for a query."""
        return sql.Identifier(self.schema, self.name)


Snapshot = Mapping[str, Table]
"""Copies, by the label of what they are copies of."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What comparing two states found.

    Attributes:
        rows: how many rows were looked at, those of one side alone included.
        columns: how many columns, over all tables.
        differences: how many were found: a row that is on one side only, a column of a row.
        listed: the first of them in each table.
    """

    rows: int = 0
    columns: int = 0
    differences: int = 0
    listed: tuple[Difference, ...] = ()

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(
            rows=self.rows + other.rows,
            columns=self.columns + other.columns,
            differences=self.differences + other.differences,
            listed=self.listed + other.listed,
        )


def pin_settings(connection: Connection) -> None:
    """Set what decides how values look as text; until the connection ends."""
    set_for_session(connection, _PINNED)


def tables(connection: Connection, *, but_not_in: Collection[str]) -> Snapshot:
    """Return every ordinary table of the database outside some schemas, by label."""
    rows = connection.execute(TABLES, ([*SERVER_SCHEMAS, *but_not_in],)).fetchall()
    found = (
        Table(
            schema=schema,
            name=name,
            columns=dict(zip(columns, types, strict=True)),
            key=tuple(key),
            key_may_be_shown=may_be_shown,
        )
        for schema, name, columns, types, key, may_be_shown in rows
    )
    return {table.label: table for table in found}


def answers(connection: Connection) -> bool:
    """Tell whether the server is still there for this connection."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


class Scratch:
    """The schema of the copies; nobody but its owner can look into it."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self.connection = connection
        self.schema = schema
        self._count = 0

    def create(self) -> None:
        """Make the schema; it must not be there yet."""
        self.connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))

    def drop(self) -> None:
        """Remove the schema with all copies; it holds nothing that is not ours."""
        self.connection.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self.schema))
        )

    def copy(self, originals: Snapshot) -> dict[str, Table]:
        """Copy tables with their rows."""
        return {label: self._copy(table) for label, table in originals.items()}

    def empty(self, like: Table) -> Table:
        """Make an empty copy of a table: columns and types, no constraint."""
        return self._make(like, "WITH NO DATA")

    def discard(self, copies: Iterable[Table]) -> None:
        """Drop copies that are not needed any longer."""
        for table in copies:
            self.connection.execute(sql.SQL("DROP TABLE {}").format(table.identifier()))

    def _copy(self, table: Table) -> Table:
        copy = self._make(table, "WITH DATA")
        self.connection.execute(sql.SQL("ANALYZE {}").format(copy.identifier()))
        return copy

    def _make(self, table: Table, how: "str") -> Table:
        self._count += 1
        copy = Table(
            schema=self.schema,
            name=f"copy_{self._count}",
            columns=table.columns,
            key=table.key,
            key_may_be_shown=table.key_may_be_shown,
        )
        self.connection.execute(
            sql.SQL("CREATE UNLOGGED TABLE {} AS SELECT {} FROM ONLY {} {}").format(
                copy.identifier(),
                names(table.columns),
                table.identifier(),
                sql.SQL("WITH DATA" if how == "WITH DATA" else "WITH NO DATA"),
            )
        )
        return copy


def compare_all(
    connection: Connection, expected: Snapshot, actual: Snapshot, *, limit: int
) -> Comparison:
    """Compare two states table by table; a table or column on one side only is a difference."""
    found = Comparison()
    for label in sorted({*expected, *actual}):
        if label not in actual:
            found += _one(label, "", "the table is missing")
        elif label not in expected:
            found += _one(label, "", "the table is new")
        else:
            found += compare(connection, label, expected[label], actual[label], limit=limit)
    return found


def compare(
    connection: Connection,
    label: str,
    expected: Table,
    actual: Table,
    *,
    columns: Collection[str] | None = None,
    limit: int,
) -> Comparison:
    """Compare two tables row by row.

    Args:
        connection: with pinned settings.
        label: what the table is called in differences.
        expected: how it should be.
        actual: how it is.
        columns: only these, and the key; None for all.
        limit: how many differences are listed; all are counted.
    """
    wanted = [c for c in expected.columns if columns is None or c in columns or c in expected.key]
    found = Comparison()
    shared = []
    for column in dict.fromkeys([*wanted, *(actual.columns if columns is None else ())]):
        before, after = expected.columns.get(column), actual.columns.get(column)
        if before == after:
            shared.append(column)
        else:
            what = "is missing" if after is None else "is new" if before is None else "changed type"
            found += _one(label, column, f"the column {what}")
    if not shared:
        return found
    keyed = bool(expected.key) and set(expected.key) <= set(shared)
    parts = _parts(expected, actual, shared, limit) if keyed else _sides(expected, actual, shared)
    rows, bad = connection.execute(
        sql.SQL(COUNT_KEYED if keyed else COUNT_KEYLESS).format(**parts)
    ).fetchone() or (0, 0)
    if not bad:
        return found + Comparison(rows=rows, columns=len(shared))
    listing = sql.SQL(LIST_KEYED if keyed else LIST_KEYLESS).format(**parts)
    listed = connection.execute(listing).fetchall()
    return found + Comparison(
        rows=rows,
        columns=len(shared),
        differences=listed[0][0] if listed else bad,
        listed=tuple(
            Difference(table=label, row_id=row_id, column=column, what=what)
            for _, row_id, column, what in listed
        ),
    )


def names(columns: Iterable[str], prefix: str = "") -> sql.Composed:
    """Return column names for a query, each after the prefix of a table where one is given."""
    parts = (
        sql.Identifier(prefix, column) if prefix else sql.Identifier(column) for column in columns
    )
    return sql.SQL(", ").join(parts)


def _one(label: str, column: str, what: str) -> Comparison:
    difference = Difference(table=label, row_id="", column=column, what=what)
    return Comparison(differences=1, listed=(difference,))


def _sides(expected: Table, actual: Table, columns: list[str]) -> dict[str, sql.Composable]:
    return {
        "a": expected.identifier(),
        "b": actual.identifier(),
        "columns": names(columns),
    }


def _parts(
    expected: Table, actual: Table, columns: list[str], limit: int
) -> dict[str, sql.Composable]:
    first = expected.key[0]
    shown = [
        sql.SQL("coalesce({}, {})").format(sql.Identifier("a", key), sql.Identifier("b", key))
        for key in expected.key
    ]
    return {
        **_sides(expected, actual, columns),
        "join": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("a", key), sql.Identifier("b", key))
            for key in expected.key
        ),
        "a_first": sql.Identifier("a", first),
        "b_first": sql.Identifier("b", first),
        "a_columns": names(columns, "a"),
        "b_columns": names(columns, "b"),
        "row_id": sql.SQL("concat_ws(',', {})").format(sql.SQL(", ").join(shown))
        if expected.key_may_be_shown
        else sql.Literal("(key not shown)"),
        "cells": sql.SQL(", ").join(
            sql.SQL("({}, record_image_ne(ROW({}), ROW({})))").format(
                sql.Literal(column), sql.Identifier("a", column), sql.Identifier("b", column)
            )
            for column in columns
        ),
        "limit": sql.Literal(limit),
    }
