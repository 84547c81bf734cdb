"""Put a subject under legal hold, or end a hold: it blocks erasure and purge."""

from dataclasses import dataclass
from typing import Any, Final

import structlog

from refactorkit.commands.one_refactor import one_refactor
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.model import Mapping
from refactorkit.postgres import holds
from refactorkit.postgres.archive_writes import archive_transaction
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.holds import Hold

_LONGEST: Final = 1000  # characters of a reason or a name
_LIMITS: Final = {"integer": 2**31, "bigint": 2**63}

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class HoldRequest:
    """What to put under hold, or to release.

    Attributes:
        dsn: the database.
        source_id: the id of the subject in the older version.
        reason: a case number or the like; nothing about the person.
        said_by: who ordered it.
        release: end a hold instead.
        number: which hold to end, where the subject has several.
        refactor: its name, where the database has run several.
    """

    dsn: Dsn
    source_id: int
    reason: str
    said_by: str
    release: bool = False
    number: int | None = None
    refactor: str | None = None


@dataclass(frozen=True, kw_only=True)
class HoldResult:
    """What was written.

    Attributes:
        refactor: the refactor's name.
        source_id: of the subject.
        number: of the hold, or of the row that ends one.
        releases: the hold that was ended; None for a new one.
        in_force: the holds on the subject afterwards.
    """

    refactor: str
    source_id: int
    number: int
    releases: int | None
    in_force: tuple[Hold, ...]


def hold(request: HoldRequest) -> HoldResult:
    """Write a hold or its end, in one transaction.

    Raises:
        UsageError: no reason, nobody who said so, or a hold number without a release.
        RefusedError: nothing is known of that id, or there is no such hold.
        BusyError: a migration is running.
        FailedError: the server refused or was lost.
    """
    reason = _text(request.reason, "--reason")
    said_by = _text(request.said_by, "--by")
    if request.number is not None and not request.release:
        raise UsageError("--number says which hold to end: it needs --release.")
    verb = "Ending a hold" if request.release else "Writing a hold"
    with archive_transaction(request.dsn, doing=f"{verb} on {request.dsn.describe()}") as open_one:
        turn, mapping = one_refactor(open_one, request.refactor, request.dsn)
        _refuse_unknown(open_one, mapping, request)
        before = _of(open_one, mapping, request.source_id)
        releases = _to_release(before, request, mapping) if request.release else None
        number = holds.record(
            open_one,
            mapping,
            request.source_id,
            releases=releases,
            reason=reason,
            said_by=said_by,
        )
        after = _of(open_one, mapping, request.source_id)
    _log.info("archive.hold_written", outcome="released" if request.release else "held")
    return HoldResult(
        refactor=turn.name,
        source_id=request.source_id,
        number=number,
        releases=releases,
        in_force=after,
    )


def document(result: HoldResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "refactor": result.refactor,
        "source_id": result.source_id,
        "number": result.number,
        "releases": result.releases,
        "held": bool(result.in_force),
        "in_force": [
            {
                "number": one.number,
                "reason": one.reason,
                "by": one.said_by,
                "at": one.at.isoformat(),
            }
            for one in result.in_force
        ],
    }


def _text(text: str, option: str) -> str:
    stripped = text.strip()
    if not stripped or len(stripped) > _LONGEST or not stripped.isprintable():
        raise UsageError(
            f"{option} must be one line of 1 to {_LONGEST} characters.", state=NOTHING_CHANGED
        )
    return stripped


def _refuse_unknown(connection: Connection, mapping: Mapping, request: HoldRequest) -> None:
    turn, _ = one_refactor(connection, request.refactor, request.dsn)
    limit = _LIMITS[mapping.source.columns[mapping.source.key].type]
    fits = -limit <= request.source_id < limit
    if fits and holds.is_known(connection, mapping, turn.direction, request.source_id):
        return
    raise RefusedError(
        f"Nothing is known of {mapping.source.key} {request.source_id} of {mapping.source.table}.",
        state=NOTHING_CHANGED,
        hint=f"The id is the one that the row has in version {mapping.version - 1}.",
    )


def _of(connection: Connection, mapping: Mapping, source_id: int) -> tuple[Hold, ...]:
    every = holds.holds(connection, mapping.name)
    return tuple(one for one in every if one.source_id == source_id)


def _to_release(before: tuple[Hold, ...], request: HoldRequest, mapping: Mapping) -> int:
    who = f"{mapping.source.table} {request.source_id}"
    numbers = [one.number for one in before]
    if not numbers:
        raise RefusedError(f"There is no hold on {who}.", state=NOTHING_CHANGED)
    listed = ", ".join(str(number) for number in numbers)
    if request.number is None:
        if len(numbers) > 1:
            raise RefusedError(
                f"There are {len(numbers)} holds on {who}: {listed}.",
                state=NOTHING_CHANGED,
                hint="Say which one ends: --number N.",
            )
        return numbers[0]
    if request.number not in numbers:
        raise RefusedError(
            f"Hold {request.number} is not in force on {who}; these are: {listed}.",
            state=NOTHING_CHANGED,
        )
    return request.number
