"""An application at work: clients that write and read through version 10, and then through 11.

As a program it works until its standard input ends, then prints what it did as JSON. A client meets
the switch as an application does: its statement fails because the table is gone, and it goes on
with the statements of version 11. Each client has patients of its own, so what the last write to a
patient was is known.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import psycopg

VERSION_IS_OVER: Final = frozenset({"42P01", "42703"})
MARK: Final = "application"
_WRITE_10: Final = (
    (
        "INSERT INTO public.assessments (patient_id, dataset_hash, model_version)"
        " VALUES (%(patient)s, %(mark)s, 'application')"
    ),
    "UPDATE public.patients SET bp_systolic = %(value)s, updated_at = now() WHERE id = %(patient)s",
    "SELECT name, bp_systolic FROM public.patients WHERE id = %(patient)s",
)
_WRITE_11: Final = (
    (
        "INSERT INTO public.assessments (user_id, dataset_hash, model_version)"
        " SELECT m.target_id, %(mark)s, 'application' FROM archive.patients_map AS m"
        " WHERE m.source_id = %(patient)s"
    ),
    (
        "UPDATE public.users AS t SET bp_systolic = %(value)s, updated_at = now()"
        " FROM archive.patients_map AS m WHERE m.source_id = %(patient)s AND t.id = m.target_id"
    ),
    (
        "SELECT t.first_name, t.bp_systolic FROM public.users AS t"
        " JOIN archive.patients_map AS m ON m.target_id = t.id WHERE m.source_id = %(patient)s"
    ),
)
_SIGN_UP: Final = (
    "INSERT INTO public.patients (name, bp_systolic, user_id)"
    " SELECT 'New Patient', %(value)s, min(id) FROM public.users WHERE is_active"
    " RETURNING id"
)


@dataclass(kw_only=True)
class Record:
    """What one client did.

    Attributes:
        latencies_ms: of each write, retried or not, in order.
        ended_at: when each ended, seconds of the system's clock.
        failures: SQLSTATE of each statement that failed.
        marks: of each assessment, and whose it is.
        values: the last value that each patient was given.
    """

    latencies_ms: list[float] = field(default_factory=list)
    ended_at: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)


class Application:
    """The program, started for the length of a block."""

    def __init__(self, url: str, *, clients: int = 4, pause_seconds: float = 0.0) -> None:
        """Prepare.

        Args:
            url: of the database.
            clients: how many work at once.
            pause_seconds: how long each rests after a write.
        """
        self._arguments = [str(clients), str(pause_seconds)]
        self._url = url
        self.records: tuple[Record, ...] = ()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "benchmarks.application", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdin is not None:
            self._process.stdin.write(self._url + "\n")
            self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        out, _err = self._process.communicate(timeout=60)
        if self._process.returncode == 0:
            self.records = tuple(
                Record(**{**one, "values": {int(k): v for k, v in one["values"].items()}})
                for one in json.loads(out)
            )

    @property
    def longest_ms(self) -> float:
        """How long the longest write took."""
        return max(ms for record in self.records for ms in record.latencies_ms)

    @property
    def writes(self) -> int:
        """How many writes were made."""
        return sum(len(record.latencies_ms) for record in self.records)

    @property
    def failures(self) -> list[str]:
        """The SQLSTATE of each statement that failed."""
        return [sqlstate for record in self.records for sqlstate in record.failures]

    def lost(self, connection: psycopg.Connection[Any]) -> list[str]:
        """Return what is not in version 11 as it was written: there must be nothing."""
        marks: dict[str, int] = {}
        values: dict[int, int] = {}
        for record in self.records:
            marks |= record.marks
            values |= record.values
        found = connection.execute(
            "SELECT a.dataset_hash, m.source_id FROM public.assessments AS a"
            " LEFT JOIN archive.patients_map AS m ON m.target_id = a.user_id"
            " WHERE a.model_version = %s",
            (MARK,),
        ).fetchall()
        wrong = [f"assessment {mark} is lost" for mark in marks.keys() - {m for m, _ in found}]
        wrong += [f"assessment {m} is not known" for m, _ in found if m not in marks]
        wrong += [f"assessment {m} is of another" for m, p in found if marks.get(m, p) != p]
        if len(found) != len({mark for mark, _ in found}):
            wrong.append("an assessment is there twice")
        living = dict(
            connection.execute(
                "SELECT m.source_id, t.bp_systolic FROM public.users AS t"
                " JOIN archive.patients_map AS m ON m.target_id = t.id"
            ).fetchall()
        )
        wrong += [
            f"patient {patient} has an older value"
            for patient, value in values.items()
            if living.get(patient) != value
        ]
        return wrong


def work(
    url: str, number: int, clients: int, pause_seconds: float, stop: threading.Event
) -> Record:
    """Be one client until the event is set."""
    chance = random.Random(number)
    record = Record()
    version = 10
    with psycopg.connect(url, autocommit=True) as connection:
        patients = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM public.patients WHERE id %% %s = %s ORDER BY id",
                (clients, number),
            )
        ]
        count = 0
        while not stop.is_set():
            count += 1
            began = time.perf_counter()
            if version == 10 and count % 50 == 0:  # noqa: PLR2004 - now and then
                try:
                    row = connection.execute(_SIGN_UP, {"value": count}).fetchone()
                except psycopg.Error as error:
                    version = _go_on(error, record, version)
                else:
                    if row is not None:
                        patients.append(row[0])
                        record.values[row[0]] = count
            parameters = {
                "patient": chance.choice(patients),
                "mark": f"{number}-{count}",
                "value": count,
            }
            while True:
                try:
                    _write(connection, _WRITE_10 if version == 10 else _WRITE_11, parameters)  # noqa: PLR2004
                except psycopg.Error as error:
                    version = _go_on(error, record, version)
                else:
                    break
            record.latencies_ms.append((time.perf_counter() - began) * 1000)
            record.ended_at.append(time.time())
            record.marks[str(parameters["mark"])] = parameters["patient"]
            record.values[parameters["patient"]] = count
            if pause_seconds:
                time.sleep(pause_seconds)
    return record


def _write(
    connection: psycopg.Connection[Any], statements: Sequence[str], parameters: dict[str, Any]
) -> None:
    with connection.transaction():
        for statement in statements:
            connection.execute(statement.encode(), parameters)


def _go_on(error: psycopg.Error, record: Record, version: int) -> int:
    record.failures.append(error.sqlstate or type(error).__name__)
    if version == 10 and error.sqlstate in VERSION_IS_OVER:  # noqa: PLR2004
        return 11
    raise error


def main() -> None:
    """Work until standard input ends."""
    clients, pause_seconds = int(sys.argv[1]), float(sys.argv[2])
    url = sys.stdin.readline().strip()
    stop = threading.Event()
    records: list[Record | None] = [None] * clients

    def be(number: int) -> None:
        records[number] = work(url, number, clients, pause_seconds, stop)

    threads = [threading.Thread(target=be, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    if None in records:
        sys.exit(1)
    sys.stdout.write(json.dumps([asdict(record) for record in records if record]))


if __name__ == "__main__":
    main()
