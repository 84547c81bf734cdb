"""One rich story, always the same, with every law looked at: no planted fault may survive it."""

from tests.support.dump import pg_dump
from tests.support.model.cast import (
    CLAIMED,
    EDITED_10,
    EDITED_11,
    LATER,
    LONG_AGO,
    membership,
    session,
    start,
)
from tests.support.model.columns import ASSESSED_IN_11, ASSESSMENTS_10, PATIENTS, SIGNED_UP, Row
from tests.support.model.down import Settings
from tests.support.model.play import Play


def play(story: Play, url: str) -> None:
    """Go through the story; a law that does not hold is an AssertionError or the server's error."""
    story.begin(start(), {"users": (20, True), "patients": (200, True)})
    ten = pg_dump(url, schema_only=True)
    story.there_and_back()
    story.turn(Settings())
    eleven = pg_dump(url, schema_only=True)
    story.there_and_back()
    first_year_of_version_11(story)
    story.turn(Settings())
    assert pg_dump(url, schema_only=True) == ten
    story.there_and_back()
    back_in_version_10(story)
    story.turn(Settings())
    assert pg_dump(url, schema_only=True) == eleven
    story.there_and_back()
    second_year_of_version_11(story)
    story.turn(Settings(on_conflict="archive", keep_logins=True))
    story.there_and_back()


def first_year_of_version_11(story: Play) -> None:
    subject = {key: pair.user for key, pair in story.world.complement.pairs.items()}
    story.change("users", subject[2], {**CLAIMED, "hypertension": "no", "created_by": 1})
    story.change("users", subject[21], {**EDITED_11, "updated_at": LATER})
    # An edit that says nothing of its time, a login, names of one word or none, an edit taken back.
    story.change("users", subject[150], {"chol": 99})
    story.change("users", subject[40], {"last_login_at": LATER, "updated_at": LATER})
    story.change("users", subject[41], {"first_name": None, "last_name": None})
    story.change("users", subject[42], {"last_name": "Two"})
    story.change("users", subject[46], {"first_name": "Solo"})
    story.change("users", subject[49], {"first_name": None, "last_name": "Alone"})
    story.change("users", subject[-3], {"bmi": None, "years_menopause": 1})
    # Deleted softly, in both ways, after an edit; and for good.
    story.change("users", subject[43], {"account_status": "deleted", "bmi": "43.00"})
    story.change("users", subject[44], {"deleted_at": LATER})
    story.remove("users", subject[45])
    story.remove("users", 5)
    story.change("users", 1, {"smoking_status": "never", "address": "home"})
    story.change("users", 2, {"is_admin": False})
    story.change("users", 3, {"is_admin": True})
    story.change("users", 6, {"deleted_at": LATER})
    # One column alone, which must be enough for it to be kept.
    story.change("users", subject[20], {"phone": "20"})
    story.change("users", subject[47], {"created_by": 1})
    story.change("users", 7, {"phone": "7"})
    _sign_up_barely(story, 300)
    signed_up: tuple[tuple[int, Row], ...] = (
        (301, {"bmi": "22.00", "created_by": subject[21]}),
        (302, {"first_name": "Only", "created_by": 301}),
        (303, {"first_name": "As", "last_name": "Sessed"}),
        (304, {"family_history_diabetes": True, "is_active": False, "first_name": "F"}),
        (305, {"account_status": "deleted", "chol": 5}),
        (306, {"phys_activity": False}),
        (307, {"heart_disease": "no"}),
    )
    for key, told in signed_up:
        _sign_up(story, key, told)
    for key, person in ((401, subject[2]), (402, 303), (403, 2), (404, 305), (405, None)):
        _assess(story, key, person)
    story.change("assessments", 1, {"user_id": 1, "notes": "moved"})
    story.change("assessments", 3, {"user_id": None})
    story.change("assessments", 9, {"user_id": subject[20], "risk_score": 77})
    story.change("assessments", 5, {"source": "manual", "is_self_reported": True})
    story.remove("assessments", 11)
    for key, person in ((501, subject[2]), (502, 301), (503, subject[43]), (504, subject[48])):
        _log_in(story, key, person)
        story.put("user_clinics", (person, 1 + key % 2), membership(person, 1 + key % 2))
        _notify(story, key + 100, person)
    _notify(story, 600, 3)


def back_in_version_10(story: Play) -> None:
    patient_of = {pair.user: key for key, pair in story.world.complement.pairs.items()}
    story.change("patients", 21, {**EDITED_10, "updated_at": LONG_AGO})
    story.change("patients", 40, {"hypertension": "odd", "created_at": LATER})
    story.change("patients", 150, {"user_id": 3, "age": 52})
    story.change("patients", patient_of[301], {"bmi": "23.00", "user_id": 3})
    story.change("patients", patient_of[306], {"user_id": 3})
    for key in (48, patient_of[1], patient_of[304]):
        story.remove("patients", key)
    # The account goes and not the patient; the patient with the account; a clinic.
    story.remove("users", 306)
    story.remove("users", 307)
    story.remove("clinics", 2)
    story.change("users", 1, {"email": "me@home.invalid"})
    story.change("users", 2, {"role": "admin"})
    story.change("users", 3, {"role": "member"})
    story.change("users", 7, {"is_active": False})
    story.change("users", 301, {"is_active": True})
    story.change("users", 6, {"is_active": True})
    # Ids in the gaps: one that a native has, one that nobody has.
    for key in (301, 12):
        if key not in story.world.used["patients"]:
            row: Row = dict.fromkeys(PATIENTS)
            row.update(id=key, name="New", user_id=2, created_at=LONG_AGO, updated_at=LONG_AGO)
            story.put("patients", key, row)
    story.change("assessments", 2, {"patient_id": 21})
    story.change("assessments", 10, {"patient_id": None})
    story.remove("assessments", 402)


def second_year_of_version_11(story: Play) -> None:
    subject = {key: pair.user for key, pair in story.world.complement.pairs.items()}
    story.change("users", subject[43], {"account_status": "active"})
    story.change("users", subject[5], {"hypertension": "no", "years_menopause": 2})
    story.change("users", subject[2], {"hypertension": None})
    story.change("users", 304, {"bmi": "1.00"})
    story.remove("users", subject[49])
    _sign_up(story, 901, {"chol": 1})


def _sign_up(story: Play, key: int, told: Row) -> None:
    row: Row = {
        "id": key,
        "email": f"user{key}@home.invalid",
        "password_hash": "h",
        "role": "member",
        "created_at": LATER,
        "updated_at": LATER,
        "is_active": True,
        "last_login_at": None,
        "created_by": None,
        **SIGNED_UP,
        "consent_updated_at": LATER,
    }
    story.put("users", key, row | told)


def _sign_up_barely(story: Play, key: int) -> None:
    """Insert what must be given: the rest is by the defaults of version 11, for rows made there."""
    story.live.insert("users", {"id": key, "email": "bare@home.invalid", "password_hash": ""})
    story.live.insert("assessments", {"id": key, "user_id": None})
    tables = story.live.tables(11)
    row = tables["users"][key]
    now = row["created_at"]
    expected: Row = {
        **SIGNED_UP,
        "id": key,
        "email": "bare@home.invalid",
        "password_hash": "",
        "role": "member",
        "is_active": True,
        "created_by": None,
        "last_login_at": None,
        **dict.fromkeys(("created_at", "updated_at", "consent_updated_at"), now),
    }
    assert row == expected
    story.world.put("users", key, row)
    row = tables["assessments"][key]
    assert {name: row[name] for name in ASSESSED_IN_11} == ASSESSED_IN_11
    story.world.put("assessments", key, row)


def _assess(story: Play, key: int, user_id: int | None) -> None:
    row: Row = dict.fromkeys(ASSESSMENTS_10[2:])
    times = {"created_at": LATER, "updated_at": LATER}
    story.put("assessments", key, {"id": key, "user_id": user_id, **row, **times, **ASSESSED_IN_11})


def _log_in(story: Play, key: int, user_id: int) -> None:
    story.put("refresh_tokens", key, session(key, user_id))


def _notify(story: Play, key: int, user_id: int) -> None:
    row: Row = {
        "id": key,
        "user_id": user_id,
        "notification_type": "educational",
        "subject": "s",
        "body": "b",
        "priority": 5,
        "scheduled_for": LATER,
        "sent_at": None,
        "status": "pending",
        "error_message": None,
        "created_at": LONG_AGO,
    }
    story.put("notification_queue", key, row)
