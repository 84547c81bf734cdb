"""The passphrase of an export: from the environment, a file, or a terminal, never an argument."""

import os
import sys
from pathlib import Path
from typing import Final

import typer

from refactorkit.errors import UsageError

VARIABLE: Final = "REFACTORKIT_EXPORT_PASSPHRASE"
_SHORTEST: Final = 12  # characters, for a new one


def passphrase(*, new: bool) -> str:
    """Return the passphrase.

    Args:
        new: it is to encrypt; it must not be short, and is asked for twice on a terminal.

    Raises:
        UsageError: there is none, there are two, the file cannot be read, or it is too short.
    """
    found = _find(new=new)
    if not found or (new and len(found) < _SHORTEST):
        raise UsageError(
            f"The passphrase must have {_SHORTEST} characters or more."
            if new
            else "The passphrase is empty.",
        )
    return found


def _find(*, new: bool) -> str:
    given, file = os.environ.get(VARIABLE), os.environ.get(f"{VARIABLE}_FILE")
    if given and file:
        raise UsageError(f"Both {VARIABLE} and {VARIABLE}_FILE are set: which one is meant?")
    if given:
        return given
    if file:
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"The file that {VARIABLE}_FILE names cannot be read.") from error
    if sys.stdin.isatty():
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True))
    raise UsageError(
        "No passphrase was given, and there is no terminal to ask on.",
        hint=f"Set {VARIABLE}, or {VARIABLE}_FILE to a file that holds it.",
    )
