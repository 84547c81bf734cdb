"""The command ``drill``."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import Settings, optional_dsn, settings
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands import drill as use_case
from refactorkit.commands.drill import DEFAULT_PATIENTS, DrillRequest, DrillResult, StepResult
from refactorkit.commands.seed import MOST_PATIENTS
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import UsageError
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(drill)


def drill(
    ctx: typer.Context,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URL",
            help="Drill on a copy of this database, made beside it and dropped afterwards; it is "
            "only read. Without it, on made-up data.",
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_PATIENTS,
            show_default=str(DEFAULT_PATIENTS),
            help="How many patients are made up.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", help="Another number gives other data and other writes."),
    ] = 1,
    awkward: Annotated[
        bool,
        typer.Option(
            help="Mix values into made-up data that break software: odd texts, NaN, infinite "
            "times, colliding ids."
        ),
    ] = True,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Overrule the guard of this name; may be repeated."),
    ] = None,
    restore_as: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="With --from: whose rights the copy is restored and drilled with. Without it the "
            "user's own, and for a superuser those of the database's owner.",
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the throwaway database on the server, to look into it."),
    ] = False,
    programs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            file_okay=False,
            help="Where pg_dump and pg_restore are. Without it, those of the embedded server.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="How many differences of each step are listed.")
    ] = 20,
) -> None:
    """Rehearse cutover, writes, rollback and cutover on a throwaway database; compare all of it.

    On an embedded PostgreSQL server. With --database-url, or one of its variables, the throwaway
    database is made beside that database instead, which is not looked at. With --from it holds a
    copy of the one that is named.
    """
    options = settings(ctx)
    if source is not None and patients is not None:
        raise UsageError("--patients is about made-up data, and --from brings its own.")
    server = optional_dsn(options) if source is None else None
    if source is None and restore_as is not None:
        raise UsageError("--restore-as is about a copy: it needs --from.")
    if source is None and server is None and keep:
        raise UsageError(
            "--keep needs a server that stays: the embedded one ends with the drill.",
            hint="Start one with refactorkit postgres start, and name it with --database-url.",
        )
    request = DrillRequest(
        directory=options.directory,
        table=options.table,
        environ=os.environ,
        copy_of=None if source is None else Dsn.parse(source),
        server=server,
        patients=DEFAULT_PATIENTS if patients is None else patients,
        seed=seed,
        awkward=awkward,
        accept=tuple(accept or ()),
        restore_as=restore_as,
        keep=keep,
        programs=Programs(directory=programs),
        limit=limit,
    )
    _run(options, request)


def _run(options: Settings, request: DrillRequest) -> None:
    with _ending_tidily(), progress() as bar:
        task = bar.add_task("drill", total=len(use_case.plan(request)) + 1)
        begun = 0

        def report(title: str) -> None:
            nonlocal begun
            bar.update(task, description=title, completed=begun)
            begun += 1

        result = use_case.drill(request, report)
    emit(options, use_case.document(result), lambda console: _text(console, result))
    raise typer.Exit(result.exit_code)


@contextlib.contextmanager
def _ending_tidily() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a block as Ctrl-C does: what was made is removed first."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread alone
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _text(console: Console, result: DrillResult) -> None:
    place = result.place
    where = f"a database beside {place.source}" if place.source else "an embedded server"
    console.print(f"PostgreSQL {place.version}, {where}.")
    rows = table("step", "rows", "columns", "seconds", "verdict")
    for column in rows.columns[1:4]:
        column.justify = "right"
    for step in result.steps:
        outcome = step.outcome
        if step.reason == use_case.NOT_RUN:
            rows.add_row(step.title, "", "", "", "not run")
            continue
        rows.add_row(
            step.title,
            f"{outcome.rows:,}",
            f"{outcome.columns:,}" if outcome.columns else "",
            f"{step.seconds:.2f}",
            _word(step),
        )
    console.print(rows)
    for step in result.steps:
        _details(console, step)
    if result.not_in_data:
        console.print(f"No occasion in this data for: {', '.join(result.not_in_data)}.")
    if place.kept:
        console.print(f"The database {place.database} was kept. Drop it when you are done.")
    console.print(_closing(result), soft_wrap=True)


def _word(step: StepResult) -> str:
    return "ok" if step.verdict is Verdict.PASS else step.verdict.value.upper()


def _details(console: Console, step: StepResult) -> None:
    """Print what is behind a verdict that is not a pass."""
    if step.verdict is Verdict.PASS or step.reason == use_case.NOT_RUN:
        return
    outcome = step.outcome
    reason = step.reason or f"{outcome.differences:,} differences"
    console.print(f"{step.title}: {reason}", soft_wrap=True)
    for each in outcome.listed:
        place = f"{each.table} id {each.row_id}" if each.row_id else each.table
        column = f" {each.column}" if each.column else ""
        console.print(f"  {place}{column}: {each.what}", soft_wrap=True)
    if outcome.differences > len(outcome.listed):
        console.print(f"  and {outcome.differences - len(outcome.listed):,} more: --limit")


def _closing(result: DrillResult) -> str:
    counts = result.counts
    seconds = sum(step.seconds for step in result.steps)
    parts = []
    if "patients" in counts:
        parts.append(
            f"{counts['patients_as_users']:,} of {counts['patients']:,} patients became users, "
            f"{counts['assessments_at_home']:,} of {counts['assessments_with_a_person']:,} "
            f"assessments kept their person"
        )
    if result.writes:
        parts.append(f"{sum(result.writes.values()):,} writes went back and forth")
    parts.append(
        f"{counts['rows_compared']:,} rows compared, {counts['differences']:,} differences"
    )
    return f"{result.verdict.value.upper()}: {'; '.join(parts)}; {seconds:.1f} s."
