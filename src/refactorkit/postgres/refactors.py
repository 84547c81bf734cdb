"""The refactors that a database has run, as its archive tells."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql
from pydantic import ValidationError

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.compile import structure_hash
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value

_TURN_COLUMNS = ("turn", "direction", "at", "mapping", "structure_hash", "counts")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The last Up or Down of one refactor.

    Attributes:
        name: the refactor's prefix in the archive.
        number: from 1, over both directions.
        direction: which of the two it was.
        at: when, with a time zone.
        counts: what the migration counted, by name.
        mapping: what it ran with; None where this program cannot read it, or would compile
            something else from it.
    """

    name: str
    number: int
    direction: Direction
    at: datetime
    counts: dict[str, int]
    mapping: Mapping | None


def names(connection: Connection) -> tuple[str, ...]:
    """Return the names of the refactors that left a log in schema archive, in order."""
    found = connection.execute(
        "SELECT c.relname FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'archive' AND c.relkind = 'r' AND right(c.relname, 6) = '_turns'"
        " AND ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a"
        " WHERE a.attrelid = c.oid AND a.attnum > 0) @> %s ORDER BY 1",
        (list(_TURN_COLUMNS),),
    ).fetchall()
    return tuple(table.removesuffix("_turns") for (table,) in found)


def last_turns(connection: Connection) -> tuple[Turn, ...]:
    """Return the last turn of every refactor that left a log in schema archive, by name."""
    turns = (last_turn(connection, name) for name in names(connection))
    return tuple(turn for turn in turns if turn is not None)


def last_turn(connection: Connection, name: str) -> Turn | None:
    """Return the last turn of one refactor; None where it has none."""
    row: Any = connection.execute(
        sql.SQL(
            # As text in one form: the driver reads a time in one DateStyle alone.
            "SELECT turn, direction,"
            " pg_catalog.to_char(pg_catalog.timezone('UTC', at),"
            " 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00'),"
            " mapping::pg_catalog.text, structure_hash, counts FROM {}"
            " ORDER BY turn DESC LIMIT 1"
        ).format(sql.Identifier("archive", f"{name}_turns"))
    ).fetchone()
    if row is None:
        return None
    number, direction, at, text, stored_hash, counts = row
    try:
        mapping: Mapping | None = Mapping.model_validate_json(text)
    except ValidationError:
        mapping = None
    if mapping is not None and structure_hash(mapping) != stored_hash:
        mapping = None
    return Turn(
        name=name,
        number=number,
        direction=Direction(direction),
        at=datetime.fromisoformat(at),
        counts=counts,
        mapping=mapping,
    )


def refuse_staged(connection: Connection, turns: tuple[Turn, ...]) -> None:
    """Refuse while an online cutover is staged: the pairs are those of both turns then.

    Raises:
        RefusedError: that of one of these refactors is.
    """
    for turn in turns:
        stage = f"archive.{turn.name}_stage"
        if fetch_value(connection, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (stage,)):
            raise RefusedError(
                f"A cutover of {turn.name} is staged, and the archive is on its way.",
                state=NOTHING_CHANGED,
                hint="Switch it first, or take it away: refactorkit cutover --abort.",
            )
