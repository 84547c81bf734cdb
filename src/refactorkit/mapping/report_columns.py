"""How a column's values are counted: how many, how many different ones, how long the texts."""

from dataclasses import dataclass
from typing import Final

from refactorkit.mapping.model import targets_of
from refactorkit.mapping.report_pass import values_counted
from refactorkit.mapping.report_rows import Rows
from refactorkit.mapping.sql import identifier as q

_TEXTS: Final = ("text", "character", "character varying", "bpchar")


@dataclass(frozen=True, kw_only=True)
class CountedTable:
    """One side of the refactor, whose columns are counted together.

    Attributes:
        table: with its schema.
        is_before: the source, and not the subjects in the target.
        columns: name and type as the mapping writes it, in order.
        facts: a query of one row: rows, then for each column values, and octets of text (NULL
            for what is none).
        distinct: a query of a column's place and its number of different values, to the byte; no
            row for a column without rows.
    """

    table: str
    is_before: bool
    columns: tuple[tuple[str, str], ...]
    facts: str
    distinct: str


def counted_tables(rows: Rows) -> tuple[CountedTable, ...]:
    """Return every source column, and every target column that the mapping fills."""
    source, target = rows.mapping.source, rows.mapping.target
    before = tuple((name, column.type) for name, column in source.columns.items())
    made = [_counted(rows.source_table, before, "s", rows.sources())]
    after = tuple(
        (name, target.adds[name].type)
        for column in rows.mapping.column
        for name in targets_of(column)
        if name in target.adds
    )
    if rows.has_both and after:
        made.append(_counted(rows.target_table, after, "t", rows.subjects()))
    return tuple(made)


def _counted(
    table: str, columns: tuple[tuple[str, str], ...], alias: str, rows: str
) -> CountedTable:
    facts = ["count(*)"]
    for name, kind in columns:
        value = f"{alias}.{q(name)}"
        is_text = kind.partition("(")[0] in _TEXTS
        octets = f"coalesce(sum(octet_length({value})), 0)::bigint" if is_text else "NULL::bigint"
        facts += [f"count({value})", octets]
    values = [f'{alias}.{q(name)}::text COLLATE "C"' for name, _ in columns]
    return CountedTable(
        table=table,
        is_before=alias == "s",
        columns=columns,
        facts=f"SELECT {', '.join(facts)} FROM {rows}",
        distinct=(
            "SELECT v.place, count(v.value) FROM (\n"
            f"{values_counted(values, rows)}\n) AS v (place, value, rows) GROUP BY 1"
        ),
    )
