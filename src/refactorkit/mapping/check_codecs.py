"""Columns and their codecs: every source column goes one way, and every way leads back."""

from collections.abc import Callable, Iterator
from typing import Final

from refactorkit.mapping.column_types import INTEGER_BOUNDS
from refactorkit.mapping.model import (
    ArchiveOnly,
    Column,
    Copied,
    Definition,
    Mapping,
    NullAs,
    Range,
    Same,
    SplitLast,
    Values,
    targets_of,
)
from refactorkit.mapping.problem import Problem

# Where NULL would come back as a value that is not quite what was stored: 0 and 0.00.
_NULL_AS_TYPES: Final[dict[str, type]] = {
    "boolean": bool,
    "integer": int,
    "bigint": int,
    "text": str,
}
_KEPT_BESIDE: Final = frozenset({"turn", "source_id", "target_id"})


def source_columns(mapping: Mapping) -> Iterator[Problem]:
    """Each source column is the key, mapped once, kept in the archive, or copied."""
    key = mapping.source.key
    ways = {key: "it is the key, and goes by its pair"}
    for name, at, way in _ways(mapping):
        if name not in mapping.source.columns:
            yield Problem(location=at, text=f"there is no column {name} in [source.columns]")
        elif name in ways and not (name == key and at[0] == "subject"):
            yield Problem(location=at, text=f"{name} is spoken for: {ways[name]}")
        ways.setdefault(name, way)
    for name in mapping.source.columns:
        if name not in ways:
            yield Problem(
                location=("source", "columns", name),
                text=f"nothing says what becomes of {name}: add a [[column]], with codec ="
                " 'archive' where it has no place",
            )
    carried = {column.source for column in mapping.column if targets_of(column)}
    if not carried:
        yield Problem(
            location=("column",),
            text="no column is carried: map one at least with a codec other than 'archive'",
        )
    yield from _kept_names(mapping, carried)


def _ways(mapping: Mapping) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    """Yield each source column that is named, where, and what that means for the column."""
    for index, column in enumerate(mapping.column):
        yield column.source, ("column", index, "source"), "another [[column]] maps it"
    for target, value in mapping.subject.items():
        if isinstance(value, Copied):
            way = f"[subject] copies it to {target}"
            yield value.column, ("subject", target, "column"), way


def _kept_names(mapping: Mapping, carried: set[str]) -> Iterator[Problem]:
    for name in mapping.source.columns:
        if name in _KEPT_BESIDE and name in carried:
            yield _kept_name(("source", "columns", name), name)
    for index, link in enumerate(mapping.link):
        for name in (link.key, *link.adds):
            if link.adds and name == "turn":
                yield _kept_name(("link", index), name)


def _kept_name(location: tuple[str | int, ...], name: str) -> Problem:
    return Problem(
        location=location,
        text=f"the archive keeps a {name} of its own beside this column: rename it before the"
        " refactor",
    )


def target_columns(mapping: Mapping) -> Iterator[Problem]:
    """Each target of a codec is a column that is added, and takes one source column."""
    target = mapping.target
    mapped: set[str] = set()
    for index, column in enumerate(mapping.column):
        at = ("column", index, "target")
        for name in targets_of(column):
            if name in mapped:
                yield Problem(
                    location=at, text=f"{name} is mapped twice: a target takes one source column"
                )
            elif name in target.columns:
                yield Problem(
                    location=at,
                    text=f"{name} is a column of version {mapping.version - 1}, with values of its"
                    " own: map to one under [target.adds], or copy under [subject]",
                )
            elif name not in target.adds:
                yield Problem(location=at, text=f"there is no column {name} in [target.adds]")
            if name in mapping.subject:
                yield Problem(
                    location=("subject", name),
                    text=f"{name} is mapped by a [[column]]: it cannot also have a value here",
                )
            mapped.add(name)


def types(mapping: Mapping) -> Iterator[Problem]:
    """A codec fits the types of its columns; the comparison of rows is by type and by byte."""
    for index, column in enumerate(mapping.column):
        source = mapping.source.columns.get(column.source)
        targets = [mapping.target.adds.get(name) for name in targets_of(column)]
        if source is None or not targets or any(target is None for target in targets):
            continue
        found = [source.type, *(target.type for target in targets if target is not None)]
        if sentence := _TYPES[type(column)](column, found):
            yield Problem(location=("column", index), text=sentence)


def _texts(column: Column, found: list[str]) -> str:
    if set(found) == {"text"}:
        return ""
    return f"codec '{column.codec}' takes text to text, and these are {' and '.join(found)}"


def _range_types(column: Column, found: list[str]) -> str:
    if len(set(found)) == 1 and found[0] in INTEGER_BOUNDS:
        return ""
    return (
        f"codec '{column.codec}' takes smallint, integer or bigint to the same type, and these are"
        f" {' and '.join(found)}"
    )


def _null_as_types(column: Column, found: list[str]) -> str:
    expected = _NULL_AS_TYPES.get(found[0])
    if len(set(found)) > 1 or expected is None:
        return (
            "codec 'null_as' takes boolean, integer, bigint or text to the same type, and these"
            f" are {' and '.join(found)}"
        )
    value = column.value if isinstance(column, NullAs) else None
    if type(value) is not expected:
        return f"`value` must be a {found[0]}, as the column is"
    if isinstance(value, int) and not isinstance(value, bool):
        low, high = INTEGER_BOUNDS[found[0]]
        if not low <= value <= high:
            return f"`value` does not fit into {found[0]}"
    return ""


def _same_types(_: Column, found: list[str]) -> str:
    if len(set(found)) == 1:
        return ""
    return f"codec 'same' takes a column to one of the same type: these are {' and '.join(found)}"


_TYPES: Final[dict[type, Callable[[Column, list[str]], str]]] = {
    SplitLast: _texts,
    Values: _texts,
    Range: _range_types,
    NullAs: _null_as_types,
    Same: _same_types,
}


def inverses(mapping: Mapping) -> Iterator[Problem]:
    """What goes forward has a way back that ends where it began."""
    for index, column in enumerate(mapping.column):
        at = ("column", index)
        if isinstance(column, Range) and column.min > column.max:
            yield Problem(location=(*at, "min"), text="`min` is above `max`: no value would pass")
        if not isinstance(column, Values):
            continue
        for value, image in column.forward.items():
            if image not in column.back:
                yield Problem(
                    location=(*at, "forward", value),
                    text=f"there is no way back from {image!a}: name it under `back`",
                )
        for image, value in column.back.items():
            if column.forward.get(value) != image:
                yield Problem(
                    location=(*at, "back", image),
                    text=f"{image!a} goes back to {value!a}, which does not go forward to"
                    f" {image!a}: make the two agree",
                )


def nulls(mapping: Mapping) -> Iterator[Problem]:
    """No codec puts NULL where NULL is refused, in either direction."""
    for index, column in enumerate(mapping.column):
        source = mapping.source.columns.get(column.source)
        if source is None or isinstance(column, ArchiveOnly):
            continue
        for position, name in enumerate(targets_of(column)):
            target = mapping.target.adds.get(name)
            if target is None:
                continue
            if target.not_null and _may_be_null(column, source, position):
                yield Problem(
                    location=("column", index),
                    text=f"{name} is NOT NULL, and codec '{column.codec}' may have no value for it:"
                    " let it be NULL, or use 'null_as'",
                )
            if source.not_null and not target.not_null and not isinstance(column, SplitLast):
                yield Problem(
                    location=("column", index),
                    text=f"{column.source} is NOT NULL, and {name} may become NULL, which Down"
                    " could not carry back: make both NOT NULL, or neither",
                )
            if column.profile and target.not_null and not isinstance(column, NullAs):
                yield Problem(
                    location=("column", index, "profile"),
                    text=f"{name} is NOT NULL: every row would count as a profile",
                )


def _may_be_null(column: Column, source: Definition, position: int) -> bool:
    match column:
        case Values() | Range():
            return True
        case NullAs():
            return False
        case SplitLast() if position == 1:
            return True
    return not source.not_null
