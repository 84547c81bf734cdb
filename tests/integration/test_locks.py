"""One runner at a time."""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.errors import BusyError
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.locks import session_lock
from tests.support.cli import finish, run, start, write_files
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

GOOSE_LOCK = "SELECT pg_advisory_lock(4097083626)"


def test_whoever_holds_the_lock_of_goose_keeps_us_out_and_is_named(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    holder = connect(empty_database)
    holder.execute("SET application_name = 'deploy\x1b[31m 7'")
    holder.execute(GOOSE_LOCK)
    write_files(tmp_path, {"0001_a.sql": "CREATE TABLE a (id int);"})

    outcome = run("up", "--lock-wait", "0.3", "--dir", tmp_path, "--json", url=empty_database)

    assert outcome.code == 4
    error = outcome.document["error"]
    assert error["kind"] == "busy"
    assert f"process {holder.info.backend_pid}, application" in error["message"]
    assert "deploy" in error["message"]
    assert "\x1b" not in outcome.err
    assert error["state"] == "Nothing was changed."
    assert scalar(holder, "SELECT to_regclass('goose_db_version')") is None


def test_what_only_reads_waits_for_nobody(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connect(empty_database).execute(GOOSE_LOCK)
    write_files(tmp_path, {"0001_a.sql": "CREATE TABLE a (id int);"})

    for command in (["status"], ["version"], ["up", "--dry-run"], ["validate"]):
        outcome = run(*command, "--dir", tmp_path, url=empty_database)
        assert outcome.code in {0, 3}, outcome.err
        assert "Another runner" not in outcome.err


def test_the_lock_is_held_in_the_block_and_free_after_it(
    empty_database: str, connect: Connect
) -> None:
    other = connect(empty_database)
    attempt = "SELECT pg_try_advisory_lock(4097083626)"
    with connected(Dsn.parse(empty_database)) as connection:
        with session_lock(connection, wait_seconds=0):
            assert scalar(other, attempt) is False
        assert scalar(other, attempt) is True


def test_the_lock_is_free_after_an_error_too(empty_database: str) -> None:
    with connected(Dsn.parse(empty_database)) as one, connected(Dsn.parse(empty_database)) as two:
        with contextlib.suppress(ZeroDivisionError), session_lock(one, wait_seconds=0):
            raise ZeroDivisionError
        with session_lock(two, wait_seconds=0):
            pass


def test_a_lost_connection_does_not_hide_the_error_of_the_block(empty_database: str) -> None:
    def break_down() -> None:
        with (
            connected(Dsn.parse(empty_database)) as connection,
            session_lock(connection, wait_seconds=0),
        ):
            connection.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()


def test_databases_of_one_server_do_not_keep_each_other_waiting(
    make_database: Callable[[int], str], connect: Connect
) -> None:
    connect(make_database(0)).execute(GOOSE_LOCK)

    with (
        connected(Dsn.parse(make_database(0))) as connection,
        session_lock(connection, wait_seconds=0),
    ):
        pass


def test_no_statement_waits_while_the_lock_is_asked_for(
    empty_database: str, connect: Connect
) -> None:
    """A blocking request would hold a snapshot, and an index built concurrently waits for it."""
    holder = connect(empty_database)
    holder.execute(GOOSE_LOCK)
    with (
        connected(Dsn.parse(empty_database)) as connection,
        pytest.raises(BusyError),
        session_lock(connection, wait_seconds=0.3),
    ):
        pass
    ungranted = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    assert scalar(holder, ungranted) == 0


def test_of_two_runners_at_once_one_waits_and_no_file_runs_twice(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute("CREATE SEQUENCE runs")
    files = {f"000{n}_x.sql": "SELECT nextval('runs'), pg_sleep(0.2);" for n in range(1, 5)}
    write_files(tmp_path, files)

    both = [
        start("up", "--lock-wait", "50", "--json", "--dir", tmp_path, url=empty_database)
        for _ in range(2)
    ]
    outcomes = [finish(process) for process in both]

    assert [outcome.code for outcome in outcomes] == [0, 0]
    assert sorted(len(outcome.document["steps"]) for outcome in outcomes) == [0, 4]
    assert scalar(connection, "SELECT last_value FROM runs") == 4
    assert scalar(connection, "SELECT count(*) FROM goose_db_version") == 5


def test_ctrl_c_while_waiting_for_the_lock_is_a_sentence(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connect(empty_database).execute(GOOSE_LOCK)
    write_files(tmp_path, {"0001_a.sql": "CREATE TABLE a (id int);"})
    process = start("up", "--json", "--lock-wait", "60", "--dir", tmp_path, url=empty_database)
    assert process.stderr is not None
    assert "event=lock.waiting" in process.stderr.readline()

    process.send_signal(signal.SIGINT)
    outcome = finish(process)

    assert outcome.code == 1
    assert outcome.document["error"]["message"] == "Interrupted."
    assert "Traceback" not in outcome.err


def test_up_against_down_ends_whole(empty_database: str, connect: Connect, tmp_path: Path) -> None:
    connection = connect(empty_database)
    table = "CREATE TABLE a (id int);\n----\nDROP TABLE a;"
    write_files(tmp_path, {"0001_a.sql": table})
    run("up", "--dir", tmp_path, url=empty_database)

    both = [
        start(command, "--lock-wait", "50", "--dir", tmp_path, url=empty_database)
        for command in ("up", "down")
    ]
    for process in both:
        assert finish(process).code == 0

    is_there = scalar(connection, "SELECT to_regclass('a') IS NOT NULL")
    rows = scalar(connection, "SELECT count(*) FROM goose_db_version WHERE version_id = 1")
    assert rows == (1 if is_there else 0)
