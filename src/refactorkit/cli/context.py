"""What every command knows from the global options."""

from dataclasses import dataclass, field
from pathlib import Path

import typer

from refactorkit.cli.logging import LogLevel
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.postgres.dsn import Dsn


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The global options of one call.

    Attributes:
        database_url: as given by option or environment; it may hold a password.
        directory: the folder of the migration files.
        table: the version table, with or without its schema.
        json: one JSON document on standard output, instead of text for people.
        log_level: what is logged to standard error.
    """

    database_url: str | None = field(repr=False)
    directory: Path
    table: str
    json: bool
    log_level: LogLevel


def settings(ctx: typer.Context) -> Settings:
    """Return the global options of this call."""
    found = ctx.find_object(Settings)
    if found is None:
        raise RuntimeError("the program's callback has not run")
    return found


def optional_dsn(settings: Settings) -> Dsn | None:
    """Return where the database is, or None where nobody said.

    Raises:
        UsageError: the URL is malformed.
    """
    return Dsn.parse(settings.database_url) if settings.database_url else None


def require_dsn(settings: Settings) -> Dsn:
    """Return where the database is.

    Raises:
        UsageError: no URL was given, or it is malformed.
    """
    dsn = optional_dsn(settings)
    if dsn is None:
        raise UsageError(
            "No database URL was given, and which database is meant is never guessed.",
            state=NOTHING_CHANGED,
            hint="Use --database-url, or set REFACTORKIT_DATABASE_URL or DATABASE_URL.",
        )
    return dsn
