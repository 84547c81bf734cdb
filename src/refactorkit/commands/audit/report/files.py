"""Where a report's formats go, and what is in each file."""

from pathlib import Path

from refactorkit.commands.audit.report.request import Format, ReportRequest
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.report import csv, model, page


def places(request: ReportRequest) -> dict[Format, Path]:
    """Return where each format goes: a file, or for CSV a folder.

    Raises:
        UsageError: one file was named, and several formats.
    """
    output = request.output
    ending = output.suffix.removeprefix(".").lower()
    if ending in (Format.HTML, Format.JSON):
        if set(request.formats) != {Format(ending)}:
            raise UsageError(
                f"{output} is one file, and these are several formats or another.",
                state=NOTHING_CHANGED,
                hint=f"Name a folder, or ask for --format {ending} alone.",
            )
        return {Format(ending): output}
    names = {Format.HTML: "report.html", Format.JSON: "report.json", Format.CSV: "tables"}
    return {form: output / names[form] for form in request.formats}


def refuse_to_replace(places: dict[Format, Path]) -> None:
    """Refuse before the long work what would be refused after it.

    Raises:
        UsageError: a file is there already.
    """
    for form, path in places.items():
        taken = path.exists() if form is not Format.CSV else any(path.glob("*.csv"))
        if taken:
            raise UsageError(
                f"There is a report at {path} already, and nothing is written over.",
                state=NOTHING_CHANGED,
                hint="Name another place, or replace it with --force.",
            )


def contents(
    request: ReportRequest, made: model.Report, places: dict[Format, Path]
) -> dict[Path, bytes]:
    """Return the content of each file."""
    made_of: dict[Path, bytes] = {}
    for form in request.formats:
        place = places[form]
        if form is Format.HTML:
            made_of[place] = page.render(made).encode()
        elif form is Format.JSON:
            made_of[place] = (made.model_dump_json(indent=2) + "\n").encode()
        else:
            made_of |= {place / f"{name}.csv": text for name, text in csv.tables(made).items()}
    return made_of
