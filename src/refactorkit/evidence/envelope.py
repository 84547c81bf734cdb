"""DSSE envelopes: the exact bytes of a manifest, or of a tombstone, and who signed them.

Dead Simple Signing Envelope, protocol version 1: what is signed is the pre-authentication encoding
of type and bytes, so no canonical JSON is needed. The public keys come from whoever verifies; an
envelope says which keys signed it, and that proves nothing.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from refactorkit.evidence.keys import PublicKey, SigningKey

PAYLOAD_TYPE: Final = "application/vnd.refactorkit.evidence+json"
_SIGNATURE_BYTES: Final = 64


class BadEnvelopeError(Exception):
    """A text is no envelope of what is wanted; the message says why, and quotes nothing."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature.

    Attributes:
        key_id: of the key that it claims to be by.
        bytes: the signature itself.
    """

    key_id: str
    bytes: bytes


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Signed bytes.

    Attributes:
        payload: a manifest, byte for byte, or whatever else the type says.
        signatures: in the order in which they were added.
        payload_type: is signed too, so that nothing passes for something else.
    """

    payload: bytes
    signatures: tuple[Signature, ...] = ()
    payload_type: str = PAYLOAD_TYPE

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, hexadecimal: by this name evidence is referred to."""
        return sha256(self.payload).hexdigest()

    def signed_by(self, key: SigningKey) -> "Envelope":
        """Return the envelope with one more signature, or as it is where the key has signed it."""
        if self.verified_by([key.public]):
            return self
        signature = Signature(key_id=key.public.id, bytes=key.sign(self._encoded))
        return replace(self, signatures=(*self.signatures, signature))

    def verified_by(self, keys: Iterable[PublicKey]) -> tuple[PublicKey, ...]:
        """Return those of the keys that have signed these very bytes."""
        message = self._encoded
        return tuple(
            key
            for key in keys
            if any(
                each.key_id == key.id and key.verifies(each.bytes, message)
                for each in self.signatures
            )
        )

    def to_bytes(self) -> bytes:
        """Return the envelope as a file holds it: JSON, ending in a newline."""
        document = {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": each.key_id, "sig": base64.b64encode(each.bytes).decode()}
                for each in self.signatures
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @property
    def _encoded(self) -> bytes:
        return encoded(self.payload, self.payload_type)

    @classmethod
    def from_bytes(cls, data: bytes, payload_type: str = PAYLOAD_TYPE) -> "Envelope":
        """Read an envelope of one type.

        Raises:
            BadEnvelopeError: it is not one, or of something else.
        """
        try:
            document = json.loads(data, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise BadEnvelopeError(
                "it is not one JSON document, or names something twice"
            ) from None
        if not isinstance(document, dict) or document.get("payloadType") != payload_type:
            raise BadEnvelopeError(f"its payloadType is not {payload_type}")
        signatures = document.get("signatures")
        if not isinstance(signatures, list):
            raise BadEnvelopeError("it has no list of signatures")
        return cls(
            payload=_decoded(document.get("payload")),
            signatures=tuple(_signature(each) for each in signatures),
            payload_type=payload_type,
        )


def encoded(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _signature(document: Any) -> Signature:
    if not isinstance(document, dict) or not isinstance(document.get("keyid"), str):
        raise BadEnvelopeError("a signature has no keyid")
    signature = _decoded(document.get("sig"))
    if len(signature) != _SIGNATURE_BYTES:
        raise BadEnvelopeError("a signature is not 64 bytes long")
    return Signature(key_id=document["keyid"], bytes=signature)


def _decoded(text: Any) -> bytes:
    if isinstance(text, str):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise BadEnvelopeError("a part of it is not base64")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice in one object: readers would differ about which counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
