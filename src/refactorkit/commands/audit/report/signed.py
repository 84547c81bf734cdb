"""What signed evidence says: what its verification found, and the schema after each turn."""

import json
from collections.abc import Sequence
from hashlib import sha256

from refactorkit.commands.audit.verify import AuditVerifyResult
from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import PublicKey
from refactorkit.evidence.manifest import BadManifestError, CatalogEntry, Manifest
from refactorkit.postgres.report_logs import KeptEvidence
from refactorkit.report import model


def evidence(result: AuditVerifyResult) -> model.Evidence:
    """Return what the verification of the evidence found."""
    manifest = result.manifest
    outcomes = {tree.table: tree for tree in result.trees}
    return model.Evidence(
        digest=result.digest,
        from_file=result.from_file,
        turn=manifest.run.turn,
        made_at=manifest.made.at,
        promise=manifest.promise,
        verdict=result.verdict.value,
        signatures=[
            model.Signature(key_id=each.key_id, valid=each.is_valid) for each in result.signatures
        ],
        trees=[
            model.Tree(
                table=tree.table,
                role=tree.role,
                rows=tree.rows,
                root=tree.root,
                verified=found.verified if found else None,
                erased=found.erased if found else None,
                differences=found.differences if found else None,
            )
            for tree in manifest.trees
            for found in (outcomes.get(tree.table),)
        ],
        ties=[model.Tie(table=tie.table, state=tie.state) for tie in manifest.ties],
        changes=[
            model.Change(kind=each.kind, name=each.name, what=each.what) for each in result.changes
        ],
        notes=list(result.notes),
        limitations=list(manifest.limitations),
    )


def catalogs(kept: Sequence[KeptEvidence], keys: Sequence[PublicKey]) -> list[model.Catalog]:
    """Return the schema's fingerprint in each evidence that all of the keys have signed.

    What archive tables there are differs from turn to turn: those are left out.
    """
    found: list[model.Catalog] = []
    for each in kept:
        try:
            envelope = Envelope.from_bytes(each.envelope)
            manifest = Manifest.from_bytes(envelope.payload)
        except (BadEnvelopeError, BadManifestError):
            continue
        if not keys or len(envelope.verified_by(keys)) < len(keys):
            continue
        run = manifest.run
        fingerprint = _fingerprint(manifest.catalog)
        same = (
            one.turn
            for one in found
            if one.version == run.version
            and one.direction == run.direction
            and one.fingerprint == fingerprint
        )
        found.append(
            model.Catalog(
                turn=run.turn,
                direction=run.direction,
                version=run.version,
                digest=envelope.digest,
                fingerprint=fingerprint,
                same_as=next(same, None),
            )
        )
    return found


def _fingerprint(catalog: Sequence[CatalogEntry]) -> str:
    listed = [
        [entry.kind, entry.name, entry.definition]
        for entry in catalog
        if not entry.kind.endswith(" of the archive") and not entry.name.startswith("archive.")
    ]
    return sha256(json.dumps(listed, ensure_ascii=False).encode()).hexdigest()
