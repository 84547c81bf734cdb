"""Take back what was applied."""

from dataclasses import dataclass, field
from enum import StrEnum

from refactorkit.commands import chain as chains
from refactorkit.commands.chain import Chain, Limits, RunResult
from refactorkit.migrations.plan import plan_down


class OnConflict(StrEnum):
    """Which side wins where both were changed."""

    LIVE = "live"
    ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True)
class DownChoices:
    """How the SQL decides what only an operator can.

    Attributes:
        custodian: the email of the user who takes over what has lost its owner.
        keep_logins: leave users who were created in the newer version active.
        on_conflict: which side wins; None leaves it to the SQL's default.
        accept: names of guards that the operator overrules.
    """

    custodian: str | None = None
    keep_logins: bool = False
    on_conflict: OnConflict | None = None
    accept: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, str]:
        """The parameters of the session that the SQL reads; what was not chosen is left alone."""
        settings = {
            "refactorkit.custodian": self.custodian,
            "refactorkit.keep_logins": "on" if self.keep_logins else None,
            "refactorkit.on_conflict": self.on_conflict,
            "refactorkit.accept": ",".join(self.accept) or None,
        }
        return {name: str(value) for name, value in settings.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class DownRequest(DownChoices):
    """What to take back, beside the operator's answers.

    Attributes:
        chain: files and database.
        to: the version to go back to, 0 for all; None for one step.
        dry_run: run nothing.
        limits: how long to wait for others.
    """

    chain: Chain
    to: int | None = None
    dry_run: bool = False
    limits: Limits = field(default_factory=Limits)


def down(request: DownRequest) -> RunResult:
    """Take back the version that was applied last, or all above one.

    The SQL reads the answers from the session's parameters ``refactorkit.*``.

    Raises:
        RefactorkitError: with the version that the database is at; what is taken back stays so.
    """
    return chains.run(
        request.chain,
        lambda migrations, history: plan_down(migrations, history, to=request.to),
        limits=request.limits,
        settings=request.settings,
        dry_run=request.dry_run,
    )
