"""Bad input, through the program: the URL, the server, the version table, the files, the locks.

Every refusal is held to the rules of `tests.support.refusals`.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support.background import go
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell
from tests.support.dump import pg_dump
from tests.support.planted import FILE
from tests.support.refusals import (
    AT_10,
    AT_11,
    CANARY,
    plant_canary,
    refused,
    refused_unchanged,
)
from tests.support.roles import PASSWORD, fresh_role, with_user

Connect = Callable[..., psycopg.Connection]

NO_WAITING = ("--lock-wait", "0", "--lock-timeout-ms", "50", "--retries", "1")


@pytest.fixture
def url(database_at_10: str) -> str:
    """A clinic at version 10, with values that must never be seen."""
    open_clinic(database_at_10)
    plant_canary(database_at_10)
    return database_at_10


@pytest.fixture
def url_at_11(url: str) -> str:
    assert go(Direction.UP, url).code == 0
    return url


# The connection


@pytest.mark.parametrize(
    "malformed",
    [
        f"postgresql://app:{PASSWORD}@extra@host/clinic",
        f"postgresql://app:{PASSWORD}@host/a/b",
        f"postgresql://app:{PASSWORD}@host:port/clinic",
        f"postgresql://app:{PASSWORD}%@host/clinic",
        f"postgresql://host/clinic?password={PASSWORD}&nonsense={CANARY}",
        f"mysql://app:{PASSWORD}@host/clinic",
        f"host=h dbname=clinic password='{PASSWORD}",
        f"app {PASSWORD} {CANARY}",
    ],
)
def test_a_malformed_url(malformed: str) -> None:
    refused(
        malformed,
        "up",
        code=2,
        says="The database URL is malformed: ",
        do="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_url_without_a_database(command: str) -> None:
    refused(
        f"postgresql://app:{PASSWORD}@localhost",
        command,
        code=2,
        says="The database URL names no database",
        do="never guessed",
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_server_that_is_not_there(command: str) -> None:
    refused(
        f"postgresql://app:{PASSWORD}@127.0.0.1:1/clinic",
        command,
        code=1,
        says='No PostgreSQL server answers for database "clinic" on 127.0.0.1 port 1',
        do="Check host and port",
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_database_that_is_not_there(url: str, command: str) -> None:
    elsewhere = urlunsplit(urlsplit(url)._replace(path="/no_such_clinic"))
    refused(
        elsewhere,
        command,
        code=1,
        says='There is no such database: database "no_such_clinic"',
        do="createdb",
    )


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_wrong_password(url: str, command: str) -> None:
    with psycopg.connect(url) as connection:
        if not connection.pgconn.used_password:
            pytest.skip("this server trusts everybody")
    with fresh_role(url) as name:
        refused(
            with_user(url, name, f"not-{PASSWORD}"),
            command,
            code=1,
            says="wrong password or unknown user",
            do="Check the user and the password",
        )


# The version table and the files


@pytest.mark.parametrize(
    ("command", "says", "do"),
    [
        ("up", "Pending files below version 99, which is applied: 0011_ref", "--allow-missing"),
        ("down", "Version 99 is applied, and no file has this version", "Put the file back"),
        ("redo", "Version 99 is applied, and no file has this version", "Put the file back"),
    ],
)
def test_a_version_that_no_file_knows(url: str, command: str, says: str, do: str) -> None:
    tell(url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")

    refused_unchanged(url, command, code=3, says=says, do=do)

    status = run("status", "--check", "--json", "--dir", SQL, url=url)
    assert status.code == 3
    assert status.document["version"] == 99
    assert [each["state"] for each in status.document["migrations"][-2:]] == ["missing", "no file"]


@pytest.mark.parametrize("command", ["down", "redo"])
def test_a_file_that_is_gone(url_at_11: str, command: str, tmp_path: Path) -> None:
    folder = shutil.copytree(SQL, tmp_path / "sql")
    (folder / FILE).unlink()

    refused_unchanged(
        url_at_11,
        command,
        directory=folder,
        code=3,
        says="Version 11 is applied, and no file has this version",
        do="Put the file back",
    )

    status = run("status", "--check", "--dir", folder, "--json", url=url_at_11)
    assert (status.code, status.document["migrations"][-1]["state"]) == (3, "no file")
    up = run("up", "--dir", folder, url=url_at_11)
    assert up.code == 0
    assert "Nothing to do: the database is at version 11." in up.out
    assert "event=version.without_file" in up.err


def test_a_folder_with_two_files_of_one_version(url: str, tmp_path: Path) -> None:
    folder = shutil.copytree(SQL, tmp_path / "sql")
    shutil.copy(folder / FILE, folder / "0011_again.sql")
    message = refused_unchanged(url, "up", directory=folder, code=3, says="0011_again.sql", do="")
    assert FILE in message


@pytest.mark.parametrize(
    ("version", "row", "command", "says", "state"),
    [
        (8, 10, "up", "user_clinics is not there: this database is not at version 10", AT_10),
        (10, 11, "down", "archive.patients, .*not at version 11, or Up ran without", AT_11),
    ],
)
def test_a_version_table_that_is_ahead_of_the_tables(
    *, version: int, row: int, command: str, says: str, state: str,
    make_database: Callable[[int], str],
) -> None:  # fmt: skip
    url = make_database(version)
    tell(
        url,
        "INSERT INTO goose_db_version (version_id, is_applied)"
        f" SELECT g, true FROM generate_series({version + 1}, {row}) AS g",
    )
    refused_unchanged(url, command, code=3, says=says, do="Look at the version table", state=state)


def test_a_version_table_that_is_behind_the_tables(url_at_11: str) -> None:
    tell(url_at_11, "DELETE FROM goose_db_version WHERE version_id = 11")
    refused_unchanged(
        url_at_11,
        "up",
        code=3,
        says="public.patients is not there: this database is not at version 10",
        do="Look at the version table",
        state=AT_10,
    )


@pytest.mark.parametrize(
    "options", [["--table", "goose_db_versoin"], ["--table", "archive.none"], []]
)
def test_a_version_table_that_is_not_found(options: list[str], url: str) -> None:
    """The chain must not run again over tables that it made: names that exist would hide it."""
    if not options:
        tell(url, "DROP TABLE goose_db_version")
    table = options[-1] if options else "goose_db_version"
    before = pg_dump(url, exclude_schemas=(), exclude_tables=[table])
    refused(
        url,
        "up",
        *options,
        code=3,
        says="0001_init.sql:[0-9]+ .up. was refused: The tables of this database are of a later",
        do="is its name or schema another one here?",
        state="Nothing was changed: the database is at version 0.",
    )
    # An empty version table is what goose leaves, too.
    assert pg_dump(url, exclude_schemas=(), exclude_tables=[table]) == before
    tell(url, f"DROP TABLE {table}")


def test_an_edited_file_is_reported_by_status_and_validate_and_up_goes_by_gooses_rule(
    make_database: Callable[[int], str], tmp_path: Path
) -> None:
    """goose looks at no file that is applied: up takes what is pending, and reports stay."""
    url, folder = make_database(0), shutil.copytree(SQL, tmp_path / "sql")
    assert run("up", "--to", "10", "--dir", folder, url=url).code == 0
    edited = "0003_add_updated_at_and_indexes.sql"
    (folder / edited).write_text((folder / edited).read_text() + "\n-- an afterthought\n")

    def reports() -> None:
        status = run("status", "--check", "--dir", folder, "--json", url=url)
        assert status.code == 3
        assert status.document["verdict"] == "fail"
        found = [
            each["file"] for each in status.document["migrations"] if each["content"] == "edited"
        ]
        assert found == [edited]
        text = run("status", "--dir", folder, url=url)
        assert (text.code, "1 edited after they were applied." in text.out) == (0, True)
        validate = run("validate", "--dir", folder, "--json", url=url)
        assert (validate.code, validate.document["verdict"]) == (3, "fail")
        shown = run("validate", "--dir", folder, url=url)
        assert f"{edited}: edited after it was applied." in shown.out

    reports()
    assert run("up", "--dir", folder, url=url).code == 0
    reports()
    before = pg_dump(url, exclude_schemas=())
    again = run("up", "--dir", folder, url=url)
    assert (again.code, "Nothing to do" in again.out) == (0, True)
    assert pg_dump(url, exclude_schemas=()) == before


def test_a_refactor_whose_mapping_was_changed_since_up_is_refused_by_down(
    url_at_11: str, tmp_path: Path
) -> None:
    """Down goes back by the mapping of Up; a file that was compiled from another is not that."""
    folder = shutil.copytree(SQL, tmp_path / "sql")
    text = (folder / FILE).read_text()
    (known,) = set(re.findall(r"structure_hash = '([0-9a-f]{64})'", text))
    (folder / FILE).write_text(text.replace(known, "0" * 64))
    refused_unchanged(
        url_at_11,
        "down",
        directory=folder,
        code=3,
        says="Up ran with a mapping of another structure",
        do="Mend what is named",
        state=AT_11,
    )


# Read-only


@contextmanager
def always(url: str, setting: str, value: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                database, sql.Identifier(setting), sql.Literal(value)
            )
        )
    yield
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(
            sql.SQL("ALTER DATABASE {} RESET {}").format(database, sql.Identifier(setting))
        )


@pytest.mark.parametrize("command", ["up", "down", "redo"])
def test_read_only_transactions(url_at_11: str, command: str) -> None:
    if command == "up":
        assert run("down", "--dir", SQL, url=url_at_11).code == 0
    with always(url_at_11, "default_transaction_read_only", "on"):
        refused_unchanged(
            url_at_11,
            command,
            code=3,
            says="Transactions are read-only on database",
            do="Set default_transaction_read_only to off",
        )


def test_what_only_reads_works_where_all_is_read_only(url_at_11: str) -> None:
    with always(url_at_11, "default_transaction_read_only", "on"):
        assert run("version", url=url_at_11).out == "11\n"
        assert run("status", "--check", "--dir", SQL, url=url_at_11).code == 0
        assert run("validate", "--dir", SQL, url=url_at_11).code == 0
        dry = run("down", "--dry-run", "--json", "--dir", SQL, url=url_at_11)
        assert verify(VerifyRequest(dsn=Dsn.parse(url_at_11))).verdict is Verdict.PASS
    assert dry.code == 3  # what could not run is not shown as if it could


# Busy


@pytest.mark.parametrize("command", ["up", "down", "redo"])
def test_another_runner_holds_the_lock(url: str, command: str, connect: Connect) -> None:
    holder = connect(url)
    holder.execute("SET application_name = 'goose'")
    holder.execute("SELECT pg_advisory_lock(4097083626)")
    refused_unchanged(
        url,
        command,
        "--lock-wait",
        "0",
        code=4,
        says=r'Another runner is migrating this database: process [0-9]+, application "goose"',
        do="try again",
    )


@pytest.mark.parametrize("table", ["users", "user_clinics"])
def test_an_open_transaction_holds_a_table(url: str, table: str, connect: Connect) -> None:
    holder = connect(url, autocommit=False)
    holder.execute(f"LOCK TABLE public.{table} IN ACCESS SHARE MODE".encode())
    refused_unchanged(
        url,
        "up",
        *NO_WAITING,
        code=4,
        says=f"{FILE}:.*tried 2 times, failed: SQLSTATE 55P03 .*: somebody else holds a lock",
        do="pg_stat_activity",
        state=AT_10,
    )
    holder.rollback()
    assert run("up", *NO_WAITING, "--dir", SQL, url=url).code == 0
    holder.execute("LOCK TABLE public.assessments IN ACCESS SHARE MODE")
    refused_unchanged(url, "down", *NO_WAITING, code=4, says="55P03", do="try again", state=AT_11)
