"""Cheap fingerprints of both tables of a refactor: 64 bits a row, XORed.

Up and Down record them in their own transaction, and evidence that is made afterwards computes them
again, by the same expressions: where they are the same, leaves were made of exactly what the change
left behind. Against accidents, not against people: whoever wants to can make two states agree.
"""

from enum import StrEnum

from refactorkit.mapping.column_types import has_hash
from refactorkit.mapping.expressions import Expressions
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.model import Direction

_BREAK = "\n                "
WRITTEN = "refactorkit.written"
"""The setting that holds the keys of rows that were written since, as an array's text."""
_KEYS = f"(SELECT pg_catalog.unnest(pg_catalog.current_setting('{WRITTEN}')::bigint[]))"


class Rows(StrEnum):
    """Which rows are looked at."""

    ALL = ""
    OTHERS = "NOT IN"
    """All but those whose keys ``WRITTEN`` holds."""
    WRITTEN = "IN"
    """Those alone; of the target also who is no native."""


def source_side(mapping: Mapping, after: Direction, rows: Rows = Rows.ALL) -> str:
    """Return a query of the rows of the source and their fingerprint, where they lie now."""
    schema = "archive" if after is Direction.UP else "public"
    where = "" if rows is Rows.ALL else f" WHERE s.{q(mapping.source.key)} {rows} {_KEYS}"
    return (
        f"SELECT count(*), coalesce(bit_xor({Expressions(mapping).row_hash}), 0)"
        f" FROM {schema}.{q(mapping.source.table)} AS s{where}"
    )


def native_hash(mapping: Mapping) -> str:
    """Return the fingerprint of the columns that a row ``t`` of the target had before."""
    hashed = ", ".join(
        f"t.{q(name)}" if has_hash(column.type) else f"t.{q(name)}::text"
        for name, column in mapping.target.columns.items()
    )
    return f"hash_record_extended(ROW({hashed}), 0)"


def target_side(mapping: Mapping, after: Direction, turn: str, rows: Rows = Rows.ALL) -> str:
    """Return a query of the natives and the fingerprint of the columns that they had before.

    Args:
        mapping: of the refactor.
        after: the direction of the turn; after Down, everybody in the target is a native.
        turn: an expression of the turn's number; natives are those that it noted.
        rows: which of them.
    """
    key, target = q(mapping.target.key), f"public.{q(mapping.target.table)} AS t"
    lines = [f"SELECT count(*), coalesce(bit_xor({native_hash(mapping)}), 0)", f"FROM {target}"]
    written = f"t.{key} {rows} {_KEYS}"
    if rows is Rows.WRITTEN:
        return _BREAK.join([*lines, f"WHERE {written}"])
    if after is Direction.UP:
        # Range by range, so that the many subjects between the natives are not looked at.
        lines[1:] = [
            f"FROM archive.{mapping.name}_turns AS u",
            "CROSS JOIN LATERAL unnest(u.natives) AS r (ids)",
            f"JOIN {target} ON t.{key} >= lower(r.ids) AND t.{key} < upper(r.ids)",
            f"WHERE u.turn = {turn}",
        ]
    if rows is Rows.OTHERS:
        lines.append(f"{'AND' if after is Direction.UP else 'WHERE'} {written}")
    return _BREAK.join(lines)
