"""Apply what is pending."""

from dataclasses import dataclass, field

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, RunResult
from refactorkit.migrations.plan import plan_up


@dataclass(frozen=True, kw_only=True)
class UpRequest:
    """What to apply.

    Attributes:
        chain: files and database.
        to: the highest version to apply; None for all.
        allow_missing: also run pending files below the highest applied version.
        accept: names of guards that the operator overrules.
        dry_run: run nothing.
        limits: how long to wait for others.
    """

    chain: Chain
    to: int | None = None
    allow_missing: bool = False
    accept: tuple[str, ...] = ()
    dry_run: bool = False
    limits: Limits = field(default_factory=Limits)


def up(request: UpRequest) -> RunResult:
    """Apply pending files in order, each in a transaction of its own.

    The guards in the SQL read the accepted names from the session's ``refactorkit.accept``,
    separated by commas.

    Raises:
        RefactorkitError: with the version that the database is at; earlier files stay.
    """
    return chains.run(
        request.chain,
        lambda migrations, history: plan_up(
            migrations, history, to=request.to, allow_missing=request.allow_missing
        ),
        limits=request.limits,
        settings={"refactorkit.accept": ",".join(request.accept)} if request.accept else {},
        dry_run=request.dry_run,
    )
