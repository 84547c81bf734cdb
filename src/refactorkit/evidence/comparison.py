"""Rows as they are now against the leaves of a signed tree: which of them are not the same.

Leaves and keys are kept in the archive, section by section, and each section is believed only where
the manifest's own root and digest say so. Where one is not, its rows are verified by the root of
the section alone, and where that fails too, they are named from the first to the last.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from refactorkit.evidence.leaf import (
    Form,
    SortKey,
    is_salted,
    open_row,
    row_of,
    sort_key,
)
from refactorkit.evidence.sections import Section, key_of, open_key
from refactorkit.evidence.tree import SECTION_LEAVES, root


class RowState(StrEnum):
    """What is the matter with a row."""

    EDITED = "was edited"
    UNSALTED = "has lost its salt"
    ADDED = "was added"
    MISSING = "is missing"
    UNTOLD = "cannot be verified: its leaf is gone, and its section is not what it was"


@dataclass(frozen=True, kw_only=True)
class RowFinding:
    """A row that is not verified.

    Attributes:
        state: what is the matter.
        key: as it stands in a row.
        row: as it is now; None where it is missing.
        leaf: that it should have; None where there is none.
    """

    state: RowState
    key: bytes
    row: bytes | None = None
    leaf: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class SignedSections:
    """What the manifest says of the sections of a tree.

    Attributes:
        rows: of the whole tree.
        roots: of the sections.
        keys: digests of their keys.
    """

    rows: int
    roots: Sequence[bytes]
    keys: Sequence[bytes]

    def size(self, number: int) -> int:
        """Return how many leaves a section has."""
        last = len(self.roots) - 1
        return SECTION_LEAVES if number < last else self.rows - SECTION_LEAVES * last

    def trusts(self, section: Section | None, number: int) -> bool:
        """Tell whether a section that was kept is the one that was signed."""
        return (
            section is not None
            and section.keys_digest == self.keys[number]
            and section.root == self.roots[number]
        )


class Comparison:
    """One tree's comparison.

    Attributes:
        verified: rows that are what they were.
        distrusted: sections whose kept leaves or keys are gone or changed.
    """

    def __init__(
        self,
        *,
        form: Form,
        before: bytes,
        signed: SignedSections,
        kept: Callable[[int], Section | None],
    ) -> None:
        """Prepare a comparison.

        Args:
            form: of the rows.
            before: what stands before each row of this tree.
            signed: what the manifest says.
            kept: gives a section by its number, or None where it is gone.
        """
        self._form = form
        self._before = before
        self._signed = signed
        self._kept = kept
        self.verified = 0
        self.distrusted: list[int] = []

    def findings(self, rows: Iterable[bytes]) -> Iterator[RowFinding]:
        """Yield every row that is not verified, in the order of the keys.

        Args:
            rows: in canonical form, in the order of their keys.
        """
        live = _Live(rows, self._form)
        number, sections = 0, len(self._signed.roots)
        while number < sections:
            section = self._trusted(number)
            if section is not None:
                yield from self._against(section, live)
                number += 1
                continue
            first = number
            while number < sections and section is None:
                self.distrusted.append(number)
                number += 1
                section = self._trusted(number) if number < sections else None
            beyond = None if section is None else next(section.entries(self._form))[0]
            yield from self._gap(first, number, live, beyond)
            if section is not None:
                yield from self._against(section, live)
                number += 1
        while (row := live.row) is not None:
            yield RowFinding(state=RowState.ADDED, key=live.key, row=row)
            live.advance()

    def _trusted(self, number: int) -> Section | None:
        section = self._kept(number)
        return section if self._signed.trusts(section, number) else None

    def _against(self, section: Section, live: "_Live") -> Iterator[RowFinding]:
        for key, leaf in section.entries(self._form):
            while live.row is not None and live.key != key and live.is_before(key):
                yield RowFinding(state=RowState.ADDED, key=live.key, row=live.row)
                live.advance()
            if (row := live.row) is None or live.key != key:
                yield RowFinding(state=RowState.MISSING, key=key, leaf=leaf)
                continue
            if sha256(self._before + row).digest() == leaf:
                self.verified += 1
            else:
                state = RowState.EDITED if is_salted(row) else RowState.UNSALTED
                yield RowFinding(state=state, key=key, row=row, leaf=leaf)
            live.advance()

    def _gap(
        self, first: int, end: int, live: "_Live", beyond: bytes | None
    ) -> Iterator[RowFinding]:
        """Verify sections whose leaves are gone, by their roots alone."""
        for number in range(first, end):
            keys: list[bytes] = []
            leaves: list[bytes] = []
            size = self._signed.size(number)
            while len(leaves) < size and live.row is not None and not live.reaches(beyond):
                keys.append(live.key)
                leaves.append(sha256(self._before + live.row).digest())
                live.advance()
            if len(leaves) == size and root(leaves) == self._signed.roots[number]:
                self.verified += size
            else:
                yield from (RowFinding(state=RowState.UNTOLD, key=key) for key in keys)
        while live.row is not None and not live.reaches(beyond):
            yield RowFinding(state=RowState.UNTOLD, key=live.key)
            live.advance()


class _Live:
    """The rows as they are, one at a time."""

    def __init__(self, rows: Iterable[bytes], form: Form) -> None:
        self._rows = iter(rows)
        self._form = form
        self.row: bytes | None = None
        self.key = b""
        self.advance()

    def advance(self) -> None:
        """Go to the next row; ``row`` is None after the last."""
        self.row = next(self._rows, None)
        if self.row is not None:
            self.key = key_of(self.row, self._form)

    def is_before(self, key: bytes) -> bool:
        """Tell whether this row's key comes before another."""
        return self._order(self.key) < self._order(key)

    def reaches(self, key: bytes | None) -> bool:
        """Tell whether this row's key is another or comes after it; None is never reached."""
        return key is not None and not self.is_before(key)

    def _order(self, key: bytes) -> SortKey:
        return sort_key(self._form.key, open_key(key, self._form))


def swaps(edited: Sequence[RowFinding], before: bytes, form: Form) -> dict[bytes, bytes]:
    """Find edited rows that hold what was another edited row's: by key, whose they hold.

    The salts are the other's and the values this row's, all but the key; so a plain exchange of
    values is named, and one where anything else was edited too is not.

    Args:
        edited: findings with rows and leaves; their pairs are all tried.
        before: what stands before each row of this tree.
        form: of the rows.
    """
    parts = len(form.key)
    opened = [
        (finding, open_row(finding.row))
        for finding in edited
        if finding.row is not None and is_salted(finding.row)
    ]
    found = {}
    for holder, here in opened:
        for other, there in opened:
            if other is holder or there.salt is None:
                continue
            fields = (*there.fields[:parts], *here.fields[parts:])
            if sha256(before + row_of(there.salt, fields)).digest() == other.leaf:
                found[holder.key] = other.key
                break
    return found
