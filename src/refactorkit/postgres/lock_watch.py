"""A second pair of eyes: while a statement of ours waits, somebody else sees whom it waits for.

The watch sleeps as long as statements are quick. Where one takes longer than a moment, it opens a
connection of its own and looks whether that one waits for a lock, and for whom. It never touches
the session that it watches. Behind one name there can be several servers: it looks, and ends, only
where it finds the very session that it is to watch.
"""

import contextlib
import contextvars
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psycopg
import structlog

from refactorkit.errors import RefactorkitError
from refactorkit.postgres import blockers
from refactorkit.postgres.blockers import Blocker
from refactorkit.postgres.connection import Connection, connect, same_server
from refactorkit.postgres.dsn import Dsn

_LOOK_EVERY_SECONDS: Final = 0.05
_QUICK_SECONDS: Final = 0.1
_END_SECONDS: Final = 15.0
_WATCHER: Final = "SET statement_timeout = '5s'; SET search_path = pg_catalog, pg_temp"

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Terminated:
    """A session that was ended, or was to be and could not.

    Attributes:
        blocker: who it was.
        done: False where this user may not end it.
    """

    blocker: Blocker
    done: bool


class LockWatch:
    """Watches one session from its first ``waiting`` block to the end; a context manager."""

    def __init__(
        self, dsn: Dsn, connection: Connection, *, terminate_after_seconds: float | None = None
    ) -> None:
        """Prepare a watch.

        Args:
            dsn: where the session's server is.
            connection: the session to watch; it is asked only in ``prepare``.
            terminate_after_seconds: end a client that has been in the way for so long; None never.
        """
        self._dsn = same_server(dsn, connection)
        self._connection = connection
        self._session: blockers.Waiting | None = None
        self._terminate_after = terminate_after_seconds
        self._quick_seconds = _QUICK_SECONDS
        self._guard = threading.Lock()
        self._sent_at: float | None = None
        self._seen: dict[blockers.Key, Blocker] = {}
        self._first_seen: dict[blockers.Key, float] = {}
        self._terminated: list[Terminated] = []
        self._over = threading.Event()
        # in the caller's context, for the log lines of both to have one run id
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=[self._run], daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(_END_SECONDS)

    def prepare(self, lock_timeout_ms: int) -> None:
        """Learn what the session is known by, and to look well before its lock timeout.

        Args:
            lock_timeout_ms: its lock timeout in milliseconds; 0 for none.
        """
        self._session = blockers.own_session(self._connection)
        if lock_timeout_ms:
            self._quick_seconds = min(_QUICK_SECONDS, lock_timeout_ms / 3000)

    def begin_attempt(self) -> None:
        """Forget whom the attempt before has waited for, but not since when."""
        with self._guard:
            self._seen.clear()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Watch while the block runs a statement."""
        with self._guard:
            self._sent_at = time.monotonic()
        try:
            yield
        finally:
            with self._guard:
                self._sent_at = None

    @property
    def seen(self) -> tuple[Blocker, ...]:
        """Whom the present attempt has waited for, as they were seen last."""
        with self._guard:
            return tuple(self._seen.values())

    @property
    def terminated(self) -> tuple[Terminated, ...]:
        """Whom this watch has ended, and whom it could not."""
        with self._guard:
            return tuple(self._terminated)

    def sentence(self) -> str:
        """Say who was in the way in this attempt; empty where nobody was seen."""
        seen = self.seen
        if not seen:
            return ""
        stuck = {each.blocker.key for each in self.terminated if not each.done}
        could_not = (
            " It could not be terminated: a superuser's session needs a superuser."
            if any(each.key in stuck for each in seen)
            else ""
        )
        return f"Blocked by {'; '.join(each.describe() for each in seen)}.{could_not}"

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            watcher: Connection | None = None
            while not self._over.wait(min(_LOOK_EVERY_SECONDS, self._quick_seconds)):
                if not self._is_slow():
                    continue
                try:
                    if watcher is None:
                        watcher = connect(self._dsn, application_name="refactorkit-watch")
                        stack.callback(watcher.close)
                        watcher.execute(_WATCHER)
                    self._look(watcher)
                except blockers.AnotherServerError:
                    _log.warning("watch.elsewhere")
                    return
                except (RefactorkitError, psycopg.Error) as error:
                    # Eyes that fail are no reason to stop the work that they watch.
                    code = error.sqlstate if isinstance(error, psycopg.Error) else None
                    _log.warning("watch.ended", sqlstate=code, error_class=type(error).__name__)
                    return

    def _is_slow(self) -> bool:
        with self._guard:
            return (
                self._sent_at is not None
                and time.monotonic() - self._sent_at >= self._quick_seconds
            )

    def _look(self, watcher: Connection) -> None:
        now = time.monotonic()
        if self._session is None:
            return
        for blocker in blockers.find(watcher, self._session):
            with self._guard:
                is_new = blocker.key not in self._first_seen
                since = self._first_seen.setdefault(blocker.key, now)
                self._seen[blocker.key] = blocker
            if is_new:
                _log.warning("lock.blocked", **_facts(blocker))
            if (
                self._terminate_after is not None
                and blocker.may_be_terminated
                and now - since >= self._terminate_after
                and all(each.blocker.key != blocker.key for each in self.terminated)
            ):
                self._terminate(watcher, self._session, blocker)

    def _terminate(self, watcher: Connection, waiting: blockers.Waiting, blocker: Blocker) -> None:
        try:
            if not blockers.terminate(watcher, waiting, blocker):
                return
            done = True
            _log.warning("blocker.terminated", **_facts(blocker))
        except psycopg.errors.InsufficientPrivilege:
            done = False
            _log.error("blocker.not_terminated", **_facts(blocker))
        with self._guard:
            self._terminated.append(Terminated(blocker=blocker, done=done))


def _facts(blocker: Blocker) -> dict[str, str | int | float]:
    facts: dict[str, str | int | float | None] = {
        "pid": blocker.pid,
        "gid": blocker.gid,
        "application": blocker.application,
        "user": blocker.user,
        "state": blocker.state,
        "query_begins": blocker.query,
        "seconds": None if blocker.age_seconds is None else round(blocker.age_seconds, 1),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}
