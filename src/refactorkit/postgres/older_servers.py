"""Restoring into a server that is older than pg_restore.

pg_restore of PostgreSQL 17 and later begins with a setting that older servers do not know, and no
option leaves it out. For those, its script goes through psql, without that line. psql reads it in
restricted mode (PostgreSQL manual, psql, restrict): nothing in a dump can reach this machine by
psql's own commands (CVE-2025-8714).
"""

import contextlib
import shutil
from typing import IO, Final

_SETTING_SINCE: Final = 17
PSQL_ARGUMENTS: Final = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1")
_SETTING: Final = b"SET transaction_timeout = 0;\n"
_RESTRICT: Final = b"\\restrict "
_MOST_LINES: Final = 40  # pg_restore's own, before anything that comes from the dump


class UnrestrictedError(Exception):
    """The script would not be read in restricted mode; none of it was passed on."""


def lacks_a_setting(server_version: int, pg_restore_major: int) -> bool:
    """Say whether pg_restore would begin with a setting that the server does not know.

    Args:
        server_version: as libpq has it, such as 160015.
        pg_restore_major: such as 18.
    """
    return server_version // 10000 < _SETTING_SINCE <= pg_restore_major


def pass_on(script: IO[bytes], psql: IO[bytes]) -> None:
    """Copy a script of pg_restore to psql without the setting, and close psql's input.

    Where psql ends before, the rest is not read.

    Raises:
        UnrestrictedError: pg_restore is from before psql had a restricted mode.
    """
    head: list[bytes] = []
    while len(head) < _MOST_LINES and (line := script.readline()):
        if line == _SETTING:
            break
        head.append(line)
    try:
        if not any(line.startswith(_RESTRICT) for line in head):
            raise UnrestrictedError
        with contextlib.suppress(BrokenPipeError):
            psql.writelines(head)
            shutil.copyfileobj(script, psql)
    finally:
        with contextlib.suppress(BrokenPipeError):
            psql.close()
