"""What the application of version 10 may do while version 11 is being made under its hands.

Rows are named by their place among their kind, and people by their address, so that the same
writes can be made in two databases whose ids differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from hypothesis import strategies as st
from psycopg import sql

from tests.property.strategies import (
    ASSESSMENT,
    PATIENT,
    TIMES,
    USER,
    patient_rows,
    some_of,
    user_rows,
)
from tests.support.model.columns import Row

_NATIVES = "email NOT LIKE 'patient-%%@unclaimed.invalid'"
_NTH_PATIENT = (
    "(SELECT p.id FROM public.patients AS p ORDER BY p.id"
    " OFFSET {} %% greatest(1, (SELECT count(*) FROM public.patients)) LIMIT 1)"
)
_NTH_NATIVE = (
    f'(SELECT p.id FROM public.users AS p WHERE {_NATIVES} ORDER BY p.email COLLATE "C"'
    " OFFSET {} %% greatest(1, (SELECT count(*) FROM public.users WHERE " + _NATIVES + ")) LIMIT 1)"
)


@dataclass(frozen=True)
class Write:
    """One transaction of version 10."""

    text: str
    values: tuple[Any, ...] = ()

    def run(self, connection: psycopg.Connection) -> str:
        """Make it; return the SQLSTATE that it met, '' for none."""
        try:
            with connection.transaction():
                connection.execute(self.text.encode(), self.values)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        return ""


def set_to(row: Row) -> str:
    return ", ".join(f"{name} = {_literal(value)}" for name, value in row.items())


def _literal(value: object) -> str:
    return sql.Literal(value).as_string(None).replace("%", "%%")


def insert(table: str, row: Row, **expressions: str) -> str:
    columns = [*row, *expressions]
    values = [*map(_literal, row.values()), *expressions.values()]
    return f"INSERT INTO public.{table} ({', '.join(columns)}) VALUES ({', '.join(values)})"


@dataclass(frozen=True)
class Chosen:
    """What a write is about: a patient, a native, and a number to tell its rows by."""

    draw: st.DrawFn
    patient: str
    native: str
    number: int

    def row(self, rows: st.SearchStrategy[Row]) -> Row:
        """Draw a row."""
        return self.draw(rows)


def _new_patient(c: Chosen) -> str:
    return insert("patients", c.row(patient_rows), user_id=c.native)


def _new_patient_of_an_id(c: Chosen) -> str:
    key = c.draw(st.sampled_from([3, 8, 41, 55, 2000]))
    return insert("patients", c.row(patient_rows), id=str(key), user_id=c.native)


def _edit_patient(c: Chosen) -> str:
    return f"UPDATE public.patients SET {set_to(c.row(some_of(PATIENT)))} WHERE id = {c.patient}"


def _sign_up(c: Chosen) -> str:
    number = f"(SELECT count(*) FROM public.users WHERE {_NATIVES})"
    email = f"'new' || {number} || '{c.number}'"
    return insert("users", c.row(user_rows), email=email, created_by=c.native)


def _edit_user(c: Chosen) -> str:
    return f"UPDATE public.users SET {set_to(c.row(some_of(USER)))} WHERE id = {c.native}"


def _new_assessment(c: Chosen) -> str:
    row = {"created_at": TIMES[0], "updated_at": TIMES[0]} | c.row(some_of(ASSESSMENT))
    return insert("assessments", row, patient_id=c.patient)


def _log_in(c: Chosen) -> str:
    token = f"'t' || (SELECT count(*) FROM public.refresh_tokens) || '{c.number}'"
    row: Row = {"expires_at": TIMES[0], "created_at": TIMES[0]}
    return insert("refresh_tokens", row, user_id=c.native, token_hash=token)


def _plain(text: str) -> Callable[[Chosen], str]:
    return lambda c: text.format(patient=c.patient, native=c.native, parity=c.number % 2)


KINDS: Sequence[Callable[[Chosen], str]] = (
    _new_patient,
    _new_patient,
    _new_patient_of_an_id,
    _edit_patient,
    _edit_patient,
    _edit_patient,
    _edit_patient,
    _edit_patient,
    _sign_up,
    _edit_user,
    _edit_user,
    _new_assessment,
    _log_in,
    _plain("UPDATE public.patients SET id = id + 3000 WHERE id = {patient}"),
    _plain("DELETE FROM public.patients WHERE id = {patient}"),
    _plain("DELETE FROM public.patients WHERE id = {patient}"),
    _plain("UPDATE public.patients SET user_id = {native} WHERE id = {patient}"),
    _plain("UPDATE public.users SET email = email || 'x' WHERE id = {native}"),
    _plain("DELETE FROM public.users WHERE id = {native}"),
    # What is meant for all users is not meant for subjects: version 10 does not know them.
    _plain("UPDATE public.users SET is_active = true, password_hash = 'known'"),
    _plain("UPDATE public.users SET role = 'admin' WHERE role IN ('member', 'clinician')"),
    _plain("DELETE FROM public.users WHERE role = 'member' OR NOT is_active"),
    _plain("UPDATE public.assessments SET patient_id = {patient} WHERE id %% 2 = {parity}"),
    _plain("DELETE FROM public.assessments WHERE patient_id = {patient}"),
    _plain("TRUNCATE public.patients CASCADE"),
    _plain("TRUNCATE public.users CASCADE"),
)


@st.composite
def writes(draw: st.DrawFn) -> Write:
    """Return a write."""
    n, other = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    chosen = Chosen(
        draw=draw, patient=_NTH_PATIENT.format(n), native=_NTH_NATIVE.format(other), number=n
    )
    return Write(draw(st.sampled_from(KINDS))(chosen))
