"""Ask one question after another in one snapshot; what may not be seen is said to be unseen."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import TupleRow

from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection

_LOST: Final = frozenset({"08", "57P01", "57P02", "57P03", "25P03", "25P04"})
_PINNED: Final = {
    "search_path": "pg_catalog, pg_temp",
    "row_security": "off",  # a policy makes a query fail, and not incomplete without a word
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, YMD",
    "TimeZone": "UTC",
    "work_mem": "64MB",
}

Answer = TypeVar("Answer")


class UnseenError(Exception):
    """A question without an answer: why not, and what would help; both are sentences."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class Look:
    """Asks questions inside the transaction of ``looking``.

    A question that fails leaves the transaction as it was before, so that the next one can be
    asked.
    """

    def __init__(self, connection: Connection, *, timeout_ms: int) -> None:
        self.connection = connection
        self._timeout_ms = timeout_ms

    def ask(self, name: str, **parameters: object) -> list[TupleRow]:
        """Return the rows of the question that stands in the file ``NAME.sql``.

        Raises:
            UnseenError: this user may not see it, or it took too long.
        """
        return self.query(_question(name), parameters)

    def one(self, name: str, **parameters: object) -> TupleRow:
        """Return the only row of a question that always has one.

        Raises:
            UnseenError: as ``ask``.
        """
        return self.ask(name, **parameters)[0]

    def query(self, text: str, parameters: Mapping[str, object] | None = None) -> list[TupleRow]:
        """Return the rows of a query that was rendered from the mapping.

        Raises:
            UnseenError: as ``ask``.
        """
        return self.attempt(lambda: self.connection.execute(text.encode(), parameters).fetchall())

    def run(self, text: str) -> None:
        """Run a block that reads, and returns no rows.

        Raises:
            UnseenError: as ``ask``.
        """
        self.attempt(lambda: self.connection.execute(text.encode()))

    def setting(self, name: str) -> str:
        """Return a setting of this session; empty where it was never set."""
        found: Any = self.connection.execute(
            "SELECT pg_catalog.current_setting(%s, true)", (name,)
        ).fetchone()
        return str(found[0] or "")

    def set(self, name: str, value: str) -> None:
        """Set something until the transaction ends."""
        self.connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))

    def attempt(self, question: Callable[[], Answer]) -> Answer:
        """Ask something that talks to the connection itself.

        Raises:
            UnseenError: as ``ask``.
            psycopg.Error: the connection is lost.
        """
        try:
            with self.connection.transaction():
                return question()
        except psycopg.Error as error:
            code = error.sqlstate or ""
            if not code or code[:2] in _LOST or code in _LOST:
                raise
            raise self._unseen(error) from None

    def _unseen(self, error: psycopg.Error) -> UnseenError:
        if error.sqlstate == "42501":
            return UnseenError(
                "this user may not see it (SQLSTATE 42501)",
                "Run preflight as the role that will run Up, or grant this one the right to read.",
            )
        if error.sqlstate == "57014":
            return UnseenError(
                f"it took longer than {self._timeout_ms / 1000:g} s, or was cancelled",
                "Allow more with --timeout.",
            )
        if error.sqlstate == server_errors.LOCK_NOT_AVAILABLE:
            return UnseenError(
                "somebody holds a table exclusively",
                "Look at who holds locks, and run preflight again.",
            )
        return UnseenError(server_errors.facts(error), server_errors.hint(error))


@contextlib.contextmanager
def looking(
    connection: Connection, *, timeout_ms: int, lock_timeout_ms: int
) -> Iterator[Callable[[], Look]]:
    """Read one state of the database, whatever is written meanwhile; nothing can be changed.

    Args:
        connection: in autocommit.
        timeout_ms: how long one question may take, milliseconds.
        lock_timeout_ms: how long one may wait for a table that is held exclusively.

    Yields:
        A function that pins the names of the session to ``pg_catalog`` and gives the means to ask.
        What must find names by the session's own path comes before it.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        _set(connection, "statement_timeout", f"{timeout_ms}ms")
        _set(connection, "lock_timeout", f"{lock_timeout_ms}ms")

        def pinned() -> Look:
            for name, value in _PINNED.items():
                _set(connection, name, value)
            return Look(connection, timeout_ms=timeout_ms)

        yield pinned


@contextlib.contextmanager
def rolled_back(connection: Connection, *, timeout_ms: int) -> Iterator[Look]:
    """Have a transaction that may write, for temporary tables alone, and is rolled back at the end.

    Args:
        connection: in autocommit.
        timeout_ms: how long one statement may take, milliseconds.
    """
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        _set(connection, "statement_timeout", f"{timeout_ms}ms")
        _set(connection, "lock_timeout", "200ms")
        for name, value in _PINNED.items():
            _set(connection, name, value)
        yield Look(connection, timeout_ms=timeout_ms)


def _set(connection: Connection, name: str, value: str) -> None:
    connection.execute("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))


@cache
def _question(name: str) -> str:
    file = resources.files("refactorkit.postgres.preflight") / f"{name}.sql"
    return file.read_text(encoding="utf-8")
