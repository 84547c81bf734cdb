"""The age file format, version 1, for a passphrase: written and read as a stream.

Any age program opens what is written here, years from now and without refactorkit. A file is a
header (the file's key, wrapped by a key that scrypt makes of the passphrase) and chunks of 64 KiB,
each sealed with ChaCha20-Poly1305 under its number and whether it is the last: nothing can be
changed, left out, put in, moved, or cut off. What is read was authentic when it is handed out; that
it is all there is known at the end alone.
Source: C2SP, age-encryption.org/v1 (c2sp.org/age).
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterator
from typing import IO, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from refactorkit.errors import RefusedError

WORK_FACTOR: Final = 18
"""Base-2 logarithm of scrypt's cost: about a second, and 256 MiB of memory, a guess."""

RECIPIENT: Final = "passphrase"
"""Whom files are encrypted for: whoever has the passphrase, and no key."""

_MOST_WORK: Final = 20  # 1 GiB: a file from elsewhere must not exhaust this machine
_CHUNK: Final = 64 * 1024
_TAG: Final = 16
_LONGEST_HEADER: Final = 1024
_HEADER: Final = re.compile(
    rb"(age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n"
    rb"([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n"
)
_FIRST_LINE: Final = b"age-encryption.org/v1\n"


class DamagedError(RefusedError):
    """The file is not what was written, or the passphrase is not its own."""


class Writer:
    """Encrypts what is written to it; ``finish`` makes it a whole file."""

    def __init__(
        self, out: IO[bytes], passphrase: bytes, *, work_factor: int = WORK_FACTOR
    ) -> None:
        """Write the header.

        Args:
            out: where the encrypted bytes go.
            passphrase: UTF-8; not kept.
            work_factor: base-2 logarithm of scrypt's cost.
        """
        file_key = secrets.token_bytes(16)
        salt = secrets.token_bytes(16)
        wrapped = ChaCha20Poly1305(_wrapping_key(passphrase, salt, work_factor)).encrypt(
            bytes(12), file_key, None
        )
        head = b"%s-> scrypt %s %d\n%s\n---" % (
            _FIRST_LINE,
            _encode(salt),
            work_factor,
            _encode(wrapped),
        )
        nonce = secrets.token_bytes(16)
        out.write(head + b" " + _encode(_mac(file_key, head).finalize()) + b"\n" + nonce)
        self._out = out
        self._seal = _payload_cipher(file_key, nonce)
        self._number = 0
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Encrypt more; a full chunk goes out once it is known not to be the last."""
        self._waiting += data
        while len(self._waiting) > _CHUNK:
            self._chunk(bytes(self._waiting[:_CHUNK]), last=False)
            del self._waiting[:_CHUNK]

    def finish(self) -> None:
        """Write the last chunk; without it the file counts as cut off."""
        self._chunk(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _chunk(self, data: bytes, *, last: bool) -> None:
        self._out.write(self._seal.encrypt(_nonce(self._number, last=last), data, None))
        self._number += 1


def decrypted(file: IO[bytes], passphrase: bytes) -> Iterator[bytes]:
    """Yield what was encrypted, chunk by chunk, each verified before it is handed out.

    Raises:
        DamagedError: wrong passphrase; not such a file; changed, cut off, or something added.
    """
    head = file.read(_LONGEST_HEADER)
    found = _HEADER.match(head)
    if found is None:
        known = head.startswith(_FIRST_LINE)
        raise DamagedError(
            "The file is encrypted for a key, or its header is damaged."
            if known
            else "This is no file of archive export: it does not begin as one."
        )
    signed, salt, work, wrapped, mac = found.groups()
    file_key = _unwrap(passphrase, _decode(salt), int(work), _decode(wrapped))
    try:
        _mac(file_key, signed).verify(_decode(mac))
    except InvalidSignature:
        raise DamagedError("The header of the file was changed.") from None
    rest = head[found.end() :]
    yield from _payload(file, rest, file_key)


def _payload(file: IO[bytes], rest: bytes, file_key: bytes) -> Iterator[bytes]:
    rest += file.read(16 - len(rest)) if len(rest) < 16 else b""  # noqa: PLR2004 - the nonce
    nonce, waiting = rest[:16], rest[16:]
    if len(nonce) < 16:  # noqa: PLR2004
        raise DamagedError("The file is cut off within its header.")
    seal = _payload_cipher(file_key, nonce)
    size = _CHUNK + _TAG
    number = 0
    while True:
        while len(waiting) <= size and (more := file.read(size + 1 - len(waiting))):
            waiting += more
        last = len(waiting) <= size
        chunk, waiting = waiting[:size], waiting[size:]
        yield _open(seal, chunk, number, last=last)
        if last:
            return
        number += 1


def _open(seal: ChaCha20Poly1305, chunk: bytes, number: int, *, last: bool) -> bytes:
    try:
        data = seal.decrypt(_nonce(number, last=last), chunk, None)
    except InvalidTag:
        other = _opens(seal, chunk, _nonce(number, last=not last))
        if other and last:
            raise DamagedError("The file is cut off: its end is missing.") from None
        if other:
            raise DamagedError("Something was added after the end of the file.") from None
        raise DamagedError(
            f"The file was changed, damaged or cut off, in the chunk at byte {number * _CHUNK:,}."
        ) from None
    if last and number and not data:
        raise DamagedError("The file ends in an empty chunk, which no writer makes.")
    return data


def _opens(seal: ChaCha20Poly1305, chunk: bytes, nonce: bytes) -> bool:
    try:
        seal.decrypt(nonce, chunk, None)
    except InvalidTag:
        return False
    return True


def _unwrap(passphrase: bytes, salt: bytes, work: int, wrapped: bytes) -> bytes:
    if work > _MOST_WORK:
        raise DamagedError(f"The file's passphrase costs 2^{work} to try: more than is allowed.")
    try:
        return ChaCha20Poly1305(_wrapping_key(passphrase, salt, work)).decrypt(
            bytes(12), wrapped, None
        )
    except InvalidTag:
        raise DamagedError(
            "The passphrase does not open this file.",
            hint="It is another one, or the file's header was changed.",
        ) from None


def _wrapping_key(passphrase: bytes, salt: bytes, work: int) -> bytes:
    label = b"age-encryption.org/v1/scrypt"
    return Scrypt(salt=label + salt, length=32, n=1 << work, r=8, p=1).derive(passphrase)


def _mac(file_key: bytes, head: bytes) -> hmac.HMAC:
    mac = hmac.HMAC(_derived(file_key, b"", b"header"), hashes.SHA256())
    mac.update(head)
    return mac


def _payload_cipher(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(_derived(file_key, nonce, b"payload"))


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _encode(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    """Decode base64 without padding, in its one canonical form."""
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        data = b""
    if _encode(data) != text:
        raise DamagedError("The header of the file was changed.")
    return data
