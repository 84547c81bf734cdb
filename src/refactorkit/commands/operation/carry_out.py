"""The middle of an operation: the files are run, watched, told of, and verified."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import RunResult, Session, reading
from refactorkit.commands.operation.checked import Checked, check, conclude_without_edits
from refactorkit.commands.operation.evidence import EvidenceMaker
from refactorkit.commands.operation.path import Path
from refactorkit.commands.operation.result import RefactorReport, report_of
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify_here
from refactorkit.errors import RefactorkitError, RefusedError
from refactorkit.postgres.connection import Connection, connected, fetch_value, same_server
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.lock_recorder import LockRecorder, StatementRecord
from refactorkit.postgres.turn_facts import Moment, TurnFacts, facts_of_last_turns, moment
from refactorkit.postgres.verification import pin_transaction, snapshot

_INTERRUPTED: Final = "Interrupted before it was verified: run refactorkit verify."


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What was carried out.

    Attributes:
        run: the files.
        refactors: what became of the rows; empty where the archive could not be asked.
        statements: what was run, with locks and times.
        longest_exclusive_ms: how long others were shut out of a table, at the most.
        started_at: before the first statement, by this machine's clock, in UTC.
        relied_on_preparation: whether Down went by what was found out beforehand.
        seconds: from the first statement to the last commit, without what evidence took.
        checked: what verify says.
    """

    run: RunResult
    refactors: tuple[RefactorReport, ...]
    statements: tuple[StatementRecord, ...]
    longest_exclusive_ms: float
    relied_on_preparation: bool
    started_at: datetime
    seconds: float
    checked: Checked


def carry_out(session: Session, path: Path, evidence: EvidenceMaker) -> Carried:
    """Run the files, each in its transaction, then look at what they made.

    After each refactor evidence is made of it, before the next file can change what it left.

    Once the last file is committed nothing here raises: what cannot be told or verified then is a
    verdict, so that the operator hears that the version has changed.

    Raises:
        RefactorkitError: a file failed; the error says at which version the database is.
    """
    dsn = same_server(session.chain.dsn, session.connection)
    pid = session.connection.info.backend_pid
    since: list[Moment] = []
    relied: list[bool] = []
    with connected(dsn) as watcher, contextlib.closing(evidence):
        evidence.stand_by(dsn)

        def look(_allow: Callable[[], None]) -> None:
            since.append(moment(watcher, pid))
            relied.append(_relies_on_preparation(session.connection))
            evidence.look(since[-1], session.connection)

        recorder = LockRecorder(session.connection, at_end=look, once_committed=evidence.make)
        started_at, started = datetime.now(UTC), time.monotonic()
        run = chains.execute(session, path.steps, observer=recorder)
        seconds = time.monotonic() - started - evidence.seconds
    refactors: tuple[RefactorReport, ...] = ()
    checked = Checked(verdict=Verdict.INCOMPLETE, result=None, problem=_INTERRUPTED)
    with contextlib.suppress(KeyboardInterrupt):  # what is committed has to be told in any case
        refactors, checked = _look(dsn, path, recorder, since[-1] if since else None)

    return Carried(
        run=run,
        refactors=refactors,
        statements=recorder.statements,
        longest_exclusive_ms=recorder.longest_exclusive_ms,
        relied_on_preparation=any(relied),
        started_at=started_at,
        seconds=seconds,
        checked=checked,
    )


def _look(
    dsn: Dsn, path: Path, recorder: LockRecorder, since: Moment | None
) -> tuple[tuple[RefactorReport, ...], Checked]:
    """Report and verify what is committed; an error is a verdict."""
    problem = ""
    refactors: tuple[RefactorReport, ...] = ()
    try:
        # A new connection: a COMMIT without an answer has cost us the other one.
        with connected(dsn) as connection, reading(), snapshot(connection):
            facts = facts_of_last_turns(connection, _names(path))
        refactors = tuple(report_of(each, recorder.statements) for each in facts)
    except RefactorkitError as error:
        problem = error.message
    checked = check(dsn, since=since)
    if problem and checked.verdict is Verdict.PASS:
        checked = replace(checked, verdict=Verdict.INCOMPLETE, problem=problem)
    return refactors, checked


def rehearse(session: Session, path: Path) -> Carried:
    """Run the one file, look at what it made inside its transaction, and roll all of it back.

    The locks are the real ones, for as long as it takes.

    Raises:
        RefactorkitError: it failed as it would fail in earnest; nothing was changed.
    """
    facts: list[TurnFacts] = []
    checks: list[Checked] = []
    relied: list[bool] = []

    def look(allow: Callable[[], None]) -> None:
        facts.clear()
        checks.clear()
        relied.append(_relies_on_preparation(session.connection))
        pin_transaction(session.connection)
        facts.extend(facts_of_last_turns(session.connection, _names(path)))
        request = VerifyRequest(dsn=session.chain.dsn, allow_edits=False)
        result = verify_here(session.connection, request, lambda _name: allow())
        checks.append(conclude_without_edits(result))

    recorder = LockRecorder(session.connection, at_end=look)
    started_at, started = datetime.now(UTC), time.monotonic()
    run = chains.execute(session, path.steps, observer=recorder, rehearsal=True)
    return Carried(
        run=run,
        refactors=tuple(report_of(each, recorder.statements) for each in facts),
        statements=recorder.statements,
        longest_exclusive_ms=recorder.longest_exclusive_ms,
        relied_on_preparation=any(relied),
        started_at=started_at,
        seconds=time.monotonic() - started,
        checked=checks[-1],
    )


def _relies_on_preparation(connection: Connection) -> bool:
    """Ask the open transaction: Down sets this for its own length, and nobody else's counts."""
    return bool(
        fetch_value(
            connection,
            "SELECT pg_catalog.current_setting('refactorkit.prepared', true) = 'on'",
        )
    )


def look_again(
    session: Session, path: Path, evidence: EvidenceMaker
) -> tuple[tuple[RefactorReport, ...], Checked]:
    """Report and verify a database that an earlier run has brought there already.

    Evidence that the earlier run has not come to is made, and says that it was afterwards.

    Raises:
        RefactorkitError: the archive cannot be read, or knows nothing of the refactor.
    """
    dsn = same_server(session.chain.dsn, session.connection)
    with reading(), snapshot(session.connection):
        facts = facts_of_last_turns(session.connection, _names(path))
    if not facts:
        names = ", ".join(sorted(mapping.name for mapping in path.mappings))
        raise RefusedError(
            f"There is nothing to do or to verify: the archive knows of no turn of {names}.",
            state=f"Nothing was changed: version {session.found.history.current}.",
            hint="Is this the database that you mean? Did another tool's file run here?",
        )
    with contextlib.closing(evidence):
        for each in facts:
            evidence.make_up_for(each.turn.name)
    reports = tuple(report_of(each, ()) for each in facts)
    return reports, check(dsn, since=None)


def _names(path: Path) -> frozenset[str]:
    return frozenset(mapping.name for mapping in path.mappings)
