"""The columns of both versions and what becomes of each: the design's table, in Python.

Values are as the server writes them: text for timestamps, dates and numerics, so that infinity,
BC, NaN and the scale are kept; int, bool and str otherwise; None is NULL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = int | bool | str | None
Row = dict[str, Value]

USERS_10 = (
    "id", "email", "password_hash", "role", "created_at", "updated_at", "is_active",
    "last_login_at", "created_by",
)  # fmt: skip

# What a row from before the cutover holds in the columns that version 11 adds.
EXISTING: Mapping[str, Value] = {
    "first_name": None,
    "last_name": None,
    "date_of_birth": None,
    "phone": None,
    "address": None,
    "menopause_status": None,
    "menopause_type": None,
    "years_menopause": None,
    "hypertension": None,
    "heart_disease": None,
    "family_history_diabetes": False,
    "smoking_status": None,
    "consent_personal_data": False,
    "consent_research_participation": False,
    "consent_email_updates": False,
    "consent_analytics": False,
    "consent_updated_at": None,
    "assessment_frequency_months": 3,
    "reminder_email": True,
    "last_assessment_reminder_sent": None,
    "onboarding_completed": False,
    "account_status": "active",
    "deleted_at": None,
    "is_admin": False,
    "bmi": None,
    "bp_systolic": None,
    "bp_diastolic": None,
    "activity": None,
    "phys_activity": None,
    "chol": None,
    "ldl": None,
    "hdl": None,
    "triglycerides": None,
}
USERS_11 = (*USERS_10, *EXISTING)
# Of these, what a row made in version 11 holds where the application says nothing.
SIGNED_UP: Mapping[str, Value] = {
    **EXISTING,
    "consent_personal_data": True,
    "consent_analytics": True,
}

PATIENTS = (
    "id", "name", "age", "menopause_status", "years_menopause", "bmi", "bp_systolic",
    "bp_diastolic", "activity", "smoking", "hypertension", "heart_disease", "chol", "ldl", "hdl",
    "triglycerides", "created_at", "updated_at", "family_history", "phys_activity", "user_id",
)  # fmt: skip

ASSESSMENTS_10 = (
    "id", "patient_id", "fbs", "hba1c", "cholesterol", "ldl", "hdl", "triglycerides", "systolic",
    "diastolic", "activity", "history_flag", "smoking", "hypertension", "heart_disease", "bmi",
    "cluster", "risk_score", "model_version", "dataset_hash", "validation_status", "created_at",
    "updated_at",
)  # fmt: skip
ASSESSED_BEFORE: Mapping[str, Value] = {
    "is_self_reported": False,
    "source": "clinic",
    "notes": None,
}
ASSESSED_IN_11: Mapping[str, Value] = {
    "is_self_reported": True,
    "source": "manual",
    "notes": None,
}
ASSESSMENTS_11 = ("id", "user_id", *ASSESSMENTS_10[2:], *ASSESSED_BEFORE)

REFRESH_TOKENS = (
    "id", "user_id", "token_hash", "expires_at", "revoked", "created_at", "revoked_at",
)  # fmt: skip
CLINICS = ("id", "name", "address", "created_at", "updated_at")
USER_CLINICS = ("user_id", "clinic_id", "role", "created_at")
NOTIFICATIONS = (
    "id", "user_id", "notification_type", "subject", "body", "priority", "scheduled_for",
    "sent_at", "status", "error_message", "created_at",
)  # fmt: skip

TABLES: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    10: {
        "users": USERS_10,
        "patients": PATIENTS,
        "assessments": ASSESSMENTS_10,
        "refresh_tokens": REFRESH_TOKENS,
        "clinics": CLINICS,
        "user_clinics": USER_CLINICS,
    },
    11: {
        "users": USERS_11,
        "assessments": ASSESSMENTS_11,
        "refresh_tokens": REFRESH_TOKENS,
        "clinics": CLINICS,
        "user_clinics": USER_CLINICS,
        "notification_queue": NOTIFICATIONS,
    },
}
# The person that an assessment is of, by version.
PERSON = {10: "patient_id", 11: "user_id"}

_STATUS = {
    "premenopausal": "pre",
    "perimenopausal": "peri",
    "postmenopausal": "post",
    "surgical": "surgical",
    "pre": "pre",
    "peri": "peri",
    "post": "post",
}
_LONG_STATUS = {
    "pre": "premenopausal",
    "peri": "perimenopausal",
    "post": "postmenopausal",
    "surgical": "surgical",
}


def _split_last(name: Value) -> tuple[Value, ...]:
    first, space, last = str(name).rpartition(" ")
    return (first, last) if space else (last, None)


def _joined(values: tuple[Value, ...]) -> Value:
    return " ".join(str(value) for value in values if value is not None)


def _among(*known: str) -> Callable[[Value], tuple[Value, ...]]:
    return lambda value: (value if value in known else None,)


def _same(value: Value) -> tuple[Value, ...]:
    return (value,)


def _first(values: tuple[Value, ...]) -> Value:
    return values[0]


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A column of patients, its columns in users, and both ways between them."""

    source: str
    targets: tuple[str, ...]
    forward: Callable[[Value], tuple[Value, ...]] = _same
    back: Callable[[tuple[Value, ...]], Value] = _first
    lossy: bool = False
    clinical: bool = True

    def image(self, patient: Row) -> tuple[Value, ...]:
        """Return what the row's value becomes."""
        return self.forward(patient[self.source])

    def of(self, user: Row) -> tuple[Value, ...]:
        """Return what the user's row holds."""
        return tuple(user[target] for target in self.targets)


CARRIED = (
    Carried(
        source="name",
        targets=("first_name", "last_name"),
        forward=_split_last,
        back=_joined,
        clinical=False,
    ),
    Carried(
        source="menopause_status",
        targets=("menopause_status",),
        forward=lambda value: (_STATUS.get(str(value)),),
        back=lambda values: None if values[0] is None else _LONG_STATUS[str(values[0])],
        lossy=True,
    ),
    Carried(
        source="years_menopause",
        targets=("years_menopause",),
        forward=lambda value: (value if value is not None and 0 <= int(value) <= 50 else None,),
        lossy=True,
    ),
    Carried(
        source="hypertension",
        targets=("hypertension",),
        forward=_among("no", "controlled", "uncontrolled"),
        lossy=True,
    ),
    Carried(
        source="heart_disease",
        targets=("heart_disease",),
        forward=_among("no", "yes"),
        lossy=True,
    ),
    Carried(
        source="smoking",
        targets=("smoking_status",),
        forward=_among("never", "former", "current"),
        lossy=True,
    ),
    Carried(
        source="family_history",
        targets=("family_history_diabetes",),
        forward=lambda value: (bool(value),),
    ),
    *(
        Carried(source=name, targets=(name,))
        for name in (
            "bmi", "bp_systolic", "bp_diastolic", "activity", "phys_activity", "chol", "ldl",
            "hdl", "triglycerides",
        )
    ),
)  # fmt: skip


def has_profile(user: Row) -> bool:
    """Tell whether a clinical column says something; a name alone is no profile."""
    return user["family_history_diabetes"] is True or any(
        column.of(user) != (None,)
        for column in CARRIED
        if column.clinical and column.source != "family_history"
    )


def is_deleted(user: Row) -> bool:
    """Tell whether a user of version 11 is softly deleted."""
    return user["account_status"] == "deleted" or user["deleted_at"] is not None


def placeholder(patient_id: int) -> str:
    """Return the email of a subject before it is claimed."""
    return f"patient-{patient_id}@unclaimed.invalid"
