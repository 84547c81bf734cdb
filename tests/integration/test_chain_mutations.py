"""The checks of the chain can fail: every fault of the list, planted in its file, is seen."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.chain_mutations import FAULTS
from tests.support.chain_story import Fault, Story, play

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]

# How a fault shows itself where no check of ours comes first: the next file refuses, a trigger that
# was to be quiet fires, or a constraint stops it. Any other error is a fault that cannot run.
SEEN = ("RK001", "P0001", "23")


def test_every_promise_holds_in_the_story(make_database: MakeDatabase, connect: Connect) -> None:
    url = make_database(10)
    play(Story(connect(url), url))


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_seen(
    fault: Fault, make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(10)
    with pytest.raises((AssertionError, psycopg.Error)) as seen:
        play(Story(connect(url), url, fault))
    if isinstance(seen.value, psycopg.Error):
        assert str(seen.value.sqlstate).startswith(SEEN), seen.value
