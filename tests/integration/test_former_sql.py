"""What an application of version 10 may say beside version 11: what works, and what does not."""

import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.former import application, seen, switch
from tests.support.queries import scalar
from tests.support.refactor import turn
from tests.support.roles import fresh_role, with_user

MakeDatabase = Callable[[int], str]


@pytest.fixture
def clinic(make_database: MakeDatabase) -> str:
    """A database with version 10 beside version 11."""
    url = make_database(10)
    open_clinic(url)
    switch(url)
    return url


def test_rows_can_be_locked_copied_and_returned(clinic: str) -> None:
    with application(clinic) as one, application(clinic) as other:
        other.execute("SET lock_timeout = '50ms'")
        with one.transaction():
            one.execute("SELECT FROM patients WHERE id = 60 FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE patients SET age = 1 WHERE id = 60")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE public.users SET bmi = 1 WHERE first_name = 'Collides'")
        with one.transaction():
            one.execute("SELECT FROM users WHERE id = 60 FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE users SET role = 'x' WHERE id = 60")
        with one.transaction():
            one.execute("SELECT FROM assessments WHERE patient_id = 60 FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE assessments SET fbs = 1 WHERE patient_id = 60")
        with one.cursor().copy("COPY patients (name, user_id) FROM STDIN") as copy:
            copy.write("By Copy\t60\nAnother\t61\n")
        rows = one.execute(
            "SELECT name, user_id FROM patients WHERE id > 1501 ORDER BY 1"
        ).fetchall()
        assert rows == [("Another", 61), ("By Copy", 60)]
        changed = one.execute(
            "UPDATE patients SET name = 'Yet ' || name WHERE id > 1501 RETURNING name, age"
        ).fetchall()
        assert sorted(changed) == [("Yet Another", None), ("Yet By Copy", None)]
        # The same row twice in one statement: once, as with a table.
        twice = "UPDATE patients SET chol = n FROM generate_series(4, 5) AS n WHERE id = 60"
        assert one.execute(twice.encode()).rowcount == 1
        assert one.execute("SELECT chol FROM patients WHERE id = 60").fetchone() == (4,)


REFUSED = {
    "INSERT INTO users (email, password_hash) VALUES ('sixty@clinic.invalid', 'b')"
    " ON CONFLICT DO NOTHING": "23505",
    "INSERT INTO users (email, password_hash) VALUES ('new@clinic.invalid', 'b')"
    " ON CONFLICT (email) DO NOTHING": "42P10",
    "INSERT INTO patients (id, name, user_id) VALUES (60, 'x', 60)"
    " ON CONFLICT (id) DO UPDATE SET name = 'x'": "42P10",
    "SELECT p.name FROM patients AS p GROUP BY p.id": "42803",
    "SELECT id FROM assessments FOR UPDATE": "0A000",
    "TRUNCATE assessments": "42809",
    "SELECT nextval('patients_id_seq')": "42P01",
    "SELECT ctid FROM patients": "42703",
    "UPDATE patients SET id = 99999 WHERE id = 60": "0A000",
    "UPDATE users SET id = 99999 WHERE id = 60": "0A000",
    "ALTER TABLE patients ADD COLUMN more text": "42809",
    "CREATE INDEX ON patients (name)": "42809",
    "ALTER TABLE assessments ADD FOREIGN KEY (patient_id) REFERENCES patients": "42809",
    "INSERT INTO patients (name, user_id) VALUES ('x', 987654)": "23503",
    "INSERT INTO patients (name) VALUES ('nobody''s')": "23502",
    "INSERT INTO patients (id, name, user_id) VALUES (60, 'x', 60)": "23505",
    "INSERT INTO assessments (patient_id) VALUES (987654)": "23503",
    "UPDATE assessments SET patient_id = 987654 WHERE patient_id = 60": "23503",
    "INSERT INTO users (email, password_hash) VALUES ('sixty@clinic.invalid', 'h')": "23505",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_does_not_work_says_so_and_changes_nothing(clinic_once: str, statement: str) -> None:
    with application(clinic_once) as ten:
        before = seen(ten)
        with pytest.raises(psycopg.Error) as caught:
            ten.execute(statement.encode())
        assert caught.value.sqlstate == REFUSED[statement], caught.value
        assert seen(ten) == before


@pytest.fixture(scope="module")
def clinic_once(databases: Databases) -> str:
    url = databases.create(10)
    open_clinic(url)
    switch(url)
    return url


def test_nobody_reads_or_writes_more_than_in_version_10(make_database: MakeDatabase) -> None:
    url = make_database(10)
    open_clinic(url)
    with fresh_role(url) as name, fresh_role(url) as outsider, psycopg.connect(url) as admin:
        role = sql.Identifier(name)
        for statement in (
            "GRANT SELECT (id, name), UPDATE (name) ON patients TO {}",
            "GRANT SELECT ON assessments TO {}",
            "GRANT UPDATE (patient_id) ON assessments TO {}",
            "GRANT SELECT (id, email) ON users TO {} WITH GRANT OPTION",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC",
        ):
            admin.execute(sql.SQL(statement).format(role))
        admin.commit()
        switch(url)
        rights = {
            (name, "patients", "SELECT", False), (name, "patients.id", "SELECT", True),
            (name, "patients.name", "UPDATE", True), (name, "patients.age", "UPDATE", False),
            (name, "patients", "DELETE", False), (name, "assessments", "SELECT", True),
            (name, "assessments.patient_id", "UPDATE", True),
            (name, "assessments.fbs", "UPDATE", False), (name, "users.email", "SELECT", True),
            (name, "users.password_hash", "SELECT", False),
            (outsider, "patients.name", "SELECT", False), (outsider, "users.id", "SELECT", False),
            (outsider, "assessments.id", "SELECT", False),
        }  # fmt: skip
        for who, what, right, allowed in rights:
            table, _, column = what.partition(".")
            query, arguments = "has_table_privilege(%s, %s, %s)", [who, f"v10.{table}", right]
            if column:
                query, arguments = "has_column_privilege(%s, %s, %s, %s)", [
                    who, f"v10.{table}", column, right,
                ]  # fmt: skip
            assert admin.execute(f"SELECT {query}".encode(), arguments).fetchone() == (allowed,), (
                what
            )
        assert scalar(admin, "SELECT has_schema_privilege(%s, 'v10', 'CREATE')", name) is False
        assert (
            scalar(
                admin,
                "SELECT count(*) FROM pg_proc AS p WHERE pronamespace = 'v10'::regnamespace"
                " AND (NOT prosecdef OR has_function_privilege(%s, p.oid, 'EXECUTE'))",
                outsider,
            )
            == 0
        )
        with application(with_user(url, name)) as ten:
            ten.execute("UPDATE patients SET name = 'Mine' WHERE id = 60")
            ten.execute("UPDATE assessments SET patient_id = 1501 WHERE patient_id = 60")
            for forbidden in (
                "SELECT age FROM patients",
                "SELECT id FROM archive.patients",
                "DELETE FROM assessments",
                "UPDATE users SET email = 'x'",
                "SELECT password_hash FROM users",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    ten.execute(forbidden.encode())
            # A subject's values are never handed to somebody else's expression.
            ten.execute("SELECT id FROM users WHERE 1 / (email NOT LIKE 'patient-%')::int = 1")


def test_a_write_that_was_overtaken_is_refused_and_not_lost(clinic: str) -> None:
    with application(clinic) as one, application(clinic) as other:
        one.execute("UPDATE patients SET chol = 100 WHERE id = 60")
        failed: list[str | None] = []

        def add() -> None:
            try:
                other.execute("UPDATE patients SET chol = chol + 1 WHERE id = 60")
            except psycopg.Error as error:
                failed.append(error.sqlstate)

        with one.transaction():
            one.execute("UPDATE patients SET chol = chol + 1 WHERE id = 60")
            thread = threading.Thread(target=add)
            thread.start()
            time.sleep(0.3)
        thread.join()
        assert failed == ["40001"]
        assert one.execute("SELECT chol FROM patients WHERE id = 60").fetchone() == (101,)
        # Another column of the same row is nobody's loss.
        with one.transaction():
            one.execute("UPDATE patients SET chol = chol + 1 WHERE id = 60")
            thread = threading.Thread(
                target=other.execute, args=("UPDATE patients SET ldl = 7 WHERE id = 60",)
            )
            thread.start()
            time.sleep(0.2)
        thread.join()
        assert one.execute("SELECT chol, ldl FROM patients WHERE id = 60").fetchone() == (102, 7)


def test_a_new_patient_is_as_up_would_make_one_and_a_new_user_a_native(clinic: str) -> None:
    with application(clinic) as ten, psycopg.connect(clinic, autocommit=True) as eleven:
        row = ten.execute(
            "INSERT INTO patients (name, smoking, user_id) VALUES ('Two Words', 'daily', 60)"
            " RETURNING id"
        ).fetchone()
        assert row is not None
        subject = eleven.execute(
            "SELECT first_name, last_name, smoking_status, email, is_active, role,"
            " consent_analytics FROM public.users WHERE id = %s",
            row,
        ).fetchone()
        email = f"patient-{row[0]}@unclaimed.invalid"
        assert subject == ("Two", "Words", None, email, False, "member", False)
        made = ten.execute(
            "INSERT INTO users (email, password_hash, role) VALUES ('chief@x', 'h', 'admin')"
            " RETURNING id, is_active"
        ).fetchone()
        assert made is not None
        assert made[1] is True
        assert ten.execute(
            "INSERT INTO users (email, password_hash) VALUES ('c@x', 'h') RETURNING role"
        ).fetchone() == ("clinician",)
        flags = (
            "SELECT is_admin, consent_analytics, consent_updated_at FROM public.users WHERE id = %s"
        )
        assert eleven.execute(flags.encode(), made[:1]).fetchone() == (True, False, None)
        new = eleven.execute(
            "INSERT INTO public.users (email, password_hash) VALUES ('m@x', 'h') RETURNING id"
        ).fetchone()
        assert ten.execute("SELECT is_active FROM users WHERE id = %s", new).fetchone() == (False,)
        turn(eleven, "down")
        rows = eleven.execute("SELECT email, role, is_active FROM users WHERE email LIKE '%@x'")
        assert sorted(rows.fetchall()) == [
            ("c@x", "clinician", True), ("chief@x", "admin", True), ("m@x", "member", False),
        ]  # fmt: skip
        assert eleven.execute(
            "SELECT name, smoking FROM patients WHERE id = %s", row
        ).fetchone() == ("Two Words", "daily")


def test_a_claimed_account_that_version_10_deletes_is_on_record(clinic: str) -> None:
    with application(clinic) as ten, psycopg.connect(clinic, autocommit=True) as eleven:
        eleven.execute(
            "UPDATE public.users SET email = 'me@home.invalid', password_hash = 'claimed'"
            " WHERE email = 'patient-1500@unclaimed.invalid'"
        )
        assert ten.execute("DELETE FROM patients WHERE id = 1500").rowcount == 1
        assert ten.execute("DELETE FROM patients WHERE id = 1501").rowcount == 1
        lost = eleven.execute(
            "SELECT row_id, lost_value FROM archive.patients_decisions"
            " WHERE rule = 'deleted in version 10'"
        ).fetchall()
        assert [row_id for row_id, _ in lost] == ["1500"]
        assert "me@home.invalid" in lost[0][1]
        assert "claimed" not in lost[0][1]
