"""Takes away what was staged: the old version is then as it was."""

import time
from collections.abc import Callable

from refactorkit.commands.online.model import OnlineRequest, OnlineStatus, Phase, Progress
from refactorkit.commands.online.session import session
from refactorkit.errors import RefusedError

_ROWS = 2_000


def abort(
    request: OnlineRequest, report: Callable[[Progress], None] = lambda _progress: None
) -> OnlineStatus:
    """Take away subjects, columns, triggers and the archive, while the application works on.

    Killed at any moment, it can be called again; so can ``stage``. What remains: sequences that
    moved forward, and attribute numbers of the dropped columns (1,600 in the life of a table).

    Raises:
        RefusedError: the switch has happened: the way back is Down.
        RefactorkitError: as ``stage``.
    """
    with session(request) as opened:
        if opened.is_switched:
            raise RefusedError(
                f"The switch has happened: the database is at version {opened.version}.",
                state=opened.state(),
                hint="The way back is refactorkit rollback.",
            )
        staged = opened.staged()
        while staged is not None:
            started = time.monotonic()
            opened.stager.take_away(_ROWS)
            took = time.monotonic() - started
            left = opened.stager.left()
            report(Progress(phase=Phase.TAKE_AWAY, done=left))
            if left:
                time.sleep(took * request.pacing.rest)
            else:
                opened.stager.contract()
                staged = opened.staged()
        return OnlineStatus(version=opened.version, phase=Phase.LOOK)
