"""Hide small counts, and those from which they could be reckoned.

A class that fewer than five people are in says something about each of them to whoever knows one.
The total is known, so a single hidden class could be taken from it: others are hidden with it, the
smallest first, until what is hidden is two classes or more and ten people or more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FEW: Final = 5
_TOGETHER: Final = 2 * FEW
HIDDEN_SOME: Final = (
    "Hidden: classes of fewer than 5 people, and others with them from which those could be"
    " reckoned."
)
CHANGED_FEW: Final = (
    "After is not shown: so few values changed that the difference to before would tell of single"
    " people. The reconciliation counts them."
)


@dataclass(frozen=True, kw_only=True)
class Masked:
    """What may be shown; None is hidden.

    Attributes:
        before: one for each class.
        after: likewise; all None where it is not shown at all.
        note: why something is hidden; empty where nothing is.
    """

    before: tuple[int | None, ...]
    after: tuple[int | None, ...]
    note: str


def masked(before: Sequence[int], after: Sequence[int] | None) -> Masked:
    """Hide what tells of few people, in both at once.

    Args:
        before: people in each class.
        after: the same classes later; None where there is none.
    """
    nothing: tuple[None, ...] = (None,) * len(before)
    shown = list(before)
    notes = []
    if after is not None:
        changes = [abs(b - a) for b, a in zip(before, after, strict=True)]
        if any(0 < change < FEW for change in changes):
            after = None
            notes.append(CHANGED_FEW)
        else:
            # One mask for both, by the smaller of the two.
            shown = [min(pair) or max(pair) for pair in zip(before, after, strict=True)]
    hidden = _hidden(shown)
    if hidden:
        notes.append(HIDDEN_SOME)
    return Masked(
        before=_without(before, hidden),
        after=nothing if after is None else _without(after, hidden),
        note=" ".join(notes),
    )


def _hidden(counts: Sequence[int]) -> set[int]:
    """Return the places of what must not be shown."""
    hidden = {place for place, count in enumerate(counts) if 0 < count < FEW}
    others = sorted(
        (place for place, count in enumerate(counts) if place not in hidden),
        key=lambda place: (counts[place] == 0, counts[place], place),
    )
    for place in others:
        if not hidden:
            break
        if len(hidden) > 1 and sum(counts[each] for each in hidden) >= _TOGETHER:
            break
        hidden.add(place)
    return hidden


def _without(counts: Sequence[int], hidden: set[int]) -> tuple[int | None, ...]:
    return tuple(None if place in hidden else count for place, count in enumerate(counts))
