"""The signatures of tombstones: `<name>_tombstone_signatures`, made with the first of them.

An envelope holds ids, names of roles and of people who decided, counts; no value of any row.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import PublicKey, SigningKey
from refactorkit.evidence.leaf import NUMBER_BYTES
from refactorkit.evidence.manifest import BadManifestError, Manifest
from refactorkit.evidence.tombstone import (
    PAYLOAD_TYPE,
    Leaf,
    TombstoneSignature,
    judge,
    signed,
)
from refactorkit.evidence.tree import SECTION_LEAVES
from refactorkit.mapping.care import tombstone_signatures_table
from refactorkit.mapping.model import Mapping
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.archive_writes import close
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.evidence_tables import LEAVES, EvidenceTables


@dataclass(frozen=True, kw_only=True)
class Buried:
    """A tombstone that was written.

    Attributes:
        number: of the tombstone.
        digest: SHA-256 of what was signed of it; None where nobody signed.
        key_id: of the key; None likewise.
    """

    number: int
    digest: str | None = None
    key_id: str | None = None


def table_of(name: str) -> str:
    """Return the table's name, without the schema."""
    return f"{name}_tombstone_signatures"


def ensure_table(connection: Connection, mapping: Mapping) -> None:
    """Make the table where it is missing, for nobody but its owner."""
    if not exists(connection, table_of(mapping.name)):
        connection.execute(tombstone_signatures_table(mapping).encode())
        close(connection, table_of(mapping.name))


def sign(
    connection: Connection, mapping: Mapping, numbers: Sequence[int], key: SigningKey
) -> tuple[Buried, ...]:
    """Sign tombstones that this transaction has written, in their order.

    Args:
        connection: with TimeZone UTC, and names that mean ``pg_catalog``.
        mapping: of the refactor, whose table of signatures is there.
        numbers: of the tombstones.
        key: signs.
    """
    name = mapping.name
    known = _envelopes(connection, name)
    previous = None
    if known:
        previous = _digest(known[max(known)])
    evidence = _newest(connection, name)
    rows = {row["tombstone"]: row for row in _rows(connection, name)}
    done = []
    for number in sorted(numbers):
        envelope = signed(
            rows[number],
            refactor=name,
            leaf=_leaf(connection, name, evidence, rows[number]["source_id"]),
            previous=previous,
            key=key,
        )
        connection.execute(
            sql.SQL("INSERT INTO {} (tombstone, envelope) VALUES (%s, %s)").format(
                sql.Identifier("archive", table_of(name))
            ),
            (number, envelope.to_bytes()),
        )
        done.append(Buried(number=number, digest=envelope.digest, key_id=key.public.id))
        previous = envelope.digest
    return tuple(done)


def signatures(
    connection: Connection, name: str, keys: Collection[PublicKey]
) -> tuple[TombstoneSignature, ...]:
    """Hold each tombstone of a refactor against its signature; TimeZone must be UTC."""
    return judge(_rows(connection, name), _envelopes(connection, name), refactor=name, keys=keys)


def _rows(connection: Connection, name: str) -> list[dict[str, Any]]:
    if not exists(connection, f"{name}_tombstones"):
        return []
    # As JSON: whatever somebody has made of a time, it can be read.
    query = sql.SQL("SELECT to_jsonb(t) FROM {} AS t ORDER BY t.tombstone").format(
        sql.Identifier("archive", f"{name}_tombstones")
    )
    return [row for (row,) in connection.execute(query).fetchall()]


def _envelopes(connection: Connection, name: str) -> dict[int, bytes]:
    if not exists(connection, table_of(name)):
        return {}
    query = sql.SQL("SELECT tombstone, envelope FROM {}").format(
        sql.Identifier("archive", table_of(name))
    )
    return {number: bytes(content) for number, content in connection.execute(query).fetchall()}


def _digest(content: bytes) -> str | None:
    try:
        return Envelope.from_bytes(content, PAYLOAD_TYPE).digest
    except BadEnvelopeError:
        return None


def _newest(connection: Connection, name: str) -> tuple[str, Manifest] | None:
    """Return the newest evidence that the archive has, and its digest; None without any."""
    tables = EvidenceTables(name=name)
    content = tables.latest(connection) if tables.are_there(connection) else None
    if content is None or not tables.has_leaves(connection):
        return None
    try:
        envelope = Envelope.from_bytes(content)
        return envelope.digest, Manifest.from_bytes(envelope.payload)
    except (BadEnvelopeError, BadManifestError):
        return None  # audit verify names it; it keeps nobody from being erased


def _leaf(
    connection: Connection, name: str, evidence: tuple[str, Manifest] | None, source_id: int
) -> Leaf | None:
    if evidence is None:
        return None
    digest, manifest = evidence
    tree = manifest.tree("source")
    width = NUMBER_BYTES[tree.form.columns[0].type]
    key = width.to_bytes(4) + source_id.to_bytes(width, signed=True)
    found = connection.execute(
        sql.SQL(
            "SELECT section, keys FROM {} WHERE snapshot = %s AND table_name = %s"
            " AND position(%s::bytea IN keys) > 0 ORDER BY section"
        ).format(EvidenceTables(name=name).identifier(LEAVES)),
        (UUID(manifest.snapshot), tree.table, key),
    ).fetchall()
    for section, keys in found:
        for place, start in enumerate(range(0, len(keys), len(key))):
            if keys[start : start + len(key)] == key:
                index = section * SECTION_LEAVES + place
                return Leaf(evidence=digest, table=tree.table, index=index)
    return None
