"""Erasure against the model: whoever goes, both versions are as the design says, over all turns."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.model.cast import start
from tests.support.model.down import Settings
from tests.support.model.live import Live
from tests.support.model.play import Play
from tests.support.model.scenario import (
    back_in_version_10,
    first_year_of_version_11,
    second_year_of_version_11,
)

STAGES = ("first year of 11", "back in 10", "second year of 11")


@pytest.fixture
def story(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> Play:
    return Play(Live(connect(database_at_10)))


def tell(story: Play, stage: str) -> None:
    """Go through the story of `tests.support.model.scenario` up to a stage."""
    story.begin(start(), {"users": (20, True), "patients": (200, True)})
    story.turn(Settings())
    first_year_of_version_11(story)
    if stage == STAGES[0]:
        return
    story.turn(Settings())
    back_in_version_10(story)
    if stage == STAGES[1]:
        return
    story.turn(Settings())
    second_year_of_version_11(story)


def everybody(story: Play) -> list[int]:
    """Return every patient of whom something is known."""
    complement = story.world.complement
    known = {*complement.pairs, *complement.withheld, *(key for key, _ in story.world.past)}
    known |= {key for key in story.world.tables.get("patients", {}) if isinstance(key, int)}
    return sorted(known)


@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("stage", STAGES)
def test_half_of_the_people_go_and_the_others_live_on(stage: str, odd: int, story: Play) -> None:
    tell(story, stage)
    people = everybody(story)
    gone = [key for number, key in enumerate(people) if number % 2 == odd]
    refused = [key for key in gone if not story.erase(key)]
    assert len(gone) > len(refused) + 5
    story.there_and_back()
    story.turn(Settings())
    story.there_and_back()


@pytest.mark.parametrize("stage", STAGES)
def test_everybody_goes(stage: str, story: Play) -> None:
    tell(story, stage)
    people = everybody(story)
    # Who owns patients of others can go once those are gone.
    refused = [key for key in people if not story.erase(key)]
    assert [key for key in refused if not story.erase(key)] == []
    assert everybody(story) == []
    story.there_and_back()
    story.turn(Settings())
    story.there_and_back()
