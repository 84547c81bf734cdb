"""The online cutover step by step: killed at each one, and what version 10 may do meanwhile."""

import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from benchmarks.application import VERSION_IS_OVER

from refactorkit.commands.online import Phase, Progress, cutover, stage, status
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import FailedError, RefactorkitError
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.online import Meanwhile, request, version_11
from tests.support.queries import scalar
from tests.support.refactor import turn

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]
LEVELS = ("REPEATABLE READ", "SERIALIZABLE")
RUNNER = (
    "FROM pg_stat_activity WHERE application_name = 'refactorkit' AND datname = current_database()"
)
BUSY = "UPDATE public.patients SET age = 41 WHERE id = 60"
MANY = 60  # more keys than one switch looks at


@pytest.fixture
def clinic(make_database: MakeDatabase) -> str:
    """A database at version 10 in which ids collide and values have no image."""
    url = make_database(10)
    open_clinic(url)
    return url


@pytest.fixture(scope="module")
def as_with_up(databases: Databases) -> dict[str, list[str]]:
    """What a plain Up makes of the same clinic."""
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BUSY.encode())
        turn(connection, "up")
        found = version_11(connection)
    databases.drop(url)
    return found


KILLED_AT = (
    Phase.LOOK, Phase.EXPAND, Phase.CHECK, Phase.FILL, Phase.INDEX, Phase.CATCH_UP, Phase.COMPARE,
    Phase.READY, Phase.SWITCH, Phase.VALIDATE,
)  # fmt: skip


@pytest.mark.parametrize("phase", KILLED_AT)
def test_killed_in_any_phase_the_same_command_does_the_rest(
    clinic: str, connect: Connect, as_with_up: dict[str, list[str]], phase: Phase
) -> None:
    killer = connect(clinic)
    killed: list[Phase] = []

    def kill(progress: Progress) -> None:
        if progress.phase is Phase.INDEX and not killed:
            for _ in range(MANY):
                killer.execute(BUSY.encode())
        if progress.phase is phase and not killed:
            killed.append(phase)
            assert scalar(killer, f"SELECT count(pg_terminate_backend(pid)) {RUNNER}") == 1

    with pytest.raises(RefactorkitError):
        cutover(request(clinic), kill)
    killer.execute(
        "DO $$ BEGIN IF to_regclass('public.patients') IS NOT NULL THEN"
        f" {BUSY}; END IF; END $$".encode()
    )

    result = cutover(request(clinic), kill)

    assert killed == [phase]
    assert (result.step is None) is (phase is Phase.VALIDATE)
    assert result.verdict is Verdict.PASS
    assert version_11(killer) == as_with_up


def test_killed_while_the_switch_waits_for_its_locks_nothing_has_happened(
    clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    holder, killer = connect(clinic), connect(clinic)
    waiting = f"SELECT count(*) {RUNNER} AND wait_event_type = 'Lock'"

    def strike() -> None:
        deadline = time.monotonic() + 30
        while scalar(killer, waiting) == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        killer.execute(f"SELECT pg_terminate_backend(pid) {RUNNER}".encode())

    with holder.transaction():
        holder.execute(BUSY.encode())
        thread = threading.Thread(target=strike)
        thread.start()
        with pytest.raises(RefactorkitError):
            cutover(request(clinic, max_lock_ms=20_000))
        thread.join()
        assert status(request(clinic)).version == 10

    assert cutover(request(clinic)).verdict is Verdict.PASS


@pytest.mark.parametrize("level", LEVELS)
def test_a_transaction_with_a_snapshot_from_before_the_triggers_is_caught_up_with(
    clinic: str, connect: Connect, level: str
) -> None:
    writer = connect(clinic)

    def act(_moment: int, progress: Progress) -> None:
        if progress.phase is Phase.LOOK:
            writer.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
            writer.execute("SELECT count(*) FROM public.model_runs")
        if progress.phase is Phase.CHECK:
            writer.execute("UPDATE public.patients SET bp_systolic = 177 WHERE id = 60")
            writer.execute("DELETE FROM public.patients WHERE id = 1501")
            writer.execute("COMMIT")

    result = cutover(request(clinic), Meanwhile(act))

    assert result.verdict is Verdict.PASS
    assert scalar(writer, SYSTOLIC.format(60)) == 177
    assert scalar(writer, "SELECT count(*) FROM archive.patients_map WHERE source_id = 1501") == 0


SYSTOLIC = (
    "SELECT t.bp_systolic FROM public.users AS t"
    " JOIN archive.patients_map AS m ON m.target_id = t.id WHERE m.source_id = {}"
)


@pytest.mark.parametrize("level", LEVELS)
def test_the_switch_gives_up_and_tries_again_until_a_writer_has_committed(
    clinic: str, connect: Connect, level: str
) -> None:
    writer, late = connect(clinic), connect(clinic)
    committed: list[float] = []
    switched: list[float] = []
    met: list[str | None] = []

    def commit() -> None:
        writer.execute("COMMIT")
        committed.append(time.monotonic())

    timer = threading.Timer(0.6, commit)

    def act(_moment: int, progress: Progress) -> None:
        if progress.phase is Phase.READY:
            for connection in (writer, late):
                connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
            late.execute("SELECT count(*) FROM public.model_runs")
            writer.execute("UPDATE public.patients SET bp_systolic = 178 WHERE id = 60")
            timer.start()
        if progress.phase is Phase.VALIDATE:
            switched.append(time.monotonic())
            with pytest.raises(psycopg.Error) as caught:
                late.execute("UPDATE public.patients SET bp_systolic = 1 WHERE id = 60")
            met.append(caught.value.sqlstate)
            late.execute("ROLLBACK")

    result = cutover(request(clinic, max_lock_ms=100, retries=50), Meanwhile(act))
    timer.join()

    assert result.step is not None
    assert result.step.attempts > 1
    assert committed[0] < switched[0]
    assert result.verdict is Verdict.PASS
    assert scalar(writer, SYSTOLIC.format(60)) == 178
    assert set(met) <= VERSION_IS_OVER


def test_before_the_switch_it_asks_and_what_is_written_until_the_answer_counts(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    with pytest.raises(FailedError, match="not confirmed"):
        cutover(request(clinic), confirm=lambda _status: False)
    assert status(request(clinic)).phase is Phase.READY

    def write(now: object) -> bool:
        assert now == status(request(clinic))
        for _ in range(MANY):
            connection.execute("UPDATE public.patients SET bp_systolic = 179 WHERE id = 60")
        return True

    assert cutover(request(clinic), confirm=write).verdict is Verdict.PASS
    assert scalar(connection, SYSTOLIC.format(60)) == 179


OURS = "FROM public.users WHERE email LIKE 'patient-%@unclaimed.invalid'"


def test_during_the_backfill_version_10_can_neither_change_nor_delete_nor_be_a_subject(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    seen: list[object] = []

    def try_it(_moment: int, progress: Progress) -> None:
        if progress.phase in (Phase.FILL, Phase.INDEX, Phase.COMPARE, Phase.READY):
            seen.append(scalar(connection, f"SELECT count(*) {OURS}"))
            for write in (
                f"UPDATE public.users SET is_active = true, password_hash = 'x' {WHERE}",
                f"UPDATE public.users SET role = 'admin', email = 'mine-' || id {WHERE}",
                f"DELETE {OURS}",
            ):
                assert connection.execute(write.encode()).rowcount == 0
            assert scalar(connection, f"SELECT count(*) {OURS}") == seen[-1]
            can_enter = f"SELECT count(*) {OURS} AND (is_active OR password_hash <> '!')"
            assert scalar(connection, can_enter) == 0

    result = cutover(request(clinic), Meanwhile(try_it))

    assert result.verdict is Verdict.PASS
    assert len({*seen}) > 2  # it grew under our eyes
    assert seen[-1] != 0


WHERE = "WHERE email LIKE 'patient-%@unclaimed.invalid'"


def test_the_hash_of_a_row_is_that_of_its_last_value_as_with_a_plain_up(
    clinic: str, make_database: MakeDatabase, connect: Connect
) -> None:
    other = make_database(10)
    open_clinic(other)
    stage(request(clinic))
    for url in (clinic, other):
        for write in (
            "UPDATE public.patients SET age = 33 WHERE id = 60",  # no column of users changes
            "UPDATE public.patients SET name = 'Anna Other' WHERE id = 1500",
            "DELETE FROM public.patients WHERE id = 1501",
            "INSERT INTO public.patients (id, name, user_id, created_at, updated_at)"
            " VALUES (1600, 'New', 60, '2026-01-01', '2026-01-01')",
        ):
            connect(url).execute(write.encode())

    cutover(request(clinic))
    turn(connect(other), "up")

    hashes = "SELECT jsonb_object_agg(source_id, row_hash) FROM archive.patients_map"
    assert scalar(connect(clinic), hashes) == scalar(connect(other), hashes)
