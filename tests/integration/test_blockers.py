"""Whoever stands in our way is named, without a value, and ended only where that is wanted."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from refactorkit.postgres import blockers
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.embedded import EmbeddedServer
from tests.support.cli import Outcome, run, write_files
from tests.support.processes import wait_until
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user

Connect = Callable[..., psycopg.Connection]

CANARY = "Canary-4c8d"
QUICK = ("--lock-timeout-ms", "300", "--retries", "0")


@pytest.fixture
def alter(empty_database: str, tmp_path: Path) -> Path:
    """A folder whose next file needs table a for itself."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.a (id int, name text)")
    files = {"0001_a.sql": "ALTER TABLE public.a ADD b int;\n----\nALTER TABLE public.a DROP b;"}
    return write_files(tmp_path, files)


@contextmanager
def reader(url: str, application: str = "nightly report") -> Iterator[psycopg.Connection]:
    """Somebody who has read table a and does not end the transaction."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT set_config('application_name', %s, false)", [application])
        connection.execute(f"SELECT id FROM public.a WHERE name = '{CANARY}'".encode())
        yield connection
        if not connection.closed:
            connection.rollback()


def up(alter: Path, url: str, *options: str) -> Outcome:
    return run("up", "--dir", alter, *options, url=url)


def test_a_reader_in_the_way_is_named_in_the_log_and_in_the_error(
    alter: Path, empty_database: str
) -> None:
    with reader(empty_database) as blocking:
        pid = blocking.info.backend_pid
        outcome = up(alter, empty_database, *QUICK, "--json")

    assert outcome.code == 4
    message = outcome.document["error"]["message"]
    assert f'Blocked by process {pid}, application "nightly report"' in message
    assert "idle in transaction, its transaction open for" in message
    assert "last statement SELECT id FROM public.a WHERE name = …" in message
    assert "event=lock.blocked" in outcome.err
    assert f"pid={pid}" in outcome.err
    assert CANARY not in outcome.out + outcome.err


def test_the_waiting_goes_on_by_itself_once_the_blocker_is_gone(
    alter: Path, empty_database: str, connect: Connect
) -> None:
    with reader(empty_database) as blocking, ThreadPoolExecutor(1) as pool:
        going = pool.submit(up, alter, empty_database, "--lock-timeout-ms", "20000")
        watching = connect(empty_database)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert wait_until(lambda: scalar(watching, waiting) == 1)
        seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refactorkit-watch'"
        looked = f"{seen} AND query LIKE '%pg_prepared_xacts%' AND state = 'idle'"
        assert wait_until(lambda: scalar(watching, looked) == 1)
        blocking.rollback()
        outcome = going.result()

    assert outcome.code == 0, outcome.err
    assert "event=lock.blocked" in outcome.err
    assert wait_until(lambda: scalar(watching, seen) == 0)


def test_nobody_is_ended_unless_that_was_wanted(alter: Path, empty_database: str) -> None:
    with reader(empty_database) as blocking:
        assert up(alter, empty_database, "--lock-timeout-ms", "200", "--retries", "2").code == 4
        assert blocking.execute("SELECT 1").fetchone() == (1,)


def test_a_client_that_stays_in_the_way_is_ended_and_named(
    alter: Path, empty_database: str
) -> None:
    with psycopg.connect(empty_database) as blocking:
        blocking.execute("SELECT id FROM public.a")
        pid = blocking.info.backend_pid
        outcome = up(
            alter,
            empty_database,
            *("--lock-timeout-ms", "400", "--terminate-blockers-after", "1"),
        )
        assert outcome.code == 0, outcome.err
        with pytest.raises(psycopg.OperationalError):
            blocking.execute("SELECT 1")
        blocking.close()

    assert "event=blocker.terminated" in outcome.err
    assert f"pid={pid}" in outcome.err
    assert f"Terminated: process {pid}, " in outcome.out


@pytest.mark.usefixtures("alter")
def test_who_only_waits_before_us_is_named_and_never_ended(
    empty_database: str, connect: Connect
) -> None:
    """The reader holds; a second ALTER waits for it, and we wait behind that one."""
    with reader(empty_database) as blocking, ThreadPoolExecutor(1) as pool:
        second = connect(empty_database)
        pid = second.info.backend_pid
        session = blockers.own_session(second)
        queued = pool.submit(second.execute, "ALTER TABLE public.a ADD c int")
        with connected(Dsn.parse(empty_database)) as watcher:
            assert wait_until(lambda: len(blockers.find(watcher, session)) == 1)
            third = connect(empty_database)
            waiting = blockers.own_session(third)
            thread = threading.Thread(
                target=lambda: third.execute("LOCK TABLE public.a IN ACCESS SHARE MODE"),
            )
            third.execute("BEGIN")
            thread.start()
            assert wait_until(lambda: bool(blockers.find(watcher, waiting)))
            (before_us,) = blockers.find(watcher, waiting)
            assert (before_us.pid, before_us.holds) == (pid, False)
            assert "which waits itself, before us" in before_us.describe()
            with pytest.raises(ValueError, match="never terminated"):
                blockers.terminate(watcher, waiting, before_us)
        blocking.rollback()
        queued.result()
        thread.join()
        third.execute("ROLLBACK")


def test_a_prepared_transaction_is_named_by_its_gid(tmp_path: Path) -> None:
    """On a server of its own: the one under test has no room for them, as most have not."""
    files = {"0001_a.sql": "ALTER TABLE public.a ADD b int;"}
    alter = write_files(tmp_path, files)
    settings = {"max_prepared_transactions": "1"}
    with EmbeddedServer.start(durable=False, settings=settings) as server:
        url = server.dsn()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE public.a (id int, name text)")
            connection.execute("BEGIN")
            connection.execute("INSERT INTO public.a VALUES (1, 'x')")
            connection.execute("PREPARE TRANSACTION 'transfer 7'")
            outcome = up(alter, url, *QUICK, "--terminate-blockers-after", "0")
            connection.execute("ROLLBACK PREPARED 'transfer 7'")

    assert outcome.code == 4
    assert 'Blocked by prepared transaction "transfer 7" of postgres, prepared' in outcome.err


def test_a_user_who_may_not_end_others_is_told_before_anything_is_tried(
    alter: Path, empty_database: str, connect: Connect
) -> None:
    connection = connect(empty_database)
    with fresh_role(empty_database) as name:
        give_everything(empty_database, name)
        url = with_user(empty_database, name)
        refused = up(alter, url, "--terminate-blockers-after", "1")
        assert refused.code == 3
        assert "pg_signal_backend" in refused.err
        assert scalar(connection, "SELECT to_regclass('goose_db_version')") is None

        connection.execute(f"GRANT pg_signal_backend, pg_read_all_stats TO {name}".encode())
        with reader(empty_database):  # a superuser's session, which a member may not end
            outcome = up(
                alter, url, "--terminate-blockers-after", "0.1", "--lock-timeout-ms", "500",
                "--retries", "0",
            )  # fmt: skip
        assert outcome.code == 4
        assert "event=blocker.not_terminated" in outcome.err
        assert "It could not be terminated: a superuser's session" in outcome.err


def test_a_file_without_a_transaction_names_its_blocker_too(
    empty_database: str, tmp_path: Path
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.a (id int, name text)")
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nALTER TABLE public.a ADD b int;\n"
    folder = write_files(tmp_path, {"0001_a.sql": text})
    with reader(empty_database):
        outcome = run("up", "--dir", folder, *QUICK, url=empty_database)
    assert outcome.code == 4
    assert "Blocked by process" in outcome.err


def test_a_watch_that_gets_no_connection_stops_nothing(alter: Path, empty_database: str) -> None:
    with fresh_role(empty_database) as name:
        give_everything(empty_database, name)
        with psycopg.connect(empty_database, autocommit=True) as admin:
            admin.execute(f"ALTER ROLE {name} CONNECTION LIMIT 1".encode())
        with reader(empty_database):
            outcome = up(alter, with_user(empty_database, name), *QUICK)
    assert outcome.code == 4
    assert "event=watch.ended" in outcome.err
    assert "somebody else holds a lock on a table" in outcome.err


@pytest.mark.parametrize("command", ["cutover", "rollback", "down", "redo"])
def test_every_command_that_takes_locks_names_who_is_in_the_way(
    command: str, database_at_10: str
) -> None:
    if command != "cutover":
        assert run("up", url=database_at_10).code == 0
    yes = ["--yes"] if command in ("cutover", "rollback") else []
    with psycopg.connect(database_at_10) as blocking:
        pid = blocking.info.backend_pid
        blocking.execute("SELECT count(*) FROM public.users")
        outcome = run(command, *yes, *QUICK, url=database_at_10)
    assert outcome.code == 4
    assert f"Blocked by process {pid}, " in outcome.err


@pytest.mark.parametrize("kind", ["walsender", "autovacuum worker", "parallel worker", ""])
def test_what_is_no_client_is_never_ended(kind: str, empty_database: str) -> None:
    blocker = blockers.Blocker(
        pid=1,
        started="",
        kind=kind,
        holds=True,
        application="",
        user="",
        state="active",
        query="",
        age_seconds=1.0,
    )
    assert not blocker.may_be_terminated
    with (
        connected(Dsn.parse(empty_database)) as watcher,
        pytest.raises(ValueError, match="never terminated"),
    ):
        blockers.terminate(watcher, blockers.Waiting(pid=1, started="1"), blocker)


@pytest.mark.usefixtures("alter")
def test_it_is_a_transaction_that_is_ended_and_not_a_later_one_of_the_same_session(
    empty_database: str, connect: Connect
) -> None:
    """A pool's session is in the way again and again, each time for a moment."""
    waiting = connect(empty_database)
    session = blockers.own_session(waiting)
    with (
        connected(Dsn.parse(empty_database)) as watcher,
        psycopg.connect(empty_database) as pooled,
        ThreadPoolExecutor(1) as pool,
    ):
        seen: list[blockers.Blocker] = []
        for _ in range(2):
            pooled.execute("SELECT id FROM public.a")
            altering = pool.submit(waiting.execute, "ALTER TABLE public.a ALTER id SET DEFAULT 1")
            assert wait_until(lambda: bool(blockers.find(watcher, session)))
            seen += blockers.find(watcher, session)
            if len(seen) == 2:
                assert not blockers.terminate(watcher, session, seen[0])
            pooled.rollback()
            altering.result()
    assert seen[0].pid == seen[1].pid
    assert seen[0].key != seen[1].key


def test_nobody_is_looked_for_on_another_server_of_the_same_name(
    empty_database: str, connect: Connect
) -> None:
    session = blockers.own_session(connect(empty_database))
    with connected(Dsn.parse(empty_database)) as watcher:
        assert blockers.find(watcher, session) == ()
        for other in (
            blockers.Waiting(pid=session.pid, started="1.5"),  # the same number, somebody else
            blockers.Waiting(pid=session.pid, started=None),
            blockers.Waiting(pid=1, started=session.started),
        ):
            with pytest.raises(blockers.AnotherServerError):
                blockers.find(watcher, other)
