"""Say what the archive holds: how much, since when, who may read it, and what may go when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog

from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.guards import needed_tables
from refactorkit.mapping.keeping import Kept, kept
from refactorkit.mapping.verification import guards_check
from refactorkit.migrations.model import Direction
from refactorkit.postgres import (
    archive_catalog,
    archive_log,
    holds,
    operations,
    purging,
    server_errors,
)
from refactorkit.postgres.archive_catalog import ArchiveTable, Retention
from refactorkit.postgres.archive_log import Decisions, Span
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.holds import Hold
from refactorkit.postgres.operations import Operation
from refactorkit.postgres.refactors import Turn, last_turns
from refactorkit.postgres.verification import Outcome, run_check, snapshot

_OF_THE_CHAIN: Final = "of a migration file, or not of refactorkit"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One table of the archive, as the report shows it.

    Attributes:
        table: as the catalog and its rows say.
        holds: what is in it.
        versions: in which versions rows lie there; empty where that is not known.
        oldest: when its oldest row was written; None where rows do not say.
        newest: when its newest row was written.
    """

    table: ArchiveTable
    holds: str
    versions: tuple[int, ...]
    oldest: datetime | None
    newest: datetime | None


@dataclass(frozen=True, kw_only=True)
class Refactor:
    """One refactor's part of the archive.

    Attributes:
        turn: its last Up or Down.
        decisions: by rule; None where this program cannot read its mapping.
        tombstones: who was erased; None where there is no such log.
        holds: those in force.
        operations: exports, imports and hardening, by number.
        guards: what the check of the guards found; None where the mapping cannot be read.
        retention: what the database says.
        given_up: when the rollback was given up; None where it was not.
        stops: what would stop the way back, as far as a quick look shows.
    """

    turn: Turn
    decisions: tuple[Decisions, ...]
    tombstones: Span | None
    holds: tuple[Hold, ...]
    operations: tuple[Operation, ...]
    guards: Outcome | None
    retention: Retention
    given_up: datetime | None
    stops: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ArchiveStatus:
    """What the archive holds.

    Attributes:
        verdict: fail where something would stop the way back, incomplete where something could
            not be looked at.
        owner: of the schema.
        default_grantees: to whom default privileges would open new tables.
        superusers: how many of them can log in, and so read all of it.
        tables: all, by name.
        refactors: all that left a log, by name.
    """

    verdict: Verdict
    owner: str
    default_grantees: tuple[str, ...]
    superusers: int
    tables: tuple[Row, ...]
    refactors: tuple[Refactor, ...]


def archive_status(dsn: Dsn) -> ArchiveStatus:
    """Look at the whole archive in one snapshot; nothing is changed.

    Raises:
        RefusedError: there is no archive here.
        FailedError: the server refused or was lost.
    """
    doing = f"Looking at the archive of {dsn.describe()}"
    with (
        connected(dsn) as connection,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        snapshot(connection),
    ):
        status = look(connection, dsn)
    _log.info("archive.looked_at", verdict=status.verdict.value, count=len(status.tables))
    return status


def document(status: ArchiveStatus) -> dict[str, Any]:
    """Return the status as JSON can hold it."""
    return {
        "verdict": status.verdict.value,
        "owner": status.owner,
        "default_privileges_open_to": list(status.default_grantees),
        "superusers": status.superusers,
        "tables": [
            {
                "table": f"archive.{row.table.name}",
                "holds": row.holds,
                "versions": list(row.versions),
                "rows": row.table.rows,
                "bytes": row.table.size_bytes,
                "owner": row.table.owner,
                "readers": list(row.table.readers),
                "oldest": _iso(row.oldest),
                "newest": _iso(row.newest),
            }
            for row in status.tables
        ],
        "refactors": [
            {
                "name": one.turn.name,
                "turn": one.turn.number,
                "direction": one.turn.direction.value,
                "at": one.turn.at.isoformat(),
                "counts": one.turn.counts,
                "rollback_given_up": _iso(one.given_up),
                "retention": one.retention.text,
                "destroy_from": _iso(one.retention.until),
                "tombstones": _span(one.tombstones),
                "guards": {
                    "state": guards_state(one.guards),
                    "off": [
                        {"table": d.table, "what": d.what}
                        for d in (one.guards.listed if one.guards else ())
                    ],
                },
                "holds": [
                    {
                        "number": one_hold.number,
                        "source_id": one_hold.source_id,
                        "reason": one_hold.reason,
                        "by": one_hold.said_by,
                        "at": one_hold.at.isoformat(),
                    }
                    for one_hold in one.holds
                ],
                "operations": [
                    {
                        "number": each.number,
                        "kind": each.kind,
                        "at": each.at,
                        "by": each.run_by,
                        "transaction_id": each.transaction_id,
                        "digest": each.digest,
                        "facts": each.facts,
                    }
                    for each in one.operations
                ],
                "decisions": [
                    {
                        "rule": d.rule,
                        "table": d.table,
                        "column": d.column,
                        "count": d.count,
                        "oldest": d.oldest.isoformat(),
                        "newest": d.newest.isoformat(),
                    }
                    for d in one.decisions
                ],
                "stops": list(one.stops),
            }
            for one in status.refactors
        ],
    }


def look(connection: Connection, dsn: Dsn) -> ArchiveStatus:
    """Look as ``archive_status`` does, in a transaction that is open and pinned already.

    Raises:
        RefusedError: there is no archive here.
    """
    owner = archive_catalog.schema_owner(connection)
    turns = last_turns(connection) if owner is not None else ()
    if owner is None or not turns:
        raise RefusedError(
            f"There is no archive to look at: no refactor has run on {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    tables = archive_catalog.tables(connection)
    refactors = tuple(_refactor(connection, turn, tables) for turn in turns)
    return ArchiveStatus(
        verdict=_verdict(tables, refactors),
        owner=owner,
        default_grantees=archive_catalog.default_grantees(connection),
        superusers=archive_catalog.superusers(connection),
        tables=tuple(_row(connection, table, turns) for table in tables),
        refactors=refactors,
    )


def _row(connection: Connection, table: ArchiveTable, turns: Iterable[Turn]) -> Row:
    for turn in turns:
        for one in kept(turn.mapping) if turn.mapping else ():
            if one.table == table.name:
                oldest, newest = _span_of(connection, table, one, turn)
                return Row(
                    table=table,
                    holds=one.holds,
                    versions=one.versions,
                    oldest=oldest,
                    newest=newest,
                )
    return Row(table=table, holds=_OF_THE_CHAIN, versions=(), oldest=None, newest=None)


def _span_of(
    connection: Connection, table: ArchiveTable, one: Kept, turn: Turn
) -> tuple[datetime | None, datetime | None]:
    if one.is_moved:  # as a whole, by the last turn
        return turn.at, turn.at
    if one.turn is None or one.turn not in table.columns or table.rows is None:
        return None, None
    return archive_catalog.turns_of(connection, table.name, one.turn, f"{turn.name}_turns")


def _refactor(connection: Connection, turn: Turn, tables: tuple[ArchiveTable, ...]) -> Refactor:
    given_up = purging.given_up(connection, turn.name)
    return Refactor(
        turn=turn,
        decisions=archive_log.decisions(connection, turn.name),
        tombstones=archive_log.span(connection, f"{turn.name}_tombstones"),
        holds=holds.holds(connection, turn.name),
        operations=operations.operations(connection, turn.name),
        guards=run_check(connection, guards_check(turn.mapping, turn.direction), limit=20)
        if turn.mapping
        else None,
        retention=archive_catalog.retention(connection, turn.at),
        given_up=given_up,
        stops=() if given_up else _stops(turn, tables),
    )


def _stops(turn: Turn, tables: tuple[ArchiveTable, ...]) -> tuple[str, ...]:
    """Return what a quick look finds; ``verify --rollback`` looks at everything."""
    mapping = turn.mapping
    if mapping is None:
        return ("its mapping is of another version of refactorkit",)
    names = {table.name for table in tables}
    needed = [table.removeprefix("archive.") for table in needed_tables(mapping)]
    if turn.direction is Direction.UP:
        needed.append(mapping.source.table)
    else:
        needed += [table.table for table in mapping.table]
    return tuple(f"archive.{name} is gone" for name in needed if name not in names)


def _verdict(tables: tuple[ArchiveTable, ...], refactors: tuple[Refactor, ...]) -> Verdict:
    if any(one.stops or (one.guards and one.guards.differences) for one in refactors):
        return Verdict.FAIL
    unreadable = any(table.rows is None for table in tables)
    unset = any(one.retention.text and one.retention.until is None for one in refactors)
    return Verdict.INCOMPLETE if unreadable or unset else Verdict.PASS


def guards_state(guards: Outcome | None) -> str:
    """Return "on", "partly", "none", or "not known"."""
    if guards is None:
        return "not known"
    if guards.differences:
        return "partly"
    return "on" if guards.rows else "none"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _span(span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {"count": span.count, "oldest": _iso(span.oldest), "newest": _iso(span.newest)}
