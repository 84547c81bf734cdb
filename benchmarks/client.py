"""What is measured once: the memory of the client, and what the archive takes on disk."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.laboratory import Laboratory
from benchmarks.processes import peak_memory_bytes
from benchmarks.stock import VERSION_TABLE, Stock
from refactorkit.commands.audit.keygen import keygen
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import connected

_SIZES: Final = """
    SELECT c.relname, pg_catalog.pg_total_relation_size(c.oid)
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = 'archive'::regnamespace AND c.relkind = 'r'
    ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What Up and Down leave, and need.

    Attributes:
        peak_bytes: of resident memory of ``refactorkit up`` and ``refactorkit down``.
        online_peak_bytes: of ``refactorkit cutover --online``.
        evidence_peak_bytes: of ``refactorkit audit anchor`` after Up.
        archive_bytes: of the archive's tables after Up and after the Down that follows, with
            indexes, by name and largest first.
    """

    peak_bytes: Mapping[Direction, int]
    online_peak_bytes: int
    evidence_peak_bytes: int
    archive_bytes: Mapping[Direction, Mapping[str, int]]


def footprint(laboratory: Laboratory, directory: Path, stock: Stock) -> Footprint:
    """Run ``refactorkit up`` and ``refactorkit down`` as programs of their own.

    Raises:
        FailedError: one of them did not end well.
    """
    options = ("--dir", str(directory), "--table", VERSION_TABLE, "--log-level", "error")
    peaks: dict[Direction, int] = {}
    sizes: dict[Direction, dict[str, int]] = {}
    with laboratory.copy(stock.before) as name:
        for direction in Direction:
            peaks[direction] = peak_memory_bytes(
                ["refactorkit", *options, str(direction)],
                {"REFACTORKIT_DATABASE_URL": laboratory.url(name)},
            )
            with connected(laboratory.dsn(name)) as connection:
                sizes[direction] = dict(connection.execute(_SIZES).fetchall())
    with laboratory.copy(stock.before) as name:
        online_peak = peak_memory_bytes(
            ["refactorkit", *options, "cutover", "--online", "--yes"],
            {"REFACTORKIT_DATABASE_URL": laboratory.url(name)},
        )
    with laboratory.copy(stock.after) as name:
        evidence_peak = _evidence_peak(laboratory.url(name))
    return Footprint(
        peak_bytes=peaks,
        online_peak_bytes=online_peak,
        evidence_peak_bytes=evidence_peak,
        archive_bytes=sizes,
    )


def _evidence_peak(url: str) -> int:
    with tempfile.TemporaryDirectory(prefix="refactorkit-benchmarks-") as folder:
        key = keygen(Path(folder) / "key").secret
        return peak_memory_bytes(
            ["refactorkit", "audit", "anchor", "--key", str(key),
             "--out", str(Path(folder) / "evidence.json")],
            {"REFACTORKIT_DATABASE_URL": url},
        )  # fmt: skip
