"""The decisions that a refactor's archive tells of: how many, where, and by which rule.

A decision is a row of ``archive.NAME_decisions``: a value, or a row, that gave way to another in an
Up or a Down. The values themselves stay there; what leaves this module is counts.
"""

from dataclasses import dataclass

from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres.connection import Connection, fetch_value


@dataclass(frozen=True, kw_only=True, order=True)
class DecisionCount:
    """How often one rule decided about one column.

    Attributes:
        rule: its sentence, as the migration writes it.
        table: the table without its schema.
        column: empty where it is about whole rows.
        count: how many rows.
        row_ids: the keys of the first of them, in order, where they were asked for.
    """

    rule: str
    table: str
    column: str
    count: int
    row_ids: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """The table, with the column where there is one."""
        return f"{self.table}.{self.column}" if self.column else self.table


def total(decisions: tuple[DecisionCount, ...]) -> int:
    """Return how many decisions these are together."""
    return sum(each.count for each in decisions)


def decisions_of(
    connection: Connection, refactor: str, *, turn: int | None = None, listed: int = 0
) -> tuple[DecisionCount, ...]:
    """Count the decisions of one turn, or of all turns, by rule, table and column.

    Args:
        connection: of a role that may read the archive.
        refactor: its prefix in the archive, as ``refactors.Turn.name``.
        turn: the turn's number; None for all of them.
        listed: how many keys of each kind are given.

    Raises:
        RefusedError: the table is not there.
    """
    name = f"{refactor}_decisions"
    table = sql.Identifier("archive", name)
    there = fetch_value(
        connection,
        sql.SQL("SELECT pg_catalog.to_regclass({}) IS NOT NULL").format(
            sql.Literal(table.as_string(connection))
        ),
    )
    if not there:
        raise RefusedError(
            f"archive.{name} is not there: the archive is incomplete.",
            state=NOTHING_CHANGED,
            hint="Restore it from a backup before anything else.",
        )
    of_turn = sql.SQL("" if turn is None else " WHERE turn = {}").format(sql.Literal(turn))
    rows = connection.execute(
        sql.SQL(
            "SELECT rule, table_name, column_name, pg_catalog.count(*),"
            " (pg_catalog.array_agg(row_id ORDER BY pg_catalog.length(row_id), row_id))[1:{}]"
            " FROM {}{}"
            " GROUP BY rule, table_name, column_name ORDER BY rule, table_name, column_name"
        ).format(sql.Literal(listed), table, of_turn)
    ).fetchall()
    return tuple(
        DecisionCount(rule=rule, table=where, column=column, count=count, row_ids=tuple(row_ids))
        for rule, where, column, count, row_ids in rows
    )
