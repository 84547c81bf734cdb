"""What the report asks of a database: counts, the archive's own logs, references.

Inside ``verification.snapshot``: one state, and times in UTC. No value of a row leaves this module.
"""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import sql

from refactorkit.mapping.report import Counting, Questions
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.connection import Connection

_UTC: Final = "pg_catalog.to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


@dataclass(frozen=True, kw_only=True)
class TurnEvent:
    """One Up or Down of the refactor."""

    number: int
    direction: str
    version: int
    at: str
    by: str
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class PurgeEvent:
    """One destruction of what was kept."""

    number: int
    at: str
    before: str
    gives_up_rollback: bool
    basis: str
    approved_by: str
    by: str
    counts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class HoldEvent:
    """One hold, or the end of one."""

    number: int
    releases: int | None
    at: str
    by: str


@dataclass(frozen=True, kw_only=True)
class KeptEvidence:
    """One copy of a signed manifest that the archive has."""

    turn: int
    made_at: str
    envelope: bytes


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How the values of one column are spread.

    Attributes:
        octets: of all texts; None for what is no text.
    """

    rows: int
    nulls: int
    octets: int | None
    distinct: int


def turns(connection: Connection, name: str) -> tuple[TurnEvent, ...]:
    """Return every turn of a refactor, by number."""
    query = _log(
        "SELECT turn, direction, version, {at}, run_by, counts FROM {table} ORDER BY turn",
        f"{name}_turns",
    )
    return tuple(
        TurnEvent(number=turn, direction=direction, version=version, at=at, by=by, counts=counts)
        for turn, direction, version, at, by, counts in connection.execute(query).fetchall()
    )


def purges(connection: Connection, name: str) -> tuple[PurgeEvent, ...]:
    """Return what was destroyed, by number; none without such a log."""
    if not exists(connection, f"{name}_purges"):
        return ()
    query = _log(
        "SELECT purge, {at}, {before}, gives_up_rollback, basis, approved_by, run_by, counts"
        " FROM {table} ORDER BY purge",
        f"{name}_purges",
    )
    return tuple(
        PurgeEvent(
            number=number,
            at=at,
            before=before,
            gives_up_rollback=gives_up,
            basis=basis,
            approved_by=approved_by,
            by=by,
            counts=counts,
        )
        for number, at, before, gives_up, basis, approved_by, by, counts in connection.execute(
            query
        ).fetchall()
    )


def hold_events(connection: Connection, name: str) -> tuple[HoldEvent, ...]:
    """Return every hold and every end of one, by number; none without such a log."""
    if not exists(connection, f"{name}_holds"):
        return ()
    query = _log("SELECT hold, releases, {at}, said_by FROM {table} ORDER BY hold", f"{name}_holds")
    return tuple(
        HoldEvent(number=number, releases=releases, at=at, by=by)
        for number, releases, at, by in connection.execute(query).fetchall()
    )


def evidence_kept(connection: Connection, name: str) -> tuple[KeptEvidence, ...]:
    """Return the copies of all signed manifests, in the order they were made."""
    if not exists(connection, f"{name}_evidence"):
        return ()
    query = _log(
        "SELECT turn, {made_at}, envelope FROM {table} ORDER BY made_at, turn", f"{name}_evidence"
    )
    return tuple(
        KeptEvidence(turn=turn, made_at=at, envelope=bytes(envelope))
        for turn, at, envelope in connection.execute(query).fetchall()
    )


def distributions(
    connection: Connection, questions: Questions
) -> dict[tuple[int, bool], dict[int | None, int]]:
    """Return counts by class (None: no value), by place in ``questions.classes`` and is-before."""
    query = questions.distributions()
    found: dict[tuple[int, bool], dict[int | None, int]] = {}
    rows = connection.execute(query.encode()).fetchall() if query else []
    for place, is_before, number, count in rows:
        found.setdefault((place, is_before), {})[number] = count
    return found


def counted(connection: Connection, counting: Counting) -> Counted:
    """Count the values of one column."""
    row: Any = connection.execute(counting.facts.encode()).fetchone()
    distinct: Any = connection.execute(counting.distinct.encode()).fetchone()
    return Counted(rows=row[0], nulls=row[1], octets=row[2], distinct=distinct[0])


def sample(
    connection: Connection, questions: Questions, *, seed: str, people: int
) -> list[tuple[str, list[str]]]:
    """Draw some people: a reference, and a word for each column; none without salts."""
    query = questions.sample()
    if query is None or not exists(connection, f"{questions.mapping.name}_salts"):
        return []
    found = connection.execute(query.encode(), {"seed": seed, "people": people}).fetchall()
    return [(reference, list(words)) for reference, words in found]


def references(
    connection: Connection, questions: Questions, ids: list[str], *, of_source: bool
) -> dict[str, str]:
    """Return the references of people by their ids; those without a salt are left out."""
    if not ids or not exists(connection, f"{questions.mapping.name}_salts"):
        return {}
    query = questions.references(of_source=of_source)
    return dict(connection.execute(query.encode(), {"ids": ids}).fetchall())


def _log(query: LiteralString, table: str) -> sql.Composed:
    """Return a query of one of the archive's logs, with its times in UTC."""
    return sql.SQL(query).format(
        at=sql.SQL(_UTC.format("at")),
        before=sql.SQL(_UTC.format("before")),
        made_at=sql.SQL(_UTC.format("made_at")),
        table=sql.Identifier("archive", table),
    )


def living_subjects(connection: Connection, questions: Questions) -> int:
    """Return how many subjects are in the target."""
    row: Any = connection.execute(questions.living_subjects().encode()).fetchone()
    return int(row[0])


def linked(connection: Connection, questions: Questions) -> dict[str, tuple[int, int]]:
    """Return, for each table of links, its rows and those of them that have a person."""
    found = {}
    for table, query in questions.linked().items():
        row: Any = connection.execute(query.encode()).fetchone()
        found[table] = (row[0], row[1])
    return found
