"""Fill a database at version 10 with made-up people."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from refactorkit.commands.demo_logins import Login, new_password, password_hash
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.postgres import history, seeding, server_errors
from refactorkit.postgres.connection import Connection, connected, refuse_read_only
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import TableName
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.seeding import Report
from refactorkit.seed.ids import Size
from refactorkit.seed.small_tables import LOGIN_ROLES

VERSION: Final = 10
DEFAULT_PATIENTS: Final = 1_000
DEFAULT_ASSESSMENTS: Final = 5
MOST_PATIENTS: Final = 50_000_000
MOST_ASSESSMENTS: Final = 1_000
MOST_CLINICIANS: Final = 100_000

_PATIENTS_PER_CLINICIAN: Final = 200
_FEWEST_CLINICIANS, _MOST_CLINICIANS = 3, 5_000  # unless asked for

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class SeedRequest:
    """What to make up, and where.

    Attributes:
        dsn: the database.
        table: the version table, as the user writes it.
        patients: how many.
        seed: another seed gives other values.
        assessments_per_patient: the mean.
        clinicians: who own the patients; None for one in 200 patients, 3 to 5,000.
        awkward: mix in values and ids that break software.
        demo_logins: give the first three users passwords, returned in the result.
        add: also where there are other rows than the migrations' mock data.
        lock_wait_seconds: for another runner to end.
    """

    dsn: Dsn
    table: str = "goose_db_version"
    patients: int = DEFAULT_PATIENTS
    seed: int = 1
    assessments_per_patient: int = DEFAULT_ASSESSMENTS
    clinicians: int | None = None
    awkward: bool = False
    demo_logins: bool = False
    add: bool = False
    lock_wait_seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What was made up.

    Attributes:
        rows: how many, for each table.
        seconds: how long it took.
        logins: the only place where the passwords stand; empty unless asked for.
    """

    rows: Mapping[str, int]
    seconds: float
    logins: tuple[Login, ...]


def seed(request: SeedRequest, report: Report = lambda _table, _sent, _count: None) -> SeedResult:
    """Put made-up rows into a database at version 10, all or none.

    The same patients, seed and options give the same rows, passwords aside, on a database whose
    ids in use are the same.

    Args:
        request: what and where.
        report: is told the table, its rows sent, and its rows in all.

    Raises:
        UsageError: a number makes no sense.
        RefusedError: the database is not at version 10, or holds rows already.
        RefactorkitError: as the connection, the lock or the server have it.
    """
    size = _size(request)
    name = TableName.parse(request.table)
    passwords = [new_password() for _ in LOGIN_ROLES] if request.demo_logins else []
    hashes = [password_hash(password) for password in passwords]
    started = time.monotonic()
    with connected(request.dsn) as connection:
        refuse_read_only(connection, request.dsn)
        with session_lock(connection, wait_seconds=request.lock_wait_seconds):
            _refuse_other_versions(connection, name)
            seeded = seeding.fill(
                connection, size, add=request.add, password_hashes=hashes, report=report
            )
    seconds = time.monotonic() - started
    _log.info("seed.done", rows=sum(seeded.rows.values()), seed=request.seed, seconds=seconds)
    logins = zip(LOGIN_ROLES, seeded.login_emails, passwords, strict=False)
    return SeedResult(
        rows=seeded.rows,
        seconds=seconds,
        logins=tuple(
            Login(role=role, email=email, password=password) for role, email, password in logins
        ),
    )


def _size(request: SeedRequest) -> Size:
    clinicians = request.clinicians
    if clinicians is None:
        usual = request.patients // _PATIENTS_PER_CLINICIAN
        clinicians = min(max(usual, _FEWEST_CLINICIANS), _MOST_CLINICIANS)
    for what, number, lowest, highest in (
        ("patients", request.patients, 0, MOST_PATIENTS),
        ("assessments per patient", request.assessments_per_patient, 0, MOST_ASSESSMENTS),
        ("clinicians", clinicians, 1, MOST_CLINICIANS),
    ):
        if not lowest <= number <= highest:
            raise UsageError(
                f"The number of {what} must be between {lowest} and {highest}.",
                state=NOTHING_CHANGED,
            )
    return Size(
        patients=request.patients,
        seed=request.seed,
        assessments_per_patient=request.assessments_per_patient,
        clinicians=clinicians,
        awkward=request.awkward,
    )


def _refuse_other_versions(connection: Connection, name: TableName) -> None:
    doing = "Reading the version table"
    with server_errors.explained(doing=doing, state=NOTHING_CHANGED):
        table = history.find(connection, name)
        current = history.read(connection, table).current
    if current != VERSION:
        raise RefusedError(
            f"Made-up data is for version {VERSION}, and the database is at version {current}.",
            state=NOTHING_CHANGED,
            hint=f"Bring it there first: refactorkit up --to {VERSION}, or down --to {VERSION}.",
        )
