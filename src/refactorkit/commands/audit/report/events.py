"""What happened, as the archive's logs have it: the timeline, erasures, purges, decisions."""

from collections.abc import Sequence

from refactorkit.commands.audit.report import operations
from refactorkit.commands.verify import Verification
from refactorkit.evidence.tombstone import SignatureState, TombstoneSignature
from refactorkit.postgres.operations import Operation
from refactorkit.postgres.report_logs import HoldEvent, KeptEvidence, PurgeEvent, TurnEvent
from refactorkit.postgres.tombstones import Tombstone
from refactorkit.report import model


def timeline(
    *,
    turns: Sequence[TurnEvent],
    evidence: Sequence[KeptEvidence],
    erased: Sequence[Tombstone],
    holds: Sequence[HoldEvent],
    purged: Sequence[PurgeEvent],
    operated: Sequence[Operation],
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
    events += operations.events(operated)
    return sorted(events, key=lambda event: event.at)


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
