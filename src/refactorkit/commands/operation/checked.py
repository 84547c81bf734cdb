"""verify at the end of an operation, while the application may be at work again.

A difference that the application can have made since is no failure; but only where the row was in
fact written since. A row that is as our transaction left it, and differs, is ours.
"""

from dataclasses import dataclass
from typing import Final

import structlog

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import Verification, VerifyRequest, VerifyResult, verify
from refactorkit.errors import NOTHING_CHANGED, RefactorkitError
from refactorkit.mapping.model import Mapping
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.turn_facts import Moment, untouched_since
from refactorkit.postgres.verification import Difference, snapshot

_MOST: Final = 10_000  # differences that are looked into; more of them are no pass

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The verdict at the end.

    Attributes:
        verdict: PASS where every check was made and nothing of ours differs.
        result: what verify found; None where it could not run.
        ours: differences in rows that nobody has written since.
        edits: how many differences are writes of the application since.
        problem: why it is INCOMPLETE, a sentence; empty where it is not.
    """

    verdict: Verdict
    result: VerifyResult | None
    ours: tuple[Difference, ...] = ()
    edits: int = 0
    problem: str = ""


def check(dsn: Dsn, *, since: Moment | None) -> Checked:
    """Verify, on a new connection; an error is a verdict too, because the work is done already.

    Args:
        dsn: the database.
        since: when the operation's transaction had done its work; None where nothing was run now,
            and so any edit may be the application's.
    """
    request = VerifyRequest(dsn=dsn, allow_edits=True, limit=_MOST)
    try:
        result = verify(request)
        suspects = [
            (found, difference)
            for found in result.refactors
            for outcome in found.outcomes
            if outcome.is_edit
            for difference in outcome.listed
        ]
        ours: tuple[Difference, ...] = ()
        if suspects and since is not None:
            with (
                connected(dsn) as connection,
                server_errors.explained(doing="Verifying", state=NOTHING_CHANGED),
                snapshot(connection),
            ):
                ours = tuple(
                    difference
                    for found in result.refactors
                    for difference in _ours(connection, found, since)
                )
    except RefactorkitError as error:
        return Checked(verdict=Verdict.INCOMPLETE, result=None, problem=str(error))
    checked = _conclude(result, ours)
    _log.info("operation.verified", verdict=checked.verdict.value, count=len(checked.ours))
    return checked


def conclude_without_edits(result: VerifyResult) -> Checked:
    """Return the verdict of a verification inside our own transaction: nobody else can write."""
    listed = tuple(
        difference
        for found in result.refactors
        for outcome in found.outcomes
        for difference in outcome.listed
    )
    verdict = Verdict.FAIL if listed else result.verdict
    return Checked(verdict=verdict, result=result, ours=listed)


def _conclude(result: VerifyResult, ours: tuple[Difference, ...]) -> Checked:
    edits = sum(
        outcome.differences
        for found in result.refactors
        for outcome in found.outcomes
        if outcome.is_edit
    )
    too_many = any(
        outcome.is_edit and outcome.differences > _MOST
        for found in result.refactors
        for outcome in found.outcomes
    )
    if ours or result.verdict is Verdict.FAIL:
        hard = tuple(
            difference
            for found in result.refactors
            for outcome in found.outcomes
            if not outcome.is_edit
            for difference in outcome.listed
        )
        return Checked(
            verdict=Verdict.FAIL, result=result, ours=ours + hard, edits=edits - len(ours)
        )
    if too_many:
        return Checked(
            verdict=Verdict.INCOMPLETE,
            result=result,
            edits=edits,
            problem=f"A check found more than {_MOST:,} differences: too many to tell whose.",
        )
    problem = (
        ""
        if result.verdict is Verdict.PASS
        else "The archive is of another version of refactorkit, which this one cannot check."
    )
    return Checked(verdict=result.verdict, result=result, edits=edits, problem=problem)


def _ours(connection: Connection, found: Verification, since: Moment) -> tuple[Difference, ...]:
    """Return the differences in rows that are as the operation left them."""
    if found.turn.mapping is None:
        return ()
    keys = _keys(found.turn.mapping)
    listed = [d for outcome in found.outcomes if outcome.is_edit for d in outcome.listed]
    ours: list[Difference] = []
    for table in sorted({d.table for d in listed}):
        ids = sorted({d.row_id for d in listed if d.table == table})
        key = keys.get(table)
        # What we cannot look into is not called the application's.
        mine = (
            set(ids)
            if key is None
            else set(untouched_since(connection, since, _split(table), key, ids))
        )
        ours += [d for d in listed if d.table == table and d.row_id in mine]
    return tuple(ours)


def _keys(mapping: Mapping) -> dict[str, str]:
    tables = {
        f"public.{mapping.source.table}": mapping.source.key,
        f"archive.{mapping.source.table}": mapping.source.key,
        f"public.{mapping.target.table}": mapping.target.key,
    }
    return tables | {f"public.{link.table}": link.key for link in mapping.link}


def _split(table: str) -> tuple[str, str]:
    schema, _, name = table.partition(".")
    return schema, name
