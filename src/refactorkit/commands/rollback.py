"""Take the newest refactor back: counted before, watched meanwhile, verified after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path as FilePath

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, Session, reading
from refactorkit.commands.down import OnConflict
from refactorkit.commands.operation.carry_out import carry_out, look_again, rehearse
from refactorkit.commands.operation.evidence import EvidenceMaker, EvidenceRequest
from refactorkit.commands.operation.model import (
    Confirm,
    Expectation,
    Forecast,
    Gate,
    Meter,
    Question,
    pass_gates,
    refuse_a_no,
    refuse_changed,
)
from refactorkit.commands.operation.path import Path, path_down, refuse_several
from refactorkit.commands.operation.planned import compare, read_plan
from refactorkit.commands.operation.prepared import (
    find_prepared,
    prepare_rollback,
    saying_what_stays,
)
from refactorkit.commands.operation.result import OperationResult, PreparationReport
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres.connection import set_for_session
from refactorkit.postgres.identity import identify
from refactorkit.postgres.turn_facts import count_rows


@dataclass(frozen=True, kw_only=True)
class RollbackRequest:
    """What to roll back, how conflicts are decided, and who says yes.

    Attributes:
        chain: files and database.
        to: the version to go back to; None: the one below the refactor.
        custodian: the email of the user who takes over what has lost its owner.
        keep_logins: leave users who were created in the newer version active.
        on_conflict: which side wins; None leaves it to the SQL's default.
        accept: names of guards that the operator overrules.
        expect: which database is meant.
        confirm: asks the operator; None: they have said yes already.
        gates: what looks at the live database before.
        meter: counts before what Down would do; None: nobody counts.
        rehearsal: run all of it, and roll it back.
        online: find out before, beside the running application, which rows Down must look at.
        plan: a file that ``plan --json`` wrote, to compare the locks with; None without.
        limits: how long to wait for others, and how long to hold them up.
        evidence: whether to make evidence, and in whose name; None: nobody needs to hear of it.
    """

    chain: Chain
    to: int | None = None
    custodian: str | None = None
    keep_logins: bool = False
    on_conflict: OnConflict | None = None
    accept: tuple[str, ...] = ()
    expect: Expectation = field(default_factory=Expectation)
    confirm: Confirm | None = None
    gates: tuple[Gate, ...] = ()
    meter: Meter | None = None
    rehearsal: bool = False
    online: bool = False
    plan: FilePath | None = None
    limits: Limits = field(default_factory=Limits)
    evidence: EvidenceRequest | None = None


def rollback(request: RollbackRequest) -> OperationResult:
    """Take back all files down to below the newest refactor that is applied, and verify.

    Where no refactor is applied any longer, the database is only verified: running again converges.
    A rehearsal runs the whole Down, verifies inside its transaction, and rolls it back: the locks
    are real meanwhile, the rows and sequences are as before.

    Raises:
        UsageError: no file is a refactor, or ``to`` is not below one.
        RefusedError: it is another database, a gate, the meter or a guard says no, or the operator.
        BusyError: locks were not to be had, or would have been held too long.
        FailedError: a statement or the connection failed; the error says at which version it is.
    """
    plan = None if request.plan is None else read_plan(request.plan)
    evidence = EvidenceMaker(None if request.rehearsal else request.evidence, request.chain.dsn)
    with chains.session(request.chain, limits=request.limits, locked=True) as session:
        with reading():
            identity = identify(session.connection)
        request.expect.refuse_another(identity)
        path = path_down(session.found, to=request.to)
        before = session.found.history.current
        if not path.steps:
            looked_at = datetime.now(UTC)
            refactors, checked = look_again(session, path, evidence)
            return OperationResult(
                operation="rollback",
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
        if request.rehearsal:
            refuse_several(path.steps)
        if plan is not None:
            plan.refuse_other_files(path.steps)
        settings = _settings(request)
        pass_gates(session, path.steps, request.gates)
        forecast = _forecast(request, session, path, settings)
        if not request.rehearsal:
            _ask(request, session, path, forecast)
        prepared = (prepare_rollback if request.online else find_prepared)(session, path)
        chains.prepare(session, path.steps, settings)
        with saying_what_stays(session, path):
            carried = (
                rehearse(session, path) if request.rehearsal else carry_out(session, path, evidence)
            )
    return OperationResult(
        operation="rollback",
        identity=identity,
        before=before,
        after=carried.run.after,
        started_at=carried.started_at,
        preparation=None
        if prepared is None
        else PreparationReport(
            looked_at=prepared.looked_at,
            keys=prepared.keys,
            relied_on=carried.relied_on_preparation,
        ),
        rehearsal=request.rehearsal,
        done=carried.run.done,
        refactors=carried.refactors,
        forecast=forecast,
        seconds=carried.seconds,
        longest_exclusive_ms=carried.longest_exclusive_ms,
        statements=carried.statements,
        comparison=None if plan is None else compare(plan, carried.statements),
        checked=carried.checked,
        evidence=evidence.outcomes,
    )


def _settings(request: RollbackRequest) -> Mapping[str, str]:
    given = {
        "refactorkit.custodian": request.custodian,
        "refactorkit.keep_logins": "on" if request.keep_logins else None,
        "refactorkit.on_conflict": request.on_conflict,
        "refactorkit.accept": ",".join(request.accept) or None,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def _forecast(
    request: RollbackRequest, session: Session, path: Path, settings: Mapping[str, str]
) -> Forecast | None:
    """Count what Down would do.

    Raises:
        RefusedError: Down would refuse; all reasons are told, before anything is tried.
    """
    if request.meter is None:
        return None
    with reading():
        set_for_session(session.connection, settings)
    forecast = request.meter(session, path.steps, settings)
    if forecast is not None and forecast.refusals:
        raise RefusedError(
            f"Down would refuse: {' '.join(forecast.refusals)}",
            state=NOTHING_CHANGED,
            hint="Mend what is named, or give the option that is named with it.",
        )
    return forecast


def _ask(request: RollbackRequest, session: Session, path: Path, forecast: Forecast | None) -> None:
    """Have the operation confirmed.

    Raises:
        RefusedError: the operator said no.
    """
    if request.confirm is None:
        return
    with reading():
        rows = {
            table: count
            for mapping in path.mappings
            for table, count in count_rows(session.connection, mapping, at_new=True).items()
        }
        identity = identify(session.connection)
    told = forecast or Forecast()
    yes = request.confirm(
        Question(
            operation="rollback",
            identity=identity,
            before=session.found.history.current,
            after=chains.version_after(session.found.history, path.steps),
            files=tuple(step.migration.file for step in path.steps),
            rows=rows,
            remarks=(
                *(f"{count:,} rows would be {what}." for what, count in told.counts.items()),
                *told.remarks,
            ),
        )
    )
    refuse_a_no(yes)
    refuse_changed(session)
