"""Classes of values, for the report: what is counted are people in a class, never a value.

A class is a term of the mapping or a range of one grid, the same for every column of numbers in
every report, so that no bound is anybody's value. Columns of texts that the mapping has no terms
for have no classes: their length alone is counted.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from refactorkit.mapping import codecs
from refactorkit.mapping.model import Column, SplitLast, Values, targets_of
from refactorkit.mapping.report_pass import values_counted
from refactorkit.mapping.report_rows import Rows
from refactorkit.mapping.sql import any_text
from refactorkit.mapping.sql import identifier as q

GRID: Final = (
    0, 10, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200, 240, 300, 400, 500,
    1000,
)  # fmt: skip
OTHER: Final = "another value"
_NUMBERS: Final = ("integer", "smallint", "bigint", "numeric", "real", "double precision")


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of one mapped column.

    Attributes:
        column: of the mapping.
        target: the target's column; None where there is none.
        labels: of the classes, from number 0 on.
        is_grid: whether they are ranges.
    """

    column: Column
    target: str | None
    labels: tuple[str, ...]
    is_grid: bool


@dataclass(frozen=True)
class Distributions:
    """The classes of one mapping's columns, and how people are counted in them."""

    rows: Rows

    @cached_property
    def classes(self) -> tuple[Classes, ...]:
        """The columns that have classes, in the order of the mapping."""
        found = (self._classes(column) for column in self.rows.mapping.column)
        return tuple(each for each in found if each is not None)

    @cached_property
    def counted(self) -> tuple[tuple[int, bool], ...]:
        """What each place of ``query`` counts: a place in ``classes``, and whether before."""
        return tuple(
            (number, is_before)
            for number, each in enumerate(self.classes)
            for is_before in (True, False)
            if is_before or (self.rows.has_both and each.target is not None)
        )

    def query(self) -> str | None:
        """Return a query of place in ``counted``, class (NULL: no value), and people.

        None where no column has classes. One pass over the rows; what is kept is counts.
        """
        values = []
        for number, is_before in self.counted:
            each = self.classes[number]
            after = None if is_before else each.target
            values.append(
                self._before(each) if after is None else self._class(each, f"t.{q(after)}", after)
            )
        return values_counted(values, self.rows.people()) if values else None

    def _classes(self, column: Column) -> Classes | None:
        target = next(iter(targets_of(column)), None)
        if isinstance(column, SplitLast):
            return None
        if isinstance(column, Values):
            terms = dict.fromkeys(column.forward.values())
            return Classes(column=column, target=target, labels=(OTHER, *terms), is_grid=False)
        kind = self._type(column)
        if kind == "boolean":
            labels = (OTHER, "false", "true")
            return Classes(column=column, target=target, labels=labels, is_grid=False)
        if not kind.startswith(_NUMBERS) or column.source in self._references_others():
            return None
        return Classes(column=column, target=target, labels=grid_labels(), is_grid=True)

    def _references_others(self) -> set[str]:
        """Return the columns whose numbers are ids of somebody."""
        source = self.rows.mapping.source
        found = {key.column for key in source.foreign_keys} | {source.key}
        return found | ({source.owner} if source.owner else set())

    def _type(self, column: Column) -> str:
        return self.rows.mapping.source.columns[column.source].type

    def _before(self, each: Classes) -> str:
        column = each.column
        if each.target is None:
            return self._class(each, f"s.{q(column.source)}", None)
        return self._class(each, codecs.inlined(self.rows.mapping, column, each.target, "s"), None)

    def _class(self, each: Classes, value: str, target: str | None) -> str:
        """Return the expression of a value's class: NULL for NULL."""
        kind = self._type(each.column)
        if target is not None and target in self.rows.mapping.target.adds:
            kind = self.rows.mapping.target.adds[target].type
        if each.is_grid and kind.startswith(_NUMBERS):
            edges = ", ".join(str(edge) for edge in GRID)
            return f"width_bucket(({value})::numeric, ARRAY[{edges}]::numeric[])"
        if isinstance(each.column, Values):
            cases = " ".join(
                f"WHEN {any_text(label)} THEN {place}"
                for place, label in enumerate(each.labels)
                if place
            )
            return f"CASE WHEN ({value}) IS NULL THEN NULL ELSE CASE {value} {cases} ELSE 0 END END"
        return f"CASE ({value})::text WHEN 'false' THEN 1 WHEN 'true' THEN 2 END"


def grid_labels() -> tuple[str, ...]:
    """Return the ranges' names, from number 0 on."""
    between = (
        f"{low} to below {high}" for low, high in zip(GRID, (*GRID[1:], None), strict=True) if high
    )
    return (f"below {GRID[0]}", *between, f"{GRID[-1]} and more")
