"""What the end of a cutover or a rollback looks like: a document, and a page for 3 a.m."""

from typing import Any, Final

from rich.console import Console

from refactorkit.cli.evidence_options import document as evidence_document
from refactorkit.cli.render import table
from refactorkit.commands.operation.model import Deletion
from refactorkit.commands.operation.planned import PlanComparison
from refactorkit.commands.operation.result import OperationResult, RefactorReport
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import document as verify_document
from refactorkit.postgres.lock_recorder import StatementRecord
from refactorkit.postgres.verification import Difference

_SHOWN: Final = 20  # keys or differences in a line of text; the document has all
_WAY_BACK: Final = {"cutover": "refactorkit rollback", "rollback": "refactorkit cutover"}
_CACHED_PLANS: Final = (
    "Restart or reset the application's connections: prepared statements of before fail once "
    '("cached plan must not change result type").'
)


def document(result: OperationResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "verdict": result.verdict,
        "operation": result.operation,
        "dry_run": result.rehearsal,
        "database": result.identity.database,
        "host": result.identity.host,
        "port": result.identity.port,
        "environment": result.identity.environment,
        "server_version": result.identity.server_version,
        "before": result.before,
        "after": result.after,
        "files": [
            {
                "file": done.file,
                "direction": done.direction,
                "attempts": done.attempts,
                "seconds": round(done.seconds, 6),
                "notices": list(done.notices),
                "terminated": list(done.terminated),
            }
            for done in result.done
        ],
        "started_at": result.started_at.isoformat(timespec="seconds"),
        "seconds": round(result.seconds, 6),
        "longest_exclusive_lock_ms": round(result.longest_exclusive_ms, 3),
        "refactors": [_refactor(report) for report in result.refactors],
        "deletions": [_deletion(each) for each in result.deletions],
        "forecast": result.forecast
        and {
            "counts": dict(result.forecast.counts),
            "decisions": dict(result.forecast.decisions),
            "remarks": list(result.forecast.remarks),
        },
        "prepared": result.preparation
        and {
            "looked_at": result.preparation.looked_at and result.preparation.looked_at.isoformat(),
            "keys": result.preparation.keys,
            "relied_on": result.preparation.relied_on,
        },
        "statements": [statement_document(each) for each in result.statements],
        "plan": result.comparison and _comparison(result.comparison),
        "verify": {
            "verdict": result.checked.verdict,
            "differences": [_difference(each) for each in result.checked.ours],
            "edits_since": result.checked.edits,
            "problem": result.checked.problem or None,
            "result": result.checked.result and verify_document(result.checked.result),
        },
        "evidence": [evidence_document(each) for each in result.evidence],
        "next": next_steps(result),
    }


def next_steps(result: OperationResult) -> list[str]:
    """Return what is to be done now, a sentence each."""
    steps = []
    if result.verdict is not Verdict.PASS:
        if result.checked.verdict is Verdict.PASS and result.lacks_evidence:
            steps.append(
                f"The database is at version {result.after}, whole and verified: only the evidence"
                " is not what it should be. refactorkit audit anchor makes it afterwards, and says"
                " so."
            )
        elif not result.done:
            steps.append("Nothing was run. Look at it with refactorkit verify.")
        elif result.rehearsal:
            steps.append(f"Nothing was changed: the database is at version {result.after}.")
        else:
            way_back = _WAY_BACK[result.operation]
            steps.append(
                f"The work is committed: the database is at version {result.after}. Look at it with"
                f" refactorkit verify; the way back is {way_back}."
            )
    if result.done and not result.rehearsal:
        steps.append(_CACHED_PLANS)
    return steps


def statement_document(each: StatementRecord) -> dict[str, Any]:
    """Return one statement of a run; ``locks`` is null where they could not be seen."""
    return {
        "file": each.file,
        "direction": each.direction,
        "line": each.line,
        "begins": each.begins,
        "seconds": round(each.seconds, 6),
        "rows": each.rows,
        "locks": None
        if each.locks is None
        else [{"table": lock.table, "mode": lock.mode, "adds": lock.adds} for lock in each.locks],
    }


def print_result(console: Console, result: OperationResult) -> None:
    """Print the verdict first, then what was done, then what to do."""
    place = f'"{result.identity.database}" on {result.identity.host}:{result.identity.port}'
    console.print(f"{_headline(result)} {place}", style="bold", soft_wrap=True)
    for report in result.refactors:
        _print_refactor(console, report)
    for deletion in result.deletions:
        console.print(f"Left out: {deletion.describe()}.", soft_wrap=True)
    if result.done:
        console.print(
            f"{result.seconds:.2f} s; others were shut out of a table for at most"
            f" {result.longest_exclusive_ms:,.0f} ms; attempts:"
            f" {', '.join(str(done.attempts) for done in result.done)}."
        )
    if result.preparation is not None:
        console.print(result.preparation.sentence, soft_wrap=True)
    for session in (session for done in result.done for session in done.terminated):
        console.print(f"Terminated: {session}", soft_wrap=True)
    if result.rehearsal:
        console.print("The locks of a dry run are real; all else was rolled back.")
    if result.comparison is not None:
        _print_comparison(console, result.comparison)
    _print_checked(console, result)
    for each in result.evidence:
        console.print(each.sentence, soft_wrap=True)
    for step in next_steps(result):
        console.print(step, soft_wrap=True)


def _headline(result: OperationResult) -> str:
    verdict = result.verdict.value.upper()
    if not result.done:
        return f"{verdict}: already at version {result.after}, nothing was run;"
    if result.rehearsal:
        return f"{verdict}: dry run of {result.operation}, rolled back, version {result.after};"
    return f"{verdict}: {result.operation} from version {result.before} to {result.after};"


def _print_refactor(console: Console, report: RefactorReport) -> None:
    for sentence, holds in report.equations:
        console.print(sentence if holds else f"{sentence}: THIS DOES NOT ADD UP", soft_wrap=True)
    counts = ", ".join(
        f"{name.replace('_', ' ')} {count:,}" for name, count in report.counts.items()
    )
    console.print(f"{report.source} and {report.target}: {counts}.", soft_wrap=True)
    if report.decisions:
        rows = table("what gave way", "where", "rows", "keys")
        for decision in report.decisions:
            where = f"{decision.table}.{decision.column}".rstrip(".")
            more = ", ..." if decision.count > _SHOWN else ""
            rows.add_row(
                decision.rule,
                where,
                f"{decision.count:,}",
                ", ".join(decision.row_ids[:_SHOWN]) + more,
            )
        console.print(rows)
        console.print(
            f"Both values of each are in archive.{report.name}_decisions, turn {report.turn}."
        )
    if report.deactivated:
        console.print(
            f"Accounts of {report.target} that cannot log in now, by key: "
            + ", ".join(report.deactivated),
            soft_wrap=True,
        )


def _print_comparison(console: Console, comparison: PlanComparison) -> None:
    unseen = f", {comparison.not_compared} not" if comparison.not_compared else ""
    if not comparison.differences:
        console.print(f"Locks as planned: {comparison.compared} statements compared{unseen}.")
        return
    console.print(f"Locks that differ from the plan ({comparison.compared} compared{unseen}):")
    for each in comparison.differences:
        what = "taken, not planned" if each.is_surprise else "planned, not taken"
        console.print(
            f"  {each.file}:{each.line} {each.mode} on {each.table}: {what}", soft_wrap=True
        )


def _print_checked(console: Console, result: OperationResult) -> None:
    checked = result.checked
    rows = sum(
        outcome.rows
        for found in (checked.result.refactors if checked.result else ())
        for outcome in found.outcomes
    )
    edits = f", {checked.edits:,} values written since" if checked.edits else ""
    console.print(
        f"Verified: {checked.verdict.value.upper()}, {rows:,} rows looked at,"
        f" {len(checked.ours):,} differences{edits}."
    )
    for each in checked.ours[:_SHOWN]:
        console.print(
            f"  {each.table} id {each.row_id or '-'} {each.column or '(row)'}: {each.what}"
        )
    if checked.problem:
        console.print(checked.problem, soft_wrap=True)


def _refactor(report: RefactorReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "turn": report.turn,
        "direction": report.direction,
        "counts": dict(report.counts),
        "equations": [{"text": text, "holds": holds} for text, holds in report.equations],
        "decisions": [
            {
                "table": decision.table,
                "column": decision.column,
                "rule": decision.rule,
                "count": decision.count,
                "keys": list(decision.row_ids),
            }
            for decision in report.decisions
        ],
        "deactivated": list(report.deactivated),
    }


def _deletion(each: Deletion) -> dict[str, Any]:
    return {
        "reason": each.reason,
        "count": each.count,
        "with_complement": each.with_complement,
    }


def _comparison(comparison: PlanComparison) -> dict[str, Any]:
    return {
        "compared": comparison.compared,
        "not_compared": comparison.not_compared,
        "differences": [
            {
                "file": each.file,
                "line": each.line,
                "table": each.table,
                "mode": each.mode,
                "what": "not planned" if each.is_surprise else "not taken",
            }
            for each in comparison.differences
        ],
    }


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "table": each.table,
        "id": each.row_id,
        "column": each.column,
        "difference": each.what,
    }
