"""The cutover while the old version runs: stage, switch, finish, or take it all away again.

The order of things, each resumable after a kill: look first; expand (columns and checks under one
short lock, an archive, triggers that write down which rows are written); fill (a subject for each
source row, in batches); index; catch up with what was written meanwhile; switch, which is the
migration itself with almost nothing left to do; validate, which blocks nobody. What was done is
what the database says: there is no state beside it.
"""

from refactorkit.commands.online.abort import abort
from refactorkit.commands.online.cutover import cutover, finish, stage, status, switch
from refactorkit.commands.online.model import (
    OnlineRequest,
    OnlineResult,
    OnlineStatus,
    Pacing,
    Phase,
    Progress,
)

__all__ = [
    "OnlineRequest",
    "OnlineResult",
    "OnlineStatus",
    "Pacing",
    "Phase",
    "Progress",
    "abort",
    "cutover",
    "finish",
    "stage",
    "status",
    "switch",
]
