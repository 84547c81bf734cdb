"""Verify a database against signed evidence: rows, schema, sequences, signatures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from refactorkit.commands.audit import logs
from refactorkit.commands.audit.files import EvidenceFile, public_keys
from refactorkit.commands.audit.kept import evidence_of
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED
from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import PublicKey
from refactorkit.evidence.manifest import Manifest
from refactorkit.evidence.own_guards import OwnGuards, without_own
from refactorkit.evidence.schema_comparison import (
    Change,
    changed_definitions,
    moved_sequences,
)
from refactorkit.evidence.tombstone import TombstoneSignature
from refactorkit.postgres import operations, server_errors
from refactorkit.postgres.anchoring import scope_of
from refactorkit.postgres.attesting import (
    Attestor,
    FormerWrites,
    Tombstones,
    TreeOutcome,
    highest_turn,
)
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.definitions import definitions, sequences
from refactorkit.postgres.digests import pinned
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_facts import identity
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.own_guards import own_guards
from refactorkit.postgres.refactors import last_turns, refuse_staged
from refactorkit.postgres.tombstone_signatures import signatures

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class AuditVerifyRequest:
    """What to verify, and whose signatures count.

    Attributes:
        dsn: the database; it may be a restored copy.
        evidence: the signed file; None: the newest copy that the archive has.
        keys: public keys, all of which must have signed.
        tombstone_keys: more public keys that may have signed tombstones.
        refactor: its name, where the copy is meant and there are several.
        allow_edits: what the application may have written since is no failure.
        limit: how many differences of each table are listed; all are counted.
    """

    dsn: Dsn
    evidence: Path | None = None
    keys: tuple[Path, ...] = ()
    tombstone_keys: tuple[Path, ...] = ()
    refactor: str | None = None
    allow_edits: bool = False
    limit: int = 100


@dataclass(frozen=True, kw_only=True)
class SignatureOutcome:
    """Whether one trusted key has signed."""

    key_id: str
    is_valid: bool


@dataclass(frozen=True, kw_only=True)
class AuditVerifyResult:
    """What was found.

    Attributes:
        digest: of the manifest.
        manifest: what was verified against.
        from_file: False where the archive's own copy was used.
        signatures: one for each trusted key.
        trees: what became of the rows.
        tombstones: what became of their signatures, one each.
        changes: of the evidence's copy, of definitions, of sequences; tombstones that are forged.
        notes: what was not checked, or should be known.
        is_complete: whether everything was checked.
        allow_edits: as asked.
    """

    digest: str
    manifest: Manifest
    from_file: bool
    signatures: tuple[SignatureOutcome, ...]
    trees: tuple[TreeOutcome, ...]
    tombstones: tuple[TombstoneSignature, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    is_complete: bool
    allow_edits: bool

    @property
    def verdict(self) -> Verdict:
        """Fail on any difference; incomplete where something was not checked."""
        differs = any(
            tree.differences > (tree.edits if self.allow_edits else 0) for tree in self.trees
        )
        if differs or self.changes or not all(each.is_valid for each in self.signatures):
            return Verdict.FAIL
        whole = self.is_complete and all(tree.is_whole for tree in self.trees)
        return Verdict.PASS if whole and self.signatures else Verdict.INCOMPLETE

    @property
    def exit_code(self) -> int:
        """0 where every check was made and passed, else 3."""
        return 0 if self.verdict is Verdict.PASS else 3


def audit_verify(
    request: AuditVerifyRequest, report: Callable[[str], None] = lambda _name: None
) -> AuditVerifyResult:
    """Compare a database with signed evidence; nothing is changed.

    Args:
        request: what to verify.
        report: is told the name of each table before it is read.

    Raises:
        UsageError: a file cannot be read.
        RefusedError: there is no evidence, the file is none, or a cutover is staged.
        FailedError: the server refused or was lost.
    """
    keys = public_keys(request.keys)
    more = public_keys(request.tombstone_keys)
    doing = f"Verifying {request.dsn.describe()}"
    with (
        connected(request.dsn) as connection,
        connected(request.dsn) as second,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        pinned(connection, read_only=True),
        pinned(second, read_only=True),
    ):
        evidence = evidence_of(connection, request.evidence, request.refactor, request.dsn)
        refuse_staged(connection, last_turns(connection))
        stones = signatures(connection, evidence.manifest.places.name, (*keys, *more))
        result = _verify(
            connection, second, request, evidence, stones=stones, keys=keys, report=report
        )
    _log.info("audit.verified", verdict=result.verdict.value)
    return result


def _verify(
    connection: Connection,
    second: Connection,
    request: AuditVerifyRequest,
    evidence: EvidenceFile,
    *,
    stones: tuple[TombstoneSignature, ...],
    keys: Sequence[PublicKey],
    report: Callable[[str], None],
) -> AuditVerifyResult:
    manifest = evidence.manifest
    name = manifest.places.name
    signed = evidence.envelope.verified_by(keys)
    notes = []
    if not keys:
        notes.append("No public key was given (--key): the signature was not verified.")
    changes = [
        *_copy(connection, evidence),
        *logs.forged(name, stones),
        *logs.gaps(connection, name),
    ]
    last = highest_turn(connection, name)
    is_current = last is None or last <= manifest.run.turn
    former = FormerWrites.read(connection, manifest.places)
    growing = {"archive.migration_checksums", f"archive.{name}_tombstones", f"archive.{name}_holds"}
    growing |= {f"archive.{name}_former_writes", f"archive.{name}_tombstone_signatures"}
    growing |= {f"archive.{operations.table_of(name)}"}
    if former.any:  # what it deletes is on record
        growing |= {f"archive.{name}_decisions", f"archive.{name}_past"}
    if not is_current:
        growing |= {f"archive.{name}_turns", f"archive.{name}_decisions"}
        notes.append(
            f"The database has turned since: this evidence is of turn {manifest.run.turn}, and the"
            f" last is {last}. Only the log was compared."
        )
    attestor = Attestor(
        connection=connection,
        second=second,
        manifest=manifest,
        tombstones=Tombstones.read(connection, name),
        growing=growing,
        limit=request.limit,
        former=former,
    )
    trees = []
    for number, tree in enumerate(manifest.trees):
        if is_current or tree.table in growing:
            report(tree.table)
            trees.append(attestor.attest(number))
    changes += _leaves(name, trees)
    if written := sum(tree.former for tree in trees):
        notes.append(
            f"{written} of the differences are rows that the former version wrote beside the new"
            f" one, as archive.{name}_former_writes says; nothing signed says so. --allow-edits"
            " passes over them."
        )
    if erased := sum(tree.erased for tree in trees):
        notes.append(
            f"{erased} rows went with erased persons, as the tombstones say; those that were made"
            " after this evidence are not signed by it: compare them with the requests."
        )
    notes += logs.unsigned(stones)
    if is_current:
        report("definitions")
        found, untold = _definitions(connection, manifest, growing)
        changes += found
        notes += untold
        now = sequences(connection, [tree.table for tree in manifest.trees])
        moved = moved_sequences(manifest.sequences, now)
        changes += [each for each in moved if not former.moves_on(each, manifest.places)]
    notes += _elsewhere(connection, manifest)
    return AuditVerifyResult(
        digest=evidence.envelope.digest,
        manifest=manifest,
        from_file=request.evidence is not None,
        signatures=tuple(SignatureOutcome(key_id=key.id, is_valid=key in signed) for key in keys),
        trees=tuple(trees),
        tombstones=stones,
        changes=tuple(changes),
        notes=tuple(notes),
        is_complete=is_current,
        allow_edits=request.allow_edits,
    )


def _leaves(name: str, trees: Sequence[TreeOutcome]) -> tuple[Change, ...]:
    """Return which of the leaves that the archive keeps are gone or were edited."""
    what = "leaves are gone or were edited"
    return tuple(
        Change(
            kind="section of leaves", name=f"archive.{name}_leaves {tree.table} {each}", what=what
        )
        for tree in trees
        for each in tree.distrusted
    )


def _copy(connection: Connection, evidence: EvidenceFile) -> tuple[Change, ...]:
    """Compare the copy that the archive keeps with the evidence."""
    tables = EvidenceTables(name=evidence.manifest.places.name)
    kept = None
    if tables.are_there(connection):
        kept = tables.copy_of(connection, UUID(evidence.manifest.snapshot))
    if kept is None:
        what = "is gone"
    else:
        try:
            same = Envelope.from_bytes(kept).payload == evidence.envelope.payload
        except BadEnvelopeError:
            same = False
        what = "" if same else "was edited"
    label = f"archive.{tables.name}_evidence {evidence.manifest.snapshot}"
    return (Change(kind="copy of the evidence", name=label, what=what),) if what else ()


def _definitions(
    connection: Connection, manifest: Manifest, growing: set[str]
) -> tuple[tuple[Change, ...], list[str]]:
    turns = last_turns(connection)
    scope = scope_of(manifest.places.name, turns)
    now = definitions(connection, [tree.table for tree in manifest.trees], scope=scope)
    major = manifest.identity.server_version.partition(".")[0]
    here = str(connection.info.server_version // 10000)
    changes, untold = changed_definitions(
        manifest.catalog, now, growing=growing, same_major=major == here
    )
    own = OwnGuards()
    for turn in turns:
        if turn.name == manifest.places.name and turn.mapping is not None:
            own = own_guards(connection, turn.mapping, turn.direction)
    changes, gone = without_own(changes, manifest.catalog, now, own)
    notes = [
        f"{change.kind} {change.name} {change.what}: PostgreSQL {here} and not {major}."
        for change in untold
    ]
    if gone:
        notes.append(
            "Guards that stood when the evidence was made are gone, all of a kind together, as by"
            " archive harden --off."
        )
    return changes, notes


def _elsewhere(connection: Connection, manifest: Manifest) -> list[str]:
    here = identity(connection, tool="").system_identifier
    there = manifest.identity.system_identifier
    if here is None or there is None:
        return ["Whether this is the server of the evidence cannot be told by this role."]
    if here != there:
        return ["This is another server than that of the evidence: a copy."]
    return []


def document(result: AuditVerifyResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    manifest = result.manifest
    return {
        "verdict": result.verdict.value,
        "evidence": {
            "digest": result.digest,
            "from_file": result.from_file,
            "refactor": manifest.places.name,
            "turn": manifest.run.turn,
            "direction": manifest.run.direction,
            "made_at": manifest.made.at,
            "after_the_fact": manifest.made.after_the_fact,
        },
        "promise": manifest.promise,
        "allow_edits": result.allow_edits,
        "signatures": [
            {"key_id": each.key_id, "valid": each.is_valid} for each in result.signatures
        ],
        "rows": {
            "expected": sum(tree.expected for tree in result.trees),
            "verified": sum(tree.verified for tree in result.trees),
            "erased": sum(tree.erased for tree in result.trees),
            "differences": sum(tree.differences for tree in result.trees),
        },
        "tables": [
            {
                "table": tree.table,
                "expected": tree.expected,
                "verified": tree.verified,
                "erased": tree.erased,
                "grown": tree.grown,
                "differences": tree.differences,
                "edits_possible": tree.edits,
                "written_by_former_version": tree.former,
                "complete": tree.is_whole,
                "listed": [
                    {"table": d.table, "id": d.row_id, "column": d.column, "difference": d.what}
                    for d in tree.listed
                ],
            }
            for tree in result.trees
        ],
        "tombstones": [
            {
                "tombstone": each.tombstone,
                "signature": each.state.value,
                "finding": each.finding or None,
                "digest": each.digest,
                "key_ids": list(each.key_ids),
            }
            for each in result.tombstones
        ],
        "changes": [
            {"kind": each.kind, "name": each.name, "difference": each.what}
            for each in result.changes
        ],
        "notes": list(result.notes),
    }
