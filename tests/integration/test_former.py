"""Version 10 beside version 11: its application goes on, and Down finds what it wrote."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.former import application, seen, switch
from tests.support.refactor import turn

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def clinic(make_database: MakeDatabase) -> str:
    """A database at version 10 in which ids collide and values have no image."""
    url = make_database(10)
    open_clinic(url)
    return url


# What version 10 does, on ids that are the same whether anybody switched or not.
WORK = (
    "UPDATE patients SET name = 'Anna  Maria ', age = 51, updated_at = '2024-01-01Z' WHERE id = 60",
    "UPDATE patients SET hypertension = 'yes', menopause_status = 'unknown', years_menopause = 77,"
    " bmi = 31.10 WHERE id = 1501",
    "UPDATE patients SET hypertension = 'no', family_history = false WHERE id = -7",
    "UPDATE patients SET user_id = 61 WHERE id = 1500",
    "DELETE FROM patients WHERE id = 3",
    "DELETE FROM users WHERE email = 'leaves@clinic.invalid'",
    "UPDATE users SET role = 'admin', is_active = false WHERE id = 60",
    "UPDATE users SET role = 'researcher' WHERE id = 61",
    "UPDATE assessments SET fbs = 7.70, patient_id = 1501 WHERE patient_id = -7",
    "UPDATE assessments SET patient_id = NULL WHERE patient_id = 60 AND id % 2 = 0",
    "DELETE FROM assessments WHERE patient_id = 60",
    "UPDATE assessments AS a SET bmi = p.bmi FROM patients AS p WHERE p.id = a.patient_id",
    "INSERT INTO assessments (id, patient_id, fbs, created_at, updated_at)"
    " VALUES (9000, 1501, 5.10, '2024-01-01Z', '2024-01-01Z')",
    "INSERT INTO patients (id, name, user_id, created_at, updated_at, smoking)"
    " VALUES (70000, 'Named by Id', 60, '2024-01-01Z', '2024-01-01Z', 'now and then')",
    "INSERT INTO users (id, email, password_hash, created_by, created_at, updated_at)"
    " VALUES (71000, 'new@clinic.invalid', 'h', 60, '2024-01-01Z', '2024-01-01Z')",
    "INSERT INTO patients (id, name, user_id, created_at, updated_at)"
    " SELECT 71001, name, 71000, created_at, '2024-01-01Z' FROM patients WHERE id = 60",
)


def test_what_version_10_sees_is_what_it_saw(clinic: str) -> None:
    with application(clinic) as before:
        was = seen(before)
    assert switch(clinic).checked.verdict is Verdict.PASS
    with application(clinic) as after:
        assert seen(after) == was


def test_its_writes_are_those_of_a_version_10_that_nobody_switched(
    make_database: MakeDatabase, clinic: str
) -> None:
    untouched = make_database(10)
    open_clinic(untouched)
    switch(clinic)
    with application(untouched) as one, application(clinic) as other:
        for statement in WORK:
            counts = [c.execute(statement.encode()).rowcount for c in (one, other)]
            assert counts[0] == counts[1] != -1, statement
            assert seen(other) == seen(one), statement
    with psycopg.connect(clinic) as connection:
        turn(connection, "down")
    with application(untouched) as one, application(clinic) as other:
        assert seen(other) == seen(one)
    assert pg_dump(clinic, schema_only=True) == pg_dump(untouched, schema_only=True)


QUERIES = Path(__file__).parents[1] / "conformance" / "queries" / "v10.sql"


def _query_set() -> list[tuple[str, str]]:
    """Each query of the set by name, with parameters as the driver writes them."""
    found = []
    for part in QUERIES.read_text().split("-- name: ")[1:]:
        head, _, text = part.partition("\n")
        named = re.sub(r"sqlc\.narg\((\w+)\)", r"%(\1)s", text.strip())
        named = re.sub(r"@(\w+)", r"%(\1)s", named)
        found.append((head.split()[0], re.sub(r"\$(\d+)", r"%(p\1)s", named)))
    return found


ARGUMENTS: dict[str, dict[str, object]] = {
    "GetUserByEmail": {"p1": "sixty@clinic.invalid"},
    "CreateUser": {"p1": "x@y.invalid", "p2": "h", "p3": "clinician", "created_by": 60},
    "RecordLogin": {"p1": 60},
    "ListUsersByRole": {"p1": "clinician", "p2": 10, "p3": 0},
    "SetUserActive": {"p1": 61, "p2": False},
    "CreatePatient": {f"p{n}": None for n in range(1, 18)} | {"p1": "New Comer", "p18": 60},
    "GetPatientOfOwner": {"p1": 60, "p2": 60},
    "ListPatientsOfOwner": {"p1": 60, "p2": 10},
    "UpdatePatient": {"name": "Other", "bmi": None, "smoking": None, "id": 60, "owner_id": 60},
    "DeletePatient": {"p1": 1501, "p2": 60},
    "CreateAssessment": {f"p{n}": None for n in range(2, 21)} | {"p1": 60},
    "LatestAssessments": {"p1": 60},
    "ClusterCounts": {"p1": 60},
    "RevokeRefreshToken": {"p1": "token of sixty"},
    "ClinicsOfUser": {"p1": 60},
    "AuditTrail": {"actor": None, "since": "2000-01-01Z", "page_size": 5},
}  # fmt: skip


# A key stands for its row in GROUP BY where the server knows it to be a table's primary key.
FOR_TABLES_ALONE = {
    "ListPatientsOfOwner": (
        "GROUP BY p.id",
        "GROUP BY p.id, p.name, p.age, p.menopause_status, p.created_at",
    ),
}


def _unless_new(value: object) -> object:
    """An id, or a time, that was made in the test differs between two databases."""
    is_id = isinstance(value, int) and value > 1001
    is_time = isinstance(value, dt.datetime) and value.year >= 2025
    return "new" if is_id or is_time else value


def test_the_query_set_runs_unchanged_and_answers_the_same(
    make_database: MakeDatabase, clinic: str
) -> None:
    """Prepared before the switch, run before and after it."""
    untouched = make_database(10)
    open_clinic(untouched)
    with application(untouched) as one, application(clinic) as other:
        for connection in (one, other):  # each is prepared while version 10 is alone
            for name, query in _query_set():
                with connection.transaction(force_rollback=True):
                    connection.execute(query.encode(), ARGUMENTS[name], prepare=True)
        switch(clinic)
        for name, query in _query_set():
            if name in FOR_TABLES_ALONE:
                with pytest.raises(psycopg.errors.GroupingError):
                    other.execute(query.encode(), ARGUMENTS[name], prepare=True)
                query = query.replace(*FOR_TABLES_ALONE[name])  # noqa: PLW2901 - as docs/v10.md says
            answers = []
            for connection in (one, other):
                cursor = connection.execute(query.encode(), ARGUMENTS[name], prepare=True)
                columns = [] if cursor.description is None else list(cursor.description)
                rows = cursor.fetchall() if columns else []
                answers.append((
                    cursor.rowcount,
                    [(c.name, c.type_code) for c in columns],
                    [[_unless_new(value) for value in row] for row in rows],
                ))  # fmt: skip
            assert answers[0] == answers[1], name


def test_what_version_11_edits_is_seen_as_down_would_give_it(clinic: str) -> None:
    switch(clinic)
    work_as_version_11(clinic)
    with application(clinic) as ten:
        now = seen(ten)
    with psycopg.connect(clinic) as connection:
        turn(connection, "down")
    with application(clinic) as ten:
        then = seen(ten)
    # One who became a native in version 11 and has a profile is a patient from Down on, not before.
    natives = {row for row in then["patients"] if row.startswith("(30000,")}
    assert len(natives) == 1
    assert set(now["patients"]) == set(then["patients"]) - natives
    assert now["users"] == then["users"]
    own = {row for row in then["assessments"] if row.split(",")[1] == "30000"}
    assert len(own) == 1
    assert set(now["assessments"]) == set(then["assessments"]) - own


def test_down_leaves_nothing_of_it_and_neither_does_drop(
    make_database: MakeDatabase, clinic: str
) -> None:
    before = pg_dump(clinic)
    switch(clinic)
    with psycopg.connect(clinic) as connection:
        turn(connection, "down")
    assert _without_history(pg_dump(clinic)) == _without_history(before)

    plain = make_database(10)
    open_clinic(plain)
    run("cutover", "--yes", url=plain)
    other = make_database(10)
    open_clinic(other)
    assert run("cutover", "--yes", "--keep-v10", url=other).code == 0
    assert run("cutover", "--drop-v10", "--json", url=other).document == {
        "schema": "v10", "dropped": True, "writes": [],
    }  # fmt: skip
    assert run("cutover", "--drop-v10", "--json", url=other).document["dropped"] is False
    left = "public.goose_db_version", "archive.patients_turns"
    dumps = [pg_dump(u, exclude_schemas=(), exclude_tables=left, schema_only=True)
             for u in (plain, other)]  # fmt: skip
    assert dumps[1] == dumps[0]


def _without_history(dump: str) -> str:
    lines = dump.split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("COPY public.goose_db"))
    return "\n".join(lines[:start] + lines[lines.index("\\.", start) :])
