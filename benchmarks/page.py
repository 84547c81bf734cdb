"""The results as a page: benchmarks/README.md is this, and nobody writes it by hand."""

from typing import Final

from benchmarks.judged import Figure, Verdict
from benchmarks.results import Results, Series
from benchmarks.tables import number
from benchmarks.under_load import OnlineRun
from benchmarks.workloads import MEANING

_ONLINE: Final = (
    "An online cutover runs while four clients of pgbench insert an assessment, edit a patient and"
    " read, without a pause, each with patients of its own: no client waits for another, nor fails"
    " because of it. The longest of their transactions is the stall, those that met the"
    " switch and failed included. *Locked* is from the first lock, by the server's clock, until a"
    " reader of `users` is answered who waits for it; *answered*, until COMMIT is: before that the"
    " server removes files, and has let the locks go. Every committed assessment is counted again"
    " afterwards. *Less colliding rows*:"
    " without what their statement takes alone, which is measured apart. *Its CPU* is that of the"
    " cutover's own server process until the last foreign key is validated: the application's waits"
    " and its load are not in it. Where version 10 is kept,"
    " its application goes on for a second after the cutover, until the views are taken away."
)
_HEAD: Final = (
    "| patients | | colliding assessments | seconds | its CPU | locked ms | answered ms"
    " | reader ms | stall ms | failed at the switch, elsewhere |"
)
_WORDS: Final = {Verdict.PASS: "reached", Verdict.MISS: "**missed**", Verdict.REPORTED: ""}


def page(results: Results, found: tuple[Figure, ...]) -> str:
    """Return the page, in Markdown."""
    options, machine = results.options, results.machine
    command = (
        "Made by `uv run python -m benchmarks"
        f" --patients {options.patients} --growth {options.growth}`; not to be edited."
    )
    about = (
        f"PostgreSQL {machine.server}, fsync {machine.settings.get('fsync', '?')},"
        f" {machine.cores} cores ({machine.system}), load before {machine.load:.2f}; medians of"
        f" {options.rounds}, of online cutovers {options.online_rounds or options.rounds}."
        f" {options.patients:,} and {options.fewer_patients:,} patients,"
        f" {options.assessments_per_patient} assessments each."
    )
    lines = [
        "# Benchmarks",
        "",
        command,
        "",
        about,
        "",
        "![Results](results.svg)",
        "",
        "| figure | value | by CPU time | at most | |",
        "| --- | ---: | ---: | ---: | --- |",
        *(_figure(figure) for figure in found),
        "",
        "| patients | what | seconds | server CPU |",
        "| ---: | --- | ---: | ---: |",
        *(_series(series) for series in results.series),
        "",
        _ONLINE,
        "",
        _HEAD,
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
        *(_online(run) for run in results.online),
    ]
    return "\n".join(lines) + "\n"


def _figure(figure: Figure) -> str:
    bar = "" if figure.bar is None else number(figure.bar, figure.unit)
    value = number(figure.value, figure.unit)
    cpu = "" if figure.cpu_value is None else number(figure.cpu_value, figure.unit)
    return f"| {figure.text} | {value} | {cpu} | {bar} | {_WORDS[figure.verdict]} |"


def _series(series: Series) -> str:
    cpu = _seconds(series.cpu_seconds)
    return f"| {series.patients:,} | {MEANING[series.workload]} | {series.seconds:.2f} | {cpu} |"


def _seconds(known: float | None) -> str:
    return "" if known is None else f"{known:.2f}"


def _online(run: OnlineRun) -> str:
    return (
        f"| {run.patients:,} | {run.case} | {run.colliding_assessments:,} | {run.seconds:.1f}"
        f" | {_seconds(run.cpu_seconds)}"
        f" | {run.locked_ms:.0f} | {run.answered_ms:.0f} | {run.neighbour_ms:.0f}"
        f" | {run.longest_ms:.0f} | {run.failed_at_the_switch}, {run.failed_elsewhere} |"
    )
