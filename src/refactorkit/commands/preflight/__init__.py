"""Go or no-go: everything that decides whether Up of a refactor can run here, asked before it runs.

One snapshot is read, and nothing is changed. Only the timed sample, after it, makes temporary
tables, in a transaction that is rolled back.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from refactorkit.commands.chain import Found
from refactorkit.commands.preflight import (
    activity,
    dependants,
    files,
    guards,
    identity,
    outlook,
    readers,
    replication,
    rights,
    server,
    values,
)
from refactorkit.commands.preflight.figures import Figures, count
from refactorkit.commands.preflight.finding import (
    Area,
    Finding,
    Level,
    Observation,
    no_go,
    ok,
    unknown,
)
from refactorkit.commands.preflight.prediction import Prediction, fires_for_tables, predict
from refactorkit.commands.preflight.scene import (
    Check,
    Expectations,
    Identity,
    PreflightRequest,
    Scene,
)
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError, UsageError
from refactorkit.mapping.compiled import Refactor, refactor_of
from refactorkit.mapping.guards import up_guards
from refactorkit.mapping.preflight import Questions
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Migration
from refactorkit.postgres import checksums, history, server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.history import TableName
from refactorkit.postgres.preflight import disk
from refactorkit.postgres.preflight.disk import Room
from refactorkit.postgres.preflight.looking import Look, UnseenError, looking

__all__ = [
    "CHECKS",
    "Area",
    "Expectations",
    "Finding",
    "Identity",
    "Level",
    "PreflightRequest",
    "PreflightResult",
    "preflight",
]

CHECKS: Final[tuple[Check, ...]] = (
    *identity.CHECKS,
    *server.CHECKS,
    *rights.CHECKS,
    *dependants.CHECKS,
    *readers.CHECKS,
    *values.CHECKS,
    *activity.CHECKS,
    *replication.CHECKS,
)
"""Those that need the refactor's tables; the guards, files and the outlook come on top."""

FILE_CHECKS: Final = ("versions", "compiled_file", "edited_files")
OUTLOOK_CHECKS: Final[Mapping[str, bool]] = {
    "forecast": False,
    "disk_space": False,
    "time_limits": True,
}
"""Those that follow from the prediction, and whether they are needed."""
TABLES_CHECK: Final = "tables"

_LOCK_TIMEOUT_MS: Final = 500

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class PreflightResult:
    """The verdict, and what it rests on.

    Attributes:
        findings: of every check at least one, in the order of the report.
        identity: which database was looked at.
        runner: the role that is going to run Up.
        refactor: the file whose Up is next; None where none is pending.
        figures: how many rows; None where they could not be counted.
        prediction: what Up will take; None where nothing was predicted.
        room: on the disks; None where there was nothing to look at.
        seconds: how long the looking took.
    """

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


def preflight(
    request: PreflightRequest, report: Callable[[str], None] = lambda _name: None
) -> PreflightResult:
    """Look whether Up of the next refactor can run, and what it would take.

    Args:
        request: files, database, and what the operator knows of it.
        report: is told the name of each check before it is made.

    Raises:
        UsageError: the folder, the version table's name or the runner's is wrong.
        RefusedError: the files are broken.
        FailedError: there is no server, or it was lost.
    """
    started = time.monotonic()
    name = TableName.parse(request.chain.table)
    migrations = read_folder(request.chain.directory, environ=request.chain.environ)
    refactors = tuple(r for r in map(refactor_of, migrations) if r is not None)
    with connected(request.chain.dsn) as connection:
        doing = f"Looking at {request.chain.dsn.describe()}"
        with server_errors.explained(doing=doing, state=NOTHING_CHANGED):
            with looking(
                connection,
                timeout_ms=int(request.timeout_seconds * 1000),
                lock_timeout_ms=_LOCK_TIMEOUT_MS,
            ) as pinned:
                found = _found(connection, request, name, migrations)
                inquiry = _Inquiry(request, pinned(), report, found, refactors)
                inquiry.look()
            inquiry.look_ahead()
    result = inquiry.result(seconds=time.monotonic() - started)
    _log.info("preflight.done", verdict=result.verdict.value, no_gos=len(result.of(Level.NO_GO)))
    return result


def _found(
    connection: Connection,
    request: PreflightRequest,
    name: TableName,
    migrations: tuple[Migration, ...],
) -> Found | UnseenError:
    """Read the version table and the checksums, by the session's own search_path as ``up`` does."""
    look = Look(connection, timeout_ms=int(request.timeout_seconds * 1000))
    try:
        table = look.attempt(lambda: history.find(connection, name))
        return Found(
            table=table,
            history=look.attempt(lambda: history.read(connection, table)),
            migrations=migrations,
            checksums=look.attempt(lambda: checksums.read(connection)),
        )
    except UnseenError as unseen:
        return unseen


class _Inquiry:
    """One run: gathers findings, first in the snapshot, then ahead."""

    def __init__(
        self,
        request: PreflightRequest,
        look: Look,
        report: Callable[[str], None],
        found: Found | UnseenError,
        refactors: tuple[Refactor, ...],
    ) -> None:
        self._request = request
        self._look = look
        self._report = report
        self._found = found
        self._refactor = _next(found, refactors)
        try:
            self._identity = identity.identify(look)
        except UnseenError as unseen:
            raise FailedError(
                f"The server does not say which database this is: {unseen.reason}.",
                state=NOTHING_CHANGED,
                hint=unseen.advice,
            ) from None
        runner = request.runner
        if runner is not None and not look.one("role_exists", runner=runner)[0]:
            raise UsageError(
                "There is no such role: the one that --runner names.",
                state=NOTHING_CHANGED,
                hint="Name the role that will run Up, as pg_roles spells it.",
            )
        self._findings: list[Finding] = []
        self._scene: Scene | None = None
        self._room: Room | None = None
        self._limits: Mapping[str, float] | UnseenError = {}
        self._prediction: Prediction | UnseenError | None = None
        self._guard_seconds = 0.0
        self._fires = True

    def look(self) -> None:
        """Make every check that reads the snapshot."""
        refactor = self._refactor
        self._add("versions", Area.FILES, lambda: files.versions(self._found, refactor))
        if refactor is not None:
            self._add("compiled_file", Area.FILES, lambda: files.compiled_file(refactor))
        self._add("edited_files", Area.FILES, lambda: files.edited_files(self._found))
        if refactor is None or self._tables_are_missing(refactor):
            self._add(
                "identity",
                Area.IDENTITY,
                lambda: identity.compare(self._identity, self._request.expect),
            )
            return
        scene = self._make_scene(refactor)
        self._scene = scene
        for check in CHECKS[: len(identity.CHECKS)]:
            self._run(check, scene)
        self._report("guards")
        interview = guards.Interview(scene)
        for group, observation in guards.guard_observations(interview):
            self._note(group, guards.GROUPS[group].area, observation, needed=True)
        self._guard_seconds = interview.seconds
        for check in CHECKS[len(identity.CHECKS) :]:
            self._run(check, scene)
        self._room = disk.room(self._look, scene.tables)
        try:
            self._fires = fires_for_tables(self._look)
            self._limits = server.time_limits(scene)
        except UnseenError as unseen:
            self._limits = unseen

    def look_ahead(self) -> None:
        """Predict, with the snapshot closed."""
        if self._scene is None or self._room is None:
            return
        self._report("sample")
        prediction = predict(self._scene, guard_seconds=self._guard_seconds, fires=self._fires)
        self._prediction = prediction
        room, limits = self._room, self._limits
        looks: dict[str, Callable[[], Iterable[Observation]]] = {
            "forecast": lambda: outlook.forecast(prediction),
            "disk_space": lambda: outlook.disk_space(room, prediction),
            "time_limits": lambda: outlook.time_limits(limits, prediction),
        }
        for name, needed in OUTLOOK_CHECKS.items():
            self._add(name, Area.PREDICTION, looks[name], needed=needed)

    def result(self, *, seconds: float) -> PreflightResult:
        """Return what was gathered."""
        scene = self._scene
        figures = scene.figures if scene else None
        return PreflightResult(
            findings=tuple(self._findings),
            identity=self._identity,
            runner=self._request.runner or self._identity.user,
            refactor=self._refactor.migration.file if self._refactor else None,
            figures=None if isinstance(figures, UnseenError) else figures,
            prediction=None if isinstance(self._prediction, UnseenError) else self._prediction,
            room=self._room,
            seconds=seconds,
        )

    def _tables_are_missing(self, refactor: Refactor) -> bool:
        tables = up_guards(refactor.mapping).tables
        missing = [t for (t,) in self._look.ask("missing_tables", tables=list(tables))]
        self._add(TABLES_CHECK, Area.TABLES, lambda: _missing(refactor, missing))
        return bool(missing)

    def _make_scene(self, refactor: Refactor) -> Scene:
        questions = Questions(refactor.mapping)
        figures: Figures | UnseenError
        try:
            # Where Down has run, the archive remembers pairs and ids.
            turns = f"archive.{refactor.mapping.name}_turns"
            again = not self._look.ask("missing_tables", tables=[turns])
            figures = count(self._look, questions, again=again)
        except UnseenError as unseen:
            figures = unseen
        found = self._found
        return Scene(
            look=self._look,
            request=self._request,
            runner=self._request.runner or self._identity.user,
            identity=self._identity,
            table=None if isinstance(found, UnseenError) else found.table,
            refactor=refactor,
            questions=questions,
            guards=up_guards(refactor.mapping),
            figures=figures,
        )

    def _run(self, check: Check, scene: Scene) -> None:
        self._add(check.name, check.area, lambda: check.run(scene), needed=check.needed)

    def _add(
        self,
        name: str,
        area: Area,
        look: Callable[[], Iterable[Observation]],
        *,
        needed: bool = True,
    ) -> None:
        """Make one check; what cannot be seen is a finding, too."""
        self._report(name)
        try:
            for observation in look():
                self._note(name, area, observation, needed=needed)
        except UnseenError as unseen:
            self._note(name, area, unknown(unseen.reason, unseen.advice), needed=needed)

    def _note(self, name: str, area: Area, seen: Observation, *, needed: bool) -> None:
        accepted = bool(seen.accept) and seen.accept in self._request.accept
        self._findings.append(
            Finding(
                check=name,
                area=area,
                level=Level.NOTE if accepted else seen.level,
                says=_printable(seen.says) + (f" (accepted: {seen.accept})" if accepted else ""),
                do=_printable(seen.do),
                accept=seen.accept,
                accepted=accepted,
                needed=needed,
            )
        )


def _next(found: Found | UnseenError, refactors: tuple[Refactor, ...]) -> Refactor | None:
    """Return the first refactor that is not applied; the last one where that cannot be told."""
    if isinstance(found, UnseenError):
        return refactors[-1] if refactors else None
    pending = (r for r in refactors if not found.history.is_applied(r.migration.version))
    return next(pending, None)


def _printable(text: str) -> str:
    """Return a text whose names, which may be anything, cannot talk to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _missing(refactor: Refactor, missing: list[str]) -> Iterable[Observation]:
    if missing:
        yield no_go(
            f"{', '.join(missing)} is not there: this database is not at version"
            f" {refactor.mapping.version - 1}, and nothing else was looked at",
            "Look at the version table: is this the database that you mean?",
        )
    else:
        yield ok("every table that Up touches is there")
