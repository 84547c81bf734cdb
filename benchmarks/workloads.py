"""What is measured: each thing on a fresh copy of its own database, prepared where it needs to be.

Floor and Up, say, so start alike: nothing in the server's memory, a checkpoint just done. The order
of all of them turns round from round to round, so that none always profits from what its
predecessor left (recycled log files, the system's cache).
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, LiteralString

from benchmarks.laboratory import Laboratory, Sample
from benchmarks.stock import BEFORE, Stock, chain_of
from refactorkit.commands.audit.anchor import AnchorRequest, anchor
from refactorkit.commands.audit.files import KeySource
from refactorkit.commands.audit.keygen import keygen
from refactorkit.commands.down import DownRequest, down
from refactorkit.commands.up import UpRequest, up
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.errors import FailedError
from refactorkit.postgres.connection import connected, fetch_value
from refactorkit.postgres.dsn import Dsn

USUAL_WAY: Final = Path(__file__).with_name("usual_way.sql")
EDITED_SHARE: Final = 100  # one subject in so many
_EDIT: Final = """
    UPDATE public.users AS t
    SET first_name = t.first_name || 'a', bp_systolic = coalesce(t.bp_systolic, 120) + 1,
        is_active = true, updated_at = now()
    FROM archive.patients_map AS m
    WHERE m.target_id = t.id AND m.source_id % 100 = 0
"""
_INSERT_SUBJECTS: Final = "INSERT INTO public.users SELECT * FROM public.benchmark_subjects"
# The tables that verify compares, once each, as the text that a person would compare.
_SCAN: Final = (
    "SELECT sum(length(t::text)) FROM archive.patients AS t",
    "SELECT sum(length(t::text)) FROM archive.patients_map AS t",
    "SELECT sum(length(t::text)) FROM public.users AS t",
    "SELECT sum(length(t::text)) FROM public.assessments AS t",
)
# The rows that evidence is made of, once each; the archive's other tables are empty here.
_SCAN_OF_EVIDENCE: Final = _SCAN[:3]
_SCANNED_ROWS: Final = """
    SELECT (SELECT count(*) FROM archive.patients) + (SELECT count(*) FROM archive.patients_map)
        + (SELECT count(*) FROM public.users) + (SELECT count(*) FROM public.assessments)
"""


class Workload(StrEnum):
    """The names of what is measured."""

    FLOOR = "floor"
    UP = "up"
    DOWN = "down"
    DOWN_EDITED = "down_edited"
    USUAL_WAY = "usual_way"
    SCAN = "scan"
    VERIFY = "verify"
    EVIDENCE_SCAN = "evidence_scan"
    EVIDENCE = "evidence"


MEANING: Final = {
    Workload.FLOOR: "insert the subjects' rows alone",
    Workload.UP: "up",
    Workload.DOWN: "down, nothing edited",
    Workload.DOWN_EDITED: "down, 1% of the subjects edited",
    Workload.USUAL_WAY: "up in the usual way",
    Workload.SCAN: "read what verify reads, as text",
    Workload.VERIFY: "verify",
    Workload.EVIDENCE_SCAN: "read what evidence is of, as text",
    Workload.EVIDENCE: "audit anchor: salts, trees, signature",
}
_READING: Final = (
    Workload.SCAN,
    Workload.VERIFY,
    Workload.EVIDENCE_SCAN,
    Workload.EVIDENCE,
)
# At the small size only what growth is asked of.
AT_SMALL_SIZE: Final = (Workload.FLOOR, Workload.UP, Workload.DOWN)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to be measured, at one size."""

    workload: Workload
    stock: Stock


def tasks(large: Stock, small: Stock) -> tuple[Task, ...]:
    """Return what one round consists of."""
    return (
        *(Task(workload=workload, stock=large) for workload in Workload),
        *(Task(workload=workload, stock=small) for workload in AT_SMALL_SIZE),
    )


def measure(laboratory: Laboratory, directory: Path, task: Task) -> Sample:
    """Measure one task on a fresh copy, which is dropped afterwards.

    Raises:
        RefactorkitError: as the command that is measured; or it did not do what it was to do.
    """
    workload, stock = task.workload, task.stock
    if workload in (Workload.UP, Workload.USUAL_WAY):
        template = stock.before
    else:
        template = stock.floor if workload is Workload.FLOOR else stock.after
    with laboratory.copy(template) as name:
        dsn = laboratory.dsn(name)
        chain = chain_of(dsn, directory)
        runs = {
            Workload.FLOOR: lambda: insert_subjects(dsn, stock),
            Workload.UP: lambda: _check(up(UpRequest(chain=chain)).before == BEFORE, workload),
            Workload.DOWN: lambda: _check(down(DownRequest(chain=chain)).after == BEFORE, workload),
            Workload.DOWN_EDITED: lambda: _check(
                down(DownRequest(chain=chain)).after == BEFORE, workload
            ),
            Workload.USUAL_WAY: lambda: _execute(dsn, USUAL_WAY.read_bytes()),
            Workload.SCAN: lambda: _scan(dsn),
            Workload.EVIDENCE_SCAN: lambda: _scan(dsn, _SCAN_OF_EVIDENCE),
            Workload.EVIDENCE: lambda: _check(anchored(dsn) is Verdict.PASS, workload),
            Workload.VERIFY: lambda: _check(
                verify(VerifyRequest(dsn=dsn)).verdict is Verdict.PASS, workload
            ),
        }
        if workload is Workload.DOWN_EDITED:
            _execute(dsn, _EDIT.encode())
        if workload in _READING:
            # Both read: neither is to be the first one who meets these rows.
            _execute(dsn, b"VACUUM (ANALYZE)")
            _scan(dsn)
        return laboratory.measure(runs[workload])


def scanned_rows(laboratory: Laboratory, stock: Stock) -> int:
    """Return how many rows ``scan`` and ``verify`` read."""
    with laboratory.copy(stock.after) as name, connected(laboratory.dsn(name)) as connection:
        return int(fetch_value(connection, _SCANNED_ROWS))


def insert_subjects(dsn: Dsn, stock: Stock) -> None:
    """Put the subjects that stand aside back into ``users``: one statement, one transaction.

    Raises:
        FailedError: there were fewer than patients.
    """
    with connected(dsn) as connection:
        connection.execute("BEGIN")
        inserted = connection.execute(_INSERT_SUBJECTS).rowcount
        connection.execute("COMMIT")
    _check(inserted >= stock.rows["patients"], Workload.FLOOR)


def anchored(dsn: Dsn) -> Verdict:
    """Make evidence of the last turn, signed by a key that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="refactorkit-benchmarks-") as folder:
        key = keygen(Path(folder) / "key")
        source = KeySource(path=key.secret, environ={})
        request = AnchorRequest(dsn=dsn, key=source, out=Path(folder) / "evidence.json")
        return anchor(request).verdict


def _scan(dsn: Dsn, queries: Sequence[LiteralString] = _SCAN) -> None:
    with connected(dsn) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        for query in queries:
            connection.execute(query)


def _execute(dsn: Dsn, text: bytes) -> None:
    with connected(dsn) as connection:
        connection.execute(text)


def _check(is_done: bool, workload: Workload) -> None:
    if not is_done:
        raise FailedError(f"The benchmark of {workload} did not do its work: no time is right.")
