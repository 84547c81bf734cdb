"""What a server's error means, told without the row values that its texts carry.

Only the SQLSTATE and the names of schema objects are used. The one exception is SQLSTATE class
``RK``: guards that refactorkit's own SQL raises, whose message and hint are sentences for people.
Codes: PostgreSQL manual, appendix A.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import psycopg

from refactorkit.errors import BusyError, FailedError, RefactorkitError, RefusedError

LOCK_NOT_AVAILABLE: Final = "55P03"
_GUARD_CLASS: Final = "RK"
_TRY_AGAIN: Final = frozenset({LOCK_NOT_AVAILABLE, "40001", "40P01", "57P03", "53300"})
_HINTS: Final = {
    LOCK_NOT_AVAILABLE: "Somebody holds a lock on a table; look at pg_stat_activity, try again.",
    "40001": "Another transaction changed the same rows; try again.",
    "40P01": "Two transactions waited for each other; try again.",
    "53300": "The server has no free connection; try again.",
    "57P03": "The server is starting up or shutting down; try again.",
    "42501": "This user lacks a privilege; use the owner of the tables, or ask for a GRANT.",
    "25006": "The server or the user's transactions are read-only; use the primary.",
    "53100": "A disk of the server is full; make room, then run again.",
    "57014": "The statement was cancelled or ran into statement_timeout.",
    "25P03": "The server ended the session: idle_in_transaction_session_timeout.",
}


def is_guard(error: psycopg.Error) -> bool:
    """Tell whether one of our own guards in the SQL raised the error."""
    return (error.sqlstate or "").startswith(_GUARD_CLASS)


def explain(error: psycopg.Error, *, doing: str, state: str) -> RefactorkitError:
    """Turn a server's error into one that a user can read.

    Args:
        error: what psycopg raised.
        doing: what was being done and where, the beginning of the sentence.
        state: what state the database is in now, a sentence.

    Returns:
        RefusedError for a guard, BusyError where trying again makes sense, else FailedError.
    """
    if is_guard(error):
        return RefusedError(
            f"{doing} was refused: {error.diag.message_primary or 'no reason given'}",
            state=state,
            hint=error.diag.message_hint or "",
        )
    kind = BusyError if error.sqlstate in _TRY_AGAIN else FailedError
    return kind(f"{doing} failed: {facts(error)}.", state=state, hint=hint(error))


@contextlib.contextmanager
def explained(*, doing: str, state: str) -> Iterator[None]:
    """Explain a server's error in a block.

    Raises:
        RefactorkitError: as ``explain`` makes it.
    """
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, doing=doing, state=state) from error


def facts(error: psycopg.Error) -> str:
    """Return the SQLSTATE with its name, and the schema objects that the server names."""
    if error.sqlstate is None:
        lost = isinstance(error, psycopg.OperationalError)
        what = "the connection was lost" if lost else "the driver cannot send it"
        return f"{what} ({type(error).__name__})"
    parts = [f"SQLSTATE {error.sqlstate} ({_name(error.sqlstate)})"]
    diag = error.diag
    table = ".".join(part for part in (diag.schema_name, diag.table_name) if part)
    for label, value in (
        ("table", table),
        ("column", diag.column_name),
        ("constraint", diag.constraint_name),
        ("type", diag.datatype_name),
    ):
        if value:
            parts.append(f"{label} {value}")
    return ", ".join(parts)


def hint(error: psycopg.Error) -> str:
    """Return what to do about an error, for the codes that have a known remedy."""
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return "Look at the server's log; when it answers, run the same command again."
    return _HINTS.get(error.sqlstate or "", "The server's log has the details of the statement.")


def position(error: psycopg.Error) -> int | None:
    """Return where in the statement the server saw the error: characters, from 1."""
    text = error.diag.statement_position
    return int(text) if text else None


def _name(sqlstate: str) -> str:
    try:
        return psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return "a code of its own"
