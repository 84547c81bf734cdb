"""The program on a terminal of its own, with somebody who types."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_SECONDS = 60.0


def converse(
    arguments: Sequence[str | Path], *, url: str, answers: Sequence[tuple[str, str]]
) -> tuple[int, str]:
    """Run the program, answer each question when it is asked; return its exit code and its text.

    Args:
        arguments: of the program.
        url: the database.
        answers: what to wait for, and what to type then.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "refactorkit", *map(str, arguments)],
        env={**os.environ, "REFACTORKIT_DATABASE_URL": url, "TERM": "dumb", "NO_COLOR": "1"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    waiting = list(answers)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                if not piece:
                    break
                said += piece
            if waiting and waiting[0][0].encode() in said:
                os.write(ours, waiting.pop(0)[1].encode() + b"\n")
        return process.wait(PATIENCE_SECONDS), said.decode("utf-8", "replace")
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
