"""The command ``archive harden``."""

from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, recorded, table
from refactorkit.commands import archive_harden as use_case
from refactorkit.commands.archive_harden import HardenRequest, HardenResult, Step
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command()(harden)


def harden(
    ctx: typer.Context,
    *,
    off: Annotated[bool, typer.Option("--off", help="Take roles and guards away again.")] = False,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_owner",
            show_default="DATABASE_archive_owner",
            help="The archive's owner to be; NAME_reader and NAME_eraser go with it.",
        ),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            show_default="the archive's present owner",
            help="Who runs the migrations: the owner's only member.",
        ),
    ] = None,
    skip: Annotated[
        list[Step] | None, typer.Option(help="Do without this step; may be repeated.")
    ] = None,
) -> None:
    """Give the archive an owner nobody logs in as, a reader, an eraser, and guards.

    Guards refuse UPDATE, DELETE and TRUNCATE in the archive, and DROP and ALTER of it, outside of
    Up, Down and the archive's own commands. Exit 3 where this user has no right to some of it.
    What was done, and what could not be, is recorded in the archive.
    """
    options = settings(ctx)
    result = use_case.harden(
        HardenRequest(
            dsn=require_dsn(options),
            owner=owner,
            runner=runner,
            skip=frozenset(skip or ()),
            off=off,
        )
    )
    emit(options, use_case.document(result), lambda console: _text(console, result))
    if result.verdict is not Verdict.PASS:
        raise typer.Exit(RefusedError.exit_code)


def _text(console: Console, result: HardenResult) -> None:
    rows = table("step", "outcome", "reason")
    for done in result.steps:
        rows.add_row(done.step.value, done.outcome, done.reason)
    console.print(rows)
    roles = result.roles
    has_roles = any(done.step is Step.ROLES and done.outcome == "done" for done in result.steps)
    console.print(f"Runner: {result.runner}.")
    if has_roles and result.off:
        console.print(f"The archive belongs to {result.runner} again.")
    elif has_roles:
        console.print(f"The archive belongs to {roles.owner}.")
        console.print(f"Let people read with GRANT {roles.reader}, erase with {roles.eraser}.")
    recorded(console, result.recorded)
    console.print(result.verdict.value.upper())
