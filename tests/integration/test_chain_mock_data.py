"""0006: mock data comes once, and goes without a row that anyone else wrote."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.queries import scalar
from tests.support.scripts import down, up

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]
MOCK_TABLES = ("users", "patients", "assessments", "model_runs", "audit_events")


def counts(connection: psycopg.Connection) -> tuple[int, ...]:
    return tuple(
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[index]
        for table in MOCK_TABLES
    )


def test_the_mock_data_is_as_promised(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(6))
    assert counts(connection) == (4, 10, 23, 2, 5)
    assert scalar(
        connection,
        "SELECT bool_and(n BETWEEN 1 AND 4) FROM (SELECT count(a.id) AS n FROM patients AS p"
        " LEFT JOIN assessments AS a ON a.patient_id = p.id GROUP BY p.id) AS counted",
    )
    assert scalar(
        connection,
        "SELECT bool_and(cluster = CASE WHEN risk_score < 34 THEN 'low_risk'"
        " WHEN risk_score < 67 THEN 'moderate_risk' ELSE 'high_risk' END)"
        " AND count(DISTINCT cluster) = 3 FROM assessments",
    )
    roles = connection.execute("SELECT role FROM users ORDER BY role").fetchall()
    assert roles == [("admin",), ("clinician",), ("clinician",), ("researcher",)]
    assert connection.execute("SELECT DISTINCT password_hash FROM users").fetchall() == [("!",)]
    assert scalar(connection, "SELECT bool_and(target_id IS NOT NULL) FROM audit_events")


def test_mock_rows_take_no_id_that_is_in_use(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(5))
    connection.execute(
        "INSERT INTO users (id, email, password_hash) VALUES (1, 'a', ''), (3, 'b', '')"
    )
    connection.execute("INSERT INTO patients (id, name, user_id) VALUES (1, 'p', 1), (900, 'q', 3)")
    connection.execute("INSERT INTO assessments (id, patient_id) VALUES (1, 1), (20, 900)")
    up(connection, 6)
    assert counts(connection) == (6, 12, 25, 2, 5)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE assessments SET fbs = fbs + 1 WHERE id = (SELECT min(id) FROM assessments)",
        "INSERT INTO assessments (patient_id) SELECT min(id) FROM patients",
    ],
)
def test_what_someone_did_to_a_mock_patient_keeps_her_and_her_owner(
    edit: str, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    connection.execute(edit.encode())
    notices = down(connection, 6)
    assert counts(connection) == (1, 1, 1, 0, 0)
    assert any("stays" in notice for notice in notices)


def test_an_edited_mock_row_is_its_editors(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(6))
    connection.execute("UPDATE users SET email = 'real@clinic.example' WHERE role = 'researcher'")
    connection.execute("UPDATE model_runs SET notes = NULL WHERE model_version = 'mock-1'")
    connection.execute(
        "UPDATE audit_events SET details = details || '{\"seen\": 1}' WHERE action = 'user.create'"
    )
    down(connection, 6)
    assert counts(connection) == (1, 0, 0, 1, 2)


def test_a_mock_row_that_only_got_another_time_stamp_is_not_edited(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    connection.execute("UPDATE patients SET updated_at = 'infinity'")
    down(connection, 6)
    assert counts(connection) == (0, 0, 0, 0, 0)


def test_rows_of_others_that_look_like_mock_rows_stay(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(6)
    connection = connect(url)
    connection.execute(
        "INSERT INTO users (email, password_hash) VALUES ('other@mock.invalid', '!')"
    )
    connection.execute(
        "INSERT INTO patients (name, user_id) SELECT 'Mock Patient 01', max(id) FROM users"
    )
    connection.execute(
        "INSERT INTO assessments (patient_id, cluster, risk_score, model_version, dataset_hash)"
        " SELECT max(id), 'low_risk', 18, 'mock-1', 'mock' FROM patients"
    )
    connection.execute(
        "INSERT INTO model_runs (model_version, dataset_hash) VALUES ('mock-1', 'mock')"
    )
    connection.execute("INSERT INTO audit_events (actor) VALUES ('admin@mock.invalid')")
    down(connection, 6)
    assert counts(connection) == (1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    "table",
    [
        "notes (patient_id integer REFERENCES patients (id) ON DELETE CASCADE)",
        "notes (patient_id integer REFERENCES patients (id) ON DELETE SET NULL)",
        "notes (patient_id integer REFERENCES patients (id))",
        # a key of two columns that is not the primary key
        """notes (patient_id integer, owner integer DEFAULT 1,
        FOREIGN KEY (patient_id, owner) REFERENCES patients (id, user_id) ON DELETE CASCADE)""",
        """notes (patient_id integer REFERENCES patients (id) ON DELETE CASCADE)
        PARTITION BY HASH (patient_id)""",
    ],
)
def test_tables_that_nobody_foresaw_lose_no_row_to_a_cascade(
    table: str, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    connection.execute("ALTER TABLE patients ADD UNIQUE (id, user_id)")
    connection.execute("CREATE SCHEMA other")
    connection.execute(b"CREATE TABLE other." + table.encode())
    if "PARTITION" in table:
        connection.execute(
            "CREATE TABLE other.part PARTITION OF other.notes"
            " FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
        )
    connection.execute("INSERT INTO other.notes (patient_id) VALUES (2)")
    down(connection, 6)
    assert connection.execute("SELECT patient_id FROM other.notes").fetchall() == [(2,)]
    assert connection.execute("SELECT id FROM patients").fetchall() == [(2,)]
    assert counts(connection) == (1, 1, 0, 0, 0)


def test_a_users_own_rows_keep_a_mock_user(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(6))
    connection.execute(
        "INSERT INTO refresh_tokens (user_id, token_hash, expires_at)"
        " SELECT id, 't', now() FROM users WHERE role = 'admin'"
    )
    down(connection, 6)
    assert counts(connection) == (1, 0, 0, 0, 0)
    assert scalar(connection, "SELECT count(*) FROM refresh_tokens") == 1


def test_mock_rows_that_stayed_are_not_inserted_twice_and_stay_the_next_time(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    connection.execute("INSERT INTO assessments (patient_id) SELECT min(id) FROM patients")
    down(connection, 6)
    left = counts(connection)
    up(connection, 6)
    assert scalar(connection, "SELECT count(*) FROM patients WHERE name = 'Mock Patient 01'") == 1
    down(connection, 6)
    assert counts(connection) == left == (1, 1, 1, 0, 0)


def test_mock_rows_of_another_tools_file_are_left_alone(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    connection.execute("DROP SCHEMA archive CASCADE")
    notices = down(connection, 6)
    assert counts(connection) == (4, 10, 23, 2, 5)
    assert [notice for notice in notices if "none was deleted" in notice]
