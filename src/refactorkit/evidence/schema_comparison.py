"""Definitions and sequences as they were signed, against what they are now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from refactorkit.evidence.manifest import CatalogEntry, SequenceEntry

_FUNCTION = "function of the archive"
_RELATION = "relation of the archive"
_RIGHT = "right"

MOVED_ON: Final = "was moved on"
IS_GONE: Final = "is gone"


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is not as it was.

    Attributes:
        kind: of thing.
        name: with its schema.
        what: two or three words.
    """

    kind: str
    name: str
    what: str


def changed_definitions(
    before: Sequence[CatalogEntry],
    now: Sequence[CatalogEntry],
    *,
    growing: Collection[str],
    same_major: bool,
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return what was changed, and what cannot be compared.

    Rights that are gone are no finding: a restored dump has none. A function is told by the
    server's own words, which may be others in another major version.

    Args:
        before: as signed.
        now: as they are.
        growing: tables of the archive that may come later.
        same_major: whether the same major version of the server tells of both.
    """
    old = {(each.kind, each.name): each.definition for each in before}
    new = {(each.kind, each.name): each.definition for each in now}
    changes, untold = [], []
    for key in sorted(old.keys() | new.keys()):
        kind, name = key
        if old.get(key) == new.get(key):
            continue
        if key not in new:
            if kind != _RIGHT:
                changes.append(Change(kind=kind, name=name, what=IS_GONE))
        elif key not in old:
            if not (kind == _RELATION and name in growing):
                changes.append(Change(kind=kind, name=name, what="was added"))
        elif kind == _FUNCTION and not same_major:
            untold.append(Change(kind=kind, name=name, what="is told in other words"))
        elif kind == "trigger state":
            changes.append(Change(kind=kind, name=name, what=f"is now {new[key]}"))
        else:
            changes.append(Change(kind=kind, name=name, what="was changed"))
    return tuple(changes), tuple(untold)


def moved_sequences(
    before: Sequence[SequenceEntry], now: Sequence[SequenceEntry]
) -> tuple[Change, ...]:
    """Return which sequences are gone, went backward, or moved in the archive, where none may."""
    positions = {each.name: each.last for each in now}
    found = []
    for sequence in before:
        last = positions.get(sequence.name)
        if last is None:
            what = "is gone"
        elif last < sequence.last:
            what = "was set back"
        elif last > sequence.last and sequence.name.startswith("archive."):
            what = MOVED_ON
        else:
            continue
        found.append(Change(kind="sequence position", name=sequence.name, what=what))
    return tuple(found)
