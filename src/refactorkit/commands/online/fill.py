"""Makes the subjects in batches, at a pace that leaves the server to the application."""

import time
from collections.abc import Callable
from typing import Final

from refactorkit.commands.chain import reading
from refactorkit.commands.online.model import Phase, Progress
from refactorkit.commands.online.session import Session
from refactorkit.errors import BusyError, RefusedError
from refactorkit.postgres.replicas import lag_bytes
from refactorkit.postgres.staging import Staged

_LARGEST_BATCH: Final = 20_000
_REPLICA_PAUSE_SECONDS: Final = 0.5
_CATCH_UP_ROWS: Final = 2_000
_CLOSE_ENOUGH: Final = 50  # keys: what one switch can look at in a few milliseconds
_PATIENCE_SECONDS: Final = 60.0  # without getting any closer
_PATIENCE_BATCHES: Final = 20  # at least, however long each waits for replicas

Report = Callable[[Progress], None]


def fill(session: Session, report: Report) -> Staged:
    """Make a subject for every source row that has none, as it is now; return what is staged then.

    Raises:
        RefactorkitError: a row cannot become a subject, or the connection was lost; what was made
            stays, and the next call goes on from there.
    """
    pacing = session.request.pacing
    rows = pacing.batch_rows
    with reading():
        total = session.stager.source_rows()
    began = time.monotonic()
    staged = must_be_staged(session)
    first = staged.subjects
    while not staged.walked:
        _wait_for_replicas(session, report, Phase.FILL)
        started = time.monotonic()
        session.stager.walk(rows)
        took = time.monotonic() - started
        staged = must_be_staged(session)
        report(_progress(staged, total=total, first=first, seconds=time.monotonic() - began))
        if not staged.walked:
            time.sleep(took * pacing.rest)
            # No rest after this, or the walk takes longer, and more is written meanwhile.
            if staged.waiting >= rows:
                session.stager.look_again(_CATCH_UP_ROWS)
                staged = must_be_staged(session)
        rows = max(pacing.fewest_rows, next_batch(rows, took * 1000, pacing.batch_ms))
    while staged.has_parked:
        _wait_for_replicas(session, report, Phase.FILL)
        report(Progress(phase=Phase.FILL, note=f"{session.stager.parked():,} rows written since"))
        session.stager.look_again(_CATCH_UP_ROWS)
        staged = must_be_staged(session)
    return staged


def catch_up(session: Session, report: Report) -> Staged:
    """Look at what was written meanwhile, until next to nothing of it is left.

    Raises:
        BusyError: the application writes faster than that.
    """
    patience = _Patience()
    has_looked = False
    while True:
        staged = must_be_staged(session)
        if not staged.has_natives:
            session.stager.note_natives()
            continue
        if not staged.walked or staged.has_parked:
            fill(session, report)
            patience = _Patience()
            continue
        # At first whatever waits: one key may be a TRUNCATE, which is the work of all rows.
        if staged.waiting > (_CLOSE_ENOUGH if has_looked else 0):
            if patience.is_out(staged.waiting):
                raise BusyError(
                    "The application writes faster than can be caught up with.",
                    state=session.state(),
                    hint="Try again when less is written.",
                )
            if staged.waiting > _CATCH_UP_ROWS:
                _wait_for_replicas(session, report, Phase.CATCH_UP)
            report(Progress(phase=Phase.CATCH_UP, note=f"{staged.waiting:,} rows written since"))
            session.stager.look_again(_CATCH_UP_ROWS)
            has_looked = True
            continue
        if not staged.is_counted:
            session.stager.recount()
            continue
        return staged


class _Patience:
    """Runs out where many batches in a row, and a minute of them, brought what waits no lower.

    It begins anew where more than twice as much waits as when it last began: a batch job of the
    application may come when little was left. That doubles it each time, so it is not often.
    """

    def __init__(self) -> None:
        self._most = 0
        self._least = 0
        self._since = 0.0
        self._batches = 0

    def is_out(self, waiting: int) -> bool:
        """Tell, before each batch, by how much waits now."""
        if waiting > 2 * self._most:
            self._most = self._least = waiting + 1
        if waiting < self._least:
            self._least, self._since, self._batches = waiting, time.monotonic(), 0
        self._batches += 1
        has_lasted = time.monotonic() - self._since >= _PATIENCE_SECONDS
        return has_lasted and self._batches > _PATIENCE_BATCHES


def must_be_staged(session: Session) -> Staged:
    """Return what is staged.

    Raises:
        RefusedError: nothing is.
    """
    staged = session.staged()
    if staged is None:
        raise RefusedError("Nothing is staged.", state=session.state())
    return staged


def _wait_for_replicas(session: Session, report: Report, phase: Phase) -> None:
    limit = session.request.pacing.replica_lag_bytes
    while True:
        with reading():
            lag = lag_bytes(session.connection)
        if lag <= limit:
            return
        report(Progress(phase=phase, note=f"a replica is {lag:,} bytes behind"))
        time.sleep(_REPLICA_PAUSE_SECONDS)


def next_batch(rows: int, took_ms: float, wanted_ms: int) -> int:
    """Return the size of the next batch: towards the wanted time, at most doubled or halved."""
    factor = min(2.0, max(0.5, wanted_ms / max(took_ms, 0.1)))
    return min(_LARGEST_BATCH, int(rows * factor))


def _progress(staged: Staged, *, total: int, first: int, seconds: float) -> Progress:
    rate = (staged.subjects - first) / seconds if seconds > 0 else 0.0
    left = max(0, total - staged.subjects) / rate if rate > 0 else None
    return Progress(
        phase=Phase.FILL,
        done=staged.subjects,
        total=max(total, staged.subjects),
        rows_per_second=rate,
        seconds_left=left,
    )
