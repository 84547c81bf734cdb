"""Which refactor of a database is meant."""

from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.model import Mapping
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.refactors import Turn, last_turns


def one_refactor(connection: Connection, name: str | None, dsn: Dsn) -> tuple[Turn, Mapping]:
    """Return the last turn and the mapping of the refactor of a name, or of the only one.

    Raises:
        UsageError: there are several, and no name was given.
        RefusedError: there is none, none of that name, or its mapping cannot be read.
    """
    turns = last_turns(connection)
    if not turns:
        raise RefusedError(
            f"No refactor has run on {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    names = ", ".join(turn.name for turn in turns)
    if name is None:
        if len(turns) > 1:
            raise UsageError(
                f"Several refactors have run here: {names}.",
                state=NOTHING_CHANGED,
                hint="Say which one is meant: --refactor NAME.",
            )
        (turn,) = turns
    else:
        found = [turn for turn in turns if turn.name == name]
        if not found:
            raise RefusedError(
                f"No refactor of that name has run here; these have: {names}.",
                state=NOTHING_CHANGED,
            )
        (turn,) = found
    if turn.mapping is None:
        raise RefusedError(
            f"The mapping of {turn.name} is of another version of refactorkit.",
            state=NOTHING_CHANGED,
            hint="Use the version that the last Up or Down was run with.",
        )
    return turn, turn.mapping
