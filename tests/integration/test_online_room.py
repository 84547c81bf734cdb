"""Pages keep room for rows that change while an online cutover is staged, and only then."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.online import abort, cutover, stage
from tests.support.clinic import open_clinic
from tests.support.online import request
from tests.support.queries import scalar
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
USERS, PAIRS = "public.users", "archive.patients_map"
ROOM = ["fillfactor=90"]
OWN = ["fillfactor=70"]


@pytest.fixture
def clinic(make_database: Callable[[int], str]) -> str:
    """A database at version 10."""
    url = make_database(10)
    open_clinic(url)
    return url


def options(connection: psycopg.Connection, table: str) -> object:
    """Return a table's storage parameters."""
    return scalar(connection, f"SELECT reloptions FROM pg_class WHERE oid = '{table}'::regclass")


def way_on(url: str, connection: psycopg.Connection, way: str) -> None:
    """End what is staged, in one of the ways there are."""
    if way == "cutover":
        cutover(request(url))
    elif way == "abort":
        abort(request(url))
    else:
        turn(connection, "up")


@pytest.mark.parametrize("way", ["cutover", "up", "abort"])
def test_room_is_kept_while_something_is_staged(clinic: str, connect: Connect, way: str) -> None:
    connection = connect(clinic)
    stage(request(clinic))
    assert options(connection, USERS) == ROOM
    assert options(connection, PAIRS) == ROOM

    way_on(clinic, connection, way)

    assert options(connection, USERS) is None
    if way != "abort":
        assert options(connection, PAIRS) is None


@pytest.mark.parametrize("way", ["cutover", "up", "abort"])
def test_who_set_it_otherwise_keeps_it(clinic: str, connect: Connect, way: str) -> None:
    connection = connect(clinic)
    connection.execute("ALTER TABLE public.users SET (fillfactor = 70)")
    stage(request(clinic))
    assert options(connection, USERS) == OWN

    way_on(clinic, connection, way)

    assert options(connection, USERS) == OWN


@pytest.mark.parametrize("way", ["cutover", "up", "abort"])
def test_after_a_rollback_the_pairs_are_left_as_they_were(
    clinic: str, connect: Connect, way: str
) -> None:
    connection = connect(clinic)
    for direction in ("up", "down"):
        turn(connection, direction)
    stage(request(clinic))
    assert options(connection, PAIRS) == ROOM

    way_on(clinic, connection, way)

    assert options(connection, PAIRS) is None
    assert options(connection, USERS) is None
