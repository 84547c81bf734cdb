"""The command ``cutover``."""

from pathlib import Path
from typing import Annotated

import typer

from refactorkit.cli import operation_view as view
from refactorkit.cli.confirmation import (
    ExpectDatabase,
    ExpectEnvironment,
    MaxLockMs,
    Yes,
    confirm_by,
    expectation,
)
from refactorkit.cli.context import settings
from refactorkit.cli.migrate import (
    LockTimeout,
    LockWait,
    Retries,
    TerminateAfter,
    chain_of,
    make_limits,
    names,
)
from refactorkit.cli.render import emit
from refactorkit.commands import cutover as use_case
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS
from refactorkit.commands.operation.foresight import preflight_gate
from refactorkit.postgres.lock_waits import DEFAULT_RETRIES


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(cutover)


def cutover(
    ctx: typer.Context,
    *,
    to: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this version; without it, the newest refactor's."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Overrule the guard of this name; deletions: what was deleted since the last "
            "rollback may stay away. May be repeated.",
        ),
    ] = None,
    yes: Yes = False,
    expect_database: ExpectDatabase = None,
    expect_environment: ExpectEnvironment = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare the locks with what plan --json wrote."),
    ] = None,
    preflight: Annotated[
        bool,
        typer.Option(help="Ask every check of preflight before; the guards look in any case."),
    ] = True,
    max_lock_ms: MaxLockMs = None,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
    terminate_blockers_after: TerminateAfter = None,
) -> None:
    """Take the database to the newest refactor: ask, run, verify, report."""
    options = settings(ctx)
    accepted = names(accept or [])
    result = use_case.cutover(
        use_case.CutoverRequest(
            chain=chain_of(options),
            to=to,
            accept=accepted,
            expect=expectation(expect_database, expect_environment),
            confirm=confirm_by(yes=yes, operation="cutover"),
            gates=(preflight_gate(accepted),) if preflight else (),
            plan=plan,
            limits=make_limits(
                lock_wait,
                lock_timeout_ms,
                retries,
                terminate_after=terminate_blockers_after,
                max_hold_ms=max_lock_ms,
            ),
        )
    )
    emit(options, view.document(result), lambda console: view.print_result(console, result))
    raise typer.Exit(result.exit_code)
