"""Names that a mapping makes: each one once where it must be, and short enough for PostgreSQL.

A name of more than 63 bytes is cut without a word, and two that are cut may become one.
Source: PostgreSQL manual, 4.1.1 "Identifiers and Key Words".
"""

from collections.abc import Iterable, Iterator

from refactorkit.mapping import codecs
from refactorkit.mapping.guards import kept_tables
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.problem import Problem

LONGEST = 63
Location = tuple[str | int, ...]
Named = Iterable[tuple[str, Location]]


def constraints(mapping: Mapping) -> Iterator[Problem]:
    """A table's constraints have names of their own."""
    yield from _repeated("constraint", _of_source(mapping))
    yield from _repeated("constraint", _of_target(mapping))
    for index, link in enumerate(mapping.link):
        at = ("link", index)
        yield from _too_long((*at, "foreign_key_becomes"), link.foreign_key_becomes)
    for index, table in enumerate(mapping.table):
        at = ("table", index)
        checks: list[tuple[str, Location]] = [(n, (*at, "checks", n)) for n in table.checks]
        yield from _repeated("constraint", [*checks, (table.foreign_key, (*at, "foreign_key"))])
    for index, part in enumerate(mapping.dependant):
        at = ("dependant", index)
        own: Named = [(part.foreign_key, (*at, "foreign_key"))]
        yield from _repeated(
            "constraint",
            [
                *own,
                *(
                    (k.name, (*at, "foreign_keys", i, "name"))
                    for i, k in enumerate(part.foreign_keys)
                ),
            ],
        )


def _of_source(mapping: Mapping) -> Named:
    keys = mapping.source.foreign_keys
    return [(key.name, ("source", "foreign_keys", i, "name")) for i, key in enumerate(keys)]


def _of_target(mapping: Mapping) -> Named:
    target = mapping.target
    yield from ((name, ("target", "checks", name)) for name in target.checks)
    for index, key in enumerate(target.foreign_keys):
        yield key.name, ("target", "foreign_keys", index, "name")


def relations(mapping: Mapping) -> Iterator[Problem]:
    """Tables, indexes and sequences share one set of names a schema."""
    yield from _repeated("table, index or sequence", _public(mapping))
    yield from _repeated("table or sequence of the archive", _archive(mapping))


def _public(mapping: Mapping) -> Named:
    yield from _tables(mapping)
    yield from _sequences(mapping)
    for name in mapping.target.indexes:
        yield name, ("target", "indexes", name)
    for number, link in enumerate(mapping.link):
        for old, new in link.indexes.items():
            yield old, ("link", number, "indexes", old)
            yield new, ("link", number, "indexes", old)
    for number, table in enumerate(mapping.table):
        for name in table.indexes:
            yield name, ("table", number, "indexes", name)


def _archive(mapping: Mapping) -> Named:
    yield mapping.source.table, ("source", "table")
    yield from ((t.table, ("table", i, "table")) for i, t in enumerate(mapping.table))
    yield from _sequences(mapping)
    yield from ((name.removeprefix("archive."), ("name",)) for name in kept_tables(mapping))


def _tables(mapping: Mapping) -> Named:
    # A table with two parts is reported elsewhere.
    names: dict[str, Location] = {
        mapping.source.table: ("source", "table"),
        mapping.target.table: ("target", "table"),
    }
    for index, link in enumerate(mapping.link):
        names.setdefault(link.table, ("link", index, "table"))
    for index, dependant in enumerate(mapping.dependant):
        names.setdefault(dependant.table, ("dependant", index, "table"))
    for index, table in enumerate(mapping.table):
        names.setdefault(table.table, ("table", index, "table"))
    return names.items()


def _sequences(mapping: Mapping) -> Named:
    """The sequences of serial columns, as PostgreSQL names them; the same key once."""
    source, target = mapping.source, mapping.target
    found: dict[str, Location] = {
        f"{source.table}_{source.key}_seq": ("source", "key"),
        f"{target.table}_{target.key}_seq": ("target", "key"),
    }
    for index, table in enumerate(mapping.table):
        for name, column in table.columns.items():
            if column.serial:
                found.setdefault(f"{table.table}_{name}_seq", ("table", index, "columns", name))
    return found.items()


def lengths(mapping: Mapping) -> Iterator[Problem]:
    """What the compiler puts together still fits into a name."""
    made = [*kept_tables(mapping), *(f"archive.{f.name}" for f in codecs.functions(mapping))]
    for name in made:
        yield from _too_long(("name",), name.removeprefix("archive."))
    for name, location in _sequences(mapping):
        yield from _too_long(location, name)


def _too_long(location: Location, name: str) -> Iterator[Problem]:
    if len(name.encode()) > LONGEST:
        yield Problem(
            location=location,
            text=f"the name {name} would be {len(name.encode())} bytes long, and PostgreSQL cuts at"
            f" {LONGEST}: take shorter names",
        )


def _repeated(kind: str, named: Named) -> Iterator[Problem]:
    seen: set[str] = set()
    for name, location in named:
        if name in seen:
            yield Problem(location=location, text=f"there is a {kind} {name} already: rename one")
        seen.add(name)
