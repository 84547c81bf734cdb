"""What one table gets: some thousand rows of COPY text at a time, never all of them at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import LiteralString

from refactorkit.seed.dice import BLOCK


@dataclass(frozen=True, kw_only=True)
class TableRows:
    """What one table gets.

    Attributes:
        table: its name in ``public``.
        columns: in the order of the text.
        count: the number of rows.
        blocks: COPY text, some thousand rows each; can be read once.
    """

    table: LiteralString
    columns: tuple[LiteralString, ...]
    count: int
    blocks: Iterator[bytes]


def in_blocks(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield lines, which have no line end yet, as COPY text."""
    remaining = iter(lines)
    while block := list(islice(remaining, BLOCK)):
        yield ("\n".join(block) + "\n").encode()
