"""A PostgreSQL server for development that stays when the command ends, its data in one folder.

It is started and stopped with pg_ctl, and has the files of `layout.py` and a passfile, so that its
URL holds no secret (PostgreSQL manual, 34.16).
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refactorkit.errors import BusyError, FailedError, RefusedError, UsageError
from refactorkit.postgres import cluster, layout
from refactorkit.postgres.account import Account, reaches, server_account
from refactorkit.postgres.binaries import Binaries, find_binaries
from refactorkit.postgres.layout import Layout
from refactorkit.postgres.supervisor import password_file

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 90.0
POLL_S = 0.05
RETRY_S = 0.5
LINGERING_S = 10.0
NO_RESPONSE = 2  # pg_isready's exit status where nobody listens (PostgreSQL manual, pg_isready)


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """What there is in a server's folder.

    Attributes:
        directory: the folder.
        exists: whether a server was ever started there.
        running: whether it accepts connections, or is about to.
        url: how to connect as superuser, without a secret; None where no server exists.
        version: the PostgreSQL version of the installed programs.
    """

    directory: Path
    exists: bool
    running: bool
    url: str | None
    version: str


def default_directory() -> Path:
    """Return where data of this kind belongs: the XDG state folder; for root /var/lib.

    Root's home is closed to the account that the server runs as. Source: XDG Base Directory 0.8 and
    FHS 3.0.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/refactorkit/postgres")
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "refactorkit" / "postgres"


class PersistentServer:
    """The server in one folder; every method can be called again without harm.

    Attributes:
        files: where its files are.
    """

    def __init__(self, directory: Path) -> None:
        self.files = Layout(root=directory.absolute())
        self._binaries = find_binaries()

    def state(self) -> ServerState:
        """Look, and change nothing.

        Raises:
            RefusedError: the folder is somebody else's.
        """
        exists = self._exists()
        return ServerState(
            directory=self.files.root,
            exists=exists,
            running=exists and self._listens(),
            url=cluster.url(self.files, "postgres", passfile=self.files.passfile)
            if exists
            else None,
            version=self._binaries.version,
        )

    def start(self) -> bool:
        """Start the server, which is made if there is none; return False where it ran already.

        Returns when it accepts connections.

        Raises:
            UsageError: the folder's path is nothing for a socket.
            RefusedError: the folder is somebody else's, or of another major version.
            BusyError: another command is starting or stopping this server.
            FailedError: the server did not start.
        """
        obstacle = self.files.obstacle()
        if obstacle is not None:
            raise UsageError(
                f"The folder {self.files.root} will not do: {obstacle}.",
                hint="Choose another one with --directory.",
            )
        self._make_root()
        with self._alone():
            if self._exists() and self._listens():
                return False
            account = self._account()
            self._check_reach(account)
            programs = self._server_binaries(account)
            if not self._exists():
                self._make_cluster(programs, account)
            self._check_version()
            text = cluster.configuration(self.files, {})
            layout.write_configuration(self.files, text, account)
            self._start(programs, account)
            return True

    def stop(self) -> bool:
        """Stop the server fast (open transactions are rolled back); False where none ran.

        Raises:
            RefusedError: the folder is somebody else's.
            BusyError: another command is starting or stopping this server.
            FailedError: the server did not stop.
        """
        if not self._exists():
            return False
        with self._alone():
            if not self._listens():
                return False
            account = self._account()
            binaries = self._server_binaries(account)
            command = [
                binaries.program("pg_ctl"),
                f"--pgdata={self.files.data}",
                "--mode=fast",
                "--wait",
                f"--timeout={STOP_TIMEOUT_S}",
                "stop",
            ]
            if self._run(command, account).returncode != 0:
                raise FailedError(
                    f"The PostgreSQL server in {self.files.root} did not stop within "
                    f"{STOP_TIMEOUT_S} s.",
                    hint=f"See {self.files.log}.",
                )
            return True

    def _exists(self) -> bool:
        """Say whether the folder holds a server; refuse one that is somebody else's."""
        try:
            owner = self.files.root.stat().st_uid
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RefusedError(f"{self.files.root}: {error.strerror}.") from error
        if owner != os.geteuid():
            raise RefusedError(
                f"The folder {self.files.root} belongs to another account.",
                hint="Run as its owner, or choose another one with --directory.",
            )
        return self.files.data.is_dir()

    def _make_root(self) -> None:
        """Make the folder; one that holds anything else than a server is refused."""
        root = self.files.root
        try:
            for folder in (*reversed(root.parents), root):
                if folder.exists():
                    continue
                with contextlib.suppress(FileExistsError):  # of another start, just now
                    folder.mkdir(mode=0o700)
                    # Whoever the server runs as must be able to pass, whatever root's umask is.
                    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        except OSError as error:
            raise UsageError(
                f"The folder {root} cannot be made ({error.strerror}).",
                hint="Choose another one with --directory.",
            ) from error
        # In this order: another start makes its lock first, and then the rest.
        if any(root.iterdir()) and not self._exists() and not self.files.lock.exists():
            raise RefusedError(
                f"The folder {root} holds other files.",
                hint="Choose an empty or a new one with --directory.",
            )

    def _account(self) -> Account | None:
        """Return the account of an existing data directory, or the one for a new one."""
        return server_account(self.files.data)

    def _check_reach(self, account: Account | None) -> None:
        layout.protect(self.files, account)
        if account is not None and not reaches(account, self.files.root):
            raise RefusedError(
                f"The account {account.name}, which the server runs as, cannot enter "
                f"{self.files.root}: a folder above is closed to it.",
                hint="Choose another one with --directory.",
            )

    def _check_version(self) -> None:
        made_by = (self.files.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != str(self._binaries.major_version):
            raise RefusedError(
                f"The data in {self.files.root} is of PostgreSQL {made_by}, the installed programs "
                f"are of {self._binaries.version}.",
                hint="Choose another folder with --directory, or dump and load with version "
                f"{made_by}.",
            )

    def _server_binaries(self, account: Account | None) -> Binaries:
        """Return programs that the account can run: the installed ones, or a copy, made once."""
        if self._binaries.usable_by(account):
            return self._binaries
        copy = self.files.programs / self._binaries.version
        if not copy.exists():
            new = self.files.programs / "new"
            shutil.rmtree(new, ignore_errors=True)
            self._binaries.copy_to(new)
            self.files.programs.chmod(0o755)
            new.rename(copy)
        return self._binaries.copied_to(copy)

    def _make_cluster(self, binaries: Binaries, account: Account | None) -> None:
        """Make the data directory; it gets its name when it is whole."""
        new = self.files.root / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        layout.make_directory(new, account)
        if not self.files.socket_directory.exists():
            layout.make_directory(self.files.socket_directory, account)
        password = cluster.new_password()
        self.files.password_file.unlink(missing_ok=True)
        owner = None if account is None else (account.uid, account.gid)
        with password_file(self.files.password_file, password, owner):
            command = cluster.initdb_command(
                binaries, data=new, password_file=self.files.password_file, sync=True
            )
            run = self._run(command, account)
        if run.returncode != 0:
            raise FailedError(
                f"The PostgreSQL server in {self.files.root} could not be made"
                f"{cluster.last_words(run.stdout)}.",
                hint=f"See {self.files.log}.",
            )
        layout.write_passfile(self.files, f"*:*:*:{cluster.SUPERUSER}:{password}\n")
        new.rename(self.files.data)

    def _start(self, binaries: Binaries, account: Account | None) -> None:
        command = [
            binaries.program("pg_ctl"),
            f"--pgdata={self.files.data}",
            f"--options={shlex.join(cluster.postgres_options(self.files))}",
            "--wait",
            f"--timeout={START_TIMEOUT_S}",
            "start",
        ]
        # Where postgres was killed, its children hold its shared memory for a moment longer.
        was_killed = (self.files.data / "postmaster.pid").exists()
        deadline = time.monotonic() + (LINGERING_S if was_killed else 0)
        while (run := self._run(command, account)).returncode != 0:
            if time.monotonic() > deadline:
                raise FailedError(
                    f"The PostgreSQL server in {self.files.root} did not start"
                    f"{cluster.last_words(run.stdout)}.",
                    hint=f"See {self.files.log}.",
                )
            time.sleep(RETRY_S)

    def _listens(self) -> bool:
        """Say whether somebody answers on the socket, were it to say that it is starting up."""
        command = [
            self._binaries.program("pg_isready"),
            f"--host={self.files.socket_directory}",
            f"--port={layout.PORT}",
        ]
        run = subprocess.run(  # noqa: S603
            command, check=False, capture_output=True, env=cluster.clean_environment()
        )
        return run.returncode < NO_RESPONSE

    def _run(
        self, command: list[str], account: Account | None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program as the server's account; what it says goes to the log, and is returned."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(
            os.open(self.files.log, flags, 0o600), "a+", encoding="utf-8", errors="replace"
        ) as log:
            before = log.tell()
            status = subprocess.run(  # noqa: S603
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.files.root,
                env=cluster.clean_environment(),
                umask=0o077,
                # The server must not get the signals that a terminal sends to this command.
                start_new_session=True,
                **({} if account is None else account.process_arguments()),
            ).returncode
            log.seek(before)
            return subprocess.CompletedProcess(command, status, stdout=log.read())

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other starts and stops of this server waiting meanwhile."""
        descriptor = os.open(self.files.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            deadline = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BusyError(
                            f"Another command is starting or stopping the server in "
                            f"{self.files.root}.",
                            state="Nothing was changed.",
                            hint="Try again.",
                        ) from None
                    time.sleep(POLL_S)
            yield
        finally:
            os.close(descriptor)
