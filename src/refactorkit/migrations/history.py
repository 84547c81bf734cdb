"""What the version table says was applied, by goose's rules. Pure: rows in, versions out."""

from dataclasses import dataclass
from functools import cached_property

from refactorkit.errors import NOTHING_CHANGED, RefusedError


@dataclass(frozen=True, kw_only=True)
class AppliedRow:
    """One row of the version table.

    Attributes:
        id: the row's id; a higher one is newer.
        version: the version, 0 in the row that the table is created with.
        applied: whether the row says that the version was applied, or taken back (only older
            versions of goose wrote the latter).
        at: when, as text; None where the table does not know.
    """

    id: int
    version: int
    applied: bool
    at: str | None = None


@dataclass(frozen=True, kw_only=True)
class History:
    """The rows of the version table; none where there is no such table yet.

    Nothing makes a version unique in the table: for each, the row with the highest id decides.

    Attributes:
        rows: in any order.
    """

    rows: tuple[AppliedRow, ...] = ()

    @cached_property
    def newest(self) -> dict[int, AppliedRow]:
        """The newest row of each version, the newest version first."""
        newest: dict[int, AppliedRow] = {}
        for row in sorted(self.rows, key=lambda row: row.id, reverse=True):
            newest.setdefault(row.version, row)
        return newest

    @cached_property
    def newest_first(self) -> tuple[int, ...]:
        """The applied versions, the one that was applied last first: down's order."""
        return tuple(version for version, row in self.newest.items() if row.applied)

    @cached_property
    def applied(self) -> frozenset[int]:
        """The versions whose newest row says applied; 0 is one of them as a rule."""
        return frozenset(self.newest_first)

    @property
    def highest(self) -> int:
        """The highest applied version; 0 where there is none."""
        return max(self.newest_first, default=0)

    @property
    def current(self) -> int:
        """The version that was applied last, which is not always the highest; 0 without rows.

        Raises:
            RefusedError: there are rows and none says applied, not even the one of version 0:
                goose refuses such a table, too.
        """
        if self.newest_first:
            return self.newest_first[0]
        if self.rows:
            raise RefusedError(
                "The version table has rows, but none of them says that its version is applied, "
                "not even the one of version 0: nobody can tell which version the database has.",
                state=NOTHING_CHANGED,
                hint="Restore the table from a backup, or give it the rows of the versions that "
                "the database has, version 0 included.",
            )
        return 0

    def is_applied(self, version: int) -> bool:
        """Whether the newest row of a version says applied."""
        return version in self.applied
