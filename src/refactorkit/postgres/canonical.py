"""Which columns a table's rows are hashed from, in which order, and how each of them travels.

A type's wire bytes are taken where they are the same in every database and on every PostgreSQL from
14 on. Others are sent as their text under pinned settings: wire bytes of composite types, of arrays
of somebody's own type, and of ``reg...`` types hold OIDs, which a restored dump gives anew; those
of extensions may change with the extension.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from refactorkit.evidence.leaf import Column, Encoding, Form, KeyKind
from refactorkit.postgres.connection import Connection

_NUMBERS: Final = frozenset({"int2", "int4", "int8"})
_STABLE: Final = _NUMBERS | {
    "bit", "bool", "bpchar", "bytea", "char", "cidr", "date", "float4", "float8", "inet",
    "interval", "json", "jsonb", "macaddr", "macaddr8", "name", "numeric", "text", "time",
    "timestamp", "timestamptz", "timetz", "uuid", "varbit", "varchar", "xid8",
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange",
    "tstzmultirange",
}  # fmt: skip
_COLUMNS: Final = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid::bigint
    FROM pg_attribute AS a
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_KEY: Final = """
    SELECT a.attname
    FROM pg_index AS i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = %s::regclass AND i.indisprimary AND k.place <= i.indnkeyatts
    ORDER BY k.place
"""
# Domains are what they are made of, and arrays are looked into: (name, is built in, kind).
_TYPES: Final = """
    WITH RECURSIVE t AS (
        SELECT y.oid AS asked, y.oid, y.typname, y.typnamespace, y.typtype, y.typbasetype,
            y.typelem, y.typcategory
        FROM pg_type AS y
        UNION ALL
        SELECT t.asked, y.oid, y.typname, y.typnamespace, y.typtype, y.typbasetype, y.typelem,
            y.typcategory
        FROM t
        JOIN pg_type AS y ON y.oid = t.typbasetype
        WHERE t.typtype = 'd'
    )
    SELECT t.asked::bigint,
        CASE WHEN t.typcategory = 'A' THEN e.typname ELSE t.typname END,
        (CASE WHEN t.typcategory = 'A' THEN e.typnamespace ELSE t.typnamespace END)
            = 'pg_catalog'::regnamespace,
        t.typcategory = 'A',
        t.typtype = 'e'
    FROM t
    LEFT JOIN pg_type AS e ON e.oid = t.typelem
    WHERE t.typtype <> 'd' AND t.asked = ANY (%s)
"""


@dataclass(frozen=True, kw_only=True)
class TypeFacts:
    """What decides how a type travels.

    Attributes:
        name: of the type, of what a domain is made of, or of an array's elements.
        is_built_in: whether that is PostgreSQL's own.
        is_array: of such elements.
        is_enum: its wire bytes are the label.
    """

    name: str
    is_built_in: bool
    is_array: bool
    is_enum: bool

    @property
    def encoding(self) -> Encoding:
        """Its bytes on the wire where they are stable, else those of its text."""
        stable = self.is_enum or (self.is_built_in and self.name in _STABLE)
        return Encoding.BINARY if stable else Encoding.TEXT

    @property
    def is_number(self) -> bool:
        """Whether keys of it are compared by value."""
        return self.is_built_in and not self.is_array and self.name in _NUMBERS


def form_of(
    connection: Connection, schema: str, table: str, *, but_not: Collection[str] = ()
) -> Form:
    """Return the canonical form of a table's rows, inside a snapshot with a pinned search_path.

    The columns of the primary key come first; without one, every column is of the key.

    Args:
        connection: to the database.
        schema: of the table.
        table: its name.
        but_not: columns that are left out.
    """
    name = f"{schema}.{table}"
    qualified = sql.Identifier(schema, table).as_string(connection)
    found = [
        (column, type_, oid)
        for column, type_, oid in connection.execute(_COLUMNS, (qualified,)).fetchall()
        if column not in but_not
    ]
    types = {
        oid: TypeFacts(name=n, is_built_in=own, is_array=array, is_enum=enum)
        for oid, n, own, array, enum in connection.execute(
            _TYPES, ([oid for _, _, oid in found],)
        ).fetchall()
    }
    key = [row[0] for row in connection.execute(_KEY, (qualified,)).fetchall()]
    key = key or [column for column, _, _ in found]
    columns = {
        column: _column(column, type_, types[oid], of_key=column in key)
        for column, type_, oid in found
    }
    ordered = [*key, *(column for column in columns if column not in key)]
    return Form(table=name, columns=tuple(columns[column] for column in ordered))


def missing_columns(connection: Connection, schema: str, form: Form) -> tuple[str, ...]:
    """Return the columns of a form that the table no longer has, or has with another type."""
    qualified = sql.Identifier(schema, form.table.partition(".")[2]).as_string(connection)
    now = {
        column: type_ for column, type_, _ in connection.execute(_COLUMNS, (qualified,)).fetchall()
    }
    return tuple(each.name for each in form.columns if now.get(each.name) != each.type)


def selected(column: Column, alias: str = "t") -> sql.Composable:
    """Return what is selected of a column: itself, or its text."""
    name = sql.Identifier(alias, column.name)
    return name if column.encoding is Encoding.BINARY else sql.SQL("{}::text").format(name)


def order_by(columns: Sequence[Column], alias: str = "t") -> sql.Composed:
    """Return the order of the rows: numbers by value, all else by the bytes of its text."""
    parts = [
        sql.Identifier(alias, column.name)
        if column.key is KeyKind.NUMBER
        else sql.SQL('({}::text) COLLATE "C"').format(sql.Identifier(alias, column.name))
        for column in columns
        if column.key is not None
    ]
    return sql.SQL(", ").join(parts)


def key_text(columns: Sequence[Column], alias: str = "t") -> sql.Composed:
    """Return the key as one text that no other key has: an array's."""
    parts = [
        sql.SQL("{}::text").format(sql.Identifier(alias, column.name))
        for column in columns
        if column.key is not None
    ]
    return sql.SQL("ARRAY[{}]::text").format(sql.SQL(", ").join(parts))


def _column(name: str, type_: str, facts: TypeFacts, *, of_key: bool) -> Column:
    if not of_key:
        return Column(name=name, type=type_, encoding=facts.encoding)
    if facts.is_number:
        return Column(name=name, type=type_, encoding=Encoding.BINARY, key=KeyKind.NUMBER)
    return Column(name=name, type=type_, encoding=Encoding.TEXT, key=KeyKind.TEXT)
