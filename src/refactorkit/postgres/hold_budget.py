"""An end to holding locks: a transaction that may last so long and no longer.

Each statement is given what is left as its ``statement_timeout``; what is not done by then is
rolled back by the server. Only the COMMIT itself cannot be stopped.
"""

import time
from typing import Final

import psycopg
from psycopg import sql

from refactorkit.errors import BusyError
from refactorkit.postgres.connection import Connection, fetch_value

_LEAST_MS: Final = 1
_CLOSE_SECONDS: Final = 0.02  # how far the server's clock may be ahead of ours
_OWN: Final = "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'"


class HeldTooLongError(BusyError):
    """The transaction did not end in its time and was rolled back."""


class HoldBudget:
    """How long one transaction may last, from its BEGIN; without a limit it does nothing."""

    def __init__(self, connection: Connection, max_ms: int | None) -> None:
        self._connection = connection
        self._max_ms = max_ms
        self._own_ms = 0
        self._deadline = 0.0

    def prepare(self) -> None:
        """Read what the session itself allows a statement; before the first BEGIN."""
        if self._max_ms is not None:
            self._own_ms = int(fetch_value(self._connection, _OWN) or 0)

    def begin(self) -> None:
        """Start the clock."""
        if self._max_ms is not None:
            self._deadline = time.monotonic() + self._max_ms / 1000

    def allow(self) -> None:
        """Give the next statement what is left, inside the transaction.

        SET takes no snapshot, so the file's first statement may still choose an isolation level.

        Raises:
            HeldTooLongError: nothing is left.
        """
        if self._max_ms is not None:
            left_ms = self._left_ms()
            self._set(min(left_ms, self._own_ms) if self._own_ms else left_ms)

    def end(self) -> None:
        """Let the COMMIT have what the session itself allows, if anything is left.

        A COMMIT that waits for a synchronous standby must not be cut short: it would be done here,
        and nobody would know whether there.

        Raises:
            HeldTooLongError: nothing is left.
        """
        if self._max_ms is not None:
            self._left_ms()
            self._set(self._own_ms)

    def ended_it(self, error: psycopg.Error) -> bool:
        """Tell whether a statement was cancelled because its transaction's time was up."""
        return (
            self._max_ms is not None
            and isinstance(error, psycopg.errors.QueryCanceled)
            and time.monotonic() >= self._deadline - _CLOSE_SECONDS
        )

    def _left_ms(self) -> int:
        left_ms = int((self._deadline - time.monotonic()) * 1000)
        if left_ms < _LEAST_MS:
            raise self.error()
        return left_ms

    def _set(self, milliseconds: int) -> None:
        self._connection.execute(
            sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(milliseconds))
        )

    def error(self) -> HeldTooLongError:
        """Return the error that says so."""
        return HeldTooLongError(
            f"The transaction was not done after {self._max_ms} ms (--max-lock-ms)",
        )
