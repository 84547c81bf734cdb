"""The statements of ``rollback --online`` beside Down, compiled from the mapping."""

from dataclasses import dataclass
from typing import Any

from refactorkit.mapping.compile import environment
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.prepared import prepared
from refactorkit.migrations.parser import parse


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The statements; each tuple is one transaction.

    Attributes:
        table: that says what was looked at, without its schema.
        captured: where keys are written down, without its schema.
        make: the tables, and what triggers will do.
        hooks: a trigger for each table, under a lock that readers do not notice.
        look: finds out which rows may differ; reads all of them.
        unhooks: take the triggers away again.
        take_away: takes everything else away.
        reliable: whether Down would go by it now: a query that finds search_path at pg_catalog.
    """

    table: str
    captured: str
    make: tuple[bytes, ...]
    hooks: tuple[tuple[bytes, ...], ...]
    look: tuple[bytes, ...]
    unhooks: tuple[tuple[bytes, ...], ...]
    take_away: tuple[bytes, ...]
    reliable: bytes


def preparation_of(mapping: Mapping) -> Preparation:
    """Return the statements of one mapping."""
    made: Any = environment(mapping).get_template("prepared.sql.j2").make_module()
    names = prepared(mapping)
    return Preparation(
        table=names.table.removeprefix("archive."),
        captured=names.captured.removeprefix("archive."),
        make=_statements(made.prepare()),
        hooks=tuple(_statements(made.hook(trigger)) for trigger in names.triggers),
        look=_statements(made.look()),
        unhooks=tuple(_statements(made.unhook(trigger)) for trigger in names.triggers),
        take_away=_statements(made.take_away()),
        reliable=f"SELECT {made.can_be_relied_on()}".encode(),
    )


def _statements(text: object) -> tuple[bytes, ...]:
    """Take a text in goose's format apart, as any runner of the migration would."""
    script = parse(str(text).encode() + b"\n", file="0001_prepared.sql", environ={}).up
    if script.error is not None:
        raise ValueError(f"the compiled statements cannot be taken apart: {script.error}")
    return tuple(statement.data for statement in script.statements)
