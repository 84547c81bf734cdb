"""Erase a person: every row of theirs, in one transaction, and a tombstone in their place.

Order: locks as Up and Down take them, guards, whose rows they are, obstacles, triggers quiet, links
of other people taken away, rows deleted (what names others first), triggers back as they were,
tombstones, and a look whether anything is left.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, BusyError, FailedError, RefusedError
from refactorkit.evidence.keys import SigningKey
from refactorkit.mapping import erasure, erasure_others
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import erasure_guards, salts, tombstone_signatures
from refactorkit.postgres.archive_writes import let_by
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.erasure_places import Found, found_places
from refactorkit.postgres.holds import is_held
from refactorkit.postgres.quiet_triggers import Trigger, switch_back, switch_off
from refactorkit.postgres.refactors import Turn, last_turn
from refactorkit.postgres.tombstone_signatures import Buried

_LISTED: Final = 10
_BIGINT: Final = 2**63
_PINNED: Final = (
    b"SET LOCAL search_path = pg_catalog, pg_temp",
    b"SET LOCAL row_security = off",
    b"SET LOCAL DateStyle = 'ISO, YMD'",
    b"SET LOCAL TimeZone = 'UTC'",
    b"SET CONSTRAINTS ALL IMMEDIATE",
)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Who erases, who approved it, and on what basis.

    Attributes:
        basis: the law's article, the ticket; never a name of the person.
        approved_by: not the operator.
        operator: who runs the command.
        key: signs the tombstones; None leaves them unsigned.
    """

    basis: str
    approved_by: str
    operator: str
    key: SigningKey | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A source row and the target row that it became.

    Attributes:
        source_id: of the source.
        target_id: of the target; None for a source row that no Up has met.
        kind: "subject", "native", "past" (the pair is no more), "erased", "none" (no target).
    """

    source_id: int
    target_id: int | None
    kind: str


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom an id of the source names: all pairs that are connected with it."""

    pairs: tuple[Pair, ...]

    @property
    def sources(self) -> list[int]:
        """The ids in the source, in order."""
        return sorted({pair.source_id for pair in self.pairs})

    @property
    def targets(self) -> list[int]:
        """The ids in the target, in order."""
        return sorted({pair.target_id for pair in self.pairs if pair.target_id is not None})


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many rows of a table, or values of a column.

    Attributes:
        name: the table with its schema, or that and a column.
        rows: at least 0.
    """

    name: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """What an erasure did, or found to do.

    Attributes:
        person: whom.
        erased_before: they have a tombstone from before.
        deleted: rows by place; every place that was looked into, also with 0 rows.
        unlinked: links of other people that were taken away, by table and column.
        quiet: triggers of the user that were switched off meanwhile.
        ownerless: archived rows of others whose owner is gone now; Down asks for a custodian.
        not_looked_into: tables of the archive whose columns do not say whom they are about.
        keys: the keys of the person's rows by table, as text.
        tombstones: that were written; none by a look, or where nothing was left to erase.
    """

    person: Person
    erased_before: bool
    deleted: tuple[Count, ...]
    unlinked: tuple[Count, ...]
    quiet: tuple[Trigger, ...]
    ownerless: int
    not_looked_into: tuple[str, ...]
    keys: dict[str, list[str]]
    tombstones: tuple[Buried, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows were deleted."""
        return sum(count.rows for count in self.deleted)

    @property
    def touched(self) -> tuple[str, ...]:
        """The tables in which rows were deleted or changed, with their schema."""
        changed = {count.name for count in self.deleted if count.rows}
        changed |= {count.name.rpartition(".")[0] for count in self.unlinked if count.rows}
        return tuple(sorted(changed))


def erase(
    connection: Connection,
    turn: Turn,
    mapping: Mapping,
    source_id: int,
    authority: Authority | None,
) -> Erasure:
    """Erase a person inside the open transaction; the caller commits, or rolls back.

    Args:
        connection: in a transaction in which nothing was read yet.
        turn: the refactor's last turn, as it was read before.
        mapping: what it ran with.
        source_id: an id of the source table.
        authority: None writes no tombstone: for a look that is rolled back.

    Raises:
        RefusedError: the id is not known, the database is at neither version, or something stands
            in the way; the message says what.
        BusyError: Up or Down ran meanwhile.
        FailedError: rows are left afterwards: a defect.
    """
    connection.execute(b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    for statement in _PINNED:
        connection.execute(statement)
    let_by(connection)
    after = turn.direction
    erasure_guards.lock(connection, mapping, after)
    _refuse_other_turn(connection, turn)
    found = found_places(connection, mapping, after)
    erasure_guards.refuse(connection, mapping, after, [place.table for place in found.places])
    person = _person(connection, mapping, after, source_id)
    if person is None:
        raise _unknown(mapping, source_id)
    before = any(pair.kind == "erased" for pair in person.pairs)
    return _Work(connection, mapping, turn, person, found, before=before).run(authority)


class _Work:
    """The part under the lock, for one person."""

    def __init__(
        self,
        connection: Connection,
        mapping: Mapping,
        turn: Turn,
        person: Person,
        found: Found,
        *,
        before: bool,
    ) -> None:
        self._connection = connection
        self._mapping = mapping
        self._after = turn.direction
        self._turn = turn
        self._person = person
        self._found = found
        self._before = before
        self._parameters: dict[str, Any] = {"sources": person.sources, "targets": person.targets}

    def run(self, authority: Authority | None) -> Erasure:
        keys = self._keys()
        self._refuse_obstacles()
        places = (*self._found.places, *erasure.places(self._mapping, self._after))
        relabels = erasure_others.relabels(self._mapping, self._after)
        unlinks = erasure_others.unlinks(self._mapping, self._after)
        ownerless = self._ownerless()
        name = self._mapping.name
        logs = (f"archive.{name}_tombstones", f"archive.{tombstone_signatures.table_of(name)}")
        quiet = switch_off(
            self._connection,
            (*(p.table for p in places), *(u.table for u in (*relabels, *unlinks)), *logs),
        )
        changed = [
            Count(name=u.name, rows=self._execute(u.statement)) for u in (*relabels, *unlinks)
        ]
        deleted = [Count(name=place.name, rows=self._execute(place.delete)) for place in places]
        done = Erasure(
            person=self._person,
            erased_before=self._before,
            deleted=tuple(deleted),
            unlinked=tuple(count for count in changed if count.rows),
            quiet=quiet,
            ownerless=ownerless,
            not_looked_into=self._found.not_looked_into,
            keys=keys,
        )
        if authority is not None and (done.rows or not self._before):
            for pair in _buried(self._person):
                salts.forget(
                    self._connection,
                    self._mapping.name,
                    source_id=pair.source_id,
                    target_id=pair.target_id,
                )
            done = replace(done, tombstones=self._bury(done, authority))
            self._refuse_leftovers()
        switch_back(self._connection, quiet)
        return done

    def _keys(self) -> dict[str, list[str]]:
        """Find the keys of the person's rows, before any of them is gone."""
        keys = {}
        for relation in erasure.relations(self._mapping, self._after):
            rows = self._connection.execute(relation.keys.encode(), self._parameters).fetchall()
            keys[relation.name] = sorted({key for (key,) in rows})
        self._parameters |= {f"keys_{name}": found for name, found in keys.items()}
        return keys

    def _refuse_obstacles(self) -> None:
        """Refuse where the law holds the person, and where rows of others would go too."""
        name = self._mapping.name
        if any(is_held(self._connection, name, source) for source in self._person.sources):
            raise RefusedError(
                f"{self._who()} cannot be erased: a legal hold is in force.",
                state=NOTHING_CHANGED,
                hint="See refactorkit archive status; archive hold --release ends it.",
            )
        for obstacle in erasure_others.obstacles(self._mapping, self._after):
            rows = self._connection.execute(obstacle.rows.encode(), self._parameters).fetchall()
            if rows:
                listed = ", ".join(key for (key,) in rows[:_LISTED])
                more = ", ..." if len(rows) > _LISTED else ""
                raise RefusedError(
                    f"{self._who()} cannot be erased: {len(rows)} {obstacle.sentence}:"
                    f" {listed}{more}.",
                    state=NOTHING_CHANGED,
                    hint=obstacle.remedy,
                )

    def _ownerless(self) -> int:
        query = erasure_others.left_ownerless(self._mapping, self._after)
        if query is None:
            return 0
        row = self._connection.execute(query.encode(), self._parameters).fetchone()
        return int(row[0]) if row else 0

    def _execute(self, statement: str) -> int:
        return self._connection.execute(statement.encode(), self._parameters).rowcount

    def _bury(self, done: Erasure, authority: Authority) -> tuple[Buried, ...]:
        """Write a row for each pair: both ids, who, when, why, and how many rows of what; sign."""
        table = sql.Identifier("archive", f"{self._mapping.name}_tombstones")
        erasure_number = fetch_value(
            self._connection,
            sql.SQL("SELECT coalesce(max(erasure), 0) + 1 FROM {}").format(table),
        )
        counts = {count.name: count.rows for count in (*done.deleted, *done.unlinked)}
        numbers = []
        for pair in _buried(self._person):
            number = fetch_value(
                self._connection,
                sql.SQL(
                    "INSERT INTO {0} (tombstone, erasure, source_id, target_id, kind, turn,"
                    " version, operator, approved_by, basis, counts)"
                    " SELECT coalesce(max(tombstone), 0) + 1, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
                    " %s::jsonb FROM {0} RETURNING tombstone"
                ).format(table),
                (
                    erasure_number,
                    pair.source_id,
                    pair.target_id,
                    pair.kind,
                    self._turn.number,
                    self._mapping.version - (self._after is Direction.DOWN),
                    authority.operator,
                    authority.approved_by,
                    authority.basis,
                    json.dumps(counts),
                ),
            )
            numbers.append(int(number))
        if authority.key is None:
            return tuple(Buried(number=number) for number in numbers)
        tombstone_signatures.ensure_table(self._connection, self._mapping)
        return tombstone_signatures.sign(self._connection, self._mapping, numbers, authority.key)

    def _refuse_leftovers(self) -> None:
        """Look once more, by the tombstones: what is found now would come back one day."""
        places = (*erasure.places(self._mapping, self._after), *self._found.places)
        query = erasure.leftovers(self._mapping, places)
        rows = self._connection.execute(query.encode(), self._parameters).fetchall()
        if rows:
            tables = ", ".join(table for (table,) in rows)
            raise FailedError(
                f"{self._who()} is still in {tables}.",
                state=NOTHING_CHANGED,
                hint="This is a defect of refactorkit: please report it.",
            )

    def _who(self) -> str:
        ids = ", ".join(map(str, self._person.sources))
        return f"{self._mapping.source.table} {ids}"


def _buried(person: Person) -> list[Pair]:
    """Return the pairs that a tombstone names: each once, by its best known kind."""
    order = ("subject", "native", "past", "erased", "none")
    best: dict[tuple[int, int | None], str] = {}
    for pair in person.pairs:
        key = (pair.source_id, pair.target_id)
        best[key] = min(best.get(key, pair.kind), pair.kind, key=order.index)
    return [
        Pair(source_id=source, target_id=target, kind="past" if kind == "erased" else kind)
        for (source, target), kind in sorted(best.items(), key=lambda item: str(item[0]))
    ]


def _refuse_other_turn(connection: Connection, turn: Turn) -> None:
    now = last_turn(connection, turn.name)
    if now is None or (now.number, now.direction) != (turn.number, turn.direction):
        raise BusyError(
            f"Up or Down of {turn.name} ran at this moment.",
            state=NOTHING_CHANGED,
            hint="Run the same command again.",
        )


def _person(
    connection: Connection, mapping: Mapping, after: Direction, source_id: int
) -> Person | None:
    """Follow the pairs from one source id until nothing new is found; None where it is unknown."""
    if abs(source_id) >= _BIGINT:
        return None
    sources, targets = {source_id}, set[int]()
    query = erasure.pairs(mapping).encode()
    while True:
        rows = connection.execute(
            query, {"sources": sorted(sources), "targets": sorted(targets)}
        ).fetchall()
        known = (len(sources), len(targets))
        sources |= {source for source, _, _ in rows}
        targets |= {target for _, target, _ in rows if target is not None}
        if known == (len(sources), len(targets)):
            break
    pairs = [Pair(source_id=s, target_id=t, kind=kind) for s, t, kind in rows]
    paired = {pair.source_id for pair in pairs}
    if source_id not in paired and _lives(connection, mapping, after, source_id):
        pairs.append(Pair(source_id=source_id, target_id=None, kind="none"))
    return Person(pairs=tuple(pairs)) if pairs else None


def _lives(connection: Connection, mapping: Mapping, after: Direction, source_id: int) -> bool:
    schema = "archive" if after is Direction.UP else "public"
    found = fetch_value(
        connection,
        sql.SQL("SELECT true FROM {} WHERE {} = %s::bigint").format(
            sql.Identifier(schema, mapping.source.table), sql.Identifier(mapping.source.key)
        ),
        (source_id,),
    )
    return bool(found)


def _unknown(mapping: Mapping, source_id: int) -> RefusedError:
    table = mapping.source.table
    return RefusedError(
        f"Nobody in {table} has or had the id {source_id}.",
        state=NOTHING_CHANGED,
        hint=f"An id of {mapping.target.table} is another kind of id: archive.{mapping.name}_map"
        " says whose it is.",
    )
