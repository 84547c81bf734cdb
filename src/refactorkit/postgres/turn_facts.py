"""What a turn of a refactor did, as the archive tells it: for the report of an operation."""

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from refactorkit.mapping.deletions import deletion_queries
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.decisions import DecisionCount, decisions_of
from refactorkit.postgres.refactors import Turn, last_turns

_MOST_LISTED: Final = 1000
_NEXT_ID: Final = "SELECT pg_catalog.pg_current_xact_id()::text::bigint"
_OTHERS: Final = """
    SELECT l.transactionid::text::bigint
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'transactionid' AND l.granted AND l.pid IS DISTINCT FROM %s
"""
# xmin has 32 bits; it is at most 2^31 away from the moment's id.
_OLD: Final = sql.SQL(
    "NOT t.xmin::text::bigint = ANY (%(others)s::bigint[])"
    " AND (t.xmin::text::bigint - %(next)s::bigint %% 4294967296 + 2147483648 + 4294967296)"
    "  %% 4294967296 < 2147483648"
)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment at which a transaction of ours had done its work, and held its locks still.

    Attributes:
        next_id: all transaction ids that were given out before are smaller, those of savepoints
            included; 64 bits wide.
        others: the ids below it whose transactions were still at work then, 32 bits wide.
    """

    next_id: int
    others: tuple[int, ...]


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
    decisions: tuple[DecisionCount, ...]
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
        decisions=decisions_of(connection, turn.name, turn=turn.number, listed=_MOST_LISTED),
        natives_shown=natives[0],
        created=natives[1] if is_down else 0,
        withheld=withheld,
    )


def count_deletions(connection: Connection, mapping: Mapping) -> tuple[tuple[str, int, int], ...]:
    """Return reason, count and count with a complement of what the next Up would leave out.

    The caller has made sure that the last turn was Down.
    """
    found = []
    staged = fetch_value(
        connection,
        "SELECT pg_catalog.to_regclass(%s) IS NOT NULL",
        (f"archive.{mapping.name}_stage_former",),
    )
    for each in deletion_queries(mapping, staged=staged):
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


def moment(watcher: Connection, pid: int) -> Moment:
    """Note the moment, while a session of ours holds its locks.

    Args:
        watcher: another connection to the same server, in autocommit; it takes one transaction id.
        pid: the process number of the session.
    """
    next_id = int(fetch_value(watcher, _NEXT_ID))
    others = watcher.execute(_OTHERS, (pid,)).fetchall()
    return Moment(next_id=next_id, others=tuple(row[0] for row in others))


def untouched_since(
    connection: Connection, since: Moment, table: tuple[str, str], key: str, ids: list[str]
) -> tuple[str, ...]:
    """Return which of the rows of a table that was locked are as they were at that moment.

    A row's own transaction (``xmin``) tells: where its id was given out before, and it was not at
    work any longer, or was ours, nobody has written the row since. Blind spot: a row that is older
    than two thousand million transactions.

    Args:
        connection: in any state.
        since: of ``moment``.
        table: schema and name.
        key: its key column.
        ids: keys as text.
    """
    query = sql.SQL(
        "SELECT t.{key}::text FROM {table} AS t WHERE t.{key}::text = ANY (%(ids)s) AND {old}"
    ).format(key=sql.Identifier(key), table=sql.Identifier(*table), old=_OLD)
    parameters = {"ids": ids, "others": list(since.others), "next": since.next_id}
    return tuple(str(row[0]) for row in connection.execute(query, parameters).fetchall())


def written_since(
    connection: Connection, since: Moment, table: tuple[str, str], key: str, *, most: int
) -> list[int]:
    """Return the keys of the rows that were written after that moment, ``most`` of them at most.

    Args:
        connection: in any state.
        since: of ``moment``.
        table: schema and name, where it lies now.
        key: its key column, an integer.
        most: how many are of use.
    """
    query = sql.SQL(
        "SELECT t.{key} FROM {table} AS t WHERE NOT ({old}) ORDER BY 1 LIMIT %(most)s"
    ).format(key=sql.Identifier(key), table=sql.Identifier(*table), old=_OLD)
    parameters = {"others": list(since.others), "next": since.next_id, "most": most}
    return [row[0] for row in connection.execute(query, parameters).fetchall()]
