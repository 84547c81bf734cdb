"""The command ``verify``."""

from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands import verify as use_case
from refactorkit.commands.verify import Verification, VerifyRequest, VerifyResult


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(verify)


def verify(
    ctx: typer.Context,
    *,
    allow_edits: Annotated[
        bool,
        typer.Option(
            "--allow-edits",
            help="Count what the application may have written since as edits, not as differences.",
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="How many differences of each check are listed.")
    ] = 20,
) -> None:
    """Compare archive, pairs and living tables, every row and column, through the mapping."""
    options = settings(ctx)
    request = VerifyRequest(dsn=require_dsn(options), allow_edits=allow_edits, limit=limit)
    with progress() as bar:
        task = bar.add_task("verify", total=None)
        result = use_case.verify(request, lambda name: bar.update(task, description=name))
    emit(options, use_case.document(result), lambda console: _text(console, result))
    raise typer.Exit(result.exit_code)


def _text(console: Console, result: VerifyResult) -> None:
    for found in result.refactors:
        _refactor(console, found, allow_edits=result.allow_edits)
    console.print(result.verdict.value.upper())


def _refactor(console: Console, found: Verification, *, allow_edits: bool) -> None:
    turn = found.turn
    console.print(f"{turn.name}: turn {turn.number}, {turn.direction.value}, at {turn.at}")
    if not found.outcomes:
        console.print(
            "Its mapping is of another version of refactorkit: nothing could be checked with this."
        )
        return
    rows = table("check", "rows", "differences", "")
    for outcome in found.outcomes:
        edits = allow_edits and outcome.is_edit
        word = "ok" if not outcome.differences else "edits" if edits else "FAIL"
        rows.add_row(outcome.name, f"{outcome.rows:,}", f"{outcome.differences:,}", word)
    console.print(rows)
    for outcome in found.outcomes:
        for d in outcome.listed:
            console.print(f"  {d.table} id {d.row_id or '-'} {d.column or '(row)'}: {d.what}")
        if outcome.differences > len(outcome.listed):
            console.print(f"  and {outcome.differences - len(outcome.listed):,} more: --limit")
    if found.erased:
        console.print(f"{found.erased:,} people were erased: neither verified nor missing.")
    without = ", ".join(f"{name} {count:,}" for name, count in found.unmapped.items() if count)
    if without:
        console.print(f"Values without an image, which come back as they were: {without}.")
