"""Run the checks of ``refactorkit.mapping.verification`` in one snapshot that changes nothing."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from refactorkit.mapping.verification import Check
from refactorkit.postgres.connection import Connection


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that is not as it should be: where, and never which value.

    Attributes:
        table: the table with its schema.
        row_id: the key of the row; empty where it is about the whole table.
        column: the column; empty where it is about the whole row.
        what: two or three words.
    """

    table: str
    row_id: str
    column: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one check found.

    Attributes:
        name: of the check.
        rows: how many it looked at.
        differences: how many it found.
        listed: the first of them, in the order of table, row and column.
        is_edit: the application itself may have made them since.
    """

    name: str
    rows: int
    differences: int
    listed: tuple[Difference, ...]
    is_edit: bool


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """Read one state of the database, whatever is written meanwhile; nothing can be changed."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        connection.execute("SET LOCAL row_security = off")
        # The driver reads times in this style alone, and a report is the same wherever it is made.
        connection.execute("SET LOCAL DateStyle = 'ISO, YMD'")
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        connection.execute("SET LOCAL work_mem = '64MB'")
        yield


def run_check(connection: Connection, check: Check, *, limit: int) -> Outcome:
    """Run one check inside ``snapshot`` and list at most ``limit`` of its differences."""
    counted = connection.execute(check.rows.encode()).fetchone()
    query = (
        "SELECT count(*) OVER (), d.a, d.b, d.c, d.d FROM (\n"
        + check.differences
        + "\n) AS d (a, b, c, d) ORDER BY d.a, length(d.b), d.b, d.c LIMIT "
        + str(max(limit, 1))
    )
    found = connection.execute(query.encode()).fetchall()
    return Outcome(
        name=check.name,
        rows=counted[0] if counted else 0,
        differences=found[0][0] if found else 0,
        listed=tuple(
            Difference(table=table, row_id=row_id, column=column, what=what)
            for _, table, row_id, column, what in found[:limit]
        ),
        is_edit=check.is_edit,
    )


def pin_transaction(connection: Connection) -> None:
    """Set what ``snapshot`` sets, for the rest of a transaction that has begun and has written."""
    connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
    connection.execute("SET LOCAL row_security = off")
    connection.execute("SET LOCAL DateStyle = 'ISO, YMD'")
    connection.execute("SET LOCAL TimeZone = 'UTC'")
    connection.execute("SET LOCAL work_mem = '64MB'")
