"""Take the database to the newest refactor: checked before, watched meanwhile, verified after."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path as FilePath

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, Session, reading
from refactorkit.commands.former import keeping_former, with_former
from refactorkit.commands.operation.carry_out import carry_out, look_again
from refactorkit.commands.operation.deletions import (
    DELETIONS,
    deleted_since,
    guards,
    refuse_deletions,
)
from refactorkit.commands.operation.evidence import EvidenceMaker, EvidenceRequest
from refactorkit.commands.operation.model import (
    Confirm,
    Deletion,
    Expectation,
    Gate,
    Question,
    pass_gates,
    refuse_a_no,
    refuse_changed,
)
from refactorkit.commands.operation.path import Path, path_up
from refactorkit.commands.operation.planned import compare, read_plan
from refactorkit.commands.operation.result import OperationResult
from refactorkit.postgres.identity import identify
from refactorkit.postgres.turn_facts import count_rows


@dataclass(frozen=True, kw_only=True)
class CutoverRequest:
    """What to cut over, and who says yes.

    Attributes:
        chain: files and database.
        to: the highest version to apply; None: the newest refactor's.
        accept: names of guards that the operator overrules, and ``deletions``.
        expect: which database is meant.
        confirm: asks the operator; None: they have said yes already.
        gates: what looks at the live database before.
        plan: a file that ``plan --json`` wrote, to compare the locks with; None without.
        limits: how long to wait for others, and how long to hold them up.
        evidence: whether to make evidence, and in whose name; None: nobody needs to hear of it.
        keep_former: let the former version's application go on, through views in a schema of its
            own, which are made in the same transaction as the switch.
    """

    chain: Chain
    to: int | None = None
    accept: tuple[str, ...] = ()
    expect: Expectation = field(default_factory=Expectation)
    confirm: Confirm | None = None
    gates: tuple[Gate, ...] = ()
    plan: FilePath | None = None
    limits: Limits = field(default_factory=Limits)
    evidence: EvidenceRequest | None = None
    keep_former: bool = False


def cutover(request: CutoverRequest) -> OperationResult:
    """Run all pending files up to the newest refactor, each in its transaction, and verify.

    Where the database is there already, it is only verified: running again converges.

    Raises:
        UsageError: no file is a refactor.
        RefusedError: it is another database, a gate or a guard says no, or the operator does.
        BusyError: locks were not to be had, or would have been held too long.
        FailedError: a statement or the connection failed; the error says at which version it is.
    """
    plan = None if request.plan is None else read_plan(request.plan)
    evidence = EvidenceMaker(request.evidence, request.chain.dsn)
    with chains.session(request.chain, limits=request.limits, locked=True) as session:
        with reading():
            identity = identify(session.connection)
        request.expect.refuse_another(identity)
        path = path_up(session.found, to=request.to)
        before = session.found.history.current
        if not path.steps:
            looked_at = datetime.now(UTC)
            refactors, checked = look_again(session, path, evidence)
            return OperationResult(
                operation="cutover",
                identity=identity,
                before=before,
                after=before,
                started_at=looked_at,
                refactors=refactors,
                checked=checked,
                evidence=evidence.outcomes
                if evidence.outcomes and evidence.outcomes[0].asked
                else (),
            )
        if plan is not None:
            plan.refuse_other_files(path.steps)
        if request.keep_former:
            path = _keeping(session, path)
        pass_gates(session, path.steps, request.gates)
        deletions = deleted_since(session.connection, path.mappings, path.steps[0].migration)
        _ask(request, session, path, deletions)
        chains.prepare(session, path.steps, _settings(request))
        carried = carry_out(session, path, evidence)
    return OperationResult(
        operation="cutover",
        identity=identity,
        before=before,
        after=carried.run.after,
        started_at=carried.started_at,
        done=carried.run.done,
        refactors=carried.refactors,
        deletions=deletions,
        seconds=carried.seconds,
        longest_exclusive_ms=carried.longest_exclusive_ms,
        statements=carried.statements,
        comparison=None if plan is None else compare(plan, carried.statements),
        checked=carried.checked,
        evidence=evidence.outcomes,
    )


def _keeping(session: Session, path: Path) -> Path:
    """Return the path with a last file that makes the former version's views at its end."""
    *others, last = path.steps
    former = keeping_former(session.connection, path.steps, path.mappings[-1])
    kept = replace(last, migration=with_former(last.migration, former))
    return replace(path, steps=(*others, kept))


def _settings(request: CutoverRequest) -> Mapping[str, str]:
    names = guards(request.accept)
    return {"refactorkit.accept": ",".join(names)} if names else {}


def _ask(
    request: CutoverRequest, session: Session, path: Path, deletions: tuple[Deletion, ...]
) -> None:
    """Have the deletions accepted and the operation confirmed.

    Raises:
        RefusedError: there are deletions that nobody accepted, or the operator said no.
    """
    accepted = DELETIONS in request.accept
    if request.confirm is None:
        refuse_deletions(() if accepted else deletions)
        return
    with reading():
        rows = {
            table: count
            for mapping in path.mappings
            if mapping.version == path.steps[0].migration.version  # else its tables are yet to come
            for table, count in count_rows(session.connection, mapping, at_new=False).items()
        }
        identity = identify(session.connection)
    yes = request.confirm(
        Question(
            operation="cutover",
            identity=identity,
            before=session.found.history.current,
            after=chains.version_after(session.found.history, path.steps),
            files=tuple(step.migration.file for step in path.steps),
            rows=rows,
            deletions=() if accepted else deletions,
        )
    )
    refuse_a_no(yes)
    refuse_changed(session)
