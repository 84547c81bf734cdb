"""Signed tombstones: what is signed of one, and whether the row beside it still says the same.

Each names the signed tombstone before it by its digest, so one that was taken out is missed by the
next. Blind spot: the last ones may be taken away with their signatures, and then nobody misses them
but evidence that was made in between, and whoever kept the digests.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import PublicKey, SigningKey

FORMAT: Final = "refactorkit-tombstone-v1"
PAYLOAD_TYPE: Final = "application/vnd.refactorkit.tombstone+json"
FIELDS: Final = (
    "tombstone", "erasure", "source_id", "target_id", "kind", "turn", "version", "at",
    "transaction_id", "run_by", "operator", "approved_by", "basis", "counts",
)  # fmt: skip


class SignatureState(StrEnum):
    """What can be said of a tombstone, from the best to the worst."""

    SIGNED = "signed"
    UNVERIFIED = "not verified"
    UNSIGNED = "unsigned"
    FORGED = "forged"


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """Where the newest evidence has the leaf of the row that was erased.

    Attributes:
        evidence: digest of its manifest.
        table: of the tree.
        index: from 0.
    """

    evidence: str
    table: str
    index: int


@dataclass(frozen=True, kw_only=True)
class TombstoneSignature:
    """What became of the signature of one tombstone.

    Attributes:
        tombstone: its number.
        state: whether it may be believed.
        finding: what is the matter with one that is forged, a few words; else empty.
        digest: SHA-256 of what was signed; None where nothing was.
        key_ids: of the keys, among those that were given, that have signed it.
    """

    tombstone: int
    state: SignatureState
    finding: str = ""
    digest: str | None = None
    key_ids: tuple[str, ...] = ()


def signed(
    row: Mapping[str, Any],
    *,
    refactor: str,
    leaf: Leaf | None,
    previous: str | None,
    key: SigningKey,
) -> Envelope:
    """Return a tombstone in an envelope.

    Args:
        row: at least its ``FIELDS``, as JSON has them; the time in UTC.
        refactor: its name.
        leaf: of the source's row; None where no evidence has it.
        previous: digest of the signed tombstone before; None for the first.
        key: signs it.
    """
    document = {
        "format": FORMAT,
        "refactor": refactor,
        "leaf": leaf and {"evidence": leaf.evidence, "table": leaf.table, "index": leaf.index},
        "previous": previous,
        **{name: row[name] for name in FIELDS},
    }
    return Envelope(payload=_text(document).encode(), payload_type=PAYLOAD_TYPE).signed_by(key)


def judge(
    rows: Sequence[Mapping[str, Any]],
    envelopes: Mapping[int, bytes],
    *,
    refactor: str,
    keys: Collection[PublicKey],
) -> tuple[TombstoneSignature, ...]:
    """Hold each tombstone against what was signed of it, by number.

    Args:
        rows: all tombstones, as JSON has them; the time in UTC.
        envelopes: by the number of the tombstone that each lies beside.
        refactor: its name.
        keys: one of which must have signed; none: nobody can say.
    """
    by_number = {int(row["tombstone"]): row for row in rows}
    found, previous = [], None
    for number in sorted(by_number.keys() | envelopes.keys()):
        content = envelopes.get(number)
        if content is None:
            found.append(TombstoneSignature(tombstone=number, state=SignatureState.UNSIGNED))
            continue
        try:
            envelope = Envelope.from_bytes(content, PAYLOAD_TYPE)
        except BadEnvelopeError:
            found.append(_forged(number, "its signature was edited"))
            previous = None
            continue
        finding = _difference(by_number.get(number), envelope, refactor, previous)
        signers = tuple(key.id for key in envelope.verified_by(keys))
        if keys and not signers:
            finding = "is signed by none of the keys that were given"
        state = SignatureState.SIGNED if signers else SignatureState.UNVERIFIED
        found.append(
            TombstoneSignature(
                tombstone=number,
                state=SignatureState.FORGED if finding else state,
                finding=finding,
                digest=envelope.digest,
                key_ids=signers,
            )
        )
        previous = envelope.digest
    return tuple(found)


def _difference(
    row: Mapping[str, Any] | None, envelope: Envelope, refactor: str, previous: str | None
) -> str:
    """Return how row and envelope differ, in a few words; empty where they do not."""
    try:
        document = json.loads(envelope.payload)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return "its signature is of something else"
    if row is None:
        return "is gone, and its signature is still there"
    if (document.get("refactor"), document.get("tombstone")) != (refactor, row["tombstone"]):
        return "its signature is of another tombstone"
    # As texts: to Python, true is 1, and 1.0 is 1.
    edited = [name for name in FIELDS if _text(document.get(name)) != _text(row.get(name))]
    if edited:
        return f"was edited since it was signed: {', '.join(edited)}"
    if document.get("previous") != previous:
        return "the signed tombstone before it is gone, or is another"
    return ""


def _forged(number: int, finding: str) -> TombstoneSignature:
    return TombstoneSignature(tombstone=number, state=SignatureState.FORGED, finding=finding)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
