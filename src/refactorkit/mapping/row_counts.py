"""How many rows the great statements of a compiled migration will write: queries that count before.

Only statements whose number can be known without running the ones before are here; what a DO block
writes is not. The meter of ``verify --rollback`` is exact about Down; this is for a plan.
"""

from dataclasses import dataclass

from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.sql import literal
from refactorkit.migrations.model import Direction


@dataclass(frozen=True, kw_only=True)
class RowQuery:
    """The number of rows of one statement.

    Attributes:
        verb: INSERT, UPDATE or DELETE.
        table: schema and name.
        nth: the how manieth such statement of the file it is, from 1.
        query: gives the number.
    """

    verb: str
    table: str
    nth: int
    query: str


def row_queries(mapping: Mapping, direction: Direction, *, has_run: bool) -> tuple[RowQuery, ...]:
    """Return the queries for one direction.

    Args:
        mapping: of the refactor.
        direction: which way.
        has_run: whether the archive has tables of this refactor, from a turn before.
    """
    if direction is Direction.UP:
        return _up(mapping, has_run=has_run)
    return _down(mapping)


def _up(mapping: Mapping, *, has_run: bool) -> tuple[RowQuery, ...]:
    n, source, target = mapping.name, mapping.source, mapping.target
    s, k = f"public.{q(source.table)}", q(source.key)
    t, tk = f"public.{q(target.table)}", q(target.key)
    used = (
        f"(SELECT greatest((SELECT max({tk}) FROM {t}),"
        " (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END"
        f" FROM public.{target.table}_{target.key}_seq)"
        + (f", (SELECT max(ids_after) FROM archive.{n}_turns)" if has_run else "")
        + "))"
    )
    if has_run:
        down = f"(SELECT max(turn) FROM archive.{n}_turns WHERE direction = 'down')"
        rows = f"{s} AS s LEFT JOIN archive.{n}_map AS m ON m.source_id = s.{k}"
        kept = (
            f"EXISTS (SELECT FROM archive.{n}_kept_{target.table} AS k"
            f" WHERE k.refactorkit_turn = {down} AND k.{tk} = m.target_id)"
        )
        new = "m.source_id IS NULL"
        is_subject = "m.kind IS DISTINCT FROM 'native'"
        moved = f"CASE WHEN {new} THEN s.{k} <= {used} ELSE m.renumbered END"
        # Those who were softly deleted are withheld, and return with what is kept of them.
        returning = (
            f" + (SELECT count(*) FROM (SELECT refactorkit_target_id AS target_id"
            f" FROM archive.{n}_withheld_{source.table} WHERE refactorkit_reason = 'soft'"
            f" AND refactorkit_kind = 'subject') AS m WHERE {kept})"
        )
    else:
        rows, kept, new, is_subject = f"{s} AS s", "false", "true", "true"
        moved, returning = f"s.{k} <= {used}", ""
    found = [
        RowQuery(
            verb="INSERT",
            table=f"archive.{n}_map",
            nth=1,
            query=f"SELECT count(*) FROM {rows} WHERE {new}",
        ),
        RowQuery(
            verb="INSERT",
            table=f"public.{target.table}",
            nth=1,
            query=f"SELECT count(*) FROM {rows} WHERE {is_subject} AND NOT {kept}",
        ),
        RowQuery(
            verb="INSERT",
            table=f"public.{target.table}",
            nth=2,
            query=f"SELECT count(*){returning} FROM {rows} WHERE {is_subject} AND {kept}",
        ),
    ]
    rights = mapping.native.rights
    if rights is not None:
        found.append(
            RowQuery(
                verb="UPDATE",
                table=f"public.{target.table}",
                nth=1,
                query=f"SELECT count(*) FROM {t}"
                f" WHERE {q(rights.column)} = {literal(rights.value)}",
            )
        )
    found += [
        RowQuery(
            verb="UPDATE",
            table=f"public.{link.table}",
            nth=1,
            query=f"SELECT count(*) FROM {rows} JOIN public.{q(link.table)} AS l"
            f" ON l.{q(link.column)} = s.{k} WHERE {moved}",
        )
        for link in mapping.link
    ]
    return tuple(found)


def _down(mapping: Mapping) -> tuple[RowQuery, ...]:
    n, target = mapping.name, mapping.target
    living = Expressions(mapping).not_deleted("t")
    people = (
        f"archive.{n}_map AS m"
        f" JOIN public.{q(target.table)} AS t ON t.{q(target.key)} = m.target_id"
    )
    found = [
        RowQuery(
            verb="DELETE",
            table=f"public.{target.table}",
            nth=nth,
            query=f"SELECT count(*) FROM {people} WHERE m.kind = 'subject' AND {condition}",
        )
        for nth, condition in ((1, f"({living})"), (2, f"NOT ({living})"))
    ]
    found += [
        RowQuery(
            verb="UPDATE",
            table=f"public.{link.table}",
            nth=1,
            query=f"SELECT count(*) FROM {people} JOIN public.{q(link.table)} AS l"
            f" ON l.{q(link.becomes)} = m.target_id WHERE m.renumbered AND ({living})",
        )
        for link in mapping.link
    ]
    return tuple(found)
