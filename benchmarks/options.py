"""What can be asked for on the command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refactorkit.commands.seed import MOST_ASSESSMENTS, MOST_CLINICIANS, MOST_PATIENTS
from refactorkit.errors import UsageError

_HERE: Final = Path(__file__).parent
_FEWEST_PATIENTS: Final = 100  # below, one row in a hundred is none
_MOST_ROUNDS: Final = 99


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        patients: of the large size, N.
        assessments_per_patient: the mean, in both sizes.
        clinicians: in both sizes; None for what ``seed`` takes, which grows with the patients.
        growth: the small size has N / growth patients.
        rounds: how often each thing is measured; figures are of the medians.
        online_rounds: the same for the online cutovers, which take longest; None for ``rounds``.
        directory: of the migrations.
        output: the folder for results.json and results.svg.
        data: where the server keeps its data; None for the system's folder of temporary files.
        json: print the document instead of tables.
    """

    patients: int
    assessments_per_patient: int
    clinicians: int | None
    growth: int
    rounds: int
    online_rounds: int | None
    directory: Path
    output: Path
    data: Path | None
    json: bool

    @property
    def fewer_patients(self) -> int:
        """The patients of the small size."""
        return self.patients // self.growth


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; None means that of this process.

    Raises:
        UsageError: a number makes no sense, or a folder is not there.
        SystemExit: an argument is unknown, or help was asked for.
    """
    given = _parser().parse_args(arguments)
    for what, number, lowest, highest in (
        ("patients", given.patients, _FEWEST_PATIENTS, MOST_PATIENTS),
        ("assessments per patient", given.assessments_per_patient, 0, MOST_ASSESSMENTS),
        ("clinicians", given.clinicians, 1, MOST_CLINICIANS),
        ("rounds", given.rounds, 1, _MOST_ROUNDS),
        ("online rounds", given.online_rounds, 1, _MOST_ROUNDS),
        ("growth", given.growth, 2, given.patients // 2),
    ):
        if number is not None and not lowest <= number <= highest:
            raise UsageError(f"The number of {what} must be between {lowest} and {highest}.")
    for folder in (given.output, given.directory, *([given.data] if given.data else [])):
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} does not exist.")
    return Options(**vars(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure refactorkit on a server of its own, against what it must reach."
        " Exit: 0 all bars reached, 1 failed, 2 usage, 3 a bar was missed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--patients", type=int, default=200_000, metavar="N", help="how many patients")
    add("--assessments-per-patient", type=int, default=5, metavar="N", help="the mean of a patient")
    add(
        "--clinicians",
        type=int,
        metavar="N",
        help="how many clinicians; without, as `refactorkit seed`: one for 200 patients",
    )
    add("--growth", type=int, default=10, metavar="X", help="also measure at patients / X")
    add("--rounds", type=int, default=3, metavar="N", help="figures are medians of so many rounds")
    add("--online-rounds", type=int, metavar="N", help="of online cutovers; without, --rounds")
    add("--json", action="store_true", help="print one JSON document instead of tables")
    add("--output", type=Path, default=_HERE, metavar="DIR", help="for results.json, results.svg")
    add(
        "--dir",
        dest="directory",
        type=Path,
        default=Path("sql"),
        metavar="DIR",
        help="the folder of the migrations",
    )
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="where the server keeps its data; without, the system's folder of temporary files",
    )
    return parser
