"""sql/0001 … 0010: the catalog of every version, and Downs that leave no trace but the archive."""

from collections.abc import Callable

import psycopg
import pytest

from tests.integration.schema_facts import LATEST, tables_at
from tests.support.catalog import read_sequences, read_tables
from tests.support.dump import pg_dump
from tests.support.scripts import down, up

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]
VERSIONS = range(1, LATEST + 1)


def whole(url: str) -> str:
    """Everything but goose's own table and the archive, where Down puts what it takes away."""
    return pg_dump(url, exclude_tables=("goose_db_version*",))


def fill(connection: psycopg.Connection, version: int) -> None:
    """Put rows with odd values into every table that a version has."""
    connection.execute(
        "INSERT INTO users (id, email, password_hash, role, updated_at) VALUES"
        " (900, 'ann@clinic.example', 'x', 'clinician', '-infinity'),"
        " (700, 'Ben@clinic.example', '', 'admin', 'infinity')"
    )
    owner = (", user_id", ", 900") if version >= 5 else ("", "")
    connection.execute(
        f"INSERT INTO patients (id, name, bmi, smoking, created_at{owner[0]}) VALUES"
        f" (1000, ' e\u0301 ''x'' ', 'NaN', 'sometimes', '0044-03-15 00:00+00 BC'{owner[1]}),"
        f" (-7, '', 1.10, NULL, 'infinity'{owner[1]})"
    )
    connection.execute(
        "INSERT INTO assessments (id, patient_id, cluster, risk_score, hba1c) VALUES"
        " (2000, 1000, 'Low risk', 90, 5.50), (2001, -7, NULL, NULL, NULL),"
        " (2002, NULL, 'high_risk', 66, 'NaN'), (2003, 1000, 'SIDD', 3, 0),"
        " (2004, 1000, 'SIRD', 70, 0), (2005, 1000, 'SOIRD', 70, 0), (2006, -7, 'MIDD', 1, 0),"
        " (2007, -7, 'MOD', NULL, 0), (2008, -7, 'low_risk', 79, 0), (2009, -7, '', 50, 0)"
    )
    connection.execute("INSERT INTO model_runs (id, model_version) VALUES (3000, 'm')")
    connection.execute("INSERT INTO audit_events (id, details) VALUES (4000, '{\"a\": 1.10}')")
    if version >= 4:
        connection.execute(
            "INSERT INTO refresh_tokens (user_id, token_hash, expires_at) VALUES (900, 't', now())"
        )
    if version >= 9:
        connection.execute("INSERT INTO clinics (id, name) VALUES (5000, 'North')")
        connection.execute("INSERT INTO user_clinics (user_id, clinic_id) VALUES (900, 5000)")
    if version >= 10:
        connection.execute("UPDATE users SET created_by = 900, is_active = FALSE WHERE id = 700")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_catalog_of_each_version_is_as_written_down(
    version: int, make_database: MakeDatabase, connect: Connect
) -> None:
    assert read_tables(connect(make_database(version))) == tables_at(version)


def test_every_serial_column_owns_its_sequence(database_at_10: str, connect: Connect) -> None:
    owners = read_sequences(connect(database_at_10))
    assert owners == {
        f"{table}_id_seq": f"{table}.id" for table in tables_at(LATEST) if table != "user_clinics"
    }


def test_a_missing_index_and_a_moved_column_are_noticed(
    database_at_10: str, connect: Connect
) -> None:
    connection = connect(database_at_10)
    connection.execute("DROP INDEX idx_users_role")
    connection.execute("ALTER TABLE patients DROP COLUMN age, ADD COLUMN age integer")
    found, expected = read_tables(connection), tables_at(LATEST)
    assert found["users"] != expected["users"]
    assert found["patients"] != expected["patients"]
    assert sorted(found["patients"].columns) != sorted(expected["patients"].columns[:-1])
    assert found["assessments"] == expected["assessments"]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_down_gives_back_what_was_there_before_its_up(
    version: int, make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(version - 1)
    connection = connect(url)
    if version > 1:
        fill(connection, version - 1)
    before = whole(url)
    up(connection, version)
    after = whole(url)
    assert after != before
    down(connection, version)
    assert whole(url) == before
    up(connection, version)
    assert whole(url) == after


@pytest.mark.parametrize("version", VERSIONS)
def test_each_up_may_run_twice(version: int, make_database: MakeDatabase, connect: Connect) -> None:
    url = make_database(version - 1)
    connection = connect(url)
    if version > 1:
        fill(connection, version - 1)
    before = whole(url)
    up(connection, version)
    once = whole(url)
    up(connection, version)
    assert whole(url) == once
    down(connection, version)
    assert whole(url) == before


def test_the_whole_chain_goes_down_and_up_again_around_data(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(4)
    connection = connect(url)
    fill(connection, 4)
    dumps = [whole(url)]
    for version in range(5, LATEST + 1):
        up(connection, version)
        dumps.append(whole(url))
    for version in range(LATEST, 4, -1):
        assert whole(url) == dumps.pop(), f"version {version}"
        down(connection, version)
    assert whole(url) == dumps.pop()


def test_the_last_down_leaves_nothing_outside_the_archive_and_up_brings_it_all_back(
    database_at_10: str, empty_database: str, connect: Connect
) -> None:
    connection = connect(database_at_10)
    before = whole(database_at_10)
    for version in reversed(VERSIONS):
        down(connection, version)
    assert whole(database_at_10) == whole(empty_database)
    for version in VERSIONS:
        up(connection, version)
    assert whole(database_at_10) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_another_search_path_changes_nothing(
    version: int, make_database: MakeDatabase, connect: Connect
) -> None:
    url, usual = make_database(version - 1), make_database(version)
    connection = connect(url)
    connection.execute("CREATE SCHEMA elsewhere")
    connection.execute("SET search_path = elsewhere")
    before = whole(url)
    up(connection, version)
    connection.execute("SET search_path = public")
    assert read_tables(connection) == read_tables(connect(usual))
    connection.execute("SET search_path = elsewhere")
    down(connection, version)
    assert whole(url) == before
