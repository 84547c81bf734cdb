"""A prepared rollback gives what Down gives, whatever version 11 writes at whatever moment of it.

Two databases get the same writes and go back to version 10; one of them is prepared, with writes at
moments of the preparation that Hypothesis chooses.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import psycopg
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.property.effort import effort
from tests.property.strategies import ACCOUNT, PATIENT, PROFILE, SELF_REPORT, some_of
from tests.property.strategies_online import _insert, _set
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.model.columns import Row
from tests.support.online import KilledError
from tests.support.prepared import both, everything, preparer, told
from tests.support.refactor import turn

CHOICES = {"custodian": "sixtyone@clinic.invalid"}
MOMENTS = 8
ONE_USER = (
    "(SELECT u.id FROM public.users AS u WHERE u.email <> 'sixtyone@clinic.invalid'"
    " ORDER BY u.id OFFSET {} % 20 LIMIT 1)"
)
ONE_ASSESSMENT = "(SELECT a.id FROM public.assessments AS a ORDER BY a.id OFFSET {} LIMIT 1)"
AT: Row = {"created_at": "2023-01-01Z", "updated_at": "2023-01-01Z"}


@st.composite
def writes(draw: st.DrawFn) -> str:
    """Return a write of version 11."""
    number = draw(st.integers(0, 19))
    user = ONE_USER.format(number)
    other = ONE_USER.format(draw(st.integers(0, 19)))
    assessment = ONE_ASSESSMENT.format(number)
    kinds: list[Callable[[], str]] = [
        lambda: f"UPDATE public.users SET {_set(draw(some_of(PROFILE)))} WHERE id = {user}",
        lambda: f"UPDATE public.users SET {_set(draw(some_of(ACCOUNT)))} WHERE id = {user}",
        lambda: f"UPDATE public.users SET deleted_at = '2023-01-01Z' WHERE id = {user}",
        lambda: (
            f"UPDATE public.users SET account_status = 'active', deleted_at = NULL"
            f" WHERE id = {user}"
        ),
        lambda: f"UPDATE public.users SET created_by = {other} WHERE id = {user}",
        lambda: f"DELETE FROM public.users WHERE id = {user}",
        lambda: f"UPDATE public.users SET id = id + 5000 WHERE id = {user}",
        lambda: _insert(
            "users",
            {"password_hash": "h", **AT} | draw(some_of(PROFILE)),
            email="'new' || (SELECT count(*) FROM public.users)",
            created_by=user,
        ),
        lambda: _insert("assessments", {**AT} | draw(some_of(SELF_REPORT)), user_id=user),
        lambda: f"UPDATE public.assessments SET user_id = {user} WHERE id = {assessment}",
        lambda: (
            f"UPDATE public.assessments SET {_set(draw(some_of(SELF_REPORT)))}"
            f" WHERE id = {assessment}"
        ),
        lambda: f"DELETE FROM public.assessments WHERE id = {assessment}",
        lambda: "TRUNCATE public.assessments",
        lambda: f"UPDATE archive.patients SET {_set(draw(some_of(PATIENT)))} WHERE id = {number}",
    ]
    weights = [4, 3, 3, 1, 2, 3, 1, 4, 4, 3, 4, 2, 1, 1]
    drawn = st.sampled_from(
        [k for k, weight in zip(kinds, weights, strict=True) for _ in range(weight)]
    )
    return draw(drawn)().replace("%%", "%")


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
