"""What is measured once: the memory of the client, and what the archive takes on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.laboratory import Laboratory
from benchmarks.processes import peak_memory_bytes
from benchmarks.stock import VERSION_TABLE, Stock
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
        archive_bytes: of the archive's tables after Up and after the Down that follows, with
            indexes, by name and largest first.
    """

    peak_bytes: Mapping[Direction, int]
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
    return Footprint(peak_bytes=peaks, archive_bytes=sizes)
