"""A real standby of a server of ours: a base backup that streams, and whose replay can pause."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from refactorkit.postgres.account import server_account
from refactorkit.postgres.binaries import find_binaries
from refactorkit.postgres.cluster import clean_environment
from tests.support.servers import chosen_binaries

PATIENCE_SECONDS = 30.0


@contextmanager
def standby(url: str, folder: Path | None) -> Iterator[psycopg.Connection]:
    """Have a standby for the length of a block; yield a superuser's connection to it.

    Args:
        url: of a database of the primary.
        folder: where its data goes; None for the system's folder of temporary files.
    """
    account = server_account()
    root = Path(tempfile.mkdtemp(prefix="rk-standby-", dir=folder))
    process = None
    try:
        binaries = chosen_binaries() or find_binaries()
        if not binaries.usable_by(account):
            binaries = binaries.copy_to(root / "programs")
        data, log = root / "data", root / "log"
        subprocess.run(
            [
                binaries.program("pg_basebackup"), "--pgdata", data, "--dbname", url,
                "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        arguments: dict[str, Any] = {}
        if account is not None:
            arguments = account.process_arguments()
            for path in (root, *data.rglob("*"), data):
                shutil.chown(path, account.uid, account.gid)
        with log.open("wb") as words:
            process = subprocess.Popen(
                [
                    binaries.program("postgres"), "-D", data, "-c", "listen_addresses=",
                    "-c", f"unix_socket_directories={root}", "-c", "port=5432", "-c", "fsync=off",
                ],
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=clean_environment(),
                **arguments,
            )  # fmt: skip
        with _connected(make_conninfo(url, host=str(root), port="5432"), log) as connection:
            yield connection
    finally:
        if process is not None:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
        shutil.rmtree(root, ignore_errors=True)


def _connected(conninfo: str, log: Path) -> psycopg.Connection:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return psycopg.connect(conninfo, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise AssertionError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.1)
