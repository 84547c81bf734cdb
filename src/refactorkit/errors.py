"""Every error that a user can meet: one base, and each class knows its exit code.

An error is a sentence that says what is the matter and where, the state that the database is in,
and what to do. None of the three may carry a value of a row or a secret.
"""

from typing import ClassVar

NOTHING_CHANGED = "Nothing was changed."


class RefactorkitError(Exception):
    """The base of all errors that end a command.

    Attributes:
        message: what is the matter, and where.
        state: what state the database is in, a sentence; empty where no database was involved.
        hint: what to do about it, a sentence; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, state: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.state = state
        self.hint = hint

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.state, self.hint) if part)


class FailedError(RefactorkitError):
    """Something was tried and failed; ``state`` says where that leaves the database."""

    exit_code = 1


class UsageError(RefactorkitError):
    """The command was called with something that cannot be meant: an option, a URL, a name."""

    exit_code = 2


class RefusedError(RefactorkitError):
    """A check said no: a guard, a mismatch, a broken file, something tampered with."""

    exit_code = 3


class BusyError(RefactorkitError):
    """Somebody else holds the lock that is needed: try again."""

    exit_code = 4
