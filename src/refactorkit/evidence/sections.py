"""Leaves in sections of 4096: what is kept of each tree, and how rows become it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from refactorkit.evidence.leaf import (
    KEY_OFFSET,
    NUMBER_BYTES,
    SALT_BYTES,
    Encoding,
    Form,
    Key,
    is_salted,
    row_head,
    split_fields,
)
from refactorkit.evidence.tree import HASH_BYTES, SECTION_LEAVES, root


@dataclass(frozen=True, kw_only=True)
class Section:
    """Consecutive leaves of a tree.

    Attributes:
        number: from 0; all sections but the last are full.
        keys: the keys of their rows, as fields with their lengths, one after the other.
        leaves: their hashes, one after the other.
    """

    number: int
    keys: bytes
    leaves: bytes

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self.leaves) // HASH_BYTES

    @property
    def hashes(self) -> list[bytes]:
        """The hashes of the leaves."""
        return [
            self.leaves[start : start + HASH_BYTES]
            for start in range(0, len(self.leaves), HASH_BYTES)
        ]

    @property
    def root(self) -> bytes:
        """The root over the section's leaves."""
        return root(self.hashes)

    @property
    def keys_digest(self) -> bytes:
        """SHA-256 of the keys, which the leaves alone do not tell."""
        return sha256(self.keys).digest()

    def entries(self, form: Form) -> Iterator[tuple[bytes, bytes]]:
        """Yield each leaf's key, as it stands in a row, and its hash.

        Raises:
            ValueError: there are not as many keys as leaves.
        """
        end_of, offset = _end_of_key(form), 0
        for leaf in self.hashes:
            end = end_of(self.keys, offset)
            yield self.keys[offset:end], leaf
            offset = end
        if offset != len(self.keys) or len(self.leaves) % HASH_BYTES:
            raise ValueError("keys and leaves of a section are not as many")


class UnsaltedError(Exception):
    """A row has no salt: a leaf of it would let it be guessed."""

    def __init__(self, key: Key) -> None:
        super().__init__("a row has no salt")
        self.key = key


def sections(
    rows: Iterable[bytes],
    before: bytes,
    form: Form,
    *,
    mend: Callable[[bytes], bytes] | None = None,
) -> Iterator[Section]:
    """Turn rows, in the order of their keys, into sections; one at a time is in memory.

    Args:
        rows: in canonical form.
        before: what stands before each row of this tree.
        form: of the rows.
        mend: gives a row without a salt one; None where there may be none such.

    Raises:
        UnsaltedError: a row has no salt.
    """
    head, end_of = row_head(form), _end_of_key(form)
    number = 0
    keys: list[bytes] = []
    leaves: list[bytes] = []
    add_key, add_leaf = keys.append, leaves.append  # a million times a tree: each look-up counts
    for row in rows:
        if not row.startswith(head):
            if mend is None:
                raise UnsaltedError(open_key(key_of(row, form), form))
            row = mend(row)  # noqa: PLW2901
        add_key(row[KEY_OFFSET : end_of(row, KEY_OFFSET)])
        add_leaf(sha256(before + row).digest())
        if len(leaves) == SECTION_LEAVES:
            yield Section(number=number, keys=b"".join(keys), leaves=b"".join(leaves))
            number += 1
            keys.clear()
            leaves.clear()
    if leaves:
        yield Section(number=number, keys=b"".join(keys), leaves=b"".join(leaves))


def key_of(row: bytes, form: Form) -> bytes:
    """Return the key of a row, as it stands in it; the row may be without a salt."""
    start = KEY_OFFSET if is_salted(row) else KEY_OFFSET - SALT_BYTES
    return row[start : _end_of_key(form)(row, start)]


def open_key(key: bytes, form: Form) -> Key:
    """Take a key apart.

    Raises:
        ValueError: it is none of this form.
    """
    fields, _ = split_fields(key, 0, len(form.key))
    return tuple(fields)


def _end_of_key(form: Form) -> Callable[[bytes, int], int]:
    """Return what finds where a key ends that begins at an offset."""
    parts = len(form.key)

    def walk(data: bytes, offset: int) -> int:
        for _ in range(parts):
            offset += 4 + max(int.from_bytes(data[offset : offset + 4], signed=True), 0)
        return offset

    first = form.columns[0]
    if parts == 1 and first.encoding is Encoding.BINARY and first.type in NUMBER_BYTES:
        width = 4 + NUMBER_BYTES[first.type]  # a key is never NULL
        return lambda _data, offset: offset + width
    return walk
