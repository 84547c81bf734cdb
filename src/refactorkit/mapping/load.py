"""A mapping file, read and checked: a Mapping, or every error with its line."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from refactorkit.errors import FailedError, RefusedError, UsageError
from refactorkit.mapping.check import check
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.positions import Positions
from refactorkit.mapping.problem import Problem

_HINT: Final = "Nothing was written. Correct what is named, and run this again."
_LINE: Final = re.compile(r"\(at line ([0-9]+), column [0-9]+\)")
# By pydantic's kind of error; the braces are its context, and `name` the key.
_SENTENCES: Final = {
    "value_error": "{error}",
    "missing": "{name} is missing here: add it",
    "extra_forbidden": "{name} means nothing here: remove it, or correct its spelling",
    "union_tag_not_found": "`codec` is missing here: add it",
    "union_tag_invalid": "`codec` must be one of {expected_tags}",
    "literal_error": "{name} must be {expected}",
    "too_short": "{name} must have {min_length} elements at least",
    "too_long": "{name} must have {max_length} elements at most",
    "bool_type": "{name} must be true or false",
    "dict_type": "{name} must be a table",
    "int_type": "{name} must be a whole number",
    "list_type": "{name} must be a list",
    "model_attributes_type": "{name} must be a table",
    "model_type": "{name} must be a table",
    "string_type": "{name} must be a text",
}


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        UsageError: there is no such file.
        FailedError: it cannot be read.
        RefusedError: it is no sound mapping. Every error is named with its line; errors that
            concern several parts are looked for once each part is well-formed.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(
            f"There is no mapping {path}.",
            hint="Name one: refactorkit compile MAPPING. The default is archive/patients.toml.",
        ) from error
    except OSError as error:
        raise FailedError(
            f"The mapping {path} cannot be read: {error.strerror or 'an error of the system'}."
        ) from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(str(path), [(line, "this is no UTF-8: save the file as UTF-8")]) from error
    return parse_mapping(text, file=str(path))


def parse_mapping(text: str, *, file: str) -> Mapping:
    """Return the mapping that a TOML text says; ``file`` is what errors call it.

    Raises:
        RefusedError: as in ``load_mapping``.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(file, [_syntax_error(text, error)]) from error
    except RecursionError as error:
        raise _refused(file, [(1, "lists or tables are nested too deeply")]) from error
    try:
        mapping = Mapping.model_validate(document)
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors(include_url=False)]
        raise _refused(file, _with_lines(text, problems)) from error
    problems = list(check(mapping))
    if problems:
        raise _refused(file, _with_lines(text, problems))
    return mapping


def _refused(file: str, found: Iterable[tuple[int, str]]) -> RefusedError:
    lines = sorted(set(found))
    count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
    listed = "".join(f"\n{file}:{line}: {text}." for line, text in lines)
    return RefusedError(f"The mapping {file} cannot be used: {count}.{listed}", hint=_HINT)


def _with_lines(text: str, problems: Iterable[Problem]) -> list[tuple[int, str]]:
    positions = Positions(text)
    return [(positions.line(problem.location), problem.text) for problem in problems]


def _syntax_error(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the line and what is wrong there; up to Python 3.13 only the message has the line."""
    message = str(error)
    match = _LINE.search(message)
    line = int(match[1]) if match else text.rstrip("\n").count("\n") + 1
    return line, f"this is no TOML: {message.partition(' (at ')[0]}"


def _problem(details: ErrorDetails) -> Problem:
    """Say what pydantic found, in words of the file; its own words are the last resort."""
    location = details["loc"]
    keys = [step for step in location if isinstance(step, str) and step != "[key]"]
    name = f"`{keys[-1]}`" if keys else "the file"
    sentence = _SENTENCES.get(details["type"])
    if sentence is None:
        return Problem(location=location, text=f"{name} is not sound: {details['msg']}")
    return Problem(location=location, text=sentence.format(name=name, **details.get("ctx", {})))
