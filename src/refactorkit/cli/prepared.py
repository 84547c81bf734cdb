"""What is prepared for a rollback: its three actions beside the rollback itself."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NoReturn

import typer

from refactorkit.cli.context import Settings
from refactorkit.cli.render import emit
from refactorkit.commands.chain import Chain, Limits
from refactorkit.commands.operation.model import Expectation
from refactorkit.commands.operation.prepared import (
    Preparedness,
    abort_rollback,
    rollback_status,
    stage_rollback,
)
from refactorkit.errors import UsageError


class RollbackAction(StrEnum):
    """What is asked of the preparation alone."""

    STAGE = "--stage-only"
    ABORT = "--abort"
    STATUS = "--status"


_ACTS: Final = {
    RollbackAction.STAGE: stage_rollback,
    RollbackAction.ABORT: abort_rollback,
    RollbackAction.STATUS: rollback_status,
}


def one_action(
    wanted: Mapping[RollbackAction, bool], *, online: bool, dry_run: bool
) -> RollbackAction:
    """Return the one action that is wanted.

    Raises:
        UsageError: the options do not go together.
    """
    given = [action for action, is_given in wanted.items() if is_given]
    if not online:
        raise UsageError(f"{' and '.join(given)} can be had with --online only.")
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other.")
    if dry_run:
        raise UsageError(f"{given[0]} cannot be had with --dry-run.")
    return given[0]


def run_prepared(
    options: Settings,
    chain: Chain,
    *,
    action: RollbackAction,
    to: int | None,
    limits: Limits,
    expect: Expectation,
) -> NoReturn:
    """Do what is asked, print what is prepared, and exit.

    Raises:
        RefactorkitError: as the use cases.
    """
    found = _ACTS[action](chain, to=to, limits=limits, expect=expect)
    emit(options, _document(found), _text(found))
    raise typer.Exit


def _document(found: Preparedness) -> dict[str, Any]:
    prepared = found.prepared
    looked_at = prepared.looked_at if prepared else None
    return {
        "version": found.version,
        "prepared": prepared is not None,
        "looked_at": looked_at.isoformat() if looked_at else None,
        "keys": prepared.keys if prepared else 0,
        "is_spoilt": prepared.is_spoilt if prepared else False,
    }


def _text(found: Preparedness) -> str:
    prepared = found.prepared
    at = f"The database is at version {found.version}; "
    if prepared is None:
        return f"{at}nothing is prepared for a rollback."
    if prepared.looked_at is None:
        return f"{at}a preparation was stopped. Run rollback --online, or --online --abort."
    if prepared.is_spoilt:
        return (
            f"{at}what was prepared cannot be relied on any more (rollback --online looks anew): a"
            " rollback will look at every row."
        )
    return (
        f"{at}a rollback is prepared. Of all rows, {prepared.keys:,} written-down keys are left to"
        " be looked at under the lock."
    )
