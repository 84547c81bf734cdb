"""The commands `audit keygen`, `anchor`, `cosign`, `verify`, `prove` and `report`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from refactorkit.cli import audit_report
from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.evidence_options import TombstoneKeys
from refactorkit.cli.render import emit, progress, table
from refactorkit.commands.audit.anchor import AnchorRequest, AnchorResult, anchor
from refactorkit.commands.audit.cosign import cosign
from refactorkit.commands.audit.files import KEY_FILE_VARIABLE, KEY_VARIABLE, KeySource
from refactorkit.commands.audit.keygen import keygen
from refactorkit.commands.audit.prove import ProveRequest, prove
from refactorkit.commands.audit.verify import (
    AuditVerifyRequest,
    AuditVerifyResult,
    audit_verify,
    document,
)
from refactorkit.evidence.tombstone import SignatureState

_Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help=f"The secret key that signs. Without it {KEY_VARIABLE} (the key itself, PEM) or "
        f"{KEY_FILE_VARIABLE} says.",
    ),
]
_PublicKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="A public key whose signature must be there; may be repeated. Have it from somewhere "
        "you trust, not from the database.",
    ),
]
_Refactor = Annotated[
    str | None,
    typer.Option("--refactor", metavar="NAME", help="Which refactor, where there are several."),
]


def register(app: typer.Typer) -> None:
    """Add the command group to the program."""
    group = typer.Typer(
        name="audit",
        help="Evidence that data was preserved: signed, verified, and opened for one person.",
        no_args_is_help=True,
    )
    group.command("keygen")(_keygen)
    group.command("anchor")(_anchor)
    group.command("cosign")(_cosign)
    group.command("verify")(_verify)
    group.command("prove")(_prove)
    group.command("report")(audit_report.command)
    app.add_typer(group)


def _keygen(
    ctx: typer.Context,
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="For the secret key; FILE.pub for the other.")
    ],
) -> None:
    """Make a key that signs evidence (Ed25519), for its owner alone; it is never printed."""
    made = keygen(file)
    emit(
        settings(ctx),
        {"secret_key": str(made.secret), "public_key": str(made.public), "key_id": made.key_id},
        f"{made.secret}: keep it away from the database's host.\n"
        f"{made.public}: for whoever verifies.\nkey {made.key_id}",
    )


def _anchor(
    ctx: typer.Context,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where the signed evidence goes; never written over. Keep it out of reach of "
            "whoever owns the database.",
        ),
    ] = None,
    key: _Key = None,
    refactor: _Refactor = None,
    ticket: Annotated[str | None, typer.Option(help="The change's ticket.")] = None,
    requester: Annotated[str | None, typer.Option(help="Who asked for the change.")] = None,
    approver: Annotated[str | None, typer.Option(help="Who allowed it; not the operator.")] = None,
    operator: Annotated[
        str | None, typer.Option(help="Who ran it; by default the database's user.")
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            help="Count values too: the different ones of each column, those without an image."
        ),
    ] = False,
) -> None:
    """Make signed evidence of what the last Up or Down left behind: leaves, trees, a manifest."""
    options = settings(ctx)
    request = AnchorRequest(
        dsn=require_dsn(options),
        key=KeySource(path=key, environ=os.environ),
        out=out,
        refactor=refactor,
        ticket=ticket,
        requester=requester,
        approver=approver,
        operator=operator,
        profile=profile,
    )
    with progress() as bar:
        task = bar.add_task("anchor", total=None)
        result = anchor(request, lambda name: bar.update(task, description=name))
    emit(options, _anchored(result), lambda console: _anchor_text(console, result))
    raise typer.Exit(result.exit_code)


def _anchored(result: AnchorResult) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "verdict": result.verdict.value,
        "file": str(result.file),
        "digest": result.digest,
        "key_id": result.key_id,
        "refactor": manifest.places.name,
        "turn": manifest.run.turn,
        "direction": manifest.run.direction,
        "after_the_fact": manifest.made.after_the_fact,
        "counts": manifest.counts.counted,
        "equation": {"text": manifest.counts.equation, "holds": manifest.counts.holds},
        "ties": [{"table": tie.table, "state": tie.state} for tie in manifest.ties],
        "trees": [
            {"table": tree.table, "rows": tree.rows, "root": tree.root} for tree in manifest.trees
        ],
    }


def _anchor_text(console: Console, result: AnchorResult) -> None:
    manifest = result.manifest
    run = manifest.run
    console.print(f"{manifest.places.name}: turn {run.turn}, {run.direction}, at {run.at}")
    rows = table("tree", "rows", "root")
    for tree in manifest.trees:
        if tree.rows:
            rows.add_row(tree.table, f"{tree.rows:,}", tree.root)
    console.print(rows)
    console.print(f"{manifest.counts.equation}: {'holds' if manifest.counts.holds else 'NO'}")
    for tie in manifest.ties:
        console.print(f"{tie.table} against what the transaction recorded: {tie.state}")
    console.print(
        f"Anchored after the fact, signed by {result.key_id}.\n"
        f"{result.file}: SHA-256 of the manifest {result.digest}"
    )
    console.print(result.verdict.value.upper())


def _cosign(
    ctx: typer.Context,
    *,
    evidence: Annotated[Path, typer.Argument(metavar="EVIDENCE", help="The signed file.")],
    key: _Key = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="A public key that must have signed before; may be repeated."
        ),
    ] = None,
) -> None:
    """Add a second signature, such as an auditor's, to the same bytes."""
    done = cosign(evidence, KeySource(path=key, environ=os.environ), trust or ())
    emit(
        settings(ctx),
        {
            "file": str(done.file),
            "digest": done.digest,
            "key_id": done.key_id,
            "signatures": done.signatures,
            "added": done.added,
        },
        f"{done.file}: {'signed' if done.added else 'was signed before'} by {done.key_id}, "
        f"{done.signatures} signatures in all.",
    )


def _verify(
    ctx: typer.Context,
    *,
    evidence: Annotated[
        Path | None,
        typer.Argument(
            metavar="[EVIDENCE]", help="The signed file. Without it, the archive's own copy."
        ),
    ] = None,
    key: _PublicKeys = None,
    tombstone_key: TombstoneKeys = None,
    refactor: _Refactor = None,
    allow_edits: Annotated[
        bool,
        typer.Option(
            "--allow-edits",
            help="What differs in living tables may be the application's work, and is no failure.",
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=0, help="How many differences of each table are listed.")
    ] = 20,
) -> None:
    """Compare archive and living tables with signed evidence: every row, the schema, sequences."""
    options = settings(ctx)
    request = AuditVerifyRequest(
        dsn=require_dsn(options),
        evidence=evidence,
        keys=tuple(key or ()),
        tombstone_keys=tuple(tombstone_key or ()),
        refactor=refactor,
        allow_edits=allow_edits,
        limit=limit,
    )
    with progress() as bar:
        task = bar.add_task("verify", total=None)
        result = audit_verify(request, lambda name: bar.update(task, description=name))
    emit(options, document(result), lambda console: _verify_text(console, result))
    raise typer.Exit(result.exit_code)


def _verify_text(console: Console, result: AuditVerifyResult) -> None:
    run = result.manifest.run
    console.print(
        f"{result.manifest.places.name}: evidence of turn {run.turn}, {run.direction}, "
        f"made {result.manifest.made.at}, digest {result.digest}"
    )
    for signature in result.signatures:
        word = "signed by" if signature.is_valid else "NOT SIGNED by"
        console.print(f"{word} {signature.key_id}")
    rows = table("table", "rows", "verified", "erased", "differences", "")
    for tree in result.trees:
        edits = result.allow_edits and tree.differences == tree.edits
        word = "ok" if not tree.differences else "edits" if edits else "FAIL"
        if tree.expected or tree.differences:
            rows.add_row(
                tree.table,
                f"{tree.expected:,}",
                f"{tree.verified:,}",
                f"{tree.erased:,}",
                f"{tree.differences:,}",
                word,
            )
    console.print(rows)
    for tree in result.trees:
        for d in tree.listed:
            console.print(f"  {d.table} id {d.row_id or '-'} {d.column or '(row)'}: {d.what}")
        if tree.differences > len(tree.listed):
            console.print(f"  and {tree.differences - len(tree.listed):,} more: --limit")
    for change in result.changes:
        console.print(f"  {change.kind} {change.name}: {change.what}")
    _tombstones_text(console, result)
    for note in result.notes:
        console.print(note, soft_wrap=True)
    console.print(result.manifest.promise, soft_wrap=True)
    console.print(result.verdict.value.upper())


def _tombstones_text(console: Console, result: AuditVerifyResult) -> None:
    for stone in result.tombstones:
        if stone.state is SignatureState.SIGNED:
            console.print(f"tombstone {stone.tombstone} signed by {', '.join(stone.key_ids)}")


def _prove(
    ctx: typer.Context,
    *,
    patient_id: Annotated[
        int, typer.Argument(metavar="PATIENT_ID", help="The row's id before the refactor.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the proof goes.")],
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The signed file. Without it, the archive's own copy."),
    ] = None,
    refactor: _Refactor = None,
) -> None:
    """Write a proof for one person that shows nothing of any other; it holds her values."""
    options = settings(ctx)
    made = prove(
        ProveRequest(
            dsn=require_dsn(options),
            source_id=patient_id,
            out=out,
            evidence=evidence,
            refactor=refactor,
        )
    )
    emit(
        options,
        {
            "verdict": "pass",
            "file": str(made.file),
            "evidence": made.evidence,
            "table": made.table,
            "index": made.index,
            "path_hashes": made.hashes,
            "bytes": made.file_bytes,
            "row_bytes": made.row_bytes,
        },
        f"{made.file}: {made.file_bytes:,} bytes, {made.hashes} hashes on the path.\n"
        f"To verify: python3 archive/verify_proof.py {made.file} EVIDENCE --key PUBLIC_KEY",
    )
