"""A number that people look at, and whether it is as it must be. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MORE_THAN_LINEAR: Final = 1.1  # ten times the patients, eleven times as long


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


def missed(found: tuple[Figure, ...]) -> bool:
    """Tell whether any bar was missed."""
    return any(figure.verdict is Verdict.MISS for figure in found)
