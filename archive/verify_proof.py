#!/usr/bin/env python3
"""Verify a proof that a row was in the evidence: standard library, and one signature check.

    python3 verify_proof.py PROOF EVIDENCE --key PUBLIC_KEY.pem [--key AUDITOR.pem ...]

PROOF is what `refactorkit audit prove` wrote, EVIDENCE the signed file of `refactorkit audit
anchor`, and each --key an Ed25519 public key that you have from somewhere you trust: never from
whoever gave you the proof. All of the keys must have signed. This program imports nothing of
refactorkit and needs nothing else.

What it shows: this row, with these values, was there when the evidence was made. It says nothing
about whether the data was right before.

Exit: 0 verified, 2 wrong call, 3 not verified.
"""

import argparse
import base64
import datetime as dt
import hashlib
import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAYLOAD_TYPE = "application/vnd.refactorkit.evidence+json"
MANIFEST_FORMAT = "refactorkit-evidence-v1"
PROOF_FORMAT = "refactorkit-proof-v1"
KEY_BYTES, SIGNATURE_BYTES, HASH_BYTES = 32, 64, 32
SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before the 32 bytes


class Rejected(Exception):  # noqa: N818 - what a verifier says
    """The proof does not hold; the message says where."""


Point = tuple[int, int, int, int]


def require(condition: object, reason: str) -> None:
    """Go on only where the condition is true."""
    if not condition:
        raise Rejected(reason)


# -- Ed25519, RFC 8032: only the verification, so nothing here is secret ---------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def point(data: bytes) -> Point | None:
    """Decode a point (x, y, z, t), or None: RFC 8032, section 5.1.3."""
    number = int.from_bytes(data, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def add(a: Point, b: Point) -> Point:
    """Add two points: RFC 8032, section 5.1.4."""
    m, n = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, a: Point) -> Point:
    """Multiply a point."""
    found: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = add(found, a)
        a, scalar = add(a, a), scalar >> 1
    return found


BASE = point((4 * pow(5, -1, P) % P).to_bytes(KEY_BYTES, "little")) or (0, 1, 1, 0)


def ed25519_verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the signature of the message is by this key: RFC 8032, section 5.1.7."""
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    a, r = point(public), point(signature[:KEY_BYTES])
    s = int.from_bytes(signature[KEY_BYTES:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:KEY_BYTES] + public + message).digest()
    k = int.from_bytes(digest, "little") % L
    one, other = times(s, BASE), add(r, times(k, a))
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (
        one[1] * other[2] - other[1] * one[2]
    ) % P == 0


# -- Reading --------------------------------------------------------------------------------------


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice in one JSON object."""
    found = dict(pairs)
    require(len(found) == len(pairs), "a name stands twice in a JSON object")
    return found


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """Read one JSON object."""
    try:
        document = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Rejected(f"{what} is not JSON") from None
    if not isinstance(document, dict):
        raise Rejected(f"{what} is no JSON object")
    return document


def octets(text: object, what: str, length: int | None = None) -> bytes:
    """Decode base64, of so many bytes."""
    if not isinstance(text, str):
        raise Rejected(f"{what} is not base64")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Rejected(f"{what} is not base64") from None
    require(length is None or len(data) == length, f"{what} is not {length} bytes long")
    return data


def whole(value: object, what: str) -> int:
    """Return a number that is 0 or more; true and false are none."""
    if type(value) is not int or value < 0:
        raise Rejected(f"{what} is no number")
    return value


def read_key(pem: bytes) -> bytes:
    """Return the 32 bytes of an Ed25519 public key in PEM."""
    lines = [line.strip() for line in pem.decode("ascii", "replace").splitlines() if line.strip()]
    require(
        lines[:1] == ["-----BEGIN PUBLIC KEY-----"] and lines[-1] == "-----END PUBLIC KEY-----",
        "a key is no public key in PEM",
    )
    data = octets("".join(lines[1:-1]), "a key")
    require(data.startswith(SPKI_HEAD), "a key is no Ed25519 public key")
    key = data[len(SPKI_HEAD) :]
    require(len(key) == KEY_BYTES, "a key is no Ed25519 public key")
    return key


# -- Verifying ------------------------------------------------------------------------------------


def signed_manifest(
    envelope: dict[str, Any], keys: Sequence[bytes]
) -> tuple[bytes, dict[str, Any]]:
    """Return the manifest's bytes and the manifest; every key must have signed these bytes."""
    require(envelope.get("payloadType") == PAYLOAD_TYPE, "the evidence is of another type")
    payload = octets(envelope.get("payload"), "the evidence's payload")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list):
        raise Rejected("the evidence has no signature")
    kind = PAYLOAD_TYPE.encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    found = [octets(each.get("sig"), "a signature", SIGNATURE_BYTES) for each in signatures]
    require(keys, "no public key was given")
    for key in keys:
        require(
            any(ed25519_verifies(key, signature, message) for signature in found),
            f"the evidence is not signed by the key {hashlib.sha256(key).hexdigest()}",
        )
    manifest = read_json(payload, "the evidence")
    require(manifest.get("format") == MANIFEST_FORMAT, "the evidence is of another format")
    return payload, manifest


def schema_hash(table: str, columns: list[dict[str, Any]]) -> bytes:
    """Return the hash of a table's form: refactorkit's rk-schema-v1."""
    texts = ["rk-schema-v1", table, str(len(columns))]
    for column in columns:
        texts += [column["name"], column["type"], column["encoding"], column["key"] or ""]
    parts = [text.encode() for text in texts]
    return hashlib.sha256(b"".join(struct.pack(">I", len(p)) + p for p in parts)).digest()


def leaf_of(
    snapshot: bytes, number: int, schema: bytes, salt: bytes, fields: list[bytes | None]
) -> bytes:
    """Return the leaf of a row: refactorkit's rk-leaf-v1."""
    parts = [salt, *fields]
    row = struct.pack(">H", len(parts)) + b"".join(
        b"\xff\xff\xff\xff" if part is None else struct.pack(">I", len(part)) + part
        for part in parts
    )
    before = b"\x00rk-leaf-v1" + snapshot + struct.pack(">I", number) + schema
    return hashlib.sha256(before + row).digest()


def root_from_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that a path leads to: RFC 9162, section 2.1.3.2."""
    require(index < size, "there is no such leaf in the tree")
    number, last, found = index, size - 1, leaf
    for sibling in path:
        require(last > 0, "the path is too long")
        if number & 1 or number == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        number, last = number >> 1, last >> 1
    require(last == 0, "the path is too short")
    return found


def verify(
    proof_data: bytes, evidence_data: bytes, keys: Sequence[bytes]
) -> tuple[dict[str, Any], dict[str, Any], list[bytes | None]]:
    """Return the manifest, the tree's entry and the fields of the row that is proved.

    Raises:
        Rejected: it is not proved, and why.
    """
    payload, manifest = signed_manifest(read_json(evidence_data, "the evidence"), keys)
    proof = read_json(proof_data, "the proof")
    require(proof.get("format") == PROOF_FORMAT, "the proof is of another format")
    require(
        proof.get("evidence") == hashlib.sha256(payload).hexdigest(),
        "the proof is about other evidence",
    )
    named = [
        (n, tree) for n, tree in enumerate(manifest["trees"]) if tree["table"] == proof["table"]
    ]
    require(len(named) == 1, "the proof is about a table that the evidence does not name once")
    number, tree = named[0]
    columns = tree["columns"]
    schema = schema_hash(tree["table"], columns)
    require(schema.hex() == tree.get("schema_hash"), "the schema hash is not that of the columns")
    row, path = proof.get("row"), proof.get("path")
    if not isinstance(row, list) or len(row) != len(columns):
        raise Rejected("the row has other columns")
    if not isinstance(path, list):
        raise Rejected("the proof has no path")
    fields = [None if each is None else octets(each, "a field") for each in row]
    leaf = leaf_of(
        bytes.fromhex(manifest["snapshot"]),
        number,
        schema,
        octets(proof.get("salt"), "the salt", HASH_BYTES),
        fields,
    )
    found = root_from_path(
        leaf,
        whole(proof.get("index"), "the index"),
        whole(tree["rows"], "the size"),
        [octets(each, "a hash of the path", HASH_BYTES) for each in path],
    )
    require(found.hex() == tree.get("root"), "the path does not lead to the signed root")
    return manifest, tree, fields


# -- Showing --------------------------------------------------------------------------------------


def numeric(data: bytes) -> str:
    """Return a numeric as PostgreSQL prints it."""
    count, weight, sign, scale = struct.unpack_from(">hhHH", data)
    special = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
    if sign in special:
        return special[sign]
    digits = struct.unpack_from(f">{count}h", data, 8)
    before = "".join(f"{digits[i] if i < count else 0:04}" for i in range(weight + 1)).lstrip("0")
    after = "".join(
        f"{digits[i] if 0 <= i < count else 0:04}"
        for i in range(weight + 1, weight + 1 + (scale + 3) // 4)
    )[:scale]
    return ("-" if sign else "") + (before or "0") + ("." + after if scale else "")


def instant(data: bytes) -> str:
    """Return a time stamp, in UTC where it has a zone, for the years that Python knows."""
    microseconds = int.from_bytes(data, "big", signed=True)
    if microseconds in (2**63 - 1, -(2**63)):
        return "infinity" if microseconds > 0 else "-infinity"
    start = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    return str(start + dt.timedelta(microseconds=microseconds))


SHOWN = {
    "text": lambda data: repr(data.decode()),
    "character varying": lambda data: repr(data.decode()),
    "character": lambda data: repr(data.decode()),
    "integer": lambda data: str(int.from_bytes(data, "big", signed=True)),
    "bigint": lambda data: str(int.from_bytes(data, "big", signed=True)),
    "smallint": lambda data: str(int.from_bytes(data, "big", signed=True)),
    "boolean": lambda data: "true" if data == b"\x01" else "false",
    "numeric": numeric,
    "timestamp with time zone": instant,
}


def shown(column: dict[str, Any], data: bytes | None) -> str:
    """Return a field for people; bytes that are not understood, in hexadecimal."""
    if data is None:
        return "NULL"
    kind = "text" if column["encoding"] == "text" else column["type"].partition("(")[0]
    try:
        return SHOWN[kind](data) if kind in SHOWN else "0x" + data.hex()
    except (ValueError, OverflowError, struct.error):
        return "0x" + data.hex()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify that a row was in signed evidence.")
    parser.add_argument("proof", type=Path)
    parser.add_argument("evidence", type=Path)
    told = "an Ed25519 public key in PEM; all of them must have signed"
    parser.add_argument("--key", type=Path, action="append", required=True, dest="keys", help=told)
    options = parser.parse_args(arguments)
    try:
        read = [path.read_bytes() for path in (options.proof, options.evidence, *options.keys)]
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        manifest, tree, fields = verify(read[0], read[1], [read_key(pem) for pem in read[2:]])
    except Rejected as reason:
        print(f"NOT VERIFIED: {reason}.")
        return 3
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        print("NOT VERIFIED: a part of the proof or of the evidence is not what it should be.")
        return 3
    for column, field in zip(tree["columns"], fields, strict=True):
        print(f"{column['name']}: {shown(column, field)}")
    print(f"VERIFIED: this row of {tree['table']}, one of {tree['rows']}, was there when the")
    print(f"evidence was made, {manifest['made']['at']}. {manifest['promise']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
