"""The proof of one row: its fields, its salt, its path. It shows nothing of any other row.

Hashes on the path are salted and cannot be guessed; the key of the evidence is its digest, and root
and size are read from the signed manifest, never from the proof.
"""

import base64
import json
from dataclasses import dataclass
from typing import Final

FORMAT: Final = "refactorkit-proof-v1"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One row of one tree.

    Attributes:
        evidence: digest of the manifest, hexadecimal.
        table: which tree.
        index: of the leaf.
        salt: of the person.
        fields: in the order of the tree's columns.
        path: from the leaf's sibling up.
    """

    evidence: str
    table: str
    index: int
    salt: bytes
    fields: tuple[bytes | None, ...]
    path: tuple[bytes, ...]

    @property
    def row_bytes(self) -> int:
        """How many bytes of the file the row's own fields take."""
        return sum(4 if field is None else len(_text(field)) for field in self.fields)

    def to_bytes(self) -> bytes:
        """Return the proof as a file holds it: JSON, ending in a newline."""
        document = {
            "format": FORMAT,
            "evidence": self.evidence,
            "table": self.table,
            "index": self.index,
            "salt": _text(self.salt),
            "row": [None if field is None else _text(field) for field in self.fields],
            "path": [_text(each) for each in self.path],
        }
        return json.dumps(document, indent=1).encode() + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
