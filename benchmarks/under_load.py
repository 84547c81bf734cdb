"""The online cutover while an application works: locks, stalls, and whether a write was lost.

The application is four clients of pgbench that never rest; a fifth one reads a row of a table that
both versions have. The switch holds its locks from the first one, by the server's clock, until that
neighbour is answered, which waits for them. COMMIT is answered later: the server removes files in
between, beside all who waited. What the colliding assessments cost is measured apart: their
statement alone, and a second cutover where none collides. A third one keeps version 10's views: its
application goes on until they are taken away, and must not fail.
"""

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from benchmarks.laboratory import Laboratory
from benchmarks.pgbench import (
    NEIGHBOUR,
    NEIGHBOUR_SLEEPS_MS,
    VERSION_10,
    VERSION_11,
    Pgbench,
    Transaction,
)
from benchmarks.processes import cpu_seconds
from benchmarks.stock import Stock, chain_of
from refactorkit.commands.chain import Limits
from refactorkit.commands.former import DropFormerRequest, drop_former
from refactorkit.commands.online import OnlineRequest, Phase, Progress, cutover
from refactorkit.errors import FailedError
from refactorkit.postgres.connection import connected, fetch_value
from refactorkit.postgres.dsn import Dsn

CLIENTS: Final = 4
_BEFORE_SECONDS: Final = 1.0
_AFTER_SECONDS: Final = 1
_PATIENCE_SECONDS: Final = 60.0
_BEFORE, _AFTER = "before", "after"
_NEIGHBOUR: Final = "neighbour"
_SEND_AWAY: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = %s AND datname = current_database()"
)
_NONE_COLLIDES: Final = """
    DELETE FROM public.patients
    WHERE id <= (SELECT greatest(last_value, (SELECT max(id) FROM public.users)) FROM public.users_id_seq)
"""  # noqa: E501
# Ids that are in both versions: patients who keep theirs as users.
_PERSONS: Final = """
    SELECT min(id), max(id) FROM public.patients
    WHERE id > (SELECT greatest(last_value, (SELECT max(id) FROM public.users)) FROM public.users_id_seq)
"""  # noqa: E501
_COLLIDING: Final = (
    "SELECT count(*) FROM public.assessments AS a"
    " JOIN archive.patients_map AS m ON m.target_id = a.user_id WHERE m.renumbered"
)
_WITHOUT_KEY: Final = "ALTER TABLE public.assessments DROP CONSTRAINT assessments_user_id_fkey"
_RELINK: Final = """
    UPDATE public.assessments AS l SET user_id = m.source_id
    FROM archive.patients_map AS m WHERE l.user_id = m.target_id AND m.renumbered
"""
_WRITTEN: Final = "SELECT count(*) FROM public.assessments WHERE model_version = 'pgbench'"


class Case(StrEnum):
    """What is cut over, and how."""

    NONE = "no id collides"
    SOME = "ids collide"
    KEPT = "no id collides, version 10 kept"


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """The transactions that ended in one phase; times in milliseconds."""

    transactions: int
    median_ms: float
    longest_ms: float


@dataclass(frozen=True, kw_only=True)
class OnlineRun:
    """What one online cutover under load came to.

    Attributes:
        patients: at which size.
        case: what was cut over, and how.
        colliding_assessments: how many rows the switch had to write for them.
        seconds: of the whole cutover, without verify.
        cpu_seconds: of its server process, until the last foreign key is validated; None where the
            system does not tell.
        locked_ms: from the first lock of the switch until the neighbour was answered that waited
            for it, or COMMIT was.
        answered_ms: from the first lock to the answer to COMMIT.
        neighbour_ms: the longest that a reader of ``users`` waited while the switch was tried.
        attempts: of the switch.
        longest_ms: the longest transaction of the application, failed ones too, from the start of
            the cutover to its end.
        phases: transactions by the phase in which they ended.
        failed_at_the_switch: transactions; at most one a client, and none where version 10 is kept.
        failed_elsewhere: transactions.
    """

    patients: int
    case: Case
    colliding_assessments: int
    seconds: float
    cpu_seconds: float | None
    locked_ms: float
    answered_ms: float
    neighbour_ms: float
    attempts: int
    longest_ms: float
    phases: Mapping[str, Stretch]
    failed_at_the_switch: int
    failed_elsewhere: int


def measure_online(laboratory: Laboratory, directory: Path, stock: Stock, case: Case) -> OnlineRun:
    """Cut a fresh copy over while the application works on it.

    Raises:
        FailedError: an assessment of the application is lost, or is there twice; or pgbench did not
            do its work.
        RefactorkitError: as the cutover.
    """
    with (
        laboratory.copy(stock.before) as name,
        tempfile.TemporaryDirectory(prefix="refactorkit-benchmarks-") as folder,
    ):
        dsn, url = laboratory.dsn(name), laboratory.url(name)
        persons = _prepare(dsn, case)
        marks: dict[str, float] = {}
        worker = _Worker(laboratory, name)

        def report(progress: Progress) -> None:
            marks.setdefault(progress.phase, time.monotonic())
            worker.look()

        application = Pgbench.start(
            url, VERSION_10, folder=_made(folder, "10"), clients=CLIENTS, persons=persons,
            search_path="v10,public",
        )  # fmt: skip
        neighbour = Pgbench.start(
            url, NEIGHBOUR, folder=_made(folder, "neighbour"), name=_NEIGHBOUR
        )
        try:
            time.sleep(_BEFORE_SECONDS)
            began = time.monotonic()
            chain = chain_of(dsn, directory)
            request = OnlineRequest(chain=chain, keep_former=case is Case.KEPT)
            result = cutover(request, report, check=False)
            ended, over = time.monotonic(), math.inf
            if case is Case.KEPT:
                marks[_AFTER] = ended
                time.sleep(_AFTER_SECONDS)
                over = time.monotonic()  # from here on, failing is what was wanted
                drop_former(DropFormerRequest(chain=chain, limits=Limits()))
            worked = application.wait(_PATIENCE_SECONDS)
            with connected(dsn) as connection:
                connection.execute(_SEND_AWAY, (_NEIGHBOUR,))
            waited = neighbour.wait(_PATIENCE_SECONDS)
        finally:
            application.stop()
            neighbour.stop()
        later = Pgbench.start(
            url, VERSION_11, folder=_made(folder, "11"), clients=CLIENTS, persons=persons,
            seconds=_AFTER_SECONDS,
        ).wait(_PATIENCE_SECONDS)  # fmt: skip
        colliding = _look(dsn, worked, later)
    if result.step is None or result.locked_ms is None or result.locked_at is None:
        raise FailedError("The benchmark met a database that had been cut over before.")
    switch = marks[Phase.SWITCH]
    locked_at = result.locked_at.timestamp() - (time.time() - time.monotonic())
    done = up_to(over, worked)
    failed = [each for each in done if each.has_failed]
    return OnlineRun(
        patients=stock.size.patients,
        case=case,
        colliding_assessments=colliding,
        seconds=ended - began,
        cpu_seconds=worker.cpu_seconds,
        locked_ms=min(result.locked_ms, until_answered(locked_at, waited)),
        answered_ms=result.locked_ms,
        neighbour_ms=max(
            each.ms - NEIGHBOUR_SLEEPS_MS
            for each in up_to(over, waited)
            if switch <= each.ended_at and not each.has_failed
        ),
        attempts=result.step.attempts,
        longest_ms=max(each.ms for each in done if each.ended_at >= began),
        phases=_by_phase(done, {_BEFORE: 0.0, **marks}),
        failed_at_the_switch=sum(each.ended_at >= switch for each in failed),
        failed_elsewhere=sum(each.ended_at < switch for each in failed)
        + sum(each.has_failed for each in later),
    )


class _Worker:
    """The server process that cuts over; it is gone before the cutover says that it is done."""

    def __init__(self, laboratory: Laboratory, database: str) -> None:
        self._laboratory = laboratory
        self._database = database
        self._pid: int | None = None
        self.cpu_seconds: float | None = None

    def look(self) -> None:
        """Note what it has used up to now."""
        if self._pid is None:
            self._pid = self._laboratory.first_backend(self._database, "refactorkit")
        self.cpu_seconds = cpu_seconds(self._pid)


def until_answered(locked_at: float, waited: Sequence[Transaction]) -> float:
    """Return how long it was from a lock until whoever waited for it was answered, milliseconds.

    Never less than the lock was held: whoever waits for it is answered after it.

    Args:
        locked_at: seconds of ``time.monotonic()``.
        waited: what one client did, one after the other, each of which the lock keeps waiting; the
            longest that ended after the lock is the one that met it.
    """
    longest = max(
        (each for each in waited if each.ended_at >= locked_at and not each.has_failed),
        key=lambda each: each.ms,
        default=None,
    )
    return math.inf if longest is None else (longest.ended_at - locked_at) * 1000


def up_to(moment: float, transactions: Sequence[Transaction]) -> list[Transaction]:
    """Return what was done before a moment; who was at it then has taken that long already."""
    return [
        each
        if each.ended_at < moment
        else Transaction(ended_at=moment, ms=each.ms - 1000 * (each.ended_at - moment))
        for each in transactions
        if each.ended_at - each.ms / 1000 < moment
    ]


def measure_relink(laboratory: Laboratory, stock: Stock) -> float:
    """Return what the colliding assessments cost alone, milliseconds, when they were just read.

    The statement is that of Down, which writes the same rows, in the same indexes, without the
    foreign key that both statements do not see.
    """
    with laboratory.copy(stock.after) as name, connected(laboratory.dsn(name)) as connection:
        took = 0.0
        for _ in range(2):  # the first one meets pages that nobody has read
            connection.execute("BEGIN")
            connection.execute(_WITHOUT_KEY)
            began = time.perf_counter()
            connection.execute(_RELINK)
            took = (time.perf_counter() - began) * 1000
            connection.execute("ROLLBACK")
        return took


def _prepare(dsn: Dsn, case: Case) -> tuple[int, int]:
    with connected(dsn) as connection:
        if case is not Case.SOME:
            connection.execute(_NONE_COLLIDES)
        connection.execute("VACUUM (ANALYZE)")  # as autovacuum would have, long before
        row = connection.execute(_PERSONS).fetchone()
        connection.execute("CHECKPOINT")
    if row is None or row[0] is None:
        raise FailedError("Too few patients: every one has the id of a user.")
    return row[0], row[1]


def _made(folder: str, name: str) -> Path:
    made = Path(folder) / name
    made.mkdir()
    return made


def _look(dsn: Dsn, done: Sequence[Transaction], later: Sequence[Transaction]) -> int:
    """Return how many assessments collided.

    Raises:
        FailedError: there are more or fewer assessments than pgbench was told had been committed.
    """
    expected = sum(not each.has_failed for each in (*done, *later))
    with connected(dsn) as connection:
        written = int(fetch_value(connection, _WRITTEN))
        colliding = int(fetch_value(connection, _COLLIDING))
    if written != expected:
        raise FailedError(
            f"{expected:,} assessments were committed, and {written:,} are in version 11."
        )
    return colliding


def _by_phase(done: Sequence[Transaction], marks: Mapping[str, float]) -> dict[str, Stretch]:
    found: dict[str, list[float]] = {str(name): [] for name in marks}
    order = sorted(marks.items(), key=lambda each: each[1])
    for each in done:
        phase = next(name for name, since in reversed(order) if since <= each.ended_at)
        found[str(phase)].append(each.ms)
    return {
        name: Stretch(
            transactions=len(times),
            median_ms=sorted(times)[len(times) // 2],
            longest_ms=max(times),
        )
        for name, times in found.items()
        if times
    }
