"""Lines and words as goose sees them, which is not how Python does.

Go's idea of white space is narrower than ``str.strip`` (which also takes U+001C to U+001F) and
its scanner has limits in bytes. Bytes that are no UTF-8 are carried as lone surrogates.
"""

import re
from dataclasses import dataclass

LIMIT_BYTES = 4 * 1024 * 1024
"""A line (its newline aside), or a word, must be shorter than this."""

BYTE_ORDER_MARK = "\ufeff"
WHITESPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space property."""

_WORD = re.compile(f"[^{WHITESPACE}]+")


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The lines of a file, without their ends.

    Attributes:
        texts: the lines, in order, up to the first one that is too long.
        too_long: the number (from 1) of the line that is too long, or None.
    """

    texts: tuple[str, ...]
    too_long: int | None


def split_lines(content: bytes) -> Lines:
    r"""Split at ``\n`` and drop one ``\r`` before it (or before the end of the file).

    A carriage return counts for the limit of 4,194,304 bytes.
    """
    raw = content.split(b"\n")
    if not raw[-1]:
        raw.pop()  # nothing stands after the last newline
    texts: list[str] = []
    for number, line in enumerate(raw, start=1):
        if len(line) >= LIMIT_BYTES:
            return Lines(texts=tuple(texts), too_long=number)
        texts.append(line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
    return Lines(texts=tuple(texts), too_long=None)


def trim(text: str) -> str:
    """Drop white space at both ends."""
    return text.strip(WHITESPACE)


def is_comment(line: str) -> bool:
    """Whether a line is nothing but a ``--`` comment."""
    return trim(line).startswith("--")


def ends_with_semicolon(line: str) -> bool:
    """Whether a line ends a statement.

    It does when the last of the words before the first one that starts with ``--`` ends in a
    semicolon. Quotes and ``/* */`` mean nothing here, and a comment right behind the semicolon,
    without a space, belongs to the word.
    """
    last = ""
    for match in _WORD.finditer(line):
        word = match.group()
        if word.startswith("--") or _is_too_long(word):
            break
        last = word
    return last.endswith(";")


def _is_too_long(word: str) -> bool:
    # Only a substituted variable can make one: goose's scanner of words stops there.
    return len(word) * 4 >= LIMIT_BYTES and len(word.encode(errors="replace")) >= LIMIT_BYTES
