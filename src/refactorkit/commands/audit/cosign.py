"""Put a second signature under evidence, such as an auditor's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refactorkit.commands.atomic_file import write_atomically
from refactorkit.commands.audit.files import EvidenceFile, KeySource, public_keys
from refactorkit.errors import NOTHING_CHANGED, RefusedError


@dataclass(frozen=True, kw_only=True)
class CosignResult:
    """Evidence with one more signature.

    Attributes:
        file: where it is, in its old place.
        digest: of the manifest, which is what it was.
        key_id: who signed now.
        signatures: how many there are.
        added: False where this key had signed before.
    """

    file: Path
    digest: str
    key_id: str
    signatures: int
    added: bool


def cosign(path: Path, key: KeySource, trusted: Sequence[Path]) -> CosignResult:
    """Sign the very bytes that others have signed; the database is not looked at.

    Args:
        path: the evidence, whose file is replaced by one with one more signature.
        key: where the signing key is.
        trusted: public keys, all of which must have signed already.

    Raises:
        UsageError: a file or the key is not what it should be.
        RefusedError: it is no evidence, or not signed by a trusted key.
        FailedError: the file cannot be written.
    """
    signing = key.load()
    evidence = EvidenceFile.read(path)
    keys = public_keys(trusted)
    verified = evidence.envelope.verified_by(keys)
    for each in keys:
        if each not in verified:
            raise RefusedError(
                f"The evidence {path} is not signed by the key {each.id}.",
                state=NOTHING_CHANGED,
                hint="Do not sign it: ask who made it.",
            )
    envelope = evidence.envelope.signed_by(signing)
    added = envelope != evidence.envelope
    if added:
        write_atomically(path, envelope.to_bytes())
    return CosignResult(
        file=path,
        digest=envelope.digest,
        key_id=signing.public.id,
        signatures=len(envelope.signatures),
        added=added,
    )
