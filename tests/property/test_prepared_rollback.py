"""A prepared rollback gives what Down gives, whatever version 11 writes at whatever moment of it.

Two databases get the same writes and go back to version 10; one of them is prepared, with writes at
moments of the preparation that Hypothesis chooses.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psycopg
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.property.effort import effort
from tests.property.strategies_11 import writes
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.online import KilledError
from tests.support.prepared import both, everything, preparer, told
from tests.support.refactor import turn

CHOICES = {"custodian": "sixtyone@clinic.invalid"}
MOMENTS = 8
schedules = st.lists(st.tuples(st.integers(0, MOMENTS), writes()), min_size=4, max_size=16)


@pytest.fixture(scope="module")
def cut_over(databases: Databases) -> Iterator[str]:
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        turn(connection, "up")
    yield url
    databases.drop(url)


@effort(12)
@given(schedule=schedules, stop=st.one_of(st.none(), st.integers(0, 5)), ending=st.booleans())
def test_a_prepared_down_does_what_down_does(
    databases: Databases,
    cut_over: str,
    schedule: Sequence[tuple[int, str]],
    stop: int | None,
    ending: bool,
) -> None:
    urls = [databases.copy(cut_over) for _ in range(2)]
    left = sorted(schedule, key=lambda each: each[0])
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls]
        moment = -1

        def report(_doing: str = "") -> None:
            nonlocal moment
            moment += 1
            while left and left[0][0] <= moment:
                both(connections, left.pop(0)[1])
            if moment == stop:
                raise KilledError

        prepared = preparer(connections[0], report)
        try:
            prepared.hook()
            prepared.find_out()
        except KilledError:
            if ending:  # begun anew
                prepared.hook()
                prepared.find_out()
        moment = MOMENTS
        report()
        notices = told(connections[0])
        errors = []
        for connection in connections:
            try:
                turn(connection, "down", CHOICES)
            except psycopg.Error as error:
                errors.append(str(error))
        assert len(errors) in {0, 2}, errors
        if errors:
            assert errors[0] == errors[1]
            event("refused")
        else:
            relied = any("and no others" in text for text in notices)
            event("relied on" if relied else "looked at all")
            assert everything(urls[0]) == everything(urls[1])
    for url in urls:
        databases.drop(url)
