"""Patients and assessments, a million and more: put together from pieces that are made beforehand.

Making each value anew would take twenty times as long.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, LiteralString

from refactorkit.seed import awkward, ids, ordinary
from refactorkit.seed.copy_text import NULL
from refactorkit.seed.dice import BLOCK, pool, words
from refactorkit.seed.ids import Size, Taken
from refactorkit.seed.table_rows import TableRows

_PIECES: Final = 1024  # of each kind; ten bits choose one
_MASK: Final = _PIECES - 1
_ODD: Final = 15  # four bits that are all zero: an awkward name and times, one in 16
_FIRST_DAYS: Final = 1000  # all patients come during these
_DAYS_BETWEEN_VISITS: Final = 30
_DAYS_OF_VISITS: Final = 700

_PATIENTS: Final[tuple[LiteralString, ...]] = (
    "id", "name", "age", "menopause_status", "years_menopause", "bmi", "bp_systolic",
    "bp_diastolic", "activity", "smoking", "hypertension", "heart_disease", "chol", "ldl", "hdl",
    "triglycerides", "family_history", "phys_activity", "user_id", "created_at", "updated_at",
)  # fmt: skip
_ASSESSMENTS: Final[tuple[LiteralString, ...]] = (
    "id", "patient_id", "fbs", "hba1c", "cholesterol", "ldl", "hdl", "triglycerides", "systolic",
    "diastolic", "activity", "history_flag", "smoking", "hypertension", "heart_disease", "bmi",
    "cluster", "risk_score", "model_version", "dataset_hash", "validation_status", "created_at",
    "updated_at",
)  # fmt: skip


def tables(
    size: Size, users: Sequence[int], patients: Taken, assessments: Taken
) -> Iterator[TableRows]:
    """Yield what patients, then assessments get.

    Args:
        size: how much.
        users: the ids of the users; the clinicians among them own the patients.
        patients: the patients' ids in use.
        assessments: the assessments' ids in use.
    """
    yield TableRows(
        table="patients",
        columns=_PATIENTS,
        count=size.patients,
        blocks=_patients(size, users[2:], patients),
    )
    yield TableRows(
        table="assessments",
        columns=_ASSESSMENTS,
        count=size.assessments,
        blocks=_assessments(size, patients, assessments),
    )


def _patients(size: Size, owners: Sequence[int], taken: Taken) -> Iterator[bytes]:
    source = awkward if size.awkward else ordinary
    base = f"{size.seed}/patients"
    given = pool(f"{base}/given", _PIECES, ordinary.given_name)
    family = pool(f"{base}/family", _PIECES, ordinary.word)
    menopause = pool(f"{base}/menopause", _PIECES, source.menopause)
    vitals = pool(f"{base}/vitals", _PIECES, source.vitals)
    lipids = pool(f"{base}/lipids", _PIECES, source.lipids)
    habits = pool(f"{base}/habits", _PIECES, source.habits)
    times = pool(f"{base}/times", _PIECES, ordinary.time_of_day)
    days = ordinary.DAYS
    numbers = ids.row_ids(size, "patients", size.patients, taken)
    index = 0
    for block, first, second in zip(
        _blocks(numbers), words(f"{base}/1"), words(f"{base}/2"), strict=False
    ):
        lines = []
        for patient, word, more in zip(block, first, second, strict=False):
            day = index * _FIRST_DAYS // size.patients
            time = times[more & _MASK]
            name = f"{given[word & _MASK]} {family[word >> 12 & _MASK]}"
            created = days[day] + time
            updated = days[day + (more >> 12 & 511)] + time
            if size.awkward and (not more >> 21 & _ODD or not index):
                name = awkward.NAMES[word % len(awkward.NAMES)] if index else awkward.LONG_NAME
                created = awkward.TIMES[more % len(awkward.TIMES)]
                updated = awkward.TIMES[word % len(awkward.TIMES)]
            lines.append(
                f"{patient}\t{name}\t{menopause[word >> 24 & _MASK]}\t{vitals[word >> 36 & _MASK]}"
                f"\t{lipids[word >> 48 & _MASK]}\t{habits[more >> 27 & _MASK]}"
                f"\t{owners[(more >> 39) % len(owners)]}\t{created}\t{updated}\n"
            )
            index += 1
        yield "".join(lines).encode()


def _assessments(size: Size, patients: Taken, taken: Taken) -> Iterator[bytes]:
    source = awkward if size.awkward else ordinary
    base = f"{size.seed}/assessments"
    sugar = pool(f"{base}/sugar", _PIECES, source.sugar)
    lipids = pool(f"{base}/lipids", _PIECES, source.lipids)
    findings = pool(f"{base}/findings", _PIECES, source.findings)
    results = pool(f"{base}/results", _PIECES, source.result)
    times = pool(f"{base}/times", _PIECES, ordinary.time_of_day)
    days = ordinary.DAYS
    numbers = ids.row_ids(size, "assessments", size.assessments, taken)
    visited = _visited(size, patients)
    index = 0
    for block, chosen in zip(_blocks(numbers), words(base), strict=False):
        lines = []
        for assessment, (patient, day), word in zip(block, visited, chosen, strict=False):
            moment = days[day] + times[word >> 48 & _MASK]
            owner: int | str = patient
            if size.awkward and not word >> 58:
                owner = NULL if index & 1 else patient
                moment = awkward.TIMES[word % len(awkward.TIMES)]
            lines.append(
                f"{assessment}\t{owner}\t{sugar[word & _MASK]}\t{lipids[word >> 12 & _MASK]}"
                f"\t{findings[word >> 24 & _MASK]}\t{results[word >> 36 & _MASK]}"
                f"\t{moment}\t{moment}\n"
            )
            index += 1
        yield "".join(lines).encode()


def _visited(size: Size, patients: Taken) -> Iterator[tuple[int, int]]:
    """Yield a patient and a day for each assessment."""
    numbers = ids.row_ids(size, "patients", size.patients, patients)
    for index, (patient, visits) in enumerate(zip(numbers, ids.visits(size), strict=True)):
        day = index * _FIRST_DAYS // size.patients
        for visit in range(visits):
            yield patient, day + visit * _DAYS_BETWEEN_VISITS % _DAYS_OF_VISITS


def _blocks(numbers: Iterator[int]) -> Iterator[list[int]]:
    while block := list(islice(numbers, BLOCK)):
        yield block
