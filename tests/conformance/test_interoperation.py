"""refactorkit and the real goose on one database: either tool, on any day."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest

from tests.conformance.goose_tool import goose_binary, needs_goose
from tests.support.chain import SQL
from tests.support.cli import finish, run, start, write_files
from tests.support.dump import pg_dump
from tests.support.processes import wait_until
from tests.support.queries import scalar

pytestmark = needs_goose

Connect = Callable[..., psycopg.Connection]

OLD_SHAPE = """
CREATE TABLE goose_db_version (id serial NOT NULL, version_id bigint NOT NULL,
    is_applied boolean NOT NULL, tstamp timestamp NULL DEFAULT now(), PRIMARY KEY (id));
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true);
"""
THREE = {
    "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
    "0002_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON a (id);\n"
    "-- +goose Down\nDROP INDEX CONCURRENTLY i;\n",
    "0003_c.sql": "CREATE TABLE c (id int);\nCREATE TABLE d (v text);\n"
    "INSERT INTO d VALUES ('100% of $1');\n----\nDROP TABLE c;\nDROP TABLE d;",
}


def goose_process(
    url: str, directory: Path, *arguments: str, options: str = ""
) -> subprocess.Popen[str]:
    program = goose_binary()
    assert program is not None
    parts = urlsplit(url)
    pairs = dict(parse_qsl(parts.query))
    pairs |= {
        "user": parts.username or "",
        "password": parts.password or "",
        "dbname": parts.path[1:],
    }
    if parts.hostname:
        pairs |= {"host": parts.hostname, "port": str(parts.port or 5432)}
    return subprocess.Popen(
        [program, "-dir", str(directory), *arguments],
        env={
            "PATH": os.environ.get("PATH", ""),
            "GOOSE_DRIVER": "postgres",
            "PGOPTIONS": options,
            "GOOSE_DBSTRING": " ".join(f"{key}='{value}'" for key, value in pairs.items()),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def goose(url: str, directory: Path, *arguments: str) -> str:
    process = goose_process(url, directory, *arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return output


def ours(url: str, directory: Path, *arguments: str) -> None:
    outcome = run(*arguments, "--dir", directory, url=url)
    assert outcome.code == 0, outcome.err


def rows(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """The version table, without times."""
    query = "SELECT id, version_id, is_applied, tstamp IS NULL FROM goose_db_version ORDER BY id"
    return connection.execute(query).fetchall()


def same(one: str, other: str) -> bool:
    """Compare two databases outside `archive`, times of the version table aside."""
    for url in (one, other):
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE goose_db_version SET tstamp = '2026-01-01'")
    return pg_dump(one) == pg_dump(other)


@pytest.mark.parametrize("commands", [["up"], ["up", "down"], ["up", "redo"], ["up", "down-to 0"]])
def test_both_tools_leave_the_same_database(
    commands: list[str], make_database: Callable[[int], str], connect: Connect, tmp_path: Path
) -> None:
    """Rows, ids and the table's own definition included."""
    theirs, our = make_database(0), make_database(0)
    write_files(tmp_path, THREE)

    for command in commands:
        goose(theirs, tmp_path, *command.split())
        ours(our, tmp_path, *command.replace("-to", " --to").split())

    assert rows(connect(our)) == rows(connect(theirs))
    assert same(our, theirs)


@pytest.mark.parametrize("table", ["new", "old"])
def test_turns_are_taken_up_and_down(
    table: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, THREE)
    connection = connect(empty_database)
    if table == "old":
        connection.execute(OLD_SHAPE.encode())

    goose(empty_database, tmp_path, "up-to", "1")
    ours(empty_database, tmp_path, "up", "--to", "2")
    goose(empty_database, tmp_path, "up")
    assert "no migrations to run" in goose(empty_database, tmp_path, "up")
    ours(empty_database, tmp_path, "up")
    assert [row[1] for row in rows(connection)] == [0, 1, 2, 3]

    ours(empty_database, tmp_path, "down")
    goose(empty_database, tmp_path, "down")
    ours(empty_database, tmp_path, "up")
    goose(empty_database, tmp_path, "redo")
    ours(empty_database, tmp_path, "redo")
    assert [row[1] for row in rows(connection)] == [0, 1, 2, 3]

    goose(empty_database, tmp_path, "down-to", "0")
    assert [row[1] for row in rows(connection)] == [0]
    assert scalar(connection, "SELECT to_regclass('a')") is None


def test_the_chain_goes_up_by_goose_and_down_by_us(
    empty_database: str, make_database: Callable[[int], str]
) -> None:
    other = make_database(0)
    goose(other, SQL, "status")  # makes the version table
    goose(empty_database, SQL, "up-to", "10")

    ours(empty_database, SQL, "down", "--to", "0")

    assert same(empty_database, other)


def test_the_chain_goes_up_by_us_and_down_by_goose(
    empty_database: str, make_database: Callable[[int], str]
) -> None:
    other = make_database(0)
    goose(other, SQL, "status")  # makes the version table
    ours(empty_database, SQL, "up", "--to", "10")

    goose(empty_database, SQL, "down-to", "0")

    assert same(empty_database, other)


def test_a_missing_version_is_refused_by_both_and_allowed_by_both(
    make_database: Callable[[int], str], connect: Connect, tmp_path: Path
) -> None:
    theirs, our = make_database(0), make_database(0)
    write_files(tmp_path, {name: text for name, text in THREE.items() if name != "0002_b.sql"})
    goose(theirs, tmp_path, "up")
    ours(our, tmp_path, "up")
    write_files(tmp_path, THREE)

    refused = goose_process(theirs, tmp_path, "up")
    refused.communicate(timeout=60)
    assert refused.returncode != 0
    assert run("up", "--dir", tmp_path, url=our).code == 3

    goose(theirs, tmp_path, "-allow-missing", "up")
    ours(our, tmp_path, "up", "--allow-missing")
    assert rows(connect(our)) == rows(connect(theirs))
    assert same(our, theirs)


def test_a_table_with_a_schema_is_the_same_table(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute("CREATE SCHEMA ops")
    write_files(tmp_path, THREE)

    goose(empty_database, tmp_path, "-table", "ops.Versions", "up-to", "1")
    ours(empty_database, tmp_path, "up", "--table", "ops.Versions")
    goose(empty_database, tmp_path, "-table", "ops.Versions", "down")

    found = connection.execute("SELECT version_id FROM ops.versions ORDER BY id").fetchall()
    assert found == [(0,), (1,), (2,)]


def test_our_status_reads_what_goose_wrote(empty_database: str, tmp_path: Path) -> None:
    goose(empty_database, write_files(tmp_path, THREE), "up-to", "2")

    document = run("status", "--json", "--dir", tmp_path, url=empty_database).document

    assert document["version"] == 2
    assert [(each["state"], each["content"]) for each in document["migrations"]] == [
        ("applied", "not recorded"),
        ("applied", "not recorded"),
        ("pending", None),
    ]
    assert all(each["applied_at"] for each in document["migrations"][:2])


def test_what_goose_took_back_and_edited_files_applied_anew_are_recorded_anew(
    empty_database: str, tmp_path: Path
) -> None:
    """goose's down leaves our checksum behind; the next up by us replaces it."""
    ours(empty_database, write_files(tmp_path, THREE), "up")
    goose(empty_database, tmp_path, "down")
    write_files(tmp_path, {"0003_c.sql": "CREATE TABLE c (id bigint);\n----\nDROP TABLE c;"})

    ours(empty_database, tmp_path, "up")

    document = run("status", "--json", "--dir", tmp_path, url=empty_database).document
    assert [each["content"] for each in document["migrations"]] == ["same"] * 3


def test_a_file_that_goose_applied_anew_is_not_called_edited(
    empty_database: str, tmp_path: Path
) -> None:
    ours(empty_database, write_files(tmp_path, THREE), "up")
    goose(empty_database, tmp_path, "down")
    write_files(tmp_path, {"0003_c.sql": "CREATE TABLE c (id bigint);\n----\nDROP TABLE c;"})

    goose(empty_database, tmp_path, "up")

    status = run("status", "--json", "--check", "--dir", tmp_path, url=empty_database)
    contents = [each["content"] for each in status.document["migrations"]]
    assert contents == ["same", "same", "not recorded"]
    assert status.code == 0


def test_settings_of_the_database_answer_the_sql_under_plain_goose(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """The SQL reads settings, so an operator of plain goose can set them on the database."""
    text = "CREATE TABLE said AS SELECT current_setting('refactorkit.accept', true) AS accept;"
    write_files(tmp_path, {"0001_a.sql": text})
    connection = connect(empty_database)
    database = psycopg.sql.Identifier(connection.info.dbname)
    connection.execute(
        psycopg.sql.SQL("ALTER DATABASE {} SET refactorkit.accept = 'views'").format(database)
    )

    goose(empty_database, tmp_path, "up")

    assert scalar(connection, "SELECT accept FROM said") == "views"


def test_we_hold_the_lock_of_gooses_library_while_we_run(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """goose's command takes no lock of its own; ours holds the one that its library takes."""
    write_files(tmp_path, {"0001_a.sql": "SELECT pg_sleep(3);"})
    connection = connect(empty_database)
    process = start("up", "--dir", tmp_path, url=empty_database)
    held = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND (classid::bigint << 32) + objid::bigint = 4097083626"
    )

    assert wait_until(lambda: scalar(connection, held) == 1)
    assert finish(process).code == 0
    assert scalar(connection, held) == 0
