"""Rows against signed leaves: nothing that changed is verified, nothing that did not is named."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.evidence import comparison as comparing
from refactorkit.evidence import sections as sectioning
from refactorkit.evidence.comparison import (
    Comparison,
    RowFinding,
    RowState,
    SignedSections,
    swaps,
)
from refactorkit.evidence.leaf import Column, Encoding, Form, KeyKind, row_of
from refactorkit.evidence.sections import Section, open_key, sections
from refactorkit.evidence.tree import root

FORM = Form(
    table="archive.x",
    columns=(
        Column(name="id", type="integer", encoding=Encoding.BINARY, key=KeyKind.NUMBER),
        Column(name="value", type="text", encoding=Encoding.BINARY),
    ),
)
BEFORE = b"before"
Rows = dict[int, bytes]


@pytest.fixture(autouse=True, scope="module")
def small_sections() -> Iterator[None]:
    """Sections of four leaves, so that few rows make many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sectioning, "SECTION_LEAVES", 4)
        patch.setattr(comparing, "SECTION_LEAVES", 4)
        yield


def salt(key: int) -> bytes:
    return key.to_bytes(32, signed=True)


def row(key: int, value: bytes) -> bytes:
    return row_of(salt(key), (key.to_bytes(4, signed=True), value))


def stream(rows: Rows) -> list[bytes]:
    return [row(key, rows[key]) for key in sorted(rows)]


def kept_of(rows: Rows) -> tuple[list[Section], SignedSections]:
    kept = list(sections(stream(rows), BEFORE, FORM))
    signed = SignedSections(
        rows=len(rows),
        roots=[section.root for section in kept],
        keys=[section.keys_digest for section in kept],
    )
    return kept, signed


def compare(
    before: Rows, now: Rows, spoiled: dict[int, Section | None] | None = None
) -> tuple[Comparison, dict[int, RowFinding]]:
    kept, signed = kept_of(before)
    sections_now: dict[int, Section | None] = {**dict(enumerate(kept)), **(spoiled or {})}
    made = Comparison(form=FORM, before=BEFORE, signed=signed, kept=sections_now.get)
    found = {}
    for finding in made.findings(iter(stream(now))):
        (number,) = open_key(finding.key, FORM)
        assert number is not None
        found[int.from_bytes(number, signed=True)] = finding
    return made, found


rows_of_any_kind = st.dictionaries(
    st.integers(-20, 20), st.sampled_from([b"", b"a", b"b"]), max_size=25
)


@given(rows_of_any_kind, rows_of_any_kind)
def test_every_difference_is_named_and_nothing_else(before: Rows, now: Rows) -> None:
    made, found = compare(before, now)
    expected = dict.fromkeys(now.keys() - before.keys(), RowState.ADDED)
    expected |= dict.fromkeys(before.keys() - now.keys(), RowState.MISSING)
    expected |= {
        key: RowState.EDITED for key in now.keys() & before.keys() if now[key] != before[key]
    }
    assert {key: finding.state for key, finding in found.items()} == expected
    assert made.verified == sum(before.get(key) == value for key, value in now.items())
    assert made.distrusted == []


@given(rows_of_any_kind, rows_of_any_kind, st.data())
def test_leaves_that_are_gone_or_edited_are_not_believed(
    before: Rows, now: Rows, data: st.DataObject
) -> None:
    kept, _ = kept_of(before)
    spoiled: dict[int, Section | None] = {}
    for section in kept:
        how = data.draw(st.sampled_from(["kept", "gone", "leaf", "keys", "forged"]))
        if how == "gone":
            spoiled[section.number] = None
        elif how == "leaf":
            spoiled[section.number] = replace(
                section, leaves=bytes([section.leaves[0] ^ 1]) + section.leaves[1:]
            )
        elif how == "keys":
            spoiled[section.number] = replace(
                section, keys=section.keys[:-1] + bytes([section.keys[-1] ^ 1])
            )
        elif how == "forged" and now:
            # Whoever edits rows may edit the leaves with them: only the signature tells.
            forged = next(sections(stream(now), BEFORE, FORM))
            if forged != section:
                spoiled[section.number] = replace(forged, number=section.number)
    made, found = compare(before, now, spoiled)
    assert made.distrusted == sorted(spoiled)
    changed = {key for key, value in now.items() if before.get(key) != value}
    assert changed <= found.keys()
    assert made.verified <= sum(before.get(key) == value for key, value in now.items())
    assert made.verified + len(found.keys() & now.keys()) == len(now)


@given(rows_of_any_kind, st.data())
def test_untouched_rows_are_verified_without_any_leaf(before: Rows, data: st.DataObject) -> None:
    kept, _ = kept_of(before)
    gone: dict[int, Section | None] = {
        section.number: None for section in kept if data.draw(st.booleans())
    }
    made, found = compare(before, before, gone)
    assert (found, made.verified) == ({}, len(before))


def test_a_row_that_lost_its_salt_is_not_verified() -> None:
    kept, signed = kept_of({1: b"a", 2: b"b"})
    made = Comparison(form=FORM, before=BEFORE, signed=signed, kept=lambda n: kept[n])
    unsalted = row(2, b"b")[:2] + b"\xff" * 4 + row(2, b"b")[38:]
    (finding,) = made.findings([row(1, b"a"), unsalted])
    assert finding.state is RowState.UNSALTED
    assert made.verified == 1


@given(
    st.dictionaries(st.integers(0, 9), st.binary(min_size=1, max_size=3), min_size=2, max_size=6),
    st.data(),
)
def test_whose_values_a_row_holds_is_found(before: Rows, data: st.DataObject) -> None:
    one, other = data.draw(st.permutations(sorted(before)).map(lambda keys: keys[:2]))
    now = before | {one: before[other], other: before[one]}
    _, found = compare(before, now)
    held = {
        int.from_bytes(key[4:], signed=True): int.from_bytes(whose[4:], signed=True)
        for key, whose in swaps(list(found.values()), BEFORE, FORM).items()
    }
    assert held == ({} if before[one] == before[other] else {one: other, other: one})


def test_the_empty_tree_has_no_row() -> None:
    made, found = compare({}, {3: b"x"})
    assert {key: finding.state for key, finding in found.items()} == {3: RowState.ADDED}
    assert root([]) == root(kept_of({})[1].roots)
    assert made.verified == 0
