"""What a mapping keeps in the archive: each table, what is in it, and when it got there."""

from dataclasses import dataclass
from enum import StrEnum

from refactorkit.mapping.model import Mapping

_OWN = ("refactorkit_turn", "refactorkit_kind", "refactorkit_reason", "refactorkit_target_id")


class Person(StrEnum):
    """Which id a column of a kept table holds."""

    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One table of schema ``archive``.

    Attributes:
        table: its name, without the schema.
        holds: what is in it, a few words.
        versions: the versions in which rows lie there.
        turn: the column that says which Up or Down wrote a row; None where none does.
        person: the column that says whose row it is, and which id that is; None where only the
            row's own key is known.
        secret: columns that whoever may read the archive must not see.
        known: columns that may be there; None: all but the secret ones are harmless.
        is_moved: the table itself moves between ``public`` and ``archive``.
        is_log: it says what was done, and nothing of anybody: erasing has no business there.
    """

    table: str
    holds: str
    versions: tuple[int, ...]
    turn: str | None = None
    person: tuple[str, Person] | None = None
    secret: tuple[str, ...] = ()
    known: tuple[str, ...] | None = None
    is_moved: bool = False
    is_log: bool = False


def kept(mapping: Mapping) -> tuple[Kept, ...]:
    """Return every table that may lie in the archive because of this mapping.

    Some of them only come with an Up of a newer refactorkit, or lie there in one version alone.
    """
    name, source, target = mapping.name, mapping.source, mapping.target
    new, old = mapping.version, mapping.version - 1
    both = (old, new)
    whole = f"{name}_kept_{target.table}"
    tables = [
        Kept(
            table=source.table,
            holds="the table itself, moved",
            versions=(new,),
            person=(source.key, Person.SOURCE),
            is_moved=True,
        ),
        Kept(table=f"{name}_turns", holds="every Up and Down", versions=both, turn="turn"),
        Kept(
            table=f"{name}_map",
            holds=f"pairs of {source.table} and {target.table}",
            versions=both,
            turn="turn",
            person=("source_id", Person.SOURCE),
        ),
        Kept(
            table=f"{name}_past",
            holds="pairs that are no more: their ids stay used",
            versions=both,
            turn="turn",
            person=("source_id", Person.SOURCE),
        ),
        Kept(table=f"{name}_decisions", holds="what gave way to what", versions=both, turn="turn"),
        Kept(table=f"{name}_holds", holds="legal holds and their ends", versions=both),
        Kept(table=f"{name}_purges", holds="what was destroyed, when, and why", versions=both),
        log_of_operations(name, both),
        Kept(
            table=f"{name}_former_writes",
            holds=f"what version {old} wrote beside version {new}: keys and times",
            versions=both,
            turn="turn",
        ),
        Kept(table=f"{name}_tombstones", holds="who was erased", versions=both),
        Kept(table=f"{name}_tombstone_signatures", holds="what was signed of that", versions=both),
        Kept(
            table=whole,
            holds=f"rows of {target.table} that differ from what Up made",
            versions=both,
            turn="refactorkit_turn",
            person=(target.key, Person.TARGET),
            secret=tuple(target.secret),
            known=(*_OWN, *target.columns, *target.adds),
        ),
        Kept(
            table=f"{name}_written_{source.table}",
            holds="what Down wrote: the base of the next merge",
            versions=both,
            turn="turn",
            person=("source_id", Person.SOURCE),
        ),
        Kept(
            table=f"{name}_written_{target.table}",
            holds="what Down wrote: the base of the next merge",
            versions=both,
            turn="turn",
            person=("target_id", Person.TARGET),
            secret=tuple(target.secret),
        ),
        Kept(
            table=f"{name}_withheld_{source.table}",
            holds=f"rows deleted in version {new}",
            versions=both,
            turn="refactorkit_turn",
            person=(source.key, Person.SOURCE),
            known=(*_OWN, *source.columns),
        ),
        Kept(table=f"{name}_triggers", holds="nothing outside an Up or Down", versions=both),
        Kept(table=f"{name}_indexes", holds="nothing outside an Up or Down", versions=both),
    ]
    tables += [
        Kept(
            table=f"{name}_kept_{dependant.table}",
            holds=f"rows of {dependant.table} that followed a subject",
            versions=both,
            turn="refactorkit_turn",
            person=(dependant.column, Person.TARGET),
            secret=tuple(dependant.secret),
        )
        for dependant in mapping.dependant
    ]
    for link in mapping.link:
        tables += [
            Kept(
                table=f"{name}_kept_{link.table}",
                holds=f"columns of {link.table} that version {old} lacks",
                versions=both,
                turn="turn",
            ),
            Kept(
                table=f"{name}_withheld_{link.table}",
                holds=f"{link.table} of people deleted in version {new}",
                versions=both,
                turn="refactorkit_turn",
                person=(link.becomes, Person.TARGET),
            ),
        ]
    for brought in mapping.table:
        tables += [
            Kept(
                table=brought.table,
                holds="the table itself, moved",
                versions=(old,),
                person=(brought.column, Person.TARGET),
                is_moved=True,
            ),
            Kept(
                table=f"{name}_kept_{brought.table}",
                holds=f"rows of {brought.table} whose {target.table} row did not return",
                versions=both,
                turn="refactorkit_turn",
                person=(brought.column, Person.TARGET),
            ),
        ]
    return tuple(tables)


def log_of_operations(name: str, versions: tuple[int, ...] = ()) -> Kept:
    """Return the log of operations of a refactor, whose mapping need not be known.

    Args:
        name: the refactor's prefix in the archive.
        versions: the two between which it stands.
    """
    return Kept(
        table=f"{name}_operations",
        holds="exports, imports and hardening of the archive",
        versions=versions,
        is_log=True,
    )
