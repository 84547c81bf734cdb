"""What an operation ends with: what was done, what it cost, and what the checks say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from refactorkit.commands.operation.checked import Checked
from refactorkit.commands.operation.evidence import EvidenceOutcome
from refactorkit.commands.operation.model import Deletion, Forecast
from refactorkit.commands.operation.planned import PlanComparison
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.mapping.sql import identifier
from refactorkit.migrations.model import Direction
from refactorkit.postgres.decisions import DecisionCount
from refactorkit.postgres.identity import Identity
from refactorkit.postgres.lock_recorder import StatementRecord
from refactorkit.postgres.progress import StepResult
from refactorkit.postgres.turn_facts import TurnFacts


@dataclass(frozen=True, kw_only=True)
class RefactorReport:
    """What became of the rows of one refactor.

    Attributes:
        name: its prefix in the archive.
        source: the table that goes away.
        target: the table that takes its rows.
        direction: which way.
        turn: the number of this turn in the archive.
        counts: rows by what became of them.
        equations: what must be equal, as sentences with the numbers, and whether it is.
        decisions: what gave way to what, by rule.
        deactivated: keys of natives that cannot log in any longer, the first thousand.
    """

    name: str
    source: str
    target: str
    direction: Direction
    turn: int
    counts: Mapping[str, int]
    equations: tuple[tuple[str, bool], ...]
    decisions: tuple[DecisionCount, ...]
    deactivated: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PreparationReport:
    """What was prepared for a rollback beforehand, and whether it was of use.

    Attributes:
        looked_at: when all rows were looked at; None where that was stopped.
        keys: of rows that may differ, as the switch began.
        relied_on: whether Down looked at those rows alone; else it looked at every row.
    """

    looked_at: datetime | None
    keys: int
    relied_on: bool

    @property
    def sentence(self) -> str:
        """Say it to the operator."""
        if self.relied_on:
            return (
                f"Prepared beforehand: Down looked at the rows of {self.keys:,} written-down keys,"
                " and of those written until it had its locks."
            )
        return "What was prepared beforehand could not be relied on: Down looked at every row."


@dataclass(frozen=True, kw_only=True)
class OperationResult:
    """The end of a cutover or a rollback.

    Attributes:
        operation: ``cutover`` or ``rollback``.
        identity: which database.
        before: the version that it was at.
        after: the version that it is at.
        rehearsal: whether all of it was rolled back again.
        done: the files that were run; empty where the database was there already.
        refactors: what became of the rows.
        deletions: what was left out, because it was deleted in the old version.
        forecast: what was counted before; None where it was not.
        started_at: before the first statement, or the look where nothing was run; by this machine's
            clock, in UTC.
        preparation: what was prepared for a rollback; None where nothing was.
        seconds: from the first statement to the last commit.
        longest_exclusive_ms: how long others were shut out of a table, at the most.
        statements: what was run, with its locks and its time.
        comparison: of the locks with a plan that was made before; None without one.
        checked: what verify said at the end.
        evidence: what became of the evidence.
    """

    operation: str
    identity: Identity
    before: int
    after: int
    started_at: datetime
    rehearsal: bool = False
    done: tuple[StepResult, ...] = ()
    refactors: tuple[RefactorReport, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    forecast: Forecast | None = None
    preparation: PreparationReport | None = None
    seconds: float = 0.0
    longest_exclusive_ms: float = 0.0
    statements: tuple[StatementRecord, ...] = field(default=(), repr=False)
    comparison: PlanComparison | None = None
    checked: Checked
    evidence: tuple[EvidenceOutcome, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """PASS where it is done and verified, counts add up, and evidence asked for is there."""
        if not all(holds for each in self.refactors for _, holds in each.equations):
            return Verdict.FAIL
        if self.checked.verdict is Verdict.PASS and self.lacks_evidence:
            return Verdict.INCOMPLETE
        return self.checked.verdict

    @property
    def lacks_evidence(self) -> bool:
        """Whether evidence was asked for, and is not what it should be."""
        return any(each.asked and each.verdict is not Verdict.PASS for each in self.evidence)

    @property
    def exit_code(self) -> int:
        """0 where the verdict is PASS, else that of a check that said no."""
        return 0 if self.verdict is Verdict.PASS else RefusedError.exit_code


def report_of(facts: TurnFacts, statements: tuple[StatementRecord, ...]) -> RefactorReport:
    """Return what a turn did; of Down also what the statements say that the archive does not."""
    turn = facts.turn
    mapping = turn.mapping
    source = mapping.source.table if mapping else ""
    target = mapping.target.table if mapping else ""
    counts = {name.replace(" ", "_"): number for name, number in turn.counts.items()}
    get = counts.get
    equations = [_equal(f"rows of {source}", get("sources"), "pairs", get("pairs"))]
    if turn.direction is Direction.UP:
        counts["natives_shown"] = facts.natives_shown
        equations.append(
            _equal(
                "pairs",
                get("pairs"),
                f"subjects and natives who were shown as {source}",
                get("subjects", 0) + facts.natives_shown,
            )
        )
    else:
        merged = _merged(source, statements)
        if merged is not None:
            counts["merged"] = merged
        counts["created"] = facts.created
        counts["restored"] = get("sources", 0) - facts.created
        counts |= {f"left_out_{reason}": number for reason, number in facts.withheld.items()}
        equations.append(
            _equal(
                "rows left out",
                get("withheld"),
                "softly or hard deleted",
                sum(facts.withheld.values()),
            )
        )
    login = mapping.native.login if mapping else None
    return RefactorReport(
        name=turn.name,
        source=source,
        target=target,
        direction=turn.direction,
        turn=turn.number,
        counts=counts,
        equations=tuple(equations),
        decisions=facts.decisions,
        deactivated=tuple(
            row_id
            for decision in facts.decisions
            if decision.table == target and decision.column == login
            for row_id in decision.row_ids
        ),
    )


def _equal(left: str, a: int | None, right: str, b: int | None) -> tuple[str, bool]:
    sign = "=" if a == b else "IS NOT"
    one, other = ("?" if each is None else f"{each:,}" for each in (a, b))
    return f"{one} {left} {sign} {other} {right}", a is not None and a == b


def _merged(source: str, statements: tuple[StatementRecord, ...]) -> int | None:
    """Return how many rows of the source took an edit home: Down writes them in one statement."""
    for statement in statements:
        if statement.begins == f"UPDATE archive.{identifier(source)} AS s":
            return statement.rows
    return None
