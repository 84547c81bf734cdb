"""Merkle trees: RFC 9162's structure, the published values, and proofs that must be rejected.

Leaves and roots are the reference values of Certificate Transparency (RFC 6962), as
transparency-dev/merkle publishes them; so are the four inclusion proofs, in base64. The ways of
spoiling a proof are those of its JSON test vectors.
"""

import base64
from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.evidence.tree import (
    EMPTY_ROOT,
    SECTION_LEAVES,
    Frontier,
    node,
    path,
    path_by_sections,
    root,
    verify_inclusion,
)
from tests.support.verifier import verifier

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
LEAVES = [sha256(b"\x00" + bytes.fromhex(each)).digest() for each in INPUTS]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PROOFS = [
    (0, 8, ["lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
            "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
            "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ="]),
    (5, 8, ["vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=",
            "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=",
            "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc="]),
    (2, 3, ["+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU="]),
    (1, 5, ["bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
            "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
            "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms="]),
]  # fmt: skip
hashes = st.binary(min_size=32, max_size=32)


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(by_definition(leaves[:split]), by_definition(leaves[split:]))


def verified(leaf: bytes, index: int, size: int, proof: list[bytes], expected: bytes) -> bool:
    return verify_inclusion(leaf=leaf, index=index, size=size, proof=proof, expected_root=expected)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size]
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    assert (frontier.root().hex(), frontier.size) == (ROOTS[size], size)


@pytest.mark.parametrize(("index", "size", "proof"), PROOFS)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    decoded = [base64.b64decode(each) for each in proof]
    assert path(LEAVES[:size], index) == decoded
    assert verified(LEAVES[index], index, size, decoded, bytes.fromhex(ROOTS[size]))


@given(st.lists(hashes, max_size=70))
def test_a_stream_and_a_list_have_the_root_of_the_definition(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    assert root(leaves) == by_definition(leaves) == frontier.root()


@given(st.data())
def test_every_leaf_of_a_tree_has_a_proof(data: st.DataObject) -> None:
    leaves = data.draw(st.lists(hashes, min_size=1, max_size=70))
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = path(leaves, index)
    assert len(proof) <= max(0, (len(leaves) - 1).bit_length())
    assert verified(leaves[index], index, len(leaves), proof, root(leaves))


@pytest.mark.parametrize("size", [1, SECTION_LEAVES - 1, SECTION_LEAVES, SECTION_LEAVES + 1,
                                  3 * SECTION_LEAVES + 5])  # fmt: skip
def test_a_path_by_sections_is_the_path_of_the_whole_tree(size: int) -> None:
    leaves = [sha256(n.to_bytes(4)).digest() for n in range(size)]
    parts = [leaves[n : n + SECTION_LEAVES] for n in range(0, size, SECTION_LEAVES)]
    roots = [root(part) for part in parts]
    assert root(roots) == root(leaves)
    for index in {0, size // 2, size - 1, min(size - 1, SECTION_LEAVES)}:
        proof = path_by_sections(parts[index // SECTION_LEAVES], roots, index)
        assert proof == path(leaves, index)
        assert verified(leaves[index], index, size, proof, root(leaves))


def spoiled(
    leaf: bytes, index: int, size: int, proof: list[bytes], expected: bytes
) -> Iterator[tuple[str, tuple[bytes, int, int, list[bytes], bytes]]]:
    """Every way of spoiling one proof."""
    other = sha256(b"other").digest()
    for wrong in (index - 1, index + 1, index ^ 2, index ^ 1, -1, size, 2**63):
        if wrong != index:
            yield f"index {wrong}", (leaf, wrong, size, proof, expected)
    for wrong in (size * 2, size // 2, 0, -size):
        yield f"size {wrong}", (leaf, index, wrong, proof, expected)
    yield "another leaf", (other, index, size, proof, expected)
    yield "a short leaf", (leaf[:31], index, size, proof, expected)
    yield "an empty root", (leaf, index, size, proof, EMPTY_ROOT)
    yield "no root", (leaf, index, size, proof, b"")
    yield "another root", (leaf, index, size, proof, other)
    yield "an empty proof", (leaf, index, size, [], expected)
    yield "trailing garbage", (leaf, index, size, [*proof, b""], expected)
    yield "a trailing hash", (leaf, index, size, [*proof, other], expected)
    yield "a trailing root", (leaf, index, size, [*proof, expected], expected)
    yield "preceding garbage", (leaf, index, size, [b"", *proof], expected)
    yield "a preceding root", (leaf, index, size, [expected, *proof], expected)
    yield "a preceding leaf", (leaf, index, size, [leaf, *proof], expected)
    for place in range(len(proof)):
        rest = proof[:place], proof[place + 1 :]
        yield f"without {place}", (leaf, index, size, [*rest[0], *rest[1]], expected)
        yield f"cut {place}", (leaf, index, size, proof[:place], expected)
        twice = [*rest[0], proof[place], proof[place], *rest[1]]
        yield f"twice {place}", (leaf, index, size, twice, expected)
        for bit in (0, 4, 255):
            number = int.from_bytes(proof[place]) ^ (1 << bit)
            flipped = [*rest[0], number.to_bytes(32), *rest[1]]
            yield f"bit {bit} of {place}", (leaf, index, size, flipped, expected)
    if len(proof) > 1:
        yield "turned round", (leaf, index, size, proof[::-1], expected)


@pytest.mark.parametrize(("index", "size", "proof"), PROOFS)
def test_a_spoiled_proof_is_rejected(index: int, size: int, proof: list[str]) -> None:
    good = [base64.b64decode(each) for each in proof]
    expected = bytes.fromhex(ROOTS[size])
    cases = dict(spoiled(LEAVES[index], index, size, good, expected))
    assert len(cases) > 20
    assert [name for name, case in cases.items() if verified(*case)] == []


@given(st.data())
def test_no_spoiled_proof_of_any_tree_is_accepted(data: st.DataObject) -> None:
    leaves = data.draw(st.lists(hashes, min_size=2, max_size=40, unique=True))
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof = path(leaves, index)
    for name, case in spoiled(leaves[index], index, len(leaves), proof, root(leaves)):
        # The same path can lead from this leaf in a tree of another size, whose root differs too;
        # sizes of one shape are told apart by the signed root, so only the size is left out here.
        if not name.startswith("size "):
            assert not verified(*case), name


@given(st.data())
def test_the_stand_alone_verifier_agrees_also_about_what_is_spoiled(data: st.DataObject) -> None:
    leaves = data.draw(st.lists(hashes, min_size=1, max_size=20))
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, expected = path(leaves, index), root(leaves)
    assert verifier.root_from_path(leaves[index], index, len(leaves), proof) == expected
    for name, (leaf, at, size, hashes_, wanted) in spoiled(
        leaves[index], index, len(leaves), proof, expected
    ):
        if at < 0 or any(len(each) != 32 for each in hashes_):
            continue  # refused where they are read
        try:
            accepted = verifier.root_from_path(leaf, at, size, hashes_) == wanted
        except verifier.Rejected:
            accepted = False
        assert accepted == verified(leaf, at, size, hashes_, wanted), name


@pytest.mark.parametrize(("index", "size"), [(1, 1), (5, 1), (8, 8)])
def test_there_is_no_leaf_beyond_the_tree(index: int, size: int) -> None:
    """With one leaf the path is empty: only the size tells that there is no second one."""
    assert not verified(LEAVES[0], index, size, [], LEAVES[0])
    with pytest.raises(verifier.Rejected, match="no such leaf"):
        verifier.root_from_path(LEAVES[0], index, size, [])


def test_an_inner_node_is_no_leaf() -> None:
    """The second preimage that prefixes are there against: a node given out as a leaf's content."""
    inner = node(LEAVES[0], LEAVES[1])
    assert sha256(b"\x00" + LEAVES[0] + LEAVES[1]).digest() != inner
    assert not verified(inner, 0, 8, path(LEAVES, 0)[1:], bytes.fromhex(ROOTS[8]))
