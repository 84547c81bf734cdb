"""The words of an operation: which database is meant, what is asked before, what may say no."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from refactorkit.commands.chain import Chain, Found, Session, look
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.migrations.plan import Step
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Which database the operator means; None for what was not said.

    Attributes:
        database: its name.
        environment: its setting ``refactorkit.environment``.
        system_identifier: its cluster's, as pg_controldata prints it.
    """

    database: str | None = None
    environment: str | None = None
    system_identifier: int | None = None

    def refuse_another(self, found: Identity) -> None:
        """Stop where the database is not the one that is meant.

        Raises:
            RefusedError: its name, its environment or its cluster is another one, or it has no
                environment, or the server does not say which cluster it is.
        """
        if self.database is not None and found.database != self.database:
            raise RefusedError(
                f'This is the database "{found.database}", and "{self.database}" was expected.',
                state=NOTHING_CHANGED,
                hint="Look at the database URL.",
            )
        if self.environment is not None and found.environment != self.environment:
            has = f'is "{found.environment}"' if found.environment else "is not set"
            raise RefusedError(
                f'The environment of "{found.database}" {has},'
                f' and "{self.environment}" was expected.',
                state=NOTHING_CHANGED,
                hint="Look at the database URL, or mark the database: ALTER DATABASE ... SET "
                "refactorkit.environment = '...'.",
            )
        if self.system_identifier is not None and found.system_identifier is None:
            raise RefusedError(
                f"{found.user} may not ask for the cluster's system identifier,"
                f" and {self.system_identifier} was expected.",
                state=NOTHING_CHANGED,
                hint="Grant EXECUTE ON FUNCTION pg_catalog.pg_control_system(), or leave out"
                " --expect-system-identifier.",
            )
        if self.system_identifier not in (None, found.system_identifier):
            raise RefusedError(
                f"This is the cluster {found.system_identifier},"
                f" and {self.system_identifier} was expected.",
                state=NOTHING_CHANGED,
                hint="Look at the database URL.",
            )


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What was deleted in the old version and would not return.

    Attributes:
        reason: a phrase that says what.
        count: how many.
        with_complement: how many of them the archive keeps more of: claims, consents, settings.
    """

    reason: str
    count: int
    with_complement: int

    def describe(self) -> str:
        """Return it as a phrase with its numbers."""
        if not self.count:
            return self.reason
        kept = (
            f" ({self.with_complement:,} of them with claims, consents or settings in the archive)"
            if self.with_complement
            else ""
        )
        return f"{self.count:,} {self.reason}{kept}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the operator says yes or no to.

    Attributes:
        operation: ``cutover`` or ``rollback``.
        identity: which database.
        before: the version that it is at.
        after: the version that it will be at.
        files: what will be run.
        rows: how many rows each table has that is concerned, by its name.
        deletions: what is left out, and has to be accepted too; empty where nothing is, or where
            it was accepted already.
        remarks: sentences that the operator should read before.
    """

    operation: str
    identity: Identity
    before: int
    after: int
    files: tuple[str, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    deletions: tuple[Deletion, ...] = ()
    remarks: tuple[str, ...] = ()


class Confirm(Protocol):
    """Asks the operator."""

    def __call__(self, question: Question) -> bool:
        """Return whether the operator says yes, to the deletions too."""


class Asked(Protocol):
    """What a gate is given of a session, online or not."""

    @property
    def chain(self) -> Chain:
        """Files and database."""

    @property
    def connection(self) -> Connection:
        """The session's own connection, whose locks are in nobody's way."""

    @property
    def found(self) -> Found:
        """Files and version table, as they were when the session began."""


class Gate(Protocol):
    """Looks at the live database before anything is tried, and changes nothing.

    The guards in the SQL of a refactor stand behind all gates, and look again under the locks.
    """

    def __call__(self, session: Asked, steps: tuple[Step, ...]) -> tuple[str, ...]:
        """Return the reasons against running the steps, a sentence each; none is a yes."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What Down would do now.

    Attributes:
        refusals: what would stop it, a sentence each.
        counts: rows by what would become of them: restored, merged, created, left out, ...
        decisions: how many values would give way, by rule.
        remarks: sentences that the operator should read before.
    """

    refusals: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Meter(Protocol):
    """Counts what Down would do, by queries alone, with the settings that Down would read."""

    def __call__(
        self, session: Session, steps: tuple[Step, ...], settings: Mapping[str, str]
    ) -> Forecast | None:
        """Return the forecast; None where it cannot be made."""


def pass_gates(
    session: Asked,
    steps: tuple[Step, ...],
    gates: tuple[Gate, ...],
    *,
    state: str = NOTHING_CHANGED,
) -> None:
    """Ask every gate.

    Args:
        session: of the operation.
        steps: what is to be run.
        gates: who is asked.
        state: in which state the database is.

    Raises:
        RefusedError: one of them says no; all reasons are told.
    """
    reasons = tuple(reason for gate in gates for reason in gate(session, steps))
    if reasons:
        raise RefusedError(
            " ".join(reasons),
            state=state,
            hint="Mend what is named, and look again.",
        )


def refuse_a_no(yes: bool) -> None:
    """Stop where the operator did not say yes.

    Raises:
        RefusedError: they did not.
    """
    if not yes:
        raise RefusedError("The operator did not say yes.", state=NOTHING_CHANGED)


def refuse_changed(session: Session) -> None:
    """Stop where the version table changed while the operator was asked.

    Raises:
        RefusedError: a runner that takes no lock has been at work.
    """
    now = look(session.connection, session.chain, session.found.migrations)
    if now.history != session.found.history:
        raise RefusedError(
            "The version table changed while the question was open: another runner was at work.",
            state="Nothing was changed by this one.",
            hint="Look at refactorkit status, then run it again.",
        )
