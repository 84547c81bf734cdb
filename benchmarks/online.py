"""The online cutover alone: ``uv run python -m benchmarks.online --patients 200000``.

Makes its databases from nothing, cuts over in each case, for each size and round, and prints one
JSON document with the figures of ``python -m benchmarks`` that are about it.
Exit: 0 all bars reached, 1 failed, 3 a bar was missed.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from benchmarks.document import figure_document, online_document
from benchmarks.judged import missed
from benchmarks.laboratory import Laboratory
from benchmarks.online_figures import online_figures
from benchmarks.run import MISSED
from benchmarks.stock import Size, make
from benchmarks.under_load import Case, measure_online, measure_relink
from refactorkit.cli import logging
from refactorkit.cli.render import emit_error
from refactorkit.errors import RefactorkitError
from refactorkit.postgres import server_errors


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, nargs="+", default=[20_000])
    parser.add_argument("--assessments-per-patient", type=int, default=5)
    parser.add_argument("--clinicians", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--data", type=Path, default=None)
    options = parser.parse_args()
    logging.configure(logging.LogLevel.WARNING)
    try:
        with server_errors.explained(doing="The benchmark", state=""):
            return measure(options)
    except RefactorkitError as error:
        return emit_error(error, as_json=False, is_check=True)


def measure(options: argparse.Namespace) -> int:
    """Measure each size, and print.

    Raises:
        RefactorkitError: as what is measured.
    """
    directory = Path(__file__).parent.parent / "sql"
    runs, relink_ms = [], {}
    for patients in options.patients:
        size = Size(
            patients=patients,
            assessments_per_patient=options.assessments_per_patient,
            clinicians=options.clinicians,
        )
        with Laboratory.open(options.data) as laboratory:
            stock = make(laboratory, directory, size, lambda line: print(line, file=sys.stderr))
            relink_ms[patients] = statistics.median(
                measure_relink(laboratory, stock) for _ in range(3)
            )
            runs += [
                measure_online(laboratory, directory, stock, case)
                for _ in range(options.rounds)
                for case in Case
            ]
    found = online_figures(runs, relink_ms, options.patients)
    made = {
        "verdict": "fail" if missed(found) else "pass",
        "figures": [figure_document(figure) for figure in found],
        "online": [online_document(run) for run in runs],
    }
    print(json.dumps(made, indent=2))
    return MISSED if missed(found) else 0


if __name__ == "__main__":
    sys.exit(main())
