"""The command ``rollback``."""

from pathlib import Path
from typing import Annotated, Final

import typer

from refactorkit.cli import operation_view as view
from refactorkit.cli.confirmation import (
    ExpectDatabase,
    ExpectEnvironment,
    ExpectSystemIdentifier,
    MaxLockMs,
    Yes,
    confirm_by,
    expectation,
)
from refactorkit.cli.context import settings
from refactorkit.cli.evidence_options import (
    Approver,
    EvidenceDir,
    NoEvidence,
    Operator,
    Requester,
    SigningKey,
    Ticket,
    evidence_request,
)
from refactorkit.cli.migrate import (
    LockTimeout,
    LockWait,
    Retries,
    TerminateAfter,
    chain_of,
    make_limits,
    names,
)
from refactorkit.cli.prepared import RollbackAction, one_action, run_prepared
from refactorkit.cli.render import emit
from refactorkit.commands import rollback as use_case
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS
from refactorkit.commands.down import OnConflict
from refactorkit.commands.operation.foresight import forecast_of_down
from refactorkit.postgres.lock_waits import DEFAULT_RETRIES

_ONLINE: Final = "While the application runs"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(rollback)


def rollback(
    ctx: typer.Context,
    *,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="Go back to this version; without it, to below the refactor."),
    ] = None,
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(help="Which side wins where both were changed. Without it, live."),
    ] = None,
    custodian: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="The user who takes over what has lost its owner."),
    ] = None,
    keep_logins: Annotated[
        bool,
        typer.Option(
            "--keep-logins", help="Leave users active who were created in the newer version."
        ),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Overrule the guard of this name; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Run all of it, with its locks, verify it, and roll it back.",
        ),
    ] = False,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            rich_help_panel=_ONLINE,
            help="Find out beside the running application which rows must be looked at: the locks "
            "are held for less long. Stopped, the same command begins anew.",
        ),
    ] = False,
    stage_only: Annotated[
        bool,
        typer.Option(
            "--stage-only",
            rich_help_panel=_ONLINE,
            help="All but the rollback, which down can do as well.",
        ),
    ] = False,
    abort: Annotated[
        bool,
        typer.Option(
            "--abort",
            rich_help_panel=_ONLINE,
            help="Take away what is prepared: the newer version is as it was.",
        ),
    ] = False,
    status: Annotated[
        bool,
        typer.Option(
            "--status", rich_help_panel=_ONLINE, help="Say what is prepared; change nothing."
        ),
    ] = False,
    yes: Yes = False,
    expect_database: ExpectDatabase = None,
    expect_environment: ExpectEnvironment = None,
    expect_system_identifier: ExpectSystemIdentifier = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare the locks with what plan --json wrote."),
    ] = None,
    key: SigningKey = None,
    evidence_dir: EvidenceDir = None,
    no_evidence: NoEvidence = False,
    ticket: Ticket = None,
    requester: Requester = None,
    approver: Approver = None,
    operator: Operator = None,
    max_lock_ms: MaxLockMs = None,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
    terminate_blockers_after: TerminateAfter = None,
) -> None:
    """Take the newest refactor back: ask, run, verify, report."""
    options = settings(ctx)
    limits = make_limits(
        lock_wait,
        lock_timeout_ms,
        retries,
        terminate_after=terminate_blockers_after,
        max_hold_ms=max_lock_ms,
    )
    wanted = {
        RollbackAction.STAGE: stage_only,
        RollbackAction.ABORT: abort,
        RollbackAction.STATUS: status,
    }
    if any(wanted.values()):
        run_prepared(
            options,
            chain_of(options),
            action=one_action(wanted, online=online, dry_run=dry_run),
            to=to,
            limits=limits,
            expect=expectation(expect_database, expect_environment, expect_system_identifier),
        )
    evidence = evidence_request(
        key,
        evidence_dir,
        left_out=no_evidence,
        ticket=ticket,
        requester=requester,
        approver=approver,
        operator=operator,
    )
    result = use_case.rollback(
        use_case.RollbackRequest(
            chain=chain_of(options),
            to=to,
            custodian=custodian,
            keep_logins=keep_logins,
            on_conflict=on_conflict,
            accept=names(accept or []),
            expect=expectation(expect_database, expect_environment, expect_system_identifier),
            confirm=None if dry_run else confirm_by(yes=yes, operation="rollback"),
            meter=forecast_of_down,
            rehearsal=dry_run,
            online=online,
            plan=plan,
            limits=limits,
            evidence=evidence,
        )
    )
    emit(options, view.document(result), lambda console: view.print_result(console, result))
    raise typer.Exit(result.exit_code)
