r"""ENVSUB: environment variables put into a line of SQL, as goose does it.

| written | becomes |
| --- | --- |
| `$V`, `${V}` | the value; nothing where V is not set |
| `${V:-d}` | the value, or `d` where V is not set or empty |
| `${V-d}` | the value, or `d` where V is not set |
| `${V?m}` | the value; an error where V is not set |
| `${V:offset}`, `${V:offset:length}` | bytes of the value, see below |
| `$$`, `\$` | a dollar sign |
| `$(`, `\\`, a dollar sign that ends the line | themselves |

`d` and `m` may hold variables in their turn. A name begins with a letter; any other `$` is an
error. A negative offset counts from the end of the value, a negative length says how many bytes at
its end to leave out. A byte of the line that is no UTF-8 becomes U+FFFD.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from refactorkit.migrations.lines import trim
from refactorkit.migrations.quoting import excerpt

_REPLACEMENT = "\ufffd"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_SPECIAL = re.compile(r"[$\\]")
_SPECIAL_IN_BRACES = re.compile(r"[$\\}]")
_OFFSET = re.compile(f"[^:}}{_REPLACEMENT}]*")
_LENGTH = re.compile(f"[^}}{_REPLACEMENT}]*")
_INTEGER = re.compile("([+-]?)0*([0-9]{1,19})")
_INT64 = range(-(2**63), 2**63)


class InterpolationError(ValueError):
    """A line that ENVSUB cannot read; the text is a sentence, and never holds a value."""


def interpolate(line: str, environ: Mapping[str, str]) -> str:
    """Return the line with the variables of ``environ`` put in.

    A line of valid UTF-8 without ``$`` comes back as it is.

    Raises:
        InterpolationError: an expansion that cannot be read (also in a default that is not
            needed), or a required variable that is not set.
    """
    return _Interpolation(_NOT_UTF8.sub(_REPLACEMENT, line), environ).run()


class _Operator(Enum):
    """How an expansion with a nested text uses it."""

    IF_EMPTY = ":-"
    IF_UNSET = "-"
    REQUIRED = "?"


@dataclass(kw_only=True)
class _Text:
    """The text being made: of the line itself, or of the inner part of an expansion.

    Attributes:
        name: the variable whose expansion this text belongs to; empty for the line itself.
        operator: how that expansion uses the text; None for the line itself.
        start: where the text begins in the line.
        parts: what it is made of so far.
        error: the first required variable in it that is not set. It counts only where the text
            is used, so it is kept here until that is known.
    """

    name: str = ""
    operator: _Operator | None = None
    start: int = 0
    parts: list[str] = field(default_factory=list)
    error: InterpolationError | None = None


class _Interpolation:
    """One pass over one line.

    Nested expansions are kept on a stack of our own: a line may nest a million of them.
    """

    def __init__(self, line: str, environ: Mapping[str, str]) -> None:
        self._line = line
        self._environ = environ
        self._position = 0
        self._open = [_Text()]

    def run(self) -> str:
        line = self._line
        while self._position < len(line):
            text = self._open[-1]
            here = self._position
            two = line[here : here + 2]
            if line[here] == "}" and text.operator is not None:
                self._position += 1
                self._close()
            elif two in _ESCAPES:
                text.parts.append(_ESCAPES[two])
                self._position += 2
            elif line[here] == "$" and len(two) > 1:
                self._expansion()
            else:
                special = _SPECIAL if text.operator is None else _SPECIAL_IN_BRACES
                found = special.search(line, here + 1)
                self._position = found.start() if found else len(line)
                text.parts.append(line[here : self._position])
        whole = self._open[-1]
        if whole.operator is not None:
            raise InterpolationError(_unclosed(whole.name))
        if whole.error is not None:
            raise whole.error
        return "".join(whole.parts)

    def _expansion(self) -> None:
        """Read ``$V`` or the beginning of ``${V…``; the position is at the dollar sign."""
        self._position += 1
        if self._peek() != "{":
            self._put(self._environ.get(self._identifier(), ""))
            return
        self._position += 1
        name = self._identifier()
        after = self._take()
        if after == "}":
            self._put(self._environ.get(name, ""))
        elif after == ":" and self._peek() != "-":
            self._substring(name)
        elif after in (":", "-", "?"):
            if after == ":":
                self._position += 1
            operator = _Operator.IF_EMPTY if after == ":" else _Operator(after)
            self._open.append(_Text(name=name, operator=operator, start=self._position))
        elif not after:
            raise InterpolationError(_unclosed(name))
        else:
            raise InterpolationError(
                f"ENVSUB knows no expansion that begins with {excerpt('${' + name + after)}. Write "
                f"${{{name}}}, or one with ':-', '-', '?' or ':offset:length' after the name."
            )

    def _close(self) -> None:
        """End the innermost expansion with a nested text, and put its value where it stands."""
        inner = self._open.pop()
        outer = self._open[-1]
        value = self._environ.get(inner.name)
        if value is not None and (value or inner.operator is not _Operator.IF_EMPTY):
            outer.parts.append(value)
            return
        if inner.operator is _Operator.REQUIRED and inner.error is None:
            # The message as the file has it: with its variables put in it might show a secret.
            message = self._line[inner.start : self._position - 1]
            said = f" ({excerpt(message)})" if message else ""
            inner.error = InterpolationError(
                f"the environment variable {excerpt(inner.name)} is not set, and the line requires "
                f"it{said}. Set it and run again."
            )
        outer.error = outer.error or inner.error
        outer.parts.append("".join(inner.parts))

    def _substring(self, name: str) -> None:
        """Read ``offset}`` or ``offset:length}``."""
        offset = self._number(_OFFSET, name, "offset")
        value = self._environ.get(name, "").encode("utf-8", "surrogateescape")
        if self._peek() == "}":
            self._position += 1
            chosen = _slice(value, offset, None)
        else:
            self._take()
            length = self._number(_LENGTH, name, "length")
            if self._take() != "}":
                raise InterpolationError(_unclosed(name))
            chosen = _slice(value, offset, length)
        self._put(chosen.decode("utf-8", "surrogateescape"))

    def _number(self, pattern: re.Pattern[str], name: str, what: str) -> int:
        found = pattern.match(self._line, self._position)
        written = found.group() if found else ""
        self._position += len(written)
        digits = _INTEGER.fullmatch(trim(written))
        number = int("".join(digits.groups())) if digits else None
        if number is None or number not in _INT64:
            raise InterpolationError(
                f"ENVSUB cannot read the {what} {excerpt(trim(written))} in the expansion of "
                f"{excerpt(name)}. Write ${{{name}:offset:length}} with whole numbers, or "
                f"${{{name}:-default}}."
            )
        return number

    def _identifier(self) -> str:
        start = self._position
        if unicodedata.category(self._peek() or " ")[0] != "L":
            written = self._line[self._line.rindex("$", 0, start) : start + 1]
            raise InterpolationError(
                f"ENVSUB cannot read {excerpt(written)}: the name of a variable begins with a "
                "letter. Write $$ for a dollar sign, or switch ENVSUB OFF before this line."
            )
        end = start
        while end < len(self._line) and _is_of_a_name(self._line[end]):
            end += 1
        self._position = end
        return self._line[start:end]

    def _put(self, value: str) -> None:
        self._open[-1].parts.append(value)

    def _peek(self) -> str:
        return self._line[self._position : self._position + 1]

    def _take(self) -> str:
        char = self._peek()
        self._position += len(char)
        return char


_ESCAPES = {"\\\\": "\\\\", "\\$": "$", "$$": "$", "$(": "$("}


def _is_of_a_name(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LN"


def _slice(value: bytes, offset: int, length: int | None) -> bytes:
    size = len(value)
    start = min(max(offset + size if offset < 0 else offset, 0), size)
    if length is None:
        return value[start:]
    end = start + length if length >= 0 else max(size + length, start)
    return value[start:end]


def _unclosed(name: str) -> str:
    return f"the expansion of {excerpt(name)} is not closed. End it with '}}' on the same line."
