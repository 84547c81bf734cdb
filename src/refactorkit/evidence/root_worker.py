"""Roots of sections, reckoned by a second process while this one reads and hashes rows.

A million leaves have a million inner nodes, each a short SHA-256 that holds Python's lock: threads
do not help. The other process is Python with its standard library alone; it is given hashes of
leaves, never a row, and knows the tree by the same file as everybody (``tree.py``).
"""

import contextlib
import fcntl
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import IO, Final, Self, cast

from refactorkit.evidence import tree
from refactorkit.evidence.tree import HASH_BYTES

_ANSWERS: Final = 1000  # that may wait in the pipe, which holds 64 KiB on the systems we know
_PIPE_BYTES: Final = 2**20  # the most that Linux gives to everybody
_PROGRAM: Final = """
import sys
space = {"__name__": "tree"}
exec(compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec"), space)
root, read, answer = space["root"], sys.stdin.buffer.read, sys.stdout.buffer
while head := read(4):
    leaves = read(int.from_bytes(head, "big"))
    answer.write(root([leaves[start : start + 32] for start in range(0, len(leaves), 32)]))
    answer.flush()
"""


class RootWorker:
    """Reckons roots, in the order in which it is given leaves; to be closed."""

    def __init__(self) -> None:
        """Start no process yet: a small tree needs none."""
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = 0
        self._done: deque[bytes] = deque()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process; what was asked for and not fetched is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def add(self, leaves: bytes) -> None:
        """Give the hashes of one section's leaves, one after the other.

        Raises:
            OSError: the process cannot be started, or is gone.
        """
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - our own text, by our own Python
                [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(tree.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
            _widen(cast("IO[bytes]", self._process.stdin))
        elif self._waiting >= _ANSWERS:
            self._fetch()
        given = cast("IO[bytes]", self._process.stdin)
        data = memoryview(len(leaves).to_bytes(4) + leaves)
        while data:  # unbuffered: a signal may cut a write short
            data = data[given.write(data) or 0 :]
        self._waiting += 1

    def roots(self) -> list[bytes]:
        """Return the roots of all that was given since the last call, in order.

        Raises:
            OSError: the process is gone.
        """
        while self._waiting:
            self._fetch()
        found = list(self._done)
        self._done.clear()
        return found

    def _fetch(self) -> None:
        assert self._process is not None  # noqa: S101 - something was given to it
        answers, found = cast("IO[bytes]", self._process.stdout), b""
        while len(found) < HASH_BYTES:
            part = answers.read(HASH_BYTES - len(found))
            if not part:
                raise OSError("the process that reckons roots is gone")
            found += part
        self._done.append(found)
        self._waiting -= 1


def _widen(pipe: IO[bytes]) -> None:
    """Let a few sections wait in a pipe, where the system can: else this process waits with them.

    One section is twice what a pipe holds, so that each write would last as long as a root before.
    """
    widen = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux alone
    if widen is not None:
        with contextlib.suppress(OSError):  # the user has too many wide ones
            fcntl.fcntl(pipe, widen, _PIPE_BYTES)
