"""Draw people for human eyes, and refer to people without an id."""

from refactorkit.mapping import codecs
from refactorkit.mapping.model import ArchiveOnly, Column, Mapping, targets_of
from refactorkit.mapping.report_rows import Rows
from refactorkit.mapping.sql import identifier as q


def sampled(mapping: Mapping) -> tuple[str, ...]:
    """Return the source columns that ``sample`` has a word for, in order."""
    return tuple(column.source for column in mapping.column)


def sample(rows: Rows) -> str | None:
    """Return a query of reference and array of words, for parameters ``seed`` and ``people``.

    None where nobody is in both tables. The order is by a hash of the seed and the id, so that
    whoever has both draws the same people.
    """
    if not rows.has_both:
        return None
    words = ", ".join(_word(rows.mapping, column) for column in rows.mapping.column)
    key = "m.source_id"
    return (
        f"SELECT {_reference(key)}, ARRAY[{words}]\nFROM {rows.people()}\n"
        f"JOIN archive.{rows.mapping.name}_salts AS z ON z.source_id = {key}\n"
        f"ORDER BY sha256(convert_to(%(seed)s || ':' || {key}, 'UTF8')) LIMIT %(people)s"
    )


def references(mapping: Mapping, *, of_source: bool) -> str:
    """Return a query of id as text and reference, for an array of such texts ``ids``."""
    name = mapping.name
    shown = "z.source_id" if of_source else "m.target_id"
    return (
        f"SELECT {shown}::text, {_reference('z.source_id')}\n"
        f"FROM archive.{name}_salts AS z\n"
        f"LEFT JOIN archive.{name}_map AS m ON m.source_id = z.source_id\n"
        f"WHERE {shown}::text = ANY (%(ids)s)"
    )


def _word(mapping: Mapping, column: Column) -> str:
    if isinstance(column, ArchiveOnly):
        return "'archive only'"
    differs = " OR ".join(
        f"({codecs.inlined(mapping, column, target, 's')})::text"
        f" IS DISTINCT FROM t.{q(target)}::text"
        for target in targets_of(column)
    )
    return f"CASE WHEN {differs} THEN 'differs' ELSE 'as mapped' END"


def _reference(key: str) -> str:
    """Return the expression of a person's reference: it says nothing without her salt."""
    return (
        f"left(encode(sha256(z.salt || convert_to('rk-reference-v1:' || {key}, 'UTF8')),"
        " 'hex'), 16)"
    )
