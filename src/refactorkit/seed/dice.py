"""Numbers that look random and are the same wherever and whenever they are asked for.

They come from SHAKE-256 (FIPS 202) over a name, not from Python's ``random``, which promises the
same numbers across versions for few of its methods. They are for made-up data, not for secrets.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

BLOCK: Final = 4096  # words that are made at once
_WORD_BYTES: Final = 8
_DICE_BYTES: Final = 48


def words(name: str) -> Iterator[tuple[int, ...]]:
    """Yield without end blocks of 4,096 numbers of 64 bits that belong to a name."""
    block = 0
    while True:
        digest = hashlib.shake_256(f"{name}/{block}".encode()).digest(BLOCK * _WORD_BYTES)
        yield struct.unpack(f"<{BLOCK}Q", digest)
        block += 1


class Dice:
    """A few choices that belong to a name; each uses up some of 384 bits."""

    def __init__(self, name: str) -> None:
        digest = hashlib.shake_256(name.encode()).digest(_DICE_BYTES)
        self._rest = int.from_bytes(digest, "little")

    def number(self, low: int, high: int) -> int:
        """Return a number from ``low`` to ``high``, both included."""
        self._rest, chosen = divmod(self._rest, high - low + 1)
        return low + chosen

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options; one that stands there twice comes twice as often."""
        return options[self.number(0, len(options) - 1)]

    def chance(self, one_in: int) -> bool:
        """Return True once in so many times."""
        return self.number(1, one_in) == 1


def pool(name: str, size: int, make: Callable[[Dice], T]) -> list[T]:
    """Return so many made values, to be picked from by the bits of a word."""
    return [make(Dice(f"{name}/{index}")) for index in range(size)]
