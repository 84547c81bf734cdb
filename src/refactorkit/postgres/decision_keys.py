"""The decisions of a turn with the keys of their rows: where and why, never the values."""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from refactorkit.postgres.connection import Connection

_MOST_LISTED: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The decisions of one kind.

    Attributes:
        table: where the value or the row is.
        column: which column; empty where it is about the whole row.
        rule: why it gave way.
        count: how many rows it concerns.
        row_ids: the keys of the first thousand, in order.
    """

    table: str
    column: str
    rule: str
    count: int
    row_ids: tuple[str, ...]


def decisions_of_turn(connection: Connection, name: str, turn: int) -> tuple[Decision, ...]:
    """Return the decisions of a turn of the refactor ``name``, by table, column and rule."""
    rows = connection.execute(
        sql.SQL(
            "SELECT d.table_name, d.column_name, d.rule, pg_catalog.count(*),"
            " (pg_catalog.array_agg(d.row_id ORDER BY pg_catalog.length(d.row_id), d.row_id))"
            "[1:{most}]"
            " FROM {table} AS d WHERE d.turn = {turn} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).format(
            most=sql.Literal(_MOST_LISTED),
            table=sql.Identifier("archive", f"{name}_decisions"),
            turn=sql.Literal(turn),
        )
    ).fetchall()
    return tuple(
        Decision(table=table, column=column, rule=rule, count=count, row_ids=tuple(row_ids))
        for table, column, rule, count, row_ids in rows
    )
