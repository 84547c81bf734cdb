"""Make a key that signs evidence."""

from dataclasses import dataclass
from pathlib import Path

from refactorkit.commands.audit.files import remove, write_new
from refactorkit.errors import RefactorkitError
from refactorkit.evidence.keys import SigningKey


@dataclass(frozen=True, kw_only=True)
class KeygenResult:
    """Where a new key is.

    Attributes:
        secret: its file, which only its owner may read.
        public: the file for whoever verifies.
        key_id: its name: SHA-256 of the public key.
    """

    secret: Path
    public: Path
    key_id: str


def keygen(path: Path) -> KeygenResult:
    """Make an Ed25519 key: ``path`` and, beside it, ``path.pub``. Neither may be there yet.

    Raises:
        UsageError: one of the files is there, or cannot be made.
        FailedError: one cannot be written; then neither is left.
    """
    key = SigningKey.generate()
    public = path.with_name(path.name + ".pub")
    write_new(path, key.secret_pem())
    try:
        write_new(public, key.public.pem)
    except RefactorkitError:
        remove(path)
        raise
    return KeygenResult(secret=path, public=public, key_id=key.public.id)
