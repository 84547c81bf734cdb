"""What is asked of a drill, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from refactorkit.commands.drill.steps import StepResult
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs

DEFAULT_PATIENTS: Final = 1_000
BEFORE: Final = 10
AFTER: Final = 11


@dataclass(frozen=True, kw_only=True)
class DrillRequest:
    """What to drill, and where.

    Attributes:
        directory: the folder of the migrations.
        table: the version table, as the user writes it.
        environ: the variables that ENVSUB puts in.
        copy_of: drill on a copy of this database; None: on made-up data.
        server: make the made-up database on the server of this one; None: on an embedded server.
        patients: how many are made up.
        seed: another seed gives other data and other writes.
        awkward: mix in values that break software.
        accept: names of guards that the operator overrules.
        restore_as: whose rights the copy is restored and drilled with; None: see
            ``role_for_restore``.
        keep: leave the database that is made.
        programs: pg_dump and pg_restore.
        limit: how many differences each step lists; all are counted.
    """

    directory: Path
    table: str = "goose_db_version"
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    copy_of: Dsn | None = None
    server: Dsn | None = None
    patients: int = DEFAULT_PATIENTS
    seed: int = 1
    awkward: bool = True
    accept: tuple[str, ...] = ()
    restore_as: str | None = None
    keep: bool = False
    programs: Programs = field(default_factory=Programs)
    limit: int = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a drill took place.

    Attributes:
        kind: "embedded", "beside" (made-up data on a given server) or "copy" (of a database).
        version: the server's, such as "18.6".
        database: the name of the throwaway database.
        source: the database that was copied or lies beside it, for people; None: embedded.
        role: whose rights were used; None: the user's own.
        kept: it is still there.
    """

    kind: str
    version: str
    database: str
    source: str | None
    role: str | None
    kept: bool


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """The verdict and what it rests on.

    Attributes:
        at: when it began, by this machine's clock, in UTC.
        verdict: pass only where every step was done and found nothing.
        place: where.
        steps: each step in order, those that were not reached included.
        counts: people and rows, by name.
        writes: how many writes of each kind the application made.
        not_in_data: kinds of writes that this database gave no occasion for.
    """

    at: datetime
    verdict: Verdict
    place: Place
    steps: tuple[StepResult, ...]
    counts: Mapping[str, int]
    writes: Mapping[str, int]
    not_in_data: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 for a pass, else 3."""
        return 0 if self.verdict is Verdict.PASS else RefusedError.exit_code


def document(result: DrillResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    place = result.place
    return {
        "verdict": result.verdict.value,
        "at": result.at.isoformat(timespec="seconds"),
        "server": {
            "kind": place.kind,
            "version": place.version,
            "database": place.database,
            "source": place.source,
            "role": place.role,
            "kept": place.kept,
        },
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "verdict": step.verdict.value,
                "rows": step.outcome.rows,
                "columns": step.outcome.columns,
                "seconds": round(step.seconds, 3),
                "differences": step.outcome.differences,
                "listed": [
                    {"table": d.table, "id": d.row_id, "column": d.column, "difference": d.what}
                    for d in step.outcome.listed
                ],
                "reason": step.reason,
            }
            for step in result.steps
        ],
        "counts": dict(result.counts),
        "writes": dict(result.writes),
        "not_in_data": list(result.not_in_data),
    }
