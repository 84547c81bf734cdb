"""The cutover while version 10 runs: stopped, spoilt, given up, and two at once."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest
from benchmarks.application import VERSION_IS_OVER, Application

from refactorkit.commands.online import (
    Pacing,
    Phase,
    Progress,
    abort,
    cutover,
    stage,
    status,
    switch,
)
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import BusyError, RefactorkitError, RefusedError
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.stage import stage_of
from refactorkit.postgres.dsn import Dsn
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.online import (
    MAPPING,
    KilledError,
    Meanwhile,
    request,
    version_10,
    version_11,
)
from tests.support.queries import scalar
from tests.support.refactor import turn

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]
FREE = "archive.patients_free"
SUBJECT = "(SELECT id FROM public.users WHERE email LIKE 'patient-%' ORDER BY id LIMIT 1)"


@pytest.fixture
def clinic(make_database: MakeDatabase) -> str:
    """A database at version 10 in which ids collide and values have no image."""
    url = make_database(10)
    open_clinic(url)
    return url


def whole(url: str) -> str:
    """All there is, but for what an abort remembers."""
    return pg_dump(url, exclude_schemas=(), exclude_tables=(FREE,))


def seeded(url: str, patients: int) -> None:
    seed(
        SeedRequest(
            dsn=Dsn.parse(url),
            table="goose_db_version",
            patients=patients,
            assessments_per_patient=2,
            clinicians=20,
        )
    )


def nothing(_moment: int, _progress: Progress) -> None:
    """Version 10 rests."""


def test_what_an_application_writes_meanwhile_is_neither_lost_nor_doubled(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(10)
    seeded(url, 1_500)
    with Application(url, clients=4, pause_seconds=0.003) as application:
        time.sleep(0.5)
        result = cutover(request(url, pacing=Pacing(), max_lock_ms=500, retries=30))
        time.sleep(0.3)

    assert result.verdict is Verdict.PASS
    assert application.writes > 100
    assert application.lost(connect(url)) == []
    assert set(application.failures) <= VERSION_IS_OVER
    assert len(application.failures) <= 4


@pytest.mark.parametrize(
    "write",
    [
        "UPDATE public.patients SET name = 'Anna Other' WHERE id = 60",
        "UPDATE public.patients SET age = 99 WHERE id = 60",  # for Down
        "DELETE FROM public.patients WHERE id = 1501",
        "INSERT INTO public.patients (id, name, user_id) VALUES (1600, 'New', 60)",
        "UPDATE public.users SET is_active = false WHERE id = 60",
        "UPDATE public.users SET role = 'admin' WHERE id = 60",
        "INSERT INTO public.users (email, password_hash) VALUES ('new@x', 'h')",
        f"UPDATE public.users SET bmi = 99 WHERE id = {SUBJECT}",
        f"DELETE FROM public.users WHERE id = {SUBJECT}",
    ],
)
def test_what_is_written_past_the_triggers_is_found_before_the_switch(
    staged: psycopg.Connection, write: str
) -> None:
    """A superuser can switch a trigger off and on again: that alone shows nowhere."""
    with staged.transaction(force_rollback=True):
        for switch in ("DISABLE TRIGGER {}", "ENABLE ALWAYS TRIGGER {}"):
            for table, trigger in OURS:
                name = switch.format(trigger)
                staged.execute(f"ALTER TABLE public.{table} {name}".encode())
            if "DISABLE" in switch:
                staged.execute(write.encode())
        staged.execute("SET LOCAL search_path = pg_catalog")
        found = staged.execute(STAGE.differences.encode()).fetchall()

    assert len(found) == 1


OURS = (
    ("patients", "patients_stage_capture"),
    ("users", "patients_stage_capture"),
    ("users", "patients_stage_shield"),
)
STAGE = stage_of(load_mapping(MAPPING))


@pytest.fixture(scope="module")
def staged(databases: Databases) -> Iterator[psycopg.Connection]:
    """A database in which everything is ready to switch; to be left as it is."""
    url = databases.create(10)
    open_clinic(url)
    stage(request(url))
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(STAGE.differences.encode()).fetchall() == []
        yield connection
    databases.drop(url)


def test_what_was_written_past_the_triggers_stops_the_cutover(
    clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    connection = connect(clinic)
    connection.execute("ALTER TABLE public.patients DISABLE TRIGGER patients_stage_capture")
    connection.execute("UPDATE public.patients SET name = 'Anna Other' WHERE id = 60")
    connection.execute("ALTER TABLE public.patients ENABLE ALWAYS TRIGGER patients_stage_capture")

    with pytest.raises(RefusedError, match="1 rows are not staged as they must be") as caught:
        cutover(request(clinic))

    assert "Anna" not in str(caught.value)
    assert scalar(connection, "SELECT count(*) FROM public.patients WHERE id = 60") == 1


def test_backends_that_are_killed_at_any_moment_do_no_harm(
    clinic: str, make_database: MakeDatabase, connect: Connect
) -> None:
    other = make_database(10)
    open_clinic(other)
    turn(connect(other), "up")
    killer, chance = connect(clinic), random.Random(7)
    killed, result = 0, None
    while result is None:
        over = threading.Event()
        # Later and later, so that one attempt gets through in the end.
        delay = chance.uniform(0, 0.15 * (killed + 1))
        thread = threading.Thread(target=_strike, args=(killer, delay, over))
        thread.start()
        try:
            result = cutover(request(clinic))
        except RefactorkitError:
            killed += 1
        finally:
            over.set()
            thread.join()

    assert killed > 1
    assert result.verdict is Verdict.PASS
    assert version_11(connect(clinic)) == version_11(connect(other))


def _strike(killer: psycopg.Connection, delay: float, over: threading.Event) -> None:
    """Kill the runner a while after it came."""
    runner = "FROM pg_stat_activity WHERE application_name = 'refactorkit'"
    runner += " AND datname = current_database()"
    while not over.is_set() and scalar(killer, f"SELECT count(*) {runner}") == 0:
        time.sleep(0.01)
    if not over.wait(delay):
        killer.execute(f"SELECT pg_terminate_backend(pid) {runner}".encode())


@pytest.mark.parametrize("stop_at", [1, 2, 5, 11])
def test_given_up_after_any_step_version_10_is_as_it_was(clinic: str, stop_at: int) -> None:
    before = whole(clinic)
    with suppress(KilledError):
        stage(request(clinic), Meanwhile(nothing, stop_at=stop_at))

    abort(request(clinic))

    assert whole(clinic) == before


def test_an_abort_that_is_killed_goes_on_where_it_was(clinic: str) -> None:
    before = whole(clinic)
    stage(request(clinic))
    with suppress(KilledError):
        abort(request(clinic), Meanwhile(nothing, stop_at=0))
    assert whole(clinic) != before

    abort(request(clinic))

    assert whole(clinic) == before


def test_after_an_abort_no_more_ids_collide_than_before(
    clinic: str, make_database: MakeDatabase, connect: Connect
) -> None:
    other = make_database(10)
    open_clinic(other)
    turn(connect(other), "up")
    again = make_database(10)
    open_clinic(again)
    for url in (clinic, again):
        stage(request(url))
        abort(request(url))

    cutover(request(clinic))
    turn(connect(again), "up")

    kept = "SELECT array_agg(source_id ORDER BY 1) FROM archive.patients_map WHERE NOT renumbered"
    assert scalar(connect(clinic), kept) == [1500, 1501]
    assert scalar(connect(again), kept) == [1500, 1501]
    assert scalar(connect(other), kept) == [1500, 1501]


def test_two_at_once_the_second_is_told_that_the_first_is_at_work(clinic: str) -> None:
    met: list[str] = []

    def second(_moment: int, progress: Progress) -> None:
        if progress.phase is Phase.FILL and not met:
            assert status(request(clinic)).phase is Phase.FILL
            for call in (stage, abort, cutover):
                with pytest.raises(BusyError) as caught:
                    call(request(clinic))
                met.append(str(caught.value))

    assert cutover(request(clinic), Meanwhile(second)).verdict is Verdict.PASS
    assert len(met) == 3
    assert all("Another runner" in each for each in met)


def test_to_an_application_without_rights_in_the_archive_subjects_are_not_there(
    clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    connection = connect(clinic)
    role = f"app_{random.randrange(10**9)}"
    connection.execute(f"CREATE ROLE {role}".encode())
    try:
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}".encode())
        connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}".encode())
        subjects = scalar(connection, SUBJECTS)
        connection.execute(f"SET ROLE {role}".encode())
        met = {}
        for write in WRITES:
            try:
                connection.execute(write.encode())
            except psycopg.Error as error:
                met[write] = error.sqlstate or "?"
            else:
                met[write] = ""
        connection.execute("RESET ROLE")

        assert met == WRITES
        assert scalar(connection, SUBJECTS) == subjects
    finally:
        connection.execute(f"DROP OWNED BY {role}".encode())
        connection.execute(f"DROP ROLE {role}".encode())


WRITES = {
    f"UPDATE public.users SET is_active = true, password_hash = 'x' WHERE id = {SUBJECT}": "",
    f"DELETE FROM public.users WHERE id = {SUBJECT}": "",
    f"UPDATE public.users SET created_by = {SUBJECT} WHERE id = 60": "23503",
    f"UPDATE public.patients SET user_id = {SUBJECT} WHERE id = 60": "23503",
    f"INSERT INTO public.user_clinics (user_id, clinic_id) VALUES ({SUBJECT}, 1)": "23503",
    "INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at)"
    f" VALUES ({SUBJECT}, 'x', now())": "23503",
    "INSERT INTO public.users (email, password_hash) VALUES ('new@x', 'h')": "",
    "UPDATE public.patients SET name = 'Anna' WHERE id = 60": "",
}
SUBJECTS = """
    SELECT array_agg(t::text ORDER BY t.id) FROM public.users AS t
    JOIN archive.patients_map AS m ON m.target_id = t.id
"""


SPOILT = (
    ("ALTER TABLE public.patients DISABLE TRIGGER patients_stage_capture", "is not as it was"),
    ("DROP TRIGGER patients_stage_truncate ON public.users", "is not as it was staged"),
    ("ALTER TABLE public.users ALTER COLUMN is_admin SET DEFAULT true", "column is_admin"),
    ("ALTER TABLE public.users DROP COLUMN phone", "column phone"),
    ("ALTER TABLE public.users DROP CONSTRAINT users_hypertension_check", "hypertension"),
    (
        "DROP INDEX public.idx_users_account_status;"
        " CREATE INDEX idx_users_account_status ON public.users (id)",
        "idx_users_account_status is there already",
    ),
    ("UPDATE archive.patients_stage SET mapping_hash = 'other'", "another mapping"),
    ("CREATE TABLE archive.notification_queue ()", "is there already"),
    ("CREATE TABLE public.notification_queue ()", "is there already"),
    ("ALTER TABLE public.assessments ADD COLUMN notes text", "notes is there already"),
)


def test_what_is_not_as_it_was_staged_is_refused(clinic: str, connect: Connect) -> None:
    stage(request(clinic))
    connection = connect(clinic)
    for spoil, says in SPOILT:
        with connection.transaction(force_rollback=True):
            connection.execute(spoil.encode())
            with pytest.raises(psycopg.Error, match=says) as caught:
                turn(connection, "up")
            assert caught.value.sqlstate == "RK001"

    connection.execute(SPOILT[0][0].encode())
    with pytest.raises(RefusedError, match=SPOILT[0][1]):
        cutover(request(clinic))


def test_columns_that_somebody_added_go_along_and_come_back(clinic: str, connect: Connect) -> None:
    connection = connect(clinic)
    tables = "users", "patients", "assessments", "refresh_tokens"
    for table in tables:
        connection.execute(f"ALTER TABLE public.{table} ADD COLUMN remark text".encode())
        connection.execute(f"UPDATE public.{table} SET remark = 'R' || id".encode())

    def rows(table: str) -> object:
        query = f"SELECT array_agg(t::text ORDER BY t.id) FROM public.{table} AS t"
        return scalar(connection, query)

    before = [rows(table) for table in tables]
    assert cutover(request(clinic)).verdict is Verdict.PASS
    connection.execute(f"UPDATE public.users SET remark = 'of version 11' WHERE id = {SUBJECT}")
    subject = rows("users")
    turn(connection, "down")
    assert [rows(table) for table in tables] == before
    turn(connection, "up")
    assert rows("users") == subject


def test_a_trigger_of_others_on_users_is_refused_before_anything_is_staged(
    clinic: str, connect: Connect
) -> None:
    connect(clinic).execute(
        "CREATE FUNCTION public.mail() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER mail AFTER INSERT ON public.users FOR EACH ROW"
        " EXECUTE FUNCTION public.mail()"
    )
    before = pg_dump(clinic, exclude_schemas=())

    with pytest.raises(RefusedError, match="trigger mail on"):
        stage(request(clinic))

    assert pg_dump(clinic, exclude_schemas=()) == before


@pytest.mark.parametrize("moment", ["columns and triggers", ""])
def test_an_address_that_a_subject_needs_is_refused_by_id_whenever_it_is_taken(
    clinic: str, connect: Connect, moment: str
) -> None:
    connection = connect(clinic)

    def take(_moment: int, progress: Progress) -> None:
        if progress.note == moment and progress.phase in (Phase.EXPAND, Phase.FILL):
            connection.execute(
                "INSERT INTO public.users (id, email, password_hash)"
                " VALUES (99999, 'patient-1501@unclaimed.invalid', 'h') ON CONFLICT DO NOTHING"
            )

    with pytest.raises(RefusedError, match="email that a subject is to have: id 99999") as caught:
        stage(request(clinic), Meanwhile(take))

    assert "unclaimed" not in str(caught.value)
    connection.execute("UPDATE public.users SET email = 'mine@x' WHERE id = 99999")
    assert cutover(request(clinic)).verdict is Verdict.PASS


def test_nobody_goes_further_back_while_something_is_staged(clinic: str, connect: Connect) -> None:
    stage(request(clinic))

    with pytest.raises(psycopg.errors.DatabaseError, match="stage_hold") as refused:
        turn(connect(clinic), "down", version=10)
    assert refused.value.sqlstate == "RK001"
    # Nor does it help to overrule that guard: the server itself does not drop such a column.
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="stage_hold"):
        turn(connect(clinic), "down", {"accept": "drift"}, version=10)

    abort(request(clinic))
    turn(connect(clinic), "down", version=10)


def test_down_runs_before_what_the_switch_left_for_later_is_done(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    ten = version_10(connection)
    schema = pg_dump(clinic, schema_only=True)
    with suppress(KilledError):
        cutover(request(clinic), _killed_at(Phase.VALIDATE))
    assert status(request(clinic)).unvalidated == ("assessments_user_id_fkey",)

    turn(connection, "down")

    assert version_10(connection) == ten
    assert pg_dump(clinic, schema_only=True) == schema


def test_what_is_half_staged_is_not_switched_and_staged_to_the_end_it_is(clinic: str) -> None:
    with pytest.raises(RefusedError, match="Nothing is staged"):
        switch(request(clinic))
    with suppress(KilledError):
        stage(request(clinic), _killed_at(Phase.INDEX))
    with pytest.raises(RefusedError, match="not ready"):
        switch(request(clinic))

    stage(request(clinic))

    assert switch(request(clinic)).after == 11


def test_killed_after_the_switch_the_same_command_does_the_rest(clinic: str) -> None:
    with suppress(KilledError):
        cutover(request(clinic), _killed_at(Phase.VALIDATE))

    result = cutover(request(clinic))

    assert (result.before, result.after, result.step) == (11, 11, None)
    assert result.verdict is Verdict.PASS
    assert status(request(clinic)).phase is Phase.VERIFY


def test_a_table_that_stays_locked_is_given_up_and_what_is_staged_stays(
    clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    holder = connect(clinic)
    with holder.transaction():
        holder.execute("UPDATE public.patients SET age = 1 WHERE id = 60")
        began = time.monotonic()
        with pytest.raises(BusyError, match="somebody else holds a lock"):
            cutover(request(clinic, max_lock_ms=100, retries=1))
        assert time.monotonic() - began < 5
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert scalar(holder, waiting) == 0

    assert cutover(request(clinic)).verdict is Verdict.PASS
    assert scalar(holder, "SELECT age FROM archive.patients WHERE id = 60") == 1


def _killed_at(phase: Phase) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase is phase:
            raise KilledError

    return report
