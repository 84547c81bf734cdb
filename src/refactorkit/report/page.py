"""A report as one page: it needs no script, no network and no other file, and prints.

Its policy forbids everything but its own style, which is named by its hash.
"""

import base64
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

import jinja2
from markupsafe import Markup

from refactorkit.report.model import Catalog, Cell, Distribution, Report

_BAR: Final = 160  # user units of a plot's width
_TO: Final = " to below "
_NOW: Final = "now: "
_THEN: Final = "in the transaction of turn "
_MEANING: Final = {
    "sources": "rows of the old table",
    "pairs": "of an old row and its new one",
    "subjects": "new rows that old rows became",
    "subjects living in the target": "new rows that old rows became, still there",
    "natives": "rows of the new table that are nobody's old row",
    "natives shown": "of these, shown as rows of the old table",
    "renumbered": "old rows whose new row has another id",
    "targets": "rows of the new table",
    "other rows of the target": "there before, or made since",
    "decisions": "values or rows that gave way, written down",
}


def render(report: Report) -> str:
    """Return the page."""
    style = _style()
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            r=report,
            style=Markup(style),  # noqa: S704 - a file of ours
            style_hash=f"sha256-{digest}",
        )
    )


def bar(count: int | None, cells: Sequence[Cell]) -> int:
    """Return the length of a bar, the longest of the column being the whole width."""
    most = max((n for cell in cells for n in (cell.before, cell.after) if n), default=1)
    return round(_BAR * (count or 0) / most)


def drawn(distribution: Distribution) -> list[Cell]:
    """Return the classes as the page shows them: empty ranges side by side are one range."""
    shown: list[Cell] = []
    for cell in distribution.cells:
        last = shown[-1] if shown else None
        if last and _is_empty_range(last, distribution) and _is_empty_range(cell, distribution):
            low, high = last.label.partition(_TO)[0], cell.label.partition(_TO)[2]
            shown[-1] = last.model_copy(update={"label": f"{low}{_TO}{high}"})
        else:
            shown.append(cell)
    return shown


def compared(catalog: Catalog, catalogs: Sequence[Catalog]) -> str:
    """Return what a schema's fingerprint says beside those after earlier turns of its kind."""
    if catalog.same_as is not None:
        return f"same as after turn {catalog.same_as}"
    earlier = [
        each.turn
        for each in catalogs[: catalogs.index(catalog)]
        if (each.version, each.direction) == (catalog.version, catalog.direction)
    ]
    return f"CHANGED since turn {earlier[-1]}" if earlier else "the first of its kind"


def counted(report: Report) -> list[list[str]]:
    """Return the counts side by side: what, what that means, now, and in the last transaction."""
    found: dict[str, dict[str, str]] = {}
    for each in report.counts:
        if each.name.startswith(_THEN):
            when, name = "then", each.name.removeprefix(_THEN).partition(": ")[2]
        else:
            when, name = "now", each.name.removeprefix(_NOW)
        found.setdefault(name, {})[when] = _number(each.rows)
    return [
        [
            name,
            _MEANING.get(name, ""),
            rows.get("now", "not counted"),
            rows.get("then", "not counted"),
        ]
        for name, rows in found.items()
    ]


def _is_empty_range(cell: Cell, distribution: Distribution) -> bool:
    nothing_after = cell.after == 0 or distribution.after_missing is None
    return (
        distribution.kind == "ranges" and _TO in cell.label and cell.before == 0 and nothing_after
    )


@cache
def _style() -> str:
    return (files("refactorkit.report") / "templates" / "report.css").read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("refactorkit.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"bar": bar, "counted": counted, "drawn": drawn, "compared": compared}
    made.filters |= {"number": _number, "moment": _moment, "size": _size}
    return made


def _number(value: float | None) -> str:
    """Return a number with its thousands apart, and a word for what is not known."""
    return "not known" if value is None else f"{value:,}"


def _moment(text: str | None) -> str:
    """Return a time to the second, in UTC, or the text where it is none."""
    if not text:
        return "not known"
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text


def _size(count: int | None) -> str:
    if count is None:
        return "not known"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
