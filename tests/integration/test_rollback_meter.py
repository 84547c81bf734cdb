"""verify --rollback: every figure is what Down then does, and every refusal is Down's own."""

import re
from collections.abc import Callable, Iterator

import psycopg
import pytest

from refactorkit.mapping.guards import DOWN_ACCEPTABLE
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.rollback import RollbackQueries
from tests.integration.test_refactor_guards import DOWN
from tests.support.chain import SQL
from tests.support.databases import Databases
from tests.support.metered import ForetoldOtherwiseError, MeteredLive, foretell
from tests.support.model.dressed import play_dressed
from tests.support.model.live import Fault
from tests.support.model.play import Play
from tests.support.model.scenario import play
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]

# Texts of Down, and what stands there instead.
FAULTS = {
    "a merge of one column less": (
        "    bmi = new.bmi,\n",
        "    bmi = s.bmi,\n",
    ),
    "a conflict that nobody hears of": (
        "AND c.changed AND (c.imageless OR c.by_hand);",
        "AND c.changed AND c.by_hand;",
    ),
    "a conflict under another rule": (
        "ELSE 'replaced a value without an image' END",
        "ELSE 'replaced' END",
    ),
    "a complement of unedited rows": ("        WHERE (%3$L\n", "        WHERE (true\n"),
    "a native who is not shown": ("OR of_assessments.found", ""),
    "a native under another id": (
        "CASE WHEN new.fresh THEN new.id ELSE",
        "CASE WHEN false THEN 1 ELSE",
    ),
    "a creator who is forgotten": (
        "    created_by = (SELECT p.id FROM public.users AS p WHERE p.id = t.created_by)\n",
        "    created_by = NULL\n",
    ),
    "a login that is left on": (
        "    is_active = t.is_active AND NOT (",
        "    is_active = t.is_active AND NOT (k.id < 0 AND ",
    ),
    "a session that stays behind": (
        "x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND d.id = x.id",
        "false",
    ),
}


@pytest.fixture(scope="module")
def at_11(databases: Databases) -> Iterator[psycopg.Connection]:
    """A database at version 11, for tests that leave nothing in it."""
    url = databases.create(11)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    databases.drop(url)


@pytest.fixture
def db(at_11: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The same in a transaction that is rolled back."""
    with at_11.transaction(force_rollback=True):
        yield at_11


def test_the_story_goes_as_foretold(make_database: MakeDatabase, connect: Connect) -> None:
    url = make_database(10)
    live = MeteredLive(connect(url))
    play(Play(live), url)
    assert sum(told.sentence is None for told in live.measured) >= 7
    assert any(told.sentence for told in live.measured)
    whole = [told.figures for told in live.measured if told.figures]
    for name in ("merged", "reowned", "created", "renumbered", "withheld_soft", "withheld_hard",
                 "leaving", "cleared", "kept_subjects", "kept_natives"):  # fmt: skip
        assert any(getattr(figures, name) for figures in whole), name
    assert len({each.rule for told in live.measured for each in told.decisions}) >= 6


def test_a_story_of_what_people_added_goes_as_foretold_too(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(10)
    live = MeteredLive(connect(url))
    play_dressed(Play(live), url)
    assert all(told.sentence is None and told.figures for told in live.measured)


@pytest.mark.parametrize(("old", "new"), FAULTS.values(), ids=FAULTS)
def test_a_down_that_does_something_else_is_seen(
    old: str, new: str, make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(10)
    live = MeteredLive(connect(url), [Fault(direction="down", old=old, new=new, times=0)])
    with pytest.raises(ForetoldOtherwiseError):
        play(Play(live), url)


REFUSED = {name: case for name, case in DOWN.items() if name != "another mapping"}


@pytest.mark.parametrize(("plant", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_down_refuses_is_foretold_in_its_words(
    db: psycopg.Connection, plant: str, sentence: str
) -> None:
    db.execute(plant.encode())
    told = foretell(db, {})
    with pytest.raises(psycopg.Error, match=sentence) as refused:
        turn(db, "down")
    assert refused.value.diag.message_primary == told.sentence
    assert told.sentence
    assert all(refusal.text in told.sentence for refusal in told.refusals)
    for refusal in told.refusals:
        said = refusal.text.partition("(--accept ")[2].rstrip(")") or None
        assert said in (refusal.accept, None)


def test_every_guard_of_down_that_has_a_name_is_asked_by_it() -> None:
    mapping = load_mapping(SQL.parent / "archive" / "patients.toml")
    named = re.findall(r"'(\w+)' (?:<> ALL|= ANY) \(accepted\)", RollbackQueries(mapping).guards)
    assert set(named) == set(DOWN_ACCEPTABLE)
