"""Write a file so that, at any moment, it is the old one or the new one, whole."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from refactorkit.errors import FailedError, UsageError

_ORDINARY_MODE = 0o666  # less the umask: what a new file of an editor has


def write_atomically(path: Path, content: bytes) -> None:
    """Put the content into a file, on disk when this returns; a link's target is what is written.

    The new file stands beside the old one under another name until it is complete, then takes its
    place and its mode. Blind spot: owner, ACLs and hard links of the old file are not kept.

    Raises:
        UsageError: the folder does not exist.
        FailedError: it cannot be written; ``state`` says which of the two files is there.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    state = "It is as it was."
    try:
        _write_new(temporary, content, _mode_of(path))
        temporary.replace(path)
        state = "It is new, and may be lost if the machine stops now."
        _sync(path.parent)
    except FileNotFoundError as error:
        raise UsageError(f"The folder {path.parent} does not exist.") from error
    except OSError as error:
        raise FailedError(
            f"The file {path} cannot be written: {error.strerror or 'an error of the system'}.",
            state=state,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _mode_of(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


def _write_new(path: Path, content: bytes, mode: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ORDINARY_MODE)
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    """Make the renaming itself last."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
