"""Whatever happens to 0011, in either direction: one version or the other, whole, and on again.

Law 7, on a clinic with colliding ids, claimed accounts, deletions and natives with a profile.
"""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support.background import PATIENCE_SECONDS, go, going
from tests.support.chain import SQL
from tests.support.cli import run, start
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.planted import FILE, count_statements, plant
from tests.support.processes import wait_until
from tests.support.proxy import Cut, CuttingProxy, is_any, is_commit
from tests.support.queries import scalar
from tests.support.scripts import chain
from tests.support.servers import Kind, Server

Connect = Callable[..., psycopg.Connection]

UP, DOWN = Direction
SLEEPING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'refactorkit' AND state = 'active' AND query LIKE 'SELECT pg_sleep%'"
)
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'refactorkit'"
)
WAITING = (
    "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
    " WHERE a.datname = current_database() AND a.application_name = 'refactorkit'"
    " AND NOT l.granted AND l.locktype = 'relation'"
)
PATIENT = "INSERT INTO public.patients (id, name, user_id) VALUES (7777, 'Just Born', 60)"
NATIVE = (
    "INSERT INTO public.users (id, email, password_hash, bmi)"
    " VALUES (8888, 'just@born.invalid', 'h', 20.5)"
)


@pytest.fixture(params=Direction)
def direction(request: pytest.FixtureRequest) -> Direction:
    found: Direction = request.param
    return found


@pytest.fixture
def url(database_at_10: str, direction: Direction) -> str:
    """A clinic at the version that the direction starts from."""
    open_clinic(database_at_10)
    if direction is DOWN:
        assert go(UP, database_at_10).code == 0
        work_as_version_11(database_at_10)
    return database_at_10


def state(url: str) -> str:
    """All of the database, the archive included."""
    return pg_dump(url, exclude_schemas=())


def versions(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT version_id FROM goose_db_version ORDER BY id")
        return [row[0] for row in rows]


def before(direction: Direction) -> int:
    """The version that a direction of 0011 starts from."""
    return 10 if direction is UP else 11


def after(direction: Direction) -> int:
    return 21 - before(direction)


def verified(url: str) -> bool:
    return verify(VerifyRequest(dsn=Dsn.parse(url))).verdict is Verdict.PASS


def is_done(url: str, direction: Direction) -> bool:
    return versions(url) == list(range(after(direction) + 1)) and verified(url)


def is_untouched(url: str, direction: Direction, was: str) -> bool:
    return versions(url)[-1] == before(direction) and state(url) == was


def converges(url: str, direction: Direction) -> bool:
    """Tell whether the same command does it now, whole and verified."""
    return go(direction, url).code == 0 and is_done(url, direction)


def sleeping_pid(connection: psycopg.Connection) -> int:
    found: list[int] = []

    def look() -> bool:
        found[:] = [row[0] for row in connection.execute(SLEEPING)]
        return bool(found)

    assert wait_until(look, seconds=PATIENCE_SECONDS), "the runner never reached pg_sleep"
    return found[0]


def sleeping(folder: Path, direction: Direction, seconds: float = 600) -> Path:
    """Write a 0011 that sleeps in the midst of its work."""
    middle = count_statements(direction) * 2 // 3
    return plant(folder, direction, after=middle, statement=f"SELECT pg_sleep({seconds});")


def always(connection: psycopg.Connection, setting: str, value: str) -> None:
    connection.execute(
        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(setting), sql.Literal(value)
        )
    )


def is_waiting(connection: psycopg.Connection) -> bool:
    return wait_until(lambda: scalar(connection, WAITING) == 1, seconds=PATIENCE_SECONDS)


# The backend, the client, the server, the line


def test_a_backend_that_ends_after_any_statement_leaves_the_version_as_it_was(
    url: str, direction: Direction, tmp_path: Path
) -> None:
    was = state(url)
    for count in range(1, count_statements(direction) + 1):
        folder = plant(
            tmp_path,
            direction,
            after=count,
            statement="SELECT pg_terminate_backend(pg_backend_pid());",
        )
        ended = go(direction, url, directory=folder)
        assert ended.code == 1
        assert f"The connection was lost at {FILE}:" in ended.says
        at = f"Nothing was changed: the database is at version {before(direction)}."
        assert at in ended.says
        assert versions(url)[-1] == before(direction)
    # What any of them had left behind would be here.
    assert state(url) == was
    assert converges(url, direction)


def test_a_client_that_is_killed_inside_a_statement_leaves_nothing_behind(
    url: str, direction: Direction, tmp_path: Path, connect: Connect
) -> None:
    was, connection = state(url), connect(url)
    process = start(direction, "--dir", sleeping(tmp_path, direction), url=url)
    sleeping_pid(connection)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert wait_until(lambda: scalar(connection, SESSIONS) == 0)
    assert is_untouched(url, direction, was)
    assert converges(url, direction)


def test_a_server_that_crashes_in_the_midst_recovers_to_the_version_that_was(
    url: str, direction: Direction, tmp_path: Path, connect: Connect, server: Server
) -> None:
    """A backend that is killed takes the whole server down, which then replays its log."""
    if server.kind is not Kind.EMBEDDED:
        pytest.skip("only the embedded server's processes may be killed")
    was = state(url)
    # The test server commits asynchronously: what came before must not be lost in the crash.
    connect(url).execute("CHECKPOINT")
    witness = connect(url)
    with going(direction, url, directory=sleeping(tmp_path, direction)) as run_:
        os.kill(sleeping_pid(witness), signal.SIGKILL)
        ended = run_.result()

    assert ended.code == 1
    assert f"The connection was lost at {FILE}:" in ended.says
    # The server ends every session before it recovers; until then it may still let somebody in.
    assert wait_until(lambda: is_ended(witness))
    assert wait_until(lambda: answers(url))
    assert is_untouched(url, direction, was)
    assert converges(url, direction)


def is_ended(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT")
    except psycopg.OperationalError:
        return True
    return False


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def socket_path(database_at_10: str) -> Path:
    parameters = parse_qs(urlsplit(database_at_10).query)
    if "host" not in parameters:
        pytest.skip("the server has no socket that a proxy could stand before")
    return Path(parameters["host"][0], f".s.PGSQL.{parameters['port'][0]}")


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A socket's path must be short."""
    return tmp_path_factory.mktemp("s")


def through(proxy: CuttingProxy, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=f"host={quote(str(proxy.path.parent))}"))


@pytest.mark.parametrize("cut", Cut)
def test_a_line_that_is_cut_at_the_commit(
    cut: Cut, url: str, direction: Direction, socket_path: Path, short_path: Path
) -> None:
    was = state(url)
    with CuttingProxy(socket_path, short_path, cut, nth=1, counts=is_commit) as proxy:
        ended = go(direction, through(proxy, url))
    assert proxy.has_cut
    if cut is Cut.AFTER:
        assert ended.code == 0
        assert is_done(url, direction)
    else:
        assert ended.code == 1
        assert "The server was asked again: the COMMIT did not happen." in ended.says
        assert is_untouched(url, direction, was)
        assert converges(url, direction)


def test_a_line_that_is_cut_between_statements(
    url: str, direction: Direction, socket_path: Path, short_path: Path, connect: Connect
) -> None:
    was, connection = state(url), connect(url)
    for nth in range(20, 20 + count_statements(direction), 9):
        with CuttingProxy(socket_path, short_path, Cut.BEFORE, nth=nth, counts=is_any) as proxy:
            assert go(direction, through(proxy, url)).code == 1
        assert proxy.has_cut
        assert wait_until(lambda: scalar(connection, SESSIONS) == 0)
    assert is_untouched(url, direction, was)
    assert converges(url, direction)


def test_an_up_that_failed_costs_the_next_one_no_id(
    make_database: Callable[[int], str], tmp_path: Path, connect: Connect
) -> None:
    """A patient keeps its id as if the first attempt had not been."""
    whole, again = make_database(10), make_database(10)
    for url in (whole, again):
        open_clinic(url)
    broken = plant(tmp_path, UP, after=count_statements(UP), statement="SELECT 1/0;")
    assert go(UP, again, directory=broken).code == 1

    pairs = []
    for url in (whole, again):
        assert go(UP, url).code == 0
        query = "SELECT source_id, target_id FROM archive.patients_map ORDER BY 1"
        pairs.append(connect(url).execute(query).fetchall())
    assert pairs[0] == pairs[1]


# Others at the tables


@pytest.mark.parametrize("table", ["public.users", "public.assessments", "public.user_clinics"])
def test_a_table_that_is_held_for_a_while_delays_and_nothing_more(
    table: str, url: str, direction: Direction, connect: Connect
) -> None:
    application = connect(url, autocommit=False)
    application.execute(f"SELECT FROM {table} LIMIT 1".encode())
    release = threading.Timer(0.8, application.rollback)
    release.start()
    ended = go(direction, url, lock_timeout_ms=100)
    release.join()

    assert ended.code == 0, ended.says
    assert ended.attempts > 1
    assert is_done(url, direction)


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_what_is_written_while_the_locks_are_waited_for_is_not_lost(
    isolation: str, url: str, direction: Direction, connect: Connect
) -> None:
    """A snapshot from before the lock would not hold the row, and it would be gone."""
    other = connect(url)
    always(other, "default_transaction_isolation", isolation)
    application = connect(url, autocommit=False)
    application.execute((PATIENT if direction is UP else NATIVE).encode())
    with going(direction, url, lock_timeout_ms=PATIENCE_SECONDS * 1000) as run_:
        assert is_waiting(other)
        application.commit()
        assert run_.result().code == 0, run_.result().says

    if direction is UP:
        kept = "SELECT count(*) FROM public.users WHERE email = 'patient-7777@unclaimed.invalid'"
    else:
        kept = "SELECT count(*) FROM public.patients WHERE user_id = 8888"
    assert scalar(other, kept) == 1
    assert is_done(url, direction)


def test_an_application_that_is_waited_for_gets_what_it_asks_for(
    url: str, direction: Direction, connect: Connect
) -> None:
    """It has a table that the runner waits for, and asks for one that the runner has: a deadlock.

    The runner lets all go before the server finds out, and waits for that table first.
    """
    other = connect(url)
    application = connect(url, autocommit=False)
    application.execute("SELECT FROM public.user_clinics LIMIT 1")
    with going(direction, url, lock_timeout_ms=PATIENCE_SECONDS * 1000) as run_:
        assert is_waiting(other)
        application.execute("SELECT FROM public.users LIMIT 1")
        application.rollback()
        ended = run_.result()

    assert (ended.code, ended.attempts) == (0, 1), ended.says
    assert is_done(url, direction)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("statement_timeout", "SQLSTATE 57014 (QueryCanceled): the statement was cancelled"),
        ("transaction_timeout", f"The connection was lost at {FILE}:"),
    ],
)
def test_a_timeout_of_the_server_ends_in_nothing_changed(
    *, setting: str, says: str, url: str, direction: Direction, tmp_path: Path, connect: Connect
) -> None:
    connection = connect(url)
    if setting == "transaction_timeout" and connection.info.server_version < 170000:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    was = state(url)
    always(connection, setting, "1s")
    ended = go(direction, url, directory=sleeping(tmp_path, direction))

    assert ended.code == 1
    assert says in ended.says
    always(connection, setting, "0")
    assert is_untouched(url, direction, was)
    assert converges(url, direction)


# Two runners


def test_of_two_runners_in_one_direction_one_works_and_one_finds_nothing_to_do(
    url: str, direction: Direction, tmp_path: Path, connect: Connect
) -> None:
    folder = sleeping(tmp_path, direction, seconds=0.7)
    with going(direction, url, directory=folder) as first:
        sleeping_pid(connect(url))
        to = ["--to", "10"] if direction is DOWN else []
        second = run(direction, *to, "--dir", SQL, "--json", "--lock-wait", "60", url=url)
        assert (first.result().code, first.result().steps) == (0, 1)

    assert second.code == 0, second.err
    assert second.document["steps"] == []
    assert is_done(url, direction)


def test_two_runners_in_opposite_directions_take_turns(
    url: str, direction: Direction, tmp_path: Path, connect: Connect
) -> None:
    was = pg_dump(url, exclude_tables=["public.goose_db_version"])
    back = DOWN if direction is UP else UP
    with going(direction, url, directory=sleeping(tmp_path, direction, seconds=0.7)) as first:
        sleeping_pid(connect(url))
        second = go(back, url)
        assert first.result().code == 0, first.result().says

    assert second.code == 0, second.says
    assert is_done(url, back)
    assert pg_dump(url, exclude_tables=["public.goose_db_version"]) == was


def test_a_tool_that_takes_no_session_lock_is_kept_out_by_the_tables(
    url: str, direction: Direction, connect: Connect
) -> None:
    """As plain goose: it is in its transaction when ours comes, and commits before ours goes on."""
    goose, other = connect(url, autocommit=False), connect(url)
    for statement in chain()[11].script(direction).statements:
        goose.execute(statement.data)
    with going(direction, url, lock_timeout_ms=PATIENCE_SECONDS * 1000) as run_:
        assert is_waiting(other)
        if direction is UP:
            goose.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (11, true)")
        else:
            goose.execute("DELETE FROM goose_db_version WHERE version_id = 11")
        goose.commit()
        ended = run_.result()

    assert ended.code in {1, 3}
    assert "Nothing was changed" in ended.says
    assert is_done(url, direction)
    assert go(DOWN if direction is UP else UP, url).code == 0


def test_what_stopped_a_run_is_told_without_a_value(
    url: str, direction: Direction, tmp_path: Path
) -> None:
    """The server's own message would show the row."""
    table = "archive.patients" if direction is DOWN else "public.patients"
    folder = plant(
        tmp_path,
        direction,
        after=3,
        statement=f"ALTER TABLE {table} ADD CONSTRAINT planted CHECK (name <> 'Solo');",
    )
    outcome = run(direction, "--dir", folder, "--log-level", "debug", url=url)
    assert outcome.code == 1
    assert "constraint planted: a row does not meet a check of its table." in outcome.err
    assert "Solo" not in outcome.out + outcome.err
