"""The part of a rollback that needs no lock, done beside the running application."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, Session, reading
from refactorkit.commands.operation.model import Expectation
from refactorkit.commands.operation.path import Path, path_down
from refactorkit.errors import NOTHING_CHANGED, BusyError, RefactorkitError, RefusedError
from refactorkit.mapping.compiled import refactor_of
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.preparation import preparation_of
from refactorkit.postgres.connection import refuse_read_only
from refactorkit.postgres.identity import identify
from refactorkit.postgres.preparing import PreparedRows, Preparer, what_is_prepared

_log = structlog.get_logger()
_STAYS: Final = (
    " The application can work on. What is prepared stays: rollback goes by it, rollback --online"
    " --abort takes it away."
)


@dataclass(frozen=True, kw_only=True)
class Preparedness:
    """What is prepared for a rollback.

    Attributes:
        version: of the database.
        prepared: None where nothing is.
    """

    version: int
    prepared: PreparedRows | None


def prepare_rollback(session: Session, path: Path) -> PreparedRows | None:
    """Find out which rows Down may have to look at, and have later writes written down.

    What was prepared before is looked at anew. Killed at any moment, it can be called again.

    Args:
        session: under the session lock.
        path: the steps of the rollback; the first of its refactors is prepared for.

    Returns:
        What is prepared; None where the path has no refactor.

    Raises:
        RefusedError: the file is not what its mapping compiles to, or the server is read-only.
        BusyError: a lock was not to be had.
    """
    mapping = _mapping(path)
    if mapping is None:
        return None
    with reading():
        refuse_read_only(session.connection, session.chain.dsn)
    preparer = _preparer(session, mapping)
    started = time.monotonic()
    _log.info("rollback.writes_written_down", refactor=mapping.migration)
    preparer.hook()
    _log.info("rollback.looking", refactor=mapping.migration)
    preparer.find_out()
    with reading():
        found = preparer.look()
    _log.info(
        "rollback.prepared",
        refactor=mapping.migration,
        keys=found.keys if found else 0,
        seconds=round(time.monotonic() - started, 1),
    )
    return found


def find_prepared(session: Session, path: Path) -> PreparedRows | None:
    """Return what an earlier ``rollback --online`` left for the first refactor that goes.

    Raises:
        RefactorkitError: this user may not look into the archive, or the connection failed.
    """
    refactors = (refactor_of(step.migration) for step in path.steps)
    first = next((each.mapping for each in refactors if each is not None), None)
    if first is None:
        return None
    with reading():
        return what_is_prepared(session.connection, preparation_of(first))


@contextlib.contextmanager
def saying_what_stays(session: Session, path: Path) -> Iterator[None]:
    """Have an error of the switch that can be tried again say that what is prepared is there."""
    try:
        yield
    except BusyError as busy:
        with contextlib.suppress(RefactorkitError):
            if find_prepared(session, path) is not None:
                busy.state += _STAYS
        raise


def stage_rollback(
    chain: Chain, *, to: int | None, limits: Limits, expect: Expectation
) -> Preparedness:
    """Prepare, and leave the switch to whoever runs Down later.

    Raises:
        RefusedError: it is another database, or no refactor is applied.
        RefactorkitError: as ``prepare_rollback``.
    """
    with chains.session(chain, limits=limits, locked=True) as session:
        _refuse_another(session, expect)
        found = prepare_rollback(session, _path(session, to))
        return Preparedness(version=session.found.history.current, prepared=found)


def abort_rollback(
    chain: Chain, *, to: int | None, limits: Limits, expect: Expectation
) -> Preparedness:
    """Take away what was prepared: the version stays, and is as it was.

    Raises:
        RefusedError: it is another database, or no refactor is applied: Down took it away.
        BusyError: a lock was not to be had.
    """
    with chains.session(chain, limits=limits, locked=True) as session:
        _refuse_another(session, expect)
        mapping = _mapping(_path(session, to))
        if mapping is not None:
            with reading():
                refuse_read_only(session.connection, chain.dsn)
            _preparer(session, mapping).take_away()
        return Preparedness(version=session.found.history.current, prepared=None)


def rollback_status(
    chain: Chain, *, to: int | None, limits: Limits, expect: Expectation
) -> Preparedness:
    """Say what is prepared; changes nothing.

    Raises:
        UsageError: no file is a refactor.
    """
    with chains.session(chain, limits=limits, locked=False) as session, reading():
        expect.refuse_another(identify(session.connection))
        path = path_down(session.found, to=to)
        mapping = _mapping(path) if path.steps else None
        return Preparedness(
            version=session.found.history.current,
            prepared=None if mapping is None else _preparer(session, mapping).look(),
        )


def _refuse_another(session: Session, expect: Expectation) -> None:
    with reading():
        identity = identify(session.connection)
    expect.refuse_another(identity)


def _path(session: Session, to: int | None) -> Path:
    path = path_down(session.found, to=to)
    if not path.steps:
        raise RefusedError(
            f"The database is at version {session.found.history.current}: there is nothing to"
            " prepare, nor to take away.",
            state=NOTHING_CHANGED,
        )
    return path


def _mapping(path: Path) -> Mapping | None:
    """Return the mapping of the first refactor that goes.

    Raises:
        RefusedError: its file was edited, or compiled by another version: its Down would not know
            what is prepared.
    """
    for step in path.steps:
        refactor = refactor_of(step.migration)
        if refactor is None:
            continue
        if not refactor.is_as_compiled:
            raise RefusedError(
                f"{step.migration.file} is not what this program compiles from its mapping.",
                state=NOTHING_CHANGED,
                hint="Run refactorkit compile, and look at what has changed; or roll back without"
                " --online.",
            )
        return refactor.mapping
    return None


def _preparer(session: Session, mapping: Mapping) -> Preparer:
    version = session.found.history.current
    return Preparer(
        session.connection,
        mapping,
        limits=session.limits.locks,
        state=lambda: f"The database is at version {version}, whole.{_STAYS}",
    )
