"""Other tables of the archive that may hold rows of a person, told by their names and columns.

The migrations before the refactor keep tables of their own in the archive, and so will later ones.
None of them is in the mapping, so their names and columns must say what they are about:

- columns ``table_name`` and ``row_id``: each row is about the row of that table; where there is a
  ``jsonb`` column too, what it says of the person counts as well;
- the name of a table of the mapping as whole words of the table's name (the longest one counts,
  as in ``assessments_cluster_0007`` or ``chain_0004_refresh_tokens``): the same key, of the same
  type, and the columns that name a person in that table;
- the mapping's own prefix, and columns ``source_id`` or ``target_id``. The prefix may be the
  source's name, so it counts for no table: ``id`` in ``patients_stage`` need not be a patient's.

What is none of these, or has an odd name, is reported as not looked into: it is not taken for free
of the person.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from refactorkit.mapping.erasure import Keys, Place, Relation
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.sql import literal

_SOURCES = ("source_id", "refactorkit_source_id")
_TARGETS = ("target_id", "refactorkit_target_id")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_INTEGERS = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True, kw_only=True)
class ArchiveTable:
    """A table of schema archive as the catalog knows it.

    Attributes:
        name: without the schema.
        columns: type by name, in order.
        key: the columns of its primary key; empty where it has none.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]


def place(table: ArchiveTable, relations: Iterable[Relation], *, prefix: str) -> Place | None:
    """Return how a table names rows of a person; None where its columns do not say.

    Args:
        table: of the archive, not one of the refactor's own.
        relations: source, target, and what hangs on them.
        prefix: the mapping's name.
    """
    if not all(_PLAIN.fullmatch(name) for name in (table.name, *table.columns)):
        return None
    among = tuple(relations)
    columns = table.columns
    sources: list[str] = []
    targets: list[str] = []
    keys: list[Keys] = []
    if {"table_name", "row_id"} <= columns.keys():
        keys += _by_table_name(table, among)
    own = f"{prefix}_"
    relation = _subject(table.name.removeprefix(own), among)
    if relation is not None and not keys:
        keys += _by_key(table, relation)
        sources += [name for name in relation.sources if columns.get(name) in _INTEGERS]
        targets += [name for name in relation.targets if columns.get(name) in _INTEGERS]
    if table.name.startswith(own):
        sources += [name for name in _SOURCES if columns.get(name) in _INTEGERS]
        targets += [name for name in _TARGETS if columns.get(name) in _INTEGERS]
    if not (sources or targets or keys):
        return None
    named = ", ".join(f"x.{q(name)}" for name in table.key) or "x.ctid"
    return Place(
        table=f"archive.{q(table.name)}",
        name=f"archive.{table.name}",
        row_id=f"concat_ws(',', {named})",
        sources=tuple(sources),
        targets=tuple(targets),
        keys=tuple(keys),
    )


def _by_table_name(table: ArchiveTable, relations: tuple[Relation, ...]) -> list[Keys]:
    documents = [name for name, kind in table.columns.items() if kind in {"json", "jsonb"}]
    source, target = relations[0].name, relations[1].name
    found = []
    for relation in relations:
        only = f"x.table_name = {literal(relation.name)}"
        found.append(Keys(relation=relation.name, value="x.row_id::text", only=only))
        for document in documents:
            said = [(name, source) for name in relation.sources]
            said += [(name, target) for name in relation.targets]
            found += [
                Keys(relation=of, value=f"x.{q(document)} ->> {literal(name)}", only=only)
                for name, of in said
            ]
    return found


def _by_key(table: ArchiveTable, relation: Relation) -> list[Keys]:
    if not set(relation.columns) <= table.columns.keys():
        return []
    if len(relation.columns) > 1 or relation.type is None:
        return [Keys(relation=relation.name, value=relation.key)]
    (name,) = relation.columns
    if table.columns[name] != relation.type:
        return []
    return [Keys(relation=relation.name, value=f"x.{q(name)}", type=relation.type)]


def _subject(name: str, relations: tuple[Relation, ...]) -> Relation | None:
    """Return the relation whose name stands in a table's name as whole words, the longest one."""
    inside = f"_{name}_"
    found = [relation for relation in relations if f"_{relation.name}_" in inside]
    return max(
        found, key=lambda relation: (len(relation.name), -inside.index(relation.name)), default=None
    )
