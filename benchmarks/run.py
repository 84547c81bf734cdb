"""The course of a run: databases from nothing, rounds of measurements, figures, files."""

import hashlib
import json
import os
import platform
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from benchmarks.client import footprint
from benchmarks.document import document
from benchmarks.figures import figures
from benchmarks.judged import missed
from benchmarks.laboratory import Laboratory, Sample
from benchmarks.options import Options, parse
from benchmarks.page import page
from benchmarks.plot import plot
from benchmarks.results import Machine, Results, Series
from benchmarks.statements import statement_costs
from benchmarks.stock import AFTER, Size, Stock, make
from benchmarks.tables import tables
from benchmarks.under_load import Case, OnlineRun, measure_online, measure_relink
from benchmarks.workloads import Task, measure, scanned_rows, tasks
from refactorkit.cli import logging
from refactorkit.cli.render import emit_error, print_json, stderr_console, stdout_console
from refactorkit.commands.atomic_file import write_atomically
from refactorkit.errors import RefactorkitError
from refactorkit.migrations.model import Direction
from refactorkit.postgres import server_errors

MISSED: Final = 3
_QUIET: Final = 0.7
DOCUMENT, PICTURE, PAGE = "results.json", "results.svg", "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write results.json, results.svg and README.md; return the exit code.

    Args:
        arguments: of the command line; None means those of this process.
    """
    logging.configure(logging.LogLevel.WARNING)
    as_json = False
    try:
        options = parse(arguments)
        as_json = options.json
        with server_errors.explained(doing="The benchmark", state=""):
            results = run(options, _reporter(stderr_console()))
    except RefactorkitError as error:
        return emit_error(error, as_json=as_json, is_check=True)
    return _publish(results)


def run(options: Options, report: Callable[[str], None]) -> Results:
    """Measure everything, on a server of its own that is gone afterwards.

    Args:
        options: what.
        report: is told, line by line, how far it is.

    Raises:
        RefactorkitError: as the commands that are measured.
        psycopg.Error: the server refused something that only benchmarks do; see ``main``.
    """
    with (
        tempfile.TemporaryDirectory(prefix="refactorkit-benchmarks-") as kept,
        Laboratory.open(options.data) as laboratory,
    ):
        # The same files for the whole run, whatever is edited meanwhile.
        directory = shutil.copytree(options.directory, Path(kept) / "sql")
        machine = _machine(laboratory)
        if machine.load > _QUIET:
            report(f"load {machine.load:.2f}: other work on this machine makes the times uncertain")
        small, large = (
            make(laboratory, directory, _size(options, patients), report)
            for patients in (options.fewer_patients, options.patients)
        )
        series = _rounds(laboratory, directory, tasks(large, small), options.rounds, report)
        online = _online(laboratory, directory, (large, small), options, report)
        relinked = {
            stock.size.patients: statistics.median(
                measure_relink(laboratory, stock) for _ in range(options.rounds)
            )
            for stock in (large, small)
        }
        report("memory of the client, size of the archive")
        found = footprint(laboratory, directory, large)
        report("statement by statement")
        return Results(
            options=options,
            machine=machine,
            migration=_checksum(directory),
            rows=large.rows,
            series=series,
            scanned_rows=scanned_rows(laboratory, large),
            footprint=found,
            statements={
                direction: statement_costs(laboratory, directory, large, direction)
                for direction in Direction
            },
            online=online,
            relink_ms=relinked,
        )


def _rounds(
    laboratory: Laboratory,
    directory: Path,
    course: Sequence[Task],
    rounds: int,
    report: Callable[[str], None],
) -> tuple[Series, ...]:
    samples: list[list[Sample]] = [[] for _ in course]
    for number in range(rounds):
        order = list(enumerate(course))
        for index, task in order if number % 2 == 0 else reversed(order):
            sample = measure(laboratory, directory, task)
            samples[index].append(sample)
            where = f"round {number + 1} of {rounds}, {task.stock.size.patients:,} patients"
            report(f"{where}: {task.workload} {sample.seconds:.2f} s")
    return tuple(
        Series(workload=task.workload, patients=task.stock.size.patients, samples=measured)
        for task, measured in zip(course, samples, strict=True)
    )


def _online(
    laboratory: Laboratory,
    directory: Path,
    stocks: Sequence[Stock],
    options: Options,
    report: Callable[[str], None],
) -> tuple[OnlineRun, ...]:
    found = []
    rounds = options.online_rounds or options.rounds
    for number in range(rounds):
        for stock in stocks:
            for case in Case:
                run = measure_online(laboratory, directory, stock, case)
                found.append(run)
                report(
                    f"round {number + 1} of {rounds}, {run.patients:,} patients: online cutover"
                    f" {run.seconds:.1f} s, locked {run.locked_ms:.0f} ms,"
                    f" longest stall {run.longest_ms:.0f} ms"
                    f" ({run.case})"
                )
    return tuple(found)


def _publish(results: Results) -> int:
    found = figures(results)
    made = document(results, found)
    folder = results.options.output
    write_atomically(folder / DOCUMENT, _json(made))
    write_atomically(folder / PICTURE, plot(results, found).encode())
    write_atomically(folder / PAGE, page(results, found).encode())
    if results.options.json:
        print_json(made)
    else:
        stdout_console().print(tables(results, found))
    return MISSED if missed(found) else 0


def _json(made: dict[str, Any]) -> bytes:
    return (json.dumps(made, indent=2) + "\n").encode()


def _size(options: Options, patients: int) -> Size:
    return Size(
        patients=patients,
        assessments_per_patient=options.assessments_per_patient,
        clinicians=options.clinicians,
    )


def _checksum(directory: Path) -> str:
    (file,) = directory.glob(f"{AFTER:04}_*.sql")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _machine(laboratory: Laboratory) -> Machine:
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        load=os.getloadavg()[0],
        python=platform.python_version(),
        server=laboratory.version,
        settings=laboratory.settings(),
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reporter(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(Text(line, style="dim"))
