"""The phases of an online cutover, in order, each of which can be repeated."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from refactorkit.commands.chain import reading
from refactorkit.commands.online.fill import catch_up, fill, must_be_staged
from refactorkit.commands.online.model import (
    OnlineRequest,
    OnlineResult,
    OnlineStatus,
    Phase,
    Progress,
)
from refactorkit.commands.online.session import Session, session
from refactorkit.commands.operation.evidence import EvidenceMaker
from refactorkit.commands.operation.model import pass_gates
from refactorkit.commands.verify import VerifyRequest, VerifyResult, verify
from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError
from refactorkit.postgres.connection import fetch_value, same_server, set_for_session
from refactorkit.postgres.execution import Runner
from refactorkit.postgres.observation import Observer
from refactorkit.postgres.progress import StepResult
from refactorkit.postgres.staging import Staged

_ONLINE: Final = "refactorkit.online"

_log = structlog.get_logger()

Report = Callable[[Progress], None]
Confirm = Callable[[OnlineStatus], bool]


@dataclass(frozen=True, kw_only=True)
class _Locked:
    """When the switch held its locks, as ``OnlineResult`` has it."""

    at: datetime | None
    ms: float


def _quiet(_progress: Progress) -> None:
    """Report nothing."""


def cutover(
    request: OnlineRequest,
    report: Report = _quiet,
    *,
    confirm: Confirm | None = None,
    check: bool = True,
) -> OnlineResult:
    """Stage, switch, finish and verify; goes on where an earlier call was stopped.

    Args:
        request: what to cut over.
        report: is told of each step.
        confirm: is asked before the switch, once everything is ready; False leaves it staged.
        check: verify every row and column afterwards.

    Raises:
        BusyError: another runner is at work, or a lock was not to be had; what is staged stays.
        RefusedError: a guard said no.
        FailedError: the operator did not confirm, or the server was lost.
    """
    started_at = datetime.now(UTC)
    evidence = EvidenceMaker(request.evidence, request.chain.dsn)
    with session(request) as opened, contextlib.closing(evidence):
        before = opened.version
        step, locked, subjects = None, None, 0
        if not opened.is_switched:
            evidence.stand_by(same_server(request.chain.dsn, opened.connection))
            _stage(opened, report)
            if confirm is not None:
                _ask(opened, report, confirm)
            subjects = must_be_staged(opened).subjects
            step, locked = _switch(opened, report, evidence.look_shortly_before)
        after = opened.version if step is None else opened.mapping.version
        _finish(opened, report)
        if request.evidence is not None:
            report(Progress(phase=Phase.EVIDENCE))
        # Once foreign keys are validated: their definitions are part of it.
        if step is None:
            evidence.make_up_for(opened.mapping.name)
        else:
            evidence.make_of(opened.mapping.name)
    return OnlineResult(
        started_at=started_at,
        before=before,
        after=after,
        step=step,
        locked_at=locked.at if locked else None,
        locked_ms=locked.ms if locked else None,
        subjects=subjects,
        verification=_verify(request, report) if check else None,
        evidence=evidence.outcomes,
    )


def stage(request: OnlineRequest, report: Report = _quiet) -> OnlineStatus:
    """Do everything before the switch; the old version runs on.

    Raises:
        RefactorkitError: as ``cutover``.
    """
    with session(request) as opened:
        _stage(opened, report)
        return _status(opened)


def switch(request: OnlineRequest, report: Report = _quiet) -> OnlineResult:
    """Switch what is staged, and finish.

    Raises:
        RefusedError: nothing is staged.
        RefactorkitError: as ``cutover``.
    """
    started_at = datetime.now(UTC)
    with session(request) as opened:
        before, subjects = opened.version, must_be_staged(opened).subjects
        step, locked = _switch(opened, report)
        _finish(opened, report)
    return OnlineResult(
        started_at=started_at,
        before=before,
        after=opened.mapping.version,
        step=step,
        locked_at=locked.at,
        locked_ms=locked.ms,
        subjects=subjects,
        verification=None,
    )


def finish(request: OnlineRequest, report: Report = _quiet) -> OnlineStatus:
    """Validate what the switch left for later; does nothing where nothing is left.

    Raises:
        RefactorkitError: as ``cutover``.
    """
    with session(request) as opened:
        _finish(opened, report)
        return _status(opened)


def status(request: OnlineRequest) -> OnlineStatus:
    """Say where the cutover is, also while another runner works on it; changes nothing.

    Raises:
        RefactorkitError: files or database cannot be read.
    """
    with session(request, alone=False) as opened:
        return _status(opened)


def _stage(opened: Session, report: Report) -> None:
    stager = opened.stager
    step = opened.step()  # refuses where another file is to be run before
    report(Progress(phase=Phase.LOOK))
    staged = opened.staged()
    pass_gates(
        opened,
        (step,),
        opened.request.gates,
        state=NOTHING_CHANGED if staged is None else opened.state(),
    )
    stager.look_first(at_all=staged is None or not staged.is_expanded)
    if opened.staged() is None:
        report(Progress(phase=Phase.EXPAND, note="archive"))
        stager.prepare()
    if not must_be_staged(opened).is_expanded:
        report(Progress(phase=Phase.EXPAND, note="columns and triggers"))
        stager.expand()
    if not must_be_staged(opened).subjects:
        # Again, now that nothing is written unseen any more: somebody may have come in between.
        stager.look_first(at_all=True)
    report(Progress(phase=Phase.CHECK))
    stager.complete()
    stager.check()
    stager.help_deletions()
    staged = must_be_staged(opened)
    if not staged.has_natives:
        stager.note_natives()
    fill(opened, report)
    if not must_be_staged(opened).is_ready:
        stager.index(lambda name: report(Progress(phase=Phase.INDEX, note=name)))
        stager.settle()
    catch_up(opened, report)
    _compare(opened, report)
    report(Progress(phase=Phase.READY))


def _compare(opened: Session, report: Report) -> None:
    """Compare before the switch: afterwards the application's own writes cannot be told apart.

    Raises:
        RefusedError: something was written past the triggers.
    """
    report(Progress(phase=Phase.COMPARE))
    found = opened.stager.compare()
    if found.differences:
        where = ", ".join(f"{d.table} {d.row_id} {d.what}" for d in found.listed)
        more = ", ..." if found.differences > len(found.listed) else ""
        raise RefusedError(
            f"{found.differences:,} rows are not staged as they must be: {where}{more}.",
            state=opened.state(),
            hint="They were written past the triggers. Take away what is staged with --abort.",
        )


def _ask(opened: Session, report: Report, confirm: Confirm) -> None:
    if not confirm(_status(opened)):
        raise FailedError("The switch was not confirmed.", state=opened.state())
    catch_up(opened, report)


def _switch(
    opened: Session, report: Report, look: Callable[[], None] = lambda: None
) -> tuple[StepResult, _Locked]:
    """Run the migration, each time with next to nothing left to do, until it gets its locks.

    Right before each attempt ``look`` is called.

    An attempt waits for them no longer than was asked; between two, the application works on, and
    what it wrote is caught up with.
    """
    step = opened.step()
    with reading():
        set_for_session(opened.connection, {_ONLINE: "on"})
    # Everything that the guards look at under the lock is then in memory already.
    opened.stager.look_first()

    def just_before() -> None:
        if not catch_up(opened, report).can_switch:
            raise RefusedError(
                "What is staged is not ready: its indexes are not built.",
                state=opened.state(),
                hint="Stage it to the end first.",
            )
        report(Progress(phase=Phase.SWITCH))
        look()

    commit = _Commit()
    runner = Runner(
        dsn=opened.request.chain.dsn,
        connection=opened.connection,
        table=opened.found.table,
        version=opened.version,
        limits=opened.request.locks,
        observer=commit,
        between=just_before,
    )
    just_before()
    (done,) = runner.run((step,))
    opened.version = runner.version
    locked = _locked(opened, commit)
    _log.info("online.switched", locked_ms=round(locked.ms, 1), attempts=done.attempts)
    return done, locked


class _Commit(Observer):
    """Notes when the server answered COMMIT, by the monotonic clock of this process."""

    answered_at = math.nan

    def ended(self, *, committed: bool) -> None:
        """Note the moment: what the runner tidies up afterwards is no time under the lock."""
        self.answered_at = time.monotonic() if committed else math.nan


def _locked(opened: Session, commit: _Commit) -> _Locked:
    """Return when the switch took its first lock, and how long it was to the answer to its COMMIT.

    The server's clock says how long it is since the lock, ours how much of that came after the
    answer; never too little, for the answer comes after the locks are gone.
    """
    if opened.connection.closed:  # the answer to COMMIT was lost, and asked for elsewhere
        return _Locked(at=None, ms=math.nan)
    with reading():
        asked_at = time.monotonic()
        ms: float = fetch_value(
            opened.connection,
            "SELECT 1000 * pg_catalog.extract('epoch', pg_catalog.clock_timestamp() -"
            " pg_catalog.current_setting('refactorkit.locked_at')"
            "::pg_catalog.timestamptz)::float8",
        )
        set_for_session(opened.connection, {_ONLINE: ""})
    ms -= (asked_at - commit.answered_at) * 1000
    since_answer = timedelta(seconds=time.monotonic() - commit.answered_at)
    return _Locked(at=datetime.now(UTC) - since_answer - timedelta(milliseconds=ms), ms=ms)


def _finish(opened: Session, report: Report) -> None:
    for table, name in opened.stager.unvalidated():
        report(Progress(phase=Phase.VALIDATE, note=name))
        opened.stager.validate(table, name)


def _verify(request: OnlineRequest, report: Report) -> VerifyResult:
    report(Progress(phase=Phase.VERIFY))
    return verify(
        VerifyRequest(dsn=request.chain.dsn, allow_edits=True),
        lambda name: report(Progress(phase=Phase.VERIFY, note=name)),
    )


def _status(opened: Session) -> OnlineStatus:
    staged = opened.staged()
    with reading():
        unvalidated = tuple(name for _, name in opened.stager.unvalidated())
    return OnlineStatus(
        version=opened.version,
        phase=_next_phase(opened, staged, is_validated=not unvalidated),
        subjects=staged.subjects if staged else 0,
        waiting=staged.waiting + opened.stager.parked() if staged else 0,
        unvalidated=unvalidated,
    )


def _next_phase(opened: Session, staged: Staged | None, *, is_validated: bool) -> Phase:
    if staged is None:
        if opened.version < opened.mapping.version:
            return Phase.LOOK
        return Phase.VERIFY if is_validated else Phase.VALIDATE
    if not staged.walked or staged.has_parked:
        return Phase.FILL
    if not staged.is_ready:
        return Phase.INDEX
    return Phase.READY if staged.can_switch else Phase.CATCH_UP
