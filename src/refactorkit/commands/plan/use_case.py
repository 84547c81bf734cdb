"""Make a plan: read the database, try the statements out on an empty copy of its schema."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Session, reading
from refactorkit.commands.plan.model import PlannedStatement, PlannedStep, PlanRequest, PlanResult
from refactorkit.errors import NOTHING_CHANGED, RefactorkitError
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.migrations.headline import headline
from refactorkit.migrations.model import Direction, Statement
from refactorkit.migrations.plan import Step, plan_down, plan_up
from refactorkit.postgres import history, server_errors
from refactorkit.postgres.connection import connected, set_for_session
from refactorkit.postgres.execution import Runner
from refactorkit.postgres.history import TableName
from refactorkit.postgres.identity import identify
from refactorkit.postgres.lock_manual import by_the_manual
from refactorkit.postgres.lock_modes import LockMode
from refactorkit.postgres.lock_recorder import LockRecorder, StatementRecord, TableLock
from refactorkit.postgres.lock_waits import LockLimits
from refactorkit.postgres.plan_facts import (
    ForeignKeyTie,
    foreign_key_ties,
    neighbours,
    predict_rows,
    table_sizes,
)
from refactorkit.postgres.schema_copy import CannotCopyError, SchemaCopy, schema_copy
from refactorkit.postgres.throwaway import only_reading
from refactorkit.postgres.verification import snapshot

_log = structlog.get_logger()

Key = tuple[str, Direction, int]


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """What the copy showed.

    Attributes:
        records: by file, direction and line.
        server_version: of the copy's server; None where there was no copy.
        why_not: why there was none.
        refusal: what stopped it on the way.
    """

    records: Mapping[Key, StatementRecord]
    server_version: str | None
    why_not: str = ""
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What the live database says."""

    sizes: Mapping[str, int]
    ties: tuple[ForeignKeyTie, ...]
    rows: Mapping[str, Mapping[tuple[str, str, int], int]]


def plan(request: PlanRequest) -> PlanResult:
    """Return each statement of the way with its locks and rows; the database is only read.

    The locks are observed where the statements really run: on a private server, in a database with
    the same schema and no rows. Where that cannot be made, they are those of PostgreSQL's manual,
    and the result says which it is.

    Raises:
        RefactorkitError: the files or the database cannot be read, or goose's rules forbid the way.
    """
    chain = replace(request.chain, dsn=only_reading(request.chain.dsn))
    with chains.session(chain, limits=chains.Limits(), locked=False) as session:
        found = session.found
        if request.direction is Direction.UP:
            steps = plan_up(found.migrations, found.history, to=request.to, allow_missing=False)
        else:
            steps = plan_down(found.migrations, found.history, to=request.to)
        with reading():
            server_version = identify(session.connection).server_version
            facts = _facts(session, steps)
        tried = _try_out(request, session, steps)
        before = found.history.current
        return PlanResult(
            before=before,
            after=chains.version_after(found.history, steps),
            steps=tuple(_step(step, tried, facts) for step in steps),
            server_version=server_version,
            observed_on=tried.server_version,
            why_not=tried.why_not,
            refusal=tried.refusal,
        )


def _facts(session: Session, steps: tuple[Step, ...]) -> _Facts:
    with snapshot(session.connection):
        sizes = table_sizes(session.connection)
        ties = foreign_key_ties(session.connection)
    rows: dict[str, Mapping[tuple[str, str, int], int]] = {}
    # What comes later in the way begins with rows that nobody knows yet.
    if steps and (mapping := embedded_mapping(steps[0].migration)) is not None:
        try:
            with reading(), snapshot(session.connection):
                rows[steps[0].migration.file] = predict_rows(
                    session.connection, mapping, steps[0].direction
                )
        except RefactorkitError as error:  # a right is lacking, a table is not as it should be
            _log.info("plan.rows_unknown", error_class=type(error).__name__)
    return _Facts(sizes=sizes, ties=ties, rows=rows)


def _try_out(request: PlanRequest, session: Session, steps: tuple[Step, ...]) -> _Tried:
    if not request.observe:
        return _Tried(records={}, server_version=None, why_not="That was asked for.")
    if not steps:
        return _Tried(records={}, server_version=None, why_not="There is nothing to run.")
    try:
        with schema_copy(session.connection, session.found.table, request.programs) as copy:
            return _run_on(copy, request, steps)
    except CannotCopyError as error:
        _log.warning("plan.not_observed", error_class=type(error).__name__)
        return _Tried(records={}, server_version=None, why_not=error.message)


def _run_on(copy: SchemaCopy, request: PlanRequest, steps: tuple[Step, ...]) -> _Tried:
    with connected(copy.dsn) as connection:
        try:
            with server_errors.explained(doing="Trying out", state=NOTHING_CHANGED):
                set_for_session(connection, request.settings)
                table = history.find(connection, TableName.parse(request.chain.table))
                version = history.read(connection, table).current
        except RefactorkitError as error:
            raise CannotCopyError(error.message) from error
        recorder = LockRecorder(connection)
        runner = Runner(
            dsn=copy.dsn,
            connection=connection,
            table=table,
            version=version,
            limits=LockLimits(retries=0),
            observer=recorder,
        )
        refusal = ""
        try:
            runner.run(steps)
        except RefactorkitError as error:
            refusal = error.message
        return _Tried(
            records={(r.file, r.direction, r.line): r for r in recorder.statements},
            server_version=copy.server_version,
            refusal=refusal,
        )


def _step(step: Step, tried: _Tried, facts: _Facts) -> PlannedStep:
    file, direction = step.migration.file, step.direction
    rows = facts.rows.get(file, {})
    seen: dict[tuple[str, str], int] = {}
    written: set[str] = set()
    statements = []
    for statement in (*step.script.statements, Statement(text="", line=0)):
        record = tried.records.get((file, direction, statement.line))
        known = by_the_manual(statement.text)
        place = (known.verb, known.table)
        seen[place] = seen.get(place, 0) + 1
        locks = record.locks if record is not None else _from_the_manual(tried, known.locks)
        written |= {lock.table for lock in locks or () if lock.mode is LockMode.ROW_EXCLUSIVE}
        beside = neighbours(written, facts.ties) - {(k.table, k.mode) for k in locks or ()}
        statements.append(
            PlannedStatement(
                line=statement.line,
                begins="the version row" if statement.line == 0 else headline(statement),
                locks=locks if known.is_known or record is not None else None,
                possible_locks=tuple(sorted(beside, key=lambda each: (-each[1].rank, each[0]))),
                table=known.table,
                table_rows=facts.sizes.get(known.table),
                rows=rows.get((*place, seen[place])),
            )
        )
    return PlannedStep(
        file=file,
        direction=direction,
        checksum=step.migration.checksum,
        transaction=step.migration.transaction,
        statements=tuple(statements),
    )


def _from_the_manual(
    tried: _Tried, locks: tuple[tuple[str, LockMode], ...]
) -> tuple[TableLock, ...] | None:
    """Return the manual's locks; None where the copy ran and stopped before this statement."""
    if tried.server_version is not None:
        return None
    return tuple(TableLock(table=table, mode=mode, adds=True) for table, mode in locks)
