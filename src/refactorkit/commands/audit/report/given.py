"""Documents that are handed in with a report: what they claim, and whether that fits the database.

They are believed only as far as the archive says the same. A text of theirs is shown as it is.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refactorkit.commands.audit.files import read
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.postgres.report_logs import TurnEvent
from refactorkit.report.model import Given, Word

_SHOWN = 100  # findings of one document
_Line = Annotated[str, Field(max_length=2000)]


class _Read(BaseModel):
    """A part of a document; keys that are not needed here are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Finding(_Read):
    name: _Line
    verdict: _Line
    finding: _Line
    accepted: bool = False


class _Place(_Read):
    database: _Line


class _Preflight(_Read):
    verdict: Word
    refactor: _Line | None
    identity: _Place
    checks: list[_Finding]
    at: _Line | None = None
    seconds: float | None = None


class _Step(_Read):
    title: _Line
    verdict: Word
    differences: int
    seconds: float


class _Server(_Read):
    kind: _Line
    version: _Line


class _Drill(_Read):
    verdict: Word
    server: _Server
    steps: list[_Step]
    counts: dict[str, int]
    at: _Line | None = None


class _Refactor(_Read):
    name: _Line
    turn: int
    counts: dict[str, int]


class _Operation(_Read):
    verdict: Word
    operation: Literal["cutover", "rollback"]
    dry_run: bool
    database: _Line
    before: int
    after: int
    seconds: float
    longest_exclusive_lock_ms: float
    refactors: list[_Refactor]
    started_at: _Line | None = None


@dataclass(frozen=True, kw_only=True)
class Here:
    """What documents are held against.

    Attributes:
        database: its name.
        migration: the refactor's file.
        refactor: its name.
        turns: all of its turns.
    """

    database: str
    migration: str
    refactor: str
    turns: Sequence[TurnEvent]


def preflight(path: Path, here: Here) -> Given:
    """Read what ``preflight --json`` printed.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    content, found = _parsed(path, _Preflight, "preflight --json")
    levels: dict[str, int] = {}
    for check in found.checks:
        levels[check.verdict] = levels.get(check.verdict, 0) + 1
    told = ", ".join(f"{count} {level}" for level, count in sorted(levels.items()))
    return _given(
        path,
        content,
        kind="preflight",
        verdict=found.verdict,
        at=found.at,
        seconds=found.seconds,
        says=f"{len(found.checks)} findings about {found.refactor or 'no refactor'} in database"
        f" {found.identity.database}: {told}",
        matches=found.identity.database == here.database and found.refactor == here.migration,
        findings=[
            f"{each.verdict}{', accepted' if each.accepted else ''}: {each.name}: {each.finding}"
            for each in found.checks
            if each.verdict != "ok"
        ],
    )


def drill(path: Path, here: Here) -> Given:  # noqa: ARG001 - as the others
    """Read what ``drill --json`` printed; it ran on a throwaway database, so nothing can be held.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    content, found = _parsed(path, _Drill, "drill --json")
    counts = found.counts
    wrong = [step for step in found.steps if step.verdict != "pass"]
    is_sound = bool(found.steps) and not wrong and counts.get("differences") == 0
    return _given(
        path,
        content,
        kind="drill",
        verdict=found.verdict if is_sound or found.verdict != "pass" else "fail",
        at=found.at,
        seconds=round(sum(step.seconds for step in found.steps), 3),
        says=f"{len(found.steps)} steps on PostgreSQL {found.server.version}"
        f" ({found.server.kind}): {counts.get('rows_compared', 0):,} rows compared,"
        f" {counts.get('differences', 0):,} differences",
        matches=None,
        findings=[
            f"{each.verdict}: {each.title}: {each.differences:,} differences" for each in wrong
        ],
    )


def operation(path: Path, here: Here) -> Given:
    """Read what ``cutover --json`` or ``rollback --json`` printed.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    content, found = _parsed(path, _Operation, "cutover --json or rollback --json")
    mine = [each for each in found.refactors if each.name == here.refactor]
    matches = (
        found.database == here.database
        and not found.dry_run
        and bool(mine)
        and all(_is_recorded(each, here.turns) for each in mine)
    )
    turn = ", ".join(str(each.turn) for each in mine) or "none"
    return _given(
        path,
        content,
        kind="operation",
        verdict=found.verdict,
        at=found.started_at,
        seconds=found.seconds,
        says=f"{found.operation}{', a dry run' if found.dry_run else ''} of database"
        f" {found.database} from version {found.before} to {found.after}, turn {turn};"
        f" tables were locked for others for {found.longest_exclusive_lock_ms:,.0f} ms at most",
        matches=matches,
        findings=[],
    )


def turn_of(path: Path, here: Here) -> int | None:
    """Return which turn the report of an operation is about."""
    _, found = _parsed(path, _Operation, "cutover --json or rollback --json")
    return next((each.turn for each in found.refactors if each.name == here.refactor), None)


def _is_recorded(claimed: _Refactor, turns: Sequence[TurnEvent]) -> bool:
    """Tell whether the archive's log has the turn, with the same counts."""
    for turn in turns:
        if turn.number == claimed.turn:
            recorded = {name.replace(" ", "_"): count for name, count in turn.counts.items()}
            return bool(recorded) and all(
                claimed.counts.get(name) == count for name, count in recorded.items()
            )
    return False


def _given(
    path: Path,
    content: bytes,
    *,
    kind: Literal["preflight", "drill", "operation"],
    verdict: Word,
    at: str | None,
    seconds: float | None,
    says: str,
    matches: bool | None,
    findings: list[str],
) -> Given:
    return Given(
        kind=kind,
        file=path.name,
        sha256=sha256(content).hexdigest(),
        verdict=verdict,
        at=at,
        seconds=seconds,
        says=says,
        matches=matches,
        findings=findings[:_SHOWN],
    )


def _parsed(path: Path, model: type[Any], what: str) -> tuple[bytes, Any]:
    content = read(path)
    try:
        return content, model.model_validate(json.loads(content))
    except (ValidationError, ValueError, RecursionError) as error:
        place = ""
        if isinstance(error, ValidationError):
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise UsageError(
            f"The file {path} is not what {what} prints"
            + (f": see {place}." if place else ": it is no JSON document."),
            state=NOTHING_CHANGED,
            hint=f"Keep the output of refactorkit {what} in a file.",
        ) from None
