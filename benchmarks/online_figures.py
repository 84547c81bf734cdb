"""The figures of the online cutover, and what each must reach. Pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.judged import MORE_THAN_LINEAR, Figure
from benchmarks.under_load import Collisions, OnlineRun

_MOST_LOCKED_MS: Final = 100.0
_MOST_STALL_MS: Final = 250.0


def online_figures(
    runs: Sequence[OnlineRun], relink_ms: Mapping[int, float], patients: Sequence[int]
) -> tuple[Figure, ...]:
    """Return the figures, medians of the rounds.

    Args:
        runs: of all sizes, with and without collisions.
        relink_ms: by size, what the colliding assessments cost alone.
        patients: the sizes; where they are two, the larger one first.
    """
    made: list[Figure] = []
    for n in patients:
        apart = [run for run in runs if (run.patients, run.collisions) == (n, Collisions.NONE)]
        colliding = [run for run in runs if (run.patients, run.collisions) == (n, Collisions.SOME)]
        for name, text, bar, value in (
            ("locked", "switch locked", _MOST_LOCKED_MS, _locked),
            ("stall", "longest stall", _MOST_STALL_MS, _stall),
        ):
            made += [
                Figure(
                    name=f"online_{name}_{n}",
                    text=f"{text}, no id collides, {n:,} patients",
                    value=_median(apart, value),
                    unit="ms",
                    bar=bar,
                ),
                Figure(
                    name=f"online_{name}_colliding_{n}",
                    text=f"{text}, less colliding rows, {n:,} patients",
                    value=_median(colliding, value) - relink_ms[n],
                    unit="ms",
                    bar=bar,
                ),
            ]
        made.append(
            Figure(
                name=f"online_colliding_cost_{n}",
                text=f"colliding rows alone, {n:,} patients",
                value=relink_ms[n],
                unit="ms",
            )
        )
    if len(patients) == 2:  # noqa: PLR2004 - the large size and the small one
        large, small = (
            _median([run for run in runs if run.patients == n], _seconds) for n in patients
        )
        growth = patients[0] / patients[1]
        made.append(
            Figure(
                name="growth_of_online",
                text=f"online cutover with {growth:.3g} times the patients",
                value=large / small,
                unit="x",
                bar=growth * MORE_THAN_LINEAR,
            )
        )
    made.append(
        Figure(
            name="online_failed_elsewhere",
            text="transactions that failed before or after the switch",
            value=float(sum(run.failed_elsewhere for run in runs)),
            unit="",
            bar=0.0,
        )
    )
    return tuple(made)


def _locked(run: OnlineRun) -> float:
    """Return the longer of what the server's clock and what the neighbour say."""
    return max(run.locked_ms, run.neighbour_ms)


def _seconds(run: OnlineRun) -> float:
    return run.seconds


def _stall(run: OnlineRun) -> float:
    return run.longest_ms


def _median(runs: Sequence[OnlineRun], value: Callable[[OnlineRun], float]) -> float:
    return statistics.median(value(run) for run in runs)
