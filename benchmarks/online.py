"""The online cutover while an application works: locks, stalls, and whether a write was lost.

``uv run python -m benchmarks.online --patients 200000``. Prints one JSON document.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.application import VERSION_IS_OVER, Application
from benchmarks.laboratory import Laboratory
from benchmarks.stock import BEFORE, VERSION_TABLE, chain_of
from refactorkit.commands.online import OnlineRequest, Pacing, Phase, Progress, cutover
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.commands.up import UpRequest, up
from refactorkit.postgres.connection import connected, fetch_value
from refactorkit.postgres.dsn import Dsn

_HERE = Path(__file__).parent
_QUIET_SECONDS = 3.0


def main() -> int:
    """Measure once; 0 where nothing was lost and nothing failed that need not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--assessments", type=int, default=5)
    parser.add_argument("--clinicians", type=int, default=2_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause-ms", type=float, default=0.0, help="of a client after a write")
    parser.add_argument("--rest", type=float, default=Pacing().rest)
    parser.add_argument("--data", type=Path, default=None)
    options = parser.parse_args()
    document = measure(options)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0 if not document["lost"] and not document["other_failures"] else 1


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make a database, let the application work on it, cut it over, and look."""
    directory = _HERE.parent / "sql"
    with Laboratory.open(options.data) as laboratory:
        name = laboratory.create()
        dsn = laboratory.dsn(name)
        _prepare(dsn, directory, options)
        began: dict[str, float] = {}

        def report(progress: Progress) -> None:
            began.setdefault(progress.phase, time.time())

        request = OnlineRequest(
            chain=chain_of(dsn, directory),
            pacing=Pacing(rest=options.rest),
        )
        with Application(
            laboratory.url(name),
            clients=options.clients,
            pause_seconds=options.pause_ms / 1000,
        ) as application:
            time.sleep(_QUIET_SECONDS)
            started = time.time()
            result = cutover(request, report, check=False)
            ended = time.time()
            time.sleep(1)
        with connected(dsn) as connection:
            lost = application.lost(connection)
            collisions = fetch_value(
                connection,
                "SELECT count(*) FROM public.assessments AS a JOIN archive.patients_map AS m"
                " ON m.target_id = a.user_id WHERE m.renumbered",
            )
    latencies = _by_phase(application, began, started=started, ended=ended)
    return {
        "patients": options.patients,
        "seconds": round(ended - started, 1),
        "locked_ms": round(result.locked_ms or 0, 1),
        "attempts": result.step.attempts if result.step else None,
        "colliding_assessments": collisions,
        "writes": application.writes,
        "longest_stall_ms": round(application.longest_ms, 1),
        "longest_by_phase_ms": latencies,
        "failures_at_the_switch": len(
            [each for each in application.failures if each in VERSION_IS_OVER]
        ),
        "other_failures": [each for each in application.failures if each not in VERSION_IS_OVER],
        "lost": lost[:20],
    }


def _prepare(dsn: Dsn, directory: Path, options: argparse.Namespace) -> None:
    up(UpRequest(chain=chain_of(dsn, directory), to=BEFORE))
    seed(
        SeedRequest(
            dsn=dsn,
            table=VERSION_TABLE,
            patients=options.patients,
            assessments_per_patient=options.assessments,
            clinicians=options.clinicians,
        )
    )
    with connected(dsn) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _by_phase(
    application: Application, began: dict[str, float], *, started: float, ended: float
) -> dict[str, dict[str, float]]:
    """Return median and longest of the writes that ended while a phase was going on, ms."""
    marks = sorted([("before", 0.0), *began.items(), ("after", ended)], key=lambda each: each[1])
    _ = started
    found: dict[str, list[float]] = {name: [] for name, _ in marks}
    for record in application.records:
        for ms, at in zip(record.latencies_ms, record.ended_at, strict=True):
            phase = [name for name, since in marks if since <= at][-1]
            found[phase].append(ms)
    return {
        str(Phase(name) if name in began else name): {
            "writes": len(values),
            "median": round(statistics.median(values), 2),
            "longest": round(max(values), 1),
        }
        for name, values in found.items()
        if values
    }


if __name__ == "__main__":
    sys.exit(main())
