"""Copies of databases on servers that are older than our pg_restore, by way of psql."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.postgres import older_servers
from refactorkit.postgres.binaries import find_binaries
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import CannotDumpError, Programs, copy_database
from tests.support.dump import pg_dump
from tests.support.scripts import up

HEAD = b"--\n\n\\restrict x\n\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n"


@pytest.fixture
def by_psql(monkeypatch: pytest.MonkeyPatch) -> None:
    """What older servers need, done with the server under test, whatever its version."""
    monkeypatch.setattr(older_servers, "lacks_a_setting", lambda *_: True)


def program(name: str) -> str:
    return str(find_binaries().bin_directory / name)


def script_of(url: str) -> bytes:
    """What pg_restore makes of a dump of the database."""
    environment = Dsn.parse(url).environment()
    dump = subprocess.run(
        [program("pg_dump"), "--format=custom"], env=environment, check=True, capture_output=True
    ).stdout
    return subprocess.run(
        [program("pg_restore"), "--file=-"], input=dump, check=True, capture_output=True
    ).stdout


def passed_on(script: bytes) -> bytes:
    class Kept(io.BytesIO):
        def close(self) -> None:
            self.flush()

    psql = Kept()
    older_servers.pass_on(io.BytesIO(script), psql)
    return psql.getvalue()


@pytest.mark.parametrize(
    ("server", "pg_restore", "lacks"),
    [(140023, 18, True), (160015, 17, True), (160015, 16, False), (170000, 18, False)],
)
def test_only_servers_before_17_lack_a_setting_of_later_programs(
    server: int, pg_restore: int, *, lacks: bool
) -> None:
    assert older_servers.lacks_a_setting(server, pg_restore) is lacks


def test_one_line_of_the_script_is_left_out_and_it_is_the_setting(database_at_10: str) -> None:
    script = script_of(database_at_10)
    assert script.count(b"SET transaction_timeout = 0;\n") == 1
    assert passed_on(script) == script.replace(b"SET transaction_timeout = 0;\n", b"")


def test_the_same_line_among_the_rows_stays() -> None:
    rows = b"SET transaction_timeout = 0;\n" * 2
    assert passed_on(HEAD + rows).endswith(b"lock_timeout = 0;\n" + rows)


def test_a_script_that_psql_would_read_unrestricted_is_not_passed_on() -> None:
    with pytest.raises(older_servers.UnrestrictedError):
        passed_on(HEAD.replace(b"\\restrict x\n", b""))


def test_psql_obeys_no_command_in_the_script(empty_database: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    run = subprocess.run(
        [program("psql"), *older_servers.PSQL_ARGUMENTS],
        env=Dsn.parse(empty_database).environment() | {"PATH": "/usr/bin:/bin"},
        input=passed_on(HEAD + f"\\! touch {touched}\n".encode()),
        check=False,
        capture_output=True,
    )
    assert run.returncode != 0
    assert not touched.exists()


@pytest.mark.usefixtures("by_psql")
def test_a_copy_by_psql_is_a_copy(make_database: Callable[[int], str]) -> None:
    source, target = make_database(10), make_database(0)
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(
            r"INSERT INTO users (email, password_hash) VALUES (E'\\!\n\\.\n\\q\t', 'ünï')"
        )
        up(connection, 11)
    with connected(Dsn.parse(source)) as reading, connected(Dsn.parse(target)) as writing:
        copy_database(reading, writing, Programs(), role=None)
    assert pg_dump(target, exclude_schemas=()) == pg_dump(source, exclude_schemas=())


@pytest.mark.usefixtures("by_psql")
def test_a_copy_by_psql_stops_at_the_first_error(make_database: Callable[[int], str]) -> None:
    source, target = make_database(10), make_database(5)
    with (
        connected(Dsn.parse(source)) as reading,
        connected(Dsn.parse(target)) as writing,
        pytest.raises(CannotDumpError, match="psql ended with code 3"),
    ):
        copy_database(reading, writing, Programs(), role=None)
