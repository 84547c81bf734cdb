r"""The text format of COPY: tabs between columns, ``\N`` for NULL, backslashes for the rest.

Source: PostgreSQL manual, COPY, "Text Format".
"""

from typing import Final

NULL: Final = r"\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def text(value: str | None) -> str:
    """Return a value as COPY wants to read it."""
    return NULL if value is None else value.translate(_ESCAPES)


def row(*values: str | int | bool | None) -> str:
    """Return a line, or a piece of one, without the end of line."""
    return "\t".join(
        ("t" if value else "f") if isinstance(value, bool) else text(_plain(value))
        for value in values
    )


def _plain(value: str | int | None) -> str | None:
    return str(value) if isinstance(value, int) else value
