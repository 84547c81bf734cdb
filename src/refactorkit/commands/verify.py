"""Compare archive, pairs and living tables through the mapping that the refactor ran with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.verification import checks, unmapped_query
from refactorkit.postgres import purging, server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.refactors import Turn, last_turns
from refactorkit.postgres.verification import Outcome, run_check, snapshot

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """What to verify.

    Attributes:
        dsn: the database.
        allow_edits: count differences that the application may have made since as edits.
        limit: how many differences of each check are listed; all are counted.
    """

    dsn: Dsn
    allow_edits: bool = False
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found about one refactor.

    Attributes:
        turn: its last Up or Down.
        outcomes: one for each check; empty where the mapping could not be read.
        unmapped: values without a forward image, by source column: no difference.
    """

    turn: Turn
    outcomes: tuple[Outcome, ...]
    unmapped: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The verdict over all refactors of the database, and what it rests on."""

    verdict: Verdict
    refactors: tuple[Verification, ...]
    allow_edits: bool

    @property
    def exit_code(self) -> int:
        """0 where every check was made and passed, else 3."""
        return 0 if self.verdict is Verdict.PASS else 3


def verify(
    request: VerifyRequest, report: Callable[[str], None] = lambda _name: None
) -> VerifyResult:
    """Check every row and column of every refactor that this database has run.

    All is read in one snapshot, in the server; nothing is changed.

    Args:
        request: what to verify.
        report: is told the name of each check before it runs.

    Raises:
        RefusedError: no refactor has run here, or this user may not read the archive.
        FailedError: the server refused or was lost.
    """
    with connected(request.dsn) as connection:
        try:
            with snapshot(connection):
                turns = last_turns(connection)
                if not turns:
                    raise RefusedError(
                        f"There is nothing to verify: no refactor has run on"
                        f" {request.dsn.describe()}.",
                        state=NOTHING_CHANGED,
                        hint="Is this the database that you mean? See refactorkit status.",
                    )
                found = tuple(_verify(connection, turn, request, report) for turn in turns)
        except psycopg.Error as error:
            raise server_errors.explain(
                error, doing=f"Verifying {request.dsn.describe()}", state=NOTHING_CHANGED
            ) from None
    verdict = _verdict(found, allow_edits=request.allow_edits)
    _log.info("verify.done", verdict=verdict.value)
    return VerifyResult(verdict=verdict, refactors=found, allow_edits=request.allow_edits)


def document(result: VerifyResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "verdict": result.verdict.value,
        "allow_edits": result.allow_edits,
        "refactors": [
            {
                "name": found.turn.name,
                "turn": found.turn.number,
                "direction": found.turn.direction.value,
                "at": found.turn.at.isoformat(),
                "counts": found.turn.counts,
                "values_without_image": found.unmapped,
                "checks": [
                    {
                        "name": outcome.name,
                        "rows": outcome.rows,
                        "differences": outcome.differences,
                        "edits_possible": outcome.is_edit,
                        "listed": [
                            {
                                "table": d.table,
                                "id": d.row_id,
                                "column": d.column,
                                "difference": d.what,
                            }
                            for d in outcome.listed
                        ],
                    }
                    for outcome in found.outcomes
                ],
            }
            for found in result.refactors
        ],
    }


def _verify(
    connection: Connection, turn: Turn, request: VerifyRequest, report: Callable[[str], None]
) -> Verification:
    given_up = purging.given_up(connection, turn.name)
    if given_up is not None:
        raise RefusedError(
            f"There is nothing to verify of {turn.name}: the rollback was given up on"
            f" {given_up:%Y-%m-%d}, and its archive destroyed.",
            state=NOTHING_CHANGED,
            hint=f"archive.{turn.name}_purges says on what basis.",
        )
    if turn.mapping is None:
        return Verification(turn=turn, outcomes=(), unmapped={})
    outcomes = []
    for check in checks(turn.mapping, turn.direction):
        report(check.name)
        outcomes.append(run_check(connection, check, limit=request.limit))
    query = unmapped_query(turn.mapping, turn.direction)
    unmapped: dict[str, int] = dict(connection.execute(query.encode()).fetchall()) if query else {}
    return Verification(turn=turn, outcomes=tuple(outcomes), unmapped=unmapped)


def _verdict(found: tuple[Verification, ...], *, allow_edits: bool) -> Verdict:
    differs = any(
        outcome.differences and not (allow_edits and outcome.is_edit)
        for one in found
        for outcome in one.outcomes
    )
    if differs:
        return Verdict.FAIL
    return Verdict.PASS if all(one.outcomes for one in found) else Verdict.INCOMPLETE
