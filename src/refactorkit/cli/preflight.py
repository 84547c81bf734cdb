"""The command ``preflight``."""

import os
from typing import Annotated

import typer

from refactorkit.cli import preflight_view as view
from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, progress
from refactorkit.commands import preflight as use_case
from refactorkit.commands.chain import Chain
from refactorkit.commands.preflight import Expectations, PreflightRequest
from refactorkit.commands.preflight.scene import DEFAULT_TIMEOUT_SECONDS


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(preflight)


def preflight(
    ctx: typer.Context,
    *,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Overrule the finding that names this; may be repeated."),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE", help="The role that will run Up; without it, the one that looks."
        ),
    ] = None,
    expect_database: Annotated[
        str | None,
        typer.Option("--expect-database", metavar="NAME", help="Its name; another is a no-go."),
    ] = None,
    expect_environment: Annotated[
        str | None,
        typer.Option(
            "--expect-environment",
            metavar="NAME",
            help="Its marker, set by ALTER DATABASE ... SET refactorkit.environment.",
        ),
    ] = None,
    expect_system_identifier: Annotated[
        int | None,
        typer.Option(
            "--expect-system-identifier",
            metavar="N",
            help="The cluster's, as pg_controldata prints it.",
        ),
    ] = None,
    sample: Annotated[
        bool,
        typer.Option(
            "--sample/--no-sample",
            help="Time some thousand rows in temporary tables, rolled back, to predict Up's.",
        ),
    ] = True,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="How long one question may take."),
    ] = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Say go or no-go for Up of the next refactor, with reasons; nothing is changed."""
    options = settings(ctx)
    request = PreflightRequest(
        chain=Chain(
            dsn=require_dsn(options),
            directory=options.directory,
            table=options.table,
            environ=os.environ,
        ),
        accept=tuple(
            name.strip() for each in accept or [] for name in each.split(",") if name.strip()
        ),
        runner=runner,
        expect=Expectations(
            database=expect_database,
            environment=expect_environment,
            system_identifier=expect_system_identifier,
        ),
        sample=sample,
        timeout_seconds=timeout,
    )
    with progress() as bar:
        task = bar.add_task("preflight", total=None)
        result = use_case.preflight(request, lambda name: bar.update(task, description=name))
    emit(options, view.document(result), lambda console: view.print_text(console, result))
    raise typer.Exit(result.exit_code)
