"""What ``cutover --online`` makes before Up: names of its objects, and its statements.

Everything follows from the mapping. What is made is taken away again by Up, or by an abort.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from refactorkit.mapping.guards import up_guards
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q

_ON_EVERY_WRITE = "AFTER INSERT OR UPDATE OR DELETE"


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger that lives while subjects are staged.

    Attributes:
        table: the table with its schema.
        name: of the trigger.
        when: timing and events, as CREATE TRIGGER has them.
        level: ROW, STATEMENT, or NEVER.
        function: with its schema.
    """

    table: str
    name: str
    when: str
    level: str
    function: str


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A foreign key from a dependant to the target, which must not name a subject yet."""

    table: str
    column: str
    foreign_key: str
    function: str


@dataclass(frozen=True, kw_only=True)
class Helper:
    """A column that names target rows: without an index, each subject that goes costs a scan.

    Attributes:
        name: of the index that staging makes where there is none.
        table: the table with its schema.
        column: that names a row of the target.
    """

    name: str
    table: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Staging:
    """The names of everything that staging makes, as the templates read them.

    Attributes:
        tables: all archive tables of the mapping that can be there before Up, with their schema.
        archived: those of them that Up would make.
        own_tables: the tables of staging itself, but ``late``.
        late: the table of the subjects that are given back under the lock alone.
        locked: the tables that are locked to begin, in the order of Up; the target first.
        batch: the function that does one batch.
    """

    tables: tuple[str, ...]
    archived: tuple[str, ...]
    own_tables: tuple[str, ...]
    late: str
    locked: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    functions: tuple[str, ...]
    capture_source: str
    capture_target: str
    shield: str
    batch: str
    references: tuple[Reference, ...]
    helpers: tuple[Helper, ...]


def staging(mapping: Mapping) -> Staging:
    """Return the names of what is staged for one mapping."""
    name = mapping.name
    source, target = f"public.{mapping.source.table}", f"public.{mapping.target.table}"
    prefix = f"archive.{name}_stage"
    capture_source, capture_target = f"{prefix}_capture_source", f"{prefix}_capture_target"
    shield, batch = f"{prefix}_shield", f"{prefix}_batch"
    references = tuple(
        Reference(
            table=part.table,
            column=part.column,
            foreign_key=part.foreign_key,
            function=f"{prefix}_refer_{number}",
        )
        for number, part in enumerate(mapping.dependant, start=1)
    )
    triggers = [
        *_captured(name, source, capture_source),
        *_captured(name, target, capture_target),
        Trigger(
            table=target,
            name=f"{name}_stage_shield",
            when="BEFORE UPDATE OR DELETE",
            level="ROW",
            function=shield,
        ),
    ]
    # They never fire: a column that a trigger names cannot be dropped, so nobody goes further back
    # while something is staged.
    triggers += [
        Trigger(
            table=table,
            name=f"{name}_stage_hold",
            when=f"BEFORE UPDATE OF {', '.join(map(q, columns))}",
            level="NEVER",
            function=shield,
        )
        for table, columns in (
            (source, mapping.source.columns),
            (target, mapping.target.columns),
        )
    ]
    triggers += [
        Trigger(
            table=f"public.{r.table}",
            name=f"{name}_stage_refer",
            when=f"AFTER INSERT OR UPDATE OF {q(r.column)}",
            level="ROW",
            function=r.function,
        )
        for r in references
    ]
    archived = up_guards(mapping).kept
    own = tuple(f"{prefix}{part}" for part in ("", "_captured", "_parked", "_natives", "_former"))
    return Staging(
        tables=(*archived, *own, f"{prefix}_late"),
        archived=archived,
        own_tables=own,
        late=f"{prefix}_late",
        locked=(target, source, *(f"public.{r.table}" for r in references)),
        triggers=tuple(triggers),
        functions=(
            capture_source,
            capture_target,
            shield,
            batch,
            *(r.function for r in references),
        ),
        capture_source=capture_source,
        capture_target=capture_target,
        shield=shield,
        batch=batch,
        references=references,
        helpers=tuple(_helpers(mapping)),
    )


def _captured(name: str, table: str, function: str) -> Iterator[Trigger]:
    yield Trigger(
        table=table,
        name=f"{name}_stage_capture",
        when=_ON_EVERY_WRITE,
        level="ROW",
        function=function,
    )
    yield Trigger(
        table=table,
        name=f"{name}_stage_truncate",
        when="AFTER TRUNCATE",
        level="STATEMENT",
        function=function,
    )


def _helpers(mapping: Mapping) -> Iterator[Helper]:
    target = mapping.target.table
    columns = [(target, fk.column) for fk in mapping.target.foreign_keys if fk.references == target]
    columns += [(part.table, part.column) for part in mapping.dependant]
    for number, (table, column) in enumerate(columns, start=1):
        yield Helper(name=f"{mapping.name}_stage_{number}", table=f"public.{table}", column=column)
