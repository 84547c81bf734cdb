"""What ``rollback --online`` makes before Down: names of its objects, and its statements.

Everything follows from the mapping. What is made is taken away again by Down, or by an abort.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from refactorkit.mapping.model import Columns, Mapping
from refactorkit.mapping.staging import Trigger

_ON_EVERY_WRITE = "AFTER INSERT OR UPDATE OR DELETE"


@dataclass(frozen=True, kw_only=True)
class CapturedLink:
    """A table that points at the target, and where the keys of its rows are written down.

    Attributes:
        table: without its schema.
        key: its key, of ``type``.
        becomes: the column that names the target's row.
        column: of the table of written-down keys.
        adds: the columns that only the new version has.
        function: of the trigger, with its schema.
    """

    table: str
    key: str
    type: str
    becomes: str
    column: str
    adds: Columns
    function: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The names of everything that the preparation makes, as the templates read them.

    Attributes:
        name: of each trigger.
        table: that says what was looked at, with its schema.
        captured: where keys are written down, with its schema.
        tables: those whose rows are looked at, with their schema.
        triggers: one for each of them.
        functions: of the triggers, with their schema.
    """

    name: str
    table: str
    captured: str
    tables: tuple[str, ...]
    triggers: tuple[Trigger, ...]
    functions: tuple[str, ...]
    capture_archive: str
    capture_target: str
    links: tuple[CapturedLink, ...]


def prepared(mapping: Mapping) -> Prepared:
    """Return the names of what is prepared for one mapping."""
    prefix = f"archive.{mapping.name}_prepared"
    name = f"{mapping.name}_prepared_capture"
    capture_archive, capture_target = f"{prefix}_capture_archive", f"{prefix}_capture_target"
    links = tuple(_links(mapping, prefix))
    # Nobody writes to these two but an erasure, or a hand: then every row is looked at.
    triggers = [
        Trigger(
            table=f"archive.{table}",
            name=name,
            when=_ON_EVERY_WRITE,
            level="STATEMENT",
            function=capture_archive,
        )
        for table in (mapping.source.table, f"{mapping.name}_map")
    ]
    triggers += [
        Trigger(
            table=f"public.{table}",
            name=name,
            when=_ON_EVERY_WRITE,
            level="ROW",
            function=function,
        )
        for table, function in (
            (mapping.target.table, capture_target),
            *((link.table, link.function) for link in links),
        )
    ]
    return Prepared(
        name=name,
        table=prefix,
        captured=f"{prefix}_captured",
        tables=tuple(trigger.table for trigger in triggers),
        triggers=tuple(triggers),
        functions=(capture_archive, capture_target, *(link.function for link in links)),
        capture_archive=capture_archive,
        capture_target=capture_target,
        links=links,
    )


def _links(mapping: Mapping, prefix: str) -> Iterator[CapturedLink]:
    for number, link in enumerate(mapping.link, start=1):
        yield CapturedLink(
            table=link.table,
            key=link.key,
            type=link.columns[link.key].type,
            becomes=link.becomes,
            column=f"link_{number}",
            adds=link.adds,
            function=f"{prefix}_capture_{number}",
        )
