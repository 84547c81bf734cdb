"""What the operating system knows of processes: CPU time of a server, peak memory of a program."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from refactorkit.errors import FailedError

_SETTLE_SECONDS: Final = 5.0
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14  # proc(5), counted from the state
# A program's peak also counts what its parent held when it was started: so a small parent.
_SMALL_PARENT: Final = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def server_processes(postmaster: int) -> frozenset[int] | None:
    """Return the children of a server's first process; None where the system does not tell."""
    try:
        text = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii")
    except OSError:
        return None
    return frozenset(map(int, text.split()))


def wait_for_backends(postmaster: int, known: frozenset[int] | None) -> None:
    """Wait until the server has no other children than the known ones, five seconds at most."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while known is not None and time.monotonic() < deadline:
        if not (server_processes(postmaster) or frozenset()) - known:
            return
        time.sleep(0.002)


def server_cpu_seconds(postmaster: int) -> float | None:
    """Return the CPU time of all of a server's processes, ended ones too, in steps of 10 ms.

    Background processes are in it (checkpointer, WAL writer, I/O workers): they work for whoever
    is measured. None where the system does not tell.
    """
    children = server_processes(postmaster)
    if children is None:
        return None
    ticks = _ticks(postmaster, (_UTIME, _STIME, _CUTIME, _CSTIME))
    ticks += sum(_ticks(child, (_UTIME, _STIME)) for child in children)
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time of one process, in steps of 10 ms; None where nobody tells."""
    if server_processes(os.getpid()) is None:
        return None
    return _ticks(pid, (_UTIME, _STIME)) / os.sysconf("SC_CLK_TCK")


def peak_memory_bytes(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a Python module's command to its end and return its peak resident memory, in bytes.

    Args:
        arguments: what follows ``python -m``.
        environment: variables in addition to ours.

    Raises:
        FailedError: it did not end well.
    """
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-I", "-S", "-c", _SMALL_PARENT, sys.executable, "-m", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise FailedError(f"python -m {' '.join(arguments)} ended with {done.returncode}.")
    peak = int(done.stdout)
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes or kilobytes


def _ticks(pid: int, fields: Sequence[int]) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return 0
    values = text.rpartition(")")[2].split()
    return sum(int(values[field]) for field in fields)
