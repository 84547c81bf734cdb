"""The tombstones of a refactor, as its archive has them."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from refactorkit.postgres.connection import Connection


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """One pair of ids of a person who was erased.

    Attributes:
        number: from 1.
        erasure: the same for all pairs of one person at one time.
        source_id: of the source.
        target_id: of the target; None where no Up had met the row.
        kind: what the pair was: subject, native, past, none.
        at: when, with a time zone.
        version: of the database then.
        run_by: the database role.
        operator: who ran it.
        approved_by: who approved it.
        basis: the legal basis or the ticket.
        counts: rows deleted and links taken away, by name, for the whole erasure.
    """

    number: int
    erasure: int
    source_id: int
    target_id: int | None
    kind: str
    at: datetime
    version: int
    run_by: str
    operator: str
    approved_by: str
    basis: str
    counts: dict[str, int]


def read_tombstones(connection: Connection, name: str) -> tuple[Tombstone, ...]:
    """Return all tombstones of a refactor by number; DateStyle must be ISO."""
    rows = connection.execute(
        sql.SQL(
            "SELECT tombstone, erasure, source_id, target_id, kind, at, version, run_by, operator,"
            " approved_by, basis, counts FROM {} ORDER BY tombstone"
        ).format(sql.Identifier("archive", f"{name}_tombstones"))
    ).fetchall()
    return tuple(
        Tombstone(
            number=number,
            erasure=erasure,
            source_id=source_id,
            target_id=target_id,
            kind=kind,
            at=at,
            version=version,
            run_by=run_by,
            operator=operator,
            approved_by=approved_by,
            basis=basis,
            counts=counts,
        )
        for (
            number, erasure, source_id, target_id, kind, at, version, run_by, operator,
            approved_by, basis, counts,
        ) in rows
    )  # fmt: skip
