"""Nobody fails: version 10 works through the online switch, prepared statements and all."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import psycopg
import pytest

from refactorkit.commands.chain import Limits
from refactorkit.commands.down import DownRequest, down
from refactorkit.commands.former import DropFormerRequest, drop_former
from refactorkit.commands.online import Phase, Progress, cutover
from refactorkit.commands.verdict import Verdict
from refactorkit.postgres.lock_waits import LockLimits
from tests.support.clinic import open_clinic
from tests.support.former import application, seen, switch
from tests.support.online import request
from tests.support.refactor import turn

MakeDatabase = Callable[[int], str]
CLIENTS = 3
STATEMENTS = (
    (
        "INSERT INTO assessments (patient_id, dataset_hash) VALUES (%(patient)s, %(mark)s)"
        " RETURNING id"
    ),
    "UPDATE patients SET bp_systolic = %(value)s, updated_at = now() WHERE id = %(patient)s",
    "SELECT p.*, u.email FROM patients AS p JOIN users AS u ON u.id = p.user_id WHERE p.id = %(patient)s",  # noqa: E501
    "UPDATE users SET last_login_at = now() WHERE id = %(owner)s",
    "SELECT a.* FROM assessments AS a WHERE a.patient_id = %(patient)s ORDER BY a.id DESC LIMIT 2",
)


@dataclass(kw_only=True)
class Client:
    """One that works on patients and an owner of its own.

    Attributes:
        prepare: let the server keep the statements, from the first call on.
        failures: what went wrong, by SQLSTATE and statement.
        values: the last value of each patient.
        marks: whose each assessment is.
    """

    number: int
    url: str
    prepare: bool
    stop: threading.Event
    failures: list[str] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)

    def work(self) -> None:
        with application(self.url) as connection:
            patients = [
                row[0]
                for row in connection.execute(
                    "SELECT id FROM patients WHERE mod(abs(id), %s) = %s", (CLIENTS, self.number)
                )
            ]
            owner = connection.execute(
                "SELECT id FROM users ORDER BY id LIMIT 1 OFFSET %s", (self.number,)
            ).fetchone()
            count = 0
            while not self.stop.is_set():
                count += 1
                patient = patients[count % len(patients)]
                mark = f"{self.number}-{count}"
                try:
                    with connection.transaction():
                        for statement in STATEMENTS:
                            connection.execute(
                                statement.encode(),
                                {"patient": patient, "value": count, "mark": mark,
                                 "owner": owner and owner[0]},
                                prepare=self.prepare,
                            )  # fmt: skip
                        if count % 20 == 0:
                            (new,) = connection.execute(
                                "INSERT INTO patients (name, user_id) VALUES (%s, %s) RETURNING id",
                                (mark, owner and owner[0]),
                                prepare=self.prepare,
                            ).fetchone() or (0,)
                except psycopg.Error as error:
                    self.failures.append(f"{error.sqlstate} {error}")
                    continue
                self.values[patient], self.marks[mark] = count, patient
                if count % 20 == 0:
                    patients.append(new)


def test_no_transaction_of_version_10_fails_over_an_online_cutover(
    make_database: MakeDatabase,
) -> None:
    url = make_database(10)
    open_clinic(url)
    stop = threading.Event()
    clients = [Client(number=n, url=url, prepare=n != 0, stop=stop) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.work) for client in clients]
    at_switch: list[int] = []

    def watch(progress: Progress) -> None:
        if progress.phase is Phase.SWITCH:
            at_switch.append(sum(len(client.marks) for client in clients))

    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        result = cutover(
            replace(request(url, max_lock_ms=150, retries=20), keep_former=True), watch
        )
        time.sleep(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [failure for client in clients for failure in client.failures] == []
    assert result.verdict is Verdict.PASS
    written = sum(len(client.marks) for client in clients)
    assert at_switch[0] > 20
    assert written > at_switch[-1] + 20
    with application(url) as ten:
        _all_is_there(ten, clients)
        now = seen(ten)
    with psycopg.connect(url) as connection:
        turn(connection, "down")
    with application(url) as ten:
        _all_is_there(ten, clients)
        assert seen(ten) == now


def _all_is_there(ten: psycopg.Connection, clients: list[Client]) -> None:
    values = {p: v for client in clients for p, v in client.values.items()}
    marks = {m: p for client in clients for m, p in client.marks.items()}
    rows = ten.execute("SELECT id, bp_systolic FROM patients").fetchall()
    assert {p: v for p, v in rows if p in values} == values
    found = ten.execute(
        "SELECT dataset_hash, patient_id FROM assessments WHERE dataset_hash LIKE '%-%'"
    ).fetchall()
    assert len(found) == len(marks)
    assert dict(found) == marks


@pytest.fixture
def at_work(make_database: MakeDatabase) -> Iterator[tuple[str, list[Client]]]:
    """A database after the switch, and clients that never rest."""
    url = make_database(10)
    open_clinic(url)
    switch(url)
    stop = threading.Event()
    clients = [Client(number=n, url=url, prepare=True, stop=stop) for n in range(CLIENTS)]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        yield url, clients
    finally:
        stop.set()
        for thread in threads:
            thread.join()


SHORT = Limits(locks=LockLimits(timeout_ms=1_000, retries=0))


def test_the_views_go_while_the_application_still_uses_them(
    at_work: tuple[str, list[Client]],
) -> None:
    """Whoever holds one view and wants the next does not wait for us while we wait for them."""
    url, clients = at_work
    assert sum(len(client.marks) for client in clients) > 20

    done = drop_former(DropFormerRequest(chain=request(url).chain, limits=SHORT))

    assert done.dropped
    time.sleep(0.2)
    failures = {failure[:5] for client in clients for failure in client.failures}
    assert failures <= {"42P01", "42703"}  # what there is without the views


def test_the_way_back_finds_its_locks_too(at_work: tuple[str, list[Client]]) -> None:
    url, clients = at_work
    assert sum(len(client.marks) for client in clients) > 20

    down(DownRequest(chain=request(url).chain, limits=SHORT))

    written = sum(len(client.marks) for client in clients)
    time.sleep(0.5)
    assert sum(len(client.marks) for client in clients) > written  # in the tables, as before
    assert [failure for client in clients for failure in client.failures] == []


def test_one_patient_is_found_by_indexes(make_database: MakeDatabase) -> None:
    url = make_database(10)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO patients (name, user_id) SELECT 'P ' || n, 1 + n % 3"
            " FROM generate_series(1, 5000) AS n"
        )
        connection.execute(
            "INSERT INTO assessments (patient_id, fbs) SELECT p.id, 5 FROM patients AS p,"
            " generate_series(1, 3)"
        )
        switch(url)
        connection.execute("VACUUM ANALYZE")
    with application(url) as ten:
        for query in (
            "SELECT * FROM patients WHERE id = 1234",
            "SELECT * FROM assessments WHERE patient_id = 1234",
            "SELECT * FROM assessments WHERE id = 1234",
            "SELECT a.* FROM patients AS p JOIN assessments AS a ON a.patient_id = p.id"
            " WHERE p.id = 1234",
            "UPDATE patients SET age = 3 WHERE id = 1234",
            "SELECT * FROM users WHERE email = 'demo.clinician@mock.invalid'",
            "SELECT * FROM users WHERE id = 1",
        ):
            lines = (row[0] for row in ten.execute(f"EXPLAIN {query}".encode()))
            plan = "\n".join(line for line in lines if "patients_turns" not in line)
            assert "Seq Scan" not in plan, plan
