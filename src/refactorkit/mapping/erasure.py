"""Where a person is: every place of one mapping that holds a row of theirs, as SQL.

A person is a set of source ids and a set of target ids that pairs connect; a pair is one row of
the map, of what is withheld, or of the pairs that are no more. From these follow the keys of their
rows in the tables that hang on source or target (``relations``). A place says by which of its
columns a row is theirs. The same places are what erasure empties and what ``verify`` looks
through for people who were erased.

The version is named by the last turn: ``UP`` stands for the new one, ``DOWN`` for the old one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from refactorkit.mapping.guards import kept_tables
from refactorkit.mapping.model import Link, Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.sql import literal
from refactorkit.migrations.model import Direction


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A column (or text of several) that holds the key of a row of a relation.

    Attributes:
        relation: the table whose rows are named.
        value: an expression over the row ``x``.
        type: of the expression; None where it is a text made of the key.
        only: a condition under which the column means that relation; empty for always.
    """

    relation: str
    value: str
    type: str | None = None
    only: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A table that may hold rows of a person; conditions and row ids are over the row ``x``.

    Attributes:
        table: with its schema, as SQL.
        name: the same for people.
        row_id: an expression that names the row, a text without a value in it.
        sources: columns that hold a source id.
        targets: columns that hold a target id.
        keys: columns that hold the key of another row of the person.
    """

    table: str
    name: str
    row_id: str
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    keys: tuple[Keys, ...] = ()

    @property
    def condition(self) -> str:
        """The condition that a row is the person's.

        Parameters: ``sources`` and ``targets``, arrays of ids, and for each relation
        ``keys_<relation>``, an array of texts.
        """
        parts = [f"x.{q(name)} = ANY (%(sources)s::bigint[])" for name in self.sources]
        parts += [f"x.{q(name)} = ANY (%(targets)s::bigint[])" for name in self.targets]
        for key in self.keys:
            cast = f"::{key.type}[]" if key.type else ""
            test = f"{key.value} = ANY (%(keys_{key.relation})s::text[]{cast})"
            parts.append(f"({key.only} AND {test})" if key.only else test)
        return " OR ".join(parts)

    @property
    def delete(self) -> str:
        """The statement that deletes the person's rows; parameters as in ``condition``."""
        return f"DELETE FROM {self.table} AS x WHERE {self.condition}"

    def erased(self, mapping: Mapping) -> Iterator[str]:
        """Yield queries of table, row and source id, one a column, for rows of the erased."""
        ids = {mapping.source.table: "d.source_id", mapping.target.table: "d.target_id"}
        tests = [f"x.{q(name)} = d.source_id" for name in self.sources]
        tests += [f"x.{q(name)} = d.target_id" for name in self.targets]
        for key in self.keys:
            if key.relation in ids:
                test = f"{key.value} = {ids[key.relation]}{'' if key.type else '::text'}"
                tests.append(f"{key.only} AND {test}" if key.only else test)
        for test in tests:
            yield (
                f"SELECT {literal(self.name)}, {self.row_id}, d.source_id::text\n"
                f"FROM archive.{mapping.name}_tombstones AS d\nJOIN {self.table} AS x ON {test}"
            )


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table whose rows other places name by their key.

    Attributes:
        name: the table, without a schema.
        columns: of its key, in order.
        type: of a key of one column; None where it is not known, or there are several.
        keys: a query of the keys of the person's rows, as text; parameters as in a place.
        sources: columns that hold a source id, in this table and in copies of it.
        targets: columns that hold a target id.
    """

    name: str
    columns: tuple[str, ...]
    type: str | None
    keys: str
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The text of the key, over the row ``x``."""
        return key_text("x", self.columns)


def key_text(alias: str, columns: Iterable[str]) -> str:
    """Return a row's key as text, the columns of a longer one parted by commas."""
    named = [f"{alias}.{q(name)}" for name in columns]
    return f"{named[0]}::text" if len(named) == 1 else f"concat_ws(',', {', '.join(named)})"


def relations(mapping: Mapping, after: Direction) -> tuple[Relation, ...]:
    """Return source, target, and the tables that hang on them; source and target come first."""
    n, source, target = mapping.name, mapping.source, mapping.target
    made = [
        Relation(
            name=source.table,
            columns=(source.key,),
            type=source.columns[source.key].type,
            keys="SELECT unnest(%(sources)s::bigint[])::text",
        ),
        Relation(
            name=target.table,
            columns=(target.key,),
            type=target.columns[target.key].type,
            keys="SELECT unnest(%(targets)s::bigint[])::text",
        ),
    ]
    for link in mapping.link:
        key = key_text("x", [link.key])
        queries = [
            f"SELECT {key} FROM public.{q(link.table)} AS x WHERE {link_is_theirs(link, after)}",
        ]
        queries.append(
            f"SELECT {key} FROM archive.{n}_withheld_{link.table} AS x"
            f" WHERE x.{q(link.becomes)} = ANY (%(targets)s::bigint[])"
        )
        if link.adds:
            # The row itself is gone, with the patient or before: what is kept of it was theirs.
            queries.append(
                f"SELECT {key} FROM archive.{n}_kept_{link.table} AS x"
                f" WHERE x.refactorkit_target_id = ANY (%(targets)s::bigint[])"
                f" AND NOT EXISTS (SELECT FROM public.{q(link.table)} AS l"
                f" WHERE l.{q(link.key)} = x.{q(link.key)})"
                f" AND NOT EXISTS (SELECT FROM archive.{n}_withheld_{link.table} AS l"
                f" WHERE l.{q(link.key)} = x.{q(link.key)})"
            )
        made.append(
            Relation(
                name=link.table,
                columns=(link.key,),
                type=link.columns[link.key].type,
                keys=" UNION ".join(queries),
                sources=(link.column,),
                targets=(link.becomes,),
            )
        )
    owned = [(d.table, tuple(d.key), d.column, "public") for d in mapping.dependant]
    home = "public" if after is Direction.UP else "archive"
    owned += [(t.table, (t.key,), t.column, home) for t in mapping.table]
    for table, columns, column, schema in owned:
        theirs = f"x.{q(column)} = ANY (%(targets)s::bigint[])"
        key = key_text("x", columns)
        made.append(
            Relation(
                name=table,
                columns=columns,
                type=None,
                keys=f"SELECT {key} FROM {schema}.{q(table)} AS x WHERE {theirs}"
                f" UNION SELECT {key} FROM archive.{n}_kept_{table} AS x WHERE {theirs}",
                targets=(column,),
            )
        )
    return tuple(made)


def places(mapping: Mapping, after: Direction) -> tuple[Place, ...]:
    """Return every place of the mapping, in an order in which their rows can be deleted."""
    n, source, target = mapping.name, mapping.source, mapping.target
    up = after is Direction.UP
    named = {relation.name: relation for relation in relations(mapping, after)}
    made = [
        _kept(mapping, "map", "source_id", sources=("source_id",), targets=("target_id",)),
        _kept(mapping, "past", "source_id", sources=("source_id",), targets=("target_id",)),
        Place(
            table=f"archive.{n}_decisions",
            name=f"archive.{n}_decisions",
            row_id="x.turn || ' ' || x.table_name || ' ' || x.row_id",
            keys=tuple(
                Keys(relation=name, value="x.row_id", only=f"x.table_name = {literal(name)}")
                for name in named
            ),
        ),
        _kept(mapping, f"kept_{target.table}", target.key, targets=(target.key,)),
        _kept(
            mapping,
            f"written_{source.table}",
            "source_id",
            sources=("source_id",),
            targets=("target_id",),
        ),
        _kept(
            mapping,
            f"withheld_{source.table}",
            source.key,
            sources=(source.key,),
            targets=("refactorkit_target_id",),
        ),
    ]
    if f"archive.{n}_written_{target.table}" in kept_tables(mapping):
        made.append(_kept(mapping, f"written_{target.table}", "target_id", targets=("target_id",)))
    for link in mapping.link:
        own = Keys(relation=link.table, value=f"x.{q(link.key)}", type=link.columns[link.key].type)
        if link.adds:
            person = ("refactorkit_target_id",)
            made.append(_kept(mapping, f"kept_{link.table}", link.key, targets=person, keys=(own,)))
        made.append(_kept(mapping, f"withheld_{link.table}", link.key, targets=(link.becomes,)))
    for dependant in mapping.dependant:
        key, column = tuple(dependant.key), (dependant.column,)
        made.append(_kept(mapping, f"kept_{dependant.table}", *key, targets=column))
    made += [
        _kept(mapping, f"kept_{table.table}", table.key, targets=(table.column,))
        for table in mapping.table
    ]
    # Now what lives: rows that name others come first.
    made += [
        _table(
            "public",
            link.table,
            link.key,
            sources=() if up else (link.column,),
            targets=(link.becomes,) if up else (),
        )
        for link in mapping.link
    ]
    for dependant in mapping.dependant:
        key, column = tuple(dependant.key), (dependant.column,)
        made.append(_table("public", dependant.table, *key, targets=column))
    for table in mapping.table:
        schema = "public" if up else "archive"
        made.append(_table(schema, table.table, table.key, targets=(table.column,)))
    made.append(
        _table("archive" if up else "public", source.table, source.key, sources=(source.key,))
    )
    made.append(_table("public", target.table, target.key, targets=(target.key,)))
    return tuple(made)


def erased_again(mapping: Mapping, after: Direction) -> str:
    """Return a query of table, row and source id for the erased whom Up or Down would meet."""
    n, source, target = mapping.name, mapping.source.table, mapping.target.table
    met = {f"archive.{n}_{name}" for name in ("map", f"kept_{target}", f"withheld_{source}")}
    met |= {f"public.{source}", f"archive.{source}", f"public.{target}"}
    return union(mapping, (p for p in places(mapping, after) if p.name in met))


def union(mapping: Mapping, among: Iterable[Place]) -> str:
    """Return one query of table, row and source id over the rows of the erased, each row once."""
    return "\nUNION\n".join(query for place in among for query in place.erased(mapping))


def leftovers(mapping: Mapping, among: Iterable[Place]) -> str:
    """Return a query of the tables that hold rows of the erased with these ``sources``."""
    return (
        f"SELECT DISTINCT x.a FROM (\n{union(mapping, among)}\n) AS x (a, b, c)"
        " WHERE x.c::bigint = ANY (%(sources)s::bigint[]) ORDER BY 1"
    )


def pairs(mapping: Mapping) -> str:
    """Return a query of source id, target id and kind: every pair that touches a set of ids.

    Parameters: ``sources`` and ``targets``. The kinds are the map's, "past" for pairs that are no
    more, "erased" for those of a tombstone.
    """
    n, key = mapping.name, q(mapping.source.key)
    return (
        "SELECT DISTINCT p.source_id::bigint, p.target_id::bigint, p.kind FROM (\n"
        f"SELECT source_id, target_id, kind FROM archive.{n}_map\nUNION ALL\n"
        f"SELECT {key}, refactorkit_target_id, refactorkit_kind"
        f" FROM archive.{n}_withheld_{mapping.source.table}\nUNION ALL\n"
        f"SELECT source_id, target_id, 'past' FROM archive.{n}_past\nUNION ALL\n"
        f"SELECT source_id, target_id, 'erased' FROM archive.{n}_tombstones\n"
        ") AS p WHERE p.source_id = ANY (%(sources)s::bigint[])"
        " OR p.target_id = ANY (%(targets)s::bigint[])"
        " ORDER BY 1, 2 NULLS FIRST, 3"
    )


def link_is_theirs(link: Link, after: Direction) -> str:
    """Return the condition that a living row ``x`` of a link is the person's."""
    if after is Direction.UP:
        return f"x.{q(link.becomes)} = ANY (%(targets)s::bigint[])"
    return f"x.{q(link.column)} = ANY (%(sources)s::bigint[])"


def _kept(
    mapping: Mapping,
    name: str,
    *key: str,
    sources: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
    keys: tuple[Keys, ...] = (),
) -> Place:
    table = f"archive.{mapping.name}_{name}"
    return Place(
        table=table,
        name=table,
        row_id=key_text("x", key),
        sources=sources,
        targets=targets,
        keys=keys,
    )


def _table(
    schema: str,
    table: str,
    *key: str,
    sources: tuple[str, ...] = (),
    targets: tuple[str, ...] = (),
) -> Place:
    return Place(
        table=f"{schema}.{q(table)}",
        name=f"{schema}.{table}",
        row_id=key_text("x", key),
        sources=sources,
        targets=targets,
    )
