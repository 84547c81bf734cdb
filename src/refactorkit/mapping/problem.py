"""What is wrong with a mapping, and where in its file."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One error.

    Attributes:
        location: the way to the value in the TOML document, such as ``("column", 3, "target")``.
        text: what is wrong and what to do, a sentence without its full stop.
    """

    location: tuple[str | int, ...]
    text: str
