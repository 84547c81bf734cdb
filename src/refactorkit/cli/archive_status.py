"""The command ``archive status``."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, table
from refactorkit.commands import archive_status as use_case
from refactorkit.commands.archive_status import ArchiveStatus, Refactor
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command()(status)


def status(
    ctx: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit 3 where something is wrong, or could not be looked at."),
    ] = False,
) -> None:
    """Show what is kept: rows, bytes, since when, who may read it, what may be destroyed when."""
    options = settings(ctx)
    found = use_case.archive_status(require_dsn(options))
    emit(options, use_case.document(found), lambda console: _text(console, found))
    if check and found.verdict is not Verdict.PASS:
        raise typer.Exit(RefusedError.exit_code)


def _text(console: Console, found: ArchiveStatus) -> None:
    rows = table("table", "rows", "bytes", "oldest", "newest", "version", "readers", "holds")
    for row in found.tables:
        rows.add_row(
            row.table.name,
            "not readable" if row.table.rows is None else f"{row.table.rows:,}",
            f"{row.table.size_bytes:,}",
            _day(row.oldest),
            _day(row.newest),
            ", ".join(str(version) for version in row.versions),
            ", ".join(row.table.readers),
            row.holds,
        )
    console.print(rows)
    console.print(
        f"Owner of the schema: {found.owner}. Superusers, who read all of it: {found.superusers}."
    )
    if found.default_grantees:
        names = ", ".join(found.default_grantees)
        console.print(f"Default privileges would open new tables to: {names}.")
    for one in found.refactors:
        _refactor(console, one)
    console.print("What would stop a rollback, at length: refactorkit verify --rollback.")
    console.print(found.verdict.value.upper())


def _refactor(console: Console, one: Refactor) -> None:
    turn = one.turn
    console.print(f"{turn.name}: turn {turn.number}, {turn.direction.value}, at {turn.at}")
    if one.retention.text is None:
        console.print(
            "  retention: not set (ALTER DATABASE … SET refactorkit.retention = '6 years')"
        )
    elif one.retention.until is None:
        console.print("  retention: refactorkit.retention is not like '6 years' or '2190 days'")
    else:
        console.print(
            f"  retention: {one.retention.text}; may be destroyed from {_day(one.retention.until)}"
        )
    console.print(f"  guards: {use_case.guards_state(one.guards)}")
    for off in one.guards.listed if one.guards else ():
        console.print(f"    {off.table}: {off.what}")
    if one.tombstones is not None:
        console.print(f"  erased: {one.tombstones.count:,}")
    for hold in one.holds:
        console.print(
            f"  hold {hold.number}: on {hold.source_id}, since {_day(hold.at)},"
            f" by {hold.said_by}: {hold.reason}"
        )
    for each in one.operations:
        console.print(f"  operation {each.number}: {each.kind}, {each.at[:10]}, by {each.run_by}")
    for d in one.decisions:
        place = f"{d.table}.{d.column}" if d.column else d.table
        span = f"{_day(d.oldest)} to {_day(d.newest)}"
        console.print(f"  decisions: {d.count:,} of {d.rule!r}, {place}, {span}")
    if one.given_up is not None:
        console.print(f"  the rollback was given up on {_day(one.given_up)}: Down refuses")
    for stop in one.stops:
        console.print(f"  stops the way back: {stop}")


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d}"
