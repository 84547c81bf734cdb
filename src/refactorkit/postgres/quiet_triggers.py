"""Triggers that stay quiet for the length of a transaction, and come back in their own state."""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from refactorkit.postgres.connection import Connection

_STATES = {
    "A": sql.SQL("ENABLE ALWAYS"),
    "D": sql.SQL("DISABLE"),
    "O": sql.SQL("ENABLE"),
    "R": sql.SQL("ENABLE REPLICA"),
}


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger that somebody made.

    Attributes:
        schema: of its table.
        table: its table.
        name: its own.
        state: as pg_trigger.tgenabled has it: O, R or A.
    """

    schema: str
    table: str
    name: str
    state: str


def switch_off(connection: Connection, tables: Iterable[str]) -> tuple[Trigger, ...]:
    """Switch off the triggers of these tables that are on, and return them.

    The archive's own guards stay on: they let by who says that it means to change the archive.

    Args:
        connection: in a transaction: a rollback switches them on again.
        tables: with their schema, as SQL.
    """
    rows = connection.execute(
        "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,"
        " t.tgname::pg_catalog.text, t.tgenabled::pg_catalog.text"
        " FROM pg_catalog.pg_trigger AS t"
        " JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid"
        " JOIN pg_catalog.pg_namespace AS room ON room.oid = p.pronamespace"
        " WHERE room.nspname <> 'archive' AND NOT t.tgisinternal AND t.tgenabled <> 'D'"
        " AND t.tgrelid IN ("
        "SELECT pg_catalog.to_regclass(x) FROM pg_catalog.unnest(%s::pg_catalog.text[]) x)"
        " ORDER BY 1, 2, 3",
        (sorted(set(tables)),),
    ).fetchall()
    found = tuple(
        Trigger(schema=schema, table=table, name=name, state=state)
        for schema, table, name, state in rows
    )
    for trigger in found:
        _alter(connection, trigger, "D")
    return found


def switch_back(connection: Connection, triggers: Iterable[Trigger]) -> None:
    """Give each trigger the state that it had."""
    for trigger in triggers:
        _alter(connection, trigger, trigger.state)


def _alter(connection: Connection, trigger: Trigger, state: str) -> None:
    connection.execute(
        sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
            sql.Identifier(trigger.schema, trigger.table),
            _STATES[state],
            sql.Identifier(trigger.name),
        )
    )
