"""Which ids the made-up rows take, so that none is in use already.

Ordinary ids follow those in use. Awkward ones also lie below zero, have gaps, begin a run near two
thousand million, and leave the users' ids in the middle of the patients': then a patient's id may
belong to a user, or be lower than one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from refactorkit.seed.dice import BLOCK, words

HIGHEST: Final = 2_100_000_000  # some room below the end of int4 stays for the application
_HUGE: Final = 2_000_000_000
_LOW_COUNT, _HUGE_COUNT = 7, 5
_LONGEST_STEP: Final = 8  # so gaps of up to 7 ids
_MEAN_STEP: Final = 4


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The ids that are in use in one table, or were.

    Attributes:
        lowest: the lowest id, at most 1.
        highest: the highest id of a row or of the sequence, at least 0.
    """

    lowest: int = 1
    highest: int = 0


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is made up, and from which seed.

    Attributes:
        patients: their number.
        seed: another seed gives other values.
        assessments_per_patient: the mean; single patients have from none to twice as many.
        clinicians: users who own patients; an admin and a researcher come in addition.
        awkward: mix values and ids in that break software.
    """

    patients: int
    seed: int
    assessments_per_patient: int
    clinicians: int
    awkward: bool

    @property
    def users(self) -> int:
        """How many users are made."""
        return self.clinicians + 2

    @property
    def assessments(self) -> int:
        """How many assessments are made."""
        return self.patients * self.assessments_per_patient


def highest_needed(size: Size, taken: Mapping[str, Taken]) -> int:
    """Return an id that no made-up row goes above; over ``HIGHEST`` it cannot be done."""
    step = _LONGEST_STEP if size.awkward else 1
    counts = {"patients": size.patients, "assessments": size.assessments, "users": size.users}
    needed = [taken[table].highest + count * step for table, count in counts.items()]
    if size.awkward:
        huge = _HUGE_COUNT * _LONGEST_STEP
        needed += [max(_HUGE, *needed) + huge, taken["patients"].highest + patients_middle(size)]
    return max(needed)


def row_ids(size: Size, table: str, count: int, taken: Taken) -> Iterator[int]:
    """Yield an id for each of so many rows, always the same ones."""
    if not size.awkward:
        yield from range(taken.highest + 1, taken.highest + 1 + count)
        return
    low = min(_LOW_COUNT, count // 8)
    huge = min(_HUGE_COUNT, count // 8)
    yield from range(taken.lowest - 1, taken.lowest - 1 - low, -1)
    current = taken.highest
    for step in _steps(size, table, count - low - huge):
        current += step
        yield current
    current = max(current, _HUGE)
    for step in _steps(size, table, huge):
        current += step
        yield current


def patients_middle(size: Size) -> int:
    """Return how far above the ids in use the middle of the made-up patients' ids lies."""
    return size.patients * (_MEAN_STEP if size.awkward else 1) // 2


def user_ids(size: Size, users: Taken, patients: Taken) -> list[int]:
    """Return an id for each user: the admin, the researcher, the clinicians."""
    ids = list(range(users.highest + 1, users.highest + 1 + size.users))
    if size.awkward and size.patients:
        ids[-1] = max(ids[-1], patients.highest + patients_middle(size))
    return ids


def visits(size: Size) -> Iterator[int]:
    """Yield each patient's number of assessments; two patients in a row make up for each other."""
    mean = size.assessments_per_patient
    left = size.patients
    for block in words(f"{size.seed}/visits"):
        for word in block:
            if left <= 1:
                yield from [mean] * left
                return
            more = word % (mean + 1)
            yield mean - more
            yield mean + more
            left -= 2


def _steps(size: Size, table: str, count: int) -> Iterator[int]:
    numbers = words(f"{size.seed}/{table}/gaps")
    for start, block in zip(range(0, count, BLOCK), numbers, strict=False):
        yield from (1 + word % _LONGEST_STEP for word in block[: count - start])
