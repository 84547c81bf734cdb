"""goose's version table: found, made and written exactly as goose does, in both of its shapes.

The statements are SQLAlchemy Core, compiled for psycopg and run on the connection that also runs
the files, so that a version row is part of its file's transaction.
Source: goose 3.27, its PostgreSQL dialect and ``EnsureDBVersion``.
"""

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from psycopg.rows import TupleRow
from sqlalchemy.dialects.postgresql import psycopg as sa_psycopg
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql import ClauseElement

from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.migrations.history import AppliedRow, History
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.foreign_code import lock_for_writing, refuse_foreign_code

TIME_FORMAT: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US'
"""How times are read, for to_char(): the same whatever the session's DateStyle is."""

_DIALECT: Final = sa_psycopg.dialect()  # type: ignore[no-untyped-call] # untyped in SQLAlchemy
_IDENTIFIER: Final = r'[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"\0]|"")+"'
_NAME: Final = re.compile(rf"(?:({_IDENTIFIER})\.)?({_IDENTIFIER})")
_COLUMNS: Final = frozenset({"id", "version_id", "is_applied", "tstamp"})
_TABLE_KINDS: Final = frozenset({"r", "p"})  # ordinary and partitioned tables


@dataclass(frozen=True, kw_only=True)
class TableName:
    """A table's name, and its schema where one was given.

    Attributes:
        schema: None means the connection's current schema, as goose has it.
        name: as the catalog spells it.
    """

    schema: str | None
    name: str

    @classmethod
    def parse(cls, text: str) -> "TableName":
        """Read a name as SQL does: lower case unless quoted, one dot at most.

        Raises:
            UsageError: the text is not a table's name.
        """
        match = _NAME.fullmatch(text.strip())
        if match is None:
            raise UsageError(
                "The version table's name is not an SQL name.",
                hint='Write --table NAME or SCHEMA.NAME; odd names go in "double quotes".',
            )
        schema, name = (None if part is None else _fold(part) for part in match.groups())
        return cls(schema=schema, name=name or "")


@dataclass(frozen=True, kw_only=True)
class VersionTable:
    """The version table of one database.

    Attributes:
        schema: where it is, or would be made.
        name: its name.
        exists: False means that nothing was ever applied here.
    """

    schema: str
    name: str
    exists: bool

    @property
    def label(self) -> str:
        """Return ``schema.name`` for messages."""
        return f"{self.schema}.{self.name}"


def find(connection: Connection, name: TableName) -> VersionTable:
    """Find the version table without making it.

    Raises:
        RefusedError: something else has that name, there is no schema to look in, or using the
            table would run another role's code.
    """
    schema = name.schema or fetch_value(connection, "SELECT pg_catalog.current_schema()")
    if not isinstance(schema, str):
        raise RefusedError(
            "No schema of this connection's search_path exists, so there is no version table.",
            state=NOTHING_CHANGED,
            hint="Write --table SCHEMA.NAME.",
        )
    row = connection.execute(
        "SELECT c.relkind::pg_catalog.text,"
        " ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a"
        " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)"
        " FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (schema, name.name),
    ).fetchone()
    table = VersionTable(schema=schema, name=name.name, exists=row is not None)
    if row is not None:
        kind, columns = row
        if kind not in _TABLE_KINDS or not (
            isinstance(columns, list) and _COLUMNS.issubset(columns)
        ):
            raise RefusedError(
                f"{table.label} exists, but it is not a version table of goose.",
                state=NOTHING_CHANGED,
                hint="Name the right one with --table.",
            )
        refuse_foreign_code(connection, schema, name.name)
    return table


def create(connection: Connection, table: VersionTable) -> VersionTable:
    """Make the table with its first row, version 0, in one transaction; return it as existing."""
    with connection.transaction():
        _run(connection, CreateTable(_table(table)))
        _run(connection, _row(table, 0))
    return VersionTable(schema=table.schema, name=table.name, exists=True)


def read(connection: Connection, table: VersionTable) -> History:
    """Return all rows by id; no rows where there is no table.

    ``at`` is the time stamp as ISO 8601 text whatever the session's DateStyle, without a time
    zone, because goose stores none; None where the column is NULL.

    Raises:
        RefusedError: the table is there and empty: goose, too, does not know where it stands then.
    """
    if not table.exists:
        return History(rows=())
    columns = _table(table).c
    at = sa.func.pg_catalog.to_char(columns.tstamp, TIME_FORMAT)
    rows = _run(
        connection,
        sa.select(columns.id, columns.version_id, columns.is_applied, at).order_by(columns.id),
    )
    if not rows:
        raise RefusedError(
            f"The version table {table.label} has no row, not even the one of version 0.",
            state=NOTHING_CHANGED,
            hint="Restore it from a backup. If nothing was ever applied here, drop the table.",
        )
    return History(
        rows=tuple(AppliedRow(id=row[0], version=row[1], applied=row[2], at=row[3]) for row in rows)
    )


def record_up(connection: Connection, table: VersionTable, version: int) -> None:
    """Write that a version is applied, in the transaction that is open.

    Raises:
        RefusedError: that would run another role's code.
    """
    lock_for_writing(connection, table.schema, table.name)
    _run(connection, _row(table, version))


def record_down(connection: Connection, table: VersionTable, version: int) -> None:
    """Delete all rows of a version, in the transaction that is open.

    Raises:
        RefusedError: that would run another role's code.
    """
    lock_for_writing(connection, table.schema, table.name)
    target = _table(table)
    _run(connection, sa.delete(target).where(target.c.version_id == version))


def _fold(identifier: str) -> str:
    if identifier.startswith('"'):
        return identifier[1:-1].replace('""', '"')
    return identifier.lower()


def _table(table: VersionTable) -> sa.Table:
    return sa.Table(
        table.name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, sa.Identity(always=False), primary_key=True),
        sa.Column("version_id", sa.BigInteger, nullable=False),
        sa.Column("is_applied", sa.Boolean, nullable=False),
        sa.Column("tstamp", sa.DateTime, nullable=False, server_default=sa.func.now()),
        schema=table.schema,
    )


def _row(table: VersionTable, version: int) -> sa.Insert:
    # inline: without RETURNING, which would need the right to read the table
    return sa.insert(_table(table)).values(version_id=version, is_applied=True).inline()


def _run(connection: Connection, statement: ClauseElement) -> list[TupleRow]:
    """Compile a statement and run it; return its rows, none where it returns none."""
    compiled = statement.compile(dialect=_DIALECT)
    cursor = connection.execute(compiled.string.encode(), compiled.params or {})
    return cursor.fetchall() if cursor.description else []
