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

from refactorkit.report.model import Cell, Report

_BAR: Final = 160  # user units of a plot's width


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
    made.globals |= {"bar": bar}
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
