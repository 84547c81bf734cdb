"""Destroy what the archive has kept long enough, and write down that it was destroyed."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import structlog

from refactorkit.commands.one_refactor import one_refactor
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import archive_catalog, holds, purging
from refactorkit.postgres.archive_writes import archive_transaction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.purging import Expired
from refactorkit.postgres.refactors import Turn, refuse_staged

NO_ROLLBACK: Final = "no_rollback"
_LONGEST: Final = 1000  # characters
_LISTED: Final = 10

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class PurgeRequest:
    """What to destroy.

    Attributes:
        dsn: the database.
        before: what was archived before this moment.
        basis: why it may be destroyed; needed unless it is a dry run.
        approved_by: who approved it, somebody other than the user; needed as well.
        no_rollback: the operator gives up the rollback: then all of it goes.
        dry_run: destroy nothing, count.
        refactor: its name, where the database has run several.
    """

    dsn: Dsn
    before: dt.datetime
    basis: str | None = None
    approved_by: str | None = None
    no_rollback: bool = False
    dry_run: bool = False
    refactor: str | None = None


@dataclass(frozen=True, kw_only=True)
class PurgeResult:
    """What was destroyed, or would be.

    Attributes:
        refactor: the refactor's name.
        before: the date.
        dry_run: whether nothing was destroyed.
        number: of the record; None for a dry run, or where nothing was to be destroyed.
        gives_up_rollback: whether the whole archive went.
        expired: table by table.
        left_alone: tables of the archive that are not this refactor's.
    """

    refactor: str
    before: dt.datetime
    dry_run: bool
    number: int | None
    gives_up_rollback: bool
    expired: tuple[Expired, ...]
    left_alone: tuple[str, ...]


def purge(request: PurgeRequest) -> PurgeResult:
    """Destroy what is over, with the record of it, in one transaction.

    Raises:
        UsageError: no basis, no approver, or the approver is the user.
        RefusedError: the date is within the retention, the rollback is still possible, or somebody
            whose rows would go is under legal hold.
        BusyError: a migration is running, or a lock is not to be had.
        FailedError: the server failed or was lost.
    """
    words = None if request.dry_run else (_words(request.basis, "--basis"),
                                          _words(request.approved_by, "--approved-by"))  # fmt: skip
    doing = f"Purging the archive of {request.dsn.describe()}"
    with archive_transaction(request.dsn, doing=doing, keep=not request.dry_run) as connection:
        result = _purge(connection, request, words)
    _log.info("archive.purged", rows=sum(one.destroyed for one in result.expired))
    return result


def document(result: PurgeResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "refactor": result.refactor,
        "before": result.before.isoformat(),
        "dry_run": result.dry_run,
        "number": result.number,
        "gives_up_rollback": result.gives_up_rollback,
        "left_alone": list(result.left_alone),
        "tables": [
            {
                "table": f"archive.{one.table}",
                "destroyed": one.destroyed,
                "held": one.held,
                "still_needed": one.needed,
            }
            for one in result.expired
        ],
    }


def _purge(
    connection: Connection, request: PurgeRequest, words: tuple[str, str] | None
) -> PurgeResult:
    turn, mapping = one_refactor(connection, request.refactor, request.dsn)
    refuse_staged(connection, (turn,))
    _refuse_given_up(connection, turn)
    _refuse_too_young(connection, request.before)
    if words and words[1] == fetch_value(connection, "SELECT session_user::pg_catalog.text"):
        raise UsageError(
            "--approved-by must name somebody other than who runs this.", state=NOTHING_CHANGED
        )
    purging.ensure_tables(connection, mapping)
    if request.no_rollback:
        _refuse_to_give_up(connection, turn, mapping, request)
        expired = purging.purge_all(connection, mapping)
    else:
        expired = purging.purge(connection, mapping, request.before)
    number = None
    if words and any(one.destroyed for one in expired):
        number = purging.record(
            connection,
            mapping,
            before=request.before,
            gives_up_rollback=request.no_rollback,
            basis=words[0],
            approved_by=words[1],
            expired=expired,
        )
    return PurgeResult(
        refactor=turn.name,
        before=request.before,
        dry_run=request.dry_run,
        number=number,
        gives_up_rollback=request.no_rollback,
        expired=expired,
        left_alone=purging.others(connection, mapping),
    )


def _words(text: str | None, option: str) -> str:
    stripped = (text or "").strip()
    if not stripped or len(stripped) > _LONGEST or not stripped.isprintable():
        raise UsageError(
            f"{option} must be one line of 1 to {_LONGEST} characters.",
            state=NOTHING_CHANGED,
            hint="Destruction is written down: why, and who approved it. --dry-run needs neither.",
        )
    return stripped


def _refuse_given_up(connection: Connection, turn: Turn) -> None:
    at = purging.given_up(connection, turn.name)
    if at is not None:
        raise RefusedError(
            f"The archive of {turn.name} was destroyed on {at:%Y-%m-%d}.", state=NOTHING_CHANGED
        )


def _refuse_too_young(connection: Connection, before: dt.datetime) -> None:
    now = fetch_value(connection, "SELECT pg_catalog.now()")
    if before > now:
        raise RefusedError("The date is in the future.", state=NOTHING_CHANGED)
    retention = archive_catalog.retention(connection, before)
    if retention.text is None:
        return
    if retention.until is None:
        raise RefusedError(
            "The database's refactorkit.retention is not like '6 years' or '2190 days'.",
            state=NOTHING_CHANGED,
            hint="ALTER DATABASE … SET refactorkit.retention = '6 years'.",
        )
    if retention.until > now:
        raise RefusedError(
            f"What was archived shortly before {before:%Y-%m-%d} is kept until"
            f" {retention.until:%Y-%m-%d}: refactorkit.retention is {retention.text}.",
            state=NOTHING_CHANGED,
        )


def _refuse_to_give_up(
    connection: Connection, turn: Turn, mapping: Mapping, request: PurgeRequest
) -> None:
    if turn.direction is not Direction.UP:
        raise RefusedError(
            f"The database is at version {mapping.version - 1}: there is no rollback to give up.",
            state=NOTHING_CHANGED,
            hint="Without --accept, what is no longer needed is destroyed.",
        )
    if turn.at >= request.before:
        raise RefusedError(
            f"The last Up was on {turn.at:%Y-%m-%d}, and so all that a rollback needs is younger.",
            state=NOTHING_CHANGED,
            hint="Choose a date after it.",
        )
    held = sorted({one.source_id for one in holds.holds(connection, mapping.name)})
    if held:
        listed = ", ".join(str(one) for one in held[:_LISTED])
        more = ", …" if len(held) > _LISTED else ""
        raise RefusedError(
            f"{len(held)} of {mapping.source.table} are under legal hold: {listed}{more}.",
            state=NOTHING_CHANGED,
            hint="See refactorkit archive status.",
        )
