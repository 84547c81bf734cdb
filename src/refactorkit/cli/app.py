"""The program: global options, its commands, and what an error looks like."""

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from typer.core import TyperGroup

from refactorkit import __version__
from refactorkit.cli import (
    archive,
    audit,
    compile_mapping,
    cutover,
    drill,
    embedded_server,
    logging,
    migrate,
    plan,
    preflight,
    render,
    rollback,
    seed,
    verify,
)
from refactorkit.cli.context import Settings
from refactorkit.cli.logging import DEFAULT_LEVEL, LogLevel
from refactorkit.errors import FailedError, RefactorkitError, UsageError

_log = structlog.get_logger()

_VALUE_OPTIONS: Final = frozenset({"--database-url", "--dir", "--table", "--log-level"})
_FLAGS: Final = frozenset({"--json"})
_CHECKS: Final = frozenset(
    {"validate", "verify", "preflight", "drill", "audit", "cutover", "rollback"}
)
_CHECKS_OF_ARCHIVE: Final = frozenset({"status", "verify-export", "import", "harden"})
_SECRET_LIKE: Final = re.compile(
    r"[\w+.-]*://[^\s']*|\w*(?:password|secret)\s*=\s*[^\s']*", re.IGNORECASE
)
_INTERRUPTED: Final = 130  # what Typer makes of Ctrl-C


class Program(TyperGroup):
    """The root command: takes global options anywhere, turns every error into a sentence."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - errors are always printed here
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program and exit with the code that ``design.md`` gives the outcome."""
        logging.configure()
        given, rest = split_global_options(sys.argv[1:] if args is None else args)
        is_check = bool(_CHECKS.intersection(rest[:1])) or (
            rest[:1] == ["archive"] and bool(_CHECKS_OF_ARCHIVE.intersection(rest[1:2]))
        )
        try:
            outcome = super().main(
                [*given, *rest] or ["--help"],
                prog_name or "refactorkit",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except Exception as error:  # noqa: BLE001 - the last place where one can become a sentence
            outcome = render.emit_error(
                _as_sentence(error),
                as_json="--json" in given,
                is_check=is_check,
            )
        if outcome == _INTERRUPTED:
            outcome = render.emit_error(
                FailedError("Interrupted.", state="What was not committed is rolled back."),
                as_json="--json" in given,
                is_check=is_check,
            )
        sys.exit(outcome if isinstance(outcome, int) else 0)


def split_global_options(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate global options, wherever they stand before ``--``, from everything else.

    People type both ``refactorkit --json status`` and ``refactorkit status --json``.
    """
    given: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += [argument, *remaining]
        elif argument in _FLAGS or argument.partition("=")[0] in _VALUE_OPTIONS:
            given.append(argument)
            if argument in _VALUE_OPTIONS:
                given += [value for value in [next(remaining, None)] if value is not None]
        else:
            rest.append(argument)
    return given, rest


def _as_sentence(error: Exception) -> RefactorkitError:
    """Turn whatever ended the program into an error that holds no value and no secret."""
    if isinstance(error, RefactorkitError):
        return error
    if isinstance(error, typer.TyperException):
        message = _SECRET_LIKE.sub("(a connection string, not shown)", error.format_message())
        return UsageError(message or "A command is missing.", hint="See refactorkit --help.")
    if isinstance(error, typer.Abort):
        return FailedError("Stopped before the end.")
    frames = traceback.extract_tb(error.__traceback__)
    for frame in frames:
        _log.debug(
            "traceback.frame",
            file=frame.filename,
            line=frame.lineno,
            function=frame.name,
            error_class=type(error).__name__,
        )
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"
    return FailedError(
        f"An unexpected {type(error).__name__} at {where}: this is a defect in refactorkit.",
        state="What was not committed is rolled back: ask refactorkit status.",
        hint="Run again with --log-level debug and report the frames; they hold no data.",
    )


app = typer.Typer(
    cls=Program,
    name="refactorkit",
    help="Destructive PostgreSQL refactors that can be undone without losing a row.",
    epilog="Global options may also stand after the command. Exit codes: 0 done, 1 failed, "
    "2 usage, 3 a check said no, 4 busy: try again.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"refactorkit {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    *,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar=["REFACTORKIT_DATABASE_URL", "DATABASE_URL", "GOOSE_DBSTRING"],
            help="The database: postgresql://USER@HOST/DATABASE, or key=value pairs. "
            "A password is better kept in a passfile or in the environment.",
        ),
    ] = None,
    directory: Annotated[
        Path,
        typer.Option("--dir", envvar="GOOSE_MIGRATION_DIR", help="The folder of the migrations."),
    ] = Path("sql"),
    table: Annotated[
        str,
        typer.Option(envvar="GOOSE_TABLE", help="The version table, with or without a schema."),
    ] = "goose_db_version",
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option(help="What is logged to standard error.")
    ] = DEFAULT_LEVEL,
    version: Annotated[  # noqa: ARG001 - its callback has already answered
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print refactorkit's own version.",
        ),
    ] = False,
) -> None:
    """Keep the global options for the commands."""
    logging.configure(log_level)
    ctx.obj = Settings(
        database_url=database_url,
        directory=directory,
        table=table,
        json=json,
        log_level=log_level,
    )


_GROUPS: Final[tuple[Callable[[typer.Typer], None], ...]] = (
    migrate.register,
    plan.register,
    cutover.register,
    rollback.register,
    seed.register,
    embedded_server.register,
    verify.register,
    preflight.register,
    drill.register,
    compile_mapping.register,
    archive.register,
    audit.register,
)
for _register in _GROUPS:
    _register(app)


def main() -> None:
    """Run the console script."""
    app()
