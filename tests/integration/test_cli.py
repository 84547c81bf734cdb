"""What a user reads when the database cannot be had, and what scripts read when it can."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.support.cli import finish, run, start, write_files
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

FILES = {
    "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
    "0002_b.sql": "CREATE TABLE b (id int);\n----\nDROP TABLE b;",
}


@pytest.fixture
def role(empty_database: str, connect: Connect) -> Iterator[str]:
    """The URL of a fresh role that owns nothing; its password is "right"."""
    name, admin = f"rk_{uuid.uuid4().hex[:10]}", connect(empty_database)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'right'").format(sql.Identifier(name)))
    yield with_user(empty_database, name, "right")
    admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def with_user(url: str, name: str, password: str | None) -> str:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    user = name if password is None else f"{name}:{password}"
    return urlunsplit(parts._replace(netloc=f"{user}@{hosts}"))


def asks_for_passwords(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(connection.pgconn.used_password)


def test_a_wrong_password_is_told_from_everything_else(role: str) -> None:
    if not asks_for_passwords(role):
        pytest.skip("this server trusts everybody")
    name = urlsplit(role).username or ""

    outcome = run("version", "--json", url=with_user(role, name, "wrong-canary"))

    assert outcome.code == 1
    assert "wrong password or unknown user" in outcome.document["error"]["message"]
    assert outcome.document["error"]["state"] == "Nothing was changed."
    assert "canary" not in outcome.out + outcome.err


def test_a_missing_password_is_asked_for(role: str) -> None:
    if not asks_for_passwords(role):
        pytest.skip("this server trusts everybody")
    name = urlsplit(role).username or ""

    outcome = run("version", url=with_user(role, name, None))

    assert outcome.code == 1
    assert "asks for a password, and none was given" in outcome.err


def test_a_passfile_is_used(role: str, tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:*:right\n")
    passfile.chmod(0o600)
    name = urlsplit(role).username or ""

    outcome = run("version", url=with_user(role, name, None), env={"PGPASSFILE": str(passfile)})

    assert outcome.out == "0\n"


def test_a_service_file_is_used(role: str, tmp_path: Path) -> None:
    with psycopg.connect(role) as connection:
        info = connection.info
        lines = [
            "[clinic]",
            *(
                f"{key}={value}"
                for key, value in (
                    ("host", info.host), ("port", info.port), ("user", info.user),
                    ("password", info.password), ("dbname", info.dbname),
                )
            ),
        ]  # fmt: skip
    service_file = tmp_path / "services"
    service_file.write_text("\n".join(lines) + "\n")

    outcome = run("version", url="service=clinic", env={"PGSERVICEFILE": str(service_file)})

    assert outcome.out == "0\n", outcome.err


@pytest.mark.parametrize(
    "url",
    ["postgresql:///app?host=/no/such/folder", "postgresql://127.0.0.1:1/app"],
    ids=["socket", "port"],
)
def test_a_server_that_is_not_there(url: str) -> None:
    outcome = run("version", url=url)

    assert outcome.code == 1
    assert 'No PostgreSQL server answers for database "app" on ' in outcome.err
    assert "Nothing was changed." in outcome.err


def test_a_database_that_does_not_exist(empty_database: str) -> None:
    url = urlunsplit(urlsplit(empty_database)._replace(path="/no_such_db"))

    outcome = run("up", url=url)

    assert outcome.code == 1
    assert 'There is no such database: database "no_such_db" on ' in outcome.err


def test_a_database_that_does_not_let_the_user_in(
    role: str, empty_database: str, connect: Connect
) -> None:
    connection = connect(empty_database)
    connection.execute(
        sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(
            sql.Identifier(connection.info.dbname)
        )
    )

    outcome = run("version", url=role)

    assert outcome.code == 3
    assert "may not connect to database" in outcome.err
    assert "GRANT CONNECT" in outcome.err


def test_a_table_that_the_user_may_not_read(role: str, empty_database: str, tmp_path: Path) -> None:
    run("up", "--dir", write_files(tmp_path, FILES), url=empty_database)

    for command in ("version", "status", "down"):
        outcome = run(command, "--dir", tmp_path, url=role)
        assert outcome.code == 1
        assert "SQLSTATE 42501 (InsufficientPrivilege)" in outcome.err
        assert "Nothing was changed." in outcome.err
        assert "lacks a privilege" in outcome.err


def test_status_with_check_says_whether_anything_is_left_to_do(
    empty_database: str, tmp_path: Path
) -> None:
    write_files(tmp_path, FILES)
    run("up", "--to", "1", "--dir", tmp_path, url=empty_database)

    pending = run("status", "--check", "--json", "--dir", tmp_path, url=empty_database)
    assert pending.code == 3
    assert pending.document["verdict"] == "fail"
    assert pending.document["pending"] == 1
    assert run("status", "--dir", tmp_path, url=empty_database).code == 0

    run("up", "--dir", tmp_path, url=empty_database)
    done = run("status", "--check", "--json", "--dir", tmp_path, url=empty_database)
    assert done.code == 0
    assert done.document["verdict"] == "pass"
    assert done.document == {
        "verdict": "pass",
        "version": 2,
        "table": "public.goose_db_version",
        "pending": 0,
        "edited": 0,
        "beside": [],
        "migrations": [
            {
                "version": number,
                "file": file,
                "state": "applied",
                "applied_at": done.document["migrations"][number - 1]["applied_at"],
                "content": "same",
            }
            for number, file in enumerate(FILES, start=1)
        ],
    }


def test_results_go_to_standard_output_and_logs_to_standard_error(
    empty_database: str, tmp_path: Path
) -> None:
    directory = write_files(tmp_path, FILES)
    outcome = run("up", "--log-level", "info", "--dir", directory, url=empty_database)

    assert "event=step.done" not in outcome.out
    assert outcome.err.count("event=step.done") == 2
    assert "The database is at version 2; it was at 0." in outcome.out

    quiet = run("redo", "--log-level", "warning", "--dir", tmp_path, url=empty_database)
    assert quiet.err == ""


def test_the_url_may_be_an_option(empty_database: str) -> None:
    outcome = run("version", "--database-url", empty_database)

    assert outcome.out == "0\n"


def test_the_program_itself_runs_from_start_to_end(empty_database: str, tmp_path: Path) -> None:
    write_files(tmp_path, FILES)

    outcome = finish(start("up", "--dir", tmp_path, "--json", url=empty_database))

    assert outcome.code == 0, outcome.err
    assert outcome.document["after"] == 2


def test_our_sessions_can_be_found_and_die_with_their_client(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = (
        "CREATE TABLE seen AS SELECT current_setting('application_name') AS application,"
        " current_setting('client_connection_check_interval') AS checked,"
        " current_setting('client_encoding') AS encoding;"
    )

    run("up", "--dir", write_files(tmp_path, {"0001_a.sql": text}), url=empty_database)

    connection = connect(empty_database)
    seen = connection.execute("SELECT application, encoding FROM seen").fetchone()
    assert seen == ("refactorkit", "UTF8")
    if connection.info.server_version >= 140000:
        assert scalar(connection, "SELECT checked FROM seen") == "2s"
