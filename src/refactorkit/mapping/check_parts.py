"""Tables and columns: what a mapping names must be there, once, and of the right type."""

from collections.abc import Iterable, Iterator

from refactorkit.mapping.column_types import has_hash
from refactorkit.mapping.model import Columns, ForeignKey, Mapping, targets_of
from refactorkit.mapping.problem import Problem

_TOUCHED = "timestamp with time zone"
Location = tuple[str | int, ...]


def tables(mapping: Mapping) -> Iterator[Problem]:
    """Each table has one part in a mapping."""
    named: dict[str, Location] = {}
    parts: list[tuple[str, Location]] = [
        (mapping.source.table, ("source", "table")),
        (mapping.target.table, ("target", "table")),
        *((part.table, ("link", i, "table")) for i, part in enumerate(mapping.link)),
        *((part.table, ("dependant", i, "table")) for i, part in enumerate(mapping.dependant)),
        *((part.table, ("table", i, "table")) for i, part in enumerate(mapping.table)),
    ]
    for table, location in parts:
        if table in named:
            first = ".".join(str(step) for step in named[table][:-1] if isinstance(step, str))
            yield Problem(
                location=location,
                text=f"table {table} has a part already, under {first}: a table can have only one",
            )
        named.setdefault(table, location)


def source(mapping: Mapping) -> Iterator[Problem]:
    """The source has its key, its owner, and columns that can be carried and compared."""
    part, target = mapping.source, mapping.target
    yield from _key(("source",), part.key, part.columns)
    yield from _plain(("source", "columns"), part.columns)
    for name, column in part.columns.items():
        if not has_hash(column.type):
            yield Problem(
                location=("source", "columns", name),
                text=f"type {column.type} has no hash in PostgreSQL, so rows with it cannot have a"
                " fingerprint: change the column's type before the refactor",
            )
    if part.touched is not None:
        yield from _touched(mapping, part.touched)
    for index, key in enumerate(part.foreign_keys):
        at = ("source", "foreign_keys", index)
        yield from _foreign_key(mapping, at, key, part.columns)
        if key.references == part.table:
            yield Problem(
                location=(*at, "references"),
                text="a reference of the source to itself is not supported: Down may withhold the"
                " row it points at",
            )
    if part.owner is not None:
        yield from _owner(mapping, part.owner)
    pair = (part.columns.get(part.key), target.columns.get(target.key))
    if pair[0] and pair[1] and pair[0].type != pair[1].type:
        yield Problem(
            location=("source", "columns", part.key),
            text=f"the keys must be of one type: {part.table}.{part.key} is {pair[0].type},"
            f" {target.table}.{target.key} is {pair[1].type}",
        )


def target(mapping: Mapping) -> Iterator[Problem]:
    """The target's columns, old and new, are told apart; what is said of them concerns them."""
    part = mapping.target
    yield from _key(("target",), part.key, part.columns)
    yield from _plain(("target", "columns"), part.columns)
    yield from _added(("target",), part.columns, part.adds)
    for name in part.defaults:
        where = ("target", "defaults", name)
        if name not in part.columns:
            yield Problem(
                location=where,
                text=f"{name} is no column of [target.columns]: a column under [target.adds] has"
                " its default there",
            )
        elif part.columns[name].serial:
            yield Problem(location=where, text=f"{name} is serial: its default cannot be changed")
    yield from _indexes(("target", "indexes"), part.indexes, {**part.columns, **part.adds})
    for index, key in enumerate(part.foreign_keys):
        at = ("target", "foreign_keys", index)
        yield from _foreign_key(mapping, at, key, part.columns)
        if key.references == mapping.source.table:
            yield Problem(
                location=(*at, "references"),
                text=f"{key.references} goes away: {part.table} cannot go on pointing at it",
            )


def links(mapping: Mapping) -> Iterator[Problem]:
    """A link's column is there, and free to be renamed."""
    for index, link in enumerate(mapping.link):
        at = ("link", index)
        yield from _plain((*at, "columns"), link.columns)
        yield from _added(at, link.columns, link.adds)
        yield from _is_there((*at, "key"), link.key, link.columns, "[link.columns]")
        yield from _is_there((*at, "column"), link.column, link.columns, "[link.columns]")
        yield from _of_key_type(mapping, (*at, "columns", link.column), link.column, link.columns)
        if link.key in link.columns and not link.columns[link.key].not_null:
            yield Problem(location=(*at, "columns", link.key), text="a key must be NOT NULL")
        if link.key == link.column:
            yield Problem(
                location=(*at, "column"), text="a link's key cannot be the column that is renamed"
            )
        if link.becomes in {**link.columns, **link.adds}:
            yield Problem(
                location=(*at, "becomes"),
                text=f"{link.table} has a column {link.becomes} already: take a new name",
            )
        if link.foreign_key == link.foreign_key_becomes:
            yield Problem(
                location=(*at, "foreign_key_becomes"),
                text="the new foreign key must have a name of its own",
            )
        for old, new in link.indexes.items():
            if old == new:
                yield Problem(
                    location=(*at, "indexes", old),
                    text="an index that keeps its name need not be named: remove the line",
                )


def dependants(mapping: Mapping) -> Iterator[Problem]:
    """A dependant hangs on the target by one column, and on nothing that comes or goes."""
    for index, part in enumerate(mapping.dependant):
        at = ("dependant", index)
        yield from _repeated((*at, "key"), part.key)
        for number, columns in enumerate(part.unique):
            yield from _repeated((*at, "unique", number), columns)
        for number, key in enumerate(part.foreign_keys):
            where = (*at, "foreign_keys", number, "references")
            yield from _not_brought(mapping, where, key.references)
            if key.references in {mapping.source.table, mapping.target.table}:
                yield Problem(
                    location=where,
                    text=f"a dependant has one reference to {mapping.target.table}, named by"
                    f" `column`, and none to {mapping.source.table}: more are not supported",
                )


def new_tables(mapping: Mapping) -> Iterator[Problem]:
    """A new table's key and reference are columns of its own."""
    for index, part in enumerate(mapping.table):
        at = ("table", index)
        yield from _plain((*at, "columns"), part.columns)
        yield from _is_there((*at, "key"), part.key, part.columns, "[table.columns]")
        yield from _is_there((*at, "column"), part.column, part.columns, "[table.columns]")
        yield from _of_key_type(mapping, (*at, "columns", part.column), part.column, part.columns)
        if part.key in part.columns and not part.columns[part.key].not_null:
            yield Problem(location=(*at, "columns", part.key), text="a key must be NOT NULL")
        yield from _indexes((*at, "indexes"), part.indexes, part.columns)


def _key(at: Location, key: str, columns: Columns) -> Iterator[Problem]:
    yield from _is_there((*at, "key"), key, columns, f"[{at[0]}.columns]")
    if key in columns and not columns[key].serial:
        yield Problem(
            location=(*at, "columns", key),
            text="the key must be integer NOT NULL serial, or bigint NOT NULL serial: new ids"
            " come from its sequence",
        )


def _touched(mapping: Mapping, name: str) -> Iterator[Problem]:
    columns = mapping.source.columns
    yield from _is_there(("source", "touched"), name, columns, "[source.columns]")
    if name in columns and columns[name].type != _TOUCHED:
        yield Problem(
            location=("source", "columns", name),
            text=f"the column that `touched` names must be {_TOUCHED}",
        )
    for index, column in enumerate(mapping.column):
        if column.source == name and targets_of(column):
            yield Problem(
                location=("column", index, "codec"),
                text=f"Down itself sets {name}, which `touched` names: copy it under [subject], or"
                " give it codec = 'archive'",
            )


def _owner(mapping: Mapping, name: str) -> Iterator[Problem]:
    part, target = mapping.source, mapping.target
    at = ("source", "owner")
    yield from _is_there(at, name, part.columns, "[source.columns]")
    yield from _of_key_type(mapping, ("source", "columns", name), name, part.columns)
    keys = [key for key in part.foreign_keys if key.column == name]
    if not any(key.references == target.table for key in keys):
        yield Problem(
            location=at,
            text=f"the owner's column needs a foreign key to {target.table}, under"
            " [[source.foreign_keys]]",
        )
    if mapping.native.named_by is None:
        yield Problem(
            location=at,
            text="an owner needs `named_by` under [native]: Down finds the custodian by it",
        )
    for index, column in enumerate(mapping.column):
        if column.source == name and targets_of(column):
            yield Problem(
                location=("column", index, "codec"),
                text=f"{name} is the owner, who stays in the archive: codec = 'archive'",
            )


def _foreign_key(
    mapping: Mapping, at: Location, key: ForeignKey, columns: Columns
) -> Iterator[Problem]:
    target = mapping.target
    yield from _is_there((*at, "column"), key.column, columns, f"[{at[0]}.columns]")
    yield from _not_brought(mapping, (*at, "references"), key.references)
    if key.references == target.table:
        if key.references_key != target.key:
            yield Problem(
                location=(*at, "references_key"),
                text=f"a reference to {target.table} must be to its key: references_key ="
                f" '{target.key}'",
            )
        yield from _of_key_type(mapping, (*at, "column"), key.column, columns)


def _not_brought(mapping: Mapping, at: Location, table: str) -> Iterator[Problem]:
    if any(part.table == table for part in mapping.table):
        yield Problem(
            location=at, text=f"{table} is not there before version {mapping.version} brings it"
        )


def _plain(at: Location, columns: Columns) -> Iterator[Problem]:
    for name, column in columns.items():
        if column.existing is not None:
            yield Problem(
                location=(*at, name),
                text="`existing` is for a column that is added to a table with rows",
            )


def _added(at: Location, columns: Columns, adds: Columns) -> Iterator[Problem]:
    for name, column in adds.items():
        where = (*at, "adds", name)
        if name in columns:
            yield Problem(location=where, text=f"{name} is there already: it cannot be added")
        if column.serial:
            yield Problem(location=where, text="an added column cannot be serial")
        elif column.not_null and column.existing_value.strip().upper() == "NULL":
            yield Problem(
                location=where,
                text=f"{name} is NOT NULL: say by DEFAULT or `existing` what older rows hold",
            )


def _indexes(at: Location, indexes: dict[str, list[str]], columns: Columns) -> Iterator[Problem]:
    for index, names in indexes.items():
        for name in names:
            if name not in columns:
                yield Problem(location=(*at, index), text=f"there is no column {name} to index")
        yield from _repeated((*at, index), names)


def _is_there(at: Location, name: str, columns: Columns, where: str) -> Iterator[Problem]:
    if name not in columns:
        yield Problem(location=at, text=f"there is no column {name} in {where}")


def _of_key_type(mapping: Mapping, at: Location, name: str, columns: Columns) -> Iterator[Problem]:
    key = mapping.target.columns.get(mapping.target.key)
    if key is not None and name in columns and columns[name].type != key.type:
        yield Problem(
            location=at,
            text=f"{name} must be {key.type}, as {mapping.target.table}.{mapping.target.key} is",
        )


def _repeated(at: Location, names: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield Problem(location=at, text=f"{name} is named twice")
        seen.add(name)
