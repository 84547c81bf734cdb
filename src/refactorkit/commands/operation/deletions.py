"""What was deleted since the last rollback stays away: a cutover counts it, and wants a yes."""

from collections.abc import Iterable
from typing import Final

from refactorkit.commands.chain import reading
from refactorkit.commands.operation.model import Deletion
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction, Migration
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.turn_facts import count_deletions
from refactorkit.postgres.verification import snapshot

DELETIONS: Final = "deletions"
"""The name by which an operator accepts that what was deleted in the old version stays away."""


def guards(accept: Iterable[str]) -> tuple[str, ...]:
    """Return the accepted names that are names of guards, which the SQL asks for."""
    return tuple(name for name in accept if name != DELETIONS)


def deleted_since(
    connection: Connection, mappings: Iterable[Mapping], first: Migration
) -> tuple[Deletion, ...]:
    """Count what was deleted since the last rollback; what cannot be counted is one, too.

    Args:
        connection: in autocommit.
        mappings: of what is cut over.
        first: the file that is run first.
    """
    found: list[Deletion] = []
    with reading(), snapshot(connection):
        turns = {turn.name: turn for turn in last_turns(connection)}
        for mapping in mappings:
            turn = turns.get(mapping.name)
            if turn is None or turn.direction is not Direction.DOWN:
                continue
            source = mapping.source.table
            if turn.mapping is None:
                found.append(_unknown(source, "the archive is of another version of refactorkit"))
            elif mapping.version != first.version:
                found.append(_unknown(source, f"{first.file} and what follows have to run before"))
            else:
                found += [
                    Deletion(reason=reason, count=count, with_complement=kept)
                    for reason, count, kept in count_deletions(connection, turn.mapping)
                ]
    return tuple(found)


def refuse_deletions(deletions: tuple[Deletion, ...]) -> None:
    """Refuse where nobody was there to accept them.

    Raises:
        RefusedError: there are some.
    """
    if deletions:
        raise RefusedError(
            "Deleted since the last rollback, and left out by a cutover: "
            + "; ".join(each.describe() for each in deletions)
            + ".",
            state=NOTHING_CHANGED,
            hint="Their values stay in the archive. If that is right: --accept deletions.",
        )


def _unknown(source: str, why: str) -> Deletion:
    reason = f"what was deleted of {source} cannot be counted: {why}"
    return Deletion(reason=reason, count=0, with_complement=0)
