"""Who is in the story of `scenario`: the rows that it begins with, and what is written later."""

from tests.support.model.columns import ASSESSMENTS_10, CARRIED, USERS_10, Row
from tests.support.model.world import World

LONG_AGO = "2001-02-03 04:05:06+00"
LATER = "2022-02-22 22:22:22+00"

# Raw values in every column, those without a forward image among them.
_ODD: Row = {
    "name": "Mary Ann  Lee ",
    "age": 51,
    "menopause_status": "unknown",
    "years_menopause": 60,
    "bmi": "20.10",
    "bp_systolic": 120,
    "bp_diastolic": 80,
    "activity": "low",
    "smoking": "Never",
    "hypertension": "yes",
    "heart_disease": "",
    "chol": 1,
    "ldl": 2,
    "hdl": 3,
    "triglycerides": 4,
    "family_history": None,
    "phys_activity": False,
}
_PLAIN: Row = {
    **_ODD,
    "name": "Pat",
    "menopause_status": "postmenopausal",
    "years_menopause": 5,
    "smoking": "former",
    "hypertension": "controlled",
    "heart_disease": "yes",
    "family_history": True,
    "phys_activity": True,
    "bmi": "NaN",
}
# Another value in every column that is carried, in both versions' words.
EDITED_11: Row = {
    "first_name": "Eve",
    "last_name": "New Name",
    "menopause_status": "peri",
    "years_menopause": 50,
    "hypertension": "uncontrolled",
    "heart_disease": "no",
    "smoking_status": "current",
    "family_history_diabetes": False,
    "bmi": "30.50",
    "bp_systolic": 121,
    "bp_diastolic": 81,
    "activity": "high",
    "phys_activity": False,
    "chol": 11,
    "ldl": 12,
    "hdl": 13,
    "triglycerides": 14,
}
EDITED_10: Row = {
    "name": "Eve Older",
    "menopause_status": "premenopausal",
    "years_menopause": 0,
    "hypertension": "no",
    "heart_disease": None,
    "smoking": "never",
    "family_history": True,
    "bmi": "31.50",
    "bp_systolic": 122,
    "bp_diastolic": 82,
    "activity": "",
    "phys_activity": None,
    "chol": 21,
    "ldl": 22,
    "hdl": 23,
    "triglycerides": 24,
}
# What version 11 knows of an account and version 10 cannot hold.
CLAIMED: Row = {
    "email": "me@home.invalid",
    "password_hash": "claimed",
    "is_active": True,
    "role": "researcher",
    "last_login_at": LATER,
    "date_of_birth": "1970-01-31",
    "phone": "1",
    "address": "street",
    "menopause_type": "natural",
    "consent_personal_data": True,
    "consent_research_participation": True,
    "consent_email_updates": True,
    "consent_analytics": True,
    "consent_updated_at": LATER,
    "assessment_frequency_months": 7,
    "reminder_email": False,
    "last_assessment_reminder_sent": LATER,
    "onboarding_completed": True,
}


def start() -> World:
    """Return the version-10 world: ids that collide, at the edge, negative and far out."""
    world = World()
    for key, role, creator in ((1, "clinician", None), (2, "admin", 1), (3, "researcher", 1),
                               (5, "clinician", None), (6, "admin", None),
                               (7, "clinician", None)):  # fmt: skip
        _user(world, key, role=role, created_by=creator)
    # 2, 5, 20 and -3 collide with ids of users, living or given out; the others keep theirs.
    for key in (2, 5, 20, -3):
        _patient(world, key, _ODD)
    for key in (21, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 150):
        _patient(world, key, _PLAIN, user_id=5 if key == 46 else 1)
    for key, patient in enumerate([2, 5, 21, 40, 43, 44, 45, 48, None, 2, 47], start=1):
        row: Row = dict.fromkeys(ASSESSMENTS_10)
        row.update(id=key, patient_id=patient, risk_score=key, bmi="1.10")
        world.put("assessments", key, row | {"created_at": LONG_AGO, "updated_at": LONG_AGO})
    for key in (1, 2):
        clinic: Row = {"id": key, "name": f"C{key}", "address": None}
        world.put("clinics", key, clinic | {"created_at": LONG_AGO, "updated_at": LONG_AGO})
    _token(world, 1, 1)
    world.put("user_clinics", (1, 1), membership(1, 1))
    return world


def _user(world: World, key: int, **values: str | int | None) -> None:
    row: Row = dict.fromkeys(USERS_10)
    row.update(
        id=key,
        email=f"user{key}@clinic.invalid",
        password_hash=f"h{key}",
        is_active=key != 3,
        created_at=LONG_AGO,
        updated_at=LONG_AGO,
    )
    world.put("users", key, row | values)


def _patient(world: World, key: int, values: Row, user_id: int = 1) -> None:
    times = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    world.put("patients", key, {"id": key, "user_id": user_id, **values, **times})


def _token(world: World, key: int, user_id: int) -> None:
    world.put("refresh_tokens", key, session(key, user_id))


def session(key: int, user_id: int) -> Row:
    return {
        "id": key,
        "user_id": user_id,
        "token_hash": f"token {key}",
        "expires_at": LATER,
        "revoked": key % 2 == 0,
        "created_at": LONG_AGO,
        "revoked_at": None,
    }


def membership(user_id: int, clinic_id: int) -> Row:
    return {"user_id": user_id, "clinic_id": clinic_id, "role": "odd", "created_at": LONG_AGO}


assert set(EDITED_10) == {column.source for column in CARRIED}
assert set(EDITED_11) == {name for column in CARRIED for name in column.targets}
