"""The former version beside the new one: views that let its application go on after the switch.

The views lie in a schema named after the former version (``v10``), with the names and columns of
its tables; an application whose ``search_path`` begins with that schema goes on unchanged. What it
writes goes to both sides at once: the raw value to the archived row, its forward image to the
living one, so that Down finds what it would have found had nobody switched.
"""

from dataclasses import dataclass
from typing import Any

from refactorkit.mapping import codecs
from refactorkit.mapping.compile import environment
from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.model import Column, Columns, Mapping, NullAs, targets_of
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.sql import literal
from refactorkit.migrations.model import Script
from refactorkit.migrations.parser import parse


@dataclass(frozen=True, kw_only=True)
class Former:
    """The names and statements of one mapping's former version.

    Attributes:
        schema: that holds the views.
        writes: the archive's table of what was written through them, with its schema.
        create: the statements that make them, to be run at the end of Up's transaction.
        drop: the statement that takes them away, all locks together within ``lock_timeout``; it
            refuses where others hang on them.
        obstacles: a query of sentences, one a row: why they cannot be made here.
        in_place: a query that gives one row, whether the schema is there and ours.
    """

    schema: str
    writes: str
    create: Script
    drop: bytes
    obstacles: str
    in_place: str


def former_of(mapping: Mapping, *, again: bool = False) -> Former:
    """Return the statements of one mapping.

    Args:
        mapping: the mapping.
        again: whether a Down ran before this Up, so that what Up gave back is a base of the merge.
    """
    made: Any = _environment(mapping, again=again).get_template("former.sql.j2").module
    schema = f"v{mapping.version - 1}"
    script = parse(
        b"-- +goose Up\n" + str(made.create()).encode() + b"\n", file="0001_former.sql", environ={}
    ).up
    if script.error is not None:
        raise ValueError(f"the compiled statements cannot be taken apart: {script.error}")
    return Former(
        schema=schema,
        writes=f"archive.{mapping.name}_former_writes",
        create=script,
        drop=str(made.drop(f"{schema} stays", True)).encode(),
        obstacles=str(made.obstacles()),
        in_place=str(made.in_place()),
    )


def _environment(mapping: Mapping, *, again: bool) -> Any:
    found = environment(mapping)
    columns = _Columns(mapping=mapping, again=again)
    found.globals |= {
        "former_source": columns.source,
        "former_target": columns.target,
        "edited": columns.edited,
        "images": columns.images,
        "profile_cleared": columns.profile_cleared,
        "defaults": _defaults,
        "secrets": mapping.target.secret,
        "tt": next((t for t, s in columns.copied.items() if s == mapping.source.touched), None),
    }
    return found


def _defaults(columns: Columns, schema_table: str) -> list[tuple[str, str]]:
    """Return what a column of a view holds where an INSERT does not name it."""
    return [
        (
            name,
            f"nextval('{schema_table}_{name}_seq'::regclass)" if d.serial else str(d.default),
        )
        for name, d in columns.items()
        if d.serial or d.default is not None
    ]


@dataclass(frozen=True)
class _Columns(Expressions):
    """Expressions over ``s m t``: an archived row, its pair, and the living row."""

    again: bool

    def _last_down(self) -> str:
        return (
            f"(SELECT max(d.turn) FROM archive.{self.mapping.name}_turns AS d"
            " WHERE d.direction = 'down')"
        )

    def image(self, column: Column, name: str, alias: str) -> str:
        """Return what stands for a raw value in the living row: what Up made, or gave back."""
        made = codecs.inlined(self.mapping, column, name, alias)
        if not self.again:
            return made
        n, target, source = self.mapping.name, self.mapping.target, self.mapping.source
        same = f"record_image_eq(ROW({alias}.{q(column.source)}), ROW(h.{q(column.source)}))"
        return (
            f"CASE WHEN EXISTS (SELECT FROM archive.{n}_written_{source.table} AS h"
            f" WHERE h.target_id = m.target_id AND h.turn = {self._last_down()} AND {same})"
            f" THEN (SELECT g.{q(name)} FROM archive.{n}_kept_{target.table} AS g"
            f" WHERE g.{q(target.key)} = m.target_id"
            f" AND g.refactorkit_turn = {self._last_down()}) ELSE {made} END"
        )

    def edited(self, column: Column) -> str:
        """Return the condition that the new version holds something else than it was given."""
        names = targets_of(column)
        now = ", ".join(f"t.{q(name)}" for name in names)
        then = ", ".join(self.image(column, name, "s") for name in names)
        return f"record_image_ne(ROW({now}), ROW({then}))"

    def source(self, name: str) -> str:
        """Return what the former version sees in a column of the source: what Down would give."""
        mapping = self.mapping
        raw = f"s.{q(name)}"
        for column in self.carried:
            if column.source == name:
                return f"CASE WHEN {self.edited(column)} THEN {self.seen(column)} ELSE {raw} END"
        if name == mapping.source.touched:
            for target, copied in self.copied.items():
                if copied == name and self.carried:
                    any_of = " OR ".join(self.edited(column) for column in self.carried)
                    return f"CASE WHEN {any_of} THEN t.{q(target)} ELSE {raw} END"
        return raw

    def seen(self, column: Column) -> str:
        """Return the inverse of an edited value, as ``home`` does; a native without a name has one.

        A view's functions are called by whoever asks, who may call none of the archive's.
        """
        native = self.mapping.native
        value = codecs.inlined_back(self.mapping, column, "t")
        if column.source == native.named and native.named_by is not None:
            return (
                f"CASE WHEN m.kind = 'native' THEN coalesce(nullif({value}, ''),"
                f" t.{q(native.named_by)}) ELSE {value} END"
            )
        return value

    def images(self) -> list[tuple[str, str, str]]:
        """Return each target column, the source column behind it, and its value from ``new``."""
        found = [
            (name, column.source, self.image(column, name, "new"))
            for column in self.carried
            for name in targets_of(column)
        ]
        return found + [(name, s, f"new.{q(s)}") for name, s in self.copied.items()]

    def target(self, name: str) -> str:
        """Return what the former version sees in a column of a native: what Down would give."""
        mapping = self.mapping
        n, key = mapping.name, q(mapping.target.key)
        value, rights = f"t.{q(name)}", mapping.native.rights
        if rights and name == rights.column:
            return (
                f"CASE WHEN {value} = {literal(rights.value)} AND NOT t.{q(rights.flag)}"
                f" THEN {literal(rights.without_flag)} ELSE {value} END"
            )
        if name == mapping.native.login:
            turn = f"FROM archive.{n}_turns AS u ORDER BY u.turn DESC LIMIT 1"
            living = f"{value} AND t.{key} <@ (SELECT u.natives {turn})"
            if not mapping.native.deleted:
                return living
            kept = self.not_deleted("t")
            if self.again:
                kept += (
                    f" OR (t.{key} <@ (SELECT u.active {turn}) AND EXISTS"
                    f" (SELECT FROM archive.{n}_kept_{mapping.target.table} AS g"
                    f" WHERE g.{key} = t.{key} AND g.refactorkit_turn = {self._last_down()}"
                    f" AND NOT {self.not_deleted('g')}))"
                )
            return f"{living} AND ({kept})"
        if name in self.self_references:
            return (
                f"CASE WHEN NOT EXISTS (SELECT FROM archive.{n}_map AS m"
                f" WHERE m.target_id = {value} AND m.kind = 'subject') THEN {value} END"
            )
        return value

    @property
    def profile_cleared(self) -> list[tuple[str, str]]:
        """The columns of a native's profile, and what they hold where there is none."""
        return [
            (
                name,
                literal(column.value)
                if isinstance(column, NullAs)
                else f"({self.mapping.target.adds[name].existing_value})::{self.type_of(name)}",
            )
            for column in self.carried
            if column.profile
            for name in targets_of(column)
        ]
