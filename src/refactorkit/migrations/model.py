"""What a migration file says, as values.

Pure data: made by the parser, read by the planner and the executor.
"""

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """The two ways a migration can be run."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One piece of SQL that is sent to the server in one message.

    Attributes:
        text: the SQL, trimmed, with its semicolon, environment variables already put in. Bytes of
            the file that are no UTF-8 stand as lone surrogates (Python's ``surrogateescape``).
        line: the number (from 1) of its first line in the file.
    """

    text: str
    line: int

    @property
    def data(self) -> bytes:
        """The bytes to send: those of the file, also where they are no UTF-8."""
        return self.text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, kw_only=True)
class Script:
    """One direction of a migration: its statements in order, or why they could not be read.

    Attributes:
        statements: what to run, possibly nothing.
        error: one sentence with the line, or None where the direction was read without error.
        line: the number (from 1) of the line that begins the block, ``-- +goose Up`` or
            ``-- +goose Down``; None where the file has no such line, or it was not reached.
    """

    statements: tuple[Statement, ...] = ()
    error: str | None = None
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file of the chain.

    Attributes:
        version: the number before the first underscore of the file's name, at least 1.
        name: the rest of the file's name, without the underscore and the ending.
        file: the file's name without its folder.
        checksum: SHA-256 of the file's bytes, hexadecimal.
        transaction: False where the file says ``-- +goose NO TRANSACTION``.
        up: what Up runs.
        down: what Down runs.
    """

    version: int
    name: str
    file: str
    checksum: str
    transaction: bool
    up: Script
    down: Script

    def script(self, direction: Direction) -> Script:
        """Return the script of one direction."""
        return self.up if direction is Direction.UP else self.down
