"""Whatever goes wrong, a database is at one version or another, and running again converges."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.support.cli import finish, run, start, write_files
from tests.support.processes import wait_until
from tests.support.proxy import Cut, CuttingProxy, is_any
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

SLEEPING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'refactorkit' AND state = 'active' AND query LIKE '%pg_sleep%'"
    " AND query NOT LIKE '%pg_stat_activity%'"
)


def files(last: str) -> dict[str, str]:
    return {
        "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
        "0002_b.sql": f"CREATE TABLE b (id int);\n{last}\n----\nDROP TABLE b;",
    }


def versions(connection: psycopg.Connection) -> list[int]:
    rows = connection.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [row[0] for row in rows]


def has_b(connection: psycopg.Connection) -> bool:
    return scalar(connection, "SELECT to_regclass('b') IS NOT NULL") is True


def sleeping_pid(connection: psycopg.Connection) -> int:
    found: list[int] = []

    def look() -> bool:
        found[:] = [row[0] for row in connection.execute(SLEEPING)]
        return bool(found)

    assert wait_until(look), "the runner never reached pg_sleep"
    return found[0]


@contextmanager
def locked(url: str, table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE".encode())
        yield holder


def test_a_terminated_backend_rolls_the_file_back(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    write_files(tmp_path, files("SELECT pg_sleep(60);"))
    process = start("up", "--dir", tmp_path, url=empty_database)

    connection.execute("SELECT pg_terminate_backend(%s)", [sleeping_pid(connection)])
    outcome = finish(process)

    assert outcome.code == 1
    assert "The connection was lost at 0002_b.sql:3 (up)." in outcome.err
    assert "0001_a.sql was run before it and committed: the database is at version 1." in (
        outcome.err
    )
    assert versions(connection) == [0, 1]
    assert not has_b(connection)
    write_files(tmp_path, files("SELECT 1;"))
    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert versions(connection) == [0, 1, 2]


@pytest.mark.parametrize("step", ["statement", "version row", "commit"])
def test_a_backend_that_ends_itself_at_any_step_leaves_one_version_or_the_other(
    step: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """The backend is terminated in the file, at the insert of its row, or while it commits."""
    connection = connect(empty_database)
    run("up", "--to", "1", "--dir", write_files(tmp_path, files("SELECT 1;")), url=empty_database)
    suicide = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END$$;
"""
    connection.execute(suicide.encode())
    trigger = {
        "statement": "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION die()",
        "version row": "CREATE TRIGGER t BEFORE INSERT ON goose_db_version"
        " FOR EACH ROW EXECUTE FUNCTION die()",
        "commit": "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON goose_db_version"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
    }
    connection.execute(trigger[step].encode())
    write_files(tmp_path, files("INSERT INTO a VALUES (1);"))

    outcome = run("up", "--dir", tmp_path, url=empty_database)

    assert outcome.code == 1
    assert "The connection was lost" in outcome.err
    assert "the database is at version 1." in outcome.err
    assert versions(connection) == [0, 1]
    assert not has_b(connection)
    connection.execute("DROP FUNCTION die CASCADE")
    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert versions(connection) == [0, 1, 2]


def test_a_killed_client_leaves_nothing_behind_and_its_locks_go_soon(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    write_files(tmp_path, files("SELECT pg_sleep(600);"))
    process = start("up", "--dir", tmp_path, url=empty_database)
    pid = sleeping_pid(connection)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    assert wait_until(lambda: scalar(connection, gone, pid) == 0, seconds=15)
    assert versions(connection) == [0, 1]
    assert not has_b(connection)
    write_files(tmp_path, files("SELECT 1;"))
    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert versions(connection) == [0, 1, 2]


def test_ctrl_c_rolls_back_and_says_where_the_database_is(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    write_files(tmp_path, files("SELECT pg_sleep(600);"))
    process = start("up", "--dir", tmp_path, url=empty_database)
    sleeping_pid(connection)

    process.send_signal(signal.SIGINT)
    outcome = finish(process)

    assert outcome.code == 1
    assert "Interrupted at 0002_b.sql:3 (up)." in outcome.err
    assert "the database is at version 1." in outcome.err
    assert "Traceback" not in outcome.err
    assert versions(connection) == [0, 1]


def test_a_lost_connection_in_a_file_without_transaction_claims_nothing(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id int);\nSELECT pg_sleep(60);\n"
    )
    process = start("up", "--dir", write_files(tmp_path, {"0001_a.sql": text}), url=empty_database)

    connection.execute("SELECT pg_terminate_backend(%s)", [sleeping_pid(connection)])
    outcome = finish(process)

    assert outcome.code == 1
    assert "what stands before line 4 took effect and stays" in outcome.err
    assert "may have done a part of its work" in outcome.err
    assert versions(connection) == [0]


@pytest.fixture
def socket_path(empty_database: str) -> Path:
    parameters = parse_qs(urlsplit(empty_database).query)
    if "host" not in parameters:
        pytest.skip("the server has no socket that a proxy could stand before")
    return Path(parameters["host"][0], f".s.PGSQL.{parameters['port'][0]}")


def through(proxy: CuttingProxy, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=f"host={quote(str(proxy.path.parent))}"))


@pytest.mark.parametrize(("nth", "is_last"), [(1, False), (2, True)])
def test_a_commit_whose_answer_is_lost_counts_when_it_happened(
    *, nth: int, is_last: bool, empty_database: str, socket_path: Path, connect: Connect,
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    write_files(tmp_path, files("SELECT 1;"))
    run("up", "--to", "1", "--dir", tmp_path, url=empty_database)
    run("down", "--dir", tmp_path, url=empty_database)
    short = tmp_path_factory.mktemp("s")
    with CuttingProxy(socket_path, short, Cut.AFTER, nth=nth) as proxy:
        outcome = run("up", "--dir", tmp_path, url=through(proxy, empty_database))

    assert proxy.has_cut
    assert "event=commit.unanswered" in outcome.err
    assert versions(connect(empty_database)) == list(range(nth + 1))
    if is_last:
        assert outcome.code == 0
        assert "The database is at version 2; it was at 0." in outcome.out
    else:
        assert outcome.code == 1
        assert "The server was asked again: the COMMIT happened." in outcome.err
        assert "0001_a.sql is done (up); the files after it were not run." in outcome.err
    assert run("up", "--dir", tmp_path, url=empty_database).code == 0
    assert versions(connect(empty_database)) == [0, 1, 2]


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.HALF_OPEN])
def test_a_commit_that_never_arrived_is_known_not_to_have_happened(
    *, cut: Cut, empty_database: str, socket_path: Path, connect: Connect,
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    write_files(tmp_path, files("SELECT 1;"))
    run("up", "--to", "1", "--dir", tmp_path, url=empty_database)
    short = tmp_path_factory.mktemp("s")
    with CuttingProxy(socket_path, short, cut, nth=1) as proxy:
        outcome = run("up", "--dir", tmp_path, url=through(proxy, empty_database))

    assert proxy.has_cut
    assert outcome.code == 1
    assert "The server was asked again: the COMMIT did not happen." in outcome.err
    assert "Nothing was changed: the database is at version 1." in outcome.err
    assert versions(connect(empty_database)) == [0, 1]


@pytest.mark.parametrize(
    ("cut", "command", "every"),
    [
        (Cut.BEFORE, "up", 1),
        (Cut.AFTER, "up", 3),
        (Cut.BEFORE, "down", 3),
        (Cut.AFTER, "down", 3),
    ],
)
def test_a_connection_cut_at_any_message_leaves_whole_versions_and_running_again_converges(
    *, cut: Cut, command: str, every: int, empty_database: str, socket_path: Path, connect: Connect,
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """To the server, a killed client is a connection that ends: here, at every message in turn."""
    connection = connect(empty_database)
    write_files(tmp_path, files("INSERT INTO b VALUES (1);"))
    run("up", "--dir", tmp_path, url=empty_database)
    short = tmp_path_factory.mktemp("s")
    goal = [0, 1, 2] if command == "up" else [0]
    seen = set()

    for nth in range(4, 200, every):  # the first three are the login
        start_from = "down" if command == "up" else "up"
        back = ["--to", "0"] if start_from == "down" else []
        assert run(start_from, *back, "--dir", tmp_path, url=empty_database).code == 0
        options = [] if command == "up" else ["--to", "0"]
        with CuttingProxy(socket_path, short, cut, nth=nth, counts=is_any) as proxy:
            outcome = run(command, *options, "--dir", tmp_path, url=through(proxy, empty_database))
        applied = versions(connection)
        seen.add(tuple(applied))
        assert applied in ([0], [0, 1], [0, 1, 2])
        assert scalar(connection, "SELECT to_regclass('a') IS NOT NULL") is (1 in applied)
        assert has_b(connection) is (2 in applied)
        recorded = connection.execute("SELECT version FROM archive.migration_checksums ORDER BY 1")
        assert [0, *(row[0] for row in recorded)] == applied
        if outcome.code == 0:
            assert applied == goal
        else:
            assert "Traceback" not in outcome.err
            assert "defect" not in outcome.err
        again = run(command, *options, "--lock-wait", "20", "--dir", tmp_path, url=empty_database)
        assert again.code == 0, again.err
        assert versions(connection) == goal
        if not proxy.has_cut:
            break
    assert nth > 20
    assert every > 1 or seen == {(0,), (0, 1), (0, 1, 2)}


def test_a_lock_timeout_is_tried_again_until_the_lock_is_free(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, files("ALTER TABLE a ADD COLUMN x int;"))
    run("up", "--to", "1", "--dir", tmp_path, url=empty_database)
    with locked(empty_database, "a") as holder:
        release = threading.Timer(1.2, holder.rollback)
        release.start()
        outcome = run("up", "--json", "--dir", tmp_path, url=empty_database)
        release.join()

    assert outcome.code == 0, outcome.err
    (step,) = outcome.document["steps"]
    assert step["attempts"] > 1
    assert outcome.err.count("event=step.retried") == step["attempts"] - 1
    assert "sqlstate=55P03" in outcome.err
    assert versions(connect(empty_database)) == [0, 1, 2]


def test_after_the_last_retry_the_lock_is_given_up_with_nothing_changed(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, files("ALTER TABLE a ADD COLUMN x int;"))
    run("up", "--to", "1", "--dir", tmp_path, url=empty_database)
    with locked(empty_database, "a"):
        began = time.monotonic()
        outcome = run(
            "up", "--lock-timeout-ms", "50", "--retries", "2", "--dir", tmp_path,
            url=empty_database,
        )  # fmt: skip
        took = time.monotonic() - began

    assert outcome.code == 4
    assert "0002_b.sql:3 (up), tried 3 times, failed: SQLSTATE 55P03" in outcome.err
    assert "Nothing was changed: the database is at version 1." in outcome.err
    assert outcome.err.count("event=step.retried") == 2
    assert took < 5
    assert not has_b(connect(empty_database))


def test_nothing_but_a_lock_timeout_is_tried_again(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """A serialization failure and a deadlock are as temporary, and yet run once only."""
    connection = connect(empty_database)
    connection.execute("CREATE SEQUENCE tries")
    for number, code in enumerate(("40001", "40P01", "57014", "23505"), start=1):
        text = (
            "SELECT nextval('tries');\n-- +goose StatementBegin\n"
            f"DO $$BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END$$;\n"
            "-- +goose StatementEnd"
        )
        outcome = run(
            "up", "--dir", write_files(tmp_path, {"0001_a.sql": text}), url=empty_database
        )
        assert outcome.code == (4 if code.startswith("40") else 1)
        assert f"SQLSTATE {code}" in outcome.err
        assert scalar(connection, "SELECT last_value FROM tries") == number


def test_a_file_without_transaction_is_never_run_twice(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute("CREATE TABLE a (id int); CREATE SEQUENCE tries")
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT nextval('tries');\n"
        "ALTER TABLE a ADD COLUMN x int;\n"
    )
    with locked(empty_database, "a"):
        outcome = run(
            "up", "--lock-timeout-ms", "50", "--dir", write_files(tmp_path, {"0001_a.sql": text}),
            url=empty_database,
        )  # fmt: skip

    assert outcome.code == 4
    assert "took effect and stays" in outcome.err
    assert scalar(connection, "SELECT last_value FROM tries") == 1


@pytest.mark.parametrize(
    ("options", "of_server", "expected"),
    [
        ([], None, "500ms"),
        ([], "3s", "3s"),
        (["--lock-timeout-ms", "70"], "3s", "70ms"),
        (["--lock-timeout-ms", "0"], None, "0"),
    ],
)
def test_lock_waits_are_bounded_by_the_option_the_server_or_the_default(
    *, options: list[str], of_server: str | None, expected: str, empty_database: str,
    connect: Connect, tmp_path: Path,
) -> None:  # fmt: skip
    connection = connect(empty_database)
    if of_server:
        setting = psycopg.sql.SQL("ALTER DATABASE {} SET lock_timeout = {}").format(
            psycopg.sql.Identifier(connection.info.dbname), of_server
        )
        connection.execute(setting)
    text = "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock_timeout;"
    directory = write_files(tmp_path, {"0001_a.sql": text})

    run("up", *options, "--dir", directory, url=empty_database)

    assert scalar(connection, "SELECT lock_timeout FROM seen") == expected


def test_an_index_built_concurrently_may_wait_for_others(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute("CREATE TABLE a (id int)")
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n"
        "CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock_timeout;\n"
    )
    with locked(empty_database, "a") as writer:
        writer.execute("INSERT INTO a VALUES (1)")
        release = threading.Timer(1.5, writer.commit)
        release.start()
        outcome = run(
            "up", "--dir", write_files(tmp_path, {"0001_a.sql": text}), url=empty_database
        )
        release.join()

    assert outcome.code == 0, outcome.err
    assert scalar(connection, "SELECT lock_timeout FROM seen") == "500ms"
    assert scalar(connection, "SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass")
