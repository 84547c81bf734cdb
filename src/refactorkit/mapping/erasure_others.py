"""What an erasure has to do with the rows of other people: take a link away, or refuse.

No row of anybody else is ever deleted. Case by case:

- **The target's own reference to itself** (``created_by``): the account that it names goes, the
  row that names it is somebody else's. Where the column can be empty it becomes NULL, which is
  also what version 10 gets where a creator is no more. Where it cannot, erasure refuses.
- **A source row that another person's account owns**, in the old version: the foreign key would
  cascade into it. Where the schema itself says SET NULL, that is done; else erasure refuses and
  names the rows, for only people can say who takes them. In the new version the owner stands in
  the archive alone: Down asks for a custodian, as for every account that was deleted there.
- **A living target row under the id of a subject, in the old version**: subjects are not there
  then, so somebody typed the id in, or restored it. Erasure refuses, for it may be somebody else;
  only under the id of a person who was erased before is it taken for theirs.
- **A dependant's second reference to the target**: the same, by what the schema says.
- **What Down kept of a link's row that belongs to somebody else by now**: it is theirs. Only the
  name of the person that stood beside it is replaced.
- **A foreign key that the mapping does not know** stops erasure, whatever it says
  (``refactorkit.mapping.guards`` knows the others).
"""

from dataclasses import dataclass

from refactorkit.mapping.erasure import key_text, link_is_theirs
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.model import Direction

_TARGETS = "%(targets)s::bigint[]"
_SOURCES = "%(sources)s::bigint[]"


@dataclass(frozen=True, kw_only=True)
class Unlink:
    """A link of other people's rows to the person, and the statement that takes it away.

    Attributes:
        name: table and column, for people.
        table: with its schema, as SQL.
        statement: an UPDATE; parameters as in a place.
    """

    name: str
    table: str
    statement: str


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Rows of other people that stand in the way.

    Attributes:
        rows: a query of their keys as text, in order; parameters as in a place.
        sentence: what they are, after their number: "rows of public.patients …".
        remedy: what to do about it.
    """

    rows: str
    sentence: str
    remedy: str


def relabels(mapping: Mapping, after: Direction) -> tuple[Unlink, ...]:
    """Return what must happen first: kept rows of a link get the name of whose they are now."""
    made = []
    n = mapping.name
    for link in mapping.link:
        if not link.adds:
            continue
        key, table = q(link.key), f"archive.{n}_kept_{link.table}"
        if after is Direction.UP:
            owner = f"x.{q(link.becomes)}"
        else:
            owner = (
                f"(SELECT m.target_id FROM archive.{n}_map AS m"
                f" WHERE m.source_id = x.{q(link.column)})"
            )
        made.append(
            Unlink(
                name=f"{table}.refactorkit_target_id",
                table=table,
                statement=(
                    f"UPDATE {table} AS k SET refactorkit_target_id = now_of.target_id FROM (\n"
                    f"SELECT x.{key} AS key, {owner} AS target_id FROM public.{q(link.table)} AS x"
                    f" WHERE ({link_is_theirs(link, after)}) IS NOT TRUE\nUNION ALL\n"
                    f"SELECT x.{key}, x.{q(link.becomes)} FROM archive.{n}_withheld_{link.table}"
                    f" AS x WHERE (x.{q(link.becomes)} = ANY ({_TARGETS})) IS NOT TRUE\n"
                    f") AS now_of WHERE now_of.key = k.{key}"
                    f" AND k.refactorkit_target_id = ANY ({_TARGETS})"
                ),
            )
        )
    return tuple(made)


def unlinks(mapping: Mapping, after: Direction) -> tuple[Unlink, ...]:
    """Return the links of living rows that are taken away."""
    source, target = mapping.source, mapping.target
    table = f"public.{q(target.table)}"
    columns = {**target.columns, **target.adds}
    made = [
        _set_null(
            table,
            f"public.{target.table}",
            fk.column,
            f"x.{q(target.key)} <> ALL ({_TARGETS})",
        )
        for fk in target.foreign_keys
        if fk.references == target.table and not columns[fk.column].not_null
    ]
    if after is Direction.DOWN:
        made += [
            _set_null(
                f"public.{q(source.table)}",
                f"public.{source.table}",
                fk.column,
                f"x.{q(source.key)} <> ALL ({_SOURCES})",
            )
            for fk in source.foreign_keys
            if fk.references == target.table and fk.on_delete == "SET NULL"
        ]
    made += [
        _set_null(
            f"public.{q(dependant.table)}",
            f"public.{dependant.table}",
            fk.column,
            f"(x.{q(dependant.column)} = ANY ({_TARGETS})) IS NOT TRUE",
        )
        for dependant in mapping.dependant
        for fk in dependant.foreign_keys
        if fk.references == target.table and fk.on_delete == "SET NULL"
    ]
    return tuple(made)


def obstacles(mapping: Mapping, after: Direction) -> tuple[Obstacle, ...]:
    """Return the rows of other people that erasure will not touch, and so refuses to strand."""
    source, target = mapping.source, mapping.target
    columns = {**target.columns, **target.adds}
    made = [
        Obstacle(
            rows=_rows(
                f"public.{q(target.table)}",
                (target.key,),
                fk.column,
                f"x.{q(target.key)} <> ALL ({_TARGETS})",
            ),
            sentence=f"rows of public.{target.table} name the person as {fk.column},"
            " which cannot be empty",
            remedy="Let them name somebody else first.",
        )
        for fk in target.foreign_keys
        if fk.references == target.table and columns[fk.column].not_null
    ]
    if after is Direction.DOWN:
        made.append(_typed_in(mapping))
        made += [
            Obstacle(
                rows=_rows(
                    f"public.{q(source.table)}",
                    (source.key,),
                    fk.column,
                    f"x.{q(source.key)} <> ALL ({_SOURCES})",
                ),
                sentence=f"{source.table} of other people belong to the person's account"
                f" ({fk.column})",
                remedy=f"Give them to another {target.table} row first.",
            )
            for fk in source.foreign_keys
            if fk.references == target.table and fk.on_delete != "SET NULL"
        ]
    made += [
        Obstacle(
            rows=_rows(
                f"public.{q(dependant.table)}",
                tuple(dependant.key),
                fk.column,
                f"(x.{q(dependant.column)} = ANY ({_TARGETS})) IS NOT TRUE",
            ),
            sentence=f"rows of public.{dependant.table} of other people name the person"
            f" as {fk.column}",
            remedy="Let them name somebody else first.",
        )
        for dependant in mapping.dependant
        for fk in dependant.foreign_keys
        if fk.references == target.table and fk.on_delete != "SET NULL"
    ]
    return tuple(made)


def _typed_in(mapping: Mapping) -> Obstacle:
    n, source, target = mapping.name, mapping.source, mapping.target
    living = f"x.{q(target.key)}"
    return Obstacle(
        rows=_rows(
            f"public.{q(target.table)}",
            (target.key,),
            target.key,
            f"(EXISTS (SELECT FROM archive.{n}_map AS m"
            f" WHERE m.target_id = {living} AND m.kind = 'subject')"
            f" OR EXISTS (SELECT FROM archive.{n}_withheld_{source.table} AS m"
            f" WHERE m.refactorkit_target_id = {living} AND m.refactorkit_kind = 'subject'))"
            f" AND NOT EXISTS (SELECT FROM archive.{n}_tombstones AS d"
            f" WHERE d.target_id = {living})",
        ),
        sentence=f"rows of public.{target.table} have an id of the person's, who has no row there"
        f" at version {mapping.version - 1}",
        remedy="Find out whose they are: they need another id, or were restored from a backup.",
    )


def left_ownerless(mapping: Mapping, after: Direction) -> str | None:
    """Return a query that counts the archived rows of others whose owner the erasure takes.

    Down will ask for a custodian for them. None where that cannot be.
    """
    source, target = mapping.source, mapping.target
    if after is Direction.DOWN or source.owner is None:
        return None
    return (
        f"SELECT count(*) FROM archive.{q(source.table)} AS x"
        f" WHERE x.{q(source.owner)} = ANY ({_TARGETS})"
        f" AND x.{q(source.key)} <> ALL ({_SOURCES})"
        f" AND EXISTS (SELECT FROM public.{q(target.table)} AS t"
        f" WHERE t.{q(target.key)} = x.{q(source.owner)})"
    )


def _rows(table: str, key: tuple[str, ...], column: str, others: str) -> str:
    return (
        f"SELECT k.key FROM (SELECT {key_text('x', key)} AS key FROM {table} AS x"
        f" WHERE x.{q(column)} = ANY ({_TARGETS}) AND {others}) AS k ORDER BY length(k.key), k.key"
    )


def _set_null(table: str, name: str, column: str, others: str) -> Unlink:
    return Unlink(
        name=f"{name}.{column}",
        table=table,
        statement=f"UPDATE {table} AS x SET {q(column)} = NULL"
        f" WHERE x.{q(column)} = ANY ({_TARGETS}) AND {others}",
    )
