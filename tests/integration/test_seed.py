"""`seed` on a real server: all or nothing, never over other people's rows, the same every time."""

import secrets
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.seed import SeedRequest, SeedResult, seed
from refactorkit.errors import (
    NOTHING_CHANGED,
    BusyError,
    FailedError,
    RefusedError,
    UsageError,
)
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.locks import LOCK_ID
from refactorkit.seed.rows import TABLES, TABLES_WITH_ID
from tests.support.chain import record
from tests.support.dump import pg_dump
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]

MOCK = {"users": 4, "patients": 10, "assessments": 23, "model_runs": 2, "audit_events": 5}
ORPHANS = """
SELECT (SELECT count(*) FROM patients AS p
        WHERE NOT EXISTS (SELECT FROM users AS u WHERE u.id = p.user_id))
    + (SELECT count(*) FROM assessments AS a WHERE patient_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM patients AS p WHERE p.id = a.patient_id))
    + (SELECT count(*) FROM users AS c WHERE created_by IS NOT NULL
        AND NOT EXISTS (SELECT FROM users AS u WHERE u.id = c.created_by))
    + (SELECT count(*) FROM refresh_tokens AS t
        WHERE NOT EXISTS (SELECT FROM users AS u WHERE u.id = t.user_id))
    + (SELECT count(*) FROM user_clinics AS m
        WHERE NOT EXISTS (SELECT FROM users AS u WHERE u.id = m.user_id)
            OR NOT EXISTS (SELECT FROM clinics AS c WHERE c.id = m.clinic_id))
"""


def run(url: str, **options: Any) -> SeedResult:
    given = {"patients": 200, "lock_wait_seconds": 0, **options}
    return seed(SeedRequest(dsn=Dsn.parse(url), **given))


def count(connection: psycopg.Connection, table: str) -> object:
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    return scalar(connection, query.as_string())


@pytest.mark.parametrize("awkward", [False, True])
def test_every_table_holds_what_the_result_says(
    awkward: bool, database_at_10: str, connect: Connect
) -> None:
    result = run(database_at_10, awkward=awkward, assessments_per_patient=3)
    connection = connect(database_at_10)
    assert set(result.rows) == set(TABLES)
    assert result.rows["patients"] == 200
    assert result.rows["assessments"] == 600
    for table, made in result.rows.items():
        assert count(connection, table) == made + MOCK.get(table, 0), table
        assert made > 0
    assert scalar(connection, ORPHANS) == 0


def test_an_orphan_would_be_found(database_at_10: str, connect: Connect) -> None:
    run(database_at_10)
    connection = connect(database_at_10)
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM users WHERE id = (SELECT min(user_id) FROM patients)")
    assert scalar(connection, ORPHANS) != 0


@pytest.mark.parametrize("awkward", [False, True])
def test_the_same_numbers_give_the_same_database(
    awkward: bool, make_database: MakeDatabase
) -> None:
    first, second, third = (make_database(10) for _ in range(3))
    run(first, awkward=awkward)
    run(second, awkward=awkward)
    run(third, awkward=awkward, seed=2)
    assert pg_dump(first) == pg_dump(second)
    assert pg_dump(first) != pg_dump(third)


@pytest.mark.parametrize("awkward", [False, True])
def test_every_sequence_is_past_every_id(
    awkward: bool, database_at_10: str, connect: Connect
) -> None:
    run(database_at_10, awkward=awkward)
    connection = connect(database_at_10)
    for table in TABLES_WITH_ID:
        highest = scalar(connection, f"SELECT max(id) FROM {table}")
        following = scalar(connection, "SELECT nextval(pg_get_serial_sequence(%s, 'id'))", table)
        assert isinstance(highest, int)
        assert isinstance(following, int)
        assert following > highest


def test_the_planner_knows_the_new_rows(database_at_10: str, connect: Connect) -> None:
    run(database_at_10)
    connection = connect(database_at_10)
    for table in TABLES:
        assert scalar(connection, "SELECT reltuples > 0 FROM pg_class WHERE relname = %s", table)


def test_awkward_values_arrive(database_at_10: str, connect: Connect) -> None:
    run(database_at_10, patients=5000, awkward=True)
    connection = connect(database_at_10)
    for condition in (
        "bmi = 'NaN'",
        "created_at = 'infinity'",
        "created_at < '0001-01-01 BC'",
        "created_at >= '10000-01-01'",
        "menopause_status = ''",
        "hypertension = 'yes'",
        "years_menopause = 60",
        "age = 2147483647",
        "name LIKE '%' || chr(10) || '%'",
        "name LIKE '%' || chr(769) || '%'",
        "name = '\\N'",
        "length(name) >= 1000000",
        "id < 0",
        "id > 2000000000",
        "id IN (SELECT id FROM users)",
        "NOT EXISTS (SELECT FROM assessments AS a WHERE a.patient_id = patients.id)",
    ):
        query = "SELECT EXISTS (SELECT FROM patients WHERE " + condition + ")"
        assert scalar(connection, query), condition
    assert scalar(connection, "SELECT EXISTS (SELECT FROM assessments WHERE patient_id IS NULL)")


def test_no_patients_is_a_size_too(database_at_10: str) -> None:
    result = run(database_at_10, patients=0, awkward=True)
    assert (result.rows["patients"], result.rows["assessments"], result.rows["users"]) == (0, 0, 5)


# Who may be seeded


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO users (email, password_hash) VALUES ('a@clinic.example', '!')",
        "INSERT INTO patients (name, user_id) SELECT 'x', min(id) FROM users",
        "INSERT INTO assessments (cluster) VALUES ('x')",
    ],
)
def test_other_peoples_rows_are_refused_unless_asked_for(
    statement: str, database_at_10: str, connect: Connect
) -> None:
    connect(database_at_10).execute(statement.encode())
    before = pg_dump(database_at_10)
    with pytest.raises(RefusedError, match="not the migrations' mock data") as refusal:
        run(database_at_10)
    assert refusal.value.state == NOTHING_CHANGED
    assert pg_dump(database_at_10) == before
    assert run(database_at_10, add=True).rows["patients"] == 200


def test_mock_rows_that_nothing_vouches_for_are_somebodys(
    database_at_10: str, connect: Connect
) -> None:
    connect(database_at_10).execute("DROP SCHEMA archive CASCADE")
    with pytest.raises(RefusedError):
        run(database_at_10)


@pytest.mark.parametrize("awkward", [False, True])
def test_a_second_helping_takes_other_ids(
    awkward: bool, database_at_10: str, connect: Connect
) -> None:
    run(database_at_10, awkward=awkward)
    with pytest.raises(RefusedError):
        run(database_at_10, awkward=awkward)
    run(database_at_10, awkward=awkward, add=True)
    run(database_at_10, awkward=awkward, add=True, seed=5)
    connection = connect(database_at_10)
    assert count(connection, "patients") == 610
    assert scalar(connection, ORPHANS) == 0


@pytest.mark.parametrize("version", [0, 1, 9])
def test_other_versions_are_refused(version: int, make_database: MakeDatabase) -> None:
    url = make_database(version)
    before = pg_dump(url)
    with pytest.raises(RefusedError, match=f"at version {version}") as refusal:
        run(url)
    assert "up --to 10" in refusal.value.hint
    assert pg_dump(url) == before


def test_a_later_version_is_refused(database_at_10: str, connect: Connect) -> None:
    record(connect(database_at_10), 11)
    with pytest.raises(RefusedError, match="at version 11"):
        run(database_at_10)


def test_ids_near_the_end_are_refused(database_at_10: str, connect: Connect) -> None:
    connect(database_at_10).execute("SELECT setval('patients_id_seq', 2147483000)")
    with pytest.raises(RefusedError, match="no room"):
        run(database_at_10)


@pytest.mark.parametrize(
    "numbers",
    [
        {"patients": -1},
        {"patients": 50_000_001},
        {"assessments_per_patient": -1},
        {"clinicians": 0},
    ],
)
def test_numbers_that_make_no_sense_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be between"):
        run("postgresql://localhost/none", **numbers)


# Nothing by halves


def test_a_failure_in_the_last_table_leaves_nothing_and_tells_no_value(
    database_at_10: str, connect: Connect
) -> None:
    connect(database_at_10).execute(
        "ALTER TABLE assessments ADD CONSTRAINT nobody CHECK (model_version LIKE 'mock%')"
    )
    before = pg_dump(database_at_10)
    with pytest.raises(FailedError) as failure:
        run(database_at_10)
    said = str(failure.value)
    assert "Filling public.assessments" in said
    assert "23514" in said
    assert "constraint nobody" in said
    assert failure.value.state == NOTHING_CHANGED
    assert "seed-1" not in said
    assert pg_dump(database_at_10) == before


def test_a_table_lock_of_somebody_else_is_waited_for_but_not_long(
    database_at_10: str, connect: Connect
) -> None:
    other = connect(database_at_10, autocommit=False)
    other.execute("LOCK TABLE clinics")
    with pytest.raises(BusyError) as busy:
        run(database_at_10)
    assert busy.value.state == NOTHING_CHANGED


def test_a_runner_at_work_is_not_disturbed(database_at_10: str, connect: Connect) -> None:
    connect(database_at_10).execute("SELECT pg_advisory_lock(%s)", [LOCK_ID])
    with pytest.raises(BusyError):
        run(database_at_10)


def test_a_plain_owner_seeds_the_same_rows(make_database: MakeDatabase, connect: Connect) -> None:
    first, second = make_database(10), make_database(10)
    connection = connect(second)
    name = f"owner_{connection.info.dbname}"
    role = sql.Identifier(name)
    password = secrets.token_hex()
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
    try:
        for table in TABLES:
            connection.execute(
                sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), role)
            )
        connection.execute(sql.SQL("GRANT SELECT ON goose_db_version TO {}").format(role))
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA archive TO {}").format(role))
        connection.execute(sql.SQL("GRANT SELECT ON archive.mock_data_0006 TO {}").format(role))
        run(first, awkward=True)
        run(psycopg.conninfo.make_conninfo(second, user=name, password=password), awkward=True)
        assert rows_of(connect(first)) == rows_of(connection)
    finally:
        for table in TABLES:
            connection.execute(
                sql.SQL("ALTER TABLE {} OWNER TO CURRENT_USER").format(sql.Identifier(table))
            )
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def rows_of(connection: psycopg.Connection) -> list[object]:
    return [
        scalar(
            connection,
            f"SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {table} AS t",
        )
        for table in TABLES
    ]


# Logins


def test_nobody_can_log_in_unless_asked_for(database_at_10: str, connect: Connect) -> None:
    assert run(database_at_10).logins == ()
    hashes = connect(database_at_10).execute("SELECT DISTINCT password_hash FROM users")
    assert hashes.fetchall() == [("!",)]


def test_demo_logins_are_the_only_ones_and_their_hashes_are_in_the_database(
    database_at_10: str, connect: Connect
) -> None:
    result = run(database_at_10, demo_logins=True, awkward=True)
    found = connect(database_at_10).execute(
        "SELECT role, email, is_active, password_hash FROM users WHERE password_hash <> '!'"
        " ORDER BY id"
    )
    rows = found.fetchall()
    assert [(login.role, login.email, True) for login in result.logins] == [r[:3] for r in rows]
    assert all(row[3].startswith("$scrypt$") for row in rows)
    assert len({login.password for login in result.logins}) == 3


def test_other_rows_do_not_depend_on_logins(make_database: MakeDatabase, connect: Connect) -> None:
    found = []
    for logins in (False, True):
        url = make_database(10)
        run(url, demo_logins=logins)
        connection = connect(url)
        connection.execute("UPDATE users SET password_hash = '', is_active = TRUE")
        found.append(rows_of(connection))
    assert found[0] == found[1]
