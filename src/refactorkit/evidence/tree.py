"""Merkle trees as RFC 9162, section 2.1 has them: roots, inclusion paths, and their verification.

A leaf's hash comes from ``leaf``; here it is 32 bytes. An inner node is SHA-256(0x01 || left ||
right). The tree over n leaves splits at the largest power of two below n, which is the same as
pairing neighbours level by level and carrying an odd last one up unchanged.

Leaves are kept in sections of a power of two, so that each full section is a subtree and the tree
over the roots of the sections is the upper part of the tree over all leaves.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
SECTION_LEAVES: Final = 4096  # a power of two
EMPTY_ROOT: Final = sha256(b"").digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of leaves, or over those of full subtrees of one height."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


class Frontier:
    """The root over a stream of leaves (or of subtrees of one height), in O(log n) memory."""

    def __init__(self) -> None:
        """Begin with no leaf."""
        self._subtrees: list[bytes | None] = []
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add the next leaf."""
        self.size += 1
        for height, waiting in enumerate(self._subtrees):
            if waiting is None:
                self._subtrees[height] = leaf
                return
            leaf = node(waiting, leaf)
            self._subtrees[height] = None
        self._subtrees.append(leaf)

    def root(self) -> bytes:
        """Return the root over what was added so far; more may be added."""
        found: bytes | None = None
        for subtree in self._subtrees:
            if subtree is not None:
                found = subtree if found is None else node(subtree, found)
        return EMPTY_ROOT if found is None else found


def path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the inclusion path of one leaf, from the leaf's sibling up.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise IndexError(index)
    level, found = list(hashes), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            found.append(level[sibling])
        level, index = _parents(level), index >> 1
    return found


def path_by_sections(
    section: Sequence[bytes], section_roots: Sequence[bytes], index: int
) -> list[bytes]:
    """Return the inclusion path of one leaf in a tree of which only its own section is at hand.

    Args:
        section: the leaves of the section that the leaf is in.
        section_roots: the roots of all sections, in order.
        index: of the leaf, in the whole tree.

    Raises:
        IndexError: there is no such leaf.
    """
    number, within = divmod(index, SECTION_LEAVES)
    return path(section, within) + path(section_roots, number)


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Iterable[bytes], expected_root: bytes
) -> bool:
    """Tell whether the leaf stands at this index of the tree with this size and root.

    RFC 9162, section 2.1.3.2. Size and root must be those that were signed, never ones that came
    with the proof.
    """
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        return False
    number, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != HASH_BYTES:
            return False
        if number & 1 or number == last:
            found = node(sibling, found)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            found = node(found, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and found == expected_root


def _parents(level: Sequence[bytes]) -> list[bytes]:
    pairs = [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    if len(level) % 2:
        pairs.append(level[-1])
    return pairs
