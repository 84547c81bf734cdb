"""Ed25519 keys (RFC 8032), as PEM: PKCS #8 for the secret one, SubjectPublicKeyInfo for the other.

A key is named by the SHA-256 of its 32 public bytes. Nothing here prints or stores a secret key.
"""

from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class BadKeyError(Exception):
    """A text is not the key that is wanted; the message never quotes it."""


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """Who a signature is by.

    Attributes:
        raw: its 32 bytes.
    """

    raw: bytes

    @property
    def id(self) -> str:
        """The key's name: SHA-256 of its bytes, hexadecimal."""
        return sha256(self.raw).hexdigest()

    @property
    def pem(self) -> bytes:
        """The key as PEM."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature of the message is by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    @classmethod
    def from_pem(cls, pem: bytes) -> "PublicKey":
        """Read a public key.

        Raises:
            BadKeyError: it is no Ed25519 public key.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise BadKeyError("no Ed25519 public key in PEM")
        return cls(raw=key.public_bytes(Encoding.Raw, PublicFormat.Raw))


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """What signs; its secret is in no representation of it."""

    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key, from the system's random source."""
        return cls(_key=Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """Read a secret key.

        Raises:
            BadKeyError: it is no Ed25519 secret key, or needs a passphrase.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKeyError("no Ed25519 secret key in PEM without a passphrase")
        return cls(_key=key)

    @property
    def public(self) -> PublicKey:
        """The key that verifies."""
        return PublicKey(raw=self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def secret_pem(self) -> bytes:
        """Return the secret key as PEM: for its file, and for nothing else."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)
