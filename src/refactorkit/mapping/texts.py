"""The texts of a mapping file, each held to a rule before it can become SQL.

A rule is a sentence: it is what the reader of an error sees.
"""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from refactorkit.migrations.sql_tokens import Kind, tokenize

NAME_RULE: Final = (
    "a name is a lower-case letter or an underscore, then lower-case letters, digits and"
    " underscores, 63 characters at most"
)
PREFIX_RULE: Final = (
    "the name of a mapping is a lower-case letter, then lower-case letters, digits and"
    " underscores, 24 characters at most"
)
FILE_RULE: Final = (
    "a migration is called NNNN_description.sql: four digits or more, then lower-case letters,"
    " digits and underscores, 100 characters at most"
)
OWN_PREFIX: Final = "refactorkit_"

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PREFIX: Final = re.compile(r"[a-z][a-z0-9_]{0,23}")
_FILE: Final = re.compile(r"(?P<version>[0-9]{4,18})_[a-z0-9_]+\.sql")
_FILE_LENGTH: Final = 100
_EXPRESSION_LENGTH: Final = 500
_CONSTANT_LENGTH: Final = 200
_DOLLAR_QUOTE: Final = re.compile(r"\$\w*\$")
_OPENING: Final = {"(": ")", "[": "]"}
_SYSTEM_COLUMNS: Final = frozenset({"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"})


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{_shown(text)} is an odd name: {NAME_RULE}")
    if text.startswith(OWN_PREFIX):
        raise ValueError(
            f"{_shown(text)}: names that begin with {OWN_PREFIX} are the archive's own"
        )
    if text in _SYSTEM_COLUMNS:
        raise ValueError(f"{_shown(text)} is a system column's name in PostgreSQL")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{_shown(text)} is an odd name: {PREFIX_RULE}")
    return text


def _file_name(text: str) -> str:
    match = _FILE.fullmatch(text)
    if match is None or len(text) > _FILE_LENGTH:
        raise ValueError(f"{_shown(text)} is an odd file name: {FILE_RULE}")
    if int(match["version"]) < 1:
        raise ValueError("a version is 1 at least")
    return text


def _expression(text: str) -> str:
    """Refuse what could end or hide a statement: an expression stands in the SQL as it is."""
    if not text.strip() or len(text) > _EXPRESSION_LENGTH:
        raise ValueError(f"an expression has 1 to {_EXPRESSION_LENGTH} characters")
    for forbidden in (";", "--", "/*", "\\"):
        if forbidden in text:
            raise ValueError(f"an expression may not contain {forbidden}")
    if not text.isprintable():
        raise ValueError("an expression stands on one line, without control characters")
    if _DOLLAR_QUOTE.search(text):
        raise ValueError("an expression may not contain a dollar quote; use 'single quotes'")
    _closed(text)
    return text


def _closed(text: str) -> None:
    """Refuse an expression that would take in what stands after it."""
    expected: list[str] = []
    for token in tokenize(text):
        if token.kind is Kind.QUOTED and not _is_closed(token.text):
            raise ValueError("an expression must close the quotes that it opens")
        if token.text == "," and not expected:
            raise ValueError("an expression is one value: no commas outside brackets")
        if token.text in _OPENING:
            expected.append(_OPENING[token.text])
        elif token.text in _OPENING.values() and (not expected or expected.pop() != token.text):
            raise ValueError("an expression must open the brackets that it closes")
    if expected:
        raise ValueError("an expression must close the brackets that it opens")


def _is_closed(quoted: str) -> bool:
    mark = re.search(r"['\"]", quoted)
    return mark is None or (quoted.endswith(mark[0]) and quoted.count(mark[0]) % 2 == 0)


def _constant(text: str) -> str:
    """Refuse what a reader could not see, or what could end the block that the text stands in."""
    if len(text) > _CONSTANT_LENGTH:
        raise ValueError(f"a constant has {_CONSTANT_LENGTH} characters at most")
    if not text.isprintable():
        raise ValueError("a constant may not contain control characters or what cannot be printed")
    for forbidden in ("\\", "--"):
        if forbidden in text:
            raise ValueError(f"a constant may not contain {forbidden}")
    if _DOLLAR_QUOTE.search(text):
        raise ValueError("a constant may not contain a dollar quote, such as $$ or $x$")
    return text


def scalar(value: object) -> object:
    """Return a constant: a text that is safe, true or false, or a whole number.

    Raises:
        ValueError: it is something else; the message says what it may be.
    """
    if isinstance(value, str):
        return _constant(value)
    if not isinstance(value, int):
        raise ValueError("a constant is a text, true or false, or a whole number")  # noqa: TRY004
    return value


def _template(text: str) -> str:
    if text.count("{id}") != 1 or re.search(r"[{}]", text.replace("{id}", "")):
        raise ValueError("a template is a text with {id} in it, once, and no other braces")
    return _constant(text)


def _value(text: str) -> str:
    if "\0" in text:
        raise ValueError("PostgreSQL's text cannot hold the character U+0000")
    return text


def _shown(text: str) -> str:
    """Return the text as one short line, whatever it is."""
    return ascii(text if len(text) <= _CONSTANT_LENGTH else text[:60] + "...")


Identifier = Annotated[str, AfterValidator(_name)]
Prefix = Annotated[str, AfterValidator(_prefix)]
FileName = Annotated[str, AfterValidator(_file_name)]
Expression = Annotated[str, AfterValidator(_expression)]
Constant = Annotated[str, AfterValidator(_constant)]
TemplateText = Annotated[str, AfterValidator(_template)]
Value = Annotated[str, AfterValidator(_value)]
