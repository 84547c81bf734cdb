"""The backfill leaves the server to others: it waits for replicas, and rests as it is told."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from queue import Queue
from types import SimpleNamespace

import psycopg
import pytest

from refactorkit.commands.online import Pacing, Phase, Progress, stage
from refactorkit.commands.online import fill as filling
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.embedded import EmbeddedServer
from refactorkit.postgres.staging import Stager
from tests.support.chain import migrate
from tests.support.online import request
from tests.support.queries import scalar
from tests.support.servers import chosen_binaries, memory_folder
from tests.support.standby import standby

PATIENTS = 1_200
SMALL = Pacing(batch_rows=50, fewest_rows=50, batch_ms=1, rest=0, replica_lag_bytes=32 * 1024)
PATIENCE_SECONDS = 60.0


def seeded(url: str) -> None:
    seed(
        SeedRequest(
            dsn=Dsn.parse(url),
            table="goose_db_version",
            patients=PATIENTS,
            assessments_per_patient=0,
            clinicians=5,
        )
    )


@pytest.fixture
def primary() -> Iterator[str]:
    """A database at version 10 on a server of its own."""
    with EmbeddedServer.start(
        durable=False, directory=memory_folder(), binaries=chosen_binaries()
    ) as server:
        url = server.dsn("postgres")
        migrate(url, 10)
        seeded(url)
        yield url


def test_subjects_wait_for_a_replica_that_does_not_keep_up(
    primary: str, connect: Callable[..., psycopg.Connection]
) -> None:
    connection = connect(primary)
    waits: Queue[str] = Queue()

    def listen(progress: Progress) -> None:
        if "a replica is" in progress.note:
            waits.put(progress.note)

    with standby(primary, memory_folder()) as replica:
        _until(lambda: scalar(connection, _CAUGHT_UP) is True)
        replica.execute("SELECT pg_wal_replay_pause()")
        thread = threading.Thread(
            target=stage, args=(request(primary, pacing=SMALL), listen), daemon=True
        )
        thread.start()
        waits.get(timeout=PATIENCE_SECONDS)
        made = scalar(connection, _SUBJECTS)
        assert isinstance(made, int)
        waits.get(timeout=PATIENCE_SECONDS)
        assert scalar(connection, _SUBJECTS) == made
        assert made < PATIENTS

        replica.execute("SELECT pg_wal_replay_resume()")
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        assert scalar(connection, _SUBJECTS) == PATIENTS + 10  # the mock data's


_SUBJECTS = "SELECT count(*) FROM archive.patients_map"
_CAUGHT_UP = "SELECT bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_rests_for_as_long_as_it_worked_times_what_is_asked(
    make_database: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database(10)
    seeded(url)
    rests: list[float] = []
    times: list[float] = []
    monkeypatch.setattr("refactorkit.commands.online.fill.time.sleep", rests.append)

    def listen(progress: Progress) -> None:
        if progress.phase is Phase.FILL:
            times.append(time.monotonic())

    # Batches without their rests, between two reports: the rests must be three times as long.
    stage(request(url, pacing=Pacing(batch_rows=200, fewest_rows=200, rest=3)), listen)

    worked = [later - earlier for earlier, later in pairwise(times)]
    assert len(rests) >= PATIENTS // 20_000 + 2
    assert sum(rests[1:]) > 3 * 0.5 * sum(worked)
    assert sum(rests[1:]) < 3 * sum(worked)


def test_it_does_not_rest_after_rows_that_were_written_meanwhile(
    make_database: Callable[[int], str],
    connect: Callable[..., psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The longer it took, the more of them there would be."""
    url = make_database(10)
    seeded(url)
    connection = connect(url)
    rests: list[float] = []
    walks: list[int] = []
    looks: list[int] = []
    monkeypatch.setattr(
        filling, "time", SimpleNamespace(monotonic=time.monotonic, sleep=rests.append)
    )
    real = Stager.look_again

    def look(self: Stager, rows: int) -> None:
        looks.append(len(walks))
        real(self, rows)

    def edit(progress: Progress) -> None:
        if progress.phase is Phase.FILL and not progress.note:
            walks.append(progress.done)
            connection.execute("UPDATE public.patients SET age = age + 1 WHERE id <= 300")

    monkeypatch.setattr(Stager, "look_again", look)
    stage(request(url, pacing=Pacing(batch_rows=200, fewest_rows=200, batch_ms=0)), edit)

    assert sum(each < len(walks) for each in looks) >= 2, "nothing was looked at between walks"
    assert len(rests) == len(walks) - 1


@pytest.mark.parametrize(
    ("took_ms", "following"),
    [(50, 500), (25, 1000), (1, 1000), (100, 250), (5_000, 250), (0, 1000)],
)
def test_a_server_under_load_gets_smaller_batches(took_ms: float, following: int) -> None:
    assert filling.next_batch(500, took_ms, 50) == following
