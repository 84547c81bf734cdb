"""The lines that speak to goose: ``-- +goose Up`` and its like."""

from enum import StrEnum

from refactorkit.migrations.lines import is_comment, trim
from refactorkit.migrations.quoting import excerpt

MARKER = "+goose"


class Annotation(StrEnum):
    """What an annotation line can say, in goose's spelling."""

    UP = "Up"
    DOWN = "Down"
    STATEMENT_BEGIN = "StatementBegin"
    STATEMENT_END = "StatementEnd"
    NO_TRANSACTION = "NO TRANSACTION"
    ENVSUB_ON = "ENVSUB ON"
    ENVSUB_OFF = "ENVSUB OFF"

    @property
    def shown(self) -> str:
        """The whole line as one would write it, for messages."""
        return f"'-- {MARKER} {self.value}'"


class AnnotationError(ValueError):
    """An annotation line that goose refuses; the text says why, and what to do."""


def is_annotation(line: str) -> bool:
    """Whether goose takes a line for an annotation, a wrong one perhaps.

    It does wherever the line stands: inside a literal, or in the middle of a statement.
    """
    return MARKER in line and is_comment(line)


def read_annotation(line: str) -> Annotation:
    """Read an annotation line.

    Each ``--`` and one ``+goose`` are taken away; what remains, trimmed, is compared without
    regard to case. So ``--+goose up``, ``-- Up +goose`` and ``-- +gooseUp`` are all right.

    Raises:
        AnnotationError: the line is indented, says ``+goose`` twice, or says nothing known.
    """
    if line.startswith((" ", "\t")):
        raise AnnotationError(
            f"the annotation {excerpt(trim(line))} is indented. Begin it in the first column; if "
            f"it is meant as a comment, take {MARKER} out of it."
        )
    said = line.replace("--", "").replace(MARKER, "", 1)
    if MARKER in said:
        raise AnnotationError(
            f"the annotation {excerpt(trim(line))} says {MARKER} more than once. Put each "
            "annotation on a line of its own."
        )
    wanted = _fold(trim(said))
    for annotation in Annotation:
        if _fold(annotation.value) == wanted:
            return annotation
    known = ", ".join(annotation.value for annotation in Annotation)
    raise AnnotationError(
        f"goose knows no annotation {excerpt(trim(line))}. Write one of: {known}; if it is meant "
        f"as a comment, take {MARKER} out of it."
    )


def _fold(text: str) -> str:
    # Go folds case one character at a time, and only two signs outside ASCII fold into it: the
    # long s and the Kelvin sign. str.casefold would also take 'ﬆ' for 'st'.
    return "".join(c.lower() if c.isascii() else _FOLDED.get(c, c) for c in text)


_FOLDED = {"\u017f": "s", "\u212a": "k"}
