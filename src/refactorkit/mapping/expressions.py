"""The SQL expressions of the three-way merge, for the migration and for ``verify``.

Aliases are the same everywhere: ``s`` a source row, ``t`` a target row, ``m`` its pair, ``k`` the
target row as Down kept it, ``w`` the source row as Down wrote it, ``b`` the native's columns as
Down wrote them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from refactorkit.mapping import codecs
from refactorkit.mapping.model import (
    ArchiveOnly,
    Column,
    Copied,
    Mapping,
    NullAs,
    Template,
    targets_of,
)
from refactorkit.mapping.sql import identifier as q
from refactorkit.mapping.sql import literal

# Types in which `=` tells any two values apart that differ in bytes; others are compared as images.
_EQUAL_MEANS_IDENTICAL = frozenset(
    {
        "bigint",
        "boolean",
        "date",
        "integer",
        "smallint",
        "timestamp with time zone",
        "timestamp without time zone",
        "uuid",
    }
)
_FIXED_SCALE = re.compile(r"numeric\(\d+,\d+\)")


@dataclass(frozen=True)
class Expressions:
    """Every expression that the templates need, for one mapping."""

    mapping: Mapping

    @property
    def by_target(self) -> dict[str, Column]:
        """The mapped column of each target column."""
        return {name: column for column in self.mapping.column for name in targets_of(column)}

    @property
    def carried(self) -> list[Column]:
        """The columns that have a target, and so go both ways."""
        return [column for column in self.mapping.column if not isinstance(column, ArchiveOnly)]

    @property
    def lossy(self) -> list[Column]:
        """The columns in which a raw value can be without a forward image."""
        return [column for column in self.mapping.column if codecs.is_lossy(column)]

    @property
    def copied(self) -> dict[str, str]:
        """Target column to source column, where a subject holds a source value as it is."""
        return {
            name: value.column
            for name, value in self.mapping.subject.items()
            if isinstance(value, Copied)
        }

    @property
    def templates(self) -> list[tuple[str, Template]]:
        """The target columns that hold a text with the source's key in it."""
        return [(n, v) for n, v in self.mapping.subject.items() if isinstance(v, Template)]

    @property
    def all_columns(self) -> list[str]:
        """The target's columns in the new version, in order."""
        return [*self.mapping.target.columns, *self.mapping.target.adds]

    @property
    def subject_columns(self) -> list[str]:
        """The columns that the insert of a subject must name: the others hold their default."""
        target = self.mapping.target
        named = {target.key, *self.mapping.subject, *self.by_target}
        named |= {name for name, d in target.adds.items() if d.existing is not None}
        return [name for name in self.all_columns if name in named]

    @property
    def merged_columns(self) -> list[str]:
        """The source columns whose last written value is a base for the next merge."""
        named = {column.source for column in self.carried} | set(self.copied.values())
        if self.mapping.source.touched:
            named.add(self.mapping.source.touched)
        return [name for name in self.mapping.source.columns if name in named]

    def another_target(self, living: str, kept: str) -> str:
        """Return the condition that a native's id was typed in again for somebody else.

        All that identifies a row differs: what a subject has from its source as it is (when it was
        made), and what no two rows share. Empty where the mapping knows neither.
        """
        names = [n for n, s in self.copied.items() if s != self.mapping.source.touched]
        names += [name for name, _ in self.templates]
        return self._all_differ(names, living, kept) if len(names) > 1 else ""

    def another_source(self, living: str, written: str) -> str:
        """Return the same for a source row: when it was made, and what it is called."""
        names = [s for s in self.copied.values() if s != self.mapping.source.touched]
        names += [name for name in [self.mapping.native.named] if name]
        return self._all_differ(names, living, written) if len(names) > 1 else ""

    def _all_differ(self, names: Iterable[str], one: str, other: str) -> str:
        return " AND ".join(
            f"record_image_ne(ROW({one}.{q(name)}), ROW({other}.{q(name)}))" for name in names
        )

    @property
    def self_references(self) -> list[str]:
        """The target's columns that point at the target itself."""
        target = self.mapping.target
        return [fk.column for fk in target.foreign_keys if fk.references == target.table]

    @property
    def native_columns(self) -> list[str]:
        """The old version's columns that Down may change in a native."""
        native = self.mapping.native
        named = {native.login, native.rights and native.rights.column, *self.self_references}
        return [name for name in self.mapping.target.columns if name in named]

    @property
    def native_added(self) -> list[str]:
        """The new version's columns that a native is given back, all but the flag of rights."""
        rights = self.mapping.native.rights
        return [name for name in self.mapping.target.adds if not rights or name != rights.flag]

    @property
    def checked_when_given_back(self) -> list[str]:
        """The columns of a subject given back that are the same whoever else is there."""
        others = {name for name, _ in self.templates} | set(self.self_references)
        if self.templates:
            others.add(self.mapping.native.login or "")
        return [name for name in self.all_columns if name not in others]

    @property
    def native_restored(self) -> list[str]:
        """The columns that the next Up gives back to a native."""
        return [*self.native_columns, *self.mapping.target.adds]

    @property
    def row_hash(self) -> str:
        """A cheap fingerprint of the source row ``s``: against accidents, not against people."""
        values = ", ".join(f"s.{q(name)}" for name in self.mapping.source.columns)
        return f"hash_record_extended(ROW({values}), 0)"

    def type_of(self, name: str) -> str:
        """Return the type of a target column."""
        target = self.mapping.target
        return (target.columns.get(name) or target.adds[name]).type

    def made(self, name: str) -> str:
        """Return what Up puts into a column of a subject, from ``s`` and ``m``."""
        mapping = self.mapping
        if name == mapping.target.key:
            return "m.target_id"
        if name in self.by_target:
            return codecs.forward(mapping, self.by_target[name], name, "s")
        value = mapping.subject.get(name)
        if isinstance(value, Copied):
            return f"s.{q(value.column)}"
        if isinstance(value, Template):
            return f"{literal(value.before)} || m.source_id || {literal(value.after)}"
        if value is not None:
            return f"{literal(value)}::{self.type_of(name)}"
        definition = mapping.target.columns.get(name) or mapping.target.adds[name]
        return f"({definition.existing_value})::{definition.type}"

    def given_back(self, name: str) -> str:
        """Return what Up puts into a column of a subject that was kept, from ``s m k w``."""
        mapping = self.mapping
        kept = f"k.{q(name)}"
        source = self.copied.get(name)
        if name in self.by_target:
            source = self.by_target[name].source
        if name == mapping.target.key:
            return "m.target_id"
        if source is not None:
            return (
                f"CASE WHEN w.source_id IS NULL"
                f" OR record_image_eq(ROW(s.{q(source)}), ROW(w.{q(source)}))"
                f" THEN {kept} ELSE {self.made(name)} END"
            )
        if name in dict(self.templates):
            return f"CASE WHEN {self._taken(name)} THEN {self.made(name)} ELSE {kept} END"
        if name == mapping.native.login and self.templates:
            taken = " OR ".join(self._taken(column) for column, _ in self.templates)
            return f"CASE WHEN {taken} THEN {self.made(name)} ELSE {kept} END"
        if name in self.self_references:
            return (
                f"CASE WHEN EXISTS (SELECT FROM public.{q(mapping.target.table)} AS t"
                f" WHERE t.{q(mapping.target.key)} = {kept})"
                f" OR EXISTS (SELECT FROM archive.{mapping.name}_map AS p"
                f" WHERE p.target_id = {kept}) THEN {kept} END"
            )
        return kept

    @property
    def late_columns(self) -> list[str]:
        """The columns of a subject that the old version must not meet as Down kept them.

        It would let somebody log in by them, or meet them in a constraint. What follows from the
        source row is none of these.
        """
        other = {self.mapping.target.key, *self.copied, *self.by_target}
        late = [name for name in self.mapping.target.columns if name not in other]
        return [*late, *(name for name in self.self_references if name not in late)]

    def given_back_early(self, name: str) -> str:
        """Return what staging puts into a column of a subject that was kept, from ``s m k w``.

        That is what Up puts there, where the late columns are as Up makes them.
        """
        return self.made(name) if name in self.late_columns else self.given_back(name)

    def native_made(self, name: str) -> str:
        """Return what Up puts into an added column of a native, from the row ``x``."""
        rights = self.mapping.native.rights
        if rights and name == rights.flag:
            return f"(x.{q(rights.column)} = {literal(rights.value)})"
        definition = self.mapping.target.adds[name]
        return f"({definition.existing_value})::{definition.type}"

    def native_value(self, name: str) -> str:
        """Return what the next Up gives back to a native, from ``t k b w m s``."""
        mapping = self.mapping
        column, kept = f"t.{q(name)}", f"k.{q(name)}"
        rights = mapping.native.rights
        if name in self.native_columns:
            unchanged = f"record_image_eq(ROW({column}), ROW(b.{q(name)}))"
            if name in self.self_references:
                unchanged += (
                    f" AND EXISTS (SELECT FROM public.{q(mapping.target.table)} AS p"
                    f" WHERE p.{q(mapping.target.key)} = {kept})"
                )
            return f"CASE WHEN {unchanged} THEN {kept} ELSE {column} END"
        if rights and name == rights.flag:
            role = q(rights.column)
            return (
                f"CASE WHEN record_image_eq(ROW(t.{role}), ROW(b.{role})) THEN {kept}"
                f" ELSE t.{role} = {literal(rights.value)} END"
            )
        mapped = self.by_target.get(name)
        if mapped is None:
            return kept
        gone = self._existing(name) if mapped.profile else kept
        return (
            f"CASE WHEN w.source_id IS NULL THEN {kept}"
            f" WHEN s.{q(mapping.source.key)} IS NULL THEN {gone}"
            f" WHEN record_image_eq(ROW(s.{q(mapped.source)}), ROW(w.{q(mapped.source)}))"
            f" THEN {kept}"
            f" ELSE {codecs.forward(mapping, mapped, name, 's')} END"
        )

    def native_down(self, name: str) -> str:
        """Return what Down makes of a native's column, from ``t k`` and ``turn``."""
        mapping = self.mapping
        column = f"t.{q(name)}"
        rights = mapping.native.rights
        if rights and name == rights.column:
            return (
                f"CASE WHEN {column} = {literal(rights.value)} AND NOT k.{q(rights.flag)}"
                f" THEN {literal(rights.without_flag)} ELSE {column} END"
            )
        if name == mapping.native.login:
            return f"{column} AND NOT ({self.locked_out})"
        return (
            f"(SELECT p.{q(mapping.target.key)} FROM public.{q(mapping.target.table)} AS p"
            f" WHERE p.{q(mapping.target.key)} = {column})"
        )

    def changed(self, column: Column) -> str:
        """Return the condition that a column holds something else than the last Up wrote.

        Aliases: ``k`` the target row now, ``g`` and ``h`` what was kept and written by the Down
        before that Up (NULL where nothing was), ``s`` the archived row. A row that was withheld has
        no ``h``: version 10 never saw what was edited, so the base is still the forward image.
        """
        source = f"record_image_eq(ROW(s.{q(column.source)}), ROW(h.{q(column.source)}))"
        given = f"h.source_id IS NOT NULL AND {source}"
        targets = targets_of(column)
        now = ", ".join(f"k.{q(name)}" for name in targets)
        bases = ", ".join(
            f"CASE WHEN {given} THEN g.{q(name)}"
            f" ELSE {codecs.forward(self.mapping, column, name, 's')} END"
            for name in targets
        )
        return f"record_image_ne(ROW({now}), ROW({bases}))"

    def imageless(self, column: Column) -> str:
        """Return the condition that the raw value of ``s`` has no forward image."""
        if not codecs.is_lossy(column):
            return "false"
        (target,) = targets_of(column)
        image = codecs.forward(self.mapping, column, target, "s")
        return f"s.{q(column.source)} IS NOT NULL AND {image} IS NULL"

    @property
    def locked_out(self) -> str:
        """Return the condition that Down ends a native's login, from ``k g`` and ``turn``.

        Soft deletion does, unless version 10 let the native in again afterwards; so does having
        been made in the new version, unless logins are kept.
        """
        key = f"k.{q(self.mapping.target.key)}"
        made = f"NOT {key} <@ turn.natives AND NOT (turn.settings ->> 'keep_logins')::boolean"
        if not self.mapping.native.deleted:
            return made
        again = (
            f"{key} <@ turn.active AND g.{q(self.mapping.target.key)} IS NOT NULL"
            f" AND NOT {self.not_deleted('g')}"
        )
        return f"(NOT {self.not_deleted('k')} AND NOT ({again})) OR ({made})"

    def merged(self, column: Column) -> str:
        """Return what Down makes of a source column, from ``s k m g h`` and ``turn``."""
        source = f"s.{q(column.source)}"
        return (
            f"CASE WHEN NOT {self.changed(column)} THEN {source}"
            f" WHEN turn.settings ->> 'on_conflict' = 'archive' AND ("
            f"{self.imageless(column)} OR m.row_hash IS DISTINCT FROM {self.row_hash})"
            f" THEN {source} ELSE {self.home(column, 'k')} END"
        )

    @property
    def owners_gone(self) -> str:
        """Return a query of the owners, by id, that archived rows name and that are no more."""
        source, target = self.mapping.source, self.mapping.target
        if source.owner is None:
            return ""
        return (
            f"SELECT o.id FROM (SELECT DISTINCT s.{q(source.owner)} AS id"
            f" FROM archive.{q(source.table)} AS s) AS o WHERE o.id IS NOT NULL AND NOT EXISTS"
            f" (SELECT FROM public.{q(target.table)} AS t WHERE t.{q(target.key)} = o.id)"
        )

    def differs(self, alias: str, names: Iterable[str], made: Callable[[str], str]) -> str:
        """Return the condition that a target row holds something else than Up made, to the byte.

        Args:
            alias: the target row.
            names: the columns to compare.
            made: gives the expression of what Up made of a column.
        """
        conditions = []
        for name in names:
            value, kind = f"{alias}.{q(name)}", self.type_of(name)
            if kind == "text":
                condition = f'{value} COLLATE "C" IS DISTINCT FROM {made(name)}'
            elif kind in _EQUAL_MEANS_IDENTICAL or _FIXED_SCALE.fullmatch(kind):
                condition = f"{value} IS DISTINCT FROM {made(name)}"
            else:
                condition = f"record_image_ne(ROW({value}), ROW({made(name)}))"
            conditions.append(condition)
        return "\n            OR ".join(conditions) or "false"

    def touched_by(self, alias: str) -> str:
        """Return when a kept target row was last touched, or the transaction's time."""
        for target, source in self.copied.items():
            if source == self.mapping.source.touched:
                return f"{alias}.{q(target)}"
        return "now()"

    @property
    def native_source_columns(self) -> list[str]:
        """The source columns that Down fills for a native."""
        source = self.mapping.source
        named = {source.key, source.owner, *(column.source for column in self.carried)}
        named |= set(self.copied.values())
        return [name for name in source.columns if name in named]

    def native_source_value(self, name: str) -> str:
        """Return what Down puts into a source column for a native, from ``t`` and ``m``."""
        source = self.mapping.source
        if name == source.key:
            return "m.source_id"
        if name == source.owner:
            return "m.target_id"
        for column in self.carried:
            if column.source == name:
                return self.home(column, "t")
        target = next(t for t, copied in self.copied.items() if copied == name)
        return f"t.{q(target)}"

    def not_deleted(self, alias: str) -> str:
        """Return the condition that a target row is not softly deleted."""
        conditions = [
            f"{alias}.{q(name)} IS NULL"
            if value == "NOT NULL"
            else f"{alias}.{q(name)} IS DISTINCT FROM {literal(value)}"
            for name, value in self.mapping.native.deleted.items()
        ]
        return f"({' AND '.join(conditions)})" if conditions else "true"

    def has_profile(self, alias: str) -> str:
        """Return the condition that a native has a profile of their own."""
        conditions = []
        for column in self.carried:
            if column.profile:
                value = f"{alias}.{q(targets_of(column)[0])}"
                conditions.append(
                    f"{value} <> {literal(column.value)}"
                    if isinstance(column, NullAs)
                    else f"{value} IS NOT NULL"
                )
        return "\n            OR ".join(conditions) if conditions else "false"

    def home(self, column: Column, alias: str) -> str:
        """Return the inverse; a native without a name is called by another column."""
        native = self.mapping.native
        value = codecs.back(self.mapping, column, alias)
        if column.source == native.named and native.named_by is not None:
            return (
                f"CASE WHEN m.kind = 'native' THEN coalesce(nullif({value}, ''),"
                f" {alias}.{q(native.named_by)}) ELSE {value} END"
            )
        return value

    def _existing(self, name: str) -> str:
        definition = self.mapping.target.adds[name]
        return f"({definition.existing_value})::{definition.type}"

    def _taken(self, name: str) -> str:
        return (
            f"EXISTS (SELECT FROM public.{q(self.mapping.target.table)} AS t"
            f" WHERE t.{q(name)} = k.{q(name)})"
        )
