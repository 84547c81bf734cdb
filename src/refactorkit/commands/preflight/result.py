"""The verdict of a preflight, and what it rests on."""

from dataclasses import dataclass
from datetime import datetime

from refactorkit.commands.preflight.figures import Figures
from refactorkit.commands.preflight.finding import Finding, Level
from refactorkit.commands.preflight.prediction import Prediction
from refactorkit.commands.preflight.scene import Identity
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres.preflight.disk import Room


@dataclass(frozen=True, kw_only=True)
class PreflightResult:
    """The verdict, and what it rests on.

    Attributes:
        at: when it was made, by this machine's clock, in UTC.
        findings: of every check at least one, in the order of the report.
        identity: which database was looked at.
        runner: the role that is going to run Up.
        refactor: the file whose Up is next; None where none is pending.
        figures: how many rows; None where they could not be counted.
        prediction: what Up will take; None where nothing was predicted.
        room: on the disks; None where there was nothing to look at.
        seconds: how long the looking took.
    """

    at: datetime
    findings: tuple[Finding, ...]
    identity: Identity
    runner: str
    refactor: str | None
    figures: Figures | None
    prediction: Prediction | None
    room: Room | None
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """FAIL at a no-go; INCOMPLETE where something that is needed could not be looked at."""
        if any(each.level is Level.NO_GO for each in self.findings):
            return Verdict.FAIL
        unseen = any(each.level is Level.UNKNOWN and each.needed for each in self.findings)
        return Verdict.INCOMPLETE if unseen else Verdict.PASS

    @property
    def exit_code(self) -> int:
        """0 for go, else 3."""
        return 0 if self.verdict is Verdict.PASS else 3

    @property
    def refusal(self) -> RefusedError | None:
        """What a command that needs a go raises; None for go."""
        if self.verdict is Verdict.PASS:
            return None
        stands = self.of(Level.NO_GO) or tuple(
            each for each in self.of(Level.UNKNOWN) if each.needed
        )
        word = "no-go" if self.verdict is Verdict.FAIL else "incomplete"
        return RefusedError(
            f"Preflight says {word}: {'; '.join(each.says for each in stands)}.",
            state=NOTHING_CHANGED,
            hint="See refactorkit preflight: it says of each what to do, and what overrules it.",
        )

    def of(self, level: Level) -> tuple[Finding, ...]:
        """Return the findings of one level."""
        return tuple(each for each in self.findings if each.level is level)
