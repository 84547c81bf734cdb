"""The cutover while the application runs: its progress, its results, its questions."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NoReturn

import typer
from rich.console import Console

from refactorkit.cli.context import Settings
from refactorkit.cli.evidence_options import document as evidence_document
from refactorkit.cli.render import emit, progress
from refactorkit.commands import online
from refactorkit.commands.online import (
    OnlineRequest,
    OnlineResult,
    OnlineStatus,
    Progress,
)
from refactorkit.commands.online.introduction import introduce
from refactorkit.commands.operation.model import Confirm, Expectation
from refactorkit.errors import UsageError

_QUESTION: Final = "Everything is ready. Switch now?"


class Action(StrEnum):
    """What is asked of an online cutover."""

    CUTOVER = "cutover"
    STAGE = "--stage-only"
    ABORT = "--abort"
    STATUS = "--status"


def refuse_mixed(
    *, online: bool, wanted: Mapping[Action, bool], offline: Mapping[str, bool]
) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: which they are.
    """
    if not online:
        raise UsageError("--stage-only, --pause-before-switch, --abort and --status need --online.")
    if sum(wanted.values()) > 1:
        raise UsageError("--stage-only, --abort and --status exclude each other.")
    given = [name for name, is_given in offline.items() if is_given]
    if given:
        raise UsageError(f"{' and '.join(given)} cannot be had with --online.")


def run_online(
    options: Settings,
    request: OnlineRequest,
    *,
    action: Action,
    expect: Expectation,
    confirm: Confirm | None,
    pause: bool,
) -> NoReturn:
    """Do what is asked, show how it goes, and exit by its verdict.

    Args:
        options: the global options.
        request: what to cut over.
        action: how much of it.
        expect: which database is meant.
        confirm: asks the operator before anything; None: they have said yes already.
        pause: ask once more before the switch.

    Raises:
        UsageError: a question is to be asked, and there is nobody to answer.
        RefactorkitError: as the use cases.
    """
    if pause and not sys.stdin.isatty():
        raise UsageError(
            "--pause-before-switch asks on a terminal, and standard input is none.",
            hint="Use --stage-only, then run the command again to switch.",
        )
    introduce(request, expect, confirm, goes_on=action in {Action.CUTOVER, Action.STAGE})
    if action is Action.CUTOVER:
        with reporting() as report:
            result = online.cutover(request, report, confirm=_confirm if pause else None)
        emit(options, document(result), lambda console: _text(console, result))
        raise typer.Exit(result.exit_code)
    if action is Action.STATUS:
        status = online.status(request)
    else:
        act = online.abort if action is Action.ABORT else online.stage
        with reporting() as report:
            status = act(request, report)
    emit_status(options, status)
    raise typer.Exit


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
        "started_at": result.started_at.isoformat(timespec="seconds"),
        "before": result.before,
        "after": result.after,
        "subjects_staged": result.subjects,
        "locked_at": None
        if result.locked_at is None
        else result.locked_at.isoformat(timespec="milliseconds"),
        "locked_ms": None if result.locked_ms is None else round(result.locked_ms, 1),
        "attempts": result.step.attempts if result.step else None,
        "notices": list(result.step.notices) if result.step else [],
        "evidence": [evidence_document(each) for each in result.evidence],
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
        parts.append(f"Up to {status.waiting:,} rows were written since, and wait.")
    if status.unvalidated:
        parts.append(f"To be validated: {', '.join(status.unvalidated)}.")
    return " ".join(parts)


def _text(console: Console, result: OnlineResult) -> None:
    if result.step is None:
        console.print(f"The switch had happened before: version {result.after}.")
    else:
        console.print(
            f"From version {result.before} to {result.after}; {result.subjects:,} rows were staged."
            f" The tables were locked for {result.locked_ms:.0f} ms at most{_since(result)},"
            f" attempt {result.step.attempts}."
        )
        for notice in result.step.notices:
            console.print(notice)
    if result.verification is not None:
        console.print(f"verify: {result.verification.verdict.value.upper()}")
    for each in result.evidence:
        console.print(each.sentence, soft_wrap=True)


def _since(result: OnlineResult) -> str:
    """Say from when on the tables were locked: whoever reads the application's log looks there."""
    if result.locked_at is None:
        return ""
    return f", from {result.locked_at.isoformat(sep=' ', timespec='milliseconds')} on"


def _confirm(status: OnlineStatus) -> bool:
    return typer.confirm(f"{_status_text(status)}\n{_QUESTION}", err=True)
