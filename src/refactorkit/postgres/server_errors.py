"""What a server's error means, told without the row values that its texts carry.

Only the SQLSTATE and the names of schema objects are used. The one exception is SQLSTATE class
``RK``: guards that refactorkit's own SQL raises, whose message and hint are sentences for people.
Codes: PostgreSQL manual, appendix A.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import psycopg

from refactorkit.errors import (
    NOTHING_CHANGED,
    BusyError,
    FailedError,
    RefactorkitError,
    RefusedError,
)

LOCK_NOT_AVAILABLE: Final = "55P03"
_GUARD_CLASS: Final = "RK"
_TRY_AGAIN: Final = frozenset({LOCK_NOT_AVAILABLE, "40001", "40P01", "57P03", "53300"})
_AGAIN: Final = "Try again."
_ROWS: Final = "Mend the rows or the constraint, then run again; the server's log names the row."
_MEANINGS: Final = {  # what is the matter, and what to do
    LOCK_NOT_AVAILABLE: (
        "somebody else holds a lock on a table",
        "Look at pg_stat_activity for open transactions, and try again.",
    ),
    "40001": ("another transaction changed the same rows", _AGAIN),
    "40P01": ("it and another transaction waited for each other", _AGAIN),
    "53300": ("the server has no free connection", _AGAIN),
    "57P03": ("the server is starting up or shutting down", _AGAIN),
    "42501": (
        "this user lacks a privilege",
        "Run it as the owner of the tables, or ask for a GRANT.",
    ),
    "25006": ("the server or its transactions are read-only", "Use the primary."),
    "53100": ("a disk of the server is full", "Make room, then run again."),
    "57014": (
        "the statement was cancelled, or ran into statement_timeout",
        "Run again with a longer statement_timeout for this user, or none.",
    ),
    "25P03": (
        "the server ended the session, which was idle in its transaction for too long",
        "Run again with a longer idle_in_transaction_session_timeout, or none.",
    ),
    "22003": ("a number is beyond the range of its type", "Mend the row, then run again."),
    "23502": ("a row has no value where the table demands one", _ROWS),
    "23503": ("a row names another one that is not there", _ROWS),
    "23505": ("two rows have the same key", _ROWS),
    "23514": ("a row does not meet a check of its table", _ROWS),
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
        reason = (error.diag.message_primary or "no reason given").rstrip(".")
        # Under goose the SQL has to say it; here the state does, and knows of files run before.
        advice = (error.diag.message_hint or "").removeprefix(NOTHING_CHANGED).strip()
        return RefusedError(f"{doing} was refused: {reason}.", state=state, hint=advice)
    kind = BusyError if error.sqlstate in _TRY_AGAIN else FailedError
    known = _MEANINGS.get(error.sqlstate or "")
    meaning = f": {known[0]}" if known else ""
    return kind(f"{doing} failed: {facts(error)}{meaning}.", state=state, hint=hint(error))


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


def is_lost_connection(error: RefactorkitError) -> bool:
    """Tell whether an error that ``explained`` raised is of a connection that was lost."""
    cause = error.__cause__
    return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None


def attempt(
    connection: psycopg.Connection[Any], do: Callable[[], None], *, sqlstates: Collection[str]
) -> str | None:
    """Do something in a transaction of its own; return why not, None where it was done.

    Args:
        connection: in a transaction or not.
        do: sends its statements on the connection.
        sqlstates: of the errors that are a no; any other is raised.

    Raises:
        psycopg.Error: the server said something else.
    """
    try:
        with connection.transaction():
            do()
    except psycopg.Error as error:
        if error.sqlstate not in sqlstates:
            raise
        return facts(error)
    return None


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
    known = _MEANINGS.get(error.sqlstate or "")
    return known[1] if known else "The server's log has the details of the statement."


def position(error: psycopg.Error) -> int | None:
    """Return where in the statement the server saw the error: characters, from 1."""
    text = error.diag.statement_position
    return int(text) if text else None


def _name(sqlstate: str) -> str:
    try:
        return psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return "a code of its own"
