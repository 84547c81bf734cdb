"""List who was erased: ids, when, by whom, why; no value of theirs."""

from dataclasses import dataclass
from typing import Any

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.tombstone_signatures import signatures
from refactorkit.postgres.tombstones import Tombstone, read_tombstones
from refactorkit.postgres.verification import snapshot


@dataclass(frozen=True, kw_only=True)
class TombstonesResult:
    """The tombstones of each refactor of the database, by its name, in the order they were made.

    Attributes:
        refactors: the tombstones.
        digests: of what was signed of them, by their number, as the archive has it: whether a
            signature is good, ``audit verify`` says.
    """

    refactors: dict[str, tuple[Tombstone, ...]]
    digests: dict[str, dict[int, str | None]]

    def people(self, name: str) -> int:
        """Return how many people were erased, whatever number of ids each had, and how often."""
        first: dict[int, int] = {}
        for one in self.refactors[name]:
            first[one.source_id] = min(first.get(one.source_id, one.erasure), one.erasure)
        return len(set(first.values()))


def tombstones(dsn: Dsn) -> TombstonesResult:
    """Read every tombstone; changes nothing.

    Raises:
        RefusedError: no refactor has run here.
        FailedError: the server refused or was lost.
    """
    with (
        connected(dsn) as connection,
        server_errors.explained(
            doing=f"Reading the tombstones of {dsn.describe()}", state=NOTHING_CHANGED
        ),
        snapshot(connection),
    ):
        turns = last_turns(connection)
        if not turns:
            raise RefusedError(
                f"There are no tombstones: no refactor has run on {dsn.describe()}.",
                state=NOTHING_CHANGED,
                hint="Is this the database that you mean? See refactorkit status.",
            )
        return TombstonesResult(
            refactors={turn.name: read_tombstones(connection, turn.name) for turn in turns},
            digests={
                turn.name: {
                    each.tombstone: each.digest for each in signatures(connection, turn.name, ())
                }
                for turn in turns
            },
        )


def document(result: TombstonesResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "refactors": [
            {
                "name": name,
                "people": result.people(name),
                "tombstones": [
                    {
                        "tombstone": one.number,
                        "erasure": one.erasure,
                        "source_id": one.source_id,
                        "target_id": one.target_id,
                        "kind": one.kind,
                        "at": one.at.isoformat(),
                        "version": one.version,
                        "run_by": one.run_by,
                        "operator": one.operator,
                        "approved_by": one.approved_by,
                        "basis": one.basis,
                        "counts": one.counts,
                        "digest": result.digests[name].get(one.number),
                    }
                    for one in found
                ],
            }
            for name, found in result.refactors.items()
        ]
    }
