"""The command group ``archive``: care of what is kept."""

import typer

from refactorkit.cli import (
    archive_erase,
    archive_export,
    archive_harden,
    archive_hold,
    archive_purge,
    archive_status,
)


def register(app: typer.Typer) -> None:
    """Add the command group to the program."""
    group = typer.Typer(
        name="archive", help="Care of what the archive keeps.", no_args_is_help=True
    )
    archive_status.register(group)
    archive_hold.register(group)
    archive_harden.register(group)
    archive_erase.register(group)
    archive_export.register(group)
    archive_purge.register(group)
    app.add_typer(group)
