"""What the refactor must do to a row, a second time: ``design.md`` in Python.

Written down apart from the compiled SQL on purpose, so that the drill does not ask the migration
whether the migration is right. Of the mapping only the value maps are taken, which an operator may
extend; columns, codecs and rules stand here.

A row is a mapping of column names to PostgreSQL's output text; NULL is None, true is ``t``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from refactorkit.mapping.model import Mapping as MappingDocument
from refactorkit.mapping.model import Values

Text = str | None
Row = dict[str, Text]

TRUE: Final = "t"
FALSE: Final = "f"
_MOST_YEARS: Final = 50


@dataclass(frozen=True, kw_only=True)
class ValueMaps:
    """The maps of texts, by column of ``patients``.

    Attributes:
        forward: of values of version 10; what is not named has no image.
        back: of values of version 11.
    """

    forward: Mapping[str, Mapping[str, str]]
    back: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, document: MappingDocument) -> "ValueMaps":
        """Take the maps of a mapping."""
        columns = [column for column in document.column if isinstance(column, Values)]
        return cls(
            forward={column.source: column.forward for column in columns},
            back={column.source: column.back for column in columns},
        )


def _same(*values: str) -> dict[str, str]:
    return {value: value for value in values}


_LONG_FORMS: Final = {
    "pre": "premenopausal",
    "peri": "perimenopausal",
    "post": "postmenopausal",
    "surgical": "surgical",
}
DESIGN_MAPS: Final = ValueMaps(
    forward={
        "menopause_status": {long: short for short, long in _LONG_FORMS.items()}
        | _same(*_LONG_FORMS),
        "hypertension": _same("no", "controlled", "uncontrolled"),
        "heart_disease": _same("no", "yes"),
        "smoking": _same("never", "former", "current"),
    },
    back={
        "menopause_status": _LONG_FORMS,
        "hypertension": _same("no", "controlled", "uncontrolled"),
        "heart_disease": _same("no", "yes"),
        "smoking": _same("never", "former", "current"),
    },
)

SAME: Final = (
    "bmi", "bp_systolic", "bp_diastolic", "activity", "phys_activity",
    "chol", "ldl", "hdl", "triglycerides",
)  # fmt: skip
TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("first_name", "last_name"),
    "menopause_status": ("menopause_status",),
    "years_menopause": ("years_menopause",),
    "hypertension": ("hypertension",),
    "heart_disease": ("heart_disease",),
    "smoking": ("smoking_status",),
    "family_history": ("family_history_diabetes",),
    **{column: (column,) for column in SAME},
}
"""What a mapped column of ``patients`` is in ``users``; both names are one unit."""

PROFILE: Final = tuple(target for name in TARGETS if name != "name" for target in TARGETS[name])
"""Columns of ``users`` of which one that holds something makes a native a patient on Down."""

MAPPED_TEXTS: Final = tuple(DESIGN_MAPS.forward)

NATIVE_ADDS: Final[Mapping[str, Text]] = {
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
    "family_history_diabetes": FALSE,
    "smoking_status": None,
    "consent_personal_data": FALSE,
    "consent_research_participation": FALSE,
    "consent_email_updates": FALSE,
    "consent_analytics": FALSE,
    "consent_updated_at": None,
    "assessment_frequency_months": "3",
    "reminder_email": TRUE,
    "last_assessment_reminder_sent": None,
    "onboarding_completed": FALSE,
    "account_status": "active",
    "deleted_at": None,
    "is_admin": FALSE,
    **dict.fromkeys(SAME),
}
"""Version 11's columns of ``users``, and what a row from before the cutover holds in them."""

ASSESSMENT_ADDS: Final[Mapping[str, Text]] = {
    "is_self_reported": FALSE,
    "source": "clinic",
    "notes": None,
}


NEW_INDEXES: Final[Mapping[str, str]] = {
    "idx_users_account_status": "users (account_status)",
    "idx_users_assessment_reminder": "users (reminder_email, last_assessment_reminder_sent)",
    "idx_users_consent_research": "users (consent_research_participation)",
    "idx_users_menopause_status": "users (menopause_status)",
    "idx_assessments_user_id": "assessments (user_id)",
    "idx_assessments_user_id_created": "assessments (user_id, created_at DESC)",
    "idx_notification_queue_status": "notification_queue (status, scheduled_for)",
    "idx_notification_queue_user": "notification_queue (user_id)",
}
"""Version 11's indexes, and what each is on."""

NEW_CONSTRAINTS: Final[Mapping[str, str]] = {
    "users_account_status_check": "users",
    "users_assessment_frequency_months_check": "users",
    "users_heart_disease_check": "users",
    "users_hypertension_check": "users",
    "users_menopause_status_check": "users",
    "users_menopause_type_check": "users",
    "users_smoking_status_check": "users",
    "users_years_menopause_check": "users",
    "users_created_by_fkey": "users",
    "assessments_user_id_fkey": "assessments",
    "refresh_tokens_user_id_fkey": "refresh_tokens",
    "user_clinics_user_id_fkey": "user_clinics",
    "notification_queue_pkey": "notification_queue",
    "notification_queue_notification_type_check": "notification_queue",
    "notification_queue_priority_check": "notification_queue",
    "notification_queue_status_check": "notification_queue",
    "notification_queue_user_id_fkey": "notification_queue",
}
"""Version 11's constraints and those that Up and Down take off for a while, with their tables."""


def placeholder(patient_id: str) -> str:
    """Return the email of a subject that nobody has claimed."""
    return f"patient-{patient_id}@unclaimed.invalid"


def forward(patient: Mapping[str, Text], maps: ValueMaps = DESIGN_MAPS) -> Row:
    """Return the mapped columns of ``users`` for a row of ``patients``."""
    first, last = _split(patient["name"])
    return {
        "first_name": first,
        "last_name": last,
        "menopause_status": _image(maps, "menopause_status", patient),
        "years_menopause": _years(patient["years_menopause"]),
        "hypertension": _image(maps, "hypertension", patient),
        "heart_disease": _image(maps, "heart_disease", patient),
        "smoking_status": _image(maps, "smoking", patient),
        "family_history_diabetes": patient["family_history"] or FALSE,
        **{column: patient[column] for column in SAME},
    }


def subject(patient: Mapping[str, Text], maps: ValueMaps = DESIGN_MAPS) -> Row:
    """Return the row of ``users`` that a row of ``patients`` becomes, its id left out."""
    return {
        "email": placeholder(patient["id"] or ""),
        "password_hash": "!",
        "role": "member",
        "created_at": patient["created_at"],
        "updated_at": patient["updated_at"],
        "is_active": FALSE,
        "last_login_at": None,
        "created_by": None,
        **NATIVE_ADDS,
        **forward(patient, maps),
    }


def native_adds(user: Mapping[str, Text]) -> Row:
    """Return version 11's columns for a row of ``users`` from before the cutover."""
    return {**NATIVE_ADDS, "is_admin": TRUE if user["role"] == "admin" else FALSE}


def back(source: str, user: Mapping[str, Text], maps: ValueMaps = DESIGN_MAPS) -> Text:
    """Return what a mapped column of ``patients`` is for a row of ``users``."""
    if source == "name":
        return joined(user)
    value = user[TARGETS[source][0]]
    return maps.back.get(source, {}).get(value, value) if value is not None else None


def joined(user: Mapping[str, Text]) -> str:
    """Return both names as one: by one space, none for a name that is NULL."""
    return " ".join(part for part in (user["first_name"], user["last_name"]) if part is not None)


def is_deleted(user: Mapping[str, Text]) -> bool:
    """Tell whether the row is marked as deleted."""
    return user["account_status"] == "deleted" or user["deleted_at"] is not None


def has_profile(user: Mapping[str, Text]) -> bool:
    """Tell whether a clinical column holds something; a name alone is no profile."""
    return any(
        user[column] == TRUE if column == "family_history_diabetes" else user[column] is not None
        for column in PROFILE
    )


def edited(source: str, base: Mapping[str, Text], now: Mapping[str, Text]) -> bool:
    """Tell whether version 11 changed what a mapped column of ``patients`` became."""
    return any(base[target] != now[target] for target in TARGETS[source])


def patient_after(
    patient: Mapping[str, Text],
    base: Mapping[str, Text],
    now: Mapping[str, Text],
    *,
    is_native: bool,
    maps: ValueMaps = DESIGN_MAPS,
) -> Row:
    """Return a row of ``patients`` after Down: edits carried home, all else as it was.

    Args:
        patient: as it was in version 10.
        base: its row of ``users`` before the application wrote.
        now: the same row afterwards.
        is_native: it shows a native, who is named by the email where there is no name.
        maps: the value maps.
    """
    after = dict(patient)
    for source in TARGETS:
        if edited(source, base, now):
            value = back(source, now, maps)
            after[source] = value or now["email"] if is_native and source == "name" else value
    carried = any(after[source] != patient[source] for source in TARGETS)
    if carried:
        after["updated_at"] = now["updated_at"]
    return after


def patient_of_native(user: Mapping[str, Text], maps: ValueMaps = DESIGN_MAPS) -> Row:
    """Return the row of ``patients`` that shows a native in version 10, its id left out."""
    return {
        **{source: back(source, user, maps) for source in TARGETS},
        "name": joined(user) or user["email"],
        "age": None,
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "user_id": user["id"],
    }


def native_after(
    user: Mapping[str, Text], *, was_there: bool, is_subject: Callable[[Text], bool]
) -> Row:
    """Return what Down changes in a native: rights are taken back, and never given.

    Args:
        user: the row in version 11.
        was_there: it is from before the cutover.
        is_subject: tells whether an id of ``users`` is a subject's.
    """
    stays_active = user["is_active"] == TRUE and was_there and not is_deleted(user)
    lost_flag = user["role"] == "admin" and user["is_admin"] == FALSE
    return {
        "role": "clinician" if lost_flag else user["role"],
        "is_active": TRUE if stays_active else FALSE,
        "created_by": None if is_subject(user["created_by"]) else user["created_by"],
    }


def _split(name: Text) -> tuple[Text, Text]:
    if name is None:
        return None, None
    first, space, last = name.rpartition(" ")
    return (first, last) if space else (name, None)


def _image(maps: ValueMaps, column: str, patient: Mapping[str, Text]) -> Text:
    value = patient[column]
    return None if value is None else maps.forward.get(column, {}).get(value)


def _years(value: Text) -> Text:
    return value if value is not None and 0 <= int(value) <= _MOST_YEARS else None
