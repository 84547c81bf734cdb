"""Which locks each statement of a run really takes, how long it lasts, how many rows it writes.

The session that runs the statements is asked itself, between them, what it holds (``pg_locks``): a
lock is held to the end of its transaction, so what is new after a statement was taken by it.
Tables that the transaction itself makes are left out, for nobody else can see them; so are indexes
and catalogs. Blind spots: a lock that a statement takes and gives back; one that the transaction
holds already in the same mode, which the server does not show a second time; and statements of a
file without a transaction, whose locks are gone when they can be asked for.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import pq

from refactorkit.migrations.headline import headline
from refactorkit.migrations.model import Direction, Statement
from refactorkit.migrations.plan import Step
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.lock_modes import LockMode, adds_to
from refactorkit.postgres.observation import Observer

# Asked in the path of the session or of a file, which may be anybody's: operators are qualified.
_NAMES: Final = """
    SELECT c.oid, pg_catalog.concat(n.nspname, '.', c.relname)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.=)
            ANY ('{r,p,S,v,m,f}'::pg_catalog.text[])
        AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.<>)
            ALL ('{pg_catalog,information_schema,pg_toast}'::pg_catalog.text[])
"""
_HELD: Final = """
    SELECT l.relation, l.mode
    FROM pg_catalog.pg_locks AS l
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
        AND l.locktype OPERATOR(pg_catalog.=) 'relation'::pg_catalog.text AND l.granted
        AND l.database OPERATOR(pg_catalog.=) (
            SELECT d.oid FROM pg_catalog.pg_database AS d
            WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
"""
_WRITES: Final = re.compile(r"(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY) (\d+)")
_RECORDING: Final = "the version row"

Locks = dict[int, frozenset[LockMode]]
AtEnd = Callable[[Callable[[], None]], None]


@dataclass(frozen=True, kw_only=True)
class TableLock:
    """A lock that was taken.

    Attributes:
        table: schema and name, as they were when the file began; a sequence or a view, too.
        mode: how strong it is.
        adds: whether it keeps out somebody whom the locks held already had let through.
    """

    table: str
    mode: LockMode
    adds: bool


@dataclass(frozen=True, kw_only=True)
class StatementRecord:
    """A statement that was run.

    Attributes:
        file: which file it is of.
        direction: up or down.
        line: where it begins in its file; 0 for the version row, which comes last.
        begins: its first line.
        locks: what it took; None where that could not be seen.
        rows: how many rows its commands say that they wrote; None where they do not say.
        seconds: how long it took, until its answer was here.
    """

    file: str
    direction: Direction
    line: int
    begins: str
    locks: tuple[TableLock, ...] | None
    rows: int | None
    seconds: float


class LockRecorder(Observer):
    """Records the statements of a run; of a file that is tried again, the last attempt counts."""

    def __init__(
        self,
        connection: Connection,
        *,
        at_end: AtEnd = lambda _allow: None,
        once_committed: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        """Prepare to record.

        Args:
            connection: the one that the run uses.
            at_end: is called when a file has done all its work, inside its transaction; what it
                is given has to be called before each query.
            once_committed: is called after the commit of each file; it must not raise.
        """
        self._connection = connection
        self._at_end = at_end
        self._once_committed = once_committed
        self._finished: list[StatementRecord] = []
        self._current: list[StatementRecord] = []
        self._names: dict[int, str] = {}
        self._held: Locks = {}
        self._step: Step | None = None
        self._sent_at = 0.0
        self._exclusive_since: float | None = None
        self._longest = 0.0

    @property
    def statements(self) -> tuple[StatementRecord, ...]:
        """What was run so far, in order."""
        return (*self._finished, *self._current)

    @property
    def longest_exclusive_ms(self) -> float:
        """How long a transaction held a lock that shuts everybody out, at the most.

        From sending the statement that takes the first ACCESS EXCLUSIVE lock on a table that was
        there before, so the wait for it is counted, to the answer to COMMIT or ROLLBACK.
        """
        return self._longest * 1000

    def begin(self, step: Step, *, attempt: int) -> None:
        """Learn the names of all tables; forget the attempt before."""
        if attempt == 1:
            self._finished += self._current
        self._current = []
        self._held = {}
        self._step = step
        self._names = dict(self._connection.execute(_NAMES).fetchall())

    def before(self, statement: Statement) -> None:  # noqa: ARG002 - the time is all that matters
        """Start the clock of a statement."""
        self._sent_at = time.monotonic()

    def after(self, statement: Statement, tags: Sequence[str]) -> None:
        """Record a statement with the locks that are new."""
        seconds = time.monotonic() - self._sent_at
        locks = () if set(tags) <= {"SET"} else self._new_locks()
        counts = [int(match[1]) for tag in tags if (match := _WRITES.fullmatch(tag))]
        self._keep(
            statement.line, headline(statement), locks, sum(counts) if counts else None,
            seconds,
        )  # fmt: skip

    def before_end(self, allow: Callable[[], None]) -> None:
        """Record the version row, and let others look before the transaction ends."""
        self._keep(0, _RECORDING, self._new_locks(), None, time.monotonic() - self._sent_at)
        self._at_end(allow)

    def ended(self, *, committed: bool) -> None:  # noqa: ARG002 - the locks are gone in any case
        """Stop the clock of the locks."""
        if self._exclusive_since is not None:
            self._longest = max(self._longest, time.monotonic() - self._exclusive_since)
        self._exclusive_since = None

    def done(self, step: Step) -> None:
        """Let others look at what was committed."""
        self._once_committed(step)

    def _keep(
        self,
        line: int,
        begins: str,
        locks: tuple[TableLock, ...] | None,
        rows: int | None,
        seconds: float,
    ) -> None:
        if self._step is None:
            raise RuntimeError("a statement before its file")
        record = StatementRecord(
            file=self._step.migration.file,
            direction=self._step.direction,
            line=line,
            begins=begins,
            locks=locks,
            rows=rows,
            seconds=seconds,
        )
        self._current.append(record)
        self._sent_at = time.monotonic()

    def _new_locks(self) -> tuple[TableLock, ...] | None:
        if self._connection.info.transaction_status != pq.TransactionStatus.INTRANS:
            return None
        now: dict[int, set[LockMode]] = {}
        for relation, mode in self._connection.execute(_HELD).fetchall():
            if relation in self._names:
                now.setdefault(relation, set()).add(LockMode.of_pg_locks(mode))
        new = []
        for relation, modes in now.items():
            before = self._held.get(relation, frozenset())
            for mode in sorted(modes - before, key=lambda each: -each.rank):
                new.append(
                    TableLock(table=self._names[relation], mode=mode, adds=adds_to(before, mode))
                )
                before |= {mode}
        self._held = {relation: frozenset(modes) for relation, modes in now.items()}
        if self._exclusive_since is None and any(
            lock.mode is LockMode.ACCESS_EXCLUSIVE for lock in new
        ):
            self._exclusive_since = self._sent_at
        return tuple(sorted(new, key=lambda lock: (-lock.mode.rank, lock.table)))
