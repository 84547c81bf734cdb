"""New salts: one for each row, and what is stored is what the rows were hashed with."""

import struct
from io import BytesIO

import pytest

from refactorkit.evidence.leaf import Column, Encoding, Form, KeyKind, open_row
from refactorkit.postgres.salts import NewSalts

FORM = Form(
    table="archive.patients",
    columns=(
        Column(name="id", type="bigint", encoding=Encoding.BINARY, key=KeyKind.NUMBER),
        Column(name="name", type="text", encoding=Encoding.TEXT),
    ),
)
STORED_ROW = 2 + 4 + 32 + 4 + 8  # bytes: the number of fields, the salt, the key


def key(number: int) -> bytes:
    return struct.pack(">q", number)


def unsalted(number: int) -> bytes:
    return struct.pack(">HIqI", 2, 8, number, 3) + b"Ada"


def without_salt(number: int) -> bytes:
    """Return a row as a join finds it that has no salt for it: NULL."""
    return struct.pack(">HiIqI", 3, -1, 8, number, 3) + b"Ada"


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 200_000])
def test_each_row_is_hashed_with_the_salt_that_is_stored_for_it(count: int) -> None:
    new, stored, most = NewSalts(file=BytesIO()), bytearray(), 0

    def store() -> None:
        nonlocal most
        most = max(most, new.file.tell())
        new.file.seek(0)
        stored.extend(new.file.read())
        new.file.seek(0)
        new.file.truncate()

    found = list(new.anew(map(unsalted, range(count)), FORM, full=store))
    store()
    salts = set()
    assert len(stored) == count * STORED_ROW
    for number, row in enumerate(found):
        opened = open_row(row)
        assert opened.salt is not None
        assert opened.fields == (key(number), b"Ada")
        kept = open_row(bytes(stored[number * STORED_ROW : (number + 1) * STORED_ROW]))
        assert (kept.salt, *kept.fields) == (opened.salt, key(number))
        salts.add(opened.salt)
    assert len(salts) == count
    assert most < 5 * 2**20  # bytes: the file has more in memory, and does not reach a disk


def test_a_row_that_a_join_found_no_salt_for_is_stored_alike() -> None:
    new = NewSalts(file=BytesIO())
    row = open_row(new.mending(FORM)(without_salt(7)))
    new.file.seek(0)
    kept = open_row(new.file.read())
    assert row.salt is not None
    assert row.fields == (key(7), b"Ada")
    assert (kept.salt, *kept.fields) == (row.salt, key(7))
