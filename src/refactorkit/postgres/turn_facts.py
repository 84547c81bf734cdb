"""What a turn of a refactor did, as the archive tells it: for the report of an operation."""

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from refactorkit.mapping.deletions import deletion_queries
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.decision_keys import Decision, decisions_of_turn
from refactorkit.postgres.refactors import Turn, last_turns

_SNAPSHOT: Final = (
    "SELECT pg_catalog.pg_current_snapshot()::text || '/' || pg_catalog.pg_current_xact_id()::text"
)


@dataclass(frozen=True, kw_only=True)
class TurnFacts:
    """What a turn did.

    Attributes:
        turn: its direction, number and counts.
        decisions: what gave way to what, by rule.
        natives_shown: pairs of natives, who are nobody's subject.
        created: those of them that this turn made; of Down alone.
        withheld: rows of the source that were left out, by ``soft`` or ``hard`` deletion; of Down
            alone.
    """

    turn: Turn
    decisions: tuple[Decision, ...]
    natives_shown: int
    created: int
    withheld: dict[str, int]


def facts_of_last_turns(connection: Connection, names: frozenset[str]) -> tuple[TurnFacts, ...]:
    """Return what the last turn of each refactor did; names are those of their mappings.

    The caller has pinned the search path, in the transaction that is open.
    """
    return tuple(_facts(connection, turn) for turn in last_turns(connection) if turn.name in names)


def _facts(connection: Connection, turn: Turn) -> TurnFacts:
    withheld: dict[str, int] = {}
    natives: Any = connection.execute(
        sql.SQL(
            "SELECT count(*), count(*) FILTER (WHERE turn = {}) FROM {} WHERE kind = 'native'"
        ).format(sql.Literal(turn.number), sql.Identifier("archive", f"{turn.name}_map"))
    ).fetchone()
    is_down = turn.direction is Direction.DOWN
    if is_down and turn.mapping is not None:
        rows: list[Any] = connection.execute(
            sql.SQL(
                "SELECT refactorkit_reason, count(*) FROM {} WHERE refactorkit_turn = {}"
                " GROUP BY 1 ORDER BY 1"
            ).format(
                sql.Identifier("archive", f"{turn.name}_withheld_{turn.mapping.source.table}"),
                sql.Literal(turn.number),
            )
        ).fetchall()
        withheld = dict(rows)
    return TurnFacts(
        turn=turn,
        decisions=decisions_of_turn(connection, turn.name, turn.number),
        natives_shown=natives[0],
        created=natives[1] if is_down else 0,
        withheld=withheld,
    )


def count_deletions(connection: Connection, mapping: Mapping) -> tuple[tuple[str, int, int], ...]:
    """Return reason, count and count with a complement of what the next Up would leave out.

    The caller has made sure that the last turn was Down.
    """
    found = []
    for each in deletion_queries(mapping):
        row: Any = connection.execute(each.query.encode()).fetchone()
        if row[0]:
            found.append((each.reason, row[0], row[1]))
    return tuple(found)


def count_rows(connection: Connection, mapping: Mapping, *, at_new: bool) -> dict[str, int]:
    """Return how many rows the mapping's main tables have, by schema and name.

    Args:
        connection: in any state.
        mapping: which tables.
        at_new: whether the database is at the mapping's version, or at the one before.
    """
    tables = [
        ("archive" if at_new else "public", mapping.source.table),
        ("public", mapping.target.table),
        *(("public", link.table) for link in mapping.link),
    ]
    return {
        f"{schema}.{table}": fetch_value(
            connection,
            sql.SQL("SELECT pg_catalog.count(*) FROM {}").format(sql.Identifier(schema, table)),
        )
        for schema, table in tables
    }


def current_snapshot(connection: Connection) -> str:
    """Return which transactions have ended by now, and which one is ours: ``pg_snapshot/xid8``."""
    return str(fetch_value(connection, _SNAPSHOT))


def untouched_since(
    connection: Connection, snapshot: str, table: tuple[str, str], key: str, ids: list[str]
) -> tuple[str, ...]:
    """Return which of the rows are still as they were when the snapshot's transaction saw them.

    A row's own transaction (``xmin``) tells: where the snapshot had seen it end, or where it is the
    snapshot's own, nobody has written the row since. Blind spots: a row that is older than two
    thousand million transactions; one written under a savepoint of ours, which no file of ours has.

    Args:
        connection: in any state.
        snapshot: of ``current_snapshot``, taken in a transaction that has written.
        table: schema and name.
        key: its key column.
        ids: keys as text.
    """
    # xmin has 32 bits; it is at most 2^31 away from the snapshot's end.
    query = sql.SQL(
        "SELECT r.id FROM ("
        " SELECT t.{key}::text AS id, s.snapshot, s.own,"
        "  s.ends + (((t.xmin::text::bigint - s.ends %% 4294967296 + 2147483648 + 4294967296)"
        "   %% 4294967296) - 2147483648) AS xid"
        " FROM {table} AS t CROSS JOIN ("
        "  SELECT %(snapshot)s::pg_snapshot AS snapshot, %(own)s::bigint AS own,"
        "   pg_catalog.pg_snapshot_xmax(%(snapshot)s::pg_snapshot)::text::bigint AS ends) AS s"
        " WHERE t.{key}::text = ANY (%(ids)s)) AS r"
        " WHERE CASE WHEN r.xid <= 2 OR r.xid = r.own THEN true"
        "  ELSE pg_catalog.pg_visible_in_snapshot(r.xid::text::xid8, r.snapshot) END"
    ).format(key=sql.Identifier(key), table=sql.Identifier(*table))
    text, _, own = snapshot.partition("/")
    rows = connection.execute(query, {"snapshot": text, "own": own or "0", "ids": ids}).fetchall()
    return tuple(str(row[0]) for row in rows)
