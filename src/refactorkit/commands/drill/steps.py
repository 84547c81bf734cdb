"""The steps of a drill: each timed, each with a verdict, none forgotten."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import structlog

from refactorkit.commands.verdict import Verdict
from refactorkit.errors import BusyError, RefactorkitError
from refactorkit.postgres.dumping import CannotDumpError
from refactorkit.postgres.snapshots import Comparison
from refactorkit.postgres.throwaway import server_errors_explained
from refactorkit.postgres.verification import Difference

NOT_RUN = "It was not run."

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a step returns.

    Attributes:
        rows: how many it wrote or looked at; objects of the catalog count as rows.
        columns: how many were compared; 0 where nothing was compared.
        differences: how many were found; more than 0 is a failure.
        listed: the first of them.
        lacking: what could not be done, a sentence; empty where all was.
    """

    rows: int = 0
    columns: int = 0
    differences: int = 0
    listed: tuple[Difference, ...] = ()
    lacking: str = ""

    @classmethod
    def of(cls, comparison: Comparison) -> "Outcome":
        """Return the outcome of a comparison."""
        return cls(
            rows=comparison.rows,
            columns=comparison.columns,
            differences=comparison.differences,
            listed=comparison.listed,
        )


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How a step ended.

    Attributes:
        name: for programs.
        title: for people.
        verdict: fail where it found a difference or broke off, incomplete where it was not done.
        outcome: what it counted and found.
        seconds: how long it took.
        reason: why it is no pass, where no difference says so.
    """

    name: str
    title: str
    verdict: Verdict
    outcome: Outcome = Outcome()
    seconds: float = 0.0
    reason: str = ""


class Stopped(Exception):  # noqa: N818 - no error: the results say why
    """The drill cannot go on."""


@dataclass(kw_only=True)
class Recorder:
    """Runs steps in the planned order and keeps how they ended.

    Attributes:
        plan: name and title of each step.
        report: is told the title of each step before it runs.
        is_alive: tells whether the server still answers; where it does not, an error is the
            server's and no verdict about a migration.
        limit: how many differences a step lists.
    """

    plan: Sequence[tuple[str, str]]
    report: Callable[[str], None]
    limit: int
    is_alive: Callable[[], bool] = lambda: True
    results: list[StepResult] = field(default_factory=list)

    def act(self, name: str, step: Callable[[], Outcome]) -> None:
        """Run a step that the next ones need.

        Raises:
            Stopped: it was not done.
        """
        if not self._run(name, step):
            raise Stopped

    def check(self, name: str, step: Callable[[], Outcome]) -> None:
        """Run a step that only looks; the next ones can do without.

        Raises:
            Stopped: it broke off by an error.
        """
        done = self._run(name, step)
        if not done and self.results[-1].verdict is Verdict.FAIL:
            raise Stopped

    def leave_out(self, name: str) -> None:
        """Take a step out of the plan that this database gives no occasion for."""
        self.plan = [planned for planned in self.plan if planned[0] != name]

    @contextlib.contextmanager
    def until_stopped(self) -> Iterator[None]:
        """Let a block end early; what it has not reached counts as not done."""
        with contextlib.suppress(Stopped):
            yield
        done = {result.name for result in self.results}
        self.results += [
            StepResult(name=name, title=title, verdict=Verdict.INCOMPLETE, reason=NOT_RUN)
            for name, title in self.plan
            if name not in done
        ]

    @property
    def verdict(self) -> Verdict:
        """Fail where a step failed; pass only where each one passed."""
        verdicts = {result.verdict for result in self.results}
        for verdict in (Verdict.FAIL, Verdict.INCOMPLETE):
            if verdict in verdicts:
                return verdict
        return Verdict.PASS if verdicts else Verdict.INCOMPLETE

    def _run(self, name: str, step: Callable[[], Outcome]) -> bool:
        """Run a step; tell whether it came to its end."""
        title = dict(self.plan)[name]
        self.report(title)
        started = time.monotonic()
        result = StepResult(name=name, title=title, verdict=Verdict.PASS)
        completed = False
        try:
            with server_errors_explained(title):
                outcome = step()
        except RefactorkitError as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            if not self.is_alive():
                raise
            result = replace(result, verdict=_verdict_of(error), reason=_sentence(error))
        else:
            completed = True
            result = replace(
                result,
                outcome=replace(outcome, listed=outcome.listed[: self.limit]),
                verdict=_verdict(outcome),
                reason=outcome.lacking,
            )
        result = replace(result, seconds=time.monotonic() - started)
        self.results.append(result)
        _log.info(
            "drill.step",
            step=name,
            verdict=result.verdict.value,
            rows=result.outcome.rows,
            seconds=round(result.seconds, 3),
        )
        return completed


def _verdict(outcome: Outcome) -> Verdict:
    if outcome.differences:
        return Verdict.FAIL
    return Verdict.INCOMPLETE if outcome.lacking else Verdict.PASS


def _verdict_of(error: RefactorkitError) -> Verdict:
    broke_off = isinstance(error, CannotDumpError | BusyError)
    return Verdict.INCOMPLETE if broke_off else Verdict.FAIL


def _sentence(error: RefactorkitError) -> str:
    return " ".join(part for part in (error.message, error.hint) if part)
