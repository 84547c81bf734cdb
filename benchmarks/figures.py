"""The figures that the measurements give, and what each must reach. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.results import Results, Series
from benchmarks.workloads import Workload
from refactorkit.migrations.model import Direction

MEGA: Final = 1_000_000
_MOST_OF_FLOOR: Final = 1.5
_MOST_OF_SCAN: Final = 1.5
_MOST_OF_UP: Final = 1.0
_MORE_THAN_LINEAR: Final = 1.1  # ten times the patients, eleven times as long
_MOST_MEMORY_MB: Final = 200.0


class Verdict(StrEnum):
    """What became of a bar."""

    PASS = "pass"  # noqa: S105
    MISS = "miss"
    REPORTED = "reported"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that people look at.

    Attributes:
        name: for programs.
        text: for people.
        value: by the wall clock, where it is of times.
        unit: ``x`` for a ratio, else what is counted.
        bar: the most that it may be; None where it is only reported.
        cpu_value: the same of the server's CPU time, which other work on the machine disturbs
            less; for information, never judged. None where there is no such thing.
    """

    name: str
    text: str
    value: float
    unit: str
    bar: float | None = None
    cpu_value: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the bar was reached."""
        if self.bar is None:
            return Verdict.REPORTED
        return Verdict.PASS if self.value <= self.bar else Verdict.MISS


def figures(results: Results) -> tuple[Figure, ...]:
    """Return all figures of a run, those with a bar first."""
    options = results.options
    n, fewer = options.patients, options.fewer_patients

    def at(workload: Workload, patients: int = n) -> Series:
        return results.find(workload, patients)

    growth = n / fewer
    most_growth = growth * _MORE_THAN_LINEAR
    peak = max(results.footprint.peak_bytes.values()) / MEGA
    up = at(Workload.UP)
    after_down = results.footprint.archive_bytes[Direction.DOWN]
    return (
        _ratio("up_to_floor", "up / inserting the subjects alone", up, at(Workload.FLOOR),
               bar=_MOST_OF_FLOOR),
        _ratio("down_to_up", "down / up", at(Workload.DOWN), up, bar=_MOST_OF_UP),
        _ratio("growth_of_up", f"up with {growth:.3g} times the patients",
               up, at(Workload.UP, fewer), bar=most_growth),
        _ratio("growth_of_down", f"down with {growth:.3g} times the patients",
               at(Workload.DOWN), at(Workload.DOWN, fewer), bar=most_growth),
        Figure(name="client_memory", text="peak memory of the client", value=peak, unit="MB",
               bar=_MOST_MEMORY_MB),
        _ratio("evidence_to_scan", "evidence / reading its rows as text",
               at(Workload.EVIDENCE), at(Workload.EVIDENCE_SCAN), bar=_MOST_OF_SCAN),
        Figure(name="evidence_memory", text="peak memory of audit anchor",
               value=results.footprint.evidence_peak_bytes / MEGA, unit="MB",
               bar=_MOST_MEMORY_MB),
        _ratio("edited_to_unedited", "down with 1% edited / nothing edited",
               at(Workload.DOWN_EDITED), at(Workload.DOWN)),
        _ratio("usual_way_to_up", "the usual way / up", at(Workload.USUAL_WAY), up),
        _ratio("scan_to_verify", "speed of verify / of a scan of the same text",
               at(Workload.SCAN), at(Workload.VERIFY)),
        Figure(name="verify_rows_per_second", text="verify",
               value=results.scanned_rows / at(Workload.VERIFY).seconds, unit="rows/s"),
        Figure(name="archive_after_down", text="archive after a down, nothing edited",
               value=sum(after_down.values()) / MEGA, unit="MB"),
        _ratio("up_to_floor_small", f"up / inserting the subjects alone, {fewer:,} patients",
               at(Workload.UP, fewer), at(Workload.FLOOR, fewer)),
    )  # fmt: skip


def missed(found: tuple[Figure, ...]) -> bool:
    """Tell whether any bar was missed."""
    return any(figure.verdict is Verdict.MISS for figure in found)


def _ratio(name: str, text: str, above: Series, below: Series, bar: float | None = None) -> Figure:
    cpu_above, cpu_below = above.cpu_seconds, below.cpu_seconds
    return Figure(
        name=name,
        text=text,
        value=above.seconds / below.seconds,
        unit="x",
        bar=bar,
        cpu_value=cpu_above / cpu_below if cpu_above is not None and cpu_below else None,
    )
