"""CSV tables of a report: one for each of its lists, to be opened in a spreadsheet.

A cell that a spreadsheet would take for a formula is given an apostrophe before it.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from refactorkit.report.model import Cell, Change, Report, Tree

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def tables(report: Report) -> dict[str, bytes]:
    """Return each table's text in UTF-8 by its name.

    They are always the same names, so that none of an older report stays beside a newer one; a
    table without rows has its headings.
    """
    made = {
        name: _table(kind, getattr(report, name))
        for name in Report.model_fields
        if isinstance(getattr(report, name), list) and (kind := field_type(name)) is not None
    }
    evidence = report.evidence
    made["evidence_trees"] = _table(Tree, evidence.trees if evidence else ())
    made["evidence_changes"] = _table(Change, evidence.changes if evidence else ())
    cells = [
        {"source": each.source, "target": each.target, "kind": each.kind, **cell.model_dump()}
        for each in report.distributions
        for cell in each.cells
    ]
    made["distribution_cells"] = _written(["source", "target", "kind", *Cell.model_fields], cells)
    return made


def field_type(name: str) -> type[BaseModel] | None:
    """Return the class of a list's entries, or None where they are plain texts."""
    annotation = Report.model_fields[name].annotation
    arguments = getattr(annotation, "__args__", ())
    found = arguments[0] if arguments else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def safe(value: object) -> str:
    """Return a cell's text: nothing for None, and never a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _table(kind: type[BaseModel], entries: Sequence[BaseModel]) -> bytes:
    return _written(list(kind.model_fields), [entry.model_dump() for entry in entries])


def _written(headings: list[str], rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    writer.writerows([safe(row[name]) for name in headings] for row in rows)
    return text.getvalue().encode()
