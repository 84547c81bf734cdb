"""The commands `archive erase` and `archive tombstones`: care of what is kept."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from refactorkit.cli.context import require_dsn, settings
from refactorkit.cli.migrate import LockTimeout, LockWait, Retries
from refactorkit.cli.render import emit, table
from refactorkit.commands import erase as erasing
from refactorkit.commands import tombstones as listing
from refactorkit.commands.audit.files import KEY_FILE_VARIABLE, KEY_VARIABLE, KeySource
from refactorkit.commands.chain import DEFAULT_LOCK_WAIT_SECONDS, Limits
from refactorkit.commands.erase import EraseRequest, EraseResult, Outcome
from refactorkit.commands.tombstones import TombstonesResult
from refactorkit.postgres.erasure_left import UNREACHED
from refactorkit.postgres.lock_waits import DEFAULT_RETRIES, LockLimits


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``archive``."""
    # A negative id is no option.
    group.command(context_settings={"ignore_unknown_options": True})(erase)
    group.command()(tombstones)


def erase(
    ctx: typer.Context,
    *,
    source_id: Annotated[
        int,
        typer.Argument(
            metavar="PATIENT_ID",
            help="The id in the table that the refactor took away. A user's id is another kind of "
            "id, and is not looked for.",
        ),
    ],
    basis: Annotated[
        str | None,
        typer.Option(help="The legal basis or the ticket; never a name of the person."),
    ] = None,
    approved_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who approved it: not the operator.")
    ] = None,
    operator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who runs this. Without it, the database role."),
    ] = None,
    refactor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose id it is, where a database knows several."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Do all of it, under the same locks, and roll it back: only counts."
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help=f"The secret key that signs the tombstone. Without it {KEY_VARIABLE} (the key "
            f"itself, PEM) or {KEY_FILE_VARIABLE} says; without any, the tombstone is not signed.",
        ),
    ] = None,
    lock_wait: LockWait = DEFAULT_LOCK_WAIT_SECONDS,
    lock_timeout_ms: LockTimeout = None,
    retries: Retries = DEFAULT_RETRIES,
) -> None:
    """Erase a person for good, from the archive and from the living tables, in one transaction."""
    options = settings(ctx)
    result = erasing.erase(
        EraseRequest(
            dsn=require_dsn(options),
            source_id=source_id,
            basis=basis,
            approved_by=approved_by,
            operator=operator,
            refactor=refactor,
            table=options.table,
            dry_run=dry_run,
            key=KeySource(path=key, environ=os.environ),
            limits=Limits(
                lock_wait_seconds=lock_wait,
                locks=LockLimits(timeout_ms=lock_timeout_ms, retries=retries),
            ),
        )
    )
    emit(options, erasing.document(result), lambda console: _print_erasure(console, result))


def tombstones(ctx: typer.Context) -> None:
    """List who was erased: ids, when, by whom and why."""
    options = settings(ctx)
    result = listing.tombstones(require_dsn(options))
    emit(options, listing.document(result), lambda console: _print_tombstones(console, result))


def _print_erasure(console: Console, result: EraseResult) -> None:
    done, mapping = result.erasure, result.mapping
    words = {
        Outcome.ERASED: "Erased",
        Outcome.WOULD: "Would be erased (rolled back, nothing was changed)",
        Outcome.ALREADY: "Was erased before, and nothing of them is here",
    }
    console.print(f"{words[result.outcome]}, at version {result.version}:")
    for pair in done.person.pairs:
        target = "none" if pair.target_id is None else str(pair.target_id)
        console.print(
            f"  {mapping.source.table} {pair.source_id}, {mapping.target.table} {target}"
            f" ({pair.kind})"
        )
    if result.outcome is Outcome.ALREADY:
        return
    rows = table("place", "rows")
    for count in done.deleted:
        if count.rows:
            rows.add_row(count.name, f"{count.rows:,}")
    for count in done.unlinked:
        rows.add_row(f"{count.name} of others, taken away", f"{count.rows:,}")
    console.print(rows)
    for trigger in done.quiet:
        console.print(
            f"Kept quiet meanwhile: trigger {trigger.name} on {trigger.schema}.{trigger.table}."
        )
    if done.ownerless:
        console.print(
            f"{done.ownerless:,} {mapping.source.table} of others lose their owner: Down will ask"
            " for a custodian."
        )
    for stone in done.tombstones:
        if stone.digest is None:
            console.print(f"Tombstone {stone.number} is not signed: no key was given (--key).")
        else:
            console.print(
                f"Tombstone {stone.number} is signed by {stone.key_id}; SHA-256 of what was signed"
                f" {stone.digest}: keep it outside the database.",
                soft_wrap=True,
            )
    _print_left(console, result)


def _print_left(console: Console, result: EraseResult) -> None:
    console.print("Not reached:")
    for count in result.left.naming:
        console.print(f"  {count.rows:,} rows of {count.name} name the person by key")
    for count in result.left.orphans:
        console.print(
            f"  {count.rows:,} rows of {count.name} are about rows that are gone: whose they were"
            " is not known"
        )
    for name in result.erasure.not_looked_into:
        console.print(f"  {name}: its columns do not say whom it is about")
    for name in result.left.uncounted:
        console.print(f"  {name}: could not be counted")
    for name in result.statistics:
        console.print(f"  statistics of {name}, which hold values, until ANALYZE")
    for sentence in UNREACHED:
        console.print(f"  {sentence}")
    if result.outcome is Outcome.ERASED and result.erasure.touched:
        console.print(f"Next: VACUUM {', '.join(result.erasure.touched)};")


def _print_tombstones(console: Console, result: TombstonesResult) -> None:
    for name, found in result.refactors.items():
        console.print(f"{name}: {result.people(name):,} people were erased.")
        rows = table(
            "at", "source id", "target id", "kind", "basis", "approved by", "operator", "signature"
        )
        for one in found:
            rows.add_row(
                f"{one.at:%Y-%m-%d %H:%M:%S%z}",
                str(one.source_id),
                "none" if one.target_id is None else str(one.target_id),
                one.kind,
                one.basis,
                one.approved_by,
                one.operator,
                "there" if result.digests[name].get(one.number) else "none",
            )
        if found:
            console.print(rows)
