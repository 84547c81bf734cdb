"""What the goose side's results look like: documents for programs, tables for people."""

from typing import Any

from rich.console import Console

from refactorkit.cli.render import table
from refactorkit.commands.chain import RunResult
from refactorkit.commands.status import MigrationState, StatusResult
from refactorkit.commands.validate import FileReport, ValidateResult
from refactorkit.migrations.model import Script
from refactorkit.migrations.plan import Step
from refactorkit.postgres.checksums import FileState


def run_document(command: str, result: RunResult) -> dict[str, Any]:
    """Return the document of up, down and redo; a dry run's steps have their SQL."""
    if result.dry_run:
        steps = [
            {
                **_step_facts(step),
                "sql": [{"line": s.line, "text": s.text} for s in step.script.statements],
            }
            for step in result.planned
        ]
    else:
        steps = [
            {
                **_step_facts(step),
                "attempts": done.attempts,
                "seconds": round(done.seconds, 6),
                "notices": list(done.notices),
                "terminated": list(done.terminated),
            }
            for step, done in zip(result.planned, result.done, strict=True)
        ]
    return {
        "command": command,
        "dry_run": result.dry_run,
        "before": result.before,
        "after": result.after,
        "steps": steps,
    }


def print_run(console: Console, command: str, result: RunResult) -> None:
    """Print what was run, or what a dry run would run."""
    if not result.planned:
        console.print(f"Nothing to do: the database is at version {result.before}.")
        return
    if result.dry_run:
        _print_plan(console, command, result)
        return
    rows = table("file", "direction", "statements", "attempts", "seconds")
    for done in result.done:
        rows.add_row(
            done.file,
            done.direction if done.transaction else f"{done.direction} (no transaction)",
            str(done.statements),
            str(done.attempts),
            f"{done.seconds:.3f}",
        )
    console.print(rows)
    for done in result.done:
        for notice in done.notices:
            console.print(f"{done.file}: {notice}")
        for session in done.terminated:
            console.print(f"Terminated: {session}", soft_wrap=True)
    console.print(f"The database is at version {result.after}; it was at {result.before}.")


def status_document(result: StatusResult) -> dict[str, Any]:
    """Return the document of status."""
    return {
        "version": result.version,
        "table": result.table,
        "pending": result.count(MigrationState.PENDING) + result.count(MigrationState.MISSING),
        "edited": result.count(FileState.EDITED),
        "beside": list(result.beside),
        "migrations": [
            {
                "version": each.version,
                "file": each.file,
                "state": each.state,
                "applied_at": each.applied_at,
                "content": each.content,
            }
            for each in result.migrations
        ],
    }


def print_status(console: Console, result: StatusResult) -> None:
    """Print one line a version, and what needs attention."""
    rows = table("version", "state", "applied at", "content", "file")
    for each in result.migrations:
        rows.add_row(
            str(each.version),
            each.state,
            each.applied_at or "",
            each.content or "",
            each.file or "",
        )
    console.print(rows)
    console.print(f"The database is at version {result.version} ({result.table}).")
    remarks = (
        (MigrationState.PENDING, "pending: up applies them"),
        (MigrationState.MISSING, "missing, below the highest applied: up needs --allow-missing"),
        (MigrationState.NO_FILE, "applied without a file: down and redo refuse them"),
        (FileState.EDITED, "edited after they were applied"),
        (FileState.UNREADABLE, "not compared: this user may not read the recorded checksums"),
    )
    for what, remark in remarks:
        if count := result.count(what):
            console.print(f"{count} {remark}.")
    for schema in result.beside:
        console.print(
            f"Schema {schema}: the former version's application can work on (docs/v10.md)."
        )


def validate_document(result: ValidateResult) -> dict[str, Any]:
    """Return the document of validate: one entry a file, broken ones included."""
    return {
        "verdict": result.verdict,
        "files": [
            {
                "file": report.file,
                "version": report.migration.version if report.migration else None,
                "name": report.migration.name if report.migration else None,
                "transaction": report.migration.transaction if report.migration else None,
                "up": _script(report, report.migration.up if report.migration else None),
                "down": _script(report, report.migration.down if report.migration else None),
            }
            for report in result.files
        ],
        "problems": list(result.problems),
        "findings": [
            {"file": each.file, "line": each.line, "rule": each.rule, "text": each.text}
            for each in result.findings
        ],
        "edited": list(result.edited),
        "not_compared": result.not_compared,
    }


def print_validation(console: Console, result: ValidateResult) -> None:
    """Print what is to be said against the files, one line a fault, and the verdict."""
    for report in result.files:
        errors = [report.error]
        if report.migration is not None:
            errors += [report.migration.up.error, report.migration.down.error]
        for error in dict.fromkeys(error for error in errors if error):
            console.print(error, soft_wrap=True)
    for problem in result.problems:
        console.print(problem, soft_wrap=True)
    for each in result.findings:
        console.print(f"{each.file}:{each.line}: {each.rule}: {each.text}", soft_wrap=True)
    for file in result.edited:
        console.print(f"{file}: edited after it was applied.", soft_wrap=True)
    if result.not_compared:
        console.print(f"Not compared with what was applied. {result.not_compared}", soft_wrap=True)
    count = len(result.files)
    console.print(f"{count} file{'' if count == 1 else 's'}: {result.verdict}.")


def _step_facts(step: Step) -> dict[str, Any]:
    return {
        "version": step.migration.version,
        "file": step.migration.file,
        "direction": step.direction,
        "transaction": step.migration.transaction,
        "statements": len(step.script.statements),
    }


def _print_plan(console: Console, command: str, result: RunResult) -> None:
    for step in result.planned:
        how = "one transaction" if step.migration.transaction else "no transaction"
        console.print(f"{step.migration.file} ({step.direction}, {how})", style="bold")
        for statement in step.script.statements:
            console.print(f"  -- line {statement.line}", style="dim")
            shown = statement.text.encode("utf-8", "replace").decode()
            console.print("\n".join(f"  {line}" for line in shown.splitlines()), soft_wrap=True)
    count = len(result.planned)
    files = "1 file" if count == 1 else f"{count} files"
    console.print(
        f"Dry run: nothing was run. {command} would run {files}; the database stays at version "
        f"{result.before}."
    )


def _script(report: FileReport, script: Script | None) -> dict[str, Any]:
    if script is None:
        return {"statements": [], "error": report.error}
    return {"statements": [each.text for each in script.statements], "error": script.error}
