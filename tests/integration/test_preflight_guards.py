"""Preflight says no-go exactly where Up refuses, in the same words; and go where Up passes."""

import re
from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.preflight import Level
from refactorkit.commands.preflight.guards import GROUPS
from refactorkit.commands.verdict import Verdict
from refactorkit.mapping.collecting import Part, collected_guards
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from tests.integration.test_refactor_bad_tables import FOUND
from tests.integration.test_refactor_guards import AGAIN, UP
from tests.support.chain import SQL
from tests.support.clinic import open_clinic
from tests.support.preflights import found, look, no_gos
from tests.support.refactor import turn
from tests.support.scripts import run_script

OVERRULED = re.compile(r" \(--accept \w+\)")
PLANTS = {
    **{name: plant for name, (plant, _) in UP.items()},
    **{f"clinic: {name}": plant for name, (plant, _) in FOUND.items()},
}


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    return connect(database_at_10)


def refusal(db: psycopg.Connection) -> list[str]:
    """Run Up, which must refuse; return its sentences without the names that overrule them."""
    with pytest.raises(psycopg.Error) as refused:
        run_script(db, 11, Direction.UP)
    assert refused.value.sqlstate == "RK001"
    message = str(refused.value.diag.message_primary)
    sentences = message.removeprefix("0011 Up refuses: ").removesuffix(".")
    return OVERRULED.sub("", sentences).split("; ")


@pytest.mark.parametrize(("name", "plant"), PLANTS.items(), ids=PLANTS)
def test_preflight_says_no_go_where_up_refuses(
    db: psycopg.Connection, database_at_10: str, name: str, plant: str
) -> None:
    if name.startswith("clinic"):
        open_clinic(database_at_10)
    db.execute(plant.encode())

    result = look(database_at_10)

    assert (result.verdict, result.exit_code) == (Verdict.FAIL, 3)
    of_guards = [f for f in result.of(Level.NO_GO) if f.check in GROUPS]
    refused = refusal(db)
    # Up looks at rows only where the catalog is as it must be; preflight looks at both.
    assert [f.says for f in of_guards][: len(refused)] == refused
    assert all(f.do for f in result.of(Level.NO_GO))


@pytest.mark.parametrize(("plant", "_sentence"), AGAIN.values(), ids=AGAIN)
def test_preflight_says_no_go_where_the_next_up_refuses(
    db: psycopg.Connection, database_at_10: str, plant: str, _sentence: str
) -> None:
    turn(db, "up")
    turn(db, "down")
    assert look(database_at_10).verdict is Verdict.PASS
    db.execute(plant.encode())
    result = look(database_at_10)
    assert [f.says for f in result.of(Level.NO_GO) if f.check in GROUPS] == refusal(db)


def test_a_clean_database_is_a_go_and_up_passes_also_the_second_time(
    db: psycopg.Connection, database_at_10: str
) -> None:
    open_clinic(database_at_10)
    for _ in range(2):
        result = look(database_at_10)
        assert result.verdict is Verdict.PASS, no_gos(result)
        turn(db, "up")
        turn(db, "down")


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("dependants", "CREATE VIEW public.v AS SELECT id FROM public.users"),
        ("publications", "CREATE PUBLICATION pub FOR TABLE public.users"),
        ("new_readers", "GRANT SELECT ON public.users TO PUBLIC"),
        ("archive_readers", "GRANT USAGE ON SCHEMA archive TO PUBLIC"),
    ],
)
def test_what_an_operator_overrules_is_a_note_and_no_other_name_helps(
    db: psycopg.Connection, database_at_10: str, name: str, plant: str
) -> None:
    db.execute(plant.encode())
    (refused,) = look(database_at_10).of(Level.NO_GO)
    assert refused.accept == name
    assert look(database_at_10, accept=("drift", "x")).verdict is Verdict.FAIL
    accepted = look(database_at_10, accept=("x", name))
    assert accepted.verdict is Verdict.PASS
    (told,) = (f for f in accepted.findings if f.accepted)
    assert (told.level, told.accept) == (Level.NOTE, name)
    assert told.says == f"{refused.says} (accepted: {name})"
    turn(db, "up", {"accept": name})


def test_what_is_accepted_for_the_whole_database_is_accepted_here_too(
    db: psycopg.Connection, database_at_10: str
) -> None:
    db.execute("CREATE VIEW public.v AS SELECT id FROM public.users")
    name = db.info.dbname
    db.execute(f"ALTER DATABASE {name} SET refactorkit.accept = 'dependants'".encode())
    result = look(database_at_10)
    assert result.verdict is Verdict.PASS
    assert "refactorkit.accept is set to 'dependants' on the database" in str(
        found(result, "settings")
    )


def test_a_guard_that_is_not_asked_is_not_ok(db: psycopg.Connection, database_at_10: str) -> None:
    """Every group of the template has an entry, whatever the others say."""
    db.execute(
        "CREATE VIEW public.v AS SELECT id FROM public.patients;"
        " ALTER TABLE public.assessments DROP COLUMN fbs"
    )
    assert {f.check for f in look(database_at_10).findings} >= set(GROUPS)


@pytest.mark.parametrize("part", Part)
def test_every_group_of_the_template_has_advice(part: Part) -> None:
    mapping = load_mapping(SQL.parent / "archive" / "patients.toml")
    block = collected_guards(mapping, Direction.UP, part)
    assert set(re.findall(r"cardinality\(refusals\), '(\w+)'", block)) <= set(GROUPS)
    assert "RAISE EXCEPTION" not in block


def test_down_can_be_collected_by_the_same_means() -> None:
    mapping = load_mapping(SQL.parent / "archive" / "patients.toml")
    block = collected_guards(mapping, Direction.DOWN, Part.CATALOG)
    assert "RAISE EXCEPTION" not in block
    assert "refactorkit.refusals" in block
