"""The line of each value of a TOML text."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refactorkit.mapping.positions import Positions

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "archive/patients.toml", *sorted((ROOT / "tests/mappings").glob("*.toml"))]

TRICKY = """\
# [not.a.table]
title = "a # b = [c]"     # comment = 1
"quoted key" = 1
dotted.inner."x.y" = 2
'literal' = 'C:\\'

[plain]
text = \"\"\"
[nor] = this
one \\\\\\\"\"\" "" is = inside\"\"\"\"
after = 1
raw = '''
[[nor.this]]'''''
numbers = [
    1, # [2]
    [2, "]"],
    { a = 1, "b,}" = [ { c = 2 } ] },
]
when = 1979-05-27 07:32:00

[[list]]
name = "first"
[list.sub]
deep = true

[[list]]
name = "second"
    [list.sub]
    deep = { of.it = 1 }

[[list.inner]]
x = 1
[[list.inner]]
x = 2

[plain.below.table]
y = 1
[list-of]
z = -0.0
"""
LINES = {
    ("title",): 2,
    ("quoted key",): 3,
    ("dotted", "inner", "x.y"): 4,
    ("literal",): 5,
    ("plain",): 7,
    ("plain", "text"): 8,
    ("plain", "after"): 11,
    ("plain", "raw"): 12,
    ("plain", "numbers"): 14,
    ("plain", "numbers", 0): 15,
    ("plain", "numbers", 1, 1): 16,
    ("plain", "numbers", 2, "b,}", 0, "c"): 17,
    ("plain", "when"): 19,
    ("list", 0): 21,
    ("list", 0, "name"): 22,
    ("list", 0, "sub"): 23,
    ("list", 0, "sub", "deep"): 24,
    ("list", 1): 26,
    ("list", 1, "name"): 27,
    ("list", 1, "sub", "deep", "of", "it"): 29,
    ("list", 1, "inner", 0, "x"): 32,
    ("list", 1, "inner", 1): 33,
    ("list", 1, "inner", 1, "x"): 34,
    ("plain", "below", "table"): 36,
    ("plain", "below", "table", "y"): 37,
    ("list-of", "z"): 39,
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_value_has_the_line_that_it_stands_on(end: str) -> None:
    tomllib.loads(TRICKY)  # the text is what it is meant to be
    positions = Positions(TRICKY.replace("\n", end))

    assert {location: positions.line(location) for location in LINES} == LINES


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    positions = Positions(TRICKY)

    assert positions.line(()) == 1
    assert positions.line(("nothing", "at", "all")) == 1
    assert positions.line(("plain", "nothing")) == 7
    assert positions.line(("list", 1, "a tag", "name")) == 27
    assert positions.line(("list", 1, "sub", "nothing")) == 28
    assert positions.line(("list", 7)) == 21


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_key_of_a_mapping_stands_on_the_line_that_is_said(file: Path) -> None:
    text = file.read_text()
    lines = text.splitlines()
    positions = Positions(text)

    for location in locations(tomllib.loads(text)):
        names = [step for step in location if isinstance(step, str)]
        line = lines[positions.line(location) - 1]
        if names[-1].isidentifier() and names[-1].isascii():
            assert names[-1] in line, location


def locations(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if way and isinstance(way[-1], str):
        yield way
    if isinstance(value, dict):
        for key, child in value.items():
            yield from locations(child, (*way, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from locations(child, (*way, index))


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# nothing", "[", "[[", "a", "= 1", 'x = "', "a = [}]"]
)
def test_no_text_makes_the_scanner_fail_or_hang(text: str) -> None:
    assert Positions(text).line(("a",)) >= 1
