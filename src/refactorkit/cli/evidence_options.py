"""The options by which an operation is told to make evidence, and what it says of it."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from refactorkit.commands.audit.files import KEY_FILE_VARIABLE, KEY_VARIABLE, KeySource
from refactorkit.commands.operation.evidence import EvidenceOutcome, EvidenceRequest
from refactorkit.errors import UsageError

_PANEL: Final = "Evidence"

SigningKey = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        rich_help_panel=_PANEL,
        help=f"The secret key that signs the evidence. Without it {KEY_VARIABLE} (the key itself, "
        f"PEM) or {KEY_FILE_VARIABLE} says; without any, no evidence is made.",
    ),
]
EvidenceDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=_PANEL,
        help="Where the signed evidence goes; without it, the working folder.",
    ),
]
NoEvidence = Annotated[
    bool,
    typer.Option("--no-evidence", rich_help_panel=_PANEL, help="Make none, on purpose."),
]
TombstoneKeys = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A public key that may have signed tombstones, beside those of --key; may be "
        "repeated. One signature is enough.",
    ),
]
Ticket = Annotated[str | None, typer.Option(rich_help_panel=_PANEL, help="The change's ticket.")]
Requester = Annotated[
    str | None, typer.Option(rich_help_panel=_PANEL, help="Who asked for the change.")
]
Approver = Annotated[
    str | None, typer.Option(rich_help_panel=_PANEL, help="Who allowed it; not the operator.")
]
Operator = Annotated[
    str | None,
    typer.Option(rich_help_panel=_PANEL, help="Who runs it; by default the database's user."),
]


def evidence_request(
    key: Path | None,
    folder: Path | None,
    *,
    left_out: bool,
    ticket: str | None,
    requester: str | None,
    approver: str | None,
    operator: str | None,
) -> EvidenceRequest:
    """Return what the options ask for.

    Raises:
        UsageError: they contradict each other.
    """
    if left_out and (key is not None or folder is not None):
        raise UsageError("--no-evidence and --key or --evidence-dir exclude each other.")
    return EvidenceRequest(
        key=KeySource(path=key, environ=os.environ),
        left_out=left_out,
        folder=folder,
        ticket=ticket,
        requester=requester,
        approver=approver,
        operator=operator,
    )


def document(outcome: EvidenceOutcome) -> dict[str, Any]:
    """Return what became of the evidence of one turn, as JSON can hold it."""
    made = outcome.made
    manifest = made.manifest if made else None
    return {
        "verdict": outcome.verdict.value,
        "asked_for": outcome.asked,
        "refactor": outcome.refactor or None,
        "turn": manifest and manifest.run.turn,
        "direction": manifest and manifest.run.direction,
        "file": str(made.file) if made else None,
        "digest": made and made.digest,
        "key_id": made and made.key_id,
        "after_the_fact": manifest and manifest.made.after_the_fact,
        "ties": [
            {"table": tie.table, "state": tie.state, "written_since": tie.written_since}
            for tie in (manifest.ties if manifest else ())
        ],
        "problem": outcome.problem or None,
    }
