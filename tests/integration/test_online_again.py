"""The cutover after a rollback, while version 10 runs: what Down kept is given back."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from refactorkit.commands.online import Phase, Progress, abort, cutover, stage
from refactorkit.commands.verdict import Verdict
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.stage import stage_of
from tests.support.chain import record
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.evidence import states_of_ties
from tests.support.online import MAPPING, KilledError, Meanwhile, former_pairs, request, version_11
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
FREE = "archive.patients_free"
STAGE = stage_of(load_mapping(MAPPING))
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
            "UPDATE public.assessments SET notes = 'of two' WHERE id % 3 = 0"
        )
        turn(connection, "down", {"custodian": "sixty@clinic.invalid"})
    yield url
    databases.drop(url)


@pytest.fixture
def clinic(databases: Databases, back: str) -> Iterator[str]:
    url = databases.copy(back)
    yield url
    databases.drop(url)


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


def whole(url: str) -> str:
    return pg_dump(url, exclude_schemas=(), exclude_tables=(FREE,))


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


@pytest.mark.parametrize("stop_at", [1, 2, 5, 11, None])
def test_given_up_after_any_step_version_10_and_the_archive_are_as_they_were(
    clinic: str, stop_at: int | None
) -> None:
    before = whole(clinic)
    with suppress(KilledError):
        stage(request(clinic), Meanwhile(lambda _m, _p: None, stop_at=stop_at))

    abort(request(clinic))

    assert whole(clinic) == before
