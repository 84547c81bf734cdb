"""The whole of a report, and its verdict."""

from typing import Final, Literal

from refactorkit.report.model.archive import (
    Guards,
    Hold,
    Kept,
    Operation,
    Purge,
    Retention,
    Tombstone,
)
from refactorkit.report.model.parts import Part, Word
from refactorkit.report.model.proof import Catalog, Evidence, Reconciled, Sample
from refactorkit.report.model.run import (
    Authority,
    Check,
    Counted,
    Equation,
    Event,
    Given,
    Identity,
    Made,
    Run,
)
from refactorkit.report.model.values import ColumnFacts, Decided, Distribution, Rule

FORMAT: Final = "refactorkit-report-v1"


class Report(Part):
    """Everything that a report says."""

    format: Literal["refactorkit-report-v1"]
    verdict: Word
    summary: str
    made: Made
    identity: Identity
    verify_with: list[str]
    authority: Authority
    run: Run
    checks: list[Check]
    counts: list[Counted]
    equations: list[Equation]
    timeline: list[Event]
    rules: list[Rule]
    columns: list[ColumnFacts]
    distributions: list[Distribution]
    evidence: Evidence | None
    catalogs: list[Catalog]
    reconciliation: list[Reconciled]
    sample: Sample | None
    decisions: list[Decided]
    documents: list[Given]
    guards: Guards
    kept: list[Kept]
    retention: Retention
    holds: list[Hold]
    tombstones: list[Tombstone]
    purges: list[Purge]
    operations: list[Operation]
    limitations: list[str]


def verdict_of(checks: list[Check]) -> Word:
    """Return FAIL where a check failed, PASS where all passed, and else INCOMPLETE."""
    words = {check.verdict for check in checks}
    if "fail" in words:
        return "fail"
    return "pass" if words == {"pass"} else "incomplete"
