"""The results as one JSON document: what programs read, and what results.json holds."""

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.judged import Figure, missed
from benchmarks.laboratory import Sample
from benchmarks.results import Results, Series
from benchmarks.statements import StatementCost
from benchmarks.under_load import OnlineRun
from benchmarks.workloads import MEANING

_SHOWN_STATEMENTS: Final = 8


def document(results: Results, found: tuple[Figure, ...]) -> dict[str, Any]:
    """Return the document; times are in seconds, sizes in bytes unless a unit says otherwise."""
    options, machine = results.options, results.machine
    return {
        "verdict": "fail" if missed(found) else "pass",
        "figures": [figure_document(figure) for figure in found],
        "patients": options.patients,
        "fewer_patients": options.fewer_patients,
        "assessments_per_patient": options.assessments_per_patient,
        "rounds": options.rounds,
        "rows": dict(results.rows),
        "machine": {
            "system": machine.system,
            "cores": machine.cores,
            "load_before": machine.load,
            "python": machine.python,
            "postgresql": machine.server,
            "settings": dict(machine.settings),
        },
        "migration_sha256": results.migration,
        "measured": [_series(series) for series in results.series],
        "statements": {
            str(direction): _statements(costs) for direction, costs in results.statements.items()
        },
        "client_peak_bytes": {str(d): size for d, size in results.footprint.peak_bytes.items()},
        "online_peak_bytes": results.footprint.online_peak_bytes,
        "evidence_peak_bytes": results.footprint.evidence_peak_bytes,
        "online": [online_document(run) for run in results.online],
        "colliding_rows_ms": {str(n): round(ms, 1) for n, ms in results.relink_ms.items()},
        "archive_bytes": {str(d): dict(t) for d, t in results.footprint.archive_bytes.items()},
    }


def figure_document(figure: Figure) -> dict[str, Any]:
    """Return one figure as JSON can hold it."""
    return {
        "name": figure.name,
        "text": figure.text,
        "value": round(figure.value, 3),
        "unit": figure.unit,
        "at_most": figure.bar,
        "verdict": figure.verdict.value,
        "by_cpu_time": None if figure.cpu_value is None else round(figure.cpu_value, 3),
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "workload": series.workload.value,
        "text": MEANING[series.workload],
        "patients": series.patients,
        "seconds": round(series.seconds, 3),
        "cpu_seconds": _rounded(series.cpu_seconds),
        "wal_bytes": series.wal_bytes,
        "rounds": [_sample(sample) for sample in series.samples],
    }


def _statements(costs: Sequence[StatementCost]) -> dict[str, Any]:
    slowest = sorted(costs, key=lambda cost: -cost.cost.seconds)[:_SHOWN_STATEMENTS]
    total = sum(cost.cost.seconds for cost in costs)
    return {
        "count": len(costs),
        "seconds": round(total, 3),
        "slowest": [
            {"line": cost.line, "text": cost.text, **_sample(cost.cost)} for cost in slowest
        ],
        "other_seconds": round(total - sum(cost.cost.seconds for cost in slowest), 3),
    }


def online_document(run: OnlineRun) -> dict[str, Any]:
    """Return one online cutover as JSON can hold it; times in milliseconds but for seconds."""
    return {
        "patients": run.patients,
        "case": run.case.value,
        "colliding_assessments": run.colliding_assessments,
        "seconds": round(run.seconds, 1),
        "cpu_seconds": _rounded(run.cpu_seconds),
        "locked_ms": round(run.locked_ms, 1),
        "answered_ms": round(run.answered_ms, 1),
        "neighbour_ms": round(run.neighbour_ms, 1),
        "attempts": run.attempts,
        "longest_ms": round(run.longest_ms, 1),
        "failed_at_the_switch": run.failed_at_the_switch,
        "failed_elsewhere": run.failed_elsewhere,
        "phases": {
            name: {
                "transactions": stretch.transactions,
                "median_ms": round(stretch.median_ms, 2),
                "longest_ms": round(stretch.longest_ms, 1),
            }
            for name, stretch in run.phases.items()
        },
    }


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "seconds": round(sample.seconds, 3),
        "cpu_seconds": _rounded(sample.cpu_seconds),
        "wal_bytes": sample.wal_bytes,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
