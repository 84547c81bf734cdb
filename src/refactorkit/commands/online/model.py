"""What goes into a cutover while the old version runs, and what comes out of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS, Chain
from refactorkit.commands.operation.evidence import EvidenceOutcome, EvidenceRequest
from refactorkit.commands.operation.model import Gate
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyResult
from refactorkit.errors import RefusedError
from refactorkit.postgres.lock_waits import LockLimits
from refactorkit.postgres.progress import StepResult

DEFAULT_MAX_LOCK_MS: Final = 150
DEFAULT_RETRIES: Final = 30


class Phase(StrEnum):
    """The phases in order."""

    LOOK = "look first"
    EXPAND = "expand"
    CHECK = "validate checks"
    FILL = "make subjects"
    INDEX = "build indexes"
    CATCH_UP = "catch up"
    COMPARE = "compare"
    EVIDENCE = "evidence"
    READY = "ready to switch"
    SWITCH = "switch"
    VALIDATE = "validate foreign keys"
    VERIFY = "verify"
    TAKE_AWAY = "take away"


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """How hard the server may be worked while the application runs on it.

    Attributes:
        batch_rows: of the first batch; later ones follow ``batch_ms``.
        fewest_rows: of any later batch.
        batch_ms: how long a batch should take, milliseconds: a slower server gets smaller ones.
        rest: how long to pause after a batch, as a multiple of what it took; rows that were written
            meanwhile are looked at without a pause, or they would become more and more.
        replica_lag_bytes: pause while a replica is further behind than this.
    """

    batch_rows: int = 500
    fewest_rows: int = 50
    batch_ms: int = 50
    rest: float = 1.0
    replica_lag_bytes: int = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class OnlineRequest:
    """What to cut over, and how.

    Attributes:
        chain: files and database.
        accept: names of guards that the operator overrules, and ``deletions``.
        max_lock_ms: how long to wait for a lock, milliseconds, before giving up and trying again;
            never 0.
        retries: how often.
        lock_wait_seconds: how long to wait for another runner to end.
        pacing: how hard the server may be worked.
        evidence: whether to make evidence, and in whose name; None: nobody needs to hear of it.
        keep_former: let the former version's application go on after the switch.
        gates: what looks at the live database before anything is staged, and before more is.
    """

    chain: Chain
    accept: tuple[str, ...] = ()
    max_lock_ms: int = DEFAULT_MAX_LOCK_MS
    retries: int = DEFAULT_RETRIES
    lock_wait_seconds: float = DEFAULT_LOCK_WAIT_SECONDS
    pacing: Pacing = field(default_factory=Pacing)
    evidence: EvidenceRequest | None = None
    keep_former: bool = False
    gates: tuple[Gate, ...] = ()

    @property
    def locks(self) -> LockLimits:
        """The limits for table locks."""
        return LockLimits(timeout_ms=max(1, self.max_lock_ms), retries=self.retries)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a phase is.

    Attributes:
        phase: which.
        done: rows, where they are counted.
        total: rows, as the planner guesses; None where nothing is counted.
        rows_per_second: since this run began.
        seconds_left: by that rate; None where it cannot be told.
        note: what is being waited for, or made; may be empty.
    """

    phase: Phase
    done: int = 0
    total: int | None = None
    rows_per_second: float = 0.0
    seconds_left: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class OnlineStatus:
    """Where an online cutover is.

    Attributes:
        version: of the database.
        phase: what comes next; LOOK where nothing is staged, VERIFY where nothing is left to do.
        subjects: inactive rows that the old version can see in the target.
        waiting: at most so many keys were written down, and are yet to be looked at; 0: none is.
        unvalidated: foreign keys that are yet to be validated after the switch.
    """

    version: int
    phase: Phase
    subjects: int = 0
    waiting: int = 0
    unvalidated: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OnlineResult:
    """What a whole cutover came to.

    Attributes:
        started_at: when this call began, by this machine's clock, in UTC.
        before: the version at the beginning.
        after: the version at the end.
        step: of the migration; None where the switch had happened before.
        locked_at: when the switch took its first lock, by this machine's clock, in UTC; None
            likewise, and where the connection broke at its commit.
        locked_ms: from then to the answer to its COMMIT, never too little: the server has let the
            locks go before, and removes files. None likewise, NaN where the connection broke.
        subjects: rows that the old version could see before the switch.
        verification: of every row and column; None where it was not asked for.
        evidence: what became of the evidence.
    """

    started_at: datetime
    before: int
    after: int
    step: StepResult | None
    locked_at: datetime | None
    locked_ms: float | None
    subjects: int
    verification: VerifyResult | None
    evidence: tuple[EvidenceOutcome, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What could not be checked is never a pass; nor is evidence that was asked for in vain."""
        found = self.verification.verdict if self.verification else Verdict.INCOMPLETE
        return Verdict.INCOMPLETE if found is Verdict.PASS and self.lacks_evidence else found

    @property
    def lacks_evidence(self) -> bool:
        """Whether evidence was asked for, and is not what it should be."""
        return any(each.asked and each.verdict is not Verdict.PASS for each in self.evidence)

    @property
    def exit_code(self) -> int:
        """0 where every check was made and passed, else 3; 0 also where none was asked for."""
        if self.lacks_evidence:
            return RefusedError.exit_code
        return self.verification.exit_code if self.verification else 0
