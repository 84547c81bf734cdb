"""What the catalog says at each version: columns in physical order, constraints, indexes.

Written down by hand, not derived from the SQL files. `tables_at` adds the facts up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# A column: name, type, whether it is NOT NULL, and its default as PostgreSQL prints it.
Column = tuple[str, str, bool, str | None]

TIME: Final = "timestamp with time zone"
TEXT: Final = "text"
INTEGER: Final = "integer"
BOOLEAN: Final = "boolean"
NOW: Final = "now()"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The facts of one table; constraints and indexes by name, each with its definition."""

    columns: tuple[Column, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)

    def plus(self, other: "Table") -> "Table":
        return Table(
            columns=self.columns + other.columns,
            constraints={**self.constraints, **other.constraints},
            indexes={**self.indexes, **other.indexes},
        )


def serial(table: str) -> Column:
    return ("id", INTEGER, True, f"nextval('{table}_id_seq'::regclass)")


def nullable(type_name: str, *names: str) -> tuple[Column, ...]:
    return tuple((name, type_name, False, None) for name in names)


def stamps(*names: str) -> tuple[Column, ...]:
    return tuple((name, TIME, True, NOW) for name in names)


def primary_key(table: str, columns: str = "id") -> dict[str, str]:
    return {f"{table}_pkey": f"PRIMARY KEY ({columns})"}


def references(column: str, table: str, action: str = " ON DELETE CASCADE") -> str:
    return f"FOREIGN KEY ({column}) REFERENCES {table}(id){action}"


# What each version adds, by table. Versions 6, 7 and 8 change data only.
ADDED: Final[Mapping[int, Mapping[str, Table]]] = {
    1: {
        "users": Table(
            columns=(
                serial("users"),
                ("email", TEXT, True, None),
                ("password_hash", TEXT, True, None),
                ("role", TEXT, True, "'clinician'::text"),
                *stamps("created_at", "updated_at"),
            ),
            constraints={**primary_key("users"), "users_email_key": "UNIQUE (email)"},
        ),
        "patients": Table(
            columns=(
                serial("patients"),
                ("name", TEXT, True, None),
                ("age", INTEGER, False, None),
                ("menopause_status", TEXT, False, None),
                ("years_menopause", INTEGER, False, None),
                ("bmi", "numeric(5,2)", False, None),
                *nullable(INTEGER, "bp_systolic", "bp_diastolic"),
                *nullable(TEXT, "activity", "smoking", "hypertension", "heart_disease"),
                *nullable(INTEGER, "chol", "ldl", "hdl", "triglycerides"),
                *stamps("created_at", "updated_at"),
            ),
            constraints=primary_key("patients"),
        ),
        "assessments": Table(
            columns=(
                serial("assessments"),
                ("patient_id", INTEGER, False, None),
                ("fbs", "numeric(6,2)", False, None),
                ("hba1c", "numeric(4,2)", False, None),
                *nullable(INTEGER, "cholesterol", "ldl", "hdl", "triglycerides"),
                *nullable(INTEGER, "systolic", "diastolic"),
                ("activity", TEXT, False, None),
                ("history_flag", BOOLEAN, False, None),
                *nullable(TEXT, "smoking", "hypertension", "heart_disease"),
                ("bmi", "numeric(5,2)", False, None),
                ("cluster", TEXT, False, None),
                ("risk_score", INTEGER, False, None),
                *nullable(TEXT, "model_version", "dataset_hash", "validation_status"),
                *stamps("created_at"),
            ),
            constraints={
                **primary_key("assessments"),
                "assessments_patient_id_fkey": references("patient_id", "patients"),
            },
        ),
        "model_runs": Table(
            columns=(
                serial("model_runs"),
                ("model_version", TEXT, True, None),
                *nullable(TEXT, "dataset_hash", "notes"),
                *stamps("created_at"),
            ),
            constraints=primary_key("model_runs"),
        ),
        "audit_events": Table(
            columns=(
                serial("audit_events"),
                *nullable(TEXT, "actor", "action", "target_type"),
                ("target_id", INTEGER, False, None),
                ("details", "jsonb", False, None),
                *stamps("created_at"),
            ),
            constraints=primary_key("audit_events"),
        ),
    },
    2: {"patients": Table(columns=nullable(BOOLEAN, "family_history", "phys_activity"))},
    3: {
        "users": Table(indexes={"idx_users_email": "(email)"}),
        "patients": Table(indexes={"idx_patients_created_at": "(created_at DESC)"}),
        "assessments": Table(
            columns=stamps("updated_at"),
            indexes={
                "idx_assessments_cluster": "(cluster)",
                "idx_assessments_created_at": "(created_at DESC)",
                "idx_assessments_patient_created": "(patient_id, created_at DESC)",
                "idx_assessments_patient_id": "(patient_id)",
                "idx_assessments_risk_score": "(risk_score DESC)",
            },
        ),
    },
    4: {
        "refresh_tokens": Table(
            columns=(
                serial("refresh_tokens"),
                ("user_id", INTEGER, True, None),
                ("token_hash", TEXT, True, None),
                ("expires_at", TIME, True, None),
                ("revoked", BOOLEAN, True, "false"),
                ("created_at", TIME, True, NOW),
                ("revoked_at", TIME, False, None),
            ),
            constraints={
                **primary_key("refresh_tokens"),
                "refresh_tokens_token_hash_key": "UNIQUE (token_hash)",
                "refresh_tokens_user_id_fkey": references("user_id", "users"),
            },
            indexes={
                "idx_refresh_tokens_expires_at": "(expires_at)",
                "idx_refresh_tokens_token_hash": "(token_hash)",
                "idx_refresh_tokens_user_id": "(user_id)",
            },
        ),
    },
    5: {
        "patients": Table(
            columns=(("user_id", INTEGER, True, None),),
            constraints={"fk_patients_user_id": references("user_id", "users")},
            indexes={"idx_patients_user_id": "(user_id)"},
        ),
    },
    6: {},
    7: {},
    8: {},
    9: {
        "clinics": Table(
            columns=(
                serial("clinics"),
                ("name", TEXT, True, None),
                ("address", TEXT, False, None),
                *stamps("created_at", "updated_at"),
            ),
            constraints=primary_key("clinics"),
        ),
        "user_clinics": Table(
            columns=(
                ("user_id", INTEGER, True, None),
                ("clinic_id", INTEGER, True, None),
                ("role", TEXT, True, "'member'::text"),
                *stamps("created_at"),
            ),
            constraints={
                **primary_key("user_clinics", "user_id, clinic_id"),
                "user_clinics_clinic_id_fkey": references("clinic_id", "clinics"),
                "user_clinics_user_id_fkey": references("user_id", "users"),
            },
            indexes={
                "idx_user_clinics_clinic": "(clinic_id)",
                "idx_user_clinics_user": "(user_id)",
            },
        ),
    },
    10: {
        "users": Table(
            columns=(
                ("is_active", BOOLEAN, True, "true"),
                ("last_login_at", TIME, False, None),
                ("created_by", INTEGER, False, None),
            ),
            constraints={"users_created_by_fkey": references("created_by", "users", "")},
            indexes={
                "idx_users_email_search": "(email)",
                "idx_users_is_active": "(is_active)",
                "idx_users_role": "(role)",
            },
        ),
        "model_runs": Table(indexes={"idx_model_runs_created_at": "(created_at DESC)"}),
        "audit_events": Table(
            indexes={
                "idx_audit_events_action": "(action)",
                "idx_audit_events_actor": "(actor)",
                "idx_audit_events_created_at": "(created_at DESC)",
            },
        ),
    },
}

LATEST: Final = max(ADDED)


def tables_at(version: int) -> dict[str, Table]:
    """Return every table of `public` at a version, goose's own aside."""
    tables: dict[str, Table] = {}
    for added in range(1, version + 1):
        for name, table in ADDED[added].items():
            tables[name] = tables.get(name, Table()).plus(table)
    return tables
