"""How far a run has come, and the sentence that says so when it stops."""

from dataclasses import dataclass, field
from enum import StrEnum

from refactorkit.errors import NOTHING_CHANGED
from refactorkit.migrations.model import Direction, Statement
from refactorkit.migrations.plan import Step


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """A file that was run to its end in one direction.

    Attributes:
        version: of the file.
        file: its name.
        direction: up or down.
        statements: how many were run.
        transaction: False where the file ran statement by statement.
        attempts: 1, and one more for each retry.
        seconds: from the first attempt's beginning to the commit.
        notices: sentences that our own SQL had to say (notices of SQLSTATE class RK).
        terminated: whose sessions were ended because they were in the way, a phrase each.
    """

    version: int
    file: str
    direction: Direction
    statements: int
    transaction: bool
    attempts: int
    seconds: float
    notices: tuple[str, ...]
    terminated: tuple[str, ...] = ()


class Phase(StrEnum):
    """What is being done for a file."""

    STATEMENTS = "the statements"
    RECORDING = "the version row"
    COMMITTING = "the COMMIT"


@dataclass(kw_only=True)
class Progress:
    """Where a run is: changed by the runner alone, file after file.

    Attributes:
        version: the version that the table says the database is at.
        done: the files that ended in this run.
        step: the file that runs now.
        statement: the statement that was sent last, of that file; None before the first.
        phase: what is being done for it.
        version_once_committed: the version that its COMMIT will bring.
        committed_by_file: whether the file has committed a part of itself, by its own COMMIT.
    """

    version: int
    done: list[StepResult] = field(default_factory=list)
    step: Step | None = None
    statement: Statement | None = None
    phase: Phase = Phase.STATEMENTS
    version_once_committed: int = 0
    committed_by_file: bool = False

    def begin(self, step: Step) -> None:
        """Note that a file is begun, or begun again."""
        self.step = step
        self.statement = None
        self.phase = Phase.STATEMENTS
        self.committed_by_file = False

    def finish(self, result: StepResult) -> None:
        """Note that the file in progress is committed."""
        self.done.append(result)
        self.version = self.version_once_committed
        self.step = None

    def place(self, position: int = 1) -> str:
        """Return where the run is, such as ``0007_x.sql:12 (up)``.

        Args:
            position: a character of the statement that was sent last, from 1, to say its line.
        """
        if self.step is None:
            return "the preparation of the run"
        file, direction = self.step.migration.file, self.step.direction
        if self.phase is not Phase.STATEMENTS:
            return f"{self.phase} of {file} ({direction})"
        if self.statement is None:
            return f"the beginning of {file} ({direction})"
        line = self.statement.line + self.statement.text.count("\n", 0, position - 1)
        return f"{file}:{line} ({direction})"

    def state(self) -> str:
        """Say in which state the database is now that the file in progress was stopped."""
        if self.step is None or self.statement is None:
            return self._rolled_back()
        file, line = self.step.migration.file, self.statement.line
        if self.committed_by_file:
            what = f"{file} has a COMMIT of its own: what stands before it took effect and stays"
        elif self.step.migration.transaction:
            return self._rolled_back()
        elif self.phase is not Phase.STATEMENTS:
            what = f"{file} runs without a transaction: all its statements took effect and stay"
        else:
            what = (
                f"{file} runs without a transaction: what stands before line {line} took effect "
                f"and stays, and the statement of that line may have done a part of its work"
            )
        row = "deleted" if self.step.direction is Direction.DOWN else "written"
        return (
            f"{what}. Its version row was not {row}: the database counts as version {self.version}."
        )

    def _rolled_back(self) -> str:
        at = f"the database is at version {self.version}."
        if not self.done:
            return f"{NOTHING_CHANGED[:-1]}: {at}"
        count = len(self.done)
        files = f"{self.done[0].file} was" if count == 1 else f"{count} files were"
        return f"{files} run before it and committed: {at}"
