"""What is asked of a plan, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from refactorkit.commands.chain import Chain
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dumping import Programs
from refactorkit.postgres.lock_modes import LockMode
from refactorkit.postgres.lock_recorder import TableLock


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What to plan.

    Attributes:
        chain: files and database, which is only read.
        direction: which way.
        to: the version to go to; None: all that is pending, or one step back.
        settings: what the SQL will read, such as ``refactorkit.accept``.
        observe: try the statements out on a copy of the schema; False: by the manual alone.
        programs: where pg_dump and pg_restore are.
    """

    chain: Chain
    direction: Direction = Direction.UP
    to: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    observe: bool = True
    programs: Programs = field(default_factory=Programs)


@dataclass(frozen=True, kw_only=True)
class PlannedStatement:
    """One statement of the way.

    Attributes:
        line: where it begins in its file; 0 for the version row, which comes last.
        begins: its first line.
        locks: what it takes; None where that is not known.
        possible_locks: what it may take beside, where rows make a foreign key look.
        table: what it is about, schema and name; empty where that is several things, or nothing.
        table_rows: about how many rows that table has; None where nobody knows.
        rows: how many it will write; None where that cannot be known before.
    """

    line: int
    begins: str
    locks: tuple[TableLock, ...] | None
    possible_locks: tuple[tuple[str, LockMode], ...]
    table: str
    table_rows: int | None
    rows: int | None


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One file of the way.

    Attributes:
        file: its name.
        direction: up or down.
        checksum: SHA-256 of its bytes.
        transaction: False where it runs statement by statement.
        statements: what it does, in order; the version row last.
    """

    file: str
    direction: Direction
    checksum: str
    transaction: bool
    statements: tuple[PlannedStatement, ...]

    def strongest(self) -> tuple[tuple[str, LockMode], ...]:
        """Return the strongest lock of the file on each table, held to its end; strongest first."""
        found: dict[str, LockMode] = {}
        for statement in self.statements:
            for lock in statement.locks or ():
                held = found.get(lock.table)
                if held is None or held.rank < lock.mode.rank:
                    found[lock.table] = lock.mode
        return tuple(sorted(found.items(), key=lambda each: (-each[1].rank, each[0])))


@dataclass(frozen=True, kw_only=True)
class PlanResult:
    """The way to the wanted version.

    Attributes:
        before: the version that the database is at.
        after: the version that it would be at.
        steps: the files, in order.
        server_version: of the database.
        observed_on: the version of the server that the copy was on; None: locks are by the manual.
        why_not: why they are by the manual, a sentence; empty where they are not.
        refusal: what the copy was refused with, or stopped by, a sentence: the database would be,
            too; empty where all ran through.
    """

    before: int
    after: int
    steps: tuple[PlannedStep, ...]
    server_version: str
    observed_on: str | None
    why_not: str
    refusal: str
