"""The commands `postgres start`, `postgres stop` and `postgres status`."""

import shlex
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from refactorkit.cli.context import settings
from refactorkit.cli.render import emit
from refactorkit.commands import embedded_server
from refactorkit.postgres.persistent import ServerState

_NOT_RUNNING: Final = 3

Directory = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="The folder of the server's data. By default one in the user's state folder "
        "(XDG_STATE_HOME, ~/.local/state), for root one in /var/lib.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command group to the program."""
    group = typer.Typer(
        name="postgres",
        help="A PostgreSQL server for development, on a private socket.",
        no_args_is_help=True,
    )
    group.command()(start)
    group.command()(stop)
    group.command()(status)
    app.add_typer(group)


def start(ctx: typer.Context, directory: Directory = None) -> None:
    """Start the server, making it the first time, and print how to connect.

    Where it runs already, that is fine too. The URL holds no password: that one is in a file
    that only you can read.
    """
    outcome = embedded_server.start(directory)
    state = outcome.state
    was = "" if outcome.changed else "already "

    def text(console: Console) -> None:
        # To be evaluated by a shell: the sentence is a comment there.
        console.out(f"# PostgreSQL {state.version} is {was}running in {state.directory}.")
        console.out(f"export DATABASE_URL={shlex.quote(state.url or '')}", highlight=False)

    emit(settings(ctx), {"started": outcome.changed, **_document(state)}, text)


def stop(ctx: typer.Context, directory: Directory = None) -> None:
    """Stop the server; its data stays for the next start."""
    outcome = embedded_server.stop(directory)
    said = "was stopped" if outcome.changed else "was not running"
    emit(
        settings(ctx),
        {"stopped": outcome.changed, **_document(outcome.state)},
        f"The server in {outcome.state.directory} {said}.",
    )


def status(ctx: typer.Context, directory: Directory = None) -> None:
    """Say whether the server runs, and how to connect; exit with 3 where it does not."""
    state = embedded_server.status(directory)
    if state.running:
        said = f"PostgreSQL {state.version} is running in {state.directory}.\n{state.url}"
    elif state.exists:
        said = f"The server in {state.directory} is not running."
    else:
        said = f"There is no server in {state.directory}."
    emit(settings(ctx), _document(state), said)
    if not state.running:
        raise typer.Exit(_NOT_RUNNING)


def _document(state: ServerState) -> dict[str, Any]:
    return {
        "running": state.running,
        "exists": state.exists,
        "directory": str(state.directory),
        "url": state.url,
        "version": state.version,
    }
