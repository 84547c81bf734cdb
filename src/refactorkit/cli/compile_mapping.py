"""The command `compile`."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from refactorkit.cli.context import settings
from refactorkit.cli.render import emit
from refactorkit.commands import compile_mapping as compiling
from refactorkit.commands.compile_mapping import CompileRequest, CompileResult, Difference
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError

_SHOWN: Final = 160  # characters of a line that differs


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compile")(compile_mapping)


def compile_mapping(
    ctx: typer.Context,
    *,
    mapping: Annotated[
        Path, typer.Argument(help="The mapping: what becomes of each table and column.")
    ] = compiling.DEFAULT_MAPPING,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; exit 3 where the file is not what the mapping says."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write there, instead of into the folder of migrations."),
    ] = None,
) -> None:
    """Turn a mapping into its migration: static SQL, both directions."""
    options = settings(ctx)
    result = compiling.compile_mapping(
        CompileRequest(mapping=mapping, directory=options.directory, output=output, check=check)
    )
    document = _document(result)
    if check:
        document = {"verdict": result.verdict, **document}
    emit(options, document, lambda console: _print(console, result))
    if result.verdict is not Verdict.PASS:
        raise typer.Exit(RefusedError.exit_code)


def _document(result: CompileResult) -> dict[str, Any]:
    difference = result.difference
    return {
        "mapping": str(result.mapping),
        "migration": str(result.output),
        "version": result.version,
        "mapping_hash": result.mapping_hash,
        "lines": result.lines,
        "written": result.written,
        "difference": difference
        and {
            "line": difference.line,
            "found": difference.found,
            "expected": difference.expected,
            "missing_lines": difference.missing,
            "surplus_lines": difference.surplus,
        },
    }


def _print(console: Console, result: CompileResult) -> None:
    difference = result.difference
    if difference is None:
        console.print(f"{result.output} is what {result.mapping} says.")
    elif result.written:
        console.print(f"Wrote {result.output}: {result.lines} lines, from {result.mapping}.")
    else:
        _print_difference(console, result, difference)


def _print_difference(console: Console, result: CompileResult, difference: Difference) -> None:
    console.print(f"{result.output} is not what {result.mapping} says:")
    console.print(
        f"{difference.missing} lines are missing, {difference.surplus} are too many;"
        f" the first is line {difference.line}."
    )
    for sign, line in (("-", difference.found), ("+", difference.expected)):
        if line is not None:
            shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
            console.print(f"{sign} {shown}", soft_wrap=True)
    console.print("Change the mapping, not the file; then run refactorkit compile.")
