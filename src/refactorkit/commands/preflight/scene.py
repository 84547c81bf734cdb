"""What every check is given, and what a check is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from refactorkit.commands.chain import Chain
from refactorkit.commands.preflight.figures import Figures
from refactorkit.commands.preflight.finding import Area, Observation
from refactorkit.mapping.compiled import Refactor
from refactorkit.mapping.guards import Guards
from refactorkit.mapping.preflight import Questions
from refactorkit.postgres.history import VersionTable
from refactorkit.postgres.preflight.looking import Look, UnseenError

DEFAULT_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What the operator knows of the database that is meant; None where nothing was said.

    Attributes:
        database: its name.
        environment: its marker, ``refactorkit.environment`` as ALTER DATABASE has set it.
        system_identifier: of the cluster, as pg_controldata prints it.
    """

    database: str | None = None
    environment: str | None = None
    system_identifier: int | None = None


@dataclass(frozen=True, kw_only=True)
class PreflightRequest:
    """What to look at.

    Attributes:
        chain: files and database.
        accept: names of checks that the operator overrules.
        runner: the role that is going to run Up; None for the one that looks.
        expect: what must be true of the database's identity.
        sample: whether to time a sample in temporary tables, which is rolled back.
        timeout_seconds: how long one question may take.
        besides: the process of the caller's own session, whose locks are in nobody's way.
    """

    chain: Chain
    accept: tuple[str, ...] = ()
    runner: str | None = None
    expect: Expectations = field(default_factory=Expectations)
    sample: bool = True
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    besides: int | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which database was looked at.

    Attributes:
        database: its name.
        user: who looked.
        address: of the server; None over a local socket.
        port: of the server; None over a local socket.
        server_version: as the server says it.
        version_number: the same as a number, such as 180006.
        cluster_name: the setting of that name; may be empty.
        is_standby: whether it can only be read.
        environment: its marker; None where it has none.
        system_identifier: of the cluster; None where this user may not ask.
    """

    database: str
    user: str
    address: str | None
    port: int | None
    server_version: str
    version_number: int
    cluster_name: str
    is_standby: bool
    environment: str | None
    system_identifier: int | None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The database and the refactor that is to run on it.

    Attributes:
        look: asks the server.
        request: what was asked for.
        runner: the role that is going to run Up.
        identity: which database this is.
        table: the version table; None where it could not be read.
        refactor: the migration whose Up is next.
        questions: the queries of its mapping.
        guards: what its Up must find.
        figures: how many rows; or why they could not be counted.
        staged: whether an online cutover has made subjects already; or why that is not to be seen.
    """

    look: Look
    request: PreflightRequest
    runner: str
    identity: Identity
    table: VersionTable | None
    refactor: Refactor
    questions: Questions
    guards: Guards
    figures: Figures | UnseenError
    staged: bool | UnseenError

    @property
    def is_staged(self) -> bool:
        """Whether subjects may be there before Up.

        Raises:
            UnseenError: that is not to be seen.
        """
        if isinstance(self.staged, UnseenError):
            raise self.staged
        return self.staged

    @property
    def tables(self) -> list[str]:
        """The tables that Up locks, with their schema."""
        return list(self.guards.tables)

    @property
    def source(self) -> str:
        """The table that goes away, with its schema."""
        return f"public.{self.refactor.mapping.source.table}"

    @property
    def target(self) -> str:
        """The table that takes its rows, with its schema."""
        return f"public.{self.refactor.mapping.target.table}"

    @property
    def counted(self) -> Figures:
        """The figures.

        Raises:
            UnseenError: they could not be counted.
        """
        if isinstance(self.figures, UnseenError):
            raise self.figures
        return self.figures


@dataclass(frozen=True, kw_only=True)
class Check:
    """One small unit of looking.

    Attributes:
        name: what the report and the documentation call it.
        area: where it looks.
        run: gives what it saw, at least one observation; UnseenError becomes one, too.
        needed: without an answer the whole verdict is incomplete; False for advice.
    """

    name: str
    area: Area
    run: Callable[[Scene], Iterable[Observation]]
    needed: bool = True
