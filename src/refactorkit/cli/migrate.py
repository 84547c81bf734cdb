"""The commands that goose has too: up, down, redo, status, version, create, validate."""

import os
from typing import Annotated, Final

import typer

from refactorkit.cli import migrate_view as view
from refactorkit.cli.context import Settings, optional_dsn, require_dsn, settings
from refactorkit.cli.render import emit
from refactorkit.commands import create as creating
from refactorkit.commands import down as going_down
from refactorkit.commands import redo as redoing
from refactorkit.commands import status as asking
from refactorkit.commands import up as going_up
from refactorkit.commands import validate as validating
from refactorkit.commands import version as asking_version
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS, Chain, Limits, RunResult
from refactorkit.commands.down import OnConflict
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.postgres.lock_waits import DEFAULT_RETRIES, DEFAULT_TIMEOUT_MS, LockLimits

_LOCKS: Final = "Locks"

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be run, statement by statement.")
]
LockWait = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        rich_help_panel=_LOCKS,
        help="How long to wait for another runner to end.",
    ),
]
LockTimeout = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2_147_483_647,
        metavar="MS",
        rich_help_panel=_LOCKS,
        help="lock_timeout of each statement, 0 for none. "
        f"Without it the server's own, or {DEFAULT_TIMEOUT_MS} where it has none.",
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        min=0,
        max=1000,
        rich_help_panel=_LOCKS,
        help="How often a file is tried again after a lock timeout.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command()(up)
    app.command()(down)
    app.command()(redo)
    app.command()(status)
    app.command()(version)
    app.command()(create)
    app.command()(validate)


def up(
    ctx: typer.Context,
    *,
    to: Annotated[int | None, typer.Option(min=1, help="Stop after this version.")] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Run pending files below the highest applied, too."),
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Overrule the guard of this name; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
) -> None:
    """Apply what is pending, each file in a transaction of its own."""
    options = settings(ctx)
    result = going_up.up(
        going_up.UpRequest(
            chain=chain_of(options),
            to=to,
            allow_missing=allow_missing,
            accept=names(accept or []),
            dry_run=dry_run,
            limits=_limits(lock_wait, lock_timeout_ms, retries),
        )
    )
    _emit_run(options, "up", result)


def down(
    ctx: typer.Context,
    *,
    to: Annotated[
        int | None,
        typer.Option(min=0, help="Go back to this version, 0 for all. Without it, one step."),
    ] = None,
    custodian: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="The user who takes over what has lost its owner."),
    ] = None,
    keep_logins: Annotated[
        bool,
        typer.Option(
            "--keep-logins", help="Leave users active who were created in the newer version."
        ),
    ] = False,
    on_conflict: Annotated[
        OnConflict | None,
        typer.Option(help="Which side wins where both were changed. Without it, live."),
    ] = None,
    dry_run: DryRun = False,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
) -> None:
    """Take back the version that was applied last, or all above one."""
    options = settings(ctx)
    result = going_down.down(
        going_down.DownRequest(
            chain=chain_of(options),
            to=to,
            custodian=custodian,
            keep_logins=keep_logins,
            on_conflict=on_conflict,
            dry_run=dry_run,
            limits=_limits(lock_wait, lock_timeout_ms, retries),
        )
    )
    _emit_run(options, "down", result)


def redo(
    ctx: typer.Context,
    *,
    dry_run: DryRun = False,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
) -> None:
    """Take back the version that was applied last, and apply it again."""
    options = settings(ctx)
    result = redoing.redo(
        redoing.RedoRequest(
            chain=chain_of(options),
            dry_run=dry_run,
            limits=_limits(lock_wait, lock_timeout_ms, retries),
        )
    )
    _emit_run(options, "redo", result)


def status(
    ctx: typer.Context,
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit 3 if a file is pending, edited or gone, or cannot be compared."
        ),
    ] = False,
) -> None:
    """Show which files are applied, pending, edited or gone."""
    options = settings(ctx)
    result = asking.status(chain_of(options))
    document = view.status_document(result)
    if check:
        document = {"verdict": result.verdict, **document}
    emit(options, document, lambda console: view.print_status(console, result))
    if check:
        _exit_by(result.verdict)


def version(ctx: typer.Context) -> None:
    """Print the version that the database is at."""
    options = settings(ctx)
    result = asking_version.version(require_dsn(options), table=options.table)
    emit(
        options,
        {
            "version": result.version,
            "table": result.table,
            "table_exists": result.table_exists,
        },
        str(result.version),
    )


def create(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="What the migration does, such as 'add visits'.")],
    sequential: Annotated[
        bool,
        typer.Option(
            "-s", "--sequential", help="Take the next number as version, instead of the time."
        ),
    ] = False,
) -> None:
    """Begin a new migration file."""
    options = settings(ctx)
    path = creating.create(
        creating.CreateRequest(directory=options.directory, name=name, sequential=sequential)
    )
    emit(options, {"file": path.name, "path": str(path)}, f"Created {path}")


def validate(
    ctx: typer.Context,
    *,
    conventions: Annotated[
        bool,
        typer.Option(
            help="Also hold the files to the conventions: naming, both blocks, IF [NOT] EXISTS, "
            "keywords in capitals."
        ),
    ] = True,
) -> None:
    """Read all files without running them; with a database URL, also look for edited ones."""
    options = settings(ctx)
    result = validating.validate(
        validating.ValidateRequest(
            directory=options.directory,
            environ=os.environ,
            hold_to_conventions=conventions,
            dsn=optional_dsn(options),
            table=options.table,
        )
    )
    emit(
        options,
        view.validate_document(result),
        lambda console: view.print_validation(console, result),
    )
    _exit_by(result.verdict)


def chain_of(options: Settings) -> Chain:
    """Return files and database of this call."""
    return Chain(
        dsn=require_dsn(options),
        directory=options.directory,
        table=options.table,
        environ=os.environ,
    )


def _limits(lock_wait: float, lock_timeout_ms: int | None, retries: int) -> Limits:
    return Limits(
        lock_wait_seconds=lock_wait,
        locks=LockLimits(timeout_ms=lock_timeout_ms, retries=retries),
    )


def names(accept: list[str]) -> tuple[str, ...]:
    """Take ``--accept a --accept b,c`` as three names."""
    return tuple(name.strip() for each in accept for name in each.split(",") if name.strip())


def _emit_run(options: Settings, command: str, result: RunResult) -> None:
    emit(
        options,
        view.run_document(command, result),
        lambda console: view.print_run(console, command, result),
    )


def _exit_by(verdict: Verdict) -> None:
    if verdict is not Verdict.PASS:
        raise typer.Exit(RefusedError.exit_code)
