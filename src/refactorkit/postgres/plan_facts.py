"""What a plan reads of the live database: how large tables are, what foreign keys tie together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from refactorkit.mapping.model import Mapping
from refactorkit.mapping.row_counts import RowQuery, row_queries
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.lock_modes import LockMode

_SIZES: Final = """
    SELECT n.nspname || '.' || c.relname, c.reltuples::bigint
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.reltuples >= 0
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_FOREIGN_KEYS: Final = """
    SELECT a.nspname || '.' || r.relname, b.nspname || '.' || f.relname,
        c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd')
    FROM pg_catalog.pg_constraint AS c
    JOIN pg_catalog.pg_class AS r ON r.oid = c.conrelid
    JOIN pg_catalog.pg_namespace AS a ON a.oid = r.relnamespace
    JOIN pg_catalog.pg_class AS f ON f.oid = c.confrelid
    JOIN pg_catalog.pg_namespace AS b ON b.oid = f.relnamespace
    WHERE c.contype = 'f'
"""


@dataclass(frozen=True, kw_only=True)
class ForeignKeyTie:
    """Two tables that a foreign key ties together, by schema and name.

    Attributes:
        table: the one that has the foreign key.
        references: the one that it names.
        cascades: whether a change there is written here.
    """

    table: str
    references: str
    cascades: bool


def table_sizes(connection: Connection) -> dict[str, int]:
    """Return about how many rows each table has (``reltuples``), where that was ever measured."""
    return dict(connection.execute(_SIZES).fetchall())


def foreign_key_ties(connection: Connection) -> tuple[ForeignKeyTie, ...]:
    """Return all foreign keys."""
    rows: list[Any] = connection.execute(_FOREIGN_KEYS).fetchall()
    return tuple(
        ForeignKeyTie(table=table, references=references, cascades=cascades)
        for table, references, cascades in rows
    )


def neighbours(
    written: Iterable[str], ties: Iterable[ForeignKeyTie]
) -> frozenset[tuple[str, LockMode]]:
    """Return what is locked beside, where rows are written whose foreign keys are checked.

    Source: PostgreSQL's triggers of foreign keys (ri_triggers.c): a new key is looked up in the
    table that it names with SELECT FOR KEY SHARE, a key that goes away in those that name it.
    """
    tables = frozenset(written)
    found: set[tuple[str, LockMode]] = set()
    for tie in ties:
        if tie.table in tables:
            found.add((tie.references, LockMode.ROW_SHARE))
        if tie.references in tables:
            found.add((tie.table, LockMode.ROW_SHARE))
            if tie.cascades:
                found.add((tie.table, LockMode.ROW_EXCLUSIVE))
    return frozenset(found)


def predict_rows(
    connection: Connection, mapping: Mapping, direction: Direction
) -> dict[tuple[str, str, int], int]:
    """Return how many rows each great statement of a refactor will write: verb, table, how manieth.

    The connection reads in a pinned transaction, at the version that the direction begins at.
    """
    has_run = fetch_value(
        connection,
        "SELECT pg_catalog.to_regclass(%s) IS NOT NULL",
        (f"archive.{mapping.name}_turns",),
    )
    queries: tuple[RowQuery, ...] = row_queries(mapping, direction, has_run=bool(has_run))
    found: dict[tuple[str, str, int], int] = {}
    for each in queries:
        row: Any = connection.execute(each.query.encode()).fetchone()
        found[each.verb, each.table, each.nth] = row[0]
    return found
