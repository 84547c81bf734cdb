"""What one check says: verdict, finding, what to do, and what overrules it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The verdict of one finding."""

    OK = "ok"
    NOTE = "note"
    """Nothing stands in the way, and somebody should know."""
    NO_GO = "no-go"
    UNKNOWN = "unknown"
    """It could not be looked at."""


class Area(StrEnum):
    """Where a check looks."""

    FILES = "files"
    IDENTITY = "identity"
    SERVER = "server"
    RIGHTS = "rights"
    TABLES = "tables"
    DEPENDANTS = "dependants"
    READERS = "readers"
    VALUES = "values"
    IDS = "ids"
    ARCHIVE = "archive"
    ACTIVITY = "activity"
    REPLICATION = "replication"
    PREDICTION = "prediction"


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a check saw, before it is known of which check it is.

    Attributes:
        level: the verdict.
        says: the finding, by name and count, never a value; no full stop at its end.
        do: what to do about it, a sentence; empty where there is nothing to do.
        accept: the name with which an operator overrules it; empty where nobody can.
    """

    level: Level
    says: str
    do: str = ""
    accept: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        check: the name of the check.
        area: where it looked.
        level: the verdict.
        says: the finding.
        do: what to do about it; empty where there is nothing to do.
        accept: the name with which an operator overrules it; empty where nobody can.
        accepted: the operator did, so it is a note.
        needed: without an answer the whole verdict is incomplete; False for advice.
    """

    check: str
    area: Area
    level: Level
    says: str
    do: str
    accept: str
    accepted: bool
    needed: bool


def ok(says: str) -> Observation:
    """Nothing to say against it."""
    return Observation(level=Level.OK, says=says)


def note(says: str, do: str = "") -> Observation:
    """Nothing stands in the way, and somebody should know."""
    return Observation(level=Level.NOTE, says=says, do=do)


def no_go(says: str, do: str, accept: str = "") -> Observation:
    """Up must not run."""
    return Observation(level=Level.NO_GO, says=says, do=do, accept=accept)


def unknown(says: str, do: str, accept: str = "") -> Observation:
    """It could not be looked at."""
    return Observation(level=Level.UNKNOWN, says=says, do=do, accept=accept)
