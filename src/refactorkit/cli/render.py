"""Results to standard output, everything else to standard error.

With ``--json`` standard output holds exactly one JSON document, also where a command failed.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from refactorkit.cli.context import Settings
from refactorkit.errors import (
    BusyError,
    FailedError,
    RefactorkitError,
    RefusedError,
    UsageError,
)
from refactorkit.postgres.operations import Recorded

_PIPE_WIDTH: Final = 200  # columns, where standard output is no terminal: rows stay on one line
_KINDS: Final[tuple[tuple[type[RefactorkitError], str], ...]] = (
    (UsageError, "usage"),
    (RefusedError, "refused"),
    (BusyError, "busy"),
    (FailedError, "failed"),
)


def emit(
    settings: Settings,
    document: Mapping[str, Any],
    text: RenderableType | Callable[[Console], None],
) -> None:
    """Print a result: the document with ``--json``, else the text.

    Args:
        settings: the global options.
        document: what JSON can hold; its keys are a promise to scripts.
        text: something rich can print, or a function that prints to the console it is given.
    """
    if settings.json:
        print_json(document)
        return
    console = stdout_console()
    if callable(text):
        text(console)
    else:
        console.print(text)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document, in ASCII so that no locale can break it."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def stdout_console() -> Console:
    """Return the console of results; it neither guesses markup nor highlights, obeys NO_COLOR."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width)


def stderr_console() -> Console:
    """Return the console of errors and progress; long lines are not cut."""
    return Console(file=sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)


def table(*headings: str) -> Table:
    """Return an empty table in the house style; cells are ``Text`` or plain strings."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def recorded(console: Console, found: Iterable[Recorded]) -> None:
    """Say where an operation on the archive was written down."""
    for one in found:
        console.print(f"Recorded in archive.{one.refactor}_operations as {one.number}.")


def progress() -> Progress:
    """Return a progress display on standard error, shown only on a terminal.

    Use it as a context manager: ``with progress() as bar: task = bar.add_task("rows", total=n)``.
    """
    console = stderr_console()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def emit_error(error: RefactorkitError, *, as_json: bool, is_check: bool) -> int:
    """Print what went wrong and return the exit code.

    Args:
        error: its message, state and hint are all that is printed.
        as_json: also print a document with ``error`` to standard output.
        is_check: the document then has a verdict too: what broke off has checked nothing.
    """
    console = stderr_console()
    console.print(Text.assemble(("error:", "bold red"), " ", error.message))
    for part in (error.state, error.hint):
        if part:
            console.print(Text(part))
    if as_json:
        document: dict[str, Any] = {"verdict": "incomplete"} if is_check else {}
        kind = next((name for cls, name in _KINDS if isinstance(error, cls)), "failed")
        document["error"] = {
            "kind": kind,
            "message": error.message,
            "state": error.state,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        print_json(document)
    return error.exit_code
