"""How values are spread, before and after: counts and classes, with what tells of few hidden."""

from refactorkit.mapping.model import NullAs
from refactorkit.mapping.report_classes import Distributions
from refactorkit.mapping.report_columns import counted_tables
from refactorkit.mapping.report_rows import Rows
from refactorkit.postgres import report_counts
from refactorkit.postgres.connection import Connection
from refactorkit.report import model
from refactorkit.report.masking import FEW, masked


def columns(connection: Connection, rows: Rows) -> list[model.ColumnFacts]:
    """Count the values of each column; the length of few texts is left out."""
    found = []
    for table in counted_tables(rows):
        counts = report_counts.columns(connection, table)
        for (name, kind), counted in zip(table.columns, counts, strict=True):
            values = counted.rows - counted.nulls
            found.append(
                model.ColumnFacts(
                    side="before" if table.is_before else "after",
                    table=table.table,
                    column=name,
                    type=kind,
                    rows=counted.rows,
                    nulls=counted.nulls,
                    distinct=counted.distinct,
                    text_octets=None if 0 < values < FEW else counted.octets,
                )
            )
    return found


def distributions(connection: Connection, rows: Rows) -> list[model.Distribution]:
    """Count classes before and after, and hide what tells of few people."""
    asked = Distributions(rows)
    counted = report_counts.distributions(connection, asked)
    found = []
    for place, each in enumerate(asked.classes):
        labels = each.labels
        before = counted.get((place, True), {})
        has_after = rows.has_both and each.target is not None
        after = counted.get((place, False), {}) if has_after else None
        ends = [n for n, _ in enumerate(labels) if before.get(n) or (after and after.get(n))]
        first, last = (min(ends), max(ends)) if ends else (0, -1)
        if not each.is_grid:
            first, last = (0 if 0 in ends else 1), len(labels) - 1
        shown = range(first, last + 1)
        mask = masked(
            [before.get(n, 0) for n in shown],
            None if after is None else [after.get(n, 0) for n in shown],
        )
        note = mask.note
        if isinstance(each.column, NullAs):
            note = f"{note} Before counts NULL as the mapping does.".strip()
        found.append(
            model.Distribution(
                source=each.column.source,
                target=each.target,
                kind="ranges" if each.is_grid else "terms",
                cells=[
                    model.Cell(label=labels[n], before=b, after=a)
                    for n, b, a in zip(shown, mask.before, mask.after, strict=True)
                ],
                before_missing=before.get(None, 0),
                after_missing=None if after is None else after.get(None, 0),
                note=note,
            )
        )
    return found
