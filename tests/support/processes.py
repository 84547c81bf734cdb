"""Watching processes from outside: who lives, whose child, as which account."""

import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

IS_ROOT = os.geteuid() == 0
# Two accounts that are on every machine, none of which owns anything.
SOMEBODY_ELSE = "daemon"
ORDINARY = "nobody"


def wait_until(condition: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    """Say whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Say whether the process runs; one that has ended and waits to be noticed does not."""
    state = _ps("state", pid)
    return bool(state) and not state.startswith("Z")


def parent_of(pid: int) -> int:
    """Return the parent's number, 0 where the process is gone."""
    return int(_ps("ppid", pid) or 0)


def as_account(name: str) -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as another account; root only."""
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def interpreter_for(name: str) -> str | None:
    """Return a Python of this version that the account can run and that can import what we can."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates: Sequence[str] = (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}")
    for candidate in candidates:
        try:
            run = subprocess.run(
                [candidate, "-c", "import refactorkit.postgres.embedded"],
                check=False,
                capture_output=True,
                cwd="/",
                env=python_path(),
                **as_account(name),
            )
        except OSError:
            continue
        if run.returncode == 0:
            return candidate
    return None


def python_path() -> dict[str, str]:
    """Return an environment in which another interpreter finds our modules, but its own library."""
    folders = [Path(folder).absolute() for folder in sys.path if folder]
    ours = [str(folder) for folder in folders if not folder.is_relative_to(sys.base_prefix)]
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": os.pathsep.join(ours)}


def _ps(column: str, pid: int) -> str:
    return subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], check=False, capture_output=True, text=True
    ).stdout.strip()
