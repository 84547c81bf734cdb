"""How much room the server's disks have, where this program runs on the same machine."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refactorkit.postgres.preflight.looking import Look, UnseenError

_START_LINE: Final = 2  # of postmaster.pid, from 0: when the server began, seconds since 1970
_TOLERANCE_SECONDS: Final = 5
_ADVICE: Final = "Look at the disks of the server: data directory, pg_wal, tablespaces (df -h)."


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is there and what is left.

    Attributes:
        database_bytes: of the whole database.
        tables_bytes: of the touched tables with their indexes.
        free: bytes on the fullest disk that the server writes to; or why that is not to be seen.
    """

    database_bytes: int | None
    tables_bytes: int | None
    free: int | UnseenError


def room(look: Look, tables: Sequence[str]) -> Room:
    """Measure; what cannot be measured is None."""
    try:
        database, touched = look.one("sizes", tables=list(tables))
    except UnseenError:
        database = touched = None
    free: int | UnseenError
    try:
        free = _free(look, tables)
    except UnseenError as error:
        free = error
    return Room(database_bytes=database, tables_bytes=touched, free=free)


def _free(look: Look, tables: Sequence[str]) -> int:
    try:
        directory, started, is_local, tablespaces = look.one("places", tables=list(tables))
    except UnseenError as error:
        raise UnseenError(
            f"where the server keeps its files is not to be seen: {error.reason}", _ADVICE
        ) from None
    if not is_local:
        raise UnseenError("the server may be on another machine", _ADVICE)
    data = Path(directory)
    try:
        # The server's own note says when it began: a folder of the same name can be another's.
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        is_the_same = abs(int(lines[_START_LINE]) - started) < _TOLERANCE_SECONDS
    except (OSError, ValueError, IndexError):
        is_the_same = False
    if not is_the_same:
        raise UnseenError("this user of the machine may not look at the server's files", _ADVICE)
    try:
        disks = [os.statvfs(place) for place in (data, data / "pg_wal", *tablespaces)]
    except OSError:
        raise UnseenError("the room on the server's disks could not be read", _ADVICE) from None
    return min(disk.f_bavail * disk.f_frsize for disk in disks)
