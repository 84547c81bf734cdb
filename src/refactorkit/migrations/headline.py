"""The first line of a statement that says something: its name in a plan or a report."""

from typing import Final

from refactorkit.migrations.model import Statement

_MOST: Final = 80


def headline(statement: Statement) -> str:
    """Return the first line that is no comment, at most 80 characters of it."""
    for line in statement.text.splitlines():
        shown = line.strip()
        if shown and not shown.startswith("--"):
            shown = shown.encode("utf-8", "replace").decode()
            return shown if len(shown) <= _MOST else shown[: _MOST - 1].rstrip() + "…"
    return ""
