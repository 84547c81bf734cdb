"""The table locks of PostgreSQL: how strong they are, which of them exclude each other, and whom.

Source: PostgreSQL manual, section 13.3.1 "Table-Level Locks", table 13.2.
"""

from enum import StrEnum
from typing import Final


class LockMode(StrEnum):
    """The modes, from the weakest to the strongest, as SQL writes them."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @classmethod
    def of_pg_locks(cls, mode: str) -> "LockMode":
        """Return the mode that ``pg_locks`` writes as ``ShareUpdateExclusiveLock``.

        Raises:
            ValueError: it is none of a table.
        """
        return _BY_PG_LOCKS[mode] if mode in _BY_PG_LOCKS else cls(mode)

    @property
    def rank(self) -> int:
        """Its place, from 0 for the weakest."""
        return _ORDER.index(self)

    @property
    def conflicts(self) -> frozenset["LockMode"]:
        """The modes that nobody else can have or get meanwhile."""
        return _CONFLICTS[self]

    @property
    def blocks(self) -> str:
        """What others cannot do meanwhile, in words."""
        return _BLOCKS[self]


_ORDER: Final = tuple(LockMode)
_BY_PG_LOCKS: Final = {mode.value.title().replace(" ", "") + "Lock": mode for mode in _ORDER}
_FIRST_CONFLICT: Final = {  # each mode conflicts with all from this one on, but for the exceptions
    LockMode.ACCESS_SHARE: LockMode.ACCESS_EXCLUSIVE,
    LockMode.ROW_SHARE: LockMode.EXCLUSIVE,
    LockMode.ROW_EXCLUSIVE: LockMode.SHARE,
    LockMode.SHARE_UPDATE_EXCLUSIVE: LockMode.SHARE_UPDATE_EXCLUSIVE,
    LockMode.SHARE: LockMode.ROW_EXCLUSIVE,
    LockMode.SHARE_ROW_EXCLUSIVE: LockMode.ROW_EXCLUSIVE,
    LockMode.EXCLUSIVE: LockMode.ROW_SHARE,
    LockMode.ACCESS_EXCLUSIVE: LockMode.ACCESS_SHARE,
}
_CONFLICTS: Final = {
    mode: frozenset(_ORDER[first.rank :])
    - ({LockMode.SHARE} if mode is LockMode.SHARE else frozenset())
    for mode, first in _FIRST_CONFLICT.items()
}
_BLOCKS: Final = {
    LockMode.ACCESS_SHARE: "only DROP, TRUNCATE and most of ALTER TABLE",
    LockMode.ROW_SHARE: "no reader and no writer; ALTER TABLE and its like",
    LockMode.ROW_EXCLUSIVE: "no reader and no writer; CREATE INDEX, triggers, foreign keys",
    LockMode.SHARE_UPDATE_EXCLUSIVE: "no reader and no writer; VACUUM, ANALYZE, CREATE INDEX",
    LockMode.SHARE: "writers",
    LockMode.SHARE_ROW_EXCLUSIVE: "writers",
    LockMode.EXCLUSIVE: "writers, and SELECT ... FOR UPDATE",
    LockMode.ACCESS_EXCLUSIVE: "everybody, readers too",
}


def adds_to(held: frozenset[LockMode], mode: LockMode) -> bool:
    """Tell whether a mode keeps out somebody whom the held ones of the same table let through."""
    kept_out = frozenset[LockMode]().union(*(each.conflicts for each in held))
    return not mode.conflicts <= kept_out
