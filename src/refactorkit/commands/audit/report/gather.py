"""The parts of a report that come from the database, in one snapshot."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256

from refactorkit.commands.archive_status import Refactor as Status
from refactorkit.commands.audit.verify import AuditVerifyResult
from refactorkit.commands.verify import Verification
from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import PublicKey
from refactorkit.evidence.manifest import BadManifestError, CatalogEntry, Counts, Manifest
from refactorkit.evidence.tombstone import SignatureState, TombstoneSignature
from refactorkit.mapping.model import NullAs, Values, targets_of
from refactorkit.mapping.report import Questions, way
from refactorkit.postgres import report_facts
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.report_facts import HoldEvent, KeptEvidence, PurgeEvent, TurnEvent
from refactorkit.postgres.tombstones import Tombstone
from refactorkit.postgres.verification import Outcome
from refactorkit.report import model
from refactorkit.report.masking import FEW, masked


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


def counts(
    now: Counts,
    *,
    turn: TurnEvent,
    living: int,
    linked: dict[str, tuple[int, int]],
    erased: int,
) -> tuple[list[model.Counted], list[model.Equation]]:
    """Return exact counts, and the equations that must hold.

    Args:
        now: rows and pairs as they are.
        turn: the last turn, with what it counted.
        living: subjects in the target.
        linked: rows of each link table, and those of them with a person.
        erased: source rows that went with an erasure since the turn.
    """
    number = now.counted
    found = [model.Counted(name=f"now: {name}", rows=rows) for name, rows in number.items()
             if not name.startswith("in the transaction: ")]  # fmt: skip
    found += [
        model.Counted(name="now: subjects living in the target", rows=living),
        model.Counted(name="now: other rows of the target", rows=number["targets"] - living),
    ]
    for table, (rows, with_person) in linked.items():
        found += [
            model.Counted(name=f"now: rows of {table}", rows=rows),
            model.Counted(name=f"now: rows of {table} with a person", rows=with_person),
        ]
    found.append(model.Counted(name="erased since the turn", rows=erased))
    found += [
        model.Counted(name=f"in the transaction of turn {turn.number}: {name}", rows=rows)
        for name, rows in turn.counts.items()
    ]
    equations = [model.Equation(text=now.equation, holds=now.holds)]
    recorded = turn.counts.get("sources")
    if turn.direction == "up" and recorded is not None:
        equations.append(
            model.Equation(
                text=f"rows moved by turn {turn.number} {recorded}"
                f" = rows kept now {number['sources']} + erased since {erased}",
                holds=recorded == number["sources"] + erased,
            )
        )
    return found, equations


def rules(questions: Questions, unmapped: dict[str, int]) -> list[model.Rule]:
    """Return what becomes of each column, in the order of the mapping."""
    found = []
    for column in questions.mapping.column:
        forward, back = way(column)
        terms = column.forward if isinstance(column, Values) else {}
        found.append(
            model.Rule(
                source=column.source,
                target=list(targets_of(column)),
                codec=column.codec,
                forward=forward,
                back=back,
                terms=[model.Term(raw=raw, image=image) for raw, image in terms.items()],
                without_image=unmapped.get(column.source),
            )
        )
    return found


def columns(
    connection: Connection, questions: Questions, report: Callable[[str], None]
) -> list[model.ColumnFacts]:
    """Count the values of each column; the length of few texts is left out."""
    found = []
    for each in questions.countings():
        report(f"{each.table}.{each.name}")
        counted = report_facts.counted(connection, each)
        values = counted.rows - counted.nulls
        found.append(
            model.ColumnFacts(
                side="before" if each.is_before else "after",
                table=each.table,
                column=each.name,
                type=each.type,
                rows=counted.rows,
                nulls=counted.nulls,
                distinct=counted.distinct,
                text_octets=None if 0 < values < FEW else counted.octets,
            )
        )
    return found


def distributions(connection: Connection, questions: Questions) -> list[model.Distribution]:
    """Count classes before and after, and hide what tells of few people."""
    counted = report_facts.distributions(connection, questions)
    found = []
    for place, each in enumerate(questions.classes):
        labels = each.labels
        before = counted.get((place, True), {})
        has_after = questions.has_both and each.target is not None
        after = counted.get((place, False), {}) if has_after else None
        ends = [n for n, _ in enumerate(labels) if before.get(n) or (after and after.get(n))]
        first, last = (min(ends), max(ends)) if ends else (0, -1)
        if not each.is_grid:
            first, last = (0 if 0 in ends else 1), len(labels) - 1
        shown = range(first, last + 1)
        mask = masked(
            [before.get(n, 0) for n in shown],
            None if after is None else [after.get(n, 0) for n in shown],
        )
        note = mask.note
        if isinstance(each.column, NullAs):
            note = f"{note} Before counts NULL as the mapping does.".strip()
        found.append(
            model.Distribution(
                source=each.column.source,
                target=each.target,
                kind="ranges" if each.is_grid else "terms",
                cells=[
                    model.Cell(label=labels[n], before=b, after=a)
                    for n, b, a in zip(shown, mask.before, mask.after, strict=True)
                ],
                before_missing=before.get(None, 0),
                after_missing=None if after is None else after.get(None, 0),
                note=note,
            )
        )
    return found


def reconciliation(
    connection: Connection, questions: Questions, found: Verification, *, allow_edits: bool
) -> list[model.Reconciled]:
    """Return the checks of every row and field, with references in place of ids."""
    return [
        model.Reconciled(
            name=outcome.name,
            rows=outcome.rows,
            differences=outcome.differences,
            edits_possible=outcome.is_edit,
            verdict="pass"
            if not outcome.differences or (allow_edits and outcome.is_edit)
            else "fail",
            kinds=_kinds(connection, questions, outcome),
        )
        for outcome in found.outcomes
    ]


def sample(
    connection: Connection, questions: Questions, *, seed: str, people: int
) -> model.Sample | None:
    """Draw some people; None where nobody can be referred to."""
    found = report_facts.sample(connection, questions, seed=seed, people=people)
    if not found:
        return None
    return model.Sample(
        seed=seed,
        columns=list(questions.sampled),
        people=[
            model.Sampled.model_validate({"reference": reference, "states": states})
            for reference, states in found
        ],
    )


def decisions(found: Verification) -> list[model.Decided]:
    """Return what gave way to what, by rule."""
    last = {(each.rule, each.table, each.column): each.count for each in found.decisions}
    return [
        model.Decided(
            rule=each.rule,
            table=each.table,
            column=each.column,
            last_turn=last.get((each.rule, each.table, each.column), 0),
            all_turns=each.count,
        )
        for each in found.all_decisions
    ]


def holds(connection: Connection, questions: Questions, status: Status) -> list[model.Hold]:
    """Return the holds in force, with references in place of ids."""
    ids = [str(hold.source_id) for hold in status.holds]
    known = report_facts.references(connection, questions, ids, of_source=True)
    return [
        model.Hold(
            number=hold.number,
            at=hold.at.isoformat(),
            by=hold.said_by,
            reason=hold.reason,
            reference=known.get(str(hold.source_id)),
        )
        for hold in status.holds
    ]


def tombstones(
    found: Sequence[Tombstone], signatures: Sequence[TombstoneSignature]
) -> list[model.Tombstone]:
    """Return the erasures, one each, without an id; of its tombstones the worst signature."""
    first = {each.erasure: each for each in reversed(found)}
    states = {each.tombstone: each.state for each in signatures}
    order = list(SignatureState)
    worst: dict[int, SignatureState] = {}
    for each in found:
        state = states.get(each.number, SignatureState.UNSIGNED)
        worst[each.erasure] = max(worst.get(each.erasure, state), state, key=order.index)
    return [
        model.Tombstone(
            erasure=number,
            at=each.at.isoformat(),
            version=each.version,
            operator=each.operator,
            approved_by=each.approved_by,
            basis=each.basis,
            rows=each.counts,
            signature=worst[number].value,
        )
        for number, each in sorted(first.items())
    ]


def purges(found: Sequence[PurgeEvent]) -> list[model.Purge]:
    """Return what was destroyed."""
    return [
        model.Purge(
            number=each.number,
            at=each.at,
            before=each.before,
            gives_up_rollback=each.gives_up_rollback,
            basis=each.basis,
            approved_by=each.approved_by,
            rows=sum(count for count in each.counts.values() if isinstance(count, int)),
        )
        for each in found
    ]


def timeline(
    *,
    turns: Sequence[TurnEvent],
    evidence: Sequence[KeptEvidence],
    erased: Sequence[Tombstone],
    holds: Sequence[HoldEvent],
    purged: Sequence[PurgeEvent],
) -> list[model.Event]:
    """Return everything that the archive has a time of, in the order of these times."""
    events = [
        model.Event(
            at=each.at,
            what=f"{each.direction} to version {each.version}",
            by=each.by,
            details=f"turn {each.number}, {each.counts.get('pairs', 0):,} pairs",
        )
        for each in turns
    ]
    events += [
        model.Event(at=each.made_at, what="evidence made", by=None, details=f"of turn {each.turn}")
        for each in evidence
    ]
    events += [
        model.Event(
            at=each.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            what="person erased",
            by=each.operator,
            details=f"erasure {each.erasure}, approved by {each.approved_by}",
        )
        for each in {one.erasure: one for one in reversed(erased)}.values()
    ]
    events += [
        model.Event(
            at=each.at,
            what="hold" if each.releases is None else "hold released",
            by=each.by,
            details=f"hold {each.number if each.releases is None else each.releases}",
        )
        for each in holds
    ]
    events += [
        model.Event(
            at=each.at,
            what="purged; rollback given up" if each.gives_up_rollback else "purged",
            by=each.by,
            details=f"purge {each.number}, approved by {each.approved_by}",
        )
        for each in purged
    ]
    return sorted(events, key=lambda event: event.at)


def _kinds(
    connection: Connection, questions: Questions, outcome: Outcome
) -> list[model.Difference]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for each in outcome.listed:
        # What an erased person's id would tell is in no report.
        what = each.what.partition(": ")[0]
        groups.setdefault((each.table, each.column, what), []).append(each.row_id)
    found = []
    for (table, column, what), ids in groups.items():
        known: dict[str, str] = {}
        if table in (questions.source_table, questions.target_table):
            is_source = table == questions.source_table
            known = report_facts.references(connection, questions, ids, of_source=is_source)
        found.append(
            model.Difference(
                table=table,
                column=column,
                what=what,
                listed=len(ids),
                references=[known[each] for each in ids if each in known],
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
