"""The databases that are copied for each measurement, made once for each size.

All rows come from ``refactorkit seed``, and version 11 from a real Up. Tables are vacuumed at
version 10, as those of a production database are; what Up wrote is as Up left it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.laboratory import Laboratory
from refactorkit.commands.chain import Chain
from refactorkit.commands.seed import SeedRequest, seed
from refactorkit.commands.up import UpRequest, up
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn

VERSION_TABLE: Final = "goose_db_version"
BEFORE: Final = 10
AFTER: Final = 11
_SUBJECTS: Final = """
    CREATE TABLE public.benchmark_subjects AS
    SELECT t.*
    FROM public.users AS t
    WHERE EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = t.id)
    ORDER BY t.ctid
"""
_TAKE_OUT: Final = (
    "DELETE FROM public.users AS t USING public.benchmark_subjects AS s WHERE t.id = s.id"
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is in the databases; ``clinicians`` None is what ``seed`` takes."""

    patients: int
    assessments_per_patient: int
    clinicians: int | None


@dataclass(frozen=True, kw_only=True)
class Stock:
    """Databases of one size, to be copied and never to be connected to.

    Attributes:
        size: what was asked of ``seed``.
        rows: of the tables, as ``seed`` says; the mock data comes in addition.
        before: at version 10, seeded.
        after: the same at version 11.
        floor: the same, where the subjects wait in ``benchmark_subjects``, in the order in which
            Up wrote them, and ``users`` has the rest: columns, indexes, checks and foreign keys.
    """

    size: Size
    rows: Mapping[str, int]
    before: str
    after: str
    floor: str


def chain_of(dsn: Dsn, directory: Path) -> Chain:
    """Return the migrations of a folder for a database."""
    return Chain(dsn=dsn, directory=directory, table=VERSION_TABLE, environ={})


def make(
    laboratory: Laboratory, directory: Path, size: Size, report: Callable[[str], None]
) -> Stock:
    """Make the databases of one size, from nothing.

    Args:
        laboratory: where.
        directory: of the migrations.
        size: how much is in them.
        report: is told what is being made.

    Raises:
        RefactorkitError: as ``up`` and ``seed``.
    """
    report(f"{size.patients:,} patients: chain to {BEFORE}, seed")
    before = laboratory.create()
    dsn = laboratory.dsn(before)
    up(UpRequest(chain=chain_of(dsn, directory), to=BEFORE))
    seeded = seed(
        SeedRequest(
            dsn=dsn,
            table=VERSION_TABLE,
            patients=size.patients,
            assessments_per_patient=size.assessments_per_patient,
            clinicians=size.clinicians,
        )
    )
    _execute(dsn, "VACUUM (ANALYZE)")

    report(f"{size.patients:,} patients: a copy at {AFTER}")
    after = laboratory.create(before)
    up(UpRequest(chain=chain_of(laboratory.dsn(after), directory), to=AFTER))

    report(f"{size.patients:,} patients: a copy whose subjects stand aside")
    floor = laboratory.create(after)
    _execute(
        laboratory.dsn(floor),
        _SUBJECTS,
        # Whose user is gone for the moment is no matter here: only users is written.
        "SET session_replication_role = 'replica'",
        _TAKE_OUT,
        "VACUUM (FULL, ANALYZE) public.users",
        "VACUUM (ANALYZE) public.benchmark_subjects",
    )
    return Stock(size=size, rows=seeded.rows, before=before, after=after, floor=floor)


def _execute(dsn: Dsn, *statements: str) -> None:
    with connected(dsn, application_name="benchmarks") as connection:
        for statement in statements:
            connection.execute(statement.encode())
