"""Which rows of the archive a purge may destroy: old, needed no longer, of nobody under hold.

What is still needed: the tables that moved, the pairs, whatever the last Down kept or wrote (the
base of the next turn, in either version), people who return with the next Up, and ids that stay
used. Where a row does not say whose it is, any hold in force keeps it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from refactorkit.mapping.model import Link, Mapping
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.connection import Connection

_LAST_DOWN = "(SELECT max(d.turn) FROM {turns} AS d WHERE d.direction = 'down')"
_HELD_SOURCES = (
    "SELECT h.source_id FROM {holds} AS h WHERE h.releases IS NULL"
    " AND NOT EXISTS (SELECT FROM {holds} AS r WHERE r.releases = h.hold)"
)
_HELD_TARGETS = (
    "SELECT p.target_id FROM {map} AS p WHERE p.source_id IN ({sources})"
    " UNION SELECT p.target_id FROM {past} AS p WHERE p.source_id IN ({sources})"
    " UNION SELECT w.refactorkit_target_id FROM {withheld} AS w WHERE w.{key} IN ({sources})"
)
_HELD_DECISION = (
    "CASE x.table_name WHEN {source} THEN x.row_id IN (SELECT i::text FROM ({sources}) AS s (i))"
    " WHEN {target} THEN x.row_id IN (SELECT i::text FROM ({targets}) AS s (i))"
    " ELSE {any_hold} END"
)
_RETURNS_NO_MORE = (
    "NOT EXISTS (SELECT FROM {living} AS t WHERE t.{living_key} = x.{c})"
    " AND NOT EXISTS (SELECT FROM {map} AS p WHERE p.target_id = x.{c})"
    " AND NOT EXISTS (SELECT FROM {withheld} AS w"
    " WHERE w.refactorkit_target_id = x.{c} AND w.refactorkit_reason = 'soft')"
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Conditions on the rows of a table, which is aliased x.

    Attributes:
        table: of the archive, without schema.
        old: written before the parameter ``before``.
        idle: neither Up nor Down will ask for it again.
        held: it is, or may be, of somebody under legal hold.
    """

    table: str
    old: sql.Composable
    idle: sql.Composable
    held: sql.Composable


def rules(connection: Connection, mapping: Mapping) -> Iterator[Rule]:
    """Yield a rule for each table of which anything may go; holds must have their table."""
    made = _Rules(mapping)
    source, target = mapping.source.table, mapping.target.table
    yield made.decisions()
    yield made.rule(
        f"withheld_{source}",
        "refactorkit_turn",
        sql.SQL("x.refactorkit_reason = 'hard'"),
        made.of_source(mapping.source.key),
    )
    yield made.superseded(f"kept_{target}", "refactorkit_turn", made.of_target(mapping.target.key))
    yield made.superseded(f"written_{source}", "turn", made.of_source("source_id"))
    if exists(connection, f"{mapping.name}_written_{target}"):
        yield made.superseded(f"written_{target}", "turn", made.of_target("target_id"))
    for dependant in mapping.dependant:
        held = made.of_target(dependant.column)
        yield made.superseded(f"kept_{dependant.table}", "refactorkit_turn", held)
    for link in mapping.link:
        yield from made.link(link)
    for brought in mapping.table:
        held = made.of_target(brought.column)
        yield made.rule(f"kept_{brought.table}", "refactorkit_turn", sql.SQL("true"), held)


class _Rules:
    """Makes the conditions for one mapping."""

    def __init__(self, mapping: Mapping) -> None:
        name, source, target = mapping.name, mapping.source, mapping.target
        self._name = name
        self._words: dict[str, sql.Composable] = {
            "turns": sql.Identifier("archive", f"{name}_turns"),
            "map": sql.Identifier("archive", f"{name}_map"),
            "past": sql.Identifier("archive", f"{name}_past"),
            "holds": sql.Identifier("archive", f"{name}_holds"),
            "withheld": sql.Identifier("archive", f"{name}_withheld_{source.table}"),
            "key": sql.Identifier(source.key),
            "living": sql.Identifier("public", target.table),
            "living_key": sql.Identifier(target.key),
            "source": sql.Literal(source.table),
            "target": sql.Literal(target.table),
        }
        self._words["sources"] = sql.SQL(_HELD_SOURCES).format(**self._words)
        self._words["targets"] = sql.SQL(_HELD_TARGETS).format(**self._words)
        self._words["any_hold"] = sql.SQL("EXISTS ({sources})").format(**self._words)
        self._words["last_down"] = sql.SQL(_LAST_DOWN).format(**self._words)

    def rule(self, suffix: str, turn: str, idle: sql.Composable, held: sql.Composable) -> Rule:
        old = sql.SQL("x.{c} IN (SELECT o.turn FROM {turns} AS o WHERE o.at < %(before)s)").format(
            c=sql.Identifier(turn), **self._words
        )
        return Rule(table=f"{self._name}_{suffix}", old=old, idle=idle, held=held)

    def superseded(self, suffix: str, turn: str, held: sql.Composable) -> Rule:
        """What a Down kept or wrote counts until the next Down has done so too."""
        idle = sql.SQL("coalesce(x.{c} < {last_down}, false)").format(
            c=sql.Identifier(turn), **self._words
        )
        return self.rule(suffix, turn, idle, held)

    def decisions(self) -> Rule:
        return Rule(
            table=f"{self._name}_decisions",
            old=sql.SQL("x.at < %(before)s"),
            idle=sql.SQL("true"),
            held=sql.SQL(_HELD_DECISION).format(**self._words),
        )

    def link(self, link: Link) -> Iterator[Rule]:
        if link.adds:
            yield self.superseded(f"kept_{link.table}", "turn", self._words["any_hold"])
        column = sql.Identifier(link.becomes)
        idle = sql.SQL(_RETURNS_NO_MORE).format(c=column, **self._words)
        held = self.of_target(link.becomes)
        yield self.rule(f"withheld_{link.table}", "refactorkit_turn", idle, held)

    def of_source(self, column: str) -> sql.Composed:
        return sql.SQL("x.{c} IN ({sources})").format(c=sql.Identifier(column), **self._words)

    def of_target(self, column: str) -> sql.Composed:
        # NULL is in no list, and nobody's row is held
        return sql.SQL("coalesce(x.{c} IN ({targets}), false)").format(
            c=sql.Identifier(column), **self._words
        )
