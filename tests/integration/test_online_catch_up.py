"""What the application writes during the backfill is looked at: soon, once, and not for ever."""

import time
from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.online import Pacing, Phase, Progress, cutover, stage
from refactorkit.commands.online import fill as filling
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.errors import BusyError, RefusedError
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.staging import Stager
from tests.support.online import request
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

PATIENTS = 1_000
PAGE = 8_192
WAITING = "SELECT array_agg(c.side || ' ' || c.key ORDER BY c.id) FROM archive.patients_stage_captured AS c"  # noqa: E501
EDIT_ALL = "UPDATE public.patients SET bp_systolic = coalesce(bp_systolic, 100) + 1"
LATEST = """
    SELECT count(*) FROM public.patients AS s JOIN archive.patients_map AS m ON m.source_id = s.id
    JOIN public.users AS t ON t.id = m.target_id WHERE t.bp_systolic = s.bp_systolic
"""


@pytest.fixture
def clinic(make_database: Callable[[int], str]) -> str:
    """A database at version 10 with the mock data and more patients."""
    url = make_database(10)
    seed(
        SeedRequest(
            dsn=Dsn.parse(url),
            table="goose_db_version",
            patients=PATIENTS,
            assessments_per_patient=0,
            clinicians=5,
        )
    )
    return url


def test_an_edit_is_written_down_once_and_a_new_key_beside_the_old_one(
    clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    connection = connect(clinic)

    connection.execute("UPDATE public.patients SET age = 51 WHERE id = 1")
    connection.execute("DELETE FROM public.assessments")
    connection.execute("UPDATE public.patients SET id = 9000 WHERE id = 2")
    connection.execute("UPDATE public.users SET role = 'user' WHERE id = 1")
    connection.execute("DELETE FROM public.patients WHERE id = 3")

    assert scalar(connection, WAITING) == [
        "source 1", "gone 2", "source 9000", "target 1", "gone 3",
    ]  # fmt: skip


def test_edits_that_the_walk_comes_to_cost_nothing_twice(clinic: str, connect: Connect) -> None:
    """A row that has no subject yet needs no second look: the walk makes it of its last value."""
    connection = connect(clinic)
    made: list[object] = []

    def edit(progress: Progress) -> None:
        if progress.phase is Phase.FILL:
            made.append(scalar(connection, "SELECT count(*) FROM archive.patients_map"))
            if len(made) == 1:
                connection.execute(f"{EDIT_ALL} WHERE id > 500")

    stage(request(clinic, pacing=Pacing(batch_rows=100, fewest_rows=100, batch_ms=0)), edit)

    total = PATIENTS + 10  # the mock data's
    assert made[:3] == [100, 200, 300]  # those that were written down are no subjects before
    assert scalar(connection, LATEST) == total


def test_keys_that_were_looked_at_leave_no_pages_behind(clinic: str, connect: Connect) -> None:
    """Else each look would read past all that was ever written down."""
    connection = connect(clinic)
    stage(request(clinic))
    for _ in range(30):
        connection.execute(EDIT_ALL)
        stage(request(clinic))

    left = scalar(connection, "SELECT pg_relation_size('archive.patients_stage_captured')")
    index = scalar(connection, "SELECT pg_relation_size('archive.patients_stage_captured_pkey')")
    assert isinstance(left, int)
    assert isinstance(index, int)
    # 1,010 keys take seven pages each time. Not tidied, that would be 210.
    assert left <= 100 * PAGE
    assert index <= 50 * PAGE


def test_an_application_that_writes_faster_is_given_up_on_and_what_is_staged_stays(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(clinic)
    is_writing = True

    def and_all_again(real: Callable[[Stager, int], None]) -> Callable[[Stager, int], None]:
        def look(self: Stager, rows: int) -> None:
            real(self, rows)
            if is_writing:
                connection.execute(EDIT_ALL)

        return look

    for kind in ("walk", "look_again"):
        monkeypatch.setattr(Stager, kind, and_all_again(getattr(Stager, kind)))
    monkeypatch.setattr("refactorkit.commands.online.fill._PATIENCE_SECONDS", 1.0)

    with pytest.raises(BusyError, match="writes faster than can be caught up with"):
        cutover(request(clinic, pacing=Pacing()))
    assert scalar(connection, "SELECT count(*) FROM archive.patients_map") == PATIENTS + 10

    is_writing = False
    assert cutover(request(clinic, pacing=Pacing())).exit_code == 0
    assert scalar(connection, LATEST.replace("public.patients", "archive.patients")) == (
        PATIENTS + 10
    )


def test_much_more_than_one_batch_is_caught_up_with_however_long_it_takes(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it gets closer, it does not give up: not after so many batches, either."""
    connection = connect(clinic)
    stage(request(clinic))
    connection.execute(EDIT_ALL)
    monkeypatch.setattr("refactorkit.commands.online.fill._CATCH_UP_ROWS", 2)

    assert stage(request(clinic)).phase is Phase.READY
    left = scalar(connection, WAITING) or []
    assert isinstance(left, list)
    assert len(left) <= 50  # as many as the switch looks at


def test_what_comes_in_one_go_is_caught_up_with_as_long_as_it_gets_less(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch job of the application's right after little was left does not count against it."""
    connection = connect(clinic)
    stage(request(clinic))
    connection.execute(f"{EDIT_ALL} WHERE id <= 60")
    real = Stager.look_again
    jobs = [EDIT_ALL]

    def beside_a_job(self: Stager, rows: int) -> None:
        real(self, rows)
        time.sleep(0.02)
        if jobs:
            connection.execute(jobs.pop().encode())

    monkeypatch.setattr(Stager, "look_again", beside_a_job)
    monkeypatch.setattr(filling, "_CATCH_UP_ROWS", 10)
    monkeypatch.setattr(filling, "_PATIENCE_SECONDS", 0.3)

    assert stage(request(clinic)).phase is Phase.READY


def test_waiting_for_a_replica_or_counting_again_uses_up_no_patience(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(clinic)
    stage(request(clinic))
    connection.execute(EDIT_ALL)
    connection.execute("UPDATE archive.patients_stage SET is_counted = false")
    monkeypatch.setattr(filling, "_CATCH_UP_ROWS", 300)
    monkeypatch.setattr(filling, "_PATIENCE_SECONDS", 0.2)
    lags = iter((2**40, 0, 2**40, 0))
    monkeypatch.setattr(filling, "lag_bytes", lambda _connection: next(lags, 0))
    real = Stager.recount

    def slowly(self: Stager) -> None:
        time.sleep(0.5)
        real(self)

    monkeypatch.setattr(Stager, "recount", slowly)

    assert stage(request(clinic)).phase is Phase.READY


def test_a_table_that_was_emptied_is_caught_up_with_before_the_switch(
    clinic: str, connect: Connect
) -> None:
    """It waits as one key, and is the work of all rows: not under the switch's lock."""
    connection = connect(clinic)
    stage(request(clinic))
    connection.execute("TRUNCATE public.patients CASCADE")

    stage(request(clinic))

    assert scalar(connection, "SELECT count(*) FROM archive.patients_map") == 0


@pytest.mark.parametrize(
    ("write", "key"),
    [
        ("UPDATE public.patients SET user_id = 999999 WHERE id = 60", 60),
        ("INSERT INTO public.patients (id, name, user_id) VALUES (4000, 'Nora', 999999)", 4000),
    ],
    ids=["a row that has a subject", "a row that has none"],
)
def test_a_row_that_names_nobody_is_refused_by_its_key(
    clinic: str, connect: Connect, write: str, key: int
) -> None:
    """Who restores or replicates rows looks at no foreign key; our triggers fire all the same."""
    connection = connect(clinic)
    stage(request(clinic))
    connection.execute("SET session_replication_role = replica")
    connection.execute(write.encode())

    with pytest.raises(
        RefusedError, match=rf"name a user_id that is not in public\.users: id {key}\."
    ):
        stage(request(clinic))

    assert scalar(connection, "SELECT count(*) FROM archive.patients_stage_captured") == 1
    connection.execute(f"UPDATE public.patients SET user_id = 1 WHERE id = {key}".encode())
    assert cutover(request(clinic)).exit_code == 0
