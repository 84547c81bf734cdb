"""Erase a person from the archive and from the living tables of the present version, for good."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import structlog

from refactorkit.commands.audit.files import KeySource
from refactorkit.commands.chain import Limits, reading
from refactorkit.errors import NOTHING_CHANGED, RefactorkitError, RefusedError, UsageError
from refactorkit.evidence.keys import SigningKey
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.history import History
from refactorkit.migrations.model import Direction
from refactorkit.postgres import erasure, history, server_errors
from refactorkit.postgres.connection import (
    Connection,
    connected,
    fetch_value,
    refuse_read_only,
    set_for_session,
)
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.erasure import Authority, Erasure
from refactorkit.postgres.erasure_left import UNREACHED, Left, analyze, left
from refactorkit.postgres.history import TableName
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.one_transaction import in_one_transaction
from refactorkit.postgres.refactors import Turn, last_turns, refuse_staged

_LONGEST: Final = 200  # characters of a basis or a name

_log = structlog.get_logger()


class Outcome(StrEnum):
    """How an erasure ended."""

    ERASED = "erased"
    ALREADY = "already erased"
    WOULD = "would be erased"


@dataclass(frozen=True, kw_only=True)
class EraseRequest:
    """Whom to erase, and by what right.

    Attributes:
        dsn: the database.
        source_id: the id in the table that the refactor took away; never one of the target's.
        basis: the legal basis or the ticket; may be None for a dry run.
        approved_by: who approved it, not the operator; may be None for a dry run.
        operator: who runs it; None for the database role.
        refactor: its name; None where the database knows one only.
        table: the version table, as the user writes it.
        dry_run: do all of it, and roll it back.
        key: where the key is that signs the tombstones; they are unsigned where nobody says.
        limits: how long to wait for others.
    """

    dsn: Dsn
    source_id: int
    basis: str | None
    approved_by: str | None
    operator: str | None = None
    refactor: str | None = None
    table: str = "goose_db_version"
    dry_run: bool = False
    key: KeySource = field(default_factory=lambda: KeySource(path=None, environ={}))
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class EraseResult:
    """What was erased, and what was not reached.

    Attributes:
        outcome: what happened.
        mapping: the refactor's.
        version: of the database.
        erasure: the rows, links and triggers.
        left: what still names the person.
        statistics: tables whose statistics could not be taken anew: they may hold values.
    """

    outcome: Outcome
    mapping: Mapping
    version: int
    erasure: Erasure
    left: Left
    statistics: tuple[str, ...]


def erase(request: EraseRequest) -> EraseResult:
    """Erase a person everywhere, in one transaction, and leave a tombstone.

    Raises:
        UsageError: basis, approver or operator are missing or not what they must be, or the key is
            none.
        RefusedError: nobody has that id, no refactor ran here, or something is in the way.
        BusyError: a runner or a lock is in the way: try again.
        FailedError: the server refused or was lost; says whether it happened.
    """
    table = TableName.parse(request.table)
    _refuse_texts(request)
    key = request.key.load() if request.key.is_given else None
    with connected(request.dsn) as connection:
        with session_lock(connection, wait_seconds=request.limits.lock_wait_seconds):
            with reading():
                refuse_read_only(connection, request.dsn)
                turn = _turn(connection, request)
                mapping = _mapping(turn)
                _refuse_older(history.read(connection, history.find(connection, table)), mapping)
                authority = _authority(connection, request, key)
            done = in_one_transaction(
                request.dsn,
                connection,
                request.limits.locks,
                doing=f"Erasing {mapping.source.table} {request.source_id}",
                work=lambda: erasure.erase(connection, turn, mapping, request.source_id, authority),
                keep=not request.dry_run,
            )
        if done.erased_before and not done.rows:
            outcome = Outcome.ALREADY
        else:
            outcome = Outcome.WOULD if request.dry_run else Outcome.ERASED
        _log.info("erase.done", outcome=outcome.value, rows=done.rows)
        found, statistics = _afterwards(
            connection, mapping, turn.direction, done, changed=outcome is Outcome.ERASED
        )
    return EraseResult(
        outcome=outcome,
        mapping=mapping,
        version=mapping.version - (turn.direction is Direction.DOWN),
        erasure=done,
        left=found,
        statistics=statistics,
    )


def document(result: EraseResult) -> dict[str, Any]:
    """Return the result as JSON can hold it; no value of the person is in it."""
    done, mapping = result.erasure, result.mapping
    return {
        "outcome": result.outcome.value,
        "refactor": mapping.name,
        "version": result.version,
        "source": mapping.source.table,
        "target": mapping.target.table,
        "pairs": [
            {"source_id": pair.source_id, "target_id": pair.target_id, "kind": pair.kind}
            for pair in done.person.pairs
        ],
        "erased_before": done.erased_before,
        "tombstones": [
            {
                "tombstone": each.number,
                "signed": each.digest is not None,
                "digest": each.digest,
                "key_id": each.key_id,
            }
            for each in done.tombstones
        ],
        "rows": done.rows,
        "deleted": {count.name: count.rows for count in done.deleted},
        "links_taken_away": {count.name: count.rows for count in done.unlinked},
        "triggers_kept_quiet": [
            {"table": f"{t.schema}.{t.table}", "trigger": t.name} for t in done.quiet
        ],
        "left_without_owner": done.ownerless,
        "not_reached": {
            "tables_not_looked_into": list(done.not_looked_into),
            "rows_that_name_the_person": {c.name: c.rows for c in result.left.naming},
            "rows_of_nobody_known": {c.name: c.rows for c in result.left.orphans},
            "could_not_be_counted": list(result.left.uncounted),
            "statistics_not_renewed": list(result.statistics),
            "elsewhere": list(UNREACHED),
        },
    }


def _refuse_texts(request: EraseRequest) -> None:
    for option, text in (
        ("--basis", request.basis),
        ("--approved-by", request.approved_by),
        ("--operator", request.operator),
    ):
        if text is None:
            if option == "--operator" or request.dry_run:
                continue
            raise UsageError(
                f"{option} is missing: an erasure needs a basis and somebody who approved it.",
                state=NOTHING_CHANGED,
                hint="A look without them is --dry-run.",
            )
        if not text.strip() or not text.isprintable() or len(text) > _LONGEST:
            raise UsageError(
                f"{option} must be one line of 1 to {_LONGEST} printable characters.",
                state=NOTHING_CHANGED,
            )


def _turn(connection: Connection, request: EraseRequest) -> Turn:
    turns = last_turns(connection)
    place = request.dsn.describe()
    if not turns:
        raise RefusedError(
            f"Nobody can be erased on {place}: no refactor has run there.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? Before the first Up, delete the row itself.",
        )
    if request.refactor is None and len(turns) > 1:
        names = ", ".join(turn.name for turn in turns)
        raise UsageError(
            f"{place} knows several refactors: {names}.",
            state=NOTHING_CHANGED,
            hint="Say whose id it is with --refactor NAME.",
        )
    refuse_staged(connection, turns)
    for turn in turns:
        if request.refactor in {None, turn.name}:
            return turn
    raise RefusedError(
        f"{place} knows no refactor of the name {request.refactor}.", state=NOTHING_CHANGED
    )


def _mapping(turn: Turn) -> Mapping:
    if turn.mapping is None:
        raise RefusedError(
            f"The refactor {turn.name} was run with a mapping of another version of refactorkit.",
            state=NOTHING_CHANGED,
            hint="Use the version that Up was run with.",
        )
    return turn.mapping


def _refuse_older(found: History, mapping: Mapping) -> None:
    """Refuse a database that went back further than the refactor's own Down."""
    if found.rows and found.current < mapping.version - 1:
        raise RefusedError(
            f"This database is at version {found.current}, and people are erased at version"
            f" {mapping.version - 1} or {mapping.version}.",
            state=NOTHING_CHANGED,
            hint=f"Go up to version {mapping.version - 1} first.",
        )


def _authority(
    connection: Connection, request: EraseRequest, key: SigningKey | None
) -> Authority | None:
    """Return who erases by what right; None for a dry run.

    The approver is somebody else than the operator, and than the role that is logged in: that is
    all a program can check. Whether the two are who they say they are is for the audit.
    """
    role = str(fetch_value(connection, "SELECT session_user::pg_catalog.text"))
    operator = (request.operator or role).strip()
    approver = (request.approved_by or "").strip()
    if approver and approver.casefold() in {operator.casefold(), role.casefold()}:
        raise UsageError(
            "Who approves an erasure must be somebody else than who runs it.",
            state=NOTHING_CHANGED,
            hint="Without --operator, the operator is the role of the database URL.",
        )
    if request.dry_run:
        return None
    basis = (request.basis or "").strip()
    return Authority(basis=basis, approved_by=approver, operator=operator, key=key)


def _afterwards(
    connection: Connection, mapping: Mapping, after: Direction, done: Erasure, *, changed: bool
) -> tuple[Left, tuple[str, ...]]:
    """Renew statistics and count what is left; a failure takes nothing of the erasure back."""
    statistics: tuple[str, ...] = done.touched if changed else ()
    nothing = Left(naming=(), orphans=(), uncounted=("rows that name the person",))
    try:
        with server_errors.explained(doing="Looking for what is left", state=""):
            set_for_session(connection, {"search_path": "pg_catalog, pg_temp"})
            if changed:
                statistics = analyze(connection, done.touched)
            return left(connection, mapping, after, done), statistics
    except RefactorkitError as error:
        _log.warning("erase.left_uncounted", error_class=type(error).__name__)
        return nothing, statistics
