"""The command `seed`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands import seed as seeding

if TYPE_CHECKING:
    from rich.progress import TaskID


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(seed)


def seed(
    ctx: typer.Context,
    *,
    patients: Annotated[
        int, typer.Option(min=0, max=seeding.MOST_PATIENTS, help="How many patients.")
    ] = seeding.DEFAULT_PATIENTS,
    seed: Annotated[
        int,
        typer.Option("--seed", help="Another number gives other values, the same one the same."),
    ] = 1,
    assessments_per_patient: Annotated[
        int,
        typer.Option(
            min=0,
            max=seeding.MOST_ASSESSMENTS,
            help="How many assessments a patient has on average.",
        ),
    ] = seeding.DEFAULT_ASSESSMENTS,
    clinicians: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=seeding.MOST_CLINICIANS,
            show_default="one for 200 patients",
            help="How many clinicians own the patients.",
        ),
    ] = None,
    awkward: Annotated[
        bool,
        typer.Option(
            "--awkward",
            help="Mix in what breaks software: texts that no mapping knows, odd names, NaN, "
            "infinite times, ids below zero, gaps, collisions.",
        ),
    ] = False,
    demo_logins: Annotated[
        bool,
        typer.Option(
            "--demo-logins",
            help="Give an admin, a researcher and a clinician passwords, which are printed once.",
        ),
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Also where the tables hold rows of others already.")
    ] = False,
) -> None:
    """Fill a database at version 10 with made-up data, the same for the same numbers."""
    options = settings(ctx)
    request = seeding.SeedRequest(
        dsn=require_dsn(options),
        table=options.table,
        patients=patients,
        seed=seed,
        assessments_per_patient=assessments_per_patient,
        clinicians=clinicians,
        awkward=awkward,
        demo_logins=demo_logins,
        add=add,
    )
    tasks: dict[str, TaskID] = {}
    with progress() as bar:

        def report(name: str, sent: int, count: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=count)
            bar.update(tasks[name], completed=sent)

        result = seeding.seed(request, report)

    def text(console: Console) -> None:
        rows = table("table", "rows")
        for name, count in result.rows.items():
            rows.add_row(name, f"{count:,}")
        console.print(rows)
        console.print(f"{sum(result.rows.values()):,} rows in {result.seconds:.1f} s.")
        if result.logins:
            logins = table("role", "email", "password (not shown again)")
            for login in result.logins:
                logins.add_row(login.role, login.email, login.password)
            console.print(logins)

    document = {
        "rows": dict(result.rows),
        "seconds": round(result.seconds, 3),
        "logins": [
            {"role": login.role, "email": login.email, "password": login.password}
            for login in result.logins
        ],
    }
    emit(options, document, text)
