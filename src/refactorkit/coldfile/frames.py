r"""What is inside an export: frames of one letter, a length, and that many bytes.

    H  the head, JSON: what this is, and how the tables are made again
    D  rows of the next table, as COPY writes them in its text format
    E  the end of a table, JSON: its name, rows, bytes and SHA-256
    M  the manifest, JSON: all of those again, and nothing comes after it

A length is four bytes, the highest first. Rows are counted by their ends: COPY writes a line
break within a value as ``\n``.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from refactorkit.coldfile.age import DamagedError

FORMAT: Final = "refactorkit-archive"
VERSION: Final = 1
_LONGEST: Final = 256 * 2**20  # bytes of a frame: a whole head; rows come in smaller ones
_KINDS: Final = frozenset({b"H", b"D", b"E", b"M"})
_PIECE: Final = 2**18  # bytes of rows in one frame


@dataclass(frozen=True, kw_only=True)
class TableEnd:
    """What was counted while a table went by.

    Attributes:
        name: of the table, without schema.
        rows: how many.
        size_bytes: of its rows in COPY's text format.
        sha256: of those bytes, hexadecimal.
    """

    name: str
    rows: int
    size_bytes: int
    sha256: str

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "name": self.name,
            "rows": self.rows,
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }


class Counter:
    """Counts and hashes the rows of one table."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows = 0
        self._bytes = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._rows += data.count(b"\n")
        self._bytes += len(data)
        self._hash.update(data)

    def end(self) -> TableEnd:
        """Return what was counted."""
        return TableEnd(
            name=self._name,
            rows=self._rows,
            size_bytes=self._bytes,
            sha256=self._hash.hexdigest(),
        )


def write_table(write: Callable[[bytes], object], name: str, data: Iterable[bytes]) -> TableEnd:
    """Write a table's rows and its end; memory stays at one piece, or one row."""
    counter = Counter(name)
    waiting = bytearray()
    for piece in data:
        counter.add(piece)
        waiting += piece
        while len(waiting) >= _PIECE:
            _write(write, b"D", bytes(waiting[:_PIECE]))
            del waiting[:_PIECE]
    if waiting:
        _write(write, b"D", bytes(waiting))
    end = counter.end()
    write_json(write, b"E", end.document())
    return end


def write_json(write: Callable[[bytes], object], kind: bytes, document: dict[str, Any]) -> bytes:
    """Write a frame of JSON; return its content."""
    content = json.dumps(document).encode()
    _write(write, kind, content)
    return content


def fingerprint(head: bytes, manifest: bytes) -> str:
    """Return the SHA-256 of the frames H and M as they stand in the file, hexadecimal.

    It stands for all that was encrypted: the manifest has the hash of each table's rows.

    Args:
        head: the content of the frame H.
        manifest: that of the frame M.
    """
    found = hashlib.sha256()
    _write(found.update, b"H", head)
    _write(found.update, b"M", manifest)
    return found.hexdigest()


def read(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each frame.

    Raises:
        DamagedError: there is no head, no manifest, or something after it.
    """
    waiting = bytearray()
    kind = b""
    for chunk in chunks:
        waiting += chunk
        while (frame := _frame(waiting)) is not None:
            if kind == b"M" or (not kind and frame[0] != b"H"):
                raise DamagedError("The file's frames are not in their order.")
            kind = frame[0]
            yield frame
    if waiting or kind != b"M":
        raise DamagedError("The file has no manifest at its end.")


def parse(content: bytes) -> dict[str, Any]:
    """Read a frame of JSON.

    Raises:
        DamagedError: it holds something else.
    """
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise DamagedError("A frame of the file is not what it says.")
    return document


def parse_head(content: bytes) -> dict[str, Any]:
    """Read the head, and refuse one that this version cannot know.

    Raises:
        DamagedError: it is of another format.
    """
    head = parse(content)
    if (head.get("format"), head.get("version")) != (FORMAT, VERSION):
        raise DamagedError(
            "The file is of another format than this version of refactorkit reads.",
            hint="Use the version that wrote it.",
        )
    return head


def _write(write: Callable[[bytes], object], kind: bytes, content: bytes) -> None:
    write(kind + len(content).to_bytes(4, "big") + content)


def _frame(waiting: bytearray) -> tuple[bytes, bytes] | None:
    start = 5
    if len(waiting) < start:
        return None
    length = int.from_bytes(waiting[1:start], "big")
    if length > _LONGEST or bytes(waiting[:1]) not in _KINDS:
        raise DamagedError("A frame of the file is of no known kind.")
    if len(waiting) < start + length:
        return None
    frame = bytes(waiting[:1]), bytes(waiting[start : start + length])
    del waiting[: start + length]
    return frame
