"""The answer of a check."""

from enum import StrEnum


class Verdict(StrEnum):
    """What could not be checked is never a pass."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCOMPLETE = "incomplete"
