"""Which account an embedded server runs as: PostgreSQL refuses to run as root."""

import contextlib
import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refactorkit.errors import FailedError

# Accounts that own no files, in the order in which they are tried. `postgres` is not among them on
# purpose: where it exists, it owns the databases of the machine's real server.
UNPRIVILEGED = ("nobody", "daemon")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An existing account of this machine that is not root.

    Attributes:
        name: its name.
        uid: its user number.
        gid: its own group's number; it is given no other group.
    """

    name: str
    uid: int
    gid: int

    def process_arguments(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that make a process run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(data_directory: Path | None = None) -> Account | None:
    """Return the account to run a server as, or None for the present one.

    Only root needs another account: the owner of a data directory that is there already, else the
    first of `UNPRIVILEGED`. Blind spot: other programs that run as that same account can reach the
    server's files.

    Raises:
        FailedError: this is root, and no unprivileged account can be used.
    """
    if os.geteuid() != 0:
        return None
    if data_directory is not None and data_directory.exists():
        owner = data_directory.stat().st_uid
        if owner != 0:
            try:
                return _account(pwd.getpwuid(owner))
            except KeyError:
                raise FailedError(
                    f"The owner of {data_directory}, user number {owner}, has no account here.",
                    hint="Give the directory to an existing account.",
                ) from None
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            account = _account(pwd.getpwnam(name))
            # In a container the account may exist by name alone, or root may not change to it.
            if reaches(account, Path("/")):
                return account
    raise FailedError(
        "PostgreSQL does not run as root, and neither of the accounts "
        f"{' and '.join(UNPRIVILEGED)} can be used here.",
        hint="Run refactorkit as an ordinary user, or name a server with --database-url.",
    )


def reaches(account: Account | None, *paths: Path) -> bool:
    """Say whether the account can enter each directory, or read each file, of `paths`."""
    test = 'for p; do if [ -d "$p" ]; then test -x "$p"; else test -r "$p"; fi || exit 1; done'
    command = ["/bin/sh", "-c", test, "sh", *map(str, paths)]
    arguments = {} if account is None else account.process_arguments()
    try:
        run = subprocess.run(command, check=False, cwd="/", **arguments)  # noqa: S603
    except OSError:
        return False
    return run.returncode == 0


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
