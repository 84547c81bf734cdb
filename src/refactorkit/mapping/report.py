"""The queries of the report for an auditor, for one mapping: counts over classes, never values.

A class is a term of the mapping or a range of one grid, the same for every column of numbers in
every report, so that no bound is anybody's value. Columns of texts that the mapping has no terms
for have no classes: their length alone is counted.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from refactorkit.mapping import codecs
from refactorkit.mapping.model import (
    ArchiveOnly,
    Column,
    Mapping,
    NullAs,
    Range,
    Same,
    SplitLast,
    Values,
    targets_of,
)
from refactorkit.mapping.sql import any_text, literal
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.model import Direction

GRID: Final = (
    0, 10, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200, 240, 300, 400, 500,
    1000,
)  # fmt: skip
OTHER: Final = "another value"
_NUMBERS: Final = ("integer", "smallint", "bigint", "numeric", "real", "double precision")
_TEXTS: Final = ("text", "character", "character varying", "bpchar")


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


@dataclass(frozen=True, kw_only=True)
class Counting:
    """A column whose values are counted.

    Attributes:
        table: with its schema.
        name: the column.
        type: as the mapping writes it.
        is_before: of the source, and not of the subjects in the target.
        facts: a query of one row: rows, NULLs, octets of text (NULL for what is none).
        distinct: a query of the number of different values.
    """

    table: str
    name: str
    type: str
    is_before: bool
    facts: str
    distinct: str


@dataclass(frozen=True)
class Questions:
    """Every query of the report about one mapping, after one direction."""

    mapping: Mapping
    after: Direction

    @property
    def source_table(self) -> str:
        """Where the source lies now, with its schema."""
        schema = "archive" if self.after is Direction.UP else "public"
        return f"{schema}.{self.mapping.source.table}"

    @property
    def target_table(self) -> str:
        """The target, with its schema."""
        return f"public.{self.mapping.target.table}"

    @property
    def has_both(self) -> bool:
        """Whether subjects live in the target, so that there is an after."""
        return self.after is Direction.UP

    @cached_property
    def classes(self) -> tuple[Classes, ...]:
        """The columns that have classes, in the order of the mapping."""
        found = (self._classes(column) for column in self.mapping.column)
        return tuple(each for each in found if each is not None)

    def distributions(self) -> str | None:
        """Return a query of place in ``classes``, whether before, class (NULL: none), and count.

        None where no column has classes. One pass over the rows; what is kept is counts.
        """
        values = []
        for place, each in enumerate(self.classes):
            values.append(f"({place}, true, {self._before(each)})")
            if self.has_both and each.target is not None:
                values.append(
                    f"({place}, false, {self._class(each, f't.{q(each.target)}', each.target)})"
                )
        if not values:
            return None
        listed = ",\n    ".join(values)
        return (
            f"SELECT c.place, c.is_before, c.class, count(*)\nFROM {self._people()}\n"
            f"CROSS JOIN LATERAL (VALUES\n    {listed}\n) AS c (place, is_before, class)\n"
            "GROUP BY 1, 2, 3"
        )

    def countings(self) -> tuple[Counting, ...]:
        """Return every source column, and every target column that the mapping fills."""
        source, target = self.mapping.source, self.mapping.target
        table = self._table(self.source_table, "s")
        made = [
            self._counting(self.source_table, name, definition.type, "s", table)
            for name, definition in source.columns.items()
        ]
        if self.has_both:
            made += [
                self._counting(
                    self.target_table, name, target.adds[name].type, "t", self._subjects()
                )
                for column in self.mapping.column
                for name in targets_of(column)
                if name in target.adds
            ]
        return tuple(made)

    def living_subjects(self) -> str:
        """Return a query of how many subjects are in the target."""
        if not self.has_both:
            return "SELECT 0::bigint"
        return f"SELECT count(*) FROM {self._subjects()}"

    def linked(self) -> dict[str, str]:
        """Return, by table, a query of a link's rows, and of those that have a person."""
        return {
            f"public.{link.table}": "SELECT count(*), count("
            f"{q(link.becomes if self.has_both else link.column)}) FROM public.{q(link.table)}"
            for link in self.mapping.link
        }

    @property
    def sampled(self) -> tuple[str, ...]:
        """The source columns that ``sample`` has a word for, in order."""
        return tuple(column.source for column in self.mapping.column)

    def sample(self) -> str | None:
        """Return a query of reference and array of words, for parameters ``seed`` and ``people``.

        None where nobody is in both tables. The order is by a hash of the seed and the id, so that
        whoever has both draws the same people.
        """
        if not self.has_both:
            return None
        words = ", ".join(self._word(column) for column in self.mapping.column)
        key = "m.source_id"
        return (
            f"SELECT {self._reference(key)}, ARRAY[{words}]\nFROM {self._people()}\n"
            f"JOIN archive.{self.mapping.name}_salts AS z ON z.source_id = {key}\n"
            f"ORDER BY sha256(convert_to(%(seed)s || ':' || {key}, 'UTF8')) LIMIT %(people)s"
        )

    def references(self, *, of_source: bool) -> str:
        """Return a query of id as text and reference, for an array of such texts ``ids``."""
        name = self.mapping.name
        shown = "z.source_id" if of_source else "m.target_id"
        return (
            f"SELECT {shown}::text, {self._reference('z.source_id')}\n"
            f"FROM archive.{name}_salts AS z\n"
            f"LEFT JOIN archive.{name}_map AS m ON m.source_id = z.source_id\n"
            f"WHERE {shown}::text = ANY (%(ids)s)"
        )

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
        source = self.mapping.source
        found = {key.column for key in source.foreign_keys} | {source.key}
        return found | ({source.owner} if source.owner else set())

    def _type(self, column: Column) -> str:
        return self.mapping.source.columns[column.source].type

    def _before(self, each: Classes) -> str:
        column = each.column
        if each.target is None:
            return self._class(each, f"s.{q(column.source)}", None)
        return self._class(each, codecs.inlined(self.mapping, column, each.target, "s"), None)

    def _class(self, each: Classes, value: str, target: str | None) -> str:
        """Return the expression of a value's class: NULL for NULL."""
        kind = self._type(each.column)
        if target is not None and target in self.mapping.target.adds:
            kind = self.mapping.target.adds[target].type
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

    def _people(self) -> str:
        """Return FROM's part: ``s`` alone, or the subjects ``t`` with their ``s`` and ``m``."""
        source = self._table(self.source_table, "s")
        if not self.has_both:
            return source
        mapping = self.mapping
        return (
            f"archive.{mapping.name}_map AS m\n"
            f"JOIN {source} ON s.{q(mapping.source.key)} = m.source_id\n"
            f"JOIN {self._table(self.target_table, 't')}"
            f" ON t.{q(mapping.target.key)} = m.target_id AND m.kind = 'subject'"
        )

    def _subjects(self) -> str:
        mapping = self.mapping
        return (
            f"archive.{mapping.name}_map AS m JOIN {self._table(self.target_table, 't')}"
            f" ON t.{q(mapping.target.key)} = m.target_id AND m.kind = 'subject'"
        )

    def _counting(self, table: str, name: str, kind: str, alias: str, rows: str) -> Counting:
        value = f"{alias}.{q(name)}"
        octets = "NULL::bigint"
        if kind.partition("(")[0] in _TEXTS:
            octets = f"coalesce(sum(octet_length({value})), 0)::bigint"
        return Counting(
            table=table,
            name=name,
            type=kind,
            is_before=alias == "s",
            facts=f"SELECT count(*), count(*) - count({value}), {octets} FROM {rows}",
            distinct=f"SELECT count(*) FROM (SELECT DISTINCT {value}::text FROM {rows}"
            f" WHERE {value} IS NOT NULL) AS d",
        )

    def _word(self, column: Column) -> str:
        if isinstance(column, ArchiveOnly):
            return "'archive only'"
        differs = " OR ".join(
            f"({codecs.inlined(self.mapping, column, target, 's')})::text"
            f" IS DISTINCT FROM t.{q(target)}::text"
            for target in targets_of(column)
        )
        return f"CASE WHEN {differs} THEN 'differs' ELSE 'as mapped' END"

    @staticmethod
    def _reference(key: str) -> str:
        """Return the expression of a person's reference: it says nothing without her salt."""
        return (
            f"left(encode(sha256(z.salt || convert_to('rk-reference-v1:' || {key}, 'UTF8')),"
            " 'hex'), 16)"
        )

    @staticmethod
    def _table(label: str, alias: str) -> str:
        schema, _, name = label.partition(".")
        return f"{schema}.{q(name)} AS {alias}"


def grid_labels() -> tuple[str, ...]:
    """Return the ranges' names, from number 0 on."""
    between = (
        f"{low} to below {high}" for low, high in zip(GRID, (*GRID[1:], None), strict=True) if high
    )
    return (f"below {GRID[0]}", *between, f"{GRID[-1]} and more")


def way(column: Column) -> tuple[str, str]:
    """Return how a column goes forward and how it comes back when it was edited, in words."""
    match column:
        case SplitLast():
            return (
                "split at the last space; one word is the first alone",
                "joined by one space",
            )
        case Values():
            return (
                "by the table of values; anything else is NULL, and stays in the archive",
                ", ".join(f"{image} → {raw}" for image, raw in column.back.items()),
            )
        case Range():
            return f"itself within {column.min} to {column.max}; else NULL", "itself"
        case NullAs():
            return f"itself; NULL becomes {literal(column.value)}", "itself"
        case Same():
            return "itself", "itself"
        case ArchiveOnly():
            return "no place in the target: stays in the archive", "the archived value"
