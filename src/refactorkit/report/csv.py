"""CSV tables of a report: one for each of its lists, to be opened in a spreadsheet.

A cell that a spreadsheet would take for a formula is given an apostrophe before it.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from refactorkit.report.model import Report

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def tables(report: Report) -> dict[str, bytes]:
    """Return each table's text in UTF-8 by its name; a table without rows has its headings."""
    made = {
        name: _table(field_type(name), getattr(report, name))
        for name in Report.model_fields
        if isinstance(getattr(report, name), list) and field_type(name) is not None
    }
    evidence = report.evidence
    if evidence is not None:
        made["evidence_trees"] = _table(None, evidence.trees)
        made["evidence_changes"] = _table(None, evidence.changes)
    cells = [
        {"source": each.source, "target": each.target, "kind": each.kind, **cell.model_dump()}
        for each in report.distributions
        for cell in each.cells
    ]
    if cells:
        made["distribution_cells"] = _written(list(cells[0]), cells)
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


def _table(kind: type[BaseModel] | None, entries: Sequence[BaseModel]) -> bytes:
    kind = kind or (type(entries[0]) if entries else None)
    headings = list(kind.model_fields) if kind else []
    return _written(headings, [entry.model_dump() for entry in entries])


def _written(headings: list[str], rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(headings)
    writer.writerows([safe(row[name]) for name in headings] for row in rows)
    return text.getvalue().encode()
