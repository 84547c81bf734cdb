"""Files of a report: for their owner alone, whole or not there, and none is replaced unasked."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from refactorkit.errors import NOTHING_CHANGED, FailedError, UsageError


def write_all(files: Mapping[Path, bytes], *, replace: bool) -> None:
    """Put each content into its file, on disk when this returns, all of them or none.

    They are written under other names first, so that a full disk leaves nothing: no file, and no
    folder that was made for them. Blind spot: where the machine stops between two of them, or a
    file that is there cannot be replaced, the first is new and the second is not.

    Args:
        files: contents by path; folders are made where they are missing, for their owner alone.
        replace: whether a file that is there may be replaced.

    Raises:
        UsageError: there is such a file already, or a folder cannot be made.
        FailedError: they cannot be written.
    """
    for path in files:
        if not replace and os.path.lexists(path):
            raise _there(path)
    waiting: dict[Path, Path] = {}
    undo = contextlib.ExitStack()
    try:
        for path, content in files.items():
            _make_folder(path.parent, undo)
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
            waiting[path] = temporary
            _write(temporary, content)
        for path, temporary in waiting.items():
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a renaming, it refuses where there is one
                undo.callback(_remove, path)
        for folder in {path.parent for path in files}:
            _sync(folder)
        undo.pop_all()
    except FileExistsError as error:
        raise _there(Path(error.filename2 or error.filename)) from None
    except OSError as error:
        reason = error.strerror or "an error of the system"
        raise FailedError(
            f"The report cannot be written to {next(iter(files)).parent}: {reason}.",
            state=NOTHING_CHANGED,
        ) from error
    finally:
        for temporary in waiting.values():
            _remove(temporary)
        undo.close()


def _there(path: Path) -> UsageError:
    return UsageError(
        f"There is a file {path} already, and nothing is written over.",
        state=NOTHING_CHANGED,
        hint="Name another place, or replace it with --force.",
    )


def _make_folder(folder: Path, undo: contextlib.ExitStack) -> None:
    """Make a folder and those above it; what is made goes with ``undo``, if it is empty then."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        undo.callback(_remove, each)
    if not missing:
        folder.mkdir(exist_ok=True)  # says so where it is no folder


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
