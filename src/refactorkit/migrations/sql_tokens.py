"""A small tokenizer for PostgreSQL's SQL: words and signs, with everything quoted set aside.

Enough to look at keywords; it does not parse. Comments (nested ones too) are left out; a string,
a quoted name or a dollar-quoted body is one token whose inside nobody looks at. It never fails:
what is not closed reaches to the end of the text. ``standard_conforming_strings`` is taken to be
on, as it is by default. Source: PostgreSQL manual, 4.1 "Lexical Structure".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    QUOTED = auto()
    NUMBER = auto()
    SIGN = auto()


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token.

    Attributes:
        kind: what it is; QUOTED is a string, a quoted name, a dollar-quoted body or a parameter.
        text: as it is written.
        offset: where it begins in the text, in characters.
    """

    kind: Kind
    text: str
    offset: int

    @property
    def word(self) -> str:
        """The word in capitals; empty where the token is no word."""
        return self.text.upper() if self.kind is Kind.WORD else ""


_LETTER = r"A-Za-z_\u0080-\U0010ffff"
_PATTERN = re.compile(
    rf"""
      (?P<space> \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<escaped> [eE]' [^'\\]* (?: (?: \\. | '' ) [^'\\]* )* (?: ' | \\?\Z ) )
    | (?P<string> (?: [bBxXnN] | [uU]& )? ' [^']* (?: '' [^']* )* (?: ' | \Z ) )
    | (?P<name> (?: [uU]& )? " [^"]* (?: "" [^"]* )* (?: " | \Z ) )
    | (?P<dollar> \$ (?: [{_LETTER}] [{_LETTER}0-9]* )? \$ )
    | (?P<parameter> \$ [0-9]+ )
    | (?P<word> [{_LETTER}] [{_LETTER}0-9$]* )
    | (?P<number> (?: [0-9] | \.[0-9] ) [0-9A-Za-z_.]* )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS = {"word": Kind.WORD, "number": Kind.NUMBER, "sign": Kind.SIGN}


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of a text, in order."""
    position = 0
    while match := _PATTERN.match(text, position):
        start, position = match.span()
        group = match.lastgroup
        if group == "space":
            continue
        if group == "comment":
            position = _end_of_comment(text, position)
            continue
        if group == "dollar":
            tag = match.group()
            close = text.find(tag, position)
            position = len(text) if close < 0 else close + len(tag)
        kind = _KINDS.get(group or "", Kind.QUOTED)
        yield Token(kind=kind, text=text[start:position], offset=start)


def split_statements(text: str) -> Iterator[tuple[Token, ...]]:
    """Yield the tokens of each statement of a text, without the semicolons; none is empty."""
    statement: list[Token] = []
    for token in tokenize(text):
        if token.text == ";":
            if statement:
                yield tuple(statement)
            statement = []
        else:
            statement.append(token)
    if statement:
        yield tuple(statement)


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position
