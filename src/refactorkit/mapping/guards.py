"""What the guards of one direction must know: tables, columns, foreign keys, names."""

from collections.abc import Iterator
from dataclasses import dataclass

from refactorkit.mapping.model import Columns, Definition, Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.model import Direction

# The names of the guards of Down that an operator may overrule.
DOWN_ACCEPTABLE = ("dependants", "drift", "publications", "archive_readers")

KEPT_TABLES = ("turns", "map", "past", "tombstones", "decisions", "triggers", "indexes")
CARE_TABLES = ("holds", "purges", "former_writes", "tombstone_signatures", "operations")
"""Tables of the archive that Up and Down can do without: an older Up did not make them."""
LATER_TABLES = ("former_writes", "tombstone_signatures", "operations")
"""Those of them that may be missing: an older Up made none, or they come with their first row."""
STAGE_TABLES = (
    "stage", "stage_captured", "stage_parked", "stage_natives", "stage_former", "stage_late",
    "free",
)  # fmt: skip
PREPARED_TABLES = ("prepared", "prepared_captured")


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """The sequence behind a serial column, with its schema."""

    table: str
    column: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Guards:
    """The facts of one direction, as the template ``guards.sql.j2`` reads them.

    Tables have their schema. A column is (table, name, definition as the server prints it), a
    foreign key (table, name, definition as the server prints it), a staged index (name with schema,
    definition as the server prints it). ``staged`` are the tables of ``cutover --online`` or
    ``rollback --online``; ``not_yet_valid`` the foreign keys that the former may not have validated
    yet. ``missing`` is what is said where tables are not there at all, with %s for their names.
    """

    direction: Direction
    title: str
    missing: str
    tables: tuple[str, ...]
    leaving: tuple[str, ...]
    dependants: str
    columns: tuple[tuple[str, str, str], ...]
    foreign_keys: tuple[tuple[str, str, str], ...]
    filled: tuple[str, ...]
    widened: tuple[str, ...]
    dropped: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    new_columns: tuple[tuple[str, str], ...]
    own_constraints: tuple[str, ...]
    own_indexes: tuple[str, ...]
    staged_indexes: tuple[tuple[str, str], ...]
    staged: tuple[str, ...]
    not_yet_valid: tuple[str, ...]
    sequences: tuple[Sequence, ...]
    moved: tuple[str, ...]
    kept: tuple[str, ...]
    needed: tuple[str, ...]
    turn_columns: int


def kept_tables(mapping: Mapping) -> tuple[str, ...]:
    """Return the archive's own tables of this mapping, with their schema."""
    care = (f"archive.{mapping.name}_{name}" for name in CARE_TABLES)
    return (*needed_tables(mapping), *care)


def expected_tables(mapping: Mapping) -> tuple[str, ...]:
    """Return those of them that an Up makes, whatever is done beside and after it."""
    later = {f"archive.{mapping.name}_{name}" for name in LATER_TABLES}
    return tuple(table for table in kept_tables(mapping) if table not in later)


def needed_tables(mapping: Mapping) -> tuple[str, ...]:
    """Return those of them without which neither Up nor Down can give back what was kept."""
    source, target = mapping.source.table, mapping.target.table
    names = [*KEPT_TABLES, f"kept_{target}", f"written_{source}", f"withheld_{source}"]
    native = mapping.native
    own = any(fk.references == target for fk in mapping.target.foreign_keys)
    if native.login or native.rights or own:
        names.append(f"written_{target}")
    names += [f"kept_{d.table}" for d in mapping.dependant]
    names += [f"kept_{t.table}" for t in mapping.table]
    names += [f"kept_{link.table}" for link in mapping.link if link.adds]
    names += [f"withheld_{link.table}" for link in mapping.link]
    return tuple(f"archive.{mapping.name}_{name}" for name in names)


def moved_tables(mapping: Mapping, after: Direction) -> tuple[str, ...]:
    """Return the tables of either version that lie in the archive after a direction."""
    if after is Direction.UP:
        return (f"archive.{mapping.source.table}",)
    return tuple(f"archive.{table.table}" for table in mapping.table)


def lasting_tables(mapping: Mapping) -> tuple[str, ...]:
    """Return the kept tables that outlast a rollback that was given up: logs, and used ids."""
    names = ("turns", "past", "tombstones", *CARE_TABLES)
    return tuple(f"archive.{mapping.name}_{name}" for name in names)


def up_guards(mapping: Mapping) -> Guards:
    """Return what Up must find, and what must not be there yet."""
    source, target = mapping.source, mapping.target
    s, t = f"public.{source.table}", f"public.{target.table}"
    columns = [*_columns(s, source.columns), *_columns(t, target.columns)]
    foreign_keys = [
        *((s, fk.name, _key(fk.column, fk.references, fk.references_key, fk.on_delete))
          for fk in source.foreign_keys),
        *_target_keys(mapping),
    ]  # fmt: skip
    names: list[str] = [f"archive.{source.table}", f"archive.{_sequence(source.table, source.key)}"]
    new_columns = [(t, name) for name in target.adds]
    names += [f"public.{name}" for name in target.indexes]
    for link in mapping.link:
        table = f"public.{link.table}"
        columns += _columns(table, link.columns)
        foreign_keys.append(
            (table, link.foreign_key, _key(link.column, source.table, source.key, link.on_delete))
        )
        names += [f"public.{name}" for name in link.indexes.values()]
        new_columns += [(table, name) for name in (link.becomes, *link.adds)]
    for new in mapping.table:
        names += [f"public.{new.table}", *(f"public.{name}" for name in new.indexes)]
    return Guards(
        direction=Direction.UP,
        title=f"{mapping.version:04} Up",
        missing=f"%s is not there: this database is not at version {mapping.version - 1}",
        tables=(t, s, *_tables(mapping)),
        leaving=(s,),
        dependants="touched",
        columns=tuple(columns),
        foreign_keys=tuple(foreign_keys),
        filled=(s, t),
        widened=(t, *(f"public.{link.table}" for link in mapping.link if link.adds)),
        dropped=(),
        names=tuple(names),
        new_columns=tuple(new_columns),
        own_constraints=_own_constraints(mapping),
        own_indexes=(),
        staged_indexes=tuple(
            (f"public.{name}", _index(name, target.table, names))
            for name, names in target.indexes.items()
        ),
        staged=tuple(f"archive.{mapping.name}_{name}" for name in STAGE_TABLES),
        not_yet_valid=(),
        sequences=_sequences(mapping, "public"),
        moved=tuple(f"archive.{table.table}" for table in mapping.table),
        kept=kept_tables(mapping),
        needed=needed_tables(mapping),
        turn_columns=len(target.adds),
    )


def down_guards(mapping: Mapping) -> Guards:
    """Return what Down must find, and what would be lost with what it drops."""
    source, target = mapping.source, mapping.target
    s, t = f"archive.{source.table}", f"public.{target.table}"
    expected = {
        name: d.model_copy(update={"default": target.defaults[name]})
        if name in target.defaults
        else d
        for name, d in target.columns.items()
    }
    columns = [*_columns(s, source.columns), *_columns(t, expected), *_columns(t, target.adds)]
    foreign_keys = list(_target_keys(mapping))
    dropped = [(t, name) for name in target.adds]
    names = [f"public.{source.table}", f"public.{_sequence(source.table, source.key)}"]
    new_columns = []
    own_indexes = list(target.indexes)
    for link in mapping.link:
        table = f"public.{link.table}"
        renamed = {
            link.becomes if name == link.column else name: d for name, d in link.columns.items()
        }
        columns += [*_columns(table, renamed), *_columns(table, link.adds)]
        foreign_keys.append(
            (
                table,
                link.foreign_key_becomes,
                _key(link.becomes, target.table, target.key, link.on_delete),
            )
        )
        dropped += [(table, name) for name in link.adds]
        names += [f"public.{name}" for name in link.indexes]
        new_columns.append((table, link.column))
        own_indexes += link.indexes.values()
    brought = tuple(f"public.{table.table}" for table in mapping.table)
    for name, new in zip(brought, mapping.table, strict=True):
        columns += _columns(name, new.columns)
        foreign_keys.append(
            (name, new.foreign_key, _key(new.column, target.table, target.key, new.on_delete))
        )
        names += [f"archive.{new.table}", *(f"archive.{index}" for index in new.indexes)]
        names.append(f"archive.{_sequence(new.table, new.key)}")
    return Guards(
        direction=Direction.DOWN,
        title=f"{mapping.version:04} Down",
        missing=f"%s is not there: this database is not at version {mapping.version}, or Up ran"
        " without the archive",
        tables=(t, s, *_tables(mapping), *brought),
        leaving=brought,
        dependants="leaving",
        columns=tuple(columns),
        foreign_keys=tuple(foreign_keys),
        filled=(s,),
        widened=(),
        dropped=tuple(dropped),
        names=tuple(names),
        new_columns=tuple(new_columns),
        own_constraints=_own_constraints(mapping),
        own_indexes=tuple(own_indexes),
        staged_indexes=(),
        staged=tuple(f"archive.{mapping.name}_{name}" for name in PREPARED_TABLES),
        not_yet_valid=tuple(link.foreign_key_becomes for link in mapping.link),
        sequences=_sequences(mapping, "archive"),
        moved=(s,),
        kept=kept_tables(mapping),
        needed=needed_tables(mapping),
        turn_columns=len(target.adds),
    )


def definition(schema_table: str, name: str, column: Definition) -> str:
    """Return a column's definition as the guards' query prints it."""
    default = column.default
    if column.serial:
        default = f"nextval('{schema_table}_{name}_seq'::regclass)"
    parts = [column.type, "NOT NULL" if column.not_null else "", default and f"DEFAULT {default}"]
    return " ".join(part for part in parts if part)


def _columns(table: str, columns: Columns) -> Iterator[tuple[str, str, str]]:
    for name, column in columns.items():
        yield table, name, definition(table, name, column)


def _tables(mapping: Mapping) -> tuple[str, ...]:
    names = [link.table for link in mapping.link] + [part.table for part in mapping.dependant]
    return tuple(f"public.{name}" for name in names)


def _target_keys(mapping: Mapping) -> Iterator[tuple[str, str, str]]:
    target = mapping.target
    for fk in target.foreign_keys:
        key = _key(fk.column, fk.references, fk.references_key, fk.on_delete)
        yield f"public.{target.table}", fk.name, key
    for dependant in mapping.dependant:
        table = f"public.{dependant.table}"
        own = _key(dependant.column, target.table, target.key, dependant.on_delete)
        yield table, dependant.foreign_key, own
        for fk in dependant.foreign_keys:
            key = _key(fk.column, fk.references, fk.references_key, fk.on_delete)
            yield table, fk.name, key


def _key(column: str, references: str, key: str, on_delete: str) -> str:
    action = "" if on_delete == "NO ACTION" else f" ON DELETE {on_delete}"
    return f"FOREIGN KEY ({q(column)}) REFERENCES public.{q(references)}({q(key)}){action}"


def _index(name: str, table: str, columns: list[str]) -> str:
    return f"CREATE INDEX {q(name)} ON public.{q(table)} USING btree ({', '.join(map(q, columns))})"


def _own_constraints(mapping: Mapping) -> tuple[str, ...]:
    return (*mapping.target.checks, *(link.foreign_key_becomes for link in mapping.link))


def _sequence(table: str, key: str) -> str:
    return f"{table}_{key}_seq"


def _sequences(mapping: Mapping, source_schema: str) -> tuple[Sequence, ...]:
    source, target = mapping.source, mapping.target
    keys = (("public", target.table, target.key), (source_schema, source.table, source.key))
    return tuple(
        Sequence(table=f"{schema}.{table}", column=key, name=f"{schema}.{_sequence(table, key)}")
        for schema, table, key in keys
    )
