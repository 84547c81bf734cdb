"""The command `audit report`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.evidence_options import TombstoneKeys
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands.audit.report import Format, ReportRequest, ReportResult, audit_report
from refactorkit.errors import UsageError

_Files = list[Path] | None


def command(
    ctx: typer.Context,
    *,
    output: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="A folder for all formats; or a file that ends in .html or .json, for one.",
        ),
    ],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="html,json,csv",
            help="Which of the three, with commas; by default all, or what a file's ending says.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The signed file. Without it, the archive's own copy."),
    ] = None,
    key: Annotated[
        _Files,
        typer.Option(
            metavar="FILE", help="A public key whose signature must be there; may be repeated."
        ),
    ] = None,
    tombstone_key: TombstoneKeys = None,
    preflight: Annotated[
        _Files,
        typer.Option(metavar="FILE", help="What preflight --json printed; may be repeated."),
    ] = None,
    drill: Annotated[
        _Files, typer.Option(metavar="FILE", help="What drill --json printed; may be repeated.")
    ] = None,
    operation: Annotated[
        _Files,
        typer.Option(
            "--operation",
            "--cutover",
            metavar="FILE",
            help="What cutover --json or rollback --json printed; may be repeated.",
        ),
    ] = None,
    ticket: Annotated[
        str | None, typer.Option(help="The change's ticket, where the evidence does not say.")
    ] = None,
    requester: Annotated[
        str | None, typer.Option(help="Who asked for the change, likewise.")
    ] = None,
    approver: Annotated[
        str | None, typer.Option(help="Who allowed it, likewise; not the operator.")
    ] = None,
    refactor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which refactor, where there are several."),
    ] = None,
    allow_edits: Annotated[
        bool,
        typer.Option(
            "--allow-edits",
            help="What differs in living tables may be the application's work, and is no failure.",
        ),
    ] = False,
    sample: Annotated[
        int, typer.Option(min=1, max=1000, help="How many people are drawn for human eyes.")
    ] = 20,
    seed: Annotated[str, typer.Option(help="By what the sample is drawn.")] = "1",
) -> None:
    """Write a report for an auditor: one page, JSON and CSV, without a value of anybody."""
    options = settings(ctx)
    request = ReportRequest(
        dsn=require_dsn(options),
        output=output,
        formats=_formats(formats, output),
        replace=force,
        refactor=refactor,
        evidence=evidence,
        keys=tuple(key or ()),
        tombstone_keys=tuple(tombstone_key or ()),
        allow_edits=allow_edits,
        ticket=ticket,
        requester=requester,
        approver=approver,
        preflights=tuple(preflight or ()),
        drills=tuple(drill or ()),
        operations=tuple(operation or ()),
        people=sample,
        seed=seed,
    )
    with progress() as bar:
        task = bar.add_task("report", total=None)
        result = audit_report(request, lambda name: bar.update(task, description=name))
    emit(options, _document(result), lambda console: _text(console, result))
    raise typer.Exit(result.exit_code)


def _formats(text: str | None, output: Path) -> tuple[Format, ...]:
    """Return the formats that were asked for.

    Raises:
        UsageError: one of them is none.
    """
    if text is None:
        ending = output.suffix.removeprefix(".").lower()
        return (Format(ending),) if ending in (Format.HTML, Format.JSON) else tuple(Format)
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    unknown = [name for name in names if name not in tuple(Format)]
    if unknown:
        raise UsageError(
            f"--format {text!r} is none: {unknown[0]!r} is not one of html, json, csv.",
            hint="Give one or more of them, with commas.",
        )
    return tuple(Format(name) for name in names)


def _document(result: ReportResult) -> dict[str, Any]:
    report = result.report
    return {
        "verdict": report.verdict,
        "summary": report.summary,
        "files": [str(path) for path in result.files],
        "checks": [
            {"name": each.name, "verdict": each.verdict, "finding": each.says, "do": each.do}
            for each in report.checks
        ],
    }


def _text(console: Console, result: ReportResult) -> None:
    rows = table("question", "answer", "what was found")
    for each in result.report.checks:
        rows.add_row(each.title, each.verdict.upper(), f"{each.says} {each.do}".strip())
    console.print(rows)
    tables = [path for path in result.files if path.suffix == ".csv"]
    for path in result.files:
        if path not in tables:
            console.print(str(path), soft_wrap=True)
    if tables:
        console.print(f"{tables[0].parent}: {len(tables)} tables", soft_wrap=True)
    console.print(f"{result.report.verdict.upper()}: {result.report.summary}", soft_wrap=True)
