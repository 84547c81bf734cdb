"""Rows that others wrote after a change, as they were when it held its locks.

Leaves are made of a snapshot that is taken right after a commit, and the application may have been
faster. Whoever stood by has a second one, taken while the change held its locks and nobody could
write. What was written since is taken from there; whether that is what the change left behind (it
may have written the row itself) the fingerprint tells that the change recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from psycopg import sql

from refactorkit.evidence.leaf import (
    FIRST_FIELD,
    KEY_OFFSET,
    NUMBER_BYTES,
    SALT_BYTES,
    Form,
    SortKey,
    is_salted,
    sort_key,
)
from refactorkit.evidence.manifest import Places, Side, Tie
from refactorkit.evidence.sections import key_of, open_key
from refactorkit.mapping.fingerprints import WRITTEN, Rows, source_side, target_side
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.canonical import order_by, selected
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.digests import pin, rows
from refactorkit.postgres.evidence_facts import TurnFacts, side_of, tie_of
from refactorkit.postgres.evidence_tables import NATIVE_SALTS, SALTS, EvidenceTables
from refactorkit.postgres.labels import identifier, split
from refactorkit.postgres.turn_facts import Moment, written_since

_MOST: Final = 10_000  # rows that were written since; of more, the leaves are of what is there now
_UNSALTED_KEY: Final = KEY_OFFSET - SALT_BYTES


@dataclass(frozen=True, kw_only=True)
class Witnessed:
    """What was seen while a change held its locks.

    Attributes:
        before: a connection that has had its snapshot since then.
        since: that moment; None where the snapshot was taken right before the locks, and the id of
            the change's transaction tells.
        transaction_id: of the change; None where it could not be asked.
        running: transactions that were at work when the snapshot was taken, 32 bits wide.
    """

    before: Connection = field(repr=False)
    since: Moment | None = None
    transaction_id: str | None = None
    running: tuple[int, ...] = ()

    def moment(self, turn: TurnFacts) -> Moment:
        """Return when the change held its locks; where only its id tells, nearly so."""
        if self.since is not None:
            return self.since
        return Moment(next_id=int(turn.run.transaction_id) + 1, others=self.running)


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What is laid over the rows of one tree.

    Attributes:
        form: of the rows.
        written: keys of all rows that were written, made or taken away since.
        before: those of them that were there, without their salts, in the order of their keys.
        salts: of rows that are gone by now, where they have one.
    """

    form: Form
    written: frozenset[bytes]
    before: tuple[bytes, ...]
    salts: dict[bytes, bytes]

    def laid_over(self, found: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the rows as they were before, in the order of their keys."""
        waiting = iter(self.before)
        next_one = next(waiting, None)
        for row in found:
            key = key_of(row, self.form)
            while next_one is not None and self._place(next_one) < self._order(key):
                yield self._salted(next_one)
                next_one = next(waiting, None)
            if next_one is not None and key_of(next_one, self.form) == key:
                salt = row[FIRST_FIELD:KEY_OFFSET] if is_salted(row) else None
                yield next_one if salt is None else _with(salt, next_one)
                next_one = next(waiting, None)
            elif key not in self.written:
                yield row
        while next_one is not None:
            yield self._salted(next_one)
            next_one = next(waiting, None)

    def _order(self, key: bytes) -> SortKey:
        return sort_key(self.form.key, open_key(key, self.form))

    def _place(self, row: bytes) -> SortKey:
        return self._order(key_of(row, self.form))

    def _salted(self, row: bytes) -> bytes:
        salt = self.salts.get(key_of(row, self.form))
        return row if salt is None else _with(SALT_BYTES.to_bytes(4) + salt, row)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One table after a change.

    Attributes:
        tie: to what the change recorded.
        overlay: where rows were written since, and are known as they were before.
    """

    tie: Tie
    overlay: Overlay | None


@dataclass(frozen=True, kw_only=True)
class Looking:
    """Looks at one of the two tables of a refactor, right after its turn.

    Attributes:
        now: a connection inside ``pinned``, in the snapshot of the leaves.
        witnessed: what was seen before.
        mapping: of the refactor.
        places: of its tables.
        turn: what the log says.
    """

    now: Connection
    witnessed: Witnessed
    mapping: Mapping
    places: Places
    turn: TurnFacts

    def at_source(self, form: Form) -> Seen:
        """Look at the table that goes away, or came back."""
        return self._look("source", form, self.places.source_key)

    def at_target(self, form: Form) -> Seen:
        """Look at those rows of the other table that were natives."""
        return self._look("target", form, self.places.target_key)

    @property
    def _after(self) -> Direction:
        return Direction(self.turn.run.direction)

    def _query(self, side: str, which: Rows) -> str:
        if side == "source":
            return source_side(self.mapping, self._after, which)
        return target_side(self.mapping, self._after, str(self.turn.run.turn), which)

    def _look(self, side: str, form: Form, key: str) -> Seen:
        recorded = self.turn.sides.get(side)
        tie = tie_of(form.table, recorded, side_of(self.now, self._query(side, Rows.ALL)))
        label = split(form.table)
        since = self.witnessed.moment(self.turn)
        written = written_since(self.now, since, label, key, most=_MOST + 1)
        if side == "target":
            written = self._natives(written)
        if len(written) > _MOST:
            return Seen(tie=tie, overlay=None)
        if tie.state != "same" and recorded is not None:
            pin(self.witnessed.before)
            gone = self._gone(form, key)
            keys = sorted({*written, *gone})
            if len(keys) <= _MOST and recorded == self._together(side, keys):
                return Seen(
                    tie=_told(tie_of(form.table, recorded, recorded), len(keys)),
                    overlay=self._overlay(side, form, key, keys, gone),
                )
            return Seen(tie=_told(tie, len(keys)), overlay=None)
        return Seen(tie=_told(tie, len(written)), overlay=None)

    def _natives(self, keys: list[int]) -> list[int]:
        """Leave out who is a subject: the fingerprint is of the others."""
        if self._after is Direction.DOWN:
            return keys
        found = self.now.execute(
            sql.SQL(
                "SELECT k FROM unnest(%s::bigint[]) AS k"
                " WHERE NOT EXISTS (SELECT FROM {} AS m WHERE m.target_id = k"
                " AND m.kind = 'subject') ORDER BY 1"
            ).format(sql.Identifier("archive", f"{self.places.name}_map")),
            (keys,),
        ).fetchall()
        return [row[0] for row in found]

    def _gone(self, form: Form, key: str) -> list[int]:
        """Return the keys that the change left behind, and that are not there now."""
        query = sql.SQL("SELECT {key} FROM {table} AS t {where} ORDER BY 1")
        parts = {"key": sql.Identifier("t", key), "table": identifier(form.table)}
        pairs = sql.Identifier("archive", f"{self.places.name}_map")
        is_target = form.table == self.places.target
        # Who was a subject before is none of the natives; Down takes them away itself.
        no_subject = sql.SQL(
            "WHERE NOT EXISTS (SELECT FROM {} AS m WHERE m.target_id = {} AND m.kind = 'subject')"
        ).format(pairs, parts["key"])
        before = query.format(where=no_subject if is_target else sql.SQL(""), **parts)
        here = _numbers(self.now, query.format(where=sql.SQL(""), **parts))
        gone: list[int] = []
        current = next(here, None)
        for each in _numbers(self.witnessed.before, before):
            while current is not None and current < each:
                current = next(here, None)
            if current != each and len(gone) <= _MOST:
                gone.append(each)
        for _ in here:  # to the end, so that the connection is free again
            pass
        if is_target:
            return gone
        # What Down withholds is not gone: it has no pair any more.
        found = self.now.execute(
            sql.SQL(
                "SELECT k FROM unnest(%s::bigint[]) AS k"
                " WHERE EXISTS (SELECT FROM {} AS m WHERE m.source_id = k) ORDER BY 1"
            ).format(pairs),
            (gone,),
        ).fetchall()
        return [row[0] for row in found]

    def _together(self, side: str, keys: list[int]) -> Side:
        """Return the sum over what nobody wrote since, and what was written as it was before."""
        for connection in (self.now, self.witnessed.before):
            connection.execute(
                "SELECT pg_catalog.set_config(%s, (%s::bigint[])::text, true)", (WRITTEN, keys)
            )
        others = side_of(self.now, self._query(side, Rows.OTHERS))
        theirs = side_of(self.witnessed.before, self._query(side, Rows.WRITTEN))
        return Side(
            rows=others.rows + theirs.rows, fingerprint=others.fingerprint ^ theirs.fingerprint
        )

    def _overlay(
        self, side: str, form: Form, key: str, keys: list[int], gone: list[int]
    ) -> Overlay:
        query = sql.SQL(
            "SELECT NULL::bytea, {columns} FROM {table} AS t WHERE {key} = ANY ({keys})"
            " ORDER BY {order}"
        ).format(
            columns=sql.SQL(", ").join(selected(column) for column in form.columns),
            table=identifier(form.table),
            key=sql.Identifier("t", key),
            keys=sql.Literal(keys),
            order=order_by(form.columns),
        )
        tables, width = EvidenceTables(name=self.places.name), NUMBER_BYTES[form.columns[0].type]
        salts, column = (SALTS, "source_id") if side == "source" else (NATIVE_SALTS, "target_id")
        kept = self.now.execute(
            sql.SQL("SELECT {column}, salt FROM {salts} WHERE {column} = ANY (%s)").format(
                column=sql.Identifier(column), salts=tables.identifier(salts)
            ),
            (gone,),
        ).fetchall()
        return Overlay(
            form=form,
            written=frozenset(_key(each, width) for each in keys),
            before=tuple(rows(self.witnessed.before, query)),
            salts={_key(number, width): bytes(salt) for number, salt in kept},
        )


def _numbers(connection: Connection, query: sql.Composed) -> Iterator[int]:
    """Yield the only column of a query, an integer; memory stays flat."""
    for row in rows(connection, query):
        yield int.from_bytes(row[FIRST_FIELD + 4 :], signed=True)


def _key(number: int, width: int) -> bytes:
    """Return a key as it stands in a row: its length, then its bytes."""
    return width.to_bytes(4) + number.to_bytes(width, signed=True)


def _with(salt: bytes, row: bytes) -> bytes:
    """Return a row without a salt with this one: its length, then its bytes."""
    return row[:FIRST_FIELD] + salt + row[_UNSALTED_KEY:]


def _told(tie: Tie, written: int) -> Tie:
    return tie.model_copy(update={"written_since": written})
