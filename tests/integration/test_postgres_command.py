"""`refactorkit postgres start|stop|status`: a server that stays when the command ends."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command

from refactorkit.cli.app import app
from refactorkit.errors import RefusedError, UsageError
from refactorkit.postgres.persistent import PersistentServer, default_directory
from tests.support import processes
from tests.support.processes import IS_ROOT, SOMEBODY_ELSE, alive, as_account, wait_until

only_root = pytest.mark.skipif(not IS_ROOT, reason="only root can act as other accounts")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path and a blank in it, whose servers are stopped in the end."""
    path = Path(tempfile.mkdtemp(prefix="rk dev ", dir="/tmp"))
    path.chmod(0o755)
    yield path
    for data in path.glob("*/data"):
        PersistentServer(data.parent).stop()
    shutil.rmtree(path)


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a command ended, and what it printed to standard output."""

    returncode: int
    stdout: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))


def postgres(command: str, directory: Path, *options: str) -> Run:
    """Run a command of the program, in this process: several are wanted, and quickly."""
    printed = io.StringIO()
    arguments = ["postgres", command, "--directory", str(directory), *options]
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        get_command(app).main(arguments)
    return Run(returncode=int(ended.value.code or 0), stdout=printed.getvalue())


def server_pid(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().split()[0])


def test_start_status_stop_and_again(folder: Path) -> None:
    place = folder / "server"
    nothing = postgres("status", place, "--json")
    assert nothing.returncode == 3
    assert nothing.document == {
        "running": False,
        "exists": False,
        "directory": str(place),
        "url": None,
        "version": nothing.document["version"],
    }
    assert not place.exists()
    assert postgres("stop", place, "--json").document["stopped"] is False

    first = postgres("start", place, "--json").document
    assert (first["started"], first["running"]) == (True, True)
    with psycopg.connect(first["url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    again = postgres("start", place, "--json").document
    assert (again["started"], again["url"]) == (False, first["url"])
    status = postgres("status", place, "--json")
    assert (status.returncode, status.document["url"]) == (0, first["url"])

    pid = server_pid(place)
    stopped = postgres("stop", place, "--json")
    assert (stopped.returncode, stopped.document["stopped"]) == (0, True)
    assert not alive(pid)
    assert postgres("stop", place, "--json").document["stopped"] is False
    assert postgres("status", place).returncode == 3

    assert postgres("start", place, "--json").document["started"] is True
    with psycopg.connect(first["url"]) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)


def test_what_start_prints_a_shell_can_evaluate_and_it_holds_no_secret(folder: Path) -> None:
    place = folder / "server"
    printed = postgres("start", place).stdout
    url = subprocess.run(
        ["sh", "-c", f'{printed}\nprintf %s "$DATABASE_URL"'],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    passfile = place / "passfile"
    assert passfile.stat().st_mode & 0o777 == 0o600
    password = passfile.read_text().strip().rpartition(":")[2]
    said = url + postgres("status", place).stdout + printed + (place / "log").read_text()
    assert password not in said
    assert not (place / "password").exists()


def test_it_stays_when_the_shell_that_started_it_is_killed(folder: Path) -> None:
    place = folder / "server"
    program = [sys.executable, "-m", "refactorkit"]
    start = [*program, "postgres", "start", "--directory", str(place)]
    shell = subprocess.Popen(
        ["sh", "-c", f"{shlex.join(start)}; sleep 300"], start_new_session=True
    )
    assert wait_until(lambda: postgres("status", place).returncode == 0, seconds=30)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    assert not wait_until(lambda: not alive(server_pid(place)), seconds=1)


def test_after_a_crash_it_starts_again(folder: Path) -> None:
    place = folder / "server"
    url = postgres("start", place, "--json").document["url"]
    os.kill(server_pid(place), signal.SIGKILL)
    assert wait_until(lambda: postgres("status", place).returncode == 3)
    assert postgres("start", place, "--json").document["started"] is True
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_two_starts_at_once_make_one_server(folder: Path) -> None:
    place = folder / "server"
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(PersistentServer(place).start) for _ in range(2)]
        assert sorted(run.result() for run in runs) == [False, True]


def test_an_initialisation_that_was_cut_short_is_done_again(folder: Path) -> None:
    place = folder / "server"
    place.mkdir()
    place.chmod(0o755)
    (place / "lock").touch()
    (place / "data.new").mkdir()
    (place / "data.new" / "PG_VERSION").write_text("18\n")
    (place / "password").touch()
    assert postgres("start", place, "--json").document["running"] is True
    assert not (place / "data.new").exists()


def test_a_folder_with_other_files_is_refused(folder: Path) -> None:
    (folder / "thesis.txt").write_text("mine")
    run = postgres("start", folder, "--json")
    assert run.returncode == 3
    assert "holds other files" in run.document["error"]["message"]
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_data_of_another_major_version_is_refused_and_untouched(folder: Path) -> None:
    place = folder / "server"
    assert postgres("start", place).returncode == 0
    assert postgres("stop", place).returncode == 0
    version = place / "data" / "PG_VERSION"
    version.write_text("12\n")
    run = postgres("start", place, "--json")
    assert run.returncode == 3
    assert "is of PostgreSQL 12" in run.document["error"]["message"]
    assert version.read_text() == "12\n"


def test_a_path_that_is_too_long_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="more than"):
        PersistentServer(folder / ("d" * 100)).start()
    assert list(folder.iterdir()) == []


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    place = folder / "server"
    assert postgres("start", place).returncode == 0
    assert postgres("stop", place).returncode == 0
    (place / "data" / "global" / "pg_control").unlink()
    run = postgres("start", place, "--json")
    assert run.returncode == 1
    assert "did not start" in run.document["error"]["message"]
    assert "pg_control" in run.document["error"]["message"]
    assert postgres("status", place).returncode == 3


@only_root
def test_another_accounts_folder_is_refused(folder: Path) -> None:
    place = folder / "server"
    place.mkdir()
    shutil.chown(place, SOMEBODY_ELSE)
    for action in (PersistentServer(place).start, PersistentServer(place).stop):
        with pytest.raises(RefusedError, match="belongs to another account"):
            action()


@only_root
def test_another_account_cannot_look_into_it(folder: Path) -> None:
    place = folder / "server"
    assert postgres("start", place).returncode == 0
    for path in (place / "passfile", place / "log", place / "data" / "PG_VERSION"):
        run = subprocess.run(
            ["cat", str(path)], check=False, capture_output=True, **as_account(SOMEBODY_ELSE)
        )
        assert run.returncode != 0


@only_root
def test_an_ordinary_user_has_one_in_the_state_folder(folder: Path) -> None:
    interpreter = processes.interpreter_for(processes.ORDINARY)
    if interpreter is None:
        pytest.skip(f"no Python interpreter here can be run by the account {processes.ORDINARY}")
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, processes.ORDINARY)
    script = "from refactorkit.postgres.persistent import *\n"
    script += "server = PersistentServer(default_directory())\n"
    script += "print(server.start(), server.start(), server.state().running, server.files.root)\n"
    script += "print(server.stop(), server.stop(), server.state().running)\n"
    run = subprocess.run(
        [interpreter, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={**processes.python_path(), "HOME": str(home)},
        **as_account(processes.ORDINARY),
    )
    place = home / ".local" / "state" / "refactorkit" / "postgres"
    assert run.stdout.splitlines() == [f"True False True {place}", "True False False"], run.stderr
    assert place.stat().st_mode & 0o777 == 0o700
    assert place.owner() == processes.ORDINARY


def test_its_data_is_where_such_data_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    usual = Path("/home/somebody/.local/state/refactorkit/postgres")
    assert default_directory() == usual
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    assert default_directory() == usual
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_directory() == Path("/state/refactorkit/postgres")
