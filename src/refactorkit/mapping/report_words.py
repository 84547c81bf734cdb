"""What a mapping does with a column, in words for people who read no SQL."""

from refactorkit.mapping.model import (
    ArchiveOnly,
    Column,
    NullAs,
    Range,
    Same,
    SplitLast,
    Values,
)
from refactorkit.mapping.sql import literal


def way(column: Column) -> tuple[str, str]:
    """Return how a column goes forward and how it comes back when it was edited, in words."""
    match column:
        case SplitLast():
            return (
                "split at the last space; one word is the first alone",
                "joined by one space",
            )
        case Values():
            return (
                "by the table of values; anything else is NULL, and stays in the archive",
                ", ".join(f"{image} → {raw}" for image, raw in column.back.items()),
            )
        case Range():
            return f"itself within {column.min} to {column.max}; else NULL", "itself"
        case NullAs():
            return f"itself; NULL becomes {literal(column.value)}", "itself"
        case Same():
            return "itself", "itself"
        case ArchiveOnly():
            return "no place in the target: stays in the archive", "the archived value"
