"""The cutover while the application runs: its progress, its results, its questions."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from refactorkit.cli.context import Settings, settings
from refactorkit.cli.migrate import LockWait, chain_of, names
from refactorkit.cli.render import emit, progress
from refactorkit.commands import online
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS
from refactorkit.commands.compile_mapping import DEFAULT_MAPPING
from refactorkit.commands.online import (
    OnlineRequest,
    OnlineResult,
    OnlineStatus,
    Pacing,
    Progress,
)
from refactorkit.commands.online.model import DEFAULT_MAX_LOCK_MS, DEFAULT_RETRIES
from refactorkit.errors import UsageError

_QUESTION: Final = "Everything is ready. Switch now?"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("cutover-online")(cutover_online)


def cutover_online(
    ctx: typer.Context,
    *,
    mapping: Annotated[
        Path, typer.Option(help="The mapping that the migration was compiled from.")
    ] = DEFAULT_MAPPING,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Overrule the guard of this name; may be repeated."),
    ] = None,
    stage_only: Annotated[
        bool, typer.Option("--stage-only", help="Do everything but the switch.")
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Take away what is staged: version 10 is as it was.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say where the cutover is; change nothing.")
    ] = False,
    pause_before_switch: Annotated[
        bool,
        typer.Option("--pause-before-switch", help="Ask before the switch (on a terminal)."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare every row and column at the end.")
    ] = True,
    max_lock_ms: Annotated[
        int,
        typer.Option(min=1, help="Give up, and try again, rather than wait longer for locks."),
    ] = DEFAULT_MAX_LOCK_MS,
    retries: Annotated[int, typer.Option(min=0, help="How often to try again.")] = DEFAULT_RETRIES,
    rest: Annotated[
        float,
        typer.Option(min=0, help="Pause after a batch, as a multiple of the time that it took."),
    ] = Pacing().rest,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
) -> None:
    """Cut over while the application runs; stopped, the same command goes on."""
    if sum((stage_only, abort, status)) > 1:
        raise UsageError("--stage-only, --abort and --status exclude each other.")
    options = settings(ctx)
    request = OnlineRequest(
        chain=chain_of(options),
        mapping=mapping,
        accept=names(accept or []),
        max_lock_ms=max_lock_ms,
        retries=retries,
        lock_wait_seconds=lock_wait,
        pacing=Pacing(rest=rest),
    )
    if status:
        emit_status(options, online.status(request))
    elif abort:
        with reporting() as report:
            left = online.abort(request, report)
        emit_status(options, left)
    elif stage_only:
        with reporting() as report:
            left = online.stage(request, report)
        emit_status(options, left)
    else:
        run(options, request, ask=pause_before_switch, check=check)


def run(options: Settings, request: OnlineRequest, *, ask: bool, check: bool) -> None:
    """Run a whole online cutover, show how it goes, and exit by its verdict.

    Args:
        options: the global options.
        request: what to cut over.
        ask: wait for a yes before the switch.
        check: verify every row afterwards.

    Raises:
        UsageError: a question is to be asked, and there is nobody to answer.
        RefactorkitError: as ``online.cutover``.
    """
    if ask and not sys.stdin.isatty():
        raise UsageError(
            "--pause-before-switch asks on a terminal, and standard input is none.",
            hint="Use --stage-only, then run the command again to switch.",
        )
    with reporting() as report:
        result = online.cutover(request, report, confirm=_confirm if ask else None, check=check)
    emit(options, document(result), lambda console: _text(console, result))
    raise typer.Exit(result.exit_code)


@contextmanager
def reporting() -> Iterator[Callable[[Progress], None]]:
    """Show progress on standard error, on a terminal, for the length of a block."""
    with progress() as bar:
        task = bar.add_task("cutover", total=None)

        def report(now: Progress) -> None:
            rate = f", {now.rows_per_second:,.0f}/s" if now.rows_per_second else ""
            left = f", {now.seconds_left:,.0f} s left" if now.seconds_left else ""
            note = f": {now.note}" if now.note else ""
            bar.update(
                task,
                description=f"{now.phase}{note}{rate}{left}",
                completed=now.done,
                total=now.total,
            )

        yield report


def document(result: OnlineResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "verdict": result.verdict.value,
        "before": result.before,
        "after": result.after,
        "subjects_staged": result.subjects,
        "locked_ms": None if result.locked_ms is None else round(result.locked_ms, 1),
        "attempts": result.step.attempts if result.step else None,
        "notices": list(result.step.notices) if result.step else [],
    }


def emit_status(options: Settings, status: OnlineStatus) -> None:
    """Print where an online cutover is."""
    emit(
        options,
        {
            "version": status.version,
            "next": status.phase.value,
            "subjects_staged": status.subjects,
            "waiting": status.waiting,
            "unvalidated": list(status.unvalidated),
        },
        _status_text(status),
    )


def _status_text(status: OnlineStatus) -> str:
    parts = [f"The database is at version {status.version}; next: {status.phase}."]
    if status.subjects:
        parts.append(
            f"{status.subjects:,} inactive rows are staged, which the application can see and"
            " neither change nor log in as."
        )
    if status.waiting:
        parts.append(f"{status.waiting:,} rows were written since, and wait.")
    if status.unvalidated:
        parts.append(f"To be validated: {', '.join(status.unvalidated)}.")
    return " ".join(parts)


def _text(console: Console, result: OnlineResult) -> None:
    if result.step is None:
        console.print(f"The switch had happened before: version {result.after}.")
    else:
        console.print(
            f"From version {result.before} to {result.after}; {result.subjects:,} rows were staged."
            f" The tables were locked for {result.locked_ms:.0f} ms,"
            f" attempt {result.step.attempts}."
        )
        for notice in result.step.notices:
            console.print(notice)
    if result.verification is not None:
        console.print(f"verify: {result.verdict.value.upper()}")


def _confirm(status: OnlineStatus) -> bool:
    return typer.confirm(f"{_status_text(status)}\n{_QUESTION}", err=True)
