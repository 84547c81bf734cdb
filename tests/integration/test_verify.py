"""verify: passes where all is as Up or Down left it, and names each thing that is not."""

import json
from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, VerifyResult, document, verify
from refactorkit.errors import RefusedError
from refactorkit.postgres.dsn import Dsn
from tests.support.cli import run as call
from tests.support.refactor import turn

CANARY = "Canary Value"


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    return connect(database_at_10)


def run(database: str, *, allow_edits: bool = False) -> VerifyResult:
    return verify(VerifyRequest(dsn=Dsn.parse(database), allow_edits=allow_edits))


def differences(result: VerifyResult) -> set[tuple[str, str, str, str]]:
    return {
        (d.table, d.row_id, d.column, d.what)
        for found in result.refactors
        for outcome in found.outcomes
        for d in outcome.listed
    }


def test_a_database_without_a_refactor_is_no_pass(database_at_10: str) -> None:
    with pytest.raises(RefusedError, match="nothing to verify"):
        run(database_at_10)


def test_every_turn_passes_when_nothing_was_touched(
    db: psycopg.Connection, database_at_10: str
) -> None:
    db.execute("UPDATE public.patients SET hypertension = 'yes' WHERE id < 3")
    for direction in ("up", "down", "up", "down"):
        turn(db, direction)
        result = run(database_at_10)
        assert differences(result) == set()
        assert result.verdict is Verdict.PASS
        assert result.exit_code == 0
        (found,) = result.refactors
        assert found.unmapped["hypertension"] == 2
        assert {o.rows for o in found.outcomes if o.name.startswith("rows of")} == {10}


def test_a_redo_passes_where_edits_were_given_back(
    db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute("UPDATE public.users SET bmi = 33, email = 'me@x.invalid' WHERE id = 5")
    db.execute("UPDATE public.users SET bmi = 33, is_admin = true WHERE id = 1")
    turn(db, "down")
    assert run(database_at_10).verdict is Verdict.PASS
    turn(db, "up")
    assert run(database_at_10).verdict is Verdict.PASS


def test_an_edit_is_listed_by_table_id_and_column_and_may_be_allowed(
    db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute("UPDATE public.users SET first_name = %s, bmi = 40 WHERE id = 7", [CANARY])
    db.execute("DELETE FROM public.users WHERE id = 8")
    strict = run(database_at_10)
    assert strict.verdict is Verdict.FAIL
    assert strict.exit_code == 3
    assert differences(strict) == {
        ("public.users", "7", "first_name", "differs"),
        ("public.users", "7", "bmi", "differs"),
        ("public.users", "8", "", "is missing"),
    }
    assert CANARY not in json.dumps(document(strict))
    assert run(database_at_10, allow_edits=True).verdict is Verdict.PASS


@pytest.mark.parametrize("added", ["first_name", "role", "consent_analytics", "triglycerides"])
def test_every_column_of_a_subject_is_looked_at(
    db: psycopg.Connection, database_at_10: str, added: str
) -> None:
    turn(db, "up")
    value = "NOT consent_analytics" if added == "consent_analytics" else "'7'"
    db.execute(f"UPDATE public.users SET {added} = {value} WHERE id = 9".encode())
    assert differences(run(database_at_10)) == {("public.users", "9", added, "differs")}


UP_FAULTS = {
    "an archived value edited by hand": (
        "UPDATE archive.patients SET age = age + 1 WHERE id = 6",
        ("archive.patients", "6", "", "was edited"),
    ),
    "an archived row deleted": (
        "DELETE FROM archive.patients WHERE id = 6",
        ("archive.patients", "6", "", "is missing"),
    ),
    "an archived row added": (
        "INSERT INTO archive.patients (id, name, user_id) VALUES (999, 'x', 1)",
        ("archive.patients", "999", "", "has no pair"),
    ),
    "a pair deleted": (
        "DELETE FROM archive.patients_map WHERE source_id = 6",
        ("archive.patients", "6", "", "has no pair"),
    ),
    "an assessment that names nobody": (
        "ALTER TABLE public.assessments DISABLE TRIGGER ALL;"
        " UPDATE public.assessments SET user_id = 12345 WHERE id = 1",
        ("public.assessments", "1", "user_id", "names nobody"),
    ),
    "a sequence set back": (
        "SELECT setval('public.users_id_seq', 1)",
        ("public.users_id_seq", "", "", "is behind the ids in use"),
    ),
    "a trigger left off": (
        "INSERT INTO archive.patients_triggers VALUES ('public.users'::regclass, 't', 'O')",
        ("public.users", "t", "", "trigger is still switched off"),
    ),
    "a foreign key into the archive": (
        "CREATE TABLE public.x (p integer REFERENCES archive.patients)",
        ("public.x", "x_p_fkey", "", "foreign key enters or leaves the archive"),
    ),
    "a right in the archive": (
        "GRANT SELECT ON archive.patients_map TO PUBLIC",
        ("archive.patients_map", "PUBLIC", "", "may SELECT in the archive"),
    ),
}


@pytest.mark.parametrize(("plant", "named"), UP_FAULTS.values(), ids=UP_FAULTS)
def test_a_planted_fault_is_named_also_where_edits_are_allowed(
    db: psycopg.Connection, database_at_10: str, plant: str, named: tuple[str, str, str, str]
) -> None:
    turn(db, "up")
    db.execute(plant.encode())
    result = run(database_at_10, allow_edits=True)
    assert result.verdict is Verdict.FAIL
    assert named in differences(result)


DOWN_FAULTS = {
    "a subject that stayed": (
        "INSERT INTO public.users (id, email, password_hash) VALUES (7, 'x', 'x')",
        ("public.users", "7", "", "is a subject, and should have left"),
    ),
    "a withheld row that is there": (
        "INSERT INTO public.patients (id, name, user_id) VALUES (8, 'x', 1)",
        ("public.patients", "8", "", "is withheld, and is there"),
    ),
    "a base that is gone": (
        "DELETE FROM archive.patients_written_patients",
        ("archive.patients_written_patients", "9", "", "is missing"),
    ),
}


@pytest.mark.parametrize(("plant", "named"), DOWN_FAULTS.values(), ids=DOWN_FAULTS)
def test_a_fault_that_is_planted_after_down_is_named(
    db: psycopg.Connection, database_at_10: str, plant: str, named: tuple[str, str, str, str]
) -> None:
    turn(db, "up")
    db.execute("DELETE FROM public.users WHERE id = 8")
    db.execute("UPDATE public.users SET bmi = 40 WHERE id = 9")
    turn(db, "down")
    assert run(database_at_10).verdict is Verdict.PASS
    db.execute(plant.encode())
    assert named in differences(run(database_at_10, allow_edits=True))


def test_a_mapping_of_another_version_of_the_program_is_incomplete_and_no_pass(
    db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute("UPDATE archive.patients_turns SET structure_hash = 'other'")
    result = run(database_at_10)
    assert result.verdict is Verdict.INCOMPLETE
    assert result.exit_code == 3


def test_what_is_listed_is_bounded_and_what_is_counted_is_not(
    db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute("UPDATE public.users SET chol = 1 WHERE role = 'member'")
    result = verify(VerifyRequest(dsn=Dsn.parse(database_at_10), limit=3))
    (found,) = result.refactors
    (columns,) = [o for o in found.outcomes if o.name == "columns of subjects"]
    assert (columns.rows, columns.differences, len(columns.listed)) == (10, 10, 3)


def test_it_says_how_many_decisions_there_are_and_fails_nothing_for_them(
    db: psycopg.Connection, database_at_10: str
) -> None:
    db.execute("UPDATE public.patients SET hypertension = 'yes', smoking = 'pipe' WHERE id > 4")
    turn(db, "up")
    db.execute(
        "UPDATE public.users SET hypertension = 'no', email = 'e' || id || '@x' WHERE id IN (5, 6)"
    )
    db.execute("UPDATE public.users SET smoking_status = 'never' WHERE id = 5")
    turn(db, "down")
    (found,) = run(database_at_10).refactors
    assert found.decisions == found.all_decisions
    rule = "replaced a value without an image"
    assert [(d.rule, d.place, d.count) for d in found.decisions] == [
        (rule, "patients.hypertension", 2),
        (rule, "patients.smoking", 1),
    ]
    db.execute("UPDATE public.users SET email = 'e5@x' WHERE id = 1")
    turn(db, "up")
    result = run(database_at_10)
    (found,) = result.refactors
    assert result.verdict is Verdict.PASS
    assert [(d.rule, d.place, d.count) for d in found.decisions] == [
        ("email taken meanwhile", "users.email", 1)
    ]
    told = document(result)["refactors"][0]["decisions"]
    assert (told["last_turn"]["count"], told["all_turns"]["count"]) == (1, 4)
    assert "pipe" not in json.dumps(told)
    text = call("verify", url=database_at_10).out
    assert "Decisions: 1 in the last turn, 4 in all." in text
    assert text.endswith("PASS\n")


def test_an_archive_without_its_decisions_is_refused(
    db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute("DROP TABLE archive.patients_decisions")
    with pytest.raises(RefusedError, match="patients_decisions is not there"):
        run(database_at_10)
