"""Random rows of both versions, and random version-10 databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.support.model.columns import (
    ASSESSMENTS_10,
    CLINICS,
    PATIENTS,
    REFRESH_TOKENS,
    USER_CLINICS,
    USERS_10,
    Row,
    Value,
)
from tests.support.model.world import World

ODD_TEXTS = (
    "", " ", "  ", "a", "A B", "Mary Ann Lee", " leading", "trailing ", "two  spaces",
    "no\u00a0break", "e\u0301 \u00e9", "O'Brien", '"quoted"', "back\\slash", "\\N", "\\.",
    "line\nbreak", "tab\tstop", "\r", "%s %I", "$1 $$", "NULL",
    "\u202eright to left", "\U0001f469\u200d\U0001f4bb",
    "0", "yes", "unknown", "\ufffd",
)  # fmt: skip
TIMES = (
    "2020-01-01 00:00:00+00", "2024-02-29 23:59:59.999999+00", "infinity", "-infinity",
    "0044-03-15 12:00:00+00 BC", "20000-01-01 00:00:00+00", "1999-12-31 12:00:00.1+00",
)  # fmt: skip
NUMBERS_5_2 = ("0.00", "20.10", "-1.50", "999.99", "NaN")
# Ids run out: never the very end of int4, which is refused, and tested elsewhere.
IDS = (*range(-2, 12), 40, 41, 42, 100, 101, 1_999_999_999)
INT4 = (0, 1, -1, 7, 49, 50, 51, 140, 2_147_483_647, -2_147_483_648)

texts = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)
times = st.sampled_from(TIMES)
numbers = st.one_of(
    st.sampled_from(NUMBERS_5_2),
    st.decimals("-999.99", "999.99", places=2, allow_nan=False, allow_infinity=False).map(
        lambda number: f"{abs(number) if number == 0 else number:.2f}"
    ),
)
integers = st.one_of(st.sampled_from(INT4), st.integers(-(2**31), 2**31 - 1))
booleans = st.booleans()


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return NULL or one of these."""
    return st.one_of(st.none(), values)


def words(*known: str) -> st.SearchStrategy[Any]:
    """Return a column of version 10 that may hold anything, and mostly holds one of these."""
    return st.one_of(st.sampled_from(known), st.none(), texts)


# What patients may hold, column by column; all but the name may be NULL.
PATIENT: Mapping[str, st.SearchStrategy[Any]] = {
    "name": texts,
    "age": maybe(integers),
    "menopause_status": words(
        "premenopausal", "perimenopausal", "postmenopausal", "surgical", "pre", "peri", "post"
    ),
    "years_menopause": maybe(st.one_of(st.integers(-1, 51), integers)),
    "bmi": maybe(numbers),
    "bp_systolic": maybe(integers),
    "bp_diastolic": maybe(integers),
    "activity": maybe(texts),
    "smoking": words("never", "former", "current", "Never"),
    "hypertension": words("no", "controlled", "uncontrolled", "yes"),
    "heart_disease": words("no", "yes", "No"),
    "chol": maybe(integers),
    "ldl": maybe(integers),
    "hdl": maybe(integers),
    "triglycerides": maybe(integers),
    "created_at": times,
    "updated_at": times,
    "family_history": maybe(booleans),
    "phys_activity": maybe(booleans),
}
# What the application of version 11 may write into a health profile.
PROFILE: Mapping[str, st.SearchStrategy[Any]] = {
    "menopause_status": maybe(st.sampled_from(["pre", "peri", "post", "surgical"])),
    "years_menopause": maybe(st.integers(0, 50)),
    "hypertension": maybe(st.sampled_from(["no", "controlled", "uncontrolled"])),
    "heart_disease": maybe(st.sampled_from(["no", "yes"])),
    "family_history_diabetes": booleans,
    "smoking_status": maybe(st.sampled_from(["never", "former", "current"])),
    "bmi": maybe(numbers),
    "bp_systolic": maybe(integers),
    "bp_diastolic": maybe(integers),
    "activity": maybe(texts),
    "phys_activity": maybe(booleans),
    "chol": maybe(integers),
    "ldl": maybe(integers),
    "hdl": maybe(integers),
    "triglycerides": maybe(integers),
}
# The rest of what it may write into an account; rights, state and email have rules of their own.
ACCOUNT: Mapping[str, st.SearchStrategy[Any]] = {
    "password_hash": texts,
    "updated_at": times,
    "last_login_at": maybe(times),
    "first_name": maybe(texts),
    "last_name": maybe(texts),
    "date_of_birth": maybe(st.sampled_from(["1970-01-31", "infinity", "0001-01-01 BC"])),
    "phone": maybe(texts),
    "address": maybe(texts),
    "menopause_type": maybe(st.sampled_from(["natural", "surgical"])),
    "consent_personal_data": booleans,
    "consent_research_participation": booleans,
    "consent_email_updates": booleans,
    "consent_analytics": booleans,
    "consent_updated_at": maybe(times),
    "assessment_frequency_months": st.integers(1, 12),
    "reminder_email": booleans,
    "last_assessment_reminder_sent": maybe(times),
    "onboarding_completed": booleans,
}
# What users of version 10 may hold; the email is made unique by the row's id.
USER: Mapping[str, st.SearchStrategy[Any]] = {
    "password_hash": texts,
    "role": st.sampled_from(["clinician", "admin", "admin", "researcher", "member", "", "Admin"]),
    "created_at": times,
    "updated_at": times,
    "is_active": booleans,
    "last_login_at": maybe(times),
}
ASSESSMENT: Mapping[str, st.SearchStrategy[Any]] = {
    "fbs": maybe(st.sampled_from(["0.00", "1234.50", "NaN"])),
    "hba1c": maybe(st.sampled_from(["5.60", "-0.10"])),
    **dict.fromkeys(
        ("cholesterol", "ldl", "hdl", "triglycerides", "systolic", "diastolic", "risk_score"),
        maybe(integers),
    ),
    **dict.fromkeys(
        (
            "activity", "smoking", "hypertension", "heart_disease", "cluster", "model_version",
            "dataset_hash", "validation_status",
        ),
        maybe(texts),
    ),
    "history_flag": maybe(booleans),
    "bmi": maybe(numbers),
    "created_at": times,
    "updated_at": times,
}  # fmt: skip
# What version 11 adds to an assessment.
SELF_REPORT: Mapping[str, st.SearchStrategy[Any]] = {
    "is_self_reported": booleans,
    "source": st.sampled_from(["manual", "clinic", "", "odd"]),
    "notes": maybe(texts),
}
NOTIFICATION: Mapping[str, st.SearchStrategy[Any]] = {
    "notification_type": st.sampled_from(["assessment_reminder", "risk_alert", "educational"]),
    "subject": texts,
    "body": texts,
    "priority": st.integers(1, 10),
    "scheduled_for": times,
    "sent_at": maybe(times),
    "status": st.sampled_from(["pending", "sent", "failed"]),
    "error_message": maybe(texts),
    "created_at": times,
}
TOKEN: Mapping[str, st.SearchStrategy[Any]] = {
    "expires_at": times,
    "revoked": booleans,
    "created_at": times,
    "revoked_at": maybe(times),
}
CLINIC: Mapping[str, st.SearchStrategy[Any]] = {
    "name": texts,
    "address": maybe(texts),
    "created_at": times,
    "updated_at": times,
}
MEMBERSHIP: Mapping[str, st.SearchStrategy[Any]] = {"role": texts, "created_at": times}


def values(columns: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Row]:
    """Return a value for each of these columns."""
    return st.fixed_dictionaries(dict(columns))


def some_of(
    columns: Mapping[str, st.SearchStrategy[Any]], *, most: int = 4
) -> st.SearchStrategy[Row]:
    """Return values for a few of these columns."""
    names = st.lists(st.sampled_from(sorted(columns)), min_size=1, max_size=most, unique=True)
    return names.flatmap(lambda chosen: values({name: columns[name] for name in chosen}))


def sparse(
    columns: Mapping[str, st.SearchStrategy[Any]], blank: Row, *, most: int = 6
) -> st.SearchStrategy[Row]:
    """Return a row that holds `blank`, or NULL, in all but a few of these columns."""
    empty: Row = dict.fromkeys(columns) | blank
    return st.one_of(st.just({}), some_of(columns, most=most)).map(lambda row: empty | row)


def ids(least: int, most: int) -> st.SearchStrategy[list[int]]:
    """Return ids: some small and close together, so that tables collide, some far out."""
    return st.lists(st.sampled_from(IDS), min_size=least, max_size=most, unique=True)


patient_rows = sparse(
    PATIENT, {"name": "Pat One", "created_at": TIMES[0], "updated_at": TIMES[0]}, most=8
)
user_rows = sparse(
    USER,
    {
        "password_hash": "h",
        "role": "clinician",
        "is_active": True,
        "created_at": TIMES[0],
        "updated_at": TIMES[0],
    },
)
assessment_rows = sparse(ASSESSMENT, {"created_at": TIMES[0], "updated_at": TIMES[0]})


@st.composite
def worlds(draw: st.DrawFn, *, least: int = 0) -> World:
    """Return a database of version 10, at least one user and `least` patients in it."""
    world = World()
    users = draw(ids(1, 4))
    for key in users:
        creator = draw(maybe(st.sampled_from(users)))
        email = f"{draw(texts)} {key}@clinic.invalid"
        _put(world, "users", key, draw(values(USER)), email=email, created_by=creator)
    patients = draw(ids(least, 5))
    for key in patients:
        owner = draw(st.sampled_from(users))
        _put(world, "patients", key, draw(patient_rows), user_id=owner)
    for key in draw(st.lists(st.integers(1, 30), max_size=5, unique=True)):
        patient = draw(maybe(st.sampled_from(patients))) if patients else None
        _put(world, "assessments", key, draw(assessment_rows), patient_id=patient)
    for key in draw(st.lists(st.integers(1, 9), max_size=2, unique=True)):
        owner, text = draw(st.sampled_from(users)), f"token {key}"
        row = draw(values(TOKEN))
        _put(world, "refresh_tokens", key, row, user_id=owner, token_hash=text)
    clinics = draw(st.lists(st.integers(1, 3), max_size=2, unique=True))
    for key in clinics:
        _put(world, "clinics", key, draw(values(CLINIC)))
    if clinics:
        pairs = st.tuples(st.sampled_from(users), st.sampled_from(clinics))
        for pair in draw(st.lists(pairs, max_size=2, unique=True)):
            row = draw(values(MEMBERSHIP))
            names: Row = {"user_id": pair[0], "clinic_id": pair[1]}
            world.put("user_clinics", pair, _ordered(USER_CLINICS, names | row))
    return world


@st.composite
def positions(draw: st.DrawFn, world: World) -> dict[str, tuple[int, bool]]:
    """Return where the sequences stand, and whether that was given out: behind, at, or ahead."""
    found = {}
    for table in ("users", "patients"):
        top = max([1, *(key for key in world[table] if isinstance(key, int))])
        found[table] = (draw(st.sampled_from([1, top, top + 1, top + 60])), draw(booleans))
    return found


_COLUMNS = {
    "users": USERS_10,
    "patients": PATIENTS,
    "assessments": ASSESSMENTS_10,
    "refresh_tokens": REFRESH_TOKENS,
    "clinics": CLINICS,
}


def _put(world: World, table: str, key: int, row: Row, **others: Value) -> None:
    world.put(table, key, _ordered(_COLUMNS[table], {**row, **others, "id": key}))


def _ordered(columns: Sequence[str], row: Row) -> Row:
    return {name: row[name] for name in columns}
