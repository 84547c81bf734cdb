"""The benchmarks: a run from nothing says all that it promises, and what it measures is fair.

No test here looks at how long anything took.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psycopg
import pytest
from benchmarks import stock as stocks
from benchmarks.client import Footprint
from benchmarks.document import document
from benchmarks.figures import figures
from benchmarks.judged import Figure, Verdict, missed
from benchmarks.laboratory import Laboratory, Sample
from benchmarks.options import Options
from benchmarks.pgbench import Transaction
from benchmarks.plot import plot
from benchmarks.processes import peak_memory_bytes, server_processes
from benchmarks.results import Machine, Results, Series
from benchmarks.run import main
from benchmarks.stock import Size, Stock
from benchmarks.under_load import Case, OnlineRun, until_answered, up_to
from benchmarks.workloads import AT_SMALL_SIZE, USUAL_WAY, Task, Workload, insert_subjects, measure

from refactorkit.errors import FailedError
from refactorkit.migrations.model import Direction
from tests.support.chain import SQL
from tests.support.servers import memory_folder

MB = 1_000_000
N, FEWER = 200, 100

COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull
    FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attnum > 0 ORDER BY attnum
"""
PARTS = """
    SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'public.users'::regclass
    UNION ALL
    SELECT conname || ' ' || pg_get_constraintdef(oid) || convalidated FROM pg_constraint
    WHERE 'public.users'::regclass IN (conrelid, confrelid)
    ORDER BY 1
"""
USERS = "SELECT t::text FROM public.users AS t ORDER BY t.id"


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    with Laboratory.open(memory_folder()) as opened:
        yield opened


@pytest.fixture(scope="module")
def stock(laboratory: Laboratory) -> Stock:
    size = Size(patients=N, assessments_per_patient=2, clinicians=None)
    return stocks.make(laboratory, SQL, size, lambda _line: None)


def ask(laboratory: Laboratory, database: str, query: str) -> list[Any]:
    with psycopg.connect(laboratory.url(database)) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_run_from_nothing_prints_and_keeps_one_document_with_every_figure(tmp_path: Path) -> None:
    data = memory_folder()
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks", "--patients", str(N), "--growth", "2",
            "--assessments-per-patient", "1", "--rounds", "2", "--online-rounds", "1",
            "--clinicians", "20", "--output", str(tmp_path), "--json",
            *([] if data is None else ["--data", str(data)]),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "results.json").read_text())
    assert (found["verdict"] == "fail") is (done.returncode == 3)
    assert (found["patients"], found["fewer_patients"], found["rounds"]) == (N, FEWER, 2)
    assert found["rows"]["assessments"] == N

    judged = {each["name"]: each["at_most"] for each in found["figures"] if each["at_most"]}
    at_most = {each["name"]: each["at_most"] for each in found["figures"]}
    assert at_most["online_failed_elsewhere"] == at_most["online_failed_kept"] == 0
    assert judged == {
        "up_to_floor": 1.5,
        "down_to_up": 1.0,
        "growth_of_up": 2.2,
        "growth_of_down": 2.2,
        "client_memory": 200.0,
        "online_memory": 200.0,
        "evidence_to_scan": 1.5,
        "evidence_memory": 200.0,
        "growth_of_online": 2.2,
        **{
            f"online_{what}{which}_{n}": most
            for what, most in (("locked", 100.0), ("stall", 250.0))
            for which in ("", "_colliding", "_kept")
            for n in (N, FEWER)
        },
    }
    assert all((each["verdict"] == "reported") is (each["at_most"] is None)
               for each in found["figures"])  # fmt: skip
    measured = {(each["workload"], each["patients"]): each for each in found["measured"]}
    assert set(measured) == {(each, N) for each in Workload} | {(w, FEWER) for w in AT_SMALL_SIZE}
    assert all(len(each["rounds"]) == 2 for each in measured.values())
    assert measured["up", N]["wal_bytes"] > 0

    for direction in ("up", "down"):
        costs = found["statements"][direction]
        assert len(costs["slowest"]) == 8 < costs["count"]
        assert all(set(each) == {"line", "text", "seconds", "cpu_seconds", "wal_bytes"}
                   for each in costs["slowest"])  # fmt: skip
        assert found["client_peak_bytes"][direction] > 10 * MB
    assert found["evidence_peak_bytes"] > 10 * MB
    assert found["archive_bytes"]["up"]["patients"] > 0
    assert "patients" not in found["archive_bytes"]["down"]
    assert found["machine"]["settings"]["fsync"] == "on"
    assert found["machine"]["cores"] >= 1
    assert "round 2 of 2" in done.stderr
    page = (tmp_path / "README.md").read_text()
    assert all(each["text"] in page for each in found["figures"])
    online = {(each["patients"], each["case"]): each for each in found["online"]}
    assert set(online) == {(n, case) for n in (N, FEWER) for case in Case}
    for (_, case), each in online.items():
        assert (each["colliding_assessments"] > 0) is (case == Case.SOME)
        assert 0 < each["locked_ms"] <= each["answered_ms"]
        assert each["neighbour_ms"] > 0
        assert each["failed_at_the_switch"] <= (0 if case == Case.KEPT else 4)
        assert ("after" in each["phases"]) is (case == Case.KEPT)
        assert each["phases"]["before"]["transactions"] > 0
    ET.parse(tmp_path / "results.svg")  # noqa: S314 - our own file


def test_the_floor_has_the_users_table_of_version_11_without_its_subjects(
    laboratory: Laboratory, stock: Stock
) -> None:
    for query in (COLUMNS, PARTS):
        assert ask(laboratory, stock.floor, query) == ask(laboratory, stock.after, query)
    aside = ask(laboratory, stock.floor, "SELECT count(*) FROM public.benchmark_subjects")[0][0]
    left = ask(laboratory, stock.floor, USERS)
    assert aside == N + 10  # the mock data's patients
    assert len(left) == len(ask(laboratory, stock.before, USERS))


def test_the_floor_writes_the_very_rows_that_up_writes(
    laboratory: Laboratory, stock: Stock
) -> None:
    with laboratory.copy(stock.floor) as name:
        insert_subjects(laboratory.dsn(name), stock)
        assert ask(laboratory, name, USERS) == ask(laboratory, stock.after, USERS)


def test_a_floor_that_writes_too_little_is_no_measurement(
    laboratory: Laboratory, stock: Stock
) -> None:
    with laboratory.copy(stock.floor) as name:
        with psycopg.connect(laboratory.url(name)) as connection:
            connection.execute("DELETE FROM public.benchmark_subjects WHERE id % 2 = 0")
        with pytest.raises(FailedError, match="did not do its work"):
            insert_subjects(laboratory.dsn(name), stock)


def test_a_verify_that_finds_something_is_no_measurement(
    laboratory: Laboratory, stock: Stock
) -> None:
    with laboratory.copy(stock.after) as name:
        with psycopg.connect(laboratory.url(name)) as connection:
            connection.execute("UPDATE public.users SET bmi = 99 WHERE id = (SELECT max(id) FROM"
                               " public.users)")  # fmt: skip
        broken = replace(stock, after=name)
        with pytest.raises(FailedError, match="did not do its work"):
            measure(laboratory, SQL, Task(workload=Workload.VERIFY, stock=broken))


def test_measuring_leaves_the_databases_of_the_stock_as_they_are(
    laboratory: Laboratory, stock: Stock
) -> None:
    before = [ask(laboratory, name, USERS) for name in (stock.before, stock.after, stock.floor)]
    for workload in Workload:
        measure(laboratory, SQL, Task(workload=workload, stock=stock))
    after = [ask(laboratory, name, USERS) for name in (stock.before, stock.after, stock.floor)]
    assert before == after
    databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'benchmark%'"
    assert ask(laboratory, "postgres", databases) == [(3,)]


def test_the_usual_way_ends_with_the_columns_of_version_11_and_every_assessment_linked(
    laboratory: Laboratory, stock: Stock
) -> None:
    with laboratory.copy(stock.before) as name:
        with psycopg.connect(laboratory.url(name)) as connection:
            connection.execute(USUAL_WAY.read_bytes())
        assert ask(laboratory, name, COLUMNS) == ask(laboratory, stock.after, COLUMNS)
        unlinked = "SELECT count(*) FROM public.assessments WHERE user_id IS NULL"
        assert ask(laboratory, name, unlinked) == [(0,)]


def test_the_cpu_time_of_a_backend_that_has_ended_is_counted(laboratory: Laboratory) -> None:
    if server_processes(os.getpid()) is None:
        pytest.skip("this system does not tell the CPU time of other processes")

    def work() -> None:
        ask(laboratory, "postgres", "SELECT count(md5(i::text)) FROM generate_series(1, 500000) i")

    cpu_seconds = laboratory.measure(work).cpu_seconds
    assert cpu_seconds is not None
    assert cpu_seconds > 0.05


def test_peak_memory_is_that_of_the_program_and_not_of_whoever_starts_it(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text("")
    (tmp_path / "large.py").write_text("kept = b'x' * 300_000_000")
    path = {"PYTHONPATH": str(tmp_path)}
    held = b"x" * 150_000_000
    assert peak_memory_bytes(["small"], path) < len(held)
    assert 300 * MB < peak_memory_bytes(["large"], path) < 450 * MB


def test_a_program_that_fails_is_no_measurement() -> None:
    with pytest.raises(FailedError, match="ended with"):
        peak_memory_bytes(["refactorkit", "up", "--no-such-option"], {})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--patients", "1"),
        ("--growth", "1"),
        ("--rounds", "0"),
        ("--output", "/no/such/folder"),
        ("--dir", "/no/such/folder"),
        ("--data", "/no/such/folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "must be between" in (said := capsys.readouterr().err) or "does not exist" in said


def test_a_transaction_that_hangs_when_measuring_ends_is_no_shorter_for_it() -> None:
    """Who stands still from the switch until the views go must be seen in the stall."""
    stuck = Transaction(ended_at=12.0, ms=2_500.0, has_failed=True)
    found = up_to(
        11.0, [Transaction(ended_at=9.0, ms=3.0), stuck, Transaction(ended_at=11.2, ms=100.0)]
    )

    assert found == [
        Transaction(ended_at=9.0, ms=3.0),
        Transaction(ended_at=11.0, ms=1_500.0),  # and it failed as it was wanted to
    ]


def test_a_lock_is_over_when_whoever_waited_for_it_is_answered() -> None:
    before, just_let_in, met, failed, after = (
        Transaction(ended_at=9.99, ms=900.0),
        Transaction(ended_at=10.001, ms=3.0),
        Transaction(ended_at=10.06, ms=58.0),
        Transaction(ended_at=10.5, ms=400.0, has_failed=True),
        Transaction(ended_at=10.07, ms=3.0),
    )
    waited = [before, just_let_in, met, failed, after]
    assert until_answered(10.0, waited) == pytest.approx(60.0)
    assert until_answered(10.0, [before, failed]) == math.inf


def online_run(patients: int, case: Case) -> OnlineRun:
    cost = 100.0 if case is Case.SOME else 0.0
    return OnlineRun(
        patients=patients, case=case, colliding_assessments=int(cost), seconds=1.0, cpu_seconds=0.5,
        locked_ms=60 + cost, answered_ms=90 + cost, neighbour_ms=50 + cost, attempts=1,
        longest_ms=70 + cost, phases={}, failed_elsewhere=0,
        failed_at_the_switch=0 if case is Case.KEPT else 4,
    )  # fmt: skip


@pytest.mark.parametrize("which", Case)
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"locked_ms": 201.0}, "locked"),
        ({"neighbour_ms": 201.0}, "locked"),
        ({"longest_ms": 351.0}, "stall"),
        ({"failed_elsewhere": 1}, "failed_elsewhere"),
        ({"seconds": 9.0}, "growth"),
    ],
)
def test_an_online_cutover_that_keeps_the_application_waiting_is_a_miss(
    which: Case, change: dict[str, Any], name: str
) -> None:
    results = made_up({})
    worse = [
        replace(run, **change) if run.patients == N and run.case is which else run
        for run in results.online
    ]
    found = figures(replace(results, online=worse))
    assert name in "".join(each.name for each in found if each.verdict is Verdict.MISS)


@pytest.mark.parametrize(("large", "by_cpu"), [(0.9, 1.8), (None, None)])
def test_the_growth_of_online_cutovers_is_told_by_cpu_time_too(
    large: float | None, by_cpu: float | None
) -> None:
    results = made_up({})
    runs = [
        replace(run, cpu_seconds=large) if run.patients == N and run.case is Case.KEPT else run
        for run in results.online
    ]
    found = {each.name: each for each in figures(replace(results, online=runs))}
    assert found["growth_of_online"].value == 1.0
    assert found["growth_of_online"].cpu_value == by_cpu


def made_up(seconds: dict[tuple[Workload, int], Sequence[float]]) -> Results:
    """Results in which everything took one second, but for what is given."""
    wanted = [(each, N) for each in Workload] + [(each, FEWER) for each in AT_SMALL_SIZE]
    return Results(
        options=Options(
            patients=N, assessments_per_patient=5, clinicians=None, growth=2, rounds=3,
            online_rounds=None, directory=SQL, output=SQL, data=None, json=False,
        ),
        machine=Machine(
            system="Plan & 9 <x>", cores=2, load=0.5, python="3", server="18 <&>", settings={}
        ),
        migration="0" * 64,
        rows={},
        series=[
            Series(
                workload=workload,
                patients=patients,
                samples=[
                    Sample(seconds=each, cpu_seconds=None, wal_bytes=0)
                    for each in seconds.get((workload, patients), (1.0, 1.0, 1.0))
                ],
            )
            for workload, patients in wanted
        ],
        scanned_rows=1000,
        footprint=Footprint(
            peak_bytes={Direction.UP: 80 * MB, Direction.DOWN: 90 * MB},
            online_peak_bytes=90 * MB,
            evidence_peak_bytes=90 * MB,
            archive_bytes={Direction.UP: {}, Direction.DOWN: {"patients_map": 3 * MB}},
        ),
        statements={Direction.UP: [], Direction.DOWN: []},
        online=[
            online_run(n, case) for n in (N, FEWER) for case in Case
        ],
        relink_ms={N: 100.0, FEWER: 100.0},
    )  # fmt: skip


def figure(results: Results, name: str) -> Figure:
    return next(each for each in figures(results) if each.name == name)


@pytest.mark.parametrize(
    ("name", "workload", "patients", "good", "bad"),
    [
        ("up_to_floor", Workload.UP, N, 1.5, 1.51),
        ("down_to_up", Workload.DOWN, N, 1.0, 1.01),
        ("growth_of_up", Workload.UP, N, 2.2, 2.21),
        ("growth_of_down", Workload.DOWN, N, 2.2, 2.21),
        ("evidence_to_scan", Workload.EVIDENCE, N, 1.5, 1.51),
    ],
)
def test_a_median_above_its_bar_is_a_miss(
    name: str, workload: Workload, patients: int, good: float, bad: float
) -> None:
    for middle, verdict in ((good, Verdict.PASS), (bad, Verdict.MISS)):
        results = made_up({(workload, patients): (0.1, middle, 900.0)})
        assert figure(results, name).verdict is verdict
    assert missed(figures(results))
    assert document(results, figures(results))["verdict"] == "fail"


def test_too_much_memory_is_a_miss_and_a_quiet_run_is_a_pass() -> None:
    results = made_up({})
    assert not missed(figures(results))
    assert document(results, figures(results))["verdict"] == "pass"
    greedy = replace(
        results.footprint, peak_bytes={Direction.UP: 201 * MB, Direction.DOWN: 20 * MB}
    )
    assert figure(replace(results, footprint=greedy), "client_memory").verdict is Verdict.MISS


def test_the_picture_has_a_bar_for_every_time_and_every_judged_figure() -> None:
    results = made_up({(Workload.UP, N): (9.0, 9.0, 9.0)})
    found = figures(results)
    picture = ET.fromstring(plot(results, found))  # noqa: S314 - our own text
    svg = "{http://www.w3.org/2000/svg}"
    judged = sum(bool(each.bar) for each in found)
    assert len(picture.findall(f"{svg}rect")) == 1 + len(Workload) + judged
    assert len(picture.findall(f"{svg}line")) == judged
    assert all(float(each.get("width") or 0) > 0 for each in picture.findall(f"{svg}rect"))
    assert "18 <&>" in "".join(picture.itertext())
