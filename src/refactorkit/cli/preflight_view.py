"""What ``preflight`` prints: for a person at 3 a.m., and as a document."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from refactorkit.cli.render import table
from refactorkit.commands.preflight import Finding, Level, PreflightResult
from refactorkit.commands.verdict import Verdict
from refactorkit.postgres.preflight.looking import UnseenError

_MIB: Final = 2**20
_WORDS: Final = {
    Verdict.PASS: "GO",
    Verdict.FAIL: "NO-GO",
    Verdict.INCOMPLETE: "INCOMPLETE",
}


def document(result: PreflightResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    room = result.room
    return {
        "verdict": result.verdict.value,
        "at": result.at.isoformat(timespec="seconds"),
        "refactor": result.refactor,
        "runner": result.runner,
        "identity": asdict(result.identity),
        "checks": [
            {
                "name": each.check,
                "area": each.area.value,
                "verdict": each.level.value,
                "needed": each.needed,
                "finding": each.says,
                "do": each.do,
                "accept": each.accept,
                "accepted": each.accepted,
            }
            for each in result.findings
        ],
        "figures": asdict(result.figures) if result.figures else None,
        "prediction": asdict(result.prediction) if result.prediction else None,
        "room": None
        if room is None
        else {
            "database_bytes": room.database_bytes,
            "tables_bytes": room.tables_bytes,
            "free_bytes": None if isinstance(room.free, UnseenError) else room.free,
        },
        "seconds": round(result.seconds, 3),
    }


def print_text(console: Console, result: PreflightResult) -> None:
    """Print the verdict first, then what stands in the way, then what to know, then the figures."""
    no_gos = result.of(Level.NO_GO)
    unseen = result.of(Level.UNKNOWN)
    needed = [each for each in unseen if each.needed]
    advice = [each for each in unseen if not each.needed]
    notes = [*result.of(Level.NOTE), *advice]
    _print(console, f"{_WORDS[result.verdict]}: {_why(result)}")
    _print(console, _place(result))
    for each in no_gos:
        _finding(console, "no-go", each)
    for each in needed:
        _finding(console, "unknown", each)
    for each in notes:
        _finding(console, "note" if each.level is Level.NOTE else "not seen", each)
    rows = table("figure", "")
    for name, value in _figures(result):
        rows.add_row(name, value)
    console.print(rows)
    names = ", ".join(dict.fromkeys(each.check for each in result.of(Level.OK)))
    if names:
        _print(console, f"ok: {names}.")


def _why(result: PreflightResult) -> str:
    no_gos, unseen = len(result.of(Level.NO_GO)), result.of(Level.UNKNOWN)
    needed = sum(each.needed for each in unseen)
    oks, notes = len(result.of(Level.OK)), len(result.of(Level.NOTE))
    parts = []
    if no_gos:
        parts.append(f"{no_gos} {'thing stands' if no_gos == 1 else 'things stand'} in the way")
    if needed:
        parts.append(f"{needed} could not be looked at")
    parts.append(f"{oks} checks are ok, {notes} notes")
    return ", ".join(parts) + "."


def _place(result: PreflightResult) -> str:
    who = result.identity
    where = "a local socket" if who.address is None else f"{who.address} port {who.port}"
    return (
        f'{result.refactor or "No refactor"} on database "{who.database}", {where},'
        f" PostgreSQL {who.server_version}, environment {who.environment or 'not marked'},"
        f" as {result.runner}. Nothing was changed."
    )


def _finding(console: Console, word: str, finding: Finding) -> None:
    _print(console, f"{word}: {finding.says}. [{finding.check}]")
    overrule = (
        f" Or overrule it: --accept {finding.accept}."
        if finding.accept and not finding.accepted
        else ""
    )
    if finding.do and not finding.accepted:
        _print(console, f"    {finding.do}{overrule}")


def _print(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _figures(result: PreflightResult) -> Iterator[tuple[str, str]]:
    figures, prediction, room = result.figures, result.prediction, result.room
    if figures is not None:
        yield "rows of the source", f"{figures.sources:,}"
        yield "rows of the target", f"{figures.natives:,}"
        yield "subjects to be made", f"{figures.subjects:,}"
        yield "subjects with a new id", f"{figures.renumbered:,}"
        for name, count in figures.links.items():
            yield f"rows of {name}", f"{count:,}, to be relinked {figures.relinked[name]:,}"
        yield "highest id in use", f"{figures.ids_used:,}"
    if room is not None and room.database_bytes is not None:
        yield "database", f"{room.database_bytes / _MIB:,.0f} MiB"
        yield "touched tables", f"{(room.tables_bytes or 0) / _MIB:,.0f} MiB"
    if room is not None and not isinstance(room.free, UnseenError):
        yield "free on disk", f"{room.free / _MIB:,.0f} MiB"
    if prediction is None:
        yield "predicted", "nothing (unknown)"
    else:
        yield "predicted rows written", f"{prediction.rows:,}"
        yield "predicted WAL", f"{prediction.wal_bytes / _MIB:,.1f} MiB"
        if prediction.whole_page_bytes:
            yield "and for whole pages at most", f"{prediction.whole_page_bytes / _MIB:,.1f} MiB"
        yield "predicted need on disk", f"{prediction.disk_bytes / _MIB:,.1f} MiB"
        yield "predicted seconds", f"{prediction.seconds:,.2f}"
        yield "predicted seconds under locks", f"{prediction.lock_seconds:,.2f}"
        yield (
            "from a sample of",
            f"{prediction.sampled:,} rows in {prediction.sample_seconds:,.2f} s",
        )
    yield "seconds of looking", f"{result.seconds:,.2f}"
