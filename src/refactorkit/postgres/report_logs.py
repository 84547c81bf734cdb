"""What the archive's own logs say of turns, purges, holds and evidence, for the report.

Inside ``verification.snapshot``: one state, and times in UTC.
"""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import sql

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


def _log(query: LiteralString, table: str) -> sql.Composed:
    """Return a query of one of the archive's logs, with its times in UTC."""
    return sql.SQL(query).format(
        at=sql.SQL(_UTC.format("at")),
        before=sql.SQL(_UTC.format("before")),
        made_at=sql.SQL(_UTC.format("made_at")),
        table=sql.Identifier("archive", table),
    )
