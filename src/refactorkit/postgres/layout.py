"""The files of one server of ours, and who may touch which.

    <root>/            0700, the caller's; root's server: 0710, root's, with the server's group
      data/            0700, the server's account: the data directory
      socket/          0700, the server's account: the only way in
      postgresql.conf  the caller's, readable by the server
      log, lock, …     0600, the caller's

Where root is the caller, the server's account (one that other programs run as, too) can enter the
outer folder and read its configuration, but neither list nor change anything there: so root never
writes to a file that another account may have put in its place.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from refactorkit.postgres.account import Account

PORT = 5432
# sockaddr_un.sun_path has 108 bytes on Linux and 104 elsewhere, with the NUL.
SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
PRIVATE = 0o700
ENTERED_BY_GROUP = 0o710


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the files of a server are.

    Attributes:
        root: its folder.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    @property
    def socket_directory(self) -> Path:
        """The folder of the socket, what libpq calls the host."""
        return self.root / "socket"

    @property
    def configuration(self) -> Path:
        """The configuration file; the one in the data directory is included by it."""
        return self.root / "postgresql.conf"

    @property
    def log(self) -> Path:
        """What initdb and postgres say."""
        return self.root / "log"

    @property
    def password_file(self) -> Path:
        """The superuser's password, while initdb runs."""
        return self.root / "password"

    @property
    def passfile(self) -> Path:
        """The superuser's password, for libpq: a server that stays has one."""
        return self.root / "passfile"

    @property
    def lock(self) -> Path:
        """The file that is locked (flock) by whoever uses the folder."""
        return self.root / "lock"

    @property
    def programs(self) -> Path:
        """A copy of the server's programs, where the account cannot read the installed ones."""
        return self.root / "programs"

    def obstacle(self) -> str | None:
        """Say why no client could reach a socket here, or None where one could."""
        socket = self.socket_directory / f".s.PGSQL.{PORT}"
        if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
            return f"a socket in it would have a path of more than {SOCKET_PATH_BYTES} bytes"
        if "," in str(socket):
            return "its path has a comma, which separates hosts for libpq"
        return None


def protect(layout: Layout, account: Account | None) -> None:
    """Let the account, and nobody else, enter the outer folder, which is there and the caller's."""
    if account is not None:
        os.chown(layout.root, os.geteuid(), account.gid)
    layout.root.chmod(PRIVATE if account is None else ENTERED_BY_GROUP)


def make_directory(path: Path, account: Account | None) -> None:
    """Make a folder of the server's account alone."""
    path.mkdir(mode=PRIVATE)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def write_configuration(layout: Layout, text: str, account: Account | None) -> None:
    """Write the configuration file anew, for the account to read."""
    _write(layout.configuration, text)
    if account is not None:
        os.chown(layout.configuration, os.geteuid(), account.gid)
        layout.configuration.chmod(0o640)


def write_passfile(layout: Layout, text: str) -> None:
    """Write the passfile anew, for the caller alone: libpq ignores one that others may read."""
    _write(layout.passfile, text)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
