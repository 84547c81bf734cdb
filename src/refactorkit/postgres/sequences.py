"""Where the sequences of a database stand, and whether one was ever moved backward."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from psycopg import sql

from refactorkit.postgres.connection import Connection
from refactorkit.postgres.snapshots import SERVER_SCHEMAS
from refactorkit.postgres.verification import Difference

_SEQUENCES: Final = """
    SELECT c.oid::bigint, n.nspname, c.relname, s.seqincrement
    FROM pg_sequence AS s
    JOIN pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname <> ALL (%s) AND c.relpersistence <> 't'
    ORDER BY n.nspname, c.relname
"""


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where one sequence stands.

    Attributes:
        label: its schema and name.
        last: the last value that it gave out.
        increment: by which it moves on; below zero it counts down.
    """

    label: str
    last: int
    increment: int


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """All sequences at one moment.

    Attributes:
        when: after what, in words.
        positions: by the sequence's OID, which it keeps when it is moved or renamed.
    """

    when: str
    positions: Mapping[int, Position]


def look(connection: Connection, when: str, *, but_not_in: Collection[str]) -> Sighting:
    """Read where all sequences outside some schemas stand."""
    positions = {}
    found = connection.execute(_SEQUENCES, ([*SERVER_SCHEMAS, *but_not_in],)).fetchall()
    for oid, schema, name, increment in found:
        row = connection.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        ).fetchone()
        last, called = row or (0, True)
        positions[oid] = Position(
            label=f"{schema}.{name}",
            last=last if called else last - increment,
            increment=increment,
        )
    return Sighting(when=when, positions=positions)


def moved_backward(sightings: Sequence[Sighting]) -> tuple[Difference, ...]:
    """Return where a sequence went backward, or was gone, between two moments."""
    found = []
    for before, after in pairwise(sightings):
        for oid, position in before.positions.items():
            later = after.positions.get(oid)
            if later is None:
                what = f"the sequence is gone after {after.when}"
            elif (later.last - position.last) * position.increment < 0:
                what = f"moved backward: {after.when}"
            else:
                continue
            found.append(Difference(table=position.label, row_id="", column="", what=what))
    return tuple(found)


def behind(sighting: Sighting, highest: Mapping[str, int]) -> tuple[Difference, ...]:
    """Return which sequences stand below an id that is or was in use.

    Args:
        sighting: where they stand.
        highest: the highest id, by the sequence's name without its schema.
    """
    found = []
    for position in sighting.positions.values():
        needed = highest.get(position.label.rpartition(".")[2])
        if needed is not None and position.last < needed:
            what = f"stands below an id in use: {sighting.when}"
            found.append(Difference(table=position.label, row_id="", column="", what=what))
    return tuple(found)
