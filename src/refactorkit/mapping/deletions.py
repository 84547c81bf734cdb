"""What the old version deleted since the last Down, and the next Up would leave out: queries.

They count by reason what Up writes into the decisions as ``deleted in version …``, and what goes
with it. The same conditions as in ``up.sql.j2``, asked of a database that nobody has changed yet.
"""

from dataclasses import dataclass

from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q


@dataclass(frozen=True, kw_only=True)
class DeletionQuery:
    """One reason.

    Attributes:
        reason: what was deleted, a phrase.
        query: gives how many, and how many of them the archive keeps more of than Up could make.
    """

    reason: str
    query: str


def deletion_queries(mapping: Mapping, *, staged: bool = False) -> tuple[DeletionQuery, ...]:
    """Return a query for each reason; they want a database whose last turn was Down.

    Args:
        mapping: that Down ran with.
        staged: whether an online cutover is, which has set pairs aside.
    """
    n, source, target = mapping.name, mapping.source, mapping.target
    old = mapping.version - 1
    down = f"(SELECT max(turn) FROM archive.{n}_turns WHERE direction = 'down')"
    kept = (
        f"EXISTS (SELECT FROM archive.{n}_kept_{target.table} AS k"
        f" WHERE k.refactorkit_turn = {down} AND k.{q(target.key)} = p.target_id)"
    )
    gone_source = (
        f"NOT EXISTS (SELECT FROM public.{q(source.table)} AS s"
        f" WHERE s.{q(source.key)} = p.source_id)"
    )
    gone_target = (
        f"NOT EXISTS (SELECT FROM public.{q(target.table)} AS t"
        f" WHERE t.{q(target.key)} = p.target_id)"
    )
    counted = f"SELECT count(*), count(*) FILTER (WHERE {kept}) FROM"
    former = f"archive.{n}_map"
    if staged:
        columns = "SELECT source_id, target_id, kind FROM"
        former = (
            f"({columns} archive.{n}_map WHERE turn <= {down}"
            f" UNION ALL {columns} archive.{n}_stage_former WHERE aside)"
        )
    pairs = f"{counted} {former} AS p WHERE p.kind ="
    withheld = (
        f"{counted} (SELECT refactorkit_target_id AS target_id"
        f" FROM archive.{n}_withheld_{source.table}"
        " WHERE refactorkit_reason = 'soft' AND refactorkit_kind = 'native') AS p"
    )
    made = [
        DeletionQuery(
            reason=f"{source.table} that were deleted in version {old}",
            query=f"{pairs} 'subject' AND {gone_source}",
        ),
        DeletionQuery(
            reason=f"{target.table} of their own whose row of {source.table} was deleted"
            f" in version {old}",
            query=f"{pairs} 'native' AND {gone_source} AND NOT {gone_target}",
        ),
        DeletionQuery(
            reason=f"{target.table} of their own that were deleted in version {old}",
            query=f"{pairs} 'native' AND {gone_target}",
        ),
        DeletionQuery(
            reason=f"withheld {target.table} of their own that were deleted in version {old}",
            query=f"{withheld} WHERE {gone_target}",
        ),
        DeletionQuery(
            reason=f"{target.table} of their own, none of {source.table}, that were deleted in"
            f" version {old}",
            query=f"{counted} (SELECT n.{q(target.key)} AS target_id"
            f" FROM archive.{n}_kept_{target.table} AS n"
            f" WHERE n.refactorkit_turn = {down} AND n.refactorkit_kind = 'native'"
            f" AND NOT EXISTS (SELECT FROM {former} AS m"
            f" WHERE m.target_id = n.{q(target.key)})"
            f" AND NOT EXISTS (SELECT FROM archive.{n}_withheld_{source.table} AS w"
            f" WHERE w.refactorkit_target_id = n.{q(target.key)}"
            " AND w.refactorkit_reason = 'soft')"
            f") AS p WHERE {gone_target}",
        ),
    ]
    return tuple(made)
