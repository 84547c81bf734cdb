"""One run of all checks: first in the snapshot, then ahead."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from refactorkit.commands.chain import Found
from refactorkit.commands.preflight import (
    activity,
    dependants,
    files,
    former,
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
    note,
    ok,
    unknown,
)
from refactorkit.commands.preflight.prediction import Prediction, fires_for_tables, predict
from refactorkit.commands.preflight.result import PreflightResult
from refactorkit.commands.preflight.scene import Check, PreflightRequest, Scene
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.mapping.compiled import Refactor
from refactorkit.mapping.guards import up_guards
from refactorkit.mapping.preflight import Questions
from refactorkit.postgres.preflight import disk
from refactorkit.postgres.preflight.looking import Look, UnseenError

CHECKS: Final[tuple[Check, ...]] = (
    *identity.CHECKS,
    *server.CHECKS,
    *rights.CHECKS,
    *dependants.CHECKS,
    *former.CHECKS,
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

_SILENT: Final = unknown(
    "the check said nothing", "This is a defect in refactorkit: please report it."
)
_STAGED: Final = note(
    "does not apply: cutover --online looked at each row when it made its subject, and looks again"
    " at those that are written since"
)


class Inquiry:
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
        self._identity = identity.identify(look)
        runner = request.runner
        if runner is not None and not look.one("role_exists", runner=runner)[0]:
            raise UsageError(
                "There is no such role: the one that --runner names.",
                state=NOTHING_CHANGED,
                hint="Name the role that will run Up, as pg_roles spells it.",
            )
        self._findings: list[Finding] = []
        self._scene: Scene | None = None
        self._room: disk.Room | None = None
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
        asked = set()
        for group, observation in guards.guard_observations(interview):
            asked.add(group)
            self._note(group, guards.GROUPS[group].area, observation, needed=True)
        for group in guards.GROUPS.keys() - asked:
            seen = _STAGED if scene.staged is True and group in guards.STAGED_BEFORE else _SILENT
            self._note(group, guards.GROUPS[group].area, seen, needed=True)
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
            at=datetime.now(UTC),
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
        staged: bool | UnseenError = False
        try:
            if not self._look.ask("missing_tables", tables=[questions.stage]):
                staged = bool(self._look.query(questions.is_staged())[0][0])
        except UnseenError as unseen:
            staged = unseen
        try:
            if isinstance(staged, UnseenError):
                raise staged
            # Where Down has run, the archive remembers pairs and ids.
            turns = f"archive.{refactor.mapping.name}_turns"
            again = not self._look.ask("missing_tables", tables=[turns])
            figures = count(self._look, questions, again=again, staged=staged)
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
            staged=staged,
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
        before = len(self._findings)
        try:
            for observation in look():
                self._note(name, area, observation, needed=needed)
        except UnseenError as unseen:
            self._note(name, area, unknown(unseen.reason, unseen.advice), needed=needed)
        if len(self._findings) == before:
            self._note(name, area, _SILENT, needed=needed)

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
