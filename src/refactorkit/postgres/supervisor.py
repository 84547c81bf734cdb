"""The watcher beside an embedded server: a program of its own, with the standard library alone.

It fills the data directory, runs postgres in the foreground, and takes both away when its standard
input closes. The kernel closes that pipe however the parent ends (`kill -9` included), so no server
and no directory outlive the one who asked for them. Should the watcher itself be killed, postgres
gets SIGINT, its fast shutdown, through PR_SET_PDEATHSIG (prctl(2), Linux only). That signal is tied
to the *thread* that starts a process: here it is the watcher's only one, and so the caller may
start a server from any thread and let that thread end. Blind spot: elsewhere than on Linux, a
server whose watcher is killed with SIGKILL stays.

One line of JSON comes in (the job), one line of JSON goes out: `{"pid": …}` when the server accepts
connections, or `{"error": …, "log": …}`. The password travels by this pipe, never by argv or
environment.
"""

import contextlib
import ctypes
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
POLL_S = 0.01
PARENT_CHECK_S = 1.0
FAST_SHUTDOWN_S = 60.0
IMMEDIATE_SHUTDOWN_S = 10.0
REMOVAL_S = 5.0
TIDY_S = 10.0
LOG_TAIL_BYTES = 4000


class StartError(Exception):
    """initdb or postgres ended before the server accepted connections."""


class ParentGoneError(Exception):
    """Nobody waits for the server any more."""


@contextlib.contextmanager
def password_file(path: Path, password: str, owner: tuple[int, int] | None) -> Iterator[None]:
    """Have the password in a file that only the owner (user, group number) can read meanwhile."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(password + "\n")
            if owner is not None:
                os.fchown(descriptor, *owner)
        yield
    finally:
        path.unlink(missing_ok=True)


class Watcher:
    """Runs one job from its directory's first file to its removal."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.directory = Path(job["directory"])
        self.data = Path(job["data"])
        self.log = Path(job["log"])
        self.initdb: list[str] = job["initdb"]
        self.postgres: list[str] = job["postgres"]
        self.password: str = job["password"]
        self.password_file = Path(job["password_file"])
        self.environment: dict[str, str] = job["environment"]
        self.account: dict[str, Any] = (
            {"user": job["uid"], "group": job["gid"], "extra_groups": []}
            if job["uid"] is not None
            else {}
        )
        self.owner: tuple[int, int] | None = (
            (job["uid"], job["gid"]) if job["uid"] is not None else None
        )
        self.lock_descriptor: int = job["lock_descriptor"]
        self.start_timeout_s: float = job["start_timeout_s"]
        self.parent: int = job["parent"]
        self.told_to_stop = False
        signal.signal(signal.SIGTERM, self.on_terminate)

    def on_terminate(self, _number: int, _frame: object) -> None:
        """End as if the parent had let go: the machine is being shut down."""
        self.told_to_stop = True

    def run(self) -> None:
        """Make, start and keep the server until the parent lets go, then remove everything."""
        server: subprocess.Popen[bytes] | None = None
        try:
            with password_file(self.password_file, self.password, self.owner):
                self.run_initdb()
            server = self.spawn(self.postgres)
            self.wait_until_ready(server)
            answer(pid=server.pid)
            self.wait_for_the_end(server)
        except StartError as error:
            answer(error=str(error), log=self.log_tail())
        except ParentGoneError:
            pass
        finally:
            if server is not None:
                stop(server)
                if server.returncode < 0:  # by a signal, without cleaning up after itself
                    self.tidy_shared_memory()
            remove(self.directory)

    def run_initdb(self) -> None:
        """Run initdb to its end, also if the parent goes away: killed, it leaves shared memory."""
        process = self.spawn(self.initdb)
        try:
            process.wait(self.start_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self.parent_is_gone(0):
            raise ParentGoneError
        if process.returncode != 0:
            raise StartError(f"initdb ended with status {process.returncode}")

    def tidy_shared_memory(self) -> None:
        """After a crash, have postgres take away the shared memory of the dead one.

        It does so whenever it starts; only it knows which segments they were. Children of the dead
        one hold them a moment longer, and then it refuses.
        """
        program, *options = self.postgres
        deadline = time.monotonic() + TIDY_S
        while time.monotonic() < deadline:
            process = self.spawn([program, "--single", *options, "template1"])
            try:
                if process.wait(TIDY_S) == 0:
                    return
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            time.sleep(PARENT_CHECK_S / 4)

    def spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start a program as the server's account; it dies with this process.

        Its output goes to the log. It inherits the locked descriptor: while any process of the
        server lives, nobody takes the directory for an abandoned one.
        """
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (the parent's own command)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self.environment,
                umask=0o077,
                pass_fds=(self.lock_descriptor,),
                # Called after the change of account, which would clear the death signal. Forking is
                # safe here: this process has one thread.
                preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509
                **self.account,
            )

    def wait_until_ready(self, server: "subprocess.Popen[bytes]") -> None:
        """Return when the last line of postmaster.pid says ready.

        Source: PostgreSQL's `src/include/utils/pidfile.h`, which is what `pg_ctl -w` looks at.
        """
        pid_file = self.data / "postmaster.pid"
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise StartError(f"postgres ended with status {server.returncode}")
            with contextlib.suppress(FileNotFoundError):
                lines = pid_file.read_text(encoding="utf-8").splitlines()
                if len(lines) > 7 and lines[7].strip() == "ready":  # noqa: PLR2004
                    return
            if self.parent_is_gone(POLL_S):
                raise ParentGoneError
        raise StartError(f"postgres was not ready after {self.start_timeout_s:g} s")

    def wait_for_the_end(self, server: "subprocess.Popen[bytes]") -> None:
        """Return when the parent lets go, or when the server ended by itself."""
        while server.poll() is None and not self.parent_is_gone(PARENT_CHECK_S):
            pass

    def parent_is_gone(self, wait_s: float) -> bool:
        """Wait a moment for standard input to close.

        The parent's own forks may hold the pipe open after its death; hence the second look.
        """
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], wait_s)
        return bool(readable) or self.told_to_stop or os.getppid() != self.parent

    def log_tail(self) -> str:
        """Return the end of what initdb and postgres said."""
        try:
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""


def die_with(watcher: int) -> None:
    """In the new process: ask for SIGINT when the watcher ends, where the kernel can (Linux)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != watcher:  # it ended before the request
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def remove(directory: Path) -> None:
    """Remove the directory, also while a dying child of initdb still writes to it."""
    deadline = time.monotonic() + REMOVAL_S
    while directory.exists() and time.monotonic() < deadline:
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            time.sleep(POLL_S)


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Shut down fast, then immediately, then by force."""
    for number, wait_s in (
        (signal.SIGINT, FAST_SHUTDOWN_S),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_S),
        (signal.SIGKILL, IMMEDIATE_SHUTDOWN_S),
    ):
        if server.poll() is not None:
            return
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(wait_s)
            return


def answer(**values: object) -> None:
    """Send one line of JSON to the parent, who may have gone meanwhile."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Read the job and run it, whatever signals a terminal sends to the parent's group."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    # Unbuffered: select must see what the parent sends, not what Python has read ahead.
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(sys.stdin.fileno(), 65536)
        if not chunk:
            return
        line += chunk
    Watcher(json.loads(line)).run()


if __name__ == "__main__":
    main()
