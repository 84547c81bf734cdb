"""What the archive's logs show of themselves: forged tombstones, and operations that are gone."""

from collections.abc import Sequence
from typing import Final

from refactorkit.evidence.schema_comparison import Change
from refactorkit.evidence.tombstone import SignatureState, TombstoneSignature
from refactorkit.postgres import operations
from refactorkit.postgres.connection import Connection

_LISTED: Final = 20


def forged(name: str, stones: Sequence[TombstoneSignature]) -> tuple[Change, ...]:
    """Return the tombstones that are not what was signed, or not by whom it should be."""
    return tuple(
        Change(
            kind="tombstone", name=f"archive.{name}_tombstones {each.tombstone}", what=each.finding
        )
        for each in stones
        if each.state is SignatureState.FORGED
    )


def gaps(connection: Connection, name: str) -> tuple[Change, ...]:
    """Return the records of the log of operations that are gone from its midst."""
    table = f"archive.{operations.table_of(name)}"
    return tuple(
        Change(
            kind="operation",
            name=f"{table} {first}" if first == last else f"{table} {first} to {last}",
            what="is missing, and a later one is there",
        )
        for first, last in operations.gaps(connection, name)
    )


def unsigned(stones: Sequence[TombstoneSignature]) -> list[str]:
    """Say which tombstones nobody has signed, and whose signatures nobody could verify."""
    said = {
        SignatureState.UNSIGNED: "were never signed, or their signatures were taken away: compare"
        " them with the requests",
        SignatureState.UNVERIFIED: "are signed, and without a key nobody can say by whom",
    }
    found = []
    for state, what in said.items():
        numbers = [str(each.tombstone) for each in stones if each.state is state]
        if numbers:
            more = ", ..." if len(numbers) > _LISTED else ""
            found.append(
                f"{len(numbers)} of {len(stones)} tombstones {what}"
                f" ({', '.join(numbers[:_LISTED])}{more})."
            )
    return found
