"""The command ``plan``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from refactorkit.cli.context import settings
from refactorkit.cli.migrate import chain_of, names
from refactorkit.cli.render import emit, table
from refactorkit.commands.down import OnConflict
from refactorkit.commands.plan import PlanRequest, PlanResult
from refactorkit.commands.plan import plan as make_plan
from refactorkit.commands.plan.model import PlannedStatement, PlannedStep
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dumping import Programs


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(plan)


def plan(
    ctx: typer.Context,
    *,
    direction: Annotated[Direction, typer.Argument(help="Which way.")] = Direction.UP,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="To this version; without it, all that is pending, or one back."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="As for up; may be repeated."),
    ] = None,
    custodian: Annotated[str | None, typer.Option(metavar="EMAIL", help="As for rollback.")] = None,
    on_conflict: Annotated[OnConflict | None, typer.Option(help="As for rollback.")] = None,
    observe: Annotated[
        bool,
        typer.Option(
            help="Try the statements out on an empty copy of the schema, on a private server; "
            "without that, the locks are those of PostgreSQL's manual."
        ),
    ] = True,
    programs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            file_okay=False,
            help="Where pg_dump and pg_restore are. Without it, those of the embedded server.",
        ),
    ] = None,
) -> None:
    """Show each statement of the way, its locks, whom they stop, and its rows; run nothing."""
    options = settings(ctx)
    given = {
        "refactorkit.accept": ",".join(names(accept or [])) or None,
        "refactorkit.custodian": custodian,
        "refactorkit.on_conflict": on_conflict,
    }
    result = make_plan(
        PlanRequest(
            chain=chain_of(options),
            direction=direction,
            to=to,
            settings={name: str(value) for name, value in given.items() if value is not None},
            observe=observe,
            programs=Programs(directory=programs),
        )
    )
    emit(options, document(result), lambda console: _print(console, result))


def document(result: PlanResult) -> dict[str, Any]:
    """Return the plan as JSON can hold it; ``cutover --plan`` reads it again."""
    return {
        "before": result.before,
        "after": result.after,
        "locks": "observed on a copy" if result.observed_on else "from the manual",
        "observed_on": result.observed_on,
        "server_version": result.server_version,
        "why_not_observed": result.why_not or None,
        "refused": result.refusal or None,
        "steps": [
            {
                "file": step.file,
                "direction": step.direction,
                "sha256": step.checksum,
                "transaction": step.transaction,
                "statements": [_statement(each) for each in step.statements],
                "strongest_locks": [
                    {"table": name, "mode": mode, "blocks": mode.blocks}
                    for name, mode in step.strongest()
                ],
            }
            for step in result.steps
        ],
    }


def _statement(each: PlannedStatement) -> dict[str, Any]:
    return {
        "line": each.line,
        "begins": each.begins,
        "locks": None
        if each.locks is None
        else [
            {
                "table": lock.table,
                "mode": lock.mode,
                "adds": lock.adds,
                "blocks": lock.mode.blocks,
            }
            for lock in each.locks
        ],
        "possible_locks": [
            {"table": name, "mode": mode, "blocks": mode.blocks}
            for name, mode in each.possible_locks
        ],
        "table": each.table or None,
        "table_rows": each.table_rows,
        "rows": each.rows,
    }


def _print(console: Console, result: PlanResult) -> None:
    if not result.steps:
        console.print(f"Nothing to do: the database is at version {result.before}.")
        return
    for step in result.steps:
        _print_step(console, step)
    if result.observed_on:
        console.print(
            f"Locks observed on a copy: PostgreSQL {result.observed_on}, the schema of this"
            f" database (PostgreSQL {result.server_version}), no rows.",
            soft_wrap=True,
        )
    else:
        console.print(
            f"Locks from PostgreSQL's manual, not observed: {result.why_not} What DO blocks,"
            " triggers and cascades lock is not in it.",
            soft_wrap=True,
        )
    if result.refusal:
        console.print(f"On the copy: {result.refusal}", soft_wrap=True)
    console.print(
        f"From version {result.before} to {result.after}. Each file is a transaction, and holds its"
        " locks to its end. Nothing was run.",
        soft_wrap=True,
    )


def _print_step(console: Console, step: PlannedStep) -> None:
    how = "one transaction" if step.transaction else "no transaction"
    console.print(f"{step.file} ({step.direction}, {how})", style="bold")
    rows = table("line", "statement", "rows", "takes, beyond what is held")
    for each in step.statements:
        rows.add_row(str(each.line or ""), each.begins, _rows(each), _locks(each))
    console.print(rows)
    for name, mode in step.strongest():
        if mode.blocks.startswith("no ") or mode.blocks.startswith("only "):
            continue
        console.print(f"  {mode} on {name} to the end: stops {mode.blocks}")


def _rows(each: PlannedStatement) -> str:
    if each.rows is not None:
        return f"{each.rows:,}"
    return "" if each.table_rows is None else f"of {each.table_rows:,}"


def _locks(each: PlannedStatement) -> str:
    if each.locks is None:
        return "not known"
    taken = [f"{lock.mode} {lock.table}" for lock in each.locks if lock.adds]
    return "; ".join(taken) or "-"
