"""The figures of the online cutover, and what each must reach. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.judged import MORE_THAN_LINEAR, Figure
from benchmarks.under_load import Case, OnlineRun

_MOST_LOCKED_MS: Final = 100.0
_MOST_STALL_MS: Final = 250.0


def online_figures(
    runs: Sequence[OnlineRun], relink_ms: Mapping[int, float], patients: Sequence[int]
) -> tuple[Figure, ...]:
    """Return the figures, medians of the rounds.

    Args:
        runs: of all sizes and cases.
        relink_ms: by size, what the colliding assessments cost alone.
        patients: the sizes; where they are two, the larger one first.
    """
    made: list[Figure] = []
    for n in patients:
        for name, text, bar, value in (
            ("locked", "switch locked", _MOST_LOCKED_MS, _locked),
            ("stall", "longest stall", _MOST_STALL_MS, _stall),
        ):
            for case, which, words, apart in (
                (Case.NONE, "", "no id collides", 0.0),
                (Case.SOME, "_colliding", "less colliding rows", relink_ms[n]),
                (Case.KEPT, "_kept", "version 10 kept", 0.0),
            ):
                made.append(
                    Figure(
                        name=f"online_{name}{which}_{n}",
                        text=f"{text}, {words}, {n:,} patients",
                        value=_median(_of(runs, n, case), value) - apart,
                        unit="ms",
                        bar=bar,
                    )
                )
        made.append(
            Figure(
                name=f"online_colliding_cost_{n}",
                text=f"colliding rows alone, {n:,} patients",
                value=relink_ms[n],
                unit="ms",
            )
        )
    if len(patients) == 2:  # noqa: PLR2004 - the large size and the small one
        growth = patients[0] / patients[1]
        made.append(
            Figure(
                name="growth_of_online",
                text=f"online cutover, {growth:.3g} times the patients, worst case",
                value=_most_growth(runs, patients, lambda run: run.seconds),
                unit="x",
                bar=growth * MORE_THAN_LINEAR,
                cpu_value=None
                if any(run.cpu_seconds is None for run in runs)
                else _most_growth(runs, patients, lambda run: run.cpu_seconds or 0.0),
            )
        )
    made += [
        Figure(
            name="online_failed_elsewhere",
            text="transactions that failed before or after the switch",
            value=float(sum(run.failed_elsewhere for run in runs)),
            unit="",
            bar=0.0,
        ),
        Figure(
            name="online_failed_kept",
            text="transactions that failed at the switch, version 10 kept",
            value=float(sum(run.failed_at_the_switch for run in runs if run.case is Case.KEPT)),
            unit="",
            bar=0.0,
        ),
    ]
    return tuple(made)


def _locked(run: OnlineRun) -> float:
    """Return what is known of the lock, and never less than somebody waited for it."""
    return max(run.locked_ms, run.neighbour_ms)


def _stall(run: OnlineRun) -> float:
    return run.longest_ms


def _most_growth(
    runs: Sequence[OnlineRun], patients: Sequence[int], value: Callable[[OnlineRun], float]
) -> float:
    """Return by how much the medians of the two sizes differ, in the case where it is most."""
    large, small = patients
    return max(
        _median(_of(runs, large, case), value) / _median(_of(runs, small, case), value)
        for case in Case
    )


def _of(runs: Sequence[OnlineRun], patients: int, case: Case) -> list[OnlineRun]:
    return [run for run in runs if (run.patients, run.case) == (patients, case)]


def _median(runs: Sequence[OnlineRun], value: Callable[[OnlineRun], float]) -> float:
    return statistics.median(value(run) for run in runs)
