"""goose's version table: both shapes, any name, and what is not one."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.errors import RefusedError, UsageError
from refactorkit.postgres import history
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import TableName
from tests.support.cli import run, write_files
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

OLD_SHAPE = """
CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL,
    is_applied boolean NOT NULL, tstamp timestamp NULL DEFAULT now(), PRIMARY KEY (id));
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true);
"""
TWO = {
    "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
    "0002_b.sql": "CREATE TABLE b (id int);\n----\nDROP TABLE b;",
}


def current(url: str, directory: Path, *options: str) -> int:
    document = run("version", "--json", "--dir", directory, *options, url=url).document
    version = document["version"]
    assert isinstance(version, int)
    return version


def test_the_table_we_make_has_the_columns_of_the_one_goose_makes(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """Typed from goose 3.27's CREATE TABLE; the conformance tests compare with goose itself."""
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)

    columns = connect(empty_database).execute(
        "SELECT column_name, data_type, is_nullable, column_default, identity_generation"
        " FROM information_schema.columns WHERE table_name = 'goose_db_version'"
        " ORDER BY ordinal_position"
    )
    assert columns.fetchall() == [
        ("id", "integer", "NO", None, "BY DEFAULT"),
        ("version_id", "bigint", "NO", None, None),
        ("is_applied", "boolean", "NO", None, None),
        ("tstamp", "timestamp without time zone", "NO", "now()", None),
    ]
    assert scalar(connect(empty_database), "SELECT to_regclass('goose_db_version_pkey')")


def test_the_old_shape_is_read_and_written(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute(OLD_SHAPE.encode())
    connection.execute("INSERT INTO goose_db_version VALUES (DEFAULT, 1, true, NULL)")
    connection.execute("CREATE TABLE a (id int)")
    write_files(tmp_path, TWO)

    status = run("status", "--json", "--dir", tmp_path, url=empty_database).document
    assert [each["state"] for each in status["migrations"]] == ["applied", "pending"]
    assert status["migrations"][0]["applied_at"] is None

    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert current(empty_database, tmp_path) == 2
    assert run("down", "--to", "0", "--dir", tmp_path, url=empty_database).code == 0
    rows = connection.execute("SELECT id, version_id FROM goose_db_version").fetchall()
    assert rows == [(1, 0)]


@pytest.mark.parametrize(
    ("option", "schema", "name"),
    [
        ("versions", "public", "versions"),
        ("Versions", "public", "versions"),
        ('"Versions"', "public", "Versions"),
        ("ops.versions", "ops", "versions"),
        ('"Ops 100%"."o""dd %s"', "Ops 100%", 'o"dd %s'),
    ],
)
def test_the_table_may_have_any_name_and_schema(
    *, option: str, schema: str, name: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute('CREATE SCHEMA ops; CREATE SCHEMA "Ops 100%"')
    write_files(tmp_path, TWO)

    assert run("up", "--table", option, "--dir", tmp_path, url=empty_database).code == 0
    assert run("down", "--table", option, "--dir", tmp_path, url=empty_database).code == 0

    assert current(empty_database, tmp_path, "--table", option) == 1
    found = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'archive')"
    ).fetchall()
    assert sorted(found) == sorted([(schema, name), ("public", "a")])


@pytest.mark.parametrize("name", ["", "a.b.c", "a b", "1a", '"a', 'a"b"', "a;DROP TABLE x", 'a.""'])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not an SQL name"):
        TableName.parse(name)


def test_reading_makes_no_table(empty_database: str, connect: Connect, tmp_path: Path) -> None:
    write_files(tmp_path, TWO)

    assert current(empty_database, tmp_path) == 0
    assert run("status", "--dir", tmp_path, url=empty_database).code == 0
    assert run("version", url=empty_database).out == "0\n"

    assert scalar(connect(empty_database), "SELECT to_regclass('goose_db_version')") is None


@pytest.mark.parametrize(
    "other",
    [
        "CREATE TABLE goose_db_version (id int, version bigint)",
        """CREATE VIEW goose_db_version AS
        SELECT 1 AS id, 1 AS version_id, true AS is_applied, now() AS tstamp""",
    ],
    ids=["columns", "view"],
)
def test_something_else_of_that_name_is_refused_and_left_alone(
    other: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connect(empty_database).execute(other.encode())

    outcome = run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)

    assert outcome.code == 3
    assert "public.goose_db_version exists, but it is not a version table" in outcome.err
    assert "Nothing was changed." in outcome.err


def test_a_search_path_without_a_schema_is_refused(empty_database: str, connect: Connect) -> None:
    connection = connect(empty_database)
    database = psycopg.sql.Identifier(connection.info.dbname)
    connection.execute(
        psycopg.sql.SQL("ALTER DATABASE {} SET search_path = nowhere").format(database)
    )

    with (
        connected(Dsn.parse(empty_database)) as ours,
        pytest.raises(RefusedError, match="no version table"),
    ):
        history.find(ours, TableName.parse("goose_db_version"))


def test_times_do_not_depend_on_how_the_session_writes_dates(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connection = connect(empty_database)
    connection.execute("UPDATE goose_db_version SET tstamp = '2026-02-01 10:00:00.5'")
    database = psycopg.sql.Identifier(connection.info.dbname)
    for style in ("SQL, DMY", "German", "Postgres"):
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET DateStyle = {}").format(database, style)
        )
        document = run("status", "--json", "--dir", tmp_path, url=empty_database).document
        assert document["migrations"][0]["applied_at"] == "2026-02-01T10:00:00.500000"


def test_the_newest_row_of_a_version_decides(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connection = connect(empty_database)
    connection.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, false)")
    connection.execute("DROP TABLE b")

    assert current(empty_database, tmp_path) == 1
    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert scalar(connection, "SELECT to_regclass('b') IS NOT NULL")
    assert run("down", "--dir", tmp_path, url=empty_database).code == 0
    assert scalar(connection, "SELECT count(*) FROM goose_db_version WHERE version_id = 2") == 0


def test_without_the_right_to_write_the_table_a_file_is_rolled_back(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """The version row is part of the file's transaction: no row, no file."""
    run("up", "--to", "1", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connection = connect(empty_database)
    connection.execute("ALTER TABLE goose_db_version ADD CHECK (version_id < 2)")

    outcome = run("up", "--dir", tmp_path, url=empty_database)

    assert outcome.code == 1
    assert "the version row of 0002_b.sql (up) failed: SQLSTATE 23514" in outcome.err
    assert "Nothing was changed: the database is at version 1." in outcome.err
    assert scalar(connection, "SELECT to_regclass('b')") is None


def test_a_version_table_without_a_row_is_refused(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    directory = write_files(tmp_path, TWO)
    connect(empty_database).execute(OLD_SHAPE.encode() + b"TRUNCATE goose_db_version")
    outcome = run("up", "--dir", directory, url=empty_database)
    assert outcome.code == 3
    assert "has no row, not even the one of version 0" in outcome.err
    assert scalar(connect(empty_database), "SELECT to_regclass('a')::text") is None
