"""A row as bytes, and the hash of it: the leaves of the trees.

The canonical form of a row is what the server sends for ``COPY ... TO STDOUT (FORMAT BINARY)`` with
client_encoding UTF8: the number of fields (u16), then for each field its length (i32, -1 for NULL)
and its bytes. It is unambiguous, because each field says how long it is; it tells 1.10 from 1.1,
-0 from 0 and NULL from the empty text; and no setting changes it. The first field is the salt, then
come the columns of the key, then all others in the order of the table.

    leaf = SHA-256(0x00 || "rk-leaf-v1" || snapshot (16 bytes) || number of the tree (u32)
                   || schema hash (32 bytes) || the row: salt, key, other columns)

Everything before the row has a fixed length. The schema hash says which table, which columns, of
which types, and which of them travel as text: types whose wire bytes hold OIDs, that differ from
database to database, are sent as their text under pinned settings.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

VERSION: Final = b"rk-leaf-v1"
SALT_BYTES: Final = 32
SNAPSHOT_BYTES: Final = 16
FIRST_FIELD: Final = 2  # bytes: the number of fields stands before it
KEY_OFFSET: Final = FIRST_FIELD + 4 + SALT_BYTES
NUMBER_BYTES: Final = {"smallint": 2, "integer": 4, "bigint": 8}
NO_LENGTH: Final = 0xFFFFFFFF
_SALTED: Final = struct.pack(">I", SALT_BYTES)


class Encoding(StrEnum):
    """How a column travels."""

    BINARY = "binary"
    TEXT = "text"


class KeyKind(StrEnum):
    """How a column of the key is compared with others of its kind."""

    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table, as its rows are hashed.

    Attributes:
        name: of the column.
        type: as ``format_type`` prints it.
        encoding: its bytes on the wire, or those of its text.
        key: how it is compared, where it is of the key; else None.
    """

    name: str
    type: str
    encoding: Encoding
    key: KeyKind | None = None


@dataclass(frozen=True, kw_only=True)
class Form:
    """The canonical form of a table's rows.

    Attributes:
        table: with its schema.
        columns: those of the key first.
    """

    table: str
    columns: tuple[Column, ...]

    @cached_property
    def digest(self) -> bytes:
        """The schema hash: SHA-256 over each text of the form, with its length before it."""
        texts = ["rk-schema-v1", self.table, str(len(self.columns))]
        for column in self.columns:
            texts += [column.name, column.type, column.encoding, column.key or ""]
        parts = (text.encode() for text in texts)
        return sha256(b"".join(struct.pack(">I", len(part)) + part for part in parts)).digest()

    @cached_property
    def key(self) -> tuple[KeyKind, ...]:
        """How the columns of the key are compared."""
        return tuple(column.key for column in self.columns if column.key is not None)


def prefix(*, snapshot: bytes, number: int, form: Form) -> bytes:
    """Return what stands before every row of one tree.

    Args:
        snapshot: which evidence the tree is of.
        number: of the tree in its manifest.
        form: of the table's rows.
    """
    if len(snapshot) != SNAPSHOT_BYTES:
        raise ValueError("a snapshot is named by 16 bytes")
    return b"\x00" + VERSION + snapshot + struct.pack(">I", number) + form.digest


def leaf(before: bytes, row: bytes) -> bytes:
    """Return a row's leaf, from what stands before it and its canonical form."""
    return sha256(before + row).digest()


def row_head(form: Form) -> bytes:
    """Return how each salted row of a form begins: its number of fields, a salt's length."""
    return struct.pack(">HI", len(form.columns) + 1, SALT_BYTES)


def is_salted(row: bytes) -> bool:
    """Tell whether the first field of a row is a salt; without one it proves nothing."""
    return row[FIRST_FIELD : FIRST_FIELD + 4] == _SALTED


def row_of(salt: bytes, fields: Iterable[bytes | None]) -> bytes:
    """Return the canonical form of a row, from its salt and its fields."""
    parts = [salt, *fields]
    return struct.pack(">H", len(parts)) + b"".join(
        struct.pack(">I", NO_LENGTH) if part is None else struct.pack(">I", len(part)) + part
        for part in parts
    )


class Opened(NamedTuple):
    """A row taken apart: its salt (None where it has none) and its fields."""

    salt: bytes | None
    fields: tuple[bytes | None, ...]


def open_row(row: bytes) -> Opened:
    """Take the canonical form of a row apart.

    Raises:
        ValueError: it is not one.
    """
    (count,) = struct.unpack_from(">H", row)
    fields, end = split_fields(row, FIRST_FIELD, count)
    if end != len(row):
        raise ValueError("bytes follow the last field")
    return Opened(salt=fields[0], fields=tuple(fields[1:]))


def split_fields(data: bytes, offset: int, count: int) -> tuple[list[bytes | None], int]:
    """Return so many fields from an offset on, and the offset after them.

    Raises:
        ValueError: the data ends before they do.
    """
    fields: list[bytes | None] = []
    for _ in range(count):
        head = data[offset : offset + 4]
        offset += 4
        length = int.from_bytes(head)
        if len(head) == 4 and length == NO_LENGTH:  # noqa: PLR2004
            fields.append(None)
            continue
        if len(head) < 4 or offset + length > len(data):  # noqa: PLR2004
            raise ValueError("a field is longer than what there is")
        fields.append(data[offset : offset + length])
        offset += length
    return fields, offset


Key = tuple[bytes | None, ...]
SortKey = tuple[tuple[bool, int, bytes], ...]


def sort_key(kinds: Sequence[KeyKind], key: Key) -> SortKey:
    """Return what compares as the server orders: numbers by value, texts by bytes, NULL last."""
    found = []
    for kind, value in zip(kinds, key, strict=True):
        if value is None:
            found.append((True, 0, b""))
        elif kind is KeyKind.NUMBER:
            found.append((False, int.from_bytes(value, signed=True), b""))
        else:
            found.append((False, 0, value))
    return tuple(found)


def shown_key(kinds: Sequence[KeyKind], key: Key) -> str:
    """Return a key for people: its parts joined by commas."""
    return ",".join(
        "NULL"
        if value is None
        else str(int.from_bytes(value, signed=True))
        if kind is KeyKind.NUMBER
        else value.decode("utf-8", "replace")
        for kind, value in zip(kinds, key, strict=True)
    )
