"""What `archive harden` makes and takes away is no finding; what differs from it is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refactorkit.evidence.manifest import CatalogEntry
from refactorkit.evidence.schema_comparison import IS_GONE, Change

Entry = tuple[str, str]
"""Kind and name, as the catalog's entries have them."""


@dataclass(frozen=True, kw_only=True)
class OwnGuards:
    """What of hardening is there, and what could be.

    Attributes:
        exact: entries that are to the letter what hardening makes.
        families: entries that it makes and takes away together, whether they are there or not.
        known: entries whose definition does not tell all: those that are there must be exact.
        rights: what it gives to its roles, as the entries of rights say it: ``SELECT to role``.
    """

    exact: frozenset[Entry] = frozenset()
    families: tuple[frozenset[Entry], ...] = ()
    known: frozenset[Entry] = frozenset()
    rights: Mapping[Entry, frozenset[str]] = field(default_factory=dict)


def without_own(
    changes: Sequence[Change],
    before: Sequence[CatalogEntry],
    now: Sequence[CatalogEntry],
    own: OwnGuards,
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return the changes that hardening did not make, and what it took away.

    What is gone is excused where all that goes together is gone: a single guard that is missing is
    a finding. Blind spot: whoever takes all of them away does what ``harden --off`` does.

    Args:
        changes: of definitions.
        before: as signed.
        now: as they are.
        own: what of hardening is there.
    """
    old = {(each.kind, each.name): each.definition for each in before}
    new = {(each.kind, each.name): each.definition for each in now}
    off = {entry for family in own.families if not family & new.keys() for entry in family}
    left, gone = [], []
    for change in changes:
        entry = (change.kind, change.name)
        if change.what == IS_GONE and entry in off:
            gone.append(change)
        elif entry in own.exact or (
            change.kind == "right"
            and _items(new.get(entry)) - own.rights.get(entry, frozenset())
            <= _items(old.get(entry))
        ):
            continue
        else:
            left.append(change)
    told = {(change.kind, change.name) for change in left}
    left += [
        Change(kind=kind, name=name, what="is not what archive harden makes")
        for kind, name in sorted(own.known & new.keys() - own.exact - told)
    ]
    return tuple(left), tuple(gone)


def _items(definition: str | None) -> set[str]:
    """Return the rights of an entry, one each; an odd name of a role only makes more of them."""
    return set(definition.split(", ")) if definition else set()
