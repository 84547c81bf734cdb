"""Temporary folders for servers, and the removal of forgotten ones.

A folder is in use as long as somebody holds the lock on the file `lock` in it (flock(2)): the
watcher, postgres and each of its processes hold the same one. A lock ends with its last holder,
however that one dies; so, unlike with process numbers, a free lock proves that nobody is there.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from refactorkit.errors import FailedError
from refactorkit.postgres import layout
from refactorkit.postgres.account import Account, reaches
from refactorkit.postgres.layout import Layout

PREFIX = "refactorkit-pg-"
NEW_PREFIX = "refactorkit-new-"


@dataclass(frozen=True, kw_only=True)
class PrivateDirectory:
    """A folder that nobody else can enter, with the server's folders in it.

    Attributes:
        layout: where its files are; the socket's path is short enough.
        lock_descriptor: the open, locked file that says that it is in use.
    """

    layout: Layout
    lock_descriptor: int


def create(account: Account | None, parent: Path | None = None) -> PrivateDirectory:
    """Make a folder with empty `data` and `socket` for the account, and lock it.

    It is made in `parent`, or else in the system's folder for temporary files; where that one has
    too long a path or is closed to the account, in /tmp or /var/tmp.

    Raises:
        FailedError: no folder will do.
    """
    reasons = []
    for folder in _parents(parent):
        reason = _obstacle(folder, account)
        if reason is None:
            try:
                return _create(folder, account)
            except OSError as error:
                reason = error.strerror or "it cannot be written to"
        reasons.append(f"{folder}: {reason}")
    raise FailedError(
        f"There is no place for the server's private folder ({'; '.join(reasons)}).",
        hint="Point TMPDIR to a folder with a short path in which everybody may make files.",
    )


def sweep(parent: Path | None = None) -> tuple[Path, ...]:
    """Remove the caller's folders whose server's every process is gone, and return which.

    There are some when a caller and its watcher were killed together, or the machine stopped.
    """
    removed = []
    for folder in _parents(parent):
        for path in sorted(folder.glob(f"{PREFIX}*")):
            descriptor = _lock(path) if _is_ours(path) else None
            if descriptor is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(descriptor)
                removed.append(path)
    return tuple(removed)


def _parents(parent: Path | None) -> tuple[Path, ...]:
    if parent is not None:
        return (parent.absolute(),)
    usual = (Path(tempfile.gettempdir()).absolute(), Path("/tmp"), Path("/var/tmp"))  # noqa: S108
    return tuple(dict.fromkeys(usual))


def _obstacle(folder: Path, account: Account | None) -> str | None:
    if not folder.is_dir():
        return "there is no such folder"
    if account is not None and not reaches(account, folder):
        return f"the account {account.name} cannot enter it"
    return Layout(root=folder / f"{PREFIX}12345678").obstacle()


def _create(folder: Path, account: Account | None) -> PrivateDirectory:
    new = Layout(root=Path(tempfile.mkdtemp(prefix=NEW_PREFIX, dir=folder)))
    descriptor = None
    try:
        descriptor = os.open(new.lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        layout.protect(new, account)
        layout.make_directory(new.data, account)
        layout.make_directory(new.socket_directory, account)
        # It gets the name that a sweep looks for when it is locked already.
        root = new.root.with_name(new.root.name.replace(NEW_PREFIX, PREFIX, 1))
        new.root.rename(root)
    except BaseException:
        if descriptor is not None:
            os.close(descriptor)
        shutil.rmtree(new.root, ignore_errors=True)
        raise
    return PrivateDirectory(layout=Layout(root=root), lock_descriptor=descriptor)


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        facts = path.lstat()
        return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
    return False


def _lock(directory: Path) -> int | None:
    """Return the open lock file, or None where somebody holds the lock or there is no such file."""
    try:
        descriptor = os.open(Layout(root=directory).lock, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
