"""An application at work: pgbench, the server's own, with transactions of version 10 or of 11.

A transaction inserts an assessment, edits a patient and reads. Each client has patients of its own:
version 10's views do not let two transactions write one column of a row at once. pgbench logs each
one that it ended; a client whose statement fails stops there, so pgbench comes to its end at the
switch by itself. Its log is whole only where it comes to an end by itself: so one that would not is
told to by ending its sessions, and never by a signal.
"""

import os
import re
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from psycopg.conninfo import conninfo_to_dict

from refactorkit.errors import FailedError
from refactorkit.postgres.binaries import find_binaries

VERSION_10: Final = """\
\\set person random(:first / :clients + 1, :last / :clients - 1) * :clients + :client_id
\\set value random(90, 180)
BEGIN;
INSERT INTO assessments (patient_id, model_version, dataset_hash)
    VALUES (:person, 'pgbench', 'application');
UPDATE patients SET bp_systolic = :value, updated_at = now() WHERE id = :person;
SELECT name, bp_systolic FROM patients WHERE id = :person;
END;
"""
VERSION_11: Final = """\
\\set person random(:first / :clients + 1, :last / :clients - 1) * :clients + :client_id
\\set value random(90, 180)
BEGIN;
INSERT INTO public.assessments (user_id, model_version, dataset_hash)
    VALUES (:person, 'pgbench', 'application');
UPDATE public.users SET bp_systolic = :value, updated_at = now() WHERE id = :person;
SELECT first_name, bp_systolic FROM public.users WHERE id = :person;
END;
"""
# Of a table that both versions have: it is kept waiting by the switch, and fails never.
NEIGHBOUR: Final = """\
\\sleep 2 ms
SELECT email FROM public.users WHERE id = 1;
"""
NEIGHBOUR_SLEEPS_MS: Final = 2.0
_ABORTED: Final = re.compile(r"client (\d+) (?:script \d+ )?aborted in command")
_FOREVER: Final = "86400"


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """One that ended well, or the one that a client failed in.

    Attributes:
        ended_at: seconds of ``time.monotonic()``.
        ms: how long it took; of a failed one, since the client's last one had ended.
        has_failed: whether a statement failed.
    """

    ended_at: float
    ms: float
    has_failed: bool = False


class Pgbench:
    """The program, from ``start`` to ``stop`` or to its own end."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        # pgbench logs what the clock on the wall would say, had nobody set it since this moment.
        self._epoch = time.time() - time.monotonic()
        self._process = process
        self._log = log
        self._aborted: dict[int, float] = {}
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @classmethod
    def start(
        cls,
        url: str,
        script: str,
        *,
        folder: Path,
        clients: int = 1,
        persons: tuple[int, int] = (1, 1),
        seconds: int | None = None,
        name: str = "application",
        search_path: str = "public",
    ) -> Self:
        """Start clients that do nothing else, each after the other without a pause.

        Their statements are prepared once, as an application's are.

        Args:
            url: of the database; the password goes by the environment.
            script: of one transaction.
            folder: for script and log, of this one alone.
            clients: how many.
            persons: first and last id of those who are written to.
            seconds: how long; None: until every client has failed, or ``stop``.
            name: of its sessions.
            search_path: of its sessions, from their beginning.
        """
        (folder / "script.sql").write_text(script)
        parts = conninfo_to_dict(url)
        environment = {
            name: str(parts[key])
            for key, name in (
                ("host", "PGHOST"),
                ("port", "PGPORT"),
                ("user", "PGUSER"),
                ("password", "PGPASSWORD"),
                ("dbname", "PGDATABASE"),
            )
            if parts.get(key) is not None
        }
        first, last = persons
        process = subprocess.Popen(  # noqa: S603 - the server's own program
            [
                find_binaries().program("pgbench"), "--no-vacuum", "--client", str(clients),
                "--protocol", "prepared", "--file", str(folder / "script.sql"),
                "--log", "--log-prefix", str(folder / "log"),
                "--time", _FOREVER if seconds is None else str(seconds),
                "--define", f"first={first}", "--define", f"last={last}",
                "--define", f"clients={clients}",
            ],
            env={k: v for k, v in os.environ.items() if not k.startswith("PG")} | environment
            | {"PGAPPNAME": name, "PGOPTIONS": f"-c search_path={search_path}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        return cls(process, folder)

    def stop(self) -> None:
        """End the program at once, if it has not ended: what it did last is not in its log then."""
        self._process.terminate()
        self._process.wait(60)

    def wait(self, seconds: float) -> tuple[Transaction, ...]:
        """Wait for the program's own end, and return what it did.

        Raises:
            FailedError: it did not come to an end in so many seconds, or it never began.
        """
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise FailedError(f"pgbench did not end within {seconds:g} s.") from error
        self._reader.join()
        found = self._ended()
        if not found:
            raise FailedError(f"pgbench did nothing: {' '.join(self._said[:3])}")
        return tuple(transaction for _, transaction in found) + self._failed(found)

    def _read(self) -> None:
        if self._process.stderr is None:
            return
        for line in self._process.stderr:
            now = time.monotonic()
            self._said.append(line.strip())
            met = _ABORTED.search(line)
            if met:
                self._aborted[int(met[1])] = now

    def _ended(self) -> list[tuple[int, Transaction]]:
        """Return what the log says, by client: number, transaction, us, script, s, us (pgbench)."""
        lines = [
            line.split()
            for log in sorted(self._log.glob("log.*"))
            for line in log.read_text().splitlines()
        ]
        return [
            (
                int(fields[0]),
                Transaction(
                    ended_at=int(fields[4]) + int(fields[5]) / 1e6 - self._epoch,
                    ms=int(fields[2]) / 1000 if fields[2].isdigit() else 0.0,
                    has_failed=not fields[2].isdigit(),
                ),
            )
            for fields in lines
            if len(fields) >= 6  # noqa: PLR2004 - the last line may be cut off by stop()
        ]

    def _failed(self, found: Sequence[tuple[int, Transaction]]) -> tuple[Transaction, ...]:
        last = {client: transaction.ended_at for client, transaction in found}
        return tuple(
            Transaction(
                ended_at=at, ms=1000 * (at - last[client]) if client in last else 0, has_failed=True
            )
            for client, at in self._aborted.items()
        )
