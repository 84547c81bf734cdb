"""Files of keys, evidence and proofs: made once and for their owner alone, read with a sentence."""

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError, UsageError
from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import BadKeyError, PublicKey, SigningKey
from refactorkit.evidence.manifest import BadManifestError, Manifest

KEY_VARIABLE: Final = "REFACTORKIT_SIGNING_KEY"
KEY_FILE_VARIABLE: Final = "REFACTORKIT_SIGNING_KEY_FILE"
_OTHERS: Final = 0o077
_MOST_BYTES: Final = 256 * 2**20  # of evidence; it grows by 64 bytes for 4096 rows


@dataclass(frozen=True, kw_only=True)
class KeySource:
    """Where the signing key is: a file, or the environment; never the database.

    Attributes:
        path: as given on the command line.
        environ: where the two variables may be.
    """

    path: Path | None
    environ: Mapping[str, str] = field(repr=False)

    @property
    def is_given(self) -> bool:
        """Whether anybody said where it is."""
        names = (KEY_VARIABLE, KEY_FILE_VARIABLE)
        return self.path is not None or any(self.environ.get(name) for name in names)

    def load(self) -> SigningKey:
        """Read the key.

        Raises:
            UsageError: nobody said where it is, or it is no such key.
            RefusedError: others may read its file.
        """
        path = self.path
        if path is None and (text := self.environ.get(KEY_VARIABLE)):
            return _signing_key(text.encode(), f"The variable {KEY_VARIABLE}")
        if path is None and (name := self.environ.get(KEY_FILE_VARIABLE)):
            path = Path(name)
        if path is None:
            raise UsageError(
                "No signing key was given.",
                state=NOTHING_CHANGED,
                hint=f"Use --key FILE, {KEY_FILE_VARIABLE} or {KEY_VARIABLE}; "
                "refactorkit audit keygen FILE makes one.",
            )
        return _signing_key(_read_secret(path), f"The file {path}")


@dataclass(frozen=True, kw_only=True)
class EvidenceFile:
    """Signed evidence as it was read.

    Attributes:
        envelope: the exact bytes and who signed them.
        manifest: what they say.
    """

    envelope: Envelope
    manifest: Manifest

    @classmethod
    def parse(cls, data: bytes, what: str) -> "EvidenceFile":
        """Read evidence.

        Raises:
            RefusedError: it is none; ``what`` says in the message where it came from.
        """
        try:
            envelope = Envelope.from_bytes(data)
            return cls(envelope=envelope, manifest=Manifest.from_bytes(envelope.payload))
        except (BadEnvelopeError, BadManifestError) as error:
            raise RefusedError(
                f"{what} is no evidence: {error}.",
                state=NOTHING_CHANGED,
                hint="Use the file that audit anchor wrote, byte for byte.",
            ) from None

    @classmethod
    def read(cls, path: Path) -> "EvidenceFile":
        """Read evidence from a file.

        Raises:
            UsageError: the file cannot be read.
            RefusedError: it is no evidence.
        """
        return cls.parse(read(path), f"The file {path}")


def public_keys(paths: Sequence[Path]) -> tuple[PublicKey, ...]:
    """Read public keys.

    Raises:
        UsageError: a file cannot be read, or is no such key.
    """
    found = []
    for path in paths:
        try:
            found.append(PublicKey.from_pem(read(path)))
        except BadKeyError as error:
            raise UsageError(
                f"The file {path} holds {error}.",
                state=NOTHING_CHANGED,
                hint="A public key is the file that keygen wrote beside the secret one: FILE.pub.",
            ) from None
    return tuple(found)


def read(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        UsageError: it cannot be read, or is too large to be what it should be.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"The file {path} is too large.", state=NOTHING_CHANGED)
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The file {path} cannot be read: {error.strerror or 'an error of the system'}.",
            state=NOTHING_CHANGED,
        ) from error


def write_new(path: Path, content: bytes) -> None:
    """Make a file that only its owner may read, on disk when this returns; never replace one.

    Raises:
        UsageError: there is one, or its folder is not there.
        FailedError: it cannot be written; then nothing is left of it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise UsageError(
            f"There is a file {path} already, and nothing is written over.",
            state=NOTHING_CHANGED,
            hint="Name another file.",
        ) from None
    except OSError as error:
        raise UsageError(
            f"The file {path} cannot be made: {error.strerror or 'an error of the system'}.",
            state=NOTHING_CHANGED,
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync(path.parent)
    except OSError as error:
        remove(path)
        raise FailedError(
            f"The file {path} cannot be written: {error.strerror or 'an error of the system'}.",
            state=NOTHING_CHANGED,
        ) from error


def remove(path: Path) -> None:
    """Take away a file that was just made."""
    with contextlib.suppress(OSError):
        path.unlink()


def _signing_key(pem: bytes, what: str) -> SigningKey:
    try:
        return SigningKey.from_pem(pem)
    except BadKeyError as error:
        raise UsageError(
            f"{what} holds {error}.",
            state=NOTHING_CHANGED,
            hint="refactorkit audit keygen FILE makes one.",
        ) from None


def _read_secret(path: Path) -> bytes:
    content = read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        raise RefusedError(
            f"Others than its owner may use the signing key {path} (mode {mode:04o}).",
            state=NOTHING_CHANGED,
            hint="If nobody did: chmod 600. Else make a new one.",
        )
    return content


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
