"""Rows that are written once the walk has passed them: parked, and swept in order after it."""

import time
from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.online import Pacing, Phase, Progress, abort, cutover, stage, status
from refactorkit.commands.online import fill as filling
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.staging import Stager
from tests.support.online import KilledError, request
from tests.support.queries import scalar
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]

PATIENTS = 1_000
TOTAL = PATIENTS + 10  # the mock data's
PACING = Pacing(batch_rows=100, fewest_rows=100, batch_ms=0, rest=0)
EDIT = "UPDATE public.patients SET bp_systolic = coalesce(bp_systolic, 100) + 1 WHERE id <= {}"
PARKED = "SELECT count(*) FROM archive.patients_stage_parked"
PAIRS = "SELECT count(*) FROM archive.patients_map"
LATEST = """
    SELECT count(*) FROM {}.patients AS s JOIN archive.patients_map AS m ON m.source_id = s.id
    JOIN public.users AS t ON t.id = m.target_id WHERE t.bp_systolic = s.bp_systolic
"""
STALE = """
    SELECT count(*) FROM public.patients AS s JOIN archive.patients_map AS m ON m.source_id = s.id
    JOIN public.users AS t ON t.id = m.target_id WHERE t.bp_systolic IS DISTINCT FROM s.bp_systolic
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


class Walk:
    """Acts each time that the walk has made a batch, and stops at the first sweep if it is to."""

    def __init__(self, act: Callable[[int], None], *, is_killed: bool = False) -> None:
        self._act = act
        self._is_killed = is_killed
        self.batches = 0
        self.swept: list[str] = []

    def __call__(self, progress: Progress) -> None:
        if progress.phase is not Phase.FILL:
            return
        if progress.note:
            self.swept.append(progress.note)
            if self._is_killed:
                raise KilledError
        else:
            self.batches += 1
            self._act(self.batches)


def killed_in_the_sweep(url: str, connection: psycopg.Connection, rows: int = 150) -> None:
    """Stage until the walk has ended, with so many rows parked."""

    def edit(batch: int) -> None:
        if batch == 2:
            connection.execute(EDIT.format(rows).encode())

    with pytest.raises(KilledError):
        stage(request(url, pacing=PACING), Walk(edit, is_killed=True))


def test_a_row_that_is_written_again_and_again_is_looked_at_once(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(clinic)
    parked: list[object] = []
    stale: list[object] = []

    def edit(batch: int) -> None:
        parked.append(scalar(connection, PARKED))
        stale.append(scalar(connection, STALE))
        if 2 <= batch <= 5:
            connection.execute(EDIT.format(150).encode())

    walk = Walk(edit)
    monkeypatch.setattr(filling, "_CATCH_UP_ROWS", 150)
    stage(request(clinic, pacing=PACING), walk)

    assert parked[:6] == [0, 0, 0, 150, 150, 150]  # a walk later
    assert stale[:6] == [0, 0, 150, 150, 150, 150]
    assert walk.swept == ["150 rows written since"]
    assert scalar(connection, PARKED) == 0
    assert scalar(connection, LATEST.format("public")) == TOTAL


def test_the_row_that_the_walk_stands_on_is_parked_and_those_before_it_are_not(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    parked: list[object] = []

    def edit(batch: int) -> None:
        parked.append(
            scalar(connection, "SELECT array_agg(key) FROM archive.patients_stage_parked")
        )
        if batch == 1:  # enough of them for a look after the next batch
            connection.execute(f"{EDIT.format(600)} AND id > 500".encode())
        if batch == 2:
            assert scalar(connection, "SELECT walked_to FROM archive.patients_stage") == 200
            connection.execute(f"{EDIT.format(200)} AND id >= 200".encode())

    stage(request(clinic, pacing=PACING), Walk(edit))

    assert parked[:3] == [None, None, [200]]
    assert scalar(connection, LATEST.format("public")) == TOTAL


def test_the_sweep_goes_in_the_order_of_keys_and_takes_as_many_as_it_says(
    clinic: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(clinic)
    left: list[object] = []
    real = Stager.look_again

    def look(self: Stager, rows: int) -> None:
        real(self, rows)
        left.append(
            connection.execute(
                "SELECT min(key), count(*) FROM archive.patients_stage_parked"
            ).fetchone()
        )

    def edit(batch: int) -> None:
        if batch == 2:  # the last first
            for first in (101, 1):
                connection.execute(f"{EDIT.format(first + 99)} AND id >= {first}".encode())

    monkeypatch.setattr(Stager, "look_again", look)
    monkeypatch.setattr(filling, "_CATCH_UP_ROWS", 80)
    stage(request(clinic, pacing=PACING), Walk(edit))

    # What was not parked in time, 61 to 100, is looked at by the sweep's first batch, as it comes.
    parking, sweeping = [(101, 80), (1, 160)], [(121, 80), (None, 0)]
    assert left == parking + sweeping
    assert scalar(connection, LATEST.format("public")) == TOTAL


def test_the_subject_of_a_patient_who_is_gone_does_not_wait_for_the_walk(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    pairs: list[object] = []

    def delete(batch: int) -> None:
        pairs.append(scalar(connection, PAIRS))
        if batch == 2:
            connection.execute("DELETE FROM public.patients WHERE id BETWEEN 51 AND 180")

    stage(request(clinic, pacing=PACING), Walk(delete))

    assert pairs[:4] == [100, 200, 300, 400 - 130]  # a walk later
    assert scalar(connection, PAIRS) == TOTAL - 130


def test_a_patient_who_is_gone_and_comes_again_is_taken_as_the_last_one(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)

    def come_again(batch: int) -> None:
        if batch == 2:
            connection.execute(
                "WITH gone AS (DELETE FROM public.patients WHERE id BETWEEN 51 AND 180 RETURNING *)"
                " SELECT count(*) FROM gone"
            )
            connection.execute(
                "INSERT INTO public.patients (id, name, user_id, bp_systolic)"
                " SELECT k, 'Nora ' || k, 1, 99 FROM generate_series(51, 180) AS k"
            )

    assert cutover(request(clinic, pacing=PACING), Walk(come_again)).exit_code == 0

    assert scalar(connection, "SELECT count(*) FROM public.users WHERE first_name = 'Nora'") == 130
    assert scalar(connection, LATEST.format("archive")) == TOTAL


def test_who_is_killed_in_the_sweep_says_how_many_wait_and_goes_on(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    killed_in_the_sweep(clinic, connection)

    found = status(request(clinic))
    assert found.phase is Phase.FILL
    assert found.waiting == 150
    assert scalar(connection, STALE) == 150

    assert cutover(request(clinic, pacing=PACING)).exit_code == 0
    assert scalar(connection, LATEST.format("archive")) == TOTAL


@pytest.mark.parametrize("batch", ["", "40"])
def test_a_plain_up_sweeps_what_was_left_parked(clinic: str, connect: Connect, batch: str) -> None:
    connection = connect(clinic)
    killed_in_the_sweep(clinic, connection)
    connection.execute("SELECT set_config('refactorkit.batch', %s, false)", (batch,))

    turn(connection, "up")

    assert scalar(connection, LATEST.format("archive")) == TOTAL


def test_what_was_parked_leaves_no_dead_rows_to_read_past(clinic: str, connect: Connect) -> None:
    connection = connect(clinic)
    killed_in_the_sweep(clinic, connection)
    vacuums = "SELECT vacuum_count FROM pg_stat_all_tables WHERE relname = 'patients_stage_parked'"
    before = scalar(connection, vacuums)
    stage(request(clinic, pacing=PACING))

    deadline = time.monotonic() + 10
    while scalar(connection, vacuums) == before and time.monotonic() < deadline:
        time.sleep(0.1)  # statistics come a little later
    assert scalar(connection, vacuums) != before


@pytest.mark.parametrize(
    ("write", "left"),
    [
        ("DELETE FROM public.patients WHERE id = 60", TOTAL - 1),
        ("UPDATE public.patients SET age = 99 WHERE id = 60", TOTAL),
        (
            "ALTER TABLE public.users DISABLE TRIGGER patients_stage_shield;"
            "UPDATE public.users SET first_name = '-' WHERE email = 'patient-60@unclaimed.invalid';"
            "ALTER TABLE public.users ENABLE ALWAYS TRIGGER patients_stage_shield",
            TOTAL,
        ),
    ],
    ids=["a patient who is deleted", "a patient who changes", "a subject that changes"],
)
def test_what_is_written_right_before_the_comparison_is_no_difference(
    clinic: str, connect: Connect, write: str, left: int
) -> None:
    connection = connect(clinic)

    def meanwhile(progress: Progress) -> None:
        if progress.phase is Phase.COMPARE:
            connection.execute(write.encode())

    assert cutover(request(clinic, pacing=PACING), meanwhile).exit_code == 0
    assert scalar(connection, PAIRS) == left
    assert scalar(connection, "SELECT count(*) FROM public.users WHERE first_name = '-'") == 0


def test_an_abort_takes_what_was_parked_away(clinic: str, connect: Connect) -> None:
    connection = connect(clinic)
    killed_in_the_sweep(clinic, connection)

    abort(request(clinic, pacing=PACING))

    assert scalar(connection, "SELECT count(*) FROM pg_class WHERE relname ~ '_stage'") == 0
    assert scalar(connection, "SELECT count(*) FROM public.users WHERE email ~ 'unclaimed'") == 0


def test_a_table_that_is_emptied_while_rows_are_parked_is_walked_from_the_start(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)

    def edit(batch: int) -> None:
        if batch == 3:
            connection.execute(EDIT.format(250).encode())
        if batch == 5:
            connection.execute("TRUNCATE public.patients CASCADE")
            connection.execute(
                "INSERT INTO public.patients (id, name, user_id, bp_systolic)"
                " SELECT k, 'Nora ' || k, 1, 99 FROM generate_series(201, 600) AS k"
            )

    assert cutover(request(clinic, pacing=PACING), Walk(edit)).exit_code == 0

    assert scalar(connection, LATEST.format("archive")) == 400
    assert scalar(connection, "SELECT count(*) FROM public.users WHERE email ~ 'unclaimed'") == 400
