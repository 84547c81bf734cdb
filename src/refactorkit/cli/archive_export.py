"""The commands ``archive export``, ``archive verify-export`` and ``archive import``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.passphrase import passphrase
from refactorkit.cli.render import emit, recorded, table
from refactorkit.coldfile.frames import TableEnd
from refactorkit.commands import archive_export as exporting
from refactorkit.commands import archive_file as reading
from refactorkit.commands.archive_export import ExportRequest, ExportResult
from refactorkit.commands.archive_file import FileRequest, FileResult, ImportRequest
from refactorkit.postgres.dumping import Programs

File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The export.")]


def register(group: typer.Typer) -> None:
    """Add the commands to their group."""
    group.command()(export)
    group.command(name="verify-export")(verify_export)
    group.command(name="import")(import_)


def export(
    ctx: typer.Context,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to be; never written over.")],
    programs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIRECTORY",
            file_okay=False,
            help="Where pg_dump is. Without it, that of the embedded server.",
        ),
    ] = None,
) -> None:
    """Write the archive into an encrypted file (age format) for cold storage.

    The export is recorded in the archive: it needs a role that may write there, and the primary.
    The passphrase comes from REFACTORKIT_EXPORT_PASSPHRASE, from the file that
    REFACTORKIT_EXPORT_PASSPHRASE_FILE names, or from a terminal.
    """
    options = settings(ctx)
    dsn = require_dsn(options)
    result = exporting.export(
        ExportRequest(
            dsn=dsn,
            path=out,
            passphrase=passphrase(new=True),
            table=options.table,
            programs=Programs(directory=programs),
        )
    )
    emit(options, exporting.document(result), lambda console: _exported(console, result))


def verify_export(ctx: typer.Context, *, file: File) -> None:
    """Read a whole export without a database: passphrase, every byte, every count and hash."""
    result = reading.verify_export(FileRequest(path=file, passphrase=passphrase(new=False)))
    emit(settings(ctx), reading.document(result), lambda console: _read(console, result, "holds"))


def import_(
    ctx: typer.Context,
    *,
    file: File,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="Who is to own the archive. Without it the user, and for a superuser the owner "
            "of the database.",
        ),
    ] = None,
    without_missing_roles: Annotated[
        bool,
        typer.Option(
            "--without-missing-roles", help="Leave out rights of roles that are not here."
        ),
    ] = False,
) -> None:
    """Make the archive of an export again in a database that has none; then Down works there.

    The import is recorded in it, after what the archive's own log says of the time before.
    """
    options = settings(ctx)
    result = reading.import_archive(
        ImportRequest(
            file=FileRequest(path=file, passphrase=passphrase(new=False)),
            dsn=require_dsn(options),
            table=options.table,
            role=role,
            without_missing_roles=without_missing_roles,
        )
    )
    emit(options, reading.document(result), lambda console: _read(console, result, "gave back"))


def _exported(console: Console, result: ExportResult) -> None:
    _tables(console, result.tables)
    console.print(f"Wrote {result.path}: {result.size_bytes:,} bytes, encrypted.")
    console.print(f"Digest: {result.digest}")
    recorded(console, result.recorded)


def _read(console: Console, result: FileResult, what: str) -> None:
    _tables(console, result.tables)
    head = result.head
    console.print(
        f"The export of {head['made_at']}, of {head['database']} at version"
        f" {head['database_version']}, {what} {sum(end.rows for end in result.tables):,} rows."
    )
    console.print(f"Digest: {result.digest}")
    if result.left_out:
        console.print(f"Rights were left out of roles that are not here: {len(result.left_out)}.")
    recorded(console, result.recorded)
    console.print("PASS")


def _tables(console: Console, tables: tuple[TableEnd, ...]) -> None:
    rows = table("table", "rows", "bytes", "sha256")
    for end in tables:
        rows.add_row(end.name, f"{end.rows:,}", f"{end.size_bytes:,}", end.sha256[:16])
    console.print(rows)
