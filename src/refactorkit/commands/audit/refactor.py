"""Which refactor of a database is meant, and its last turn."""

from collections.abc import Sequence

from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.model import Mapping
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.refactors import Turn


def the_turn(last: Sequence[Turn], name: str | None, dsn: Dsn) -> tuple[Turn, Mapping]:
    """Return the last turn of a refactor, and the mapping that it ran with.

    Args:
        last: the last turns of all refactors.
        name: of the refactor; None where there is only one.
        dsn: how to speak of the database.

    Raises:
        RefusedError: it has run none, or one of another version of this program.
        UsageError: it has run several, and none was named.
    """
    turns = {turn.name: turn for turn in last}
    if not turns or (name is not None and name not in turns):
        what = "no refactor" if name is None else f"no refactor {name!r}"
        raise RefusedError(
            f"There is nothing to make evidence of: {what} has run on {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    if name is None and len(turns) > 1:
        raise UsageError(
            f"This database has run several refactors: {', '.join(turns)}.",
            state=NOTHING_CHANGED,
            hint="Name one: --refactor NAME.",
        )
    turn = turns[name] if name is not None else next(iter(turns.values()))
    if turn.mapping is None:
        raise RefusedError(
            f"The mapping that {turn.name} ran with is of another version of refactorkit.",
            state=NOTHING_CHANGED,
            hint="Use the version that ran it.",
        )
    return turn, turn.mapping
