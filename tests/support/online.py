"""Version 10 at work beside version 11 in the making, and both in terms that show no ids.

Two databases that went to version 11 in different ways give the same person different ids, and the
same address: so people are called by their address here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from refactorkit.commands.chain import Chain
from refactorkit.commands.online import OnlineRequest, Pacing, Progress
from refactorkit.postgres.dsn import Dsn
from tests.support.chain import SQL

MAPPING = SQL.parent / "archive" / "patients.toml"
HURRIED = Pacing(batch_rows=2, fewest_rows=2, batch_ms=0, rest=0)


def request(
    url: str,
    *,
    directory: Path = SQL,
    pacing: Pacing = HURRIED,
    max_lock_ms: int = 2_000,
    retries: int = 3,
) -> OnlineRequest:
    """Return what an operator would ask for, in small batches."""
    chain = Chain(dsn=Dsn.parse(url), directory=directory, table="goose_db_version", environ={})
    return OnlineRequest(
        chain=chain,
        pacing=pacing,
        max_lock_ms=max_lock_ms,
        retries=retries,
        lock_wait_seconds=0,
    )


class KilledError(Exception):
    """The client is gone."""


@dataclass
class Meanwhile:
    """Does something at each moment that a cutover reports, and may stop it at one of them."""

    acts: Callable[[int, Progress], None]
    stop_at: int | None = None
    moment: int = 0

    def __call__(self, progress: Progress) -> None:
        if self.moment == self.stop_at:
            raise KilledError
        self.acts(self.moment, progress)
        self.moment += 1


PERSON = "(SELECT p.email FROM public.users AS p WHERE p.id = {})"
_USERS_10 = (
    "email", "password_hash", "role", "created_at", "updated_at", "is_active", "last_login_at",
)  # fmt: skip
_ASSESSMENT = (
    "id", "fbs", "hba1c", "cholesterol", "ldl", "hdl", "triglycerides", "systolic", "diastolic",
    "activity", "history_flag", "smoking", "hypertension", "heart_disease", "bmi", "cluster",
    "risk_score", "model_version", "dataset_hash", "validation_status", "created_at", "updated_at",
)  # fmt: skip
_PATIENT = (
    "id", "name", "age", "menopause_status", "years_menopause", "bmi", "bp_systolic",
    "bp_diastolic", "activity", "smoking", "hypertension", "heart_disease", "chol", "ldl", "hdl",
    "triglycerides", "created_at", "updated_at", "family_history", "phys_activity",
)  # fmt: skip

_DECISION = (
    "turn", "table_name", "row_id", "column_name", "rule", "kept_value", "lost_value",
)  # fmt: skip


def version_10(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Return what version 10 holds; subjects, if any are staged, do not count."""
    staged = "to_regclass('archive.patients_map') IS NOT NULL"
    is_staged = connection.execute(f"SELECT {staged}").fetchone() == (True,)
    subject = (
        "SELECT FROM archive.patients_map AS m WHERE m.target_id = t.id AND m.kind = 'subject'"
    )
    native = f"NOT EXISTS ({subject})"
    return _rows(
        connection,
        {
            "users": _query("public.users", _USERS_10, t="created_by")
            + (f" WHERE {native}" if is_staged else ""),
            "patients": _query("public.patients", _PATIENT, t="user_id"),
            "assessments": _query("public.assessments", (*_ASSESSMENT, "patient_id")),
            **_BESIDE,
        },
    )


def version_11(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Return what version 11 and its archive hold."""
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.users'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'created_by')"
        )
    ]
    own = ("is_self_reported", "source", "notes")
    natives = (
        "SELECT t.email FROM public.users AS t JOIN archive.patients_turns AS u"
        " ON t.id <@ u.{} WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns)"
    )
    return _rows(
        connection,
        {
            "users": _query("public.users", columns, t="created_by"),
            "patients": _query("archive.patients", _PATIENT, t="user_id"),
            "assessments": _query("public.assessments", (*_ASSESSMENT, *own), t="user_id"),
            "pairs": "SELECT ROW(t.source_id, t.kind, t.turn, u.email)::text"
            " FROM archive.patients_map AS t JOIN public.users AS u ON u.id = t.target_id",
            "natives": natives.format("natives"),
            "active": natives.format("active"),
            "counts": "SELECT (u.counts - 'renumbered')::text FROM archive.patients_turns AS u",
            "decisions": _query("archive.patients_decisions", _DECISION),
            "queue": _query("public.notification_queue", ("id", "subject", "status"), t="user_id"),
            **{
                name: f"SELECT t::text FROM archive.patients_{name} AS t"
                for name in (
                    "past",
                    "kept_users",
                    "kept_assessments",
                    "kept_refresh_tokens",
                    "kept_user_clinics",
                    "kept_notification_queue",
                    "written_users",
                    "written_patients",
                    "withheld_patients",
                    "withheld_assessments",
                )
            },
            **_BESIDE,
        },
    )


def former_pairs(connection: psycopg.Connection) -> list[str]:
    """Return the pairs that were made before the last turn, with their ids."""
    query = (
        "SELECT m::text FROM archive.patients_map AS m"
        " WHERE m.turn < (SELECT max(turn) FROM archive.patients_turns)"
    )
    return sorted(row[0] for row in connection.execute(query))


def renumbered_links(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return ids that a row of users had before, or that two people share: there must be none."""
    return connection.execute(
        "SELECT m.target_id FROM archive.patients_map AS m JOIN archive.patients_turns AS u"
        " ON m.target_id <@ u.natives"
    ).fetchall()


def _query(table: str, columns: Sequence[str], **person: str) -> str:
    values = [f"t.{name}" for name in columns]
    values += [PERSON.format(f"{alias}.{name}") for alias, name in person.items()]
    return f"SELECT ROW({', '.join(values)})::text FROM {table} AS t"


_BESIDE = {
    "refresh_tokens": _query("public.refresh_tokens", ("token_hash", "revoked"), t="user_id"),
    "user_clinics": _query("public.user_clinics", ("clinic_id", "role"), t="user_id"),
}


def _rows(connection: psycopg.Connection, queries: dict[str, str]) -> dict[str, list[str]]:
    return {
        name: sorted(row[0] for row in connection.execute(query.encode()))
        for name, query in queries.items()
    }
