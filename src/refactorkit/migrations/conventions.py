"""The conventions of this project's ``sql/`` folder, beyond what goose asks for.

| rule | promise |
| --- | --- |
| blocks | the file has both ``-- +goose Up`` and ``-- +goose Down`` |
| naming | the file is called ``0012_add_visits.sql``: four digits, then snake case |
| if-exists | CREATE and ADD COLUMN say IF NOT EXISTS, DROP says IF EXISTS, where SQL has it |
| keywords | keywords are written in capitals |
| empty-statement | no block is empty: goose swallows the line after an empty block |
| encoding | the statements are UTF-8 without NUL |

Blind spots: what stands in literals and dollar-quoted bodies is not looked at; nor are words that
are keywords in some places and names in others (``name``, ``role``, ``type``), unless the place
says which. A temporary table is better off without IF NOT EXISTS, so it is let be.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from refactorkit.migrations.annotations import Annotation
from refactorkit.migrations.model import Migration, Statement
from refactorkit.migrations.sql_keywords import lower_case_keywords
from refactorkit.migrations.sql_tokens import Token, split_statements

_EMPTY = (
    "A block without a statement makes an empty one, and goose swallows the first line after such "
    "a block. Take the block out."
)
_NOT_UTF8 = "The statement holds a NUL byte, or bytes that are no UTF-8. Save the file as UTF-8."
FILE_NAME = re.compile(r"[0-9]{4}_[a-z0-9]+(_[a-z0-9]+)*\.sql")


class Rule(StrEnum):
    """The conventions by name."""

    BLOCKS = "blocks"
    NAMING = "naming"
    IF_EXISTS = "if-exists"
    KEYWORDS = "keywords"
    EMPTY_STATEMENT = "empty-statement"
    ENCODING = "encoding"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One place where a convention is not met.

    Attributes:
        file: the file's name without its folder.
        line: the line, from 1; counted from the statement's first line, so it may be a little off
            in a statement that has annotations inside, or variables with newlines.
        rule: which convention.
        text: a sentence that says what is wrong and what to do.
    """

    file: str
    line: int
    rule: Rule
    text: str


def check(migration: Migration) -> tuple[Finding, ...]:
    """Return what does not meet the conventions, in the order of the lines.

    A direction that could not be read has an error of its own and is not looked at here.
    """
    findings = [*_naming(migration), *_blocks(migration)]
    for script in (migration.up, migration.down):
        for statement in script.statements:
            findings += (
                Finding(file=migration.file, line=line, rule=rule, text=text)
                for line, rule, text in _statement(statement)
            )
    return tuple(sorted(findings, key=lambda finding: finding.line))


_Found = Iterator[tuple[int, Rule, str]]


def _naming(migration: Migration) -> Iterator[Finding]:
    if not FILE_NAME.fullmatch(migration.file):
        yield Finding(
            file=migration.file,
            line=1,
            rule=Rule.NAMING,
            text="The file is not named like 0012_add_visits.sql: four digits, an underscore, and "
            "what it does in snake case. Rename it before it is applied anywhere.",
        )


def _blocks(migration: Migration) -> Iterator[Finding]:
    for script, annotation in ((migration.up, Annotation.UP), (migration.down, Annotation.DOWN)):
        if script.line is None and script.error is None:
            yield Finding(
                file=migration.file,
                line=1,
                rule=Rule.BLOCKS,
                text=f"The file has no {annotation.shown}. Add it; where there is nothing to do, "
                "a comment below it says why.",
            )


def _statement(statement: Statement) -> _Found:
    text = statement.text
    if not text:
        yield statement.line, Rule.EMPTY_STATEMENT, _EMPTY
    if "\0" in text or any("\udc80" <= char <= "\udcff" for char in text):
        yield statement.line, Rule.ENCODING, _NOT_UTF8
    for tokens in split_statements(text):
        for token, advice in _if_exists(tokens):
            yield _line(statement, token), Rule.IF_EXISTS, advice
        by_line: dict[int, list[str]] = {}
        for token in lower_case_keywords(tokens):
            by_line.setdefault(_line(statement, token), []).append(token.text)
        for line, words in by_line.items():
            yield line, Rule.KEYWORDS, f"Write in capitals: {', '.join(words)}."


def _line(statement: Statement, token: Token) -> int:
    return statement.line + statement.text.count("\n", 0, token.offset)


_NOT_THERE = ("IF", "NOT", "EXISTS")
_THERE = ("IF", "EXISTS")
_MODIFIERS = frozenset({"UNLOGGED", "UNIQUE", "FOREIGN"})
_CREATED_IF_NOT_EXISTS = frozenset(
    {"TABLE", "INDEX", "SEQUENCE", "SCHEMA", "EXTENSION", "STATISTICS", "COLLATION", "SERVER"}
)
_CONSTRAINTS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "NOT"})


def _if_exists(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    words = [token.word for token in tokens]
    match words[:2]:
        case ["CREATE", _]:
            yield from _create(tokens, words)
        case ["DROP", second] if second != "OWNED":
            if not _contains(words, _THERE):
                yield tokens[0], f"Write DROP {second} IF EXISTS."
        case ["ALTER", "TABLE"] | ["ALTER", "FOREIGN"]:
            for action, action_words in _actions(tokens, words):
                yield from _action(action, action_words)
        case ["ALTER", "TYPE"] if _contains(words, ("ADD", "VALUE")):
            if not _contains(words, _NOT_THERE):
                yield tokens[0], "Write ADD VALUE IF NOT EXISTS."


def _create(tokens: Sequence[Token], words: Sequence[str]) -> Iterator[tuple[Token, str]]:
    kind = next((word for word in words[1:] if word not in _MODIFIERS), "")
    view = ("MATERIALIZED", "VIEW")
    if kind not in _CREATED_IF_NOT_EXISTS and tuple(words[1:3]) != view:
        return
    if not _contains(words, _NOT_THERE):
        shown = " ".join(view) if kind == view[0] else kind
        yield tokens[0], f"Write CREATE {shown} IF NOT EXISTS."


def _action(tokens: Sequence[Token], words: Sequence[str]) -> Iterator[tuple[Token, str]]:
    """Look at one action of ALTER TABLE."""
    after = 2 if words[1:2] in (["COLUMN"], ["CONSTRAINT"]) else 1
    if words[:1] == ["ADD"] and words[1:2] and words[1] not in _CONSTRAINTS:
        if tuple(words[after : after + 3]) != _NOT_THERE:
            yield tokens[0], "Write ADD COLUMN IF NOT EXISTS."
    elif words[:1] == ["DROP"] and tuple(words[after : after + 2]) != _THERE:
        kind = "CONSTRAINT" if words[1:2] == ["CONSTRAINT"] else "COLUMN"
        yield tokens[0], f"Write DROP {kind} IF EXISTS."


def _actions(
    tokens: Sequence[Token], words: Sequence[str]
) -> Iterator[tuple[Sequence[Token], Sequence[str]]]:
    """Yield the actions of ALTER TABLE, each from its first word on."""
    start = _after_table_name(tokens, words)
    depth = 0
    for place in range(start, len(tokens) + 1):
        sign = tokens[place].text if place < len(tokens) else ","
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and (depth == 0 or place == len(tokens)):
            yield tokens[start:place], words[start:place]
            start = place + 1


def _after_table_name(tokens: Sequence[Token], words: Sequence[str]) -> int:
    place = words.index("TABLE") + 1 if "TABLE" in words else len(words)
    while words[place : place + 1] in (["IF"], ["EXISTS"], ["ONLY"]):
        place += 1
    place += 1
    while place < len(tokens) and tokens[place].text in (".", "*"):
        place += 2 if tokens[place].text == "." else 1
    return place


def _contains(words: Sequence[str], wanted: tuple[str, ...]) -> bool:
    size = len(wanted)
    return any(tuple(words[at : at + size]) == wanted for at in range(len(words) - size + 1))
