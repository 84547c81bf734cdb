"""Give the archive an owner without login, a reader, an eraser, and guards; or take them away."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from refactorkit import __version__
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import hardening, operations, server_errors
from refactorkit.postgres.archive_writes import archive_transaction
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.hardening import Roles
from refactorkit.postgres.operations import Kind, Recorded
from refactorkit.postgres.refactors import last_turns, refuse_staged

_RIGHTS: Final = frozenset({"42501", "0LP01", "2BP01", "55006"})
"""SQLSTATEs of what this user may not do, or others stand in the way of."""

_log = structlog.get_logger()

Turns = tuple[tuple[Mapping, Direction], ...]


class Step(StrEnum):
    """What hardening does, in order."""

    PUBLIC = "public"
    ROLES = "roles"
    GUARDS = "guards"
    EVENT_TRIGGERS = "event-triggers"


@dataclass(frozen=True, kw_only=True)
class HardenRequest:
    """What to harden.

    Attributes:
        dsn: the database.
        owner: the name of the archive's owner to be; None: the database's name and ``_owner``.
        runner: who runs the migrations; None: who owns the archive now.
        skip: steps that the operator does without.
        off: take everything away again.
    """

    dsn: Dsn
    owner: str | None = None
    runner: str | None = None
    skip: frozenset[Step] = frozenset()
    off: bool = False


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of one step.

    Attributes:
        step: which.
        outcome: "done", "skipped", or "refused".
        reason: why not; empty where it was done.
    """

    step: Step
    outcome: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class HardenResult:
    """What was done.

    Attributes:
        verdict: pass where each step was done or skipped on purpose; else incomplete.
        off: whether it was taken away.
        roles: the three names.
        runner: who runs the migrations.
        steps: one by one.
        recorded: where in the log of operations.
    """

    verdict: Verdict
    off: bool
    roles: Roles
    runner: str
    steps: tuple[Done, ...]
    recorded: tuple[Recorded, ...]


def harden(request: HardenRequest) -> HardenResult:
    """Harden the archive, or take that away, in one transaction; may be run again.

    What this user has no right to is left out and told; everything else is done. All of that is
    written down in the log of operations, which gets a guard and an owner like the other tables.

    Raises:
        RefusedError: no refactor has run, a role of that name is somebody else's, or this user may
            not write into the log.
        BusyError: a migration is running, or a lock is not to be had.
        FailedError: the server failed or was lost.
    """
    doing = f"Hardening the archive of {request.dsn.describe()}"
    with archive_transaction(request.dsn, doing=doing) as connection:
        turns = _turns(connection, request.dsn)
        roles = _roles(connection, request)
        runner = request.runner or hardening.runner(connection)
        names = [mapping.name for mapping, _ in turns]
        operations.refuse_unwritable(connection, names)
        for name in names:
            operations.ensure_table(connection, name)
        work = (_off if request.off else _on)(connection, roles, runner, turns)
        steps = tuple(_try(connection, step, do, request.skip) for step, do in work)
        whole = all(done.outcome != "refused" for done in steps)
        verdict = Verdict.PASS if whole else Verdict.INCOMPLETE
        kind = Kind.HARDEN_OFF if request.off else Kind.HARDEN
        facts = _facts(verdict, roles, runner, steps)
        recorded = operations.record(connection, names, kind, facts=facts)
    _log.info("archive.hardened", verdict=verdict.value)
    return HardenResult(
        verdict=verdict,
        off=request.off,
        roles=roles,
        runner=runner,
        steps=steps,
        recorded=recorded,
    )


def document(result: HardenResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        **_said(result.verdict, result.roles, result.runner, result.steps),
        "off": result.off,
        "recorded": [
            {"refactor": one.refactor, "operation": one.number} for one in result.recorded
        ],
    }


def _facts(verdict: Verdict, roles: Roles, runner: str, steps: tuple[Done, ...]) -> dict[str, Any]:
    return {"tool": f"refactorkit {__version__}", **_said(verdict, roles, runner, steps)}


def _said(verdict: Verdict, roles: Roles, runner: str, steps: tuple[Done, ...]) -> dict[str, Any]:
    """Return what was made, for whom, and what could not be, as both answer and log say it."""
    return {
        "verdict": verdict.value,
        "owner": roles.owner,
        "reader": roles.reader,
        "eraser": roles.eraser,
        "runner": runner,
        "steps": [
            {"step": done.step.value, "outcome": done.outcome, "reason": done.reason}
            for done in steps
        ],
    }


def _turns(connection: Connection, dsn: Dsn) -> Turns:
    found = last_turns(connection)
    refuse_staged(connection, found)
    turns = tuple((turn.mapping, turn.direction) for turn in found if turn.mapping)
    if not turns or len(turns) < len(found):
        raise RefusedError(
            f"No refactor of this version of refactorkit has run on {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    return turns


def _roles(connection: Connection, request: HardenRequest) -> Roles:
    if request.owner is not None:
        return Roles.of(request.owner)
    present = hardening.present_owner(connection)
    if present is not None:
        return Roles.of(present)
    return Roles.of(f"{connection.info.dbname}_archive{hardening.SUFFIX}")


def _on(
    connection: Connection, roles: Roles, runner: str, turns: Turns
) -> list[tuple[Step, Callable[[], None]]]:
    mappings = [mapping for mapping, _ in turns]

    def make_roles() -> None:
        hardening.make_roles(connection, roles, runner)
        hardening.give(connection, roles.owner, mappings)
        hardening.grant(connection, roles, mappings)

    def make_guards() -> None:
        for mapping, after in turns:
            hardening.make_guards(connection, mapping, after)
        if hardening.present_owner(connection) is not None:
            hardening.give(connection, roles.owner, mappings)

    def make_event_guards() -> None:
        owner = hardening.present_owner(connection)
        hardening.make_event_guards(connection, owner, turns)

    return [
        (Step.PUBLIC, lambda: hardening.close_to_public(connection, mappings)),
        (Step.ROLES, make_roles),
        (Step.GUARDS, make_guards),
        (Step.EVENT_TRIGGERS, make_event_guards),
    ]


def _off(
    connection: Connection, roles: Roles, runner: str, turns: Turns
) -> list[tuple[Step, Callable[[], None]]]:
    mappings = [mapping for mapping, _ in turns]

    def drop_guards() -> None:
        for mapping, after in turns:
            hardening.drop_guards(connection, mapping, after)

    def drop_roles() -> None:
        if hardening.present_owner(connection) == roles.owner:
            hardening.revoke(connection, roles, mappings)
            hardening.give(connection, runner, mappings)
        hardening.drop_roles(connection, roles)

    return [
        (Step.EVENT_TRIGGERS, lambda: hardening.drop_event_guards(connection)),
        (Step.GUARDS, drop_guards),
        (Step.ROLES, drop_roles),
    ]


def _try(connection: Connection, step: Step, do: Callable[[], None], skip: frozenset[Step]) -> Done:
    if step in skip:
        return Done(step=step, outcome="skipped")
    reason = server_errors.attempt(connection, do, sqlstates=_RIGHTS)
    if reason is not None:
        return Done(step=step, outcome="refused", reason=reason)
    return Done(step=step, outcome="done")
