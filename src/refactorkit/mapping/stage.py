"""The statements of ``cutover --online`` beside Up, compiled from the mapping."""

from dataclasses import dataclass
from typing import Any

from refactorkit.mapping.compile import environment
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.staging import Helper, staging
from refactorkit.migrations.parser import parse


@dataclass(frozen=True, kw_only=True)
class NewIndex:
    """An index of the new version, which is built while the old one runs."""

    name: str
    create: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The statements, each a transaction of its own unless it is a tuple: then all are one.

    Attributes:
        table: where the progress is recorded, without its schema.
        captured: where keys that were written meanwhile wait, without its schema.
        parked: where those of them wait that are looked at once all rows were come to.
        target: the table that takes the rows, with its schema.
        look_first: the guards; changes nothing.
        prepare: the archive, and what triggers will do.
        expand: columns, checks and triggers, under one short lock.
        complete: what a batch does.
        checks: validates one check each.
        natives: notes who is nobody's subject.
        batch: looks at as many rows as ``refactorkit.walked`` and ``refactorkit.written`` say: the
            next of all, and those that were written meanwhile.
        recount: counts pairs and subjects, where the running counts are not sure.
        helpers: indexes that staging itself needs, where there is none of the kind.
        indexes: those of the new version.
        statistics: what is vacuumed and analysed once the rows are there: autovacuum would do so
            in the middle of the switch, and give way to nobody who waits less than a second.
        differences: compares what is staged with what Up makes; a query of each difference.
        compared: counts the rows that it looks at.
        take_away: takes as many subjects away as ``refactorkit.batch`` says.
        left: counts what ``take_away`` is yet to look at.
        contract: takes everything else away.
        unvalidated: a query of table and name of the foreign keys that are yet to be validated.
        rows: a query of the planner's guess at the number of source rows.
    """

    table: str
    captured: str
    parked: str
    target: str
    look_first: tuple[bytes, ...]
    prepare: tuple[bytes, ...]
    expand: tuple[bytes, ...]
    complete: tuple[bytes, ...]
    checks: tuple[bytes, ...]
    natives: bytes
    batch: bytes
    recount: bytes
    helpers: tuple[Helper, ...]
    indexes: tuple[NewIndex, ...]
    statistics: tuple[bytes, ...]
    differences: str
    compared: str
    take_away: bytes
    left: bytes
    contract: bytes
    unvalidated: bytes
    rows: bytes


def stage_of(mapping: Mapping) -> Stage:
    """Return the statements of one mapping."""
    made, abort, compare = _templates(mapping, "stage", "stage_abort", "stage_compare")
    name, target, staged = mapping.name, mapping.target, staging(mapping)
    table = f"public.{q(target.table)}"
    return Stage(
        table=f"{name}_stage",
        captured=f"{name}_stage_captured",
        parked=f"{name}_stage_parked",
        target=f"public.{target.table}",
        look_first=_statements(made.look_first()),
        prepare=_statements(made.prepare()),
        expand=_statements(made.expand()),
        complete=_statements(made.complete()),
        checks=tuple(
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {q(check)}".encode()
            for check in target.checks
        ),
        natives=str(made.natives()).encode(),
        batch=f"SELECT {staged.batch}()".encode(),
        recount=str(made.count_again()).encode(),
        helpers=staged.helpers,
        indexes=tuple(
            NewIndex(
                name=index,
                create=f"CREATE INDEX CONCURRENTLY {q(index)} ON {table}"
                f" ({', '.join(map(q, columns))})",
            )
            for index, columns in target.indexes.items()
        ),
        statistics=(
            f"VACUUM (ANALYZE) archive.{name}_map".encode(),
            f"VACUUM (ANALYZE) {table}".encode(),
        ),
        differences=str(compare.differences()),
        compared=f"SELECT count(*) FROM archive.{name}_map",
        take_away=str(abort.take_away()).encode(),
        left=str(abort.left()).encode(),
        contract=str(abort.contract()).encode(),
        unvalidated=str(made.unvalidated()).encode(),
        rows=(
            "SELECT greatest(reltuples, 0)::bigint FROM pg_catalog.pg_class"
            f" WHERE oid = 'public.{mapping.source.table}'::regclass"
        ).encode(),
    )


def _templates(mapping: Mapping, *names: str) -> list[Any]:
    found = environment(mapping)
    return [found.get_template(f"{name}.sql.j2").module for name in names]


def _statements(text: object) -> tuple[bytes, ...]:
    """Take a text in goose's format apart, as any runner of the migration would."""
    script = parse(str(text).encode() + b"\n", file="0001_stage.sql", environ={}).up
    if script.error is not None:
        raise ValueError(f"the compiled statements cannot be taken apart: {script.error}")
    return tuple(statement.data for statement in script.statements)
