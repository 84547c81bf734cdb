"""Who follows the database, and what keeps its locks: on a server that is set up for it."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.preflight import Finding, Level
from refactorkit.commands.verdict import Verdict
from refactorkit.postgres.binaries import find_binaries
from refactorkit.postgres.embedded import EmbeddedServer
from tests.support.chain import migrate
from tests.support.preflights import found, look, no_gos
from tests.support.servers import chosen_binaries, memory_folder

PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A database at version 10 on a server that can decode, prepare, and wait for standbys."""
    settings = {
        "wal_level": "logical",
        "max_prepared_transactions": "2",
        "synchronous_commit": "on",
    }
    with EmbeddedServer.start(
        durable=False, settings=settings, directory=memory_folder(), binaries=chosen_binaries()
    ) as server:
        url = server.dsn("postgres")
        migrate(url, 10)
        yield url


@pytest.fixture
def db(url: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    connection = connect(url)
    connection.execute("SET synchronous_commit = local")
    return connection


def one(url: str, check: str) -> Finding:
    (finding,) = found(look(url), check)
    return finding


def test_nobody_follows_and_nothing_is_prepared(url: str) -> None:
    result = look(url)
    assert result.verdict is Verdict.PASS, no_gos(result)
    for check in ("logical_slots", "synchronous_standbys", "replicas", "prepared_transactions"):
        assert {f.level for f in found(result, check)} == {Level.OK}


def test_a_prepared_transaction_that_holds_a_lock_is_a_no_go(
    url: str, connect: Callable[..., psycopg.Connection]
) -> None:
    db = connect(url)
    for statement, level in (
        ("UPDATE public.patients SET age = 41 WHERE id = 1", Level.NO_GO),
        ("UPDATE public.model_runs SET notes = 'x'", Level.NOTE),
    ):
        db.execute("BEGIN")
        db.execute(statement.encode())
        db.execute("PREPARE TRANSACTION 'nightly 7'")
        try:
            finding = one(url, "prepared_transactions")
        finally:
            db.execute("ROLLBACK PREPARED 'nightly 7'")
        assert finding.level is level
        assert "prepared transaction nightly 7 of " in finding.says


@pytest.mark.parametrize(
    ("plugin", "level"), [("pgoutput", Level.NOTE), ("test_decoding", Level.NO_GO)]
)
def test_a_slot_that_obeys_no_publication_streams_the_archive(
    url: str, db: psycopg.Connection, plugin: str, level: Level
) -> None:
    db.execute("SELECT pg_create_logical_replication_slot('rk_slot', %s)", [plugin])
    try:
        finding = one(url, "logical_slots")
        accepted = look(url, accept=("logical_slots",))
    finally:
        db.execute("SELECT pg_drop_replication_slot('rk_slot')")
    assert finding.level is level
    assert f"logical slot rk_slot ({plugin}, not active" in finding.says
    assert accepted.verdict is Verdict.PASS


def test_a_commit_that_would_wait_for_a_standby_that_is_not_there_is_a_no_go(
    url: str, db: psycopg.Connection, tmp_path: Path
) -> None:
    with waiting_for(db, "standby_one"):
        assert one(url, "synchronous_standbys").level is Level.NO_GO
        with standby(url, "standby_one", tmp_path):
            until(lambda: one(url, "synchronous_standbys").level is Level.OK)
            told = one(url, "replicas")
            assert told.says.startswith("standby standby_one (streaming, sync) is ")
        until(lambda: one(url, "synchronous_standbys").level is Level.NO_GO)
    until(lambda: look(url).verdict is Verdict.PASS)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def waiting_for(db: psycopg.Connection, name: str) -> Iterator[None]:
    """Let every COMMIT of others wait for a standby."""
    db.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
    db.execute("SELECT pg_reload_conf()")
    until(lambda: setting(db) == name)
    try:
        yield
    finally:
        db.execute("ALTER SYSTEM RESET synchronous_standby_names")
        db.execute("SELECT pg_reload_conf()")


def setting(db: psycopg.Connection) -> str:
    row = db.execute("SHOW synchronous_standby_names").fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def standby(url: str, name: str, folder: Path) -> Iterator[None]:
    """Have somebody who takes the log and says so, as a synchronous standby does."""
    program = find_binaries().bin_directory / "pg_receivewal"
    process = subprocess.Popen(
        [program, "--synchronous", "-D", folder, "-d", f"{url}&application_name={name}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)
