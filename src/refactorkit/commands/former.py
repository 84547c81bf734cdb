"""The former version's application after the switch: its views are made with Up, and taken away."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from refactorkit.commands.chain import Chain, Limits, reading
from refactorkit.commands.one_refactor import one_refactor
from refactorkit.errors import NOTHING_CHANGED, BusyError, RefusedError
from refactorkit.mapping.former import Former, former_of
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.plan import Step
from refactorkit.postgres import former as views
from refactorkit.postgres.connection import Connection, connected, set_for_session
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.one_transaction import in_one_transaction
from refactorkit.postgres.refactors import last_turn, last_turns


@dataclass(frozen=True, kw_only=True)
class DropFormerRequest:
    """Which views to take away.

    Attributes:
        chain: the database.
        limits: how long to wait for whoever is using them.
    """

    chain: Chain
    limits: Limits


@dataclass(frozen=True, kw_only=True)
class DropFormerResult:
    """What was taken away.

    Attributes:
        schema: that held the views.
        dropped: False where it was not there: running again converges.
        writes: what was written through them since the switch, rows by table and action.
    """

    schema: str
    dropped: bool
    writes: tuple[tuple[str, str, int], ...]


def keeping_former(connection: Connection, steps: tuple[Step, ...], mapping: Mapping) -> Former:
    """Return the former version's views for a database, having looked whether they can be made.

    Raises:
        RefusedError: the refactor is not the last of the steps, or something stands in the way.
    """
    if [step.migration.version for step in steps][-1:] != [mapping.version]:
        raise RefusedError(
            f"{mapping.migration} is not the last file to run: version {mapping.version - 1}"
            " cannot be kept beside a later one.",
            state=NOTHING_CHANGED,
            hint=f"Say --to {mapping.version}, or do without the former version.",
        )
    with reading():
        turn = None if not _ran(connection, mapping) else last_turn(connection, mapping.name)
        former = former_of(mapping, again=turn is not None and turn.direction is Direction.DOWN)
        found = views.obstacles(connection, former)
    if found:
        raise RefusedError(
            f"{former.schema} cannot be kept: {'; '.join(found)}.",
            state=NOTHING_CHANGED,
            hint="Take away what is named, or cut over without the former version.",
        )
    return former


def with_former(migration: Migration, former: Former) -> Migration:
    """Return a migration whose Up makes the views at its end, in the same transaction."""
    last = migration.up.statements[-1]
    after = last.line + last.text.count("\n") + 1
    added = tuple(replace(each, line=after + each.line) for each in former.create.statements)
    return replace(
        migration, up=replace(migration.up, statements=(*migration.up.statements, *added))
    )


def in_place(connection: Connection) -> Iterable[tuple[Former, tuple[tuple[str, str, int], ...]]]:
    """Yield the former versions whose views are there, each with what was written through them."""
    for turn in last_turns(connection):
        if turn.mapping is not None and turn.direction is Direction.UP:
            former = former_of(turn.mapping)
            if views.is_in_place(connection, former):
                yield former, views.writes(connection, former)


def drop_former(request: DropFormerRequest) -> DropFormerResult:
    """Take the views away, in a transaction of its own; what they wrote stays where it is.

    Raises:
        BusyError: somebody is using them, and did not end in time.
        RefusedError: no refactor ran here, or others hang on the views.
    """
    dsn, limits = request.chain.dsn, request.limits
    with (
        connected(dsn) as connection,
        session_lock(connection, wait_seconds=limits.lock_wait_seconds),
    ):
        with reading():
            # Names mean what they say, whatever the session's path.
            set_for_session(connection, {"search_path": "pg_catalog, pg_temp"})
            _, mapping = one_refactor(connection, None, dsn)
            former = former_of(mapping)
            written = views.writes(connection, former)
            there = views.is_in_place(connection, former)
        if there:
            try:
                in_one_transaction(
                    dsn,
                    connection,
                    limits.locks,
                    doing=f"Taking {former.schema} away",
                    work=lambda: views.drop(connection, former),
                )
            except BusyError as error:
                with reading():
                    users = views.sessions_in_it(connection, former)
                if users:
                    who = ", ".join(f"{pid} ({name or 'unnamed'})" for pid, name in users)
                    error.message += f" In use by: {who}."
                raise
    return DropFormerResult(schema=former.schema, dropped=there, writes=written)


def _ran(connection: Connection, mapping: Mapping) -> bool:
    return any(turn.name == mapping.name for turn in last_turns(connection))
