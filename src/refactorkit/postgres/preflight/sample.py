"""The timed sample: what a part of Up's work takes on this server, in temporary tables.

Nothing of it stays, and the user's tables are only read. Temporary tables write no log, so the
log's volume is reckoned from their size.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from refactorkit.mapping.preflight import Part
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.preflight.looking import Look, rolled_back

_TIMEOUT_MS: Final = 10_000
_TRIPS: Final = 20
_DEFINITIONS: Final = 10

_SIZES: Final = """
    SELECT (SELECT count(*) FROM pg_temp.rk_sample_map),
        pg_relation_size('pg_temp.rk_sample_target'), pg_indexes_size('pg_temp.rk_sample_target'),
        pg_relation_size('pg_temp.rk_sample_map'), pg_indexes_size('pg_temp.rk_sample_map')
"""


_LINKS: Final = """
    SELECT t, pg_relation_size(t::regclass),
        pg_table_size(t::regclass) + pg_indexes_size(t::regclass),
        (SELECT count(*) FROM pg_index AS x WHERE x.indrelid = t::regclass),
        current_setting('full_page_writes') = 'on'
    FROM unnest(%(tables)s::text[]) AS t
"""


@dataclass(frozen=True, kw_only=True)
class LinkSize:
    """How big a table is that is relinked.

    Attributes:
        row_bytes: of its rows.
        all_bytes: with its indexes.
        indexes: how many there are.
        pages_are_logged: whether a page is logged whole when it is first changed.
    """

    row_bytes: int
    all_bytes: int
    indexes: int
    pages_are_logged: bool


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was measured.

    Attributes:
        rows: source rows that were worked on.
        most: how many there would have been at most; of links too.
        seconds: by the name of the part.
        written: rows of each timed part that the server counted.
        trip_seconds: what one statement takes that does nothing.
        definition_seconds: what one definition takes: a table with a key, made.
        target_bytes: of the rows in the target.
        target_index_bytes: of all its indexes.
        pair_bytes: of the pairs.
        pair_index_bytes: of their two indexes.
        links: how big the relinked tables are, by name.
        total_seconds: how long the whole sample took.
    """

    rows: int
    most: int
    seconds: Mapping[str, float]
    written: Mapping[str, int]
    trip_seconds: float
    definition_seconds: float
    target_bytes: int
    target_index_bytes: int
    pair_bytes: int
    pair_index_bytes: int
    links: Mapping[str, LinkSize]
    total_seconds: float


def take(
    connection: Connection, parts: Sequence[Part], *, most: int, links: Sequence[str]
) -> Sample:
    """Run the parts once, and roll everything back.

    Args:
        connection: in autocommit, outside any transaction.
        parts: in order.
        most: how many rows the parts were rendered for.
        links: the tables that are relinked, with their schema.

    Raises:
        UnseenError: this user may make no temporary table, or it took too long.
        psycopg.Error: the connection is lost.
    """
    begun = time.monotonic()
    with rolled_back(connection, timeout_ms=_TIMEOUT_MS) as look:
        trip = _mean(look, ["SELECT"] * _TRIPS)
        definition = _mean(
            look,
            [
                f"CREATE TEMPORARY TABLE rk_sample_{number} (id integer PRIMARY KEY)"
                for number in range(_DEFINITIONS)
            ],
        )
        seconds, written = {}, {}
        for part in parts:
            if part.prepare:
                look.run(part.prepare)
            started = time.monotonic()
            written[part.name] = look.attempt(partial(_run, connection, part.timed))
            seconds[part.name] = time.monotonic() - started
        rows, target, target_indexes, pairs, pair_indexes = look.query(_SIZES)[0]
        sizes = look.query(_LINKS, {"tables": list(links)})
    return Sample(
        rows=rows,
        most=most,
        seconds=seconds,
        written=written,
        trip_seconds=trip,
        definition_seconds=definition,
        target_bytes=target,
        target_index_bytes=target_indexes,
        pair_bytes=pairs,
        pair_index_bytes=pair_indexes,
        links={
            name: LinkSize(
                row_bytes=row_bytes, all_bytes=all_bytes, indexes=indexes, pages_are_logged=whole
            )
            for name, row_bytes, all_bytes, indexes, whole in sizes
        },
        total_seconds=time.monotonic() - begun,
    )


def _run(connection: Connection, text: str) -> int:
    """Run statements; return the rows that the last of them wrote or read."""
    cursor = connection.execute(text.encode())
    while cursor.nextset():
        pass
    return max(cursor.rowcount, 0)


def _mean(look: Look, statements: list[str]) -> float:
    def run_all() -> None:
        for statement in statements:
            look.connection.execute(statement.encode())

    started = time.monotonic()
    look.attempt(run_all)
    return (time.monotonic() - started) / len(statements)
