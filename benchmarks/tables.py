"""The results as tables for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from benchmarks.figures import MEGA
from benchmarks.judged import Figure, Verdict
from benchmarks.results import Results, Series
from benchmarks.workloads import MEANING
from refactorkit.cli.render import table

_STYLES = {Verdict.PASS: "green", Verdict.MISS: "bold red", Verdict.REPORTED: "dim"}


def tables(results: Results, found: tuple[Figure, ...]) -> RenderableType:
    """Return what was measured, the figures with their bars, and a line about the machine."""
    measured = table("patients", "what", "seconds", "fastest", "slowest", "server CPU", "WAL MB")
    for series in results.series:
        measured.add_row(*_cells(series))
    judged = table("figure", "value", "at most", "", "by CPU time")
    for figure in found:
        judged.add_row(
            figure.text,
            number(figure.value, figure.unit),
            "" if figure.bar is None else number(figure.bar, figure.unit),
            Text(figure.verdict.value, style=_STYLES[figure.verdict]),
            "" if figure.cpu_value is None else number(figure.cpu_value, figure.unit),
        )
    machine = results.machine
    about = Text(
        f"PostgreSQL {machine.server}, fsync {machine.settings.get('fsync', '?')}, "
        f"{machine.cores} cores, medians of {results.options.rounds}, "
        f"load before {machine.load:.2f}"
    )
    return Group(measured, Text(), judged, Text(), about)


def number(value: float, unit: str) -> str:
    """Return a number with its unit, in at least three digits."""
    digits = 2 if abs(value) < 100 else 0  # noqa: PLR2004
    return f"{value:,.{digits}f} {unit}"


def _cells(series: Series) -> tuple[str, ...]:
    seconds = [sample.seconds for sample in series.samples]
    cpu = series.cpu_seconds
    return (
        f"{series.patients:,}",
        MEANING[series.workload],
        f"{series.seconds:.2f}",
        f"{min(seconds):.2f}",
        f"{max(seconds):.2f}",
        "" if cpu is None else f"{cpu:.2f}",
        f"{series.wal_bytes / MEGA:.0f}",
    )
