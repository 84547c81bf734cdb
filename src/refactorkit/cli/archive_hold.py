"""The command ``archive hold``."""

from typing import Annotated

import typer

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit
from refactorkit.commands import archive_hold as use_case
from refactorkit.commands.archive_hold import HoldRequest, HoldResult

Refactor = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which refactor, where the database has run several."),
]


def register(group: typer.Typer) -> None:
    """Add the command to its group."""
    # Ids below zero exist, and are no options.
    group.command(context_settings={"ignore_unknown_options": True})(hold)


def hold(
    ctx: typer.Context,
    *,
    patient_id: Annotated[
        int, typer.Argument(help="The id that the row has, or had, in the older version.")
    ],
    reason: Annotated[
        str,
        typer.Option(help="A case number or the like. Nothing about the person: it is kept."),
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who ordered it.")],
    release: Annotated[bool, typer.Option("--release", help="End a hold.")] = False,
    number: Annotated[
        int | None, typer.Option(min=1, help="With --release: which hold, where there are several.")
    ] = None,
    refactor: Refactor = None,
) -> None:
    """Put a subject under legal hold, which blocks erasure and purge; or end a hold."""
    options = settings(ctx)
    result = use_case.hold(
        HoldRequest(
            dsn=require_dsn(options),
            source_id=patient_id,
            reason=reason,
            said_by=by,
            release=release,
            number=number,
            refactor=refactor,
        )
    )
    emit(options, use_case.document(result), _sentence(result))


def _sentence(result: HoldResult) -> str:
    left = ", ".join(str(one.number) for one in result.in_force)
    if result.releases is None:
        return f"Hold {result.number} is on {result.source_id}. In force on it: {left}."
    still = f"Still in force on it: {left}." if left else "No other hold is on it."
    return f"Hold {result.releases} on {result.source_id} has ended. {still}"
