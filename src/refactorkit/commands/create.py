"""Begin a new migration file."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from refactorkit.migrations.files import new_file


@dataclass(frozen=True, kw_only=True)
class CreateRequest:
    """What to begin.

    Attributes:
        directory: the folder of the files.
        name: what the migration does, in words.
        sequential: the next number as version, instead of the time.
    """

    directory: Path
    name: str
    sequential: bool


def create(request: CreateRequest) -> Path:
    """Write a file with empty Up and Down, and return where it is.

    Raises:
        UsageError: there is no such folder, or the name says nothing.
        RefusedError: a file in the folder has a bad name, or the new version already.
        FailedError: the file cannot be written.
    """
    return new_file(
        request.directory,
        request.name,
        sequential=request.sequential,
        now=datetime.now(tz=UTC),
    )
