"""Take back the version that was applied last, and apply it again."""

from dataclasses import dataclass, field

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, RunResult
from refactorkit.migrations.plan import plan_redo


@dataclass(frozen=True, kw_only=True)
class RedoRequest:
    """What to redo.

    Attributes:
        chain: files and database.
        dry_run: run nothing.
        limits: how long to wait for others.
    """

    chain: Chain
    dry_run: bool = False
    limits: Limits = field(default_factory=Limits)


def redo(request: RedoRequest) -> RunResult:
    """Run Down and then Up of one file, each in a transaction of its own.

    Raises:
        RefactorkitError: with the version that the database is at; where Up failed, the file
            stays taken back.
    """
    return chains.run(
        request.chain,
        plan_redo,
        limits=request.limits,
        settings={},
        dry_run=request.dry_run,
    )
