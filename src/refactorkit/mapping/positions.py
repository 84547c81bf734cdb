"""Where in a TOML text each value stands, so that an error can name its line.

``tomllib`` gives values without positions. This scanner reads a text that ``tomllib`` has already
accepted, and remembers the line of each table, key and element. It decodes nothing but keys.
Source: TOML 1.0, https://toml.io/en/v1.0.0.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_SPACE: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_TEXT: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_WORD: Final = re.compile(r"[^,\[\]{}#\n]*")


@dataclass(kw_only=True)
class _Node:
    """A value and its line; a table's children are its keys, an array's are numbers from 0."""

    line: int
    children: dict[str | int, "_Node"] = field(default_factory=dict)


class Positions:
    """The lines of a TOML text.

    Args:
        text: a text that ``tomllib.loads`` accepts.
    """

    def __init__(self, text: str) -> None:
        self._root = _Scanner(text).scan()

    def line(self, location: Iterable[str | int]) -> int:
        """Return the line (from 1) of a value: ``("column", 3, "target")`` is one.

        What the text does not have is passed over, so the line is that of the innermost table or
        value around it; that is also where a key that is missing ought to be.
        """
        node = self._root
        for step in location:
            node = node.children.get(step, node)
        return node.line


class _Scanner:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._ends = [match.end() for match in re.finditer("\n", text)]

    def scan(self) -> _Node:
        root = _Node(line=1)
        table = root
        while self._next() is not None:
            if self._take("[["):
                table = self._element(root)
                self._take("]]")
            elif self._take("["):
                line = self._line()
                table = _descend(root, self._keys(), line)
                table.line = line
                self._take("]")
            else:
                self._pair(table)
        return root

    def _element(self, root: _Node) -> _Node:
        """Begin the next element of an array of tables."""
        line = self._line()
        array = _descend(root, self._keys(), line, into_last=False)
        element = array.children[len(array.children)] = _Node(line=line)
        return element

    def _pair(self, table: _Node) -> None:
        line = self._line()
        *path, last = self._keys() or [""]
        self._take("=")
        _descend(table, path, line).children[last] = self._value(line)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._next()
            if match := _BARE_KEY.match(self._text, self._position):
                keys.append(match[0])
            elif match := _TEXT.match(self._text, self._position):
                keys.append(str(tomllib.loads(f"key = {match[0]}")["key"]))
            else:
                # No key: the text is none that tomllib accepts. Go on, whatever it is.
                self._position += 1
                return keys
            self._position = match.end()
            if not self._take("."):
                return keys

    def _value(self, line: int) -> _Node:
        """Read a value; a pair's line is that of its key, an element's is its own."""
        node = _Node(line=line)
        if self._take("["):
            while self._next() not in (None, "]"):
                node.children[len(node.children)] = self._value(self._line())
                self._take(",")
            self._take("]")
        elif self._take("{"):
            while self._next() not in (None, "}"):
                self._pair(node)
                self._take(",")
            self._take("}")
        else:
            pattern = _TEXT if self._next() in ('"', "'") else _WORD
            match = pattern.match(self._text, self._position)
            self._position = max(match.end() if match else 0, self._position + 1)
        return node

    def _next(self) -> str | None:
        """Go past space and comments; return the character there, None at the end."""
        space = _SPACE.match(self._text, self._position)
        self._position = space.end() if space else self._position
        return self._text[self._position] if self._position < len(self._text) else None

    def _take(self, sign: str) -> bool:
        self._next()
        found = self._text.startswith(sign, self._position)
        self._position += len(sign) if found else 0
        return found

    def _line(self) -> int:
        return bisect_right(self._ends, self._position) + 1


def _descend(node: _Node, keys: list[str], line: int, *, into_last: bool = True) -> _Node:
    """Return the table of a dotted path, made where it is new; of an array, its last element."""
    for index, key in enumerate(keys):
        node = node.children.setdefault(key, _Node(line=line))
        is_array = 0 in node.children
        if is_array and (into_last or index < len(keys) - 1):
            node = node.children[len(node.children) - 1]
    return node
