"""What goes forward must pass the target's CHECKs: else the first such row would stop Up.

Blind spot: only ``column IN ('a', 'b')`` and ``column >= 1 AND column <= 9`` are understood. What a
codec carries as it is, and any other CHECK, meets the rows themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from refactorkit.mapping.model import Mapping, NullAs, Range, Values
from refactorkit.mapping.problem import Problem

_COLUMN: Final = r'"?(?P<column>[a-z_][a-z0-9_]*)"?'
_LIST: Final = re.compile(rf"{_COLUMN} IN \((?P<list>'(?:[^']|'')*'(?:, *'(?:[^']|'')*')*)\)")
_BOUNDS: Final = re.compile(
    rf'{_COLUMN} >= (?P<low>-?[0-9]+) AND "?(?P=column)"? <= (?P<high>-?[0-9]+)'
)
_TEXT: Final = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True, kw_only=True)
class _Allowed:
    """What a CHECK lets through: some texts, or the whole numbers from low to high."""

    check: str
    texts: frozenset[str] | None = None
    low: int = 0
    high: int = 0

    def allows(self, value: str | bool | int) -> bool:
        if self.texts is not None:
            return value in self.texts
        return not isinstance(value, str) and self.low <= value <= self.high


def images(mapping: Mapping) -> Iterator[Problem]:
    """Each value that a mapping names for a column is one that its CHECKs allow."""
    allowed = list(_allowed(mapping))
    for location, column, value in _named(mapping):
        for rule in allowed:
            if rule[0] == column and not rule[1].allows(value):
                yield Problem(
                    location=location,
                    text=f"{value!a} is not allowed in {column}: the CHECK"
                    f" {rule[1].check} would stop Up",
                )


def _allowed(mapping: Mapping) -> Iterator[tuple[str, _Allowed]]:
    for name, expression in mapping.target.checks.items():
        if match := _LIST.fullmatch(expression):
            texts = frozenset(text.replace("''", "'") for text in _TEXT.findall(match["list"]))
            yield match["column"], _Allowed(check=name, texts=texts)
        elif match := _BOUNDS.fullmatch(expression):
            bounds = (int(match["low"]), int(match["high"]))
            yield match["column"], _Allowed(check=name, low=bounds[0], high=bounds[1])


def _named(mapping: Mapping) -> Iterator[tuple[tuple[str | int, ...], str, str | bool | int]]:
    """Yield each value that the mapping itself puts into a column: where, column, value."""
    for index, column in enumerate(mapping.column):
        at = ("column", index)
        match column:
            case Values():
                for value, image in column.forward.items():
                    yield (*at, "forward", value), column.target, image
            case Range():
                yield (*at, "min"), column.target, column.min
                yield (*at, "max"), column.target, column.max
            case NullAs():
                yield (*at, "value"), column.target, column.value
            case _:
                pass
    for name, constant in mapping.subject.items():
        if isinstance(constant, str | bool | int):
            yield ("subject", name), name, constant
