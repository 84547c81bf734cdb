"""Go or no-go: everything that decides whether Up of a refactor can run here, asked before it runs.

One snapshot is read, and nothing is changed. Only the timed sample, after it, makes temporary
tables, in a transaction that is rolled back.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from refactorkit.commands.chain import Found
from refactorkit.commands.preflight.finding import Area, Finding, Level
from refactorkit.commands.preflight.inquiry import (
    CHECKS,
    FILE_CHECKS,
    OUTLOOK_CHECKS,
    TABLES_CHECK,
    Inquiry,
)
from refactorkit.commands.preflight.result import PreflightResult
from refactorkit.commands.preflight.scene import Expectations, Identity, PreflightRequest
from refactorkit.errors import NOTHING_CHANGED, FailedError
from refactorkit.mapping.compiled import refactor_of
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Migration
from refactorkit.postgres import checksums, history, server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.history import TableName
from refactorkit.postgres.preflight.looking import Look, UnseenError, looking

__all__ = [
    "CHECKS",
    "FILE_CHECKS",
    "OUTLOOK_CHECKS",
    "TABLES_CHECK",
    "Area",
    "Expectations",
    "Finding",
    "Identity",
    "Level",
    "PreflightRequest",
    "PreflightResult",
    "preflight",
]

_LOCK_TIMEOUT_MS: Final = 500

_log = structlog.get_logger()


def preflight(
    request: PreflightRequest, report: Callable[[str], None] = lambda _name: None
) -> PreflightResult:
    """Look whether Up of the next refactor can run, and what it would take.

    Args:
        request: files, database, and what the operator knows of it.
        report: is told the name of each check before it is made.

    Raises:
        UsageError: the folder, the version table's name or the runner's is wrong.
        RefusedError: the files are broken.
        FailedError: there is no server, or it was lost.
    """
    started = time.monotonic()
    name = TableName.parse(request.chain.table)
    migrations = read_folder(request.chain.directory, environ=request.chain.environ)
    refactors = tuple(r for r in map(refactor_of, migrations) if r is not None)
    with connected(request.chain.dsn) as connection:
        doing = f"Looking at {request.chain.dsn.describe()}"
        with server_errors.explained(doing=doing, state=NOTHING_CHANGED), _answering(doing):
            with looking(
                connection,
                timeout_ms=int(request.timeout_seconds * 1000),
                lock_timeout_ms=_LOCK_TIMEOUT_MS,
            ) as pinned:
                found = _found(connection, request, name, migrations)
                inquiry = Inquiry(request, pinned(), report, found, refactors)
                inquiry.look()
            inquiry.look_ahead()
    result = inquiry.result(seconds=time.monotonic() - started)
    _log.info("preflight.done", verdict=result.verdict.value, no_gos=len(result.of(Level.NO_GO)))
    return result


@contextlib.contextmanager
def _answering(doing: str) -> Iterator[None]:
    """Make an error of a question without which nothing can be said at all."""
    try:
        yield
    except UnseenError as unseen:
        raise FailedError(
            f"{doing} failed: {unseen.reason}.", state=NOTHING_CHANGED, hint=unseen.advice
        ) from None


def _found(
    connection: Connection,
    request: PreflightRequest,
    name: TableName,
    migrations: tuple[Migration, ...],
) -> Found | UnseenError:
    """Read the version table and the checksums, by the session's own search_path as ``up`` does."""
    look = Look(connection, timeout_ms=int(request.timeout_seconds * 1000))
    try:
        table = look.attempt(lambda: history.find(connection, name))
        return Found(
            table=table,
            history=look.attempt(lambda: history.read(connection, table)),
            migrations=migrations,
            checksums=look.attempt(lambda: checksums.read(connection)),
        )
    except UnseenError as unseen:
        return unseen
