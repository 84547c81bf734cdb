"""A new file that only its owner may read, whole or not there, and never in place of another."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from refactorkit.errors import FailedError, UsageError


@contextlib.contextmanager
def new_private_file(path: Path) -> Iterator[IO[bytes]]:
    """Have a file to write to; on disk, under its name and with mode 0600, when the block ends.

    Until then it stands beside its place under another name, and goes where the block fails.

    Raises:
        UsageError: the file is there already, or its folder is not.
        FailedError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    if path.exists():
        raise _taken(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            yield file
            file.flush()
            os.fsync(descriptor)
        os.link(temporary, path)  # fails where the name was taken meanwhile
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise _taken(path) from error
    except FileNotFoundError as error:
        raise UsageError(f"The folder {path.parent} does not exist.") from error
    except OSError as error:
        raise FailedError(
            f"The file {path} cannot be written: {error.strerror or 'an error of the system'}.",
            state="No file was left behind.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _taken(path: Path) -> UsageError:
    return UsageError(
        f"The file {path} is there already, and is not written over.", hint="Choose another name."
    )
