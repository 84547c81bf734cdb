"""The end of the former version's views: ``cutover --drop-v10``."""

from collections.abc import Mapping
from typing import NoReturn

import typer

from refactorkit.cli.context import Settings
from refactorkit.cli.migrate import chain_of
from refactorkit.cli.render import emit
from refactorkit.commands.chain import Limits
from refactorkit.commands.former import DropFormerRequest, DropFormerResult, drop_former
from refactorkit.errors import UsageError


def drop_former_version(options: Settings, others: Mapping[str, bool], limits: Limits) -> NoReturn:
    """Take the views away, say what went through them, and exit.

    Raises:
        UsageError: it was asked for together with something else.
        RefactorkitError: as the use case.
    """
    given = [name for name, is_given in others.items() if is_given]
    if given:
        raise UsageError(f"--drop-v10 does nothing else: it cannot be had with {given[0]}.")
    result = drop_former(DropFormerRequest(chain=chain_of(options), limits=limits))
    emit(options, _document(result), _text(result))
    raise typer.Exit


def _document(result: DropFormerResult) -> dict[str, object]:
    return {
        "schema": result.schema,
        "dropped": result.dropped,
        "writes": [
            {"table": table, "action": action, "rows": rows}
            for table, action, rows in result.writes
        ],
    }


def _text(result: DropFormerResult) -> str:
    first = (
        f"Schema {result.schema} is gone."
        if result.dropped
        else f"There is no schema {result.schema} of ours: nothing was changed."
    )
    written = ", ".join(f"{table} {rows:,} {action}" for table, action, rows in result.writes)
    return f"{first} Written through it since the switch: {written or 'nothing'}."
