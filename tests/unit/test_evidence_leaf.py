"""The canonical form of a row is unambiguous, and a leaf is of one row of one table."""

import struct
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.evidence.leaf import (
    Column,
    Encoding,
    Form,
    KeyKind,
    is_salted,
    leaf,
    open_row,
    prefix,
    row_of,
    shown_key,
    sort_key,
)
from refactorkit.evidence.sections import Section, UnsaltedError, key_of, open_key, sections
from refactorkit.evidence.tree import SECTION_LEAVES, root

ID = Column(name="id", type="integer", encoding=Encoding.BINARY, key=KeyKind.NUMBER)
NAME = Column(name="name", type="text", encoding=Encoding.BINARY)
FORM = Form(table="archive.patients", columns=(ID, NAME))
SALT = sha256(b"salt").digest()
SNAPSHOT = bytes(range(16))
fields = st.lists(st.none() | st.binary(max_size=12), max_size=6).map(tuple)


def row(number: int, name: bytes | None, salt: bytes = SALT) -> bytes:
    return row_of(salt, (number.to_bytes(4, signed=True), name))


@given(fields, fields)
def test_different_rows_have_different_forms(
    one: tuple[bytes | None, ...], other: tuple[bytes | None, ...]
) -> None:
    assert (row_of(SALT, one) == row_of(SALT, other)) == (one == other)


@given(fields)
def test_a_form_is_taken_apart_into_what_it_was_made_of(row: tuple[bytes | None, ...]) -> None:
    opened = open_row(row_of(SALT, row))
    assert (opened.salt, opened.fields) == (SALT, row)


@given(fields, st.data())
def test_a_form_that_is_cut_or_longer_is_none(
    row: tuple[bytes | None, ...], data: st.DataObject
) -> None:
    form = row_of(SALT, row)
    cut = data.draw(st.integers(2, len(form) - 1))
    for wrong in (form[:cut], form + b"\x00"):
        with pytest.raises(ValueError, match=r"field|bytes"):
            open_row(wrong)


def test_a_leaf_is_what_the_specification_says_byte_for_byte() -> None:
    schema = sha256(
        b"".join(
            struct.pack(">I", len(text)) + text
            for text in (b"rk-schema-v1", b"archive.patients", b"2", b"id", b"integer", b"binary",
                         b"number", b"name", b"text", b"binary", b"")
        )
    ).digest()  # fmt: skip
    whole = (
        b"\x00rk-leaf-v1" + SNAPSHOT + b"\x00\x00\x00\x03" + schema
        + b"\x00\x03" + b"\x00\x00\x00\x20" + SALT
        + b"\x00\x00\x00\x04\x00\x00\x00\x2a" + b"\xff\xff\xff\xff"
    )  # fmt: skip
    before = prefix(snapshot=SNAPSHOT, number=3, form=FORM)
    assert leaf(before, row(42, None)) == sha256(whole).digest()


def test_no_part_of_a_leaf_can_change_without_the_leaf() -> None:
    def made(form: Form = FORM, number: int = 0, snapshot: bytes = SNAPSHOT) -> bytes:
        return prefix(snapshot=snapshot, number=number, form=form)

    leaves = [
        leaf(made(), row(1, b"x")),
        leaf(made(), row(1, b"")),
        leaf(made(), row(1, None)),
        leaf(made(), row(2, b"x")),
        leaf(made(), row(1, b"x", salt=bytes(32))),
        leaf(made(number=1), row(1, b"x")),
        leaf(made(snapshot=bytes(16)), row(1, b"x")),
        leaf(made(replace(FORM, table="public.patients")), row(1, b"x")),
        *(
            leaf(made(replace(FORM, columns=(ID, column))), row(1, b"x"))
            for column in (
                replace(NAME, name="other"),
                replace(NAME, type="bytea"),
                replace(NAME, encoding=Encoding.TEXT),
                replace(NAME, key=KeyKind.TEXT),
            )
        ),
    ]
    assert len(set(leaves)) == len(leaves)


def test_a_row_without_a_salt_makes_no_leaf() -> None:
    unsalted = struct.pack(">H", 3) + b"\xff" * 4 + row(7, b"x")[38:]
    assert not is_salted(unsalted)
    assert open_key(key_of(unsalted, FORM), FORM) == ((7).to_bytes(4),)
    with pytest.raises(UnsaltedError) as caught:
        list(sections([row(1, b"x"), unsalted], b"", FORM))
    assert shown_key(FORM.key, caught.value.key) == "7"


@pytest.mark.parametrize("size", [0, 1, SECTION_LEAVES, SECTION_LEAVES + 1])
def test_sections_hold_every_key_and_leaf_in_order(size: int) -> None:
    rows = [row(number - 5, b"x" * (number % 3)) for number in range(size)]
    made = list(sections(iter(rows), b"before", FORM))
    assert [section.size for section in made] == [SECTION_LEAVES] * (size // SECTION_LEAVES) + (
        [size % SECTION_LEAVES] if size % SECTION_LEAVES else []
    )
    found = [each for section in made for each in section.entries(FORM)]
    assert found == [(key_of(each, FORM), leaf(b"before", each)) for each in rows]
    assert root([section.root for section in made]) == root([entry[1] for entry in found])


def test_a_section_with_more_or_fewer_keys_than_leaves_is_refused() -> None:
    (section,) = sections([row(1, b""), row(2, b"")], b"", FORM)
    for keys in (section.keys[:8], section.keys + section.keys[:8]):
        with pytest.raises(ValueError, match="not as many"):
            list(Section(number=0, keys=keys, leaves=section.leaves).entries(FORM))


def test_keys_of_several_columns_are_found_too() -> None:
    form = Form(
        table="archive.x",
        columns=(
            replace(NAME, key=KeyKind.TEXT, encoding=Encoding.TEXT),
            ID,
            replace(NAME, name="rest"),
        ),
    )
    rows = [
        row_of(SALT, (name, number.to_bytes(4, signed=True), b"rest"))
        for name, number in ((b"", 1), (b"a,b", -1), (b"a,b", 2))
    ]
    (section,) = sections(rows, b"", form)
    keys = [open_key(key, form) for key, _ in section.entries(form)]
    assert [shown_key(form.key, key) for key in keys] == [",1", "a,b,-1", "a,b,2"]
    order = [sort_key(form.key, key) for key in keys]
    assert order == sorted(order)


def test_keys_compare_as_the_server_orders_them() -> None:
    kinds = (KeyKind.NUMBER,)
    numbers = [-(2**31), -1, 0, 1, 2**31 - 1]
    keys = [sort_key(kinds, (n.to_bytes(4, signed=True),)) for n in numbers]
    assert keys == sorted(keys)
    assert sort_key((KeyKind.TEXT,), (b"zz",)) < sort_key((KeyKind.TEXT,), (None,))
