"""The figures that the measurements give, and what each must reach. Pure."""

from typing import Final

from benchmarks.judged import MORE_THAN_LINEAR, Figure
from benchmarks.online_figures import online_figures
from benchmarks.results import Results, Series
from benchmarks.workloads import Workload
from refactorkit.migrations.model import Direction

MEGA: Final = 1_000_000
_MOST_OF_FLOOR: Final = 1.5
_MOST_OF_SCAN: Final = 1.5
_MOST_OF_UP: Final = 1.0
_MOST_OF_USUAL_WAY: Final = 0.1
_USUAL_WAY_IS_JUDGED_FROM: Final = 1_000_000  # patients: its price grows faster than ours
_MOST_MEMORY_MB: Final = 200.0


def figures(results: Results) -> tuple[Figure, ...]:
    """Return all figures of a run, those with a bar first."""
    options = results.options
    n, fewer = options.patients, options.fewer_patients

    def at(workload: Workload, patients: int = n) -> Series:
        return results.find(workload, patients)

    growth = n / fewer
    most_growth = growth * MORE_THAN_LINEAR
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
        Figure(name="online_memory", text="peak memory of cutover --online",
               value=results.footprint.online_peak_bytes / MEGA, unit="MB",
               bar=_MOST_MEMORY_MB),
        _ratio("evidence_to_scan", "evidence / reading its rows as text",
               at(Workload.EVIDENCE), at(Workload.EVIDENCE_SCAN), bar=_MOST_OF_SCAN),
        Figure(name="evidence_memory", text="peak memory of audit anchor",
               value=results.footprint.evidence_peak_bytes / MEGA, unit="MB",
               bar=_MOST_MEMORY_MB),
        _ratio("edited_to_unedited", "down with 1% edited / nothing edited",
               at(Workload.DOWN_EDITED), at(Workload.DOWN)),
        _ratio("up_to_usual_way", "up / the usual way", up, at(Workload.USUAL_WAY),
               bar=_MOST_OF_USUAL_WAY if n >= _USUAL_WAY_IS_JUDGED_FROM else None),
        _ratio("scan_to_verify", "speed of verify / of a scan of the same text",
               at(Workload.SCAN), at(Workload.VERIFY)),
        Figure(name="verify_rows_per_second", text="verify",
               value=results.scanned_rows / at(Workload.VERIFY).seconds, unit="rows/s"),
        Figure(name="archive_after_down", text="archive after a down, nothing edited",
               value=sum(after_down.values()) / MEGA, unit="MB"),
        _ratio("up_to_floor_small", f"up / inserting the subjects alone, {fewer:,} patients",
               at(Workload.UP, fewer), at(Workload.FLOOR, fewer)),
        *online_figures(results.online, results.relink_ms, (n, fewer)),
    )  # fmt: skip


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
