"""The cutover after a rollback, while version 10 runs: what Down kept is given back."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.archive_harden import HardenRequest, harden
from refactorkit.commands.archive_purge import PurgeRequest, purge
from refactorkit.commands.erase import EraseRequest, erase
from refactorkit.commands.online import Phase, Progress, abort, cutover, stage
from refactorkit.commands.operation.evidence import EvidenceRequest
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.errors import RefactorkitError, RefusedError
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.postgres.dsn import Dsn
from tests.support.chain import SQL, record
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.evidence import Signer, said, states_of_ties
from tests.support.online import (
    MAPPING,
    KilledError,
    Meanwhile,
    former_pairs,
    request,
    version_10,
    version_11,
)
from tests.support.preflights import look, no_gos
from tests.support.queries import scalar
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
FREE = "archive.patients_free"
SINCE = (
    "UPDATE public.patients SET name = 'Anna Other', bmi = 23.45 WHERE id = 1500",
    "UPDATE public.patients SET age = 77 WHERE id = -7",
    "UPDATE public.patients SET smoking = 'former', updated_at = '2024-01-01Z' WHERE id = 60",
    "DELETE FROM public.patients WHERE id = 3",
    "INSERT INTO public.patients (id, name, user_id, created_at, updated_at)"
    " VALUES (40001, 'New', 60, '2024-01-01Z', '2024-01-01Z')",
    "INSERT INTO public.users (id, email, password_hash, created_at, updated_at)"
    " VALUES (40002, 'new at ten@x', 'h', '2024-01-01Z', '2024-01-01Z')",
    "UPDATE public.users SET role = 'researcher' WHERE id = 60",
    "UPDATE public.users SET is_active = true WHERE id = 30000",
    "UPDATE public.users SET password_hash = 'changed' WHERE id = 1",
)


def work(connection: psycopg.Connection, writes: tuple[str, ...] = SINCE) -> None:
    """Write as version 10 does, some of it before and some after a rollback."""
    for write in writes:
        connection.execute(write.encode())


@pytest.fixture(scope="module")
def back(databases: Databases) -> Iterator[str]:
    """A database that was cut over, worked in, and rolled back; to be copied."""
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        turn(connection, "up")
        work_as_version_11(url)
        connection.execute(
            "UPDATE public.users SET is_admin = true WHERE id = 60;"
            "UPDATE public.users SET bmi = 19.19, phone = '+1' WHERE id = 61;"
            "UPDATE public.users SET deleted_at = '2023-01-01Z' WHERE id = 2;"
            "UPDATE public.assessments SET notes = 'of two' WHERE id % 3 = 0;"
            "INSERT INTO public.users (id, email, password_hash, phone, created_at, updated_at)"
            " VALUES (30005, 'another@home.invalid', 'h', '+2', '2023-01-01Z', '2023-01-01Z')"
        )
        turn(connection, "down", {"custodian": "sixty@clinic.invalid"})
    yield url
    databases.drop(url)


@pytest.fixture
def clinic(databases: Databases, back: str) -> Iterator[str]:
    url = databases.copy(back)
    yield url
    databases.drop(url)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.new(tmp_path)


@pytest.fixture(scope="module")
def as_with_up(databases: Databases, back: str) -> dict[str, list[str]]:
    """What a plain second Up makes of the same clinic, after the same writes."""
    url = databases.copy(back)
    with psycopg.connect(url, autocommit=True) as connection:
        work(connection)
        turn(connection, "up")
        found = again(connection)
    databases.drop(url)
    return found


def again(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Return what version 11 holds, and which ids of former turns there are."""
    return version_11(connection) | {"former": former_pairs(connection)}


def whole(url: str, *, schema_only: bool = False) -> str:
    return pg_dump(url, exclude_schemas=(), exclude_tables=(FREE,), schema_only=schema_only)


def archive(url: str) -> str:
    return pg_dump(url, exclude_schemas=("public",), exclude_tables=(FREE,))


@pytest.mark.parametrize("phase", [Phase.LOOK, Phase.CHECK, Phase.INDEX, Phase.SWITCH])
def test_it_gives_what_up_gives_whenever_version_10_writes(
    clinic: str, connect: Connect, as_with_up: dict[str, list[str]], phase: Phase
) -> None:
    connection = connect(clinic)
    written: list[Phase] = []

    def write(_moment: int, progress: Progress) -> None:
        if progress.phase is phase and not written:
            written.append(phase)
            work(connection)

    result = cutover(request(clinic), Meanwhile(write))

    assert result.verdict is Verdict.PASS
    assert again(connection) == as_with_up
    assert states_of_ties(connection) == ["same", "same"]


def test_a_plain_up_picks_up_what_was_staged(
    clinic: str, connect: Connect, as_with_up: dict[str, list[str]]
) -> None:
    connection = connect(clinic)
    stage(request(clinic))
    work(connection)

    turn(connection, "up")
    record(connection, 11)

    assert again(connection) == as_with_up


def test_what_is_written_past_the_shield_is_made_again_and_counted(
    clinic: str, connect: Connect, as_with_up: dict[str, list[str]]
) -> None:
    connection = connect(clinic)
    stage(request(clinic))
    work(connection)
    with connection.transaction():
        connection.execute("ALTER TABLE public.users DISABLE TRIGGER patients_stage_shield")
        connection.execute("UPDATE public.users SET bmi = 9 WHERE email LIKE 'patient-%'")
        connection.execute("DELETE FROM public.users WHERE email = 'patient-60@unclaimed.invalid'")
        connection.execute("ALTER TABLE public.users ENABLE ALWAYS TRIGGER patients_stage_shield")

    assert cutover(request(clinic)).verdict is Verdict.PASS
    assert again(connection) == as_with_up


@pytest.mark.parametrize("stop_at", [1, 2, 5, 11, None])
def test_given_up_after_any_step_version_10_and_the_archive_are_as_they_were(
    clinic: str, connect: Connect, stop_at: int | None
) -> None:
    connection = connect(clinic)
    work(connection, SINCE[:3])
    kept, schema = archive(clinic), whole(clinic, schema_only=True)

    def write(moment: int, _progress: Progress) -> None:
        if moment == 4:
            work(connection, SINCE[3:])

    with suppress(KilledError):
        stage(request(clinic), Meanwhile(write, stop_at=stop_at))
    ten = version_10(connection)
    for moment in (0, 1, 3):
        with suppress(KilledError):
            abort(request(clinic), Meanwhile(lambda _moment, _progress: None, stop_at=moment))

    abort(request(clinic))

    assert archive(clinic) == kept
    assert whole(clinic, schema_only=True) == schema
    assert version_10(connection) == ten


def test_given_up_half_and_staged_again_it_gives_what_up_gives(
    clinic: str, connect: Connect, as_with_up: dict[str, list[str]]
) -> None:
    connection = connect(clinic)
    work(connection, SINCE[:5])
    stage(request(clinic))
    for moment in (1, 5):
        with suppress(KilledError):
            abort(request(clinic), Meanwhile(lambda _moment, _progress: None, stop_at=moment))
        stage(request(clinic))
    work(connection, SINCE[5:])

    assert cutover(request(clinic)).verdict is Verdict.PASS
    assert again(connection) == as_with_up


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
    left = [SINCE[4:]]
    work(killer, SINCE[:4])

    def kill(progress: Progress) -> None:
        if progress.phase is Phase.INDEX and left:
            work(killer, left.pop())
            for _ in range(60):  # more than one switch looks at
                killer.execute("UPDATE public.patients SET age = 77 WHERE id = -7")
        if progress.phase is phase and not killed:
            killed.append(phase)
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'refactorkit' AND datname = current_database()"
            )

    with pytest.raises(RefactorkitError):
        cutover(request(clinic), kill)

    result = cutover(request(clinic), kill)

    assert killed == [phase]
    assert result.verdict is Verdict.PASS
    assert again(killer) == as_with_up


def test_until_the_switch_nobody_logs_in_as_somebody_of_version_11_nor_meets_their_address(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    stage(request(clinic))
    of_version_11 = (
        "SELECT count(*) FROM public.users WHERE is_active AND email NOT LIKE '%@clinic.invalid'"
        " AND (password_hash = 'claimed' OR id IN (SELECT target_id FROM archive.patients_map))"
    )
    assert scalar(connection, of_version_11) == 0
    work(connection, TAKEN)

    assert cutover(request(clinic)).verdict is Verdict.PASS

    mine = "SELECT password_hash FROM public.users WHERE email = 'me@home.invalid'"
    assert scalar(connection, mine) == "mine"
    decided = "SELECT count(*) FROM archive.patients_decisions WHERE rule = 'email taken meanwhile'"
    assert scalar(connection, decided) == 1


TAKEN = ("INSERT INTO public.users (email, password_hash) VALUES ('me@home.invalid', 'mine')",)


@pytest.mark.parametrize("kept", ["staged", "stands aside", "not there yet"])
def test_an_id_of_version_11_is_not_to_be_had(clinic: str, connect: Connect, kept: str) -> None:
    connection = connect(clinic)
    target = scalar(connection, TARGET, 1500 if kept == "not there yet" else 60)
    stage(request(clinic))
    if kept == "stands aside":
        connection.execute("DELETE FROM public.patients WHERE id = 60")
        work(connection, ("UPDATE public.patients SET age = age + 1 WHERE id > 1000",) * 60)
        stage(request(clinic))

    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            "INSERT INTO public.users (id, email, password_hash) VALUES (%s, 'x@x', 'h')", [target]
        )

    assert cutover(request(clinic)).verdict is Verdict.PASS


TARGET = "SELECT target_id FROM archive.patients_map WHERE source_id = %s"


def test_a_column_of_somebodys_is_given_back_by_a_plain_cutover_alone(
    connect: Connect, make_database: Callable[[int], str]
) -> None:
    url = make_database(10)
    open_clinic(url)
    connection = connect(url)
    connection.execute("ALTER TABLE public.users ADD COLUMN nickname text")
    turn(connection, "up")
    connection.execute("UPDATE public.users SET nickname = 'N' || id")
    turn(connection, "down")

    with pytest.raises(RefusedError, match=r"column nickname .* is not the mapping's"):
        stage(request(url))


def test_what_belongs_to_a_user_who_is_gone_by_then_is_kept(
    databases: Databases, connect: Connect
) -> None:
    url = databases.create(10)
    open_clinic(url)
    connection = connect(url)
    turn(connection, "up")
    connection.execute(
        "INSERT INTO public.notification_queue"
        " (user_id, notification_type, subject, body, scheduled_for)"
        " SELECT id, 'educational', 'x', 'y', now() FROM public.users WHERE id IN (60, 61)"
    )
    turn(connection, "down")
    connection.execute("DELETE FROM public.users WHERE id = 61")

    stage(request(url))
    turn(connection, "up")
    living = "SELECT array_agg(user_id) FROM public.notification_queue"
    assert scalar(connection, living) == [60]
    kept = "SELECT array_agg(user_id) FROM archive.patients_kept_notification_queue"
    assert scalar(connection, kept) == [61]
    connection.close()
    databases.drop(url)


def test_while_it_is_staged_nobody_is_erased_and_nothing_is_verified_or_destroyed(
    clinic: str, signer: Signer
) -> None:
    stage(request(clinic))
    dsn = Dsn.parse(clinic)
    before = archive(clinic)

    for call in (
        lambda: erase(EraseRequest(dsn=dsn, source_id=60, basis="b", approved_by="a")),
        lambda: purge(PurgeRequest(dsn=dsn, before=datetime.now(UTC), basis="b", approved_by="a")),
        lambda: harden(HardenRequest(dsn=dsn)),
        lambda: verify(VerifyRequest(dsn=dsn)),
        lambda: signer.anchor(clinic),
    ):
        with pytest.raises(RefusedError, match="A cutover of patients is staged"):
            call()

    assert archive(clinic) == before


def test_its_evidence_is_of_what_it_left_behind(
    clinic: str, signer: Signer, connect: Connect
) -> None:
    stage(request(clinic))
    work(connect(clinic))

    wanted = EvidenceRequest(key=signer.source, folder=signer.folder)
    result = cutover(replace(request(clinic), evidence=wanted))

    assert result.verdict is Verdict.PASS
    (outcome,) = result.evidence
    assert outcome.made is not None, outcome.problem
    assert {tie.state for tie in outcome.made.manifest.ties} == {"same"}
    assert said(signer.verify(clinic, outcome.made.file)) == set()


def test_a_hardened_archive_is_guarded_while_it_is_staged_and_afterwards(
    databases: Databases, back: str, connect: Connect
) -> None:
    url = databases.copy(back)
    connection = connect(url)
    harden(HardenRequest(dsn=Dsn.parse(url)))
    kept, schema = archive(url), whole(url, schema_only=True)

    stage(request(url))
    with pytest.raises(psycopg.Error, match="is refused"):
        connection.execute("DELETE FROM archive.patients_map")
    work(connection)
    stage(request(url))
    abort(request(url))
    assert archive(url) == kept
    assert whole(url, schema_only=True) == schema

    assert cutover(request(url)).verdict is Verdict.PASS
    harden(HardenRequest(dsn=Dsn.parse(url), off=True))
    connection.close()
    databases.drop(url)


def test_whatever_is_staged_preflight_passes_and_counts_the_same(
    clinic: str, connect: Connect
) -> None:
    work(connect(clinic), (*SINCE, "DELETE FROM public.users WHERE id = 30000"))
    before = look(clinic).figures
    assert before is not None
    assert before.deleted == 2
    for moment in (2, 3, 5, 9, None):
        with suppress(KilledError):
            stage(request(clinic), Meanwhile(lambda _moment, _progress: None, stop_at=moment))
        result = look(clinic)
        assert result.verdict is Verdict.PASS, no_gos(result)
        now = result.figures
        assert now is not None
        assert (now.natives, now.pairs, now.deleted) == (before.natives, before.pairs, 2), moment


def test_a_mapping_that_was_mended_since_is_used_and_an_abort_leaves_the_former_one(
    clinic: str, connect: Connect, tmp_path: Path
) -> None:
    connect(clinic).execute("UPDATE public.patients SET hypertension = 'yes' WHERE id = 60")
    mended = tmp_path / "patients.toml"
    text = MAPPING.read_text(encoding="utf-8")
    old = 'forward = { no = "no", controlled'
    assert old in text
    mended.write_text(text.replace(old, 'forward = { yes = "uncontrolled", no = "no", controlled'))
    folder = tmp_path / "sql"
    shutil.copytree(SQL, folder)
    mapping = load_mapping(mended)
    (folder / mapping.migration).write_text(compile_migration(mapping), encoding="utf-8")
    asked, before = request(clinic, directory=folder), archive(clinic)
    stage(asked)
    abort(asked)
    assert archive(clinic) == before

    assert cutover(asked).verdict is Verdict.PASS

    image = "SELECT hypertension FROM public.users WHERE email = 'patient-60@unclaimed.invalid'"
    assert scalar(connect(clinic), image) == "uncontrolled"
