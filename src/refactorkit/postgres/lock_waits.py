"""How long statements wait for table locks, and how long a runner pauses before it tries again.

A waiting ACCESS EXCLUSIVE request blocks every query behind it, so a wait is short and a retry
comes after a pause in which those queries get through.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from refactorkit.migrations.model import Statement
from refactorkit.postgres.connection import Connection, fetch_value, set_for_session

DEFAULT_TIMEOUT_MS: Final = 500
DEFAULT_RETRIES: Final = 10
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_CONCURRENTLY: Final = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
_READ: Final = "SELECT pg_catalog.current_setting('lock_timeout')"
# In the path of the session, which may be anybody's: names and operators are qualified.
_READ_MS: Final = (
    "SELECT setting::pg_catalog.int4 FROM pg_catalog.pg_settings"
    " WHERE name OPERATOR(pg_catalog.=) 'lock_timeout'::pg_catalog.text"
)

_random = secrets.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class LockLimits:
    """How long a statement waits for locks, and how often its file is tried again.

    Attributes:
        timeout_ms: lock_timeout in milliseconds, 0 for no limit; None keeps the server's own, or
            sets 500 where the server has none.
        retries: how often a file that met SQLSTATE 55P03, or its own limit, is run again.
        max_hold_ms: a file's transaction that is not done after so many milliseconds is rolled
            back; None lets it take its time.
        terminate_blockers_after_seconds: end the session of a client that has been in the way for
            so long; None never ends any.
    """

    timeout_ms: int | None = None
    retries: int = DEFAULT_RETRIES
    max_hold_ms: int | None = None
    terminate_blockers_after_seconds: float | None = None


class LockTimeout:
    """The lock_timeout of one session."""

    def __init__(self, connection: Connection, limits: LockLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._is_default = False

    def apply(self) -> int:
        """Set the limit for the rest of the session; return it in milliseconds, 0 for none."""
        timeout_ms = self._limits.timeout_ms
        self._is_default = timeout_ms is None and fetch_value(self._connection, _READ) == "0"
        if self._is_default:
            timeout_ms = DEFAULT_TIMEOUT_MS
        if timeout_ms is None:
            return int(fetch_value(self._connection, _READ_MS) or 0)
        self._set(timeout_ms)
        return timeout_ms

    @contextmanager
    def lifted_for(self, statement: Statement) -> Iterator[None]:
        """Let a CONCURRENTLY wait: it blocks nobody meanwhile, and a timeout would leave parts.

        Only the default limit is lifted, not one that the user, the server or the file has set.
        """
        lift = (
            self._is_default
            and _CONCURRENTLY.search(statement.text) is not None
            and fetch_value(self._connection, _READ) == f"{DEFAULT_TIMEOUT_MS}ms"
        )
        if lift:
            self._set(0)
        yield
        if lift:
            self._set(DEFAULT_TIMEOUT_MS)

    def _set(self, timeout_ms: int) -> None:
        set_for_session(self._connection, {"lock_timeout": f"{timeout_ms}ms"})


def pause_seconds(attempt: int) -> float:
    """Return how long to pause after a failed attempt (from 1).

    Pauses double up to five seconds; half of each is random, so that two waiting runners fall out
    of step.
    """
    longest = min(_FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
    return _random.uniform(longest / 2, longest)
