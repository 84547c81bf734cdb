"""The command ``archive purge``."""

import datetime as dt
from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.archive_hold import Refactor
from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, table
from refactorkit.commands import archive_purge as use_case
from refactorkit.commands.archive_purge import NO_ROLLBACK, PurgeRequest, PurgeResult
from refactorkit.errors import UsageError


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command()(purge)


def purge(
    ctx: typer.Context,
    *,
    before: Annotated[
        dt.datetime,
        typer.Option(
            formats=["%Y-%m-%d"], metavar="DATE", help="What was archived before this day, in UTC."
        ),
    ],
    basis: Annotated[str | None, typer.Option(help="Why it may be destroyed.")] = None,
    approved_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who approved it: not who runs it.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"{NO_ROLLBACK}: give up the rollback; the whole archive goes, and Down refuses.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be destroyed; destroy nothing.")
    ] = False,
    refactor: Refactor = None,
) -> None:
    """Destroy what was kept long enough and is needed no longer; the destruction is recorded.

    Rows of people under legal hold stay, and so does what the next Up or Down needs.
    """
    options = settings(ctx)
    unknown = set(accept or ()) - {NO_ROLLBACK}
    if unknown:
        raise UsageError(f"The only name that can be accepted here is {NO_ROLLBACK}.")
    result = use_case.purge(
        PurgeRequest(
            dsn=require_dsn(options),
            before=before.replace(tzinfo=dt.UTC),
            basis=basis,
            approved_by=approved_by,
            no_rollback=bool(accept),
            dry_run=dry_run,
            refactor=refactor,
        )
    )
    emit(options, use_case.document(result), lambda console: _text(console, result))


def _text(console: Console, result: PurgeResult) -> None:
    rows = table("table", "destroyed", "held", "still needed")
    for one in result.expired:
        rows.add_row(one.table, f"{one.destroyed:,}", f"{one.held:,}", f"{one.needed:,}")
    console.print(rows)
    if result.left_alone:
        console.print(f"Left alone, as not of this refactor: {', '.join(result.left_alone)}.")
    total = sum(one.destroyed for one in result.expired)
    if result.dry_run:
        console.print(f"Dry run: {total:,} rows would be destroyed.")
        return
    console.print(f"{total:,} rows were destroyed.")
    if result.number is not None:
        console.print(f"Recorded in archive.{result.refactor}_purges as {result.number}.")
    console.print("Not reached: backups, WAL, exports; dead rows until VACUUM.")
