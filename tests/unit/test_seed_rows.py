"""The made-up rows: always the same, plausible unless asked otherwise, never all in memory."""

import hashlib
import itertools
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refactorkit.seed import awkward, copy_text, ids, small_tables
from refactorkit.seed.dice import BLOCK, Dice, words
from refactorkit.seed.ids import Size, Taken
from refactorkit.seed.rows import TABLES, TABLES_WITH_ID, tables

FRESH = {table: Taken() for table in TABLES_WITH_ID}
SMALL = Size(patients=1000, seed=1, assessments_per_patient=3, clinicians=30, awkward=False)
ODD = replace(SMALL, awkward=True)
NULL = "\\N"

sizes = st.builds(
    Size,
    patients=st.integers(0, 60),
    seed=st.integers(),
    assessments_per_patient=st.integers(0, 4),
    clinicians=st.integers(1, 30),
    awkward=st.booleans(),
)
in_use = st.builds(Taken, lowest=st.integers(-(2**31), 1), highest=st.integers(0, 2**31 - 1))


def texts(size: Size, taken: Mapping[str, Taken] = FRESH) -> dict[str, bytes]:
    return {part.table: b"".join(part.blocks) for part in tables(size, taken)}


def digest(size: Size) -> str:
    return hashlib.sha256(b"".join(texts(size).values())).hexdigest()


def values(size: Size, table: str, *columns: str) -> list[tuple[str, ...]]:
    """The values of some columns, as COPY text."""
    part = next(part for part in tables(size, FRESH) if part.table == table)
    places = [part.columns.index(column) for column in columns]
    lines = b"".join(part.blocks).decode().split("\n")[:-1]
    return [tuple(line.split("\t")[place] for place in places) for line in lines]


def distinct(size: Size, table: str, column: str) -> set[str]:
    return {value for (value,) in values(size, table, column)}


# The same on every machine and every Python: whoever changes a value changes these on purpose.


def test_numbers_come_from_shake_256() -> None:
    expected = hashlib.shake_256(b"name/1").digest(16)[8:]
    blocks = words("name")
    assert len(next(blocks)) == BLOCK
    assert next(blocks)[1] == int.from_bytes(expected, "little")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (SMALL, "070c1af9109c4fafe788e16689b41b427f2da80f177d596db640d6ed2a08b98a"),
        (ODD, "ca08e52fce758a704a5d447fe4336e6ad82d13c693a2b0be60677ca41e5bd62e"),
    ],
)
def test_the_rows_are_these_very_bytes(size: Size, expected: str) -> None:
    assert digest(size) == expected


def test_another_seed_gives_other_rows() -> None:
    assert digest(replace(SMALL, seed=2)) != digest(SMALL)


def test_no_row_depends_on_the_clock_or_on_chance() -> None:
    assert texts(ODD) == texts(ODD)


# Shape


@settings(deadline=None, max_examples=30)
@given(size=sizes)
def test_every_table_gets_as_many_rows_and_columns_as_announced(size: Size) -> None:
    announced = list(tables(size, FRESH))
    assert sorted(part.table for part in announced) == sorted(TABLES)
    for part in announced:
        lines = b"".join(part.blocks).decode().split("\n")
        assert lines.pop() == ""
        assert len(lines) == part.count
        assert all(line.count("\t") + 1 == len(part.columns) for line in lines)
    counts = {part.table: part.count for part in announced}
    assert counts["patients"] == size.patients
    assert counts["users"] == size.clinicians + 2
    assert counts["assessments"] == size.patients * size.assessments_per_patient


def test_the_rows_are_made_as_they_are_asked_for() -> None:
    size = replace(SMALL, patients=60_000)
    parts = {part.table: part for part in tables(size, FRESH)}
    next(parts["patients"].blocks)
    tracemalloc.start()
    try:
        sent = sum(len(block) for block in parts["patients"].blocks)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent > 8_000_000
    assert peak < sent / 2


@given(size=sizes)
def test_assessments_are_spread_from_none_to_twice_the_mean(size: Size) -> None:
    visits = list(ids.visits(size))
    assert len(visits) == size.patients
    assert sum(visits) == size.assessments
    assert all(0 <= count <= 2 * size.assessments_per_patient for count in visits)


def test_some_patients_have_no_assessment() -> None:
    assert min(ids.visits(SMALL)) == 0
    assert max(ids.visits(SMALL)) == 2 * SMALL.assessments_per_patient


# Ids


@given(size=sizes, lowest=st.integers(-(2**31) + 100, 1), highest=st.integers(0, ids.HIGHEST))
def test_ids_are_all_different_and_none_is_in_use(size: Size, lowest: int, highest: int) -> None:
    taken = Taken(lowest=lowest, highest=highest)
    patients = list(ids.row_ids(size, "patients", size.patients, taken))
    users = ids.user_ids(size, taken, taken)
    for made in (patients, users):
        assert len(set(made)) == len(made)
        assert not any(lowest <= number <= highest for number in made)
    assert len(patients) == size.patients
    assert len(users) == size.users


@given(size=sizes, users=in_use, patients=in_use, assessments=in_use)
def test_no_id_is_higher_than_foretold(
    size: Size, users: Taken, patients: Taken, assessments: Taken
) -> None:
    taken = {**FRESH, "users": users, "patients": patients, "assessments": assessments}
    highest = max(
        [
            *ids.row_ids(size, "patients", size.patients, patients),
            *ids.row_ids(size, "assessments", size.assessments, assessments),
            *ids.user_ids(size, users, patients),
        ]
    )
    assert highest <= ids.highest_needed(size, taken)


def test_a_few_million_awkward_patients_fit() -> None:
    size = replace(ODD, patients=5_000_000, assessments_per_patient=5)
    assert ids.highest_needed(size, FRESH) <= ids.HIGHEST


def test_ordinary_ids_have_no_gaps() -> None:
    assert list(ids.row_ids(SMALL, "patients", 3, Taken(highest=10))) == [11, 12, 13]


def test_awkward_ids_are_below_zero_zero_gapped_huge_and_shared_with_users() -> None:
    patients = [int(number) for (number,) in values(ODD, "patients", "id")]
    users = {int(number) for (number,) in values(ODD, "users", "id")}
    ordinary = sorted(number for number in patients if 0 < number < 10**9)
    assert min(patients) < 0
    assert 0 in patients
    assert max(patients) > 2 * 10**9
    assert any(after - before > 1 for before, after in itertools.pairwise(ordinary))
    assert users.intersection(patients)
    # Ids below the users' highest need another id as a user, ids above it do not.
    assert any(number < max(users) for number in ordinary)
    assert any(number > max(users) for number in ordinary)


# References


@pytest.mark.parametrize("size", [SMALL, ODD])
def test_every_reference_is_to_a_row_that_was_made(size: Size) -> None:
    users = distinct(size, "users", "id")
    patients = distinct(size, "patients", "id")
    assert distinct(size, "patients", "user_id") <= users
    assert distinct(size, "users", "created_by") <= {*users, NULL}
    assert distinct(size, "refresh_tokens", "user_id") <= users
    assert distinct(size, "user_clinics", "user_id") <= users
    assert distinct(size, "user_clinics", "clinic_id") == distinct(size, "clinics", "id")
    assert distinct(size, "assessments", "patient_id") <= {*patients, NULL}
    assert (NULL in distinct(size, "assessments", "patient_id")) is size.awkward


@pytest.mark.parametrize("size", [SMALL, ODD])
def test_what_must_be_unique_is(size: Size) -> None:
    for table, columns in (
        ("users", ["email"]),
        ("refresh_tokens", ["token_hash"]),
        ("user_clinics", ["user_id", "clinic_id"]),
        ("assessments", ["id"]),
    ):
        made = values(size, table, *columns)
        assert len(set(made)) == len(made)


# Values


def test_ordinary_texts_are_those_that_the_mapping_knows() -> None:
    known = {
        "menopause_status": {"premenopausal", "perimenopausal", "postmenopausal", "surgical"},
        "smoking": {"never", "former", "current"},
        "hypertension": {"no", "controlled", "uncontrolled"},
        "heart_disease": {"no", "yes"},
        "activity": {"low", "moderate", "high"},
    }
    for name, texts_ in known.items():
        assert distinct(SMALL, "patients", name) <= {*texts_, NULL}
    years = distinct(SMALL, "patients", "years_menopause") - {NULL}
    assert all(0 <= int(number) <= 50 for number in years)


def test_clusters_follow_from_the_score() -> None:
    for cluster, score in values(SMALL, "assessments", "cluster", "risk_score"):
        if score == NULL:
            assert cluster == NULL
            continue
        number = int(score)
        subgroup = "SIDD" if number >= 80 else "SIRD" if number >= 67 else "MOD"
        assert cluster == (subgroup if number >= 50 else "MARD")


def test_nobody_can_log_in_unless_asked_for() -> None:
    assert distinct(ODD, "users", "password_hash") == {small_tables.NO_LOGIN}


def test_hashes_go_to_the_admin_the_researcher_and_a_clinician() -> None:
    part = next(tables(ODD, FRESH, ["one", "two", "three"]))
    lines = b"".join(part.blocks).decode().split("\n")[:4]
    rows = [dict(zip(part.columns, line.split("\t"), strict=True)) for line in lines]
    assert [row["password_hash"] for row in rows] == ["one", "two", "three", "!"]
    assert tuple(row["role"] for row in rows[:3]) == small_tables.LOGIN_ROLES
    assert {row["is_active"] for row in rows[:3]} == {"t"}


def test_awkward_rows_hold_what_postgresql_can_and_software_cannot() -> None:
    assert {"", "unknown", NULL, "post"} <= distinct(ODD, "patients", "menopause_status")
    assert {"yes", "", NULL, "e\u0301"} <= distinct(ODD, "patients", "hypertension")
    assert {"60", "-1", "51", str(awkward.INT_MAX)} <= distinct(ODD, "patients", "years_menopause")
    assert {"NaN", "999.99", "-999.99"} <= distinct(ODD, "patients", "bmi")
    assert {"SOIRD", "MIDD", "low_risk", ""} <= distinct(ODD, "assessments", "cluster")
    assert {"infinity", "-infinity"} <= distinct(ODD, "assessments", "created_at")
    assert any(time.endswith(" BC") for time in distinct(ODD, "assessments", "created_at"))
    many = distinct(replace(ODD, patients=20_000), "patients", "name")
    assert set(awkward.NAMES) <= many
    assert max(len(name) for name in many) >= awkward.LONG_NAME_CHARACTERS


def test_ordinary_rows_hold_none_of_it() -> None:
    text = b"".join(texts(SMALL).values()).decode()
    assert text.isascii()
    assert "NaN" not in text
    assert "infinity" not in text
    assert "\t\t" not in text


def test_copy_text_escapes_what_copy_would_read_otherwise() -> None:
    assert copy_text.text(None) == "\\N"
    assert copy_text.text("\\N") == "\\\\N"
    assert copy_text.text("a\tb\nc\rd\\") == "a\\tb\\nc\\rd\\\\"
    assert copy_text.row(1, None, True, False, "x") == "1\t\\N\tt\tf\tx"


@given(low=st.integers(-100, 100), more=st.integers(0, 100), name=st.text())
def test_dice_stay_between_their_bounds(low: int, more: int, name: str) -> None:
    assert low <= Dice(name).number(low, low + more) <= low + more
