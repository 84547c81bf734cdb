"""Two texts of pg_dump against each other, and which objects they disagree on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Random per run, or naming a version of the programs.
_LEFT_OUT: Final = (
    "\\restrict ",
    "\\unrestrict ",
    "-- Dumped from database version ",
    "-- Dumped by pg_dump version ",
)
_ENTRY: Final = re.compile(r"-- (?:Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: .*")
_PREAMBLE: Final = "the settings at the top"


@dataclass(frozen=True, kw_only=True)
class CatalogDifference:
    """An object that is not the same in both.

    Attributes:
        name: its type, schema and name, as pg_dump has them.
        what: what is the matter with it.
    """

    name: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The definitions of a database.

    Attributes:
        text: all of it, as pg_dump orders it.
        entries: the text of each object, by its type, schema and name.
    """

    text: str
    entries: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Catalog":
        """Read what ``pg_dump --schema-only`` wrote."""
        lines = [line for line in text.split("\n") if not line.startswith(_LEFT_OUT)]
        entries: dict[str, str] = {}
        for name, line in _labelled(lines):
            entries[name] = entries.get(name, "") + line + "\n"
        # The line of dashes before an object stands in the text of the one before it.
        entries = {name: text.rstrip("-\n") for name, text in entries.items()}
        return cls(text="\n".join(lines), entries=entries)


def differences(expected: Catalog, actual: Catalog) -> tuple[CatalogDifference, ...]:
    """Return which objects differ; none where the texts are equal."""
    if expected.text == actual.text:
        return ()
    found = []
    for name in sorted({*expected.entries, *actual.entries}):
        before, after = expected.entries.get(name), actual.entries.get(name)
        if after is None:
            found.append(CatalogDifference(name=name, what="is missing"))
        elif before is None:
            found.append(CatalogDifference(name=name, what="is new"))
        elif before != after:
            found.append(CatalogDifference(name=name, what=_changed(before, after)))
    return tuple(found) or (
        CatalogDifference(name="all objects", what="are the same in another order"),
    )


def _labelled(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line with the object it belongs to."""
    name = _PREAMBLE
    for line in lines:
        match = _ENTRY.fullmatch(line)
        if match is not None:
            schema = "" if match[3] == "-" else f"{match[3]}."
            name = f"{match[2]} {schema}{match[1]}"
        yield name, line


def _changed(before: str, after: str) -> str:
    """Say which lines of a definition changed, by the word they begin with: a column's name."""
    old, new = _pieces(before), _pieces(after)
    words = [
        line.split()[0] for line in dict.fromkeys([*old, *new]) if (line in old) != (line in new)
    ]
    if not words:
        return "has the same parts in another order"
    return "changed at " + ", ".join(dict.fromkeys(words))


def _pieces(text: str) -> list[str]:
    stripped = (line.strip().removesuffix(",") for line in text.splitlines())
    return [line for line in stripped if line and line != "--"]
