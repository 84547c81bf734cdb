"""The command ``cutover``."""

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
from refactorkit.cli.former import drop_former_version
from refactorkit.cli.migrate import (
    LockTimeout,
    LockWait,
    Retries,
    TerminateAfter,
    chain_of,
    make_limits,
    names,
)
from refactorkit.cli.online import Action, refuse_mixed, run_online
from refactorkit.cli.render import emit
from refactorkit.commands import cutover as use_case
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS
from refactorkit.commands.online import OnlineRequest, Pacing
from refactorkit.commands.online.model import DEFAULT_MAX_LOCK_MS
from refactorkit.commands.operation.foresight import preflight_gate
from refactorkit.postgres.lock_waits import DEFAULT_RETRIES

_ONLINE: Final = "While the application runs"
_MB: Final = 2**20
_FORMER: Final = "Version 10's application after the switch"


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
    expect_system_identifier: ExpectSystemIdentifier = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare the locks with what plan --json wrote."),
    ] = None,
    preflight: Annotated[
        bool,
        typer.Option(help="Ask every check of preflight before; the guards look in any case."),
    ] = True,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            rich_help_panel=_ONLINE,
            help="Stage everything beside the running application; the switch locks for a moment. "
            "Stopped, the same command goes on.",
        ),
    ] = False,
    stage_only: Annotated[
        bool,
        typer.Option("--stage-only", rich_help_panel=_ONLINE, help="All but the switch."),
    ] = False,
    pause_before_switch: Annotated[
        bool,
        typer.Option(
            "--pause-before-switch",
            rich_help_panel=_ONLINE,
            help="Ask, on a terminal, once everything is ready.",
        ),
    ] = False,
    abort: Annotated[
        bool,
        typer.Option(
            "--abort",
            rich_help_panel=_ONLINE,
            help="Take away what is staged: the older version is as it was.",
        ),
    ] = False,
    status: Annotated[
        bool,
        typer.Option("--status", rich_help_panel=_ONLINE, help="Say where it is; change nothing."),
    ] = False,
    rest: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="TIMES",
            rich_help_panel=_ONLINE,
            help="Pause after a batch of subjects, as a multiple of the time that it took.",
        ),
    ] = Pacing().rest,
    replica_lag_mb: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="MB",
            rich_help_panel=_ONLINE,
            help="Pause while a replica has more of the log than this to replay.",
        ),
    ] = Pacing().replica_lag_bytes // _MB,
    key: SigningKey = None,
    evidence_dir: EvidenceDir = None,
    no_evidence: NoEvidence = False,
    ticket: Ticket = None,
    requester: Requester = None,
    approver: Approver = None,
    operator: Operator = None,
    keep_v10: Annotated[
        bool,
        typer.Option(
            "--keep-v10",
            rich_help_panel=_FORMER,
            help="Make schema v10 with the switch: through search_path v10,public the application "
            "of version 10 reads and writes on.",
        ),
    ] = False,
    drop_v10: Annotated[
        bool,
        typer.Option(
            "--drop-v10",
            rich_help_panel=_FORMER,
            help="Take schema v10 away; nothing else is done.",
        ),
    ] = False,
    max_lock_ms: MaxLockMs = None,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
    terminate_blockers_after: TerminateAfter = None,
) -> None:
    """Take the database to the newest refactor: ask, run, verify, report."""
    options = settings(ctx)
    evidence = evidence_request(
        key,
        evidence_dir,
        left_out=no_evidence,
        ticket=ticket,
        requester=requester,
        approver=approver,
        operator=operator,
    )
    accepted = names(accept or [])
    gates = (preflight_gate(accepted),) if preflight else ()
    if drop_v10:
        drop_former_version(
            options,
            {
                "--keep-v10": keep_v10,
                "--online": online or stage_only or pause_before_switch or abort or status,
                "--to": to is not None,
                "--plan": plan is not None,
            },
            make_limits(lock_wait, lock_timeout_ms, retries, terminate_after=None),
        )
    if online or stage_only or pause_before_switch or abort or status:
        wanted = {
            Action.STAGE: stage_only, Action.ABORT: abort, Action.STATUS: status,
        }  # fmt: skip
        refuse_mixed(
            online=online,
            wanted=wanted,
            offline={
                "--to": to is not None,
                "--plan": plan is not None,
                "--lock-timeout-ms": lock_timeout_ms is not None,
                "--terminate-blockers-after": terminate_blockers_after is not None,
            },
        )
        run_online(
            options,
            OnlineRequest(
                chain=chain_of(options),
                accept=accepted,
                max_lock_ms=max_lock_ms or DEFAULT_MAX_LOCK_MS,
                retries=retries,
                lock_wait_seconds=lock_wait,
                pacing=Pacing(rest=rest, replica_lag_bytes=replica_lag_mb * _MB),
                evidence=evidence,
                keep_former=keep_v10,
                gates=gates,
            ),
            action=next((action for action, given in wanted.items() if given), Action.CUTOVER),
            expect=expectation(expect_database, expect_environment, expect_system_identifier),
            confirm=None if status or abort else confirm_by(yes=yes, operation="cutover"),
            pause=pause_before_switch,
        )
    result = use_case.cutover(
        use_case.CutoverRequest(
            chain=chain_of(options),
            to=to,
            accept=accepted,
            expect=expectation(expect_database, expect_environment, expect_system_identifier),
            confirm=confirm_by(yes=yes, operation="cutover"),
            gates=gates,
            plan=plan,
            keep_former=keep_v10,
            limits=make_limits(
                lock_wait,
                lock_timeout_ms,
                retries,
                terminate_after=terminate_blockers_after,
                max_hold_ms=max_lock_ms,
            ),
            evidence=evidence,
        )
    )
    emit(options, view.document(result), lambda console: view.print_result(console, result))
    raise typer.Exit(result.exit_code)
