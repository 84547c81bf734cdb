"""Compare archive, pairs and living tables through the mapping that the refactor ran with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.verification import checks, erased_query, unmapped_query
from refactorkit.postgres import former, purging, server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.decisions import DecisionCount, decisions_of, total
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.erasure_places import found_places
from refactorkit.postgres.refactors import Turn, last_turns, refuse_staged
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
        erased: people who were erased, and so are neither verified nor missing.
        decisions: of the last turn, what gave way to what: no difference either.
        all_decisions: of all turns.
    """

    turn: Turn
    outcomes: tuple[Outcome, ...]
    unmapped: dict[str, int]
    erased: int = 0
    decisions: tuple[DecisionCount, ...] = ()
    all_decisions: tuple[DecisionCount, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """The verdict over all refactors of the database, and what it rests on."""

    verdict: Verdict
    refactors: tuple[Verification, ...]
    allow_edits: bool
    beside: tuple[str, ...] = ()

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
        RefusedError: no refactor has run here, a cutover is staged, or this user may not read the
            archive.
        FailedError: the server refused or was lost.
    """
    doing = f"Verifying {request.dsn.describe()}"
    with (
        connected(request.dsn) as connection,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        snapshot(connection),
    ):
        result = verify_here(connection, request, report)
    _log.info("verify.done", verdict=result.verdict.value)
    return result


def verify_here(
    connection: Connection,
    request: VerifyRequest,
    report: Callable[[str], None] = lambda _name: None,
) -> VerifyResult:
    """Check as ``verify`` does, in a transaction that is open and pinned already.

    Raises:
        RefusedError: no refactor has run here.
    """
    turns = last_turns(connection)
    if not turns:
        raise RefusedError(
            f"There is nothing to verify: no refactor has run on {request.dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    refuse_staged(connection, turns)
    found = tuple(_verify(connection, turn, request, report) for turn in turns)
    return VerifyResult(
        verdict=_verdict(found, allow_edits=request.allow_edits),
        refactors=found,
        allow_edits=request.allow_edits,
        beside=former.schemas(connection),
    )


def document(result: VerifyResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "verdict": result.verdict.value,
        "allow_edits": result.allow_edits,
        "beside": list(result.beside),
        "refactors": [
            {
                "name": found.turn.name,
                "turn": found.turn.number,
                "direction": found.turn.direction.value,
                "at": found.turn.at.isoformat(),
                "counts": found.turn.counts,
                "values_without_image": found.unmapped,
                "erased": found.erased,
                "decisions": {
                    "last_turn": _decisions(found.decisions),
                    "all_turns": _decisions(found.all_decisions),
                },
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


def _decisions(found: tuple[DecisionCount, ...]) -> dict[str, Any]:
    rules = [
        {"rule": each.rule, "table": each.table, "column": each.column, "count": each.count}
        for each in found
    ]
    return {"count": total(found), "by_rule": rules}


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
    decisions = decisions_of(connection, turn.name, turn=turn.number)
    all_decisions = decisions_of(connection, turn.name)
    if turn.mapping is None:
        return Verification(
            turn=turn,
            outcomes=(),
            unmapped={},
            decisions=decisions,
            all_decisions=all_decisions,
        )
    outcomes = []
    found = found_places(connection, turn.mapping, turn.direction)
    for check in checks(turn.mapping, turn.direction, found.places):
        report(check.name)
        outcomes.append(run_check(connection, check, limit=request.limit))
    query = unmapped_query(turn.mapping, turn.direction)
    unmapped: dict[str, int] = dict(connection.execute(query.encode()).fetchall()) if query else {}
    row = connection.execute(erased_query(turn.mapping).encode()).fetchone()
    return Verification(
        turn=turn,
        outcomes=tuple(outcomes),
        unmapped=unmapped,
        erased=row[0] if row else 0,
        decisions=decisions,
        all_decisions=all_decisions,
    )


def _verdict(found: tuple[Verification, ...], *, allow_edits: bool) -> Verdict:
    differs = any(
        outcome.differences and not (allow_edits and outcome.is_edit)
        for one in found
        for outcome in one.outcomes
    )
    if differs:
        return Verdict.FAIL
    return Verdict.PASS if all(one.outcomes for one in found) else Verdict.INCOMPLETE
