"""Rehearse cutover and rollback on a throwaway database, and compare what must be the same."""

import contextlib
import secrets
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from refactorkit.commands.drill.course import Course, plan
from refactorkit.commands.drill.ground import ground
from refactorkit.commands.drill.model import (
    DEFAULT_PATIENTS,
    DrillRequest,
    DrillResult,
    Place,
    document,
)
from refactorkit.commands.drill.notary import Notary
from refactorkit.commands.drill.states import Observer
from refactorkit.commands.drill.steps import NOT_RUN, Recorder, StepResult
from refactorkit.postgres.connection import connected
from refactorkit.postgres.history import TableName
from refactorkit.postgres.snapshots import Scratch, answers, pin_settings
from refactorkit.postgres.throwaway import server_errors_explained

__all__ = [
    "DEFAULT_PATIENTS",
    "NOT_RUN",
    "DrillRequest",
    "DrillResult",
    "Place",
    "StepResult",
    "document",
    "drill",
    "plan",
]

_log = structlog.get_logger()


def drill(
    request: DrillRequest, report: Callable[[str], None] = lambda _title: None
) -> DrillResult:
    """Go up, down, up, write, down and up again, and compare each state with what it must be.

    On made-up data, or on a copy of a database; the copied one is only read. The throwaway database
    is dropped in any case, unless it is to be kept.

    Args:
        request: what and where.
        report: is told the title of each step before it runs.

    Raises:
        UsageError: the request contradicts itself.
        RefusedError: the database is beyond the version that a drill begins at.
        RefactorkitError: there is no ground to drill on; what a migration does wrong is no error
            here, but a verdict.
    """
    TableName.parse(request.table)
    at = datetime.now(UTC)
    with contextlib.ExitStack() as stack:
        report("Have a server")
        here = stack.enter_context(ground(request))
        connection = stack.enter_context(connected(here.dsn, application_name="refactorkit drill"))
        pin_settings(connection)
        recorder = Recorder(
            plan=plan(request),
            report=report,
            limit=request.limit,
            is_alive=lambda: answers(connection),
        )
        scratch = Scratch(connection, f"refactorkit_drill_{secrets.token_hex(4)}")
        observer = Observer(
            connection=connection,
            scratch=scratch,
            programs=request.programs,
            version_table=request.table,
            limit=request.limit,
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="refactorkit-drill-")))
        course = Course(
            request=request,
            ground=here,
            observer=observer,
            recorder=recorder,
            notary=Notary(dsn=here.dsn, folder=folder, limit=request.limit),
        )
        with server_errors_explained("Preparing the drill"):
            scratch.create()
        with recorder.until_stopped():
            course.run()
        scenario = course.scenario
        result = DrillResult(
            at=at,
            verdict=recorder.verdict,
            place=here.place,
            steps=tuple(recorder.results),
            counts=course.counts
            | {
                "rows_compared": observer.compared.rows,
                "columns_compared": observer.compared.columns,
                "differences": sum(step.outcome.differences for step in recorder.results),
            },
            writes=scenario.counts if scenario else {},
            not_in_data=scenario.not_in_data() if scenario else (),
        )
        if request.keep:
            scratch.drop()
    _log.info("drill.done", verdict=result.verdict.value)
    return result
