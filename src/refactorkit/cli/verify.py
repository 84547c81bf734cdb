"""The command ``verify``."""

from typing import Annotated, Final

import typer
from rich.console import Console

from refactorkit.cli import verify_rollback_view
from refactorkit.cli.context import Settings, require_dsn, settings
from refactorkit.cli.migrate import chain_of, names
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands import verify as use_case
from refactorkit.commands import verify_rollback as rollback_use_case
from refactorkit.commands.down import DownChoices, OnConflict
from refactorkit.commands.verify import Verification, VerifyRequest, VerifyResult
from refactorkit.commands.verify_rollback import RollbackRequest, RollbackResult
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.postgres.decisions import DecisionCount, total

_PANEL: Final = "With --rollback, as for down"


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
    rollback: Annotated[
        bool,
        typer.Option(
            "--rollback",
            help="Instead, say what Down would do now: counts, decisions, and what would stop it.",
        ),
    ] = False,
    custodian: Annotated[
        str | None,
        typer.Option(
            metavar="EMAIL",
            rich_help_panel=_PANEL,
            help="The user who takes over what has lost its owner.",
        ),
    ] = None,
    keep_logins: Annotated[
        bool,
        typer.Option(
            "--keep-logins",
            rich_help_panel=_PANEL,
            help="Leave users active who were created in the newer version.",
        ),
    ] = False,
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(
            rich_help_panel=_PANEL,
            help="Which side wins where both were changed. Without it, live.",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_PANEL,
            help="Overrule the guard of this name; may be repeated.",
        ),
    ] = None,
    run_by: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            rich_help_panel="With --rollback",
            help="The role that would run down. Without it, the one that is connected.",
        ),
    ] = None,
) -> None:
    """Compare archive, pairs and living tables, every row and column, through the mapping."""
    options = settings(ctx)
    choices = DownChoices(
        custodian=custodian,
        keep_logins=keep_logins,
        on_conflict=on_conflict,
        accept=names(accept or []),
    )
    if rollback:
        if allow_edits:
            raise UsageError(
                "--allow-edits and --rollback do not go together.",
                state=NOTHING_CHANGED,
                hint="--rollback counts edits: they are what Down carries home.",
            )
        result = _rollback(
            RollbackRequest(chain=chain_of(options), choices=choices, run_by=run_by), options
        )
        raise typer.Exit(result.exit_code)
    if choices != DownChoices() or run_by is not None:
        raise UsageError(
            "--custodian, --keep-logins, --on-conflict, --accept and --run-by need --rollback.",
            state=NOTHING_CHANGED,
            hint="They change what Down would do, and nothing of what is there now.",
        )
    _verify(VerifyRequest(dsn=require_dsn(options), allow_edits=allow_edits, limit=limit), options)


def _verify(request: VerifyRequest, options: Settings) -> None:
    with progress() as bar:
        task = bar.add_task("verify", total=None)
        result = use_case.verify(request, lambda name: bar.update(task, description=name))
    emit(options, use_case.document(result), lambda console: _text(console, result))
    raise typer.Exit(result.exit_code)


def _rollback(request: RollbackRequest, options: Settings) -> RollbackResult:
    with progress() as bar:
        task = bar.add_task("verify --rollback", total=None)
        result = rollback_use_case.verify_rollback(
            request, lambda name: bar.update(task, description=name)
        )
    emit(
        options,
        rollback_use_case.document(result),
        lambda console: verify_rollback_view.print_result(console, result),
    )
    return result


def _text(console: Console, result: VerifyResult) -> None:
    for found in result.refactors:
        _refactor(console, found, allow_edits=result.allow_edits)
    for schema in result.beside:
        console.print(
            f"Schema {schema}: the former version's application can work on (docs/v10.md)."
        )
    console.print(result.verdict.value.upper())


def _refactor(console: Console, found: Verification, *, allow_edits: bool) -> None:
    turn = found.turn
    console.print(f"{turn.name}: turn {turn.number}, {turn.direction.value}, at {turn.at}")
    if not found.outcomes:
        console.print(
            "Its mapping is of another version of refactorkit: nothing could be checked with this."
        )
        _decisions(console, found.decisions, found.all_decisions)
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
    _decisions(console, found.decisions, found.all_decisions)


def _decisions(
    console: Console, last: tuple[DecisionCount, ...], every: tuple[DecisionCount, ...]
) -> None:
    """Say how often a value gave way: in the last turn, and in all."""
    console.print(f"Decisions: {total(last):,} in the last turn, {total(every):,} in all.")
    if not every:
        return
    of_last = {(each.rule, each.place): each.count for each in last}
    rows = table("rule", "of", "last turn", "in all")
    for each in every:
        here = of_last.get((each.rule, each.place), 0)
        rows.add_row(each.rule, each.place, f"{here:,}", f"{each.count:,}")
    console.print(rows)
