"""archive erase: who was erased is in no row, never comes back, and nobody else is touched."""

import json
from collections import Counter
from collections.abc import Callable, Mapping

import psycopg
import pytest

from tests.support.cli import Outcome, run
from tests.support.dump import pg_dump
from tests.support.erasure import (
    COLLIDES,
    DECIDED,
    DELETED,
    HARD,
    NATIVE,
    NEIGHBOUR,
    NEWCOMER,
    SOFT,
    SUBJECT,
    mark,
    marked,
    play,
    rows,
)
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
WHO = ("--basis", "GDPR 17(1)(b), ticket 7", "--approved-by", "privacy officer")
KNOWN = (COLLIDES, SUBJECT, SOFT, HARD, DELETED, DECIDED)
STAGES = {
    "11": KNOWN,
    "10 again": (*KNOWN, NATIVE, NEWCOMER),
    "11 again": (*KNOWN, NATIVE, NEWCOMER),
}


@pytest.fixture
def db(database_at_10: str, connect: Connect) -> psycopg.Connection:
    return connect(database_at_10)


def erase(url: str, key: int, *more: str) -> Outcome:
    return run("archive", "erase", str(key), *WHO, "--json", *more, url=url)


def erased(url: str, key: int, *more: str) -> dict[str, int]:
    """Erase somebody, and return the rows that the program says it deleted, by table."""
    outcome = erase(url, key, *more)
    assert outcome.code == 0, outcome.err
    assert "canary" not in outcome.out + outcome.err
    assert outcome.document["outcome"] == "erased"
    return {name: count for name, count in outcome.document["deleted"].items() if count}


def verify(url: str) -> set[str]:
    """Return the checks that find a difference which is no edit of the application."""
    outcome = run("verify", "--allow-edits", "--json", url=url)
    assert "canary" not in outcome.out + outcome.err
    (refactor,) = outcome.document["refactors"]
    return {
        each["name"]
        for each in refactor["checks"]
        if each["differences"] and not each["edits_possible"]
    }


@pytest.mark.parametrize("stage", STAGES)
def test_who_was_erased_is_in_no_row_and_does_not_return_over_many_turns(
    stage: str, db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, stage)
    people = STAGES[stage]
    before = rows(database_at_10)
    for number, key in enumerate(people):
        assert marked(before, [key]), f"nothing of {key} was there to be erased"

        told = erased(database_at_10, key)

        after = rows(database_at_10)
        gone, new = before - after, after - before
        assert marked(after, people[: number + 1]) == set()
        # What is gone is what was said, row by row; what is new is the tombstone alone, and rows of
        # others that named the person.
        others = {"public.users", "archive.patients_kept_assessments"}
        rewritten = Counter(table for table, _ in new if table in others)
        assert Counter(table for table, _ in gone) - rewritten == Counter(told)
        assert {table for table, _ in new} <= {*others, "archive.patients_tombstones"}
        assert not marked(new, people)
        assert not [line for _, line in gone - new if mark(NEIGHBOUR) in line]
        before = after
    assert marked(before, [NEIGHBOUR])
    assert verify(database_at_10) == set()
    for direction in ("down", "up", "down", "up") if stage != "10 again" else ("up", "down", "up"):
        turn(db, direction)
        after = rows(database_at_10)
        assert marked(after, people) == set(), direction
        assert marked(after, [NEIGHBOUR])
        assert verify(database_at_10) == set(), direction
    dump = pg_dump(database_at_10, exclude_schemas=())
    assert mark(NEIGHBOUR) in dump
    assert [key for key in people if mark(key) in dump] == []


def ids_that_were_given_away(
    db: psycopg.Connection, url: str, faults: Mapping[str, tuple[str, str]] | None = None
) -> set[str]:
    """Erase people, turn there and back, and return which of their ids are in use, or will be."""
    replace = faults or {}
    play(db, "10 again")
    # Ids that no sequence has given out: one far out, one in a gap.
    far, gap = 50_000, 777
    db.execute(
        "INSERT INTO public.patients (id, name, user_id) VALUES (50000, 'x', 1), (777, 'x', 1)"
    )
    for key in (SUBJECT, NATIVE, NEWCOMER, far, gap):
        erased(url, key)
    ids: dict[int, int | None] = dict(
        db.execute("SELECT source_id, target_id FROM archive.patients_tombstones").fetchall()
    )
    assert set(ids) == {SUBJECT, NATIVE, NEWCOMER, far, gap}
    assert ids[NEWCOMER] is None
    turn(db, "up", replace=replace.get("up"))
    # Somebody types in the id of a user, which a patient of the past had.
    db.execute(
        "INSERT INTO public.users (id, email, password_hash, bmi) VALUES (777, 'y', 'x', 20)"
    )
    turn(db, "down", replace=replace.get("down"))
    wrong = set()
    for table, used in (("patients", set(ids)), ("users", set(ids.values()))):
        found = db.execute(f"SELECT id FROM public.{table}".encode()).fetchall()
        wrong |= {f"{table} {key}" for (key,) in found if key in used}
        query = f"SELECT nextval('public.{table}_id_seq')"
        ((following,),) = db.execute(query.encode()).fetchall()
        if following <= max(key for key in used if key is not None):
            wrong.add(f"the sequence of {table}")
    return wrong


def test_nobody_takes_the_erased_for_a_native_or_gives_their_ids_away(
    db: psycopg.Connection, database_at_10: str
) -> None:
    assert ids_that_were_given_away(db, database_at_10) == set()


FORGOTTEN = ("(SELECT max(source_id) FROM archive.patients_tombstones),", "")
FAULTS: dict[str, tuple[dict[str, tuple[str, str]], set[str]]] = {
    "erased ids that no sequence has reached are forgotten": (
        {"up": FORGOTTEN, "down": FORGOTTEN},
        {"the sequence of patients"},
    ),
    "a native is shown under the id of an erased patient": (
        {
            "down": (
                "AND NOT EXISTS (SELECT FROM archive.patients_tombstones AS o"
                " WHERE o.source_id = t.id)",
                "",
            )
        },
        {"patients 777"},
    ),
}


@pytest.mark.parametrize(("faults", "seen"), FAULTS.values(), ids=FAULTS)
def test_an_id_that_is_given_away_is_seen(
    faults: dict[str, tuple[str, str]],
    seen: set[str],
    db: psycopg.Connection,
    database_at_10: str,
) -> None:
    assert ids_that_were_given_away(db, database_at_10, faults) == seen


def test_the_tombstone_says_who_when_why_and_how_much_and_no_more(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    told = erased(database_at_10, COLLIDES, "--operator", "on call")
    listed = run("archive", "tombstones", "--json", url=database_at_10)
    ((one,),) = [refactor["tombstones"] for refactor in listed.document["refactors"]]
    (target,) = db.execute("SELECT target_id FROM archive.patients_tombstones").fetchone()  # type: ignore[misc]
    assert target != COLLIDES
    assert (one["source_id"], one["target_id"], one["kind"]) == (COLLIDES, target, "subject")
    assert (one["basis"], one["approved_by"]) == ("GDPR 17(1)(b), ticket 7", "privacy officer")
    assert (one["operator"], one["version"]) == ("on call", 11)
    assert {name: count for name, count in one["counts"].items() if count} == told
    assert run("verify", "--json", url=database_at_10).document["refactors"][0]["erased"] == 1
    text = run("archive", "tombstones", url=database_at_10)
    assert f"{COLLIDES} " in text.out
    assert "1 people were erased" in text.out


def test_a_dry_run_says_the_same_and_changes_nothing(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11 again")
    before = rows(database_at_10)
    looked = run("archive", "erase", str(SUBJECT), "--dry-run", "--json", url=database_at_10)
    assert looked.code == 0, looked.err
    assert looked.document["outcome"] == "would be erased"
    assert rows(database_at_10) == before
    done = erase(database_at_10, SUBJECT)
    assert looked.document["deleted"] == done.document["deleted"]


def test_erasing_again_says_so_and_changes_nothing(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    erased(database_at_10, SUBJECT)
    before = rows(database_at_10)
    again = erase(database_at_10, SUBJECT)
    assert (again.code, again.document["outcome"]) == (0, "already erased")
    assert rows(database_at_10) == before


@pytest.mark.parametrize("key", [NATIVE, -5, 99_999, 2**40, 2**70])
def test_an_unknown_id_is_refused_and_a_users_id_is_not_guessed(
    key: int, db: psycopg.Connection, database_at_10: str
) -> None:
    # In version 11 the native is no patient yet: 900 is the id of a user.
    play(db, "11")
    before = rows(database_at_10)
    refused = erase(database_at_10, key)
    assert refused.code == 3
    assert f"Nobody in patients has or had the id {key}" in refused.err
    assert rows(database_at_10) == before


def test_a_database_that_never_ran_the_refactor_is_refused(database_at_10: str) -> None:
    refused = erase(database_at_10, 1)
    assert refused.code == 3
    assert "no refactor has run there" in refused.err


def test_a_version_below_both_is_refused(database_at_10: str) -> None:
    assert run("up", url=database_at_10).code == 0
    assert run("down", "--to", "9", url=database_at_10).code == 0
    refused = erase(database_at_10, 1)
    assert refused.code == 3
    assert "at version 9" in refused.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--basis is missing"),
        (("--basis", "x"), "--approved-by is missing"),
        (("--basis", " ", "--approved-by", "y"), "--basis must be one line"),
        (("--basis", "x", "--approved-by", "a\nb"), "--approved-by must be one line"),
        (("--basis", "x", "--approved-by", "Kim", "--operator", " kim"), "somebody else"),
        (("--basis", "x", "--approved-by", "ROLE"), "somebody else"),
        (("--basis", "x", "--approved-by", "ROLE", "--operator", "other"), "somebody else"),
    ],
)
def test_basis_and_an_approver_who_is_not_the_operator_are_demanded(
    options: tuple[str, ...], said: str, db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    role = db.info.user
    given = [role.upper() if each == "ROLE" else each for each in options]
    refused = run("archive", "erase", "1", *given, url=database_at_10)
    assert refused.code == 2, refused.err
    assert said in refused.err


def test_the_account_of_a_native_who_owns_other_patients_is_not_erased_in_version_10(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "10 again")
    db.execute("UPDATE public.patients SET user_id = %s WHERE id IN (7, 8)", [NATIVE])
    before = rows(database_at_10)
    refused = erase(database_at_10, NATIVE)
    assert refused.code == 3
    assert "2 patients of other people belong to the person's account (user_id): 7, 8" in (
        refused.err
    )
    assert rows(database_at_10) == before
    db.execute("UPDATE public.patients SET user_id = 1 WHERE id IN (7, 8)")
    erased(database_at_10, NATIVE)
    assert db.execute("SELECT created_by FROM public.users WHERE id = 3").fetchall() == [(None,)]


def test_in_version_11_other_patients_of_an_erased_owner_wait_for_a_custodian(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "10 again")
    db.execute("UPDATE public.patients SET user_id = %s WHERE id IN (7, 8)", [NATIVE])
    turn(db, "up")
    outcome = erase(database_at_10, NATIVE)
    assert outcome.document["left_without_owner"] == 2
    with pytest.raises(psycopg.Error, match="the owner of 2 patients is gone"):
        turn(db, "down")
    turn(db, "down", {"custodian": "admin@mock.invalid"})
    assert db.execute("SELECT count(*) FROM public.patients WHERE id IN (7, 8)").fetchall() == [
        (2,)
    ]


@pytest.mark.parametrize("key", [SUBJECT, SOFT])
def test_a_user_who_was_given_a_subjects_id_in_version_10_is_somebody_else(
    key: int, db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "10 again")
    db.execute("INSERT INTO public.users (id, email, password_hash) VALUES (%s, 'z', 'x')", [key])
    before = rows(database_at_10)
    refused = erase(database_at_10, key)
    assert refused.code == 3
    assert "1 rows of public.users have an id of the person's" in refused.err
    assert rows(database_at_10) == before


def test_a_native_whose_patient_was_deleted_is_one_person_over_all_pairs(
    db: psycopg.Connection, database_at_10: str
) -> None:
    """The account was shown as patient 900; after that one's deletion as a second patient."""
    play(db, "10 again")
    db.execute("DELETE FROM public.patients WHERE id = %s", [NATIVE])
    turn(db, "up")
    db.execute("UPDATE public.users SET bmi = 30 WHERE id = %s", [NATIVE])
    turn(db, "down")
    ((second,),) = db.execute(
        "SELECT source_id FROM archive.patients_map WHERE target_id = %s", [NATIVE]
    ).fetchall()
    assert second != NATIVE
    pairs = erase(database_at_10, second).document["pairs"]
    assert [(pair["source_id"], pair["target_id"], pair["kind"]) for pair in pairs] == [
        (NATIVE, NATIVE, "past"),
        (second, NATIVE, "native"),
    ]
    assert marked(rows(database_at_10), [NATIVE]) == set()
    assert erase(database_at_10, NATIVE).document["outcome"] == "already erased"
    listed = run("archive", "tombstones", "--json", url=database_at_10).document["refactors"]
    assert listed[0]["people"] == 1
    verified = run("verify", "--json", url=database_at_10).document["refactors"]
    assert verified[0]["erased"] == 1


def test_an_id_in_a_table_under_the_mappings_prefix_is_not_taken_for_a_patients(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    db.execute("CREATE TABLE archive.patients_journal (id integer PRIMARY KEY, line text)")
    db.execute("INSERT INTO archive.patients_journal SELECT i, 'x' FROM generate_series(1, 300) i")
    outcome = erase(database_at_10, SUBJECT)
    not_looked_into = outcome.document["not_reached"]["tables_not_looked_into"]
    assert {"archive.patients_journal", "archive.weather"} <= set(not_looked_into)
    ((left,),) = db.execute("SELECT count(*) FROM archive.patients_journal").fetchall()
    assert left == 300


BACK = {
    "a patient's id in version 10": (
        "10 again",
        f"INSERT INTO public.patients (id, name, user_id) VALUES ({SUBJECT}, 'x', 1)",
        f"public.patients {SUBJECT}",
    ),
    "a user's id in version 11": (
        "11",
        "INSERT INTO public.users (id, email, password_hash)"
        " SELECT target_id, 'x', 'x' FROM archive.patients_tombstones",
        f"public.users {SUBJECT}",
    ),
    "what was kept, from a backup": (
        "10 again",
        "INSERT INTO archive.patients_kept_users SELECT * FROM kept",
        f"archive.patients_kept_users {SUBJECT}",
    ),
    "a pair, from a backup": (
        "10 again",
        "INSERT INTO archive.patients_map (source_id, target_id, kind, turn)"
        " SELECT source_id, target_id, kind, 1 FROM archive.patients_tombstones",
        f"archive.patients_map {SUBJECT}",
    ),
}


@pytest.mark.parametrize(("stage", "restore", "named"), BACK.values(), ids=BACK)
def test_who_comes_back_from_a_backup_is_found_refused_and_can_be_erased_again(
    stage: str, restore: str, named: str, db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, stage)
    if stage != "11":
        db.execute(
            "CREATE TEMPORARY TABLE kept AS SELECT k.* FROM archive.patients_kept_users AS k"
            " JOIN archive.patients_map AS m ON m.target_id = k.id WHERE m.source_id = %s",
            [SUBJECT],
        )
    erased(database_at_10, SUBJECT)
    db.execute(restore.encode())
    before = rows(database_at_10)

    assert "erased people stay away" in verify(database_at_10)
    with pytest.raises(psycopg.Error, match="people who were erased") as refused:
        turn(db, "down" if stage == "11" else "up")
    assert refused.value.sqlstate == "RK001"
    assert named in str(refused.value)
    assert f"archive erase {SUBJECT})" in str(refused.value)
    assert rows(database_at_10) == before

    erased(database_at_10, SUBJECT)
    assert verify(database_at_10) == set()
    turn(db, "down" if stage == "11" else "up")


def test_triggers_stay_quiet_are_named_and_come_back_in_their_state(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    db.execute("CREATE TABLE public.journal (row text)")
    db.execute(
        "CREATE FUNCTION public.copy_it() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.journal VALUES (OLD::text); RETURN NULL; END'"
    )
    for name, state in (("a", "ENABLE ALWAYS"), ("b", "ENABLE REPLICA"), ("c", "DISABLE")):
        db.execute(
            f"CREATE TRIGGER {name} AFTER DELETE ON public.users FOR EACH ROW"
            " EXECUTE FUNCTION public.copy_it()".encode()
        )
        db.execute(f"ALTER TABLE public.users {state} TRIGGER {name}".encode())
    query = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    before = db.execute(query).fetchall()
    outcome = erase(database_at_10, SUBJECT)
    assert outcome.document["triggers_kept_quiet"] == [
        {"table": "public.users", "trigger": "a"},
        {"table": "public.users", "trigger": "b"},
    ]
    assert db.execute("SELECT count(*) FROM public.journal").fetchall() == [(0,)]
    assert db.execute(query).fetchall() == before


IN_THE_WAY = {
    "an unknown foreign key": (
        "CREATE TABLE public.wards (user_id integer REFERENCES public.users ON DELETE CASCADE)",
        "foreign key wards_user_id_fkey of public.wards is not as the mapping knows it",
    ),
    "a rule": (
        "CREATE RULE keep AS ON DELETE TO archive.patients_kept_users DO INSTEAD NOTHING",
        "rule keep on archive.patients_kept_users",
    ),
    "row security": (
        "ALTER TABLE public.assessments ENABLE ROW LEVEL SECURITY",
        "row security is on for public.assessments",
    ),
    "a child table": (
        "CREATE TABLE public.more_users () INHERITS (public.users)",
        "public.more_users takes part in inheritance with public.users",
    ),
    "an archive without tombstones": (
        "DROP TABLE archive.patients_tombstones",
        "archive.patients_tombstones is not there",
    ),
}


@pytest.mark.parametrize(("plant", "said"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_would_take_others_along_or_hide_rows_is_refused(
    plant: str, said: str, db: psycopg.Connection, database_at_10: str
) -> None:
    turn(db, "up")
    db.execute(plant.encode())
    before = rows(database_at_10)
    refused = erase(database_at_10, 5)
    assert refused.code == 3, refused.err
    assert said in refused.err
    assert "Nothing was changed." in refused.err
    assert rows(database_at_10) == before


def test_a_lock_that_is_held_ends_in_busy_and_nothing_is_changed(
    db: psycopg.Connection, database_at_10: str, connect: Connect
) -> None:
    turn(db, "up")
    before = rows(database_at_10)
    other = connect(database_at_10)
    with other.transaction():
        other.execute("LOCK TABLE public.assessments IN ROW EXCLUSIVE MODE")
        busy = erase(database_at_10, 5, "--lock-timeout-ms", "50", "--retries", "1")
    assert busy.code == 4, busy.err
    assert rows(database_at_10) == before
    assert erased(database_at_10, 5)


def test_a_failure_in_the_middle_leaves_everything_as_it_was(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    db.execute("ALTER TABLE archive.patients_tombstones ADD CHECK (source_id <> 201)")
    before = rows(database_at_10)
    failed = erase(database_at_10, SUBJECT)
    assert failed.code == 1
    assert "Nothing was changed." in failed.err
    assert rows(database_at_10) == before


def test_what_is_not_reached_is_counted_by_key_and_named(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    db.execute("CREATE TABLE public.clicks (user_id integer, page text)")
    db.execute(
        "INSERT INTO public.clicks SELECT target_id, 'x' FROM archive.patients_map"
        " WHERE source_id = %s",
        [SUBJECT],
    )
    not_reached = erase(database_at_10, SUBJECT).document["not_reached"]
    assert not_reached["rows_that_name_the_person"] == {
        "public.audit_events": 1,
        "public.clicks.user_id": 1,
    }
    assert "archive.weather" in not_reached["tables_not_looked_into"]
    assert json.dumps(not_reached["elsewhere"]).count("VACUUM") == 1
    assert not_reached["statistics_not_renewed"] == []


def test_statistics_hold_no_value_of_the_erased(
    db: psycopg.Connection, database_at_10: str
) -> None:
    play(db, "11")
    db.execute("ANALYZE")
    query = "SELECT count(*) FROM pg_catalog.pg_statistic AS s WHERE s::text LIKE %s"
    assert db.execute(query, [f"%{mark(SUBJECT)}%"]).fetchone() != (0,)
    erased(database_at_10, SUBJECT)
    assert db.execute(query, [f"%{mark(SUBJECT)}%"]).fetchone() == (0,)


def test_a_legal_hold_blocks_erasure_until_it_is_released(
    db: psycopg.Connection, database_at_10: str
) -> None:
    url = database_at_10
    play(db, "11")
    held = run("archive", "hold", str(SUBJECT), "--reason", "case 12", "--by", "counsel", url=url)
    assert held.code == 0, held.err
    before = pg_dump(url, exclude_schemas=())
    refused = erase(url, SUBJECT)
    assert refused.code == 3
    assert "a legal hold is in force" in refused.err
    assert pg_dump(url, exclude_schemas=()) == before
    release = ("--release", "--reason", "closed", "--by", "counsel")
    assert run("archive", "hold", str(SUBJECT), *release, url=url).code == 0
    assert erase(url, SUBJECT).code == 0


def test_guards_let_an_erasure_by(db: psycopg.Connection, database_at_10: str) -> None:
    url = database_at_10
    play(db, "11")
    assert run("archive", "harden", url=url).code == 0
    assert erase(url, SUBJECT).code == 0
    found = run("archive", "harden", "--json", url=url).document
    assert found["verdict"] == "pass"
    assert verify(url) == set()
