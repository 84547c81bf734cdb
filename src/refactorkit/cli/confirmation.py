"""The question before an operation: which database, which versions, how many rows; yes or no."""

import sys
from typing import Annotated, Final

import typer
from rich.console import Console

from refactorkit.cli.render import stderr_console
from refactorkit.commands.operation.model import Confirm, Expectation, Question
from refactorkit.errors import NOTHING_CHANGED, UsageError

_WHICH: Final = "Which database"

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask; for scripts, whose author has decided.")
]
ExpectDatabase = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=_WHICH, help="Refuse any database of another name."
    ),
]
ExpectEnvironment = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=_WHICH,
        help="Refuse a database whose setting refactorkit.environment is another, or none.",
    ),
]
ExpectSystemIdentifier = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=_WHICH,
        help="Refuse another cluster than this one, as pg_controldata prints it.",
    ),
]
MaxLockMs = Annotated[
    int | None,
    typer.Option(
        "--max-lock-ms",
        min=1,
        metavar="MS",
        rich_help_panel="Locks",
        help="Give up, with nothing changed, where a transaction is not done in so long; it is "
        "tried again as after a lock timeout. With --online: where its locks are not to be had in "
        "so long, 150 without it.",
    ),
]


def expectation(
    database: str | None, environment: str | None, system_identifier: int | None
) -> Expectation:
    """Return which database is meant."""
    return Expectation(
        database=database, environment=environment, system_identifier=system_identifier
    )


def confirm_by(*, yes: bool, operation: str) -> Confirm | None:
    """Return who asks the operator; None where they have said yes already.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if yes:
        return None
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{operation} asks before it begins, and there is no terminal to ask on.",
            state=NOTHING_CHANGED,
            hint="Say --yes where a person has decided already.",
        )
    return _ask


def _ask(question: Question) -> bool:
    """Show what is about to happen; yes is the name of the database, typed."""
    console = stderr_console()
    _show(console, question)
    if question.deletions:
        console.print("Deleted since the last rollback; they would not return:")
        for deletion in question.deletions:
            console.print(f"  {deletion.describe()}")
        if typer.prompt("Is that right? yes or no", err=True).strip().lower() != "yes":
            return False
    typed = typer.prompt("Type the database's name to go on", err=True)
    return bool(typed.strip() == question.identity.database)


def _show(console: Console, question: Question) -> None:
    identity = question.identity
    environment = f", environment {identity.environment}" if identity.environment else ""
    console.print(
        f'{question.operation} of "{identity.database}" on {identity.host}:{identity.port}'
        f" as {identity.user}{environment}, PostgreSQL {identity.server_version}:"
    )
    console.print(
        f"from version {question.before} to {question.after}: {', '.join(question.files)}"
    )
    for name, count in question.rows.items():
        console.print(f"  {name}: {count:,} rows")
    for remark in question.remarks:
        console.print(remark)
