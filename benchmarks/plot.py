"""The results as a picture: bars in SVG, written by hand, readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.judged import Figure, Verdict
from benchmarks.results import Results
from benchmarks.tables import number
from benchmarks.workloads import MEANING

_WIDTH: Final = 960  # pixels, as all lengths here
_LABELS: Final = 350
_VALUES: Final = 130
_ROW: Final = 24
_THICK: Final = 14
_HEADING: Final = 44
_MARGIN: Final = 16
_COLOURS: Final = {Verdict.PASS: "#2a7f62", Verdict.MISS: "#c0392b", Verdict.REPORTED: "#4a78a8"}
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#222}.h{font-weight:600;font-size:15px}"
    ".v{font-variant-numeric:tabular-nums}.n{fill:#666;font-size:12px}"
)


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """One bar: its length is ``share`` of the room; ``limit`` is where a line crosses it."""

    label: str
    value: str
    share: float
    colour: str
    limit: float | None = None


def plot(results: Results, found: tuple[Figure, ...]) -> str:
    """Return an SVG picture of the times, and of the figures against what they must reach."""
    options = results.options
    times = [series for series in results.series if series.patients == options.patients]
    longest = max(series.seconds for series in times)
    # What must not happen at all has no length.
    judged = [(figure, figure.bar) for figure in found if figure.bar]
    widest = max(1.25, *(figure.value / bar for figure, bar in judged))
    machine = results.machine
    parts = [
        (
            _heading(options.patients, options.assessments_per_patient),
            [
                _Bar(
                    label=MEANING[series.workload],
                    value=f"{series.seconds:.2f} s",
                    share=series.seconds / longest,
                    colour=_COLOURS[Verdict.REPORTED],
                )
                for series in times
            ],
        ),
        (
            "Figures, as parts of what they may be at most (the line)",
            [
                _Bar(
                    label=figure.text,
                    value=f"{number(figure.value, figure.unit)} of {bar:.3g}",
                    share=figure.value / bar / widest,
                    colour=_COLOURS[figure.verdict],
                    limit=1 / widest,
                )
                for figure, bar in judged
            ],
        ),
    ]
    note = (
        f"PostgreSQL {machine.server}, fsync {machine.settings.get('fsync', '?')}, "
        f"{machine.cores} cores, medians of {options.rounds}."
    )
    return _picture(parts, note)


def _heading(patients: int, assessments: int) -> str:
    return f"Seconds, {patients:,} patients with {assessments} assessments each"


def _picture(parts: Sequence[tuple[str, Sequence[_Bar]]], note: str) -> str:
    lines: list[str] = []
    y = _MARGIN
    for heading, bars in parts:
        lines.append(_text(_MARGIN, y + 20, heading, "h"))
        y += _HEADING
        for bar in bars:
            lines += _row(bar, y)
            y += _ROW
        y += _MARGIN
    lines.append(_text(_MARGIN, y + 8, note, "n"))
    height = y + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"',
            f'width="{_WIDTH}" height="{height}" aria-label="Benchmark results">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#fff"/>',
            *lines,
            "</svg>\n",
        ]
    )


def _row(bar: _Bar, y: int) -> list[str]:
    room = _WIDTH - _LABELS - _VALUES - 2 * _MARGIN
    left = _MARGIN + _LABELS
    length = max(1.0, bar.share * room)
    top = y - _THICK
    drawn = [
        _text(_MARGIN, y - 2, bar.label, "l"),
        f'<rect x="{left}" y="{top}" width="{length:.1f}" height="{_THICK}" fill="{bar.colour}"/>',
        _text(left + room + 8, y - 2, bar.value, "v"),
    ]
    if bar.limit is not None:
        x = left + bar.limit * room
        drawn.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{y + 4}" '
            'stroke="#222" stroke-width="2"/>'
        )
    return drawn


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'
