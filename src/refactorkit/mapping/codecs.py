"""Codecs: how a value goes forward, and how it comes back when it was edited.

A codec that is more than the value itself becomes two SQL functions in the archive, so that Down
goes back by the mapping that Up ran with. A function's body is one immutable expression, which the
planner inlines: a codec costs no call.
"""

from dataclasses import dataclass

from refactorkit.mapping.model import (
    ArchiveOnly,
    Column,
    Mapping,
    NullAs,
    Range,
    Same,
    SplitLast,
    Values,
)
from refactorkit.mapping.sql import any_text, identifier, literal


@dataclass(frozen=True, kw_only=True)
class Function:
    """One SQL function of the archive: ``name(arguments) RETURNS returns`` and its expression."""

    name: str
    arguments: str
    returns: str
    body: str


def functions(mapping: Mapping) -> tuple[Function, ...]:
    """Return the functions that the mapping's codecs need, column by column, forward first."""
    made: list[Function] = []
    for column in mapping.column:
        made.extend(_functions(mapping, column))
    return tuple(made)


def forward(mapping: Mapping, column: Column, target: str, alias: str) -> str:
    """Return the expression of ``target`` made from the source row ``alias``."""
    value = f"{alias}.{identifier(column.source)}"
    if isinstance(column, NullAs):
        return f"coalesce({value}, {literal(column.value)})"
    if isinstance(column, Same):
        return value
    return f"archive.{mapping.name}_forward_{target}({value})"


def inlined(mapping: Mapping, column: Column, target: str, alias: str) -> str:
    """Return ``forward`` without a function of the archive, which is there from the first Up on."""
    value = f"{alias}.{identifier(column.source)}"
    if isinstance(column, SplitLast):
        first, _ = column.target
        return _before_last_space(value) if target == first else _after_last_space(value)
    if isinstance(column, Values):
        return _cases(value, column.forward, otherwise=None)
    if isinstance(column, Range):
        return _within(value, column)
    return forward(mapping, column, target, alias)


def back(mapping: Mapping, column: Column, alias: str) -> str:
    """Return the expression of the source column made from the target row ``alias``."""
    if isinstance(column, ArchiveOnly):
        raise TypeError(f"{column.source} has no way back")
    targets = [column.target] if isinstance(column.target, str) else column.target
    values = [f"{alias}.{identifier(target)}" for target in targets]
    if isinstance(column, SplitLast | Values):
        return f"archive.{mapping.name}_back_{column.source}({', '.join(values)})"
    return values[0]


def inlined_back(mapping: Mapping, column: Column, alias: str) -> str:
    """Return ``back`` without a function of the archive, which not everybody may call."""
    if isinstance(column, SplitLast):
        first, last = (f"{alias}.{identifier(target)}" for target in column.target)
        return _joined(first, last)
    if isinstance(column, Values):
        value = f"{alias}.{identifier(column.target)}"
        return _cases(value, column.back, otherwise=value)
    return back(mapping, column, alias)


def is_lossy(column: Column) -> bool:
    """Tell whether a raw value of this column can be without a forward image."""
    return isinstance(column, Values | Range)


def _joined(first: str, last: str) -> str:
    return f"coalesce({first} || ' ' || {last}, {first}, {last}, '')"


def _functions(mapping: Mapping, column: Column) -> list[Function]:
    forward_name = f"{mapping.name}_forward_"
    back_name = f"{mapping.name}_back_{column.source}"
    if isinstance(column, SplitLast):
        first, last = column.target
        return [
            Function(
                name=forward_name + first,
                arguments="value text",
                returns="text",
                body=_before_last_space("value"),
            ),
            Function(
                name=forward_name + last,
                arguments="value text",
                returns="text",
                body=_after_last_space("value"),
            ),
            Function(
                name=back_name,
                arguments="first text, last text",
                returns="text",
                body=_joined("first", "last"),
            ),
        ]
    if isinstance(column, Values):
        return [
            Function(
                name=forward_name + column.target,
                arguments="value text",
                returns="text",
                body=_cases("value", column.forward, otherwise=None),
            ),
            Function(
                name=back_name,
                arguments="value text",
                returns="text",
                body=_cases("value", column.back, otherwise="value"),
            ),
        ]
    if isinstance(column, Range):
        kind = mapping.source.columns[column.source].type
        return [
            Function(
                name=forward_name + column.target,
                arguments=f"value {kind}",
                returns=kind,
                body=_within("value", column),
            )
        ]
    return []


def _before_last_space(value: str) -> str:
    return (
        f"CASE WHEN strpos({value}, ' ') = 0 THEN {value}"
        f" ELSE left({value}, length({value}) - strpos(reverse({value}), ' ')) END"
    )


def _after_last_space(value: str) -> str:
    return (
        f"CASE WHEN strpos({value}, ' ') > 0"
        f" THEN right({value}, strpos(reverse({value}), ' ') - 1) END"
    )


def _within(value: str, column: Range) -> str:
    return f"CASE WHEN {value} BETWEEN {column.min} AND {column.max} THEN {value} END"


def _cases(value: str, table: dict[str, str], *, otherwise: str | None) -> str:
    cases = "".join(
        f"\n        WHEN {any_text(raw)} THEN {any_text(image)}" for raw, image in table.items()
    )
    end = f"\n        ELSE {otherwise}" if otherwise else ""
    return f"CASE {value}{cases}{end}\n    END"
