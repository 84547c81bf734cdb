"""The checks can fail: every fault of the list, planted in 0011, is seen by one of two stories."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.model import mutations_of_down, mutations_of_up
from tests.support.model.dressed import play_dressed
from tests.support.model.live import Fault, Live
from tests.support.model.mutation import Mutation
from tests.support.model.play import Play
from tests.support.model.scenario import play

# How a fault shows itself where no check of ours comes first: the next turn refuses, the counts do
# not add up, the trigger that was to be quiet fires, or a constraint stops it all. Any other error
# is a mutation that cannot run.
SEEN = ("RK001", "RK002", "P0001", "23")


MUTATIONS = (*mutations_of_up.FAULTS, *mutations_of_down.FAULTS)
Stage = Callable[..., None]


@pytest.fixture
def stage(make_database: Callable[[int], str], connect: Callable[..., psycopg.Connection]) -> Stage:
    """Plays a story on a fresh database, with faults in the migration or without."""

    def on_stage(story: Callable[[Play, str], None], *faults: Fault) -> None:
        url = make_database(10)
        story(Play(Live(connect(url), faults)), url)

    return on_stage


@pytest.mark.parametrize("story", [play, play_dressed])
def test_every_law_holds_in_the_stories(story: Callable[[Play, str], None], stage: Stage) -> None:
    stage(story)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_planted_fault_is_seen(mutation: Mutation, stage: Stage) -> None:
    with pytest.raises((AssertionError, psycopg.Error)) as seen:
        stage(play_dressed if mutation.dressed else play, mutation.fault)
    if isinstance(seen.value, psycopg.Error):
        assert str(seen.value.sqlstate).startswith(SEEN), seen.value
