"""Which refactor a report is about, and what all of its parts rest on, read in one snapshot."""

from collections.abc import Callable
from dataclasses import dataclass

from refactorkit import __version__
from refactorkit.commands.archive_status import ArchiveStatus, look
from refactorkit.commands.archive_status import Refactor as Status
from refactorkit.commands.audit.refactor import the_turn
from refactorkit.commands.audit.report.request import ReportRequest
from refactorkit.commands.audit.verify import AuditVerifyResult
from refactorkit.commands.verify import Verification, VerifyRequest, verify_here
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.evidence.manifest import Identity as ServerIdentity
from refactorkit.mapping.report_rows import Rows
from refactorkit.postgres import evidence_facts, report_logs
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.evidence_facts import TurnFacts
from refactorkit.postgres.identity import Identity, identify
from refactorkit.postgres.operations import Operation
from refactorkit.postgres.refactors import Turn, last_turns, refuse_staged
from refactorkit.postgres.report_logs import HoldEvent, KeptEvidence, PurgeEvent, TurnEvent
from refactorkit.postgres.tombstones import Tombstone, read_tombstones


@dataclass(frozen=True, kw_only=True)
class Found:
    """A refactor and its archive, as one snapshot has them.

    Attributes:
        turn: the last one.
        rows: where its rows lie now.
        here: which database this is.
        server: the same, as a manifest says it.
        archive: all of it.
        status: the refactor's part of the archive.
        verification: of every row and field.
        facts: what the log says of the last turn.
        turns: all of them, by number.
        stones: of those who were erased.
        kept: the archive's copies of signed evidence.
        purged: what was destroyed.
        holds: every hold and every end of one.
        operated: exports, imports and hardening.
    """

    turn: Turn
    rows: Rows
    here: Identity
    server: ServerIdentity
    archive: ArchiveStatus
    status: Status
    verification: Verification
    facts: TurnFacts
    turns: tuple[TurnEvent, ...]
    stones: tuple[Tombstone, ...]
    kept: tuple[KeptEvidence, ...]
    purged: tuple[PurgeEvent, ...]
    holds: tuple[HoldEvent, ...]
    operated: tuple[Operation, ...]

    @property
    def erased_since(self) -> int:
        """How many source rows went with an erasure since the turn."""
        return len(
            {
                each.source_id
                for each in self.stones
                if each.at > self.turn.at and each.kind in ("subject", "native")
            }
        )


def find(
    connection: Connection,
    request: ReportRequest,
    verified: AuditVerifyResult | None,
    report: Callable[[str], None],
) -> Found:
    """Find the refactor and read what is known about it.

    Args:
        connection: inside ``verification.snapshot``.
        request: what to report on.
        verified: evidence that was verified before; it must be of this refactor.
        report: is told what is looked at before it is.

    Raises:
        UsageError: the evidence is of another refactor, or several have run.
        RefusedError: none has run here, or its archive was destroyed.
    """
    turn, mapping = the_turn(last_turns(connection), request.refactor, request.dsn)
    refuse_staged(connection, (turn,))
    if verified is not None and verified.manifest.places.name != turn.name:
        raise UsageError(
            f"The evidence is of {verified.manifest.places.name}, and not of {turn.name}.",
            state=NOTHING_CHANGED,
            hint="Name the other refactor with --refactor, or give its evidence.",
        )
    here = identify(connection)
    archive = look(connection, request.dsn)
    status = next(each for each in archive.refactors if each.turn.name == turn.name)
    if status.given_up is not None:
        raise RefusedError(
            f"There is nothing to report on {turn.name}: the rollback was given up on"
            f" {status.given_up:%Y-%m-%d}, and its archive destroyed.",
            state=NOTHING_CHANGED,
            hint=f"archive.{turn.name}_purges says on what basis.",
        )
    verify = VerifyRequest(dsn=request.dsn, allow_edits=request.allow_edits, limit=50)
    verifications = verify_here(connection, verify, report).refactors
    report("counts and logs")
    return Found(
        turn=turn,
        rows=Rows(mapping, turn.direction),
        here=here,
        server=evidence_facts.identity(connection, tool=f"refactorkit {__version__}"),
        archive=archive,
        status=status,
        verification=next(each for each in verifications if each.turn.name == turn.name),
        facts=evidence_facts.turn_facts(connection, turn.name, turn.number),
        turns=report_logs.turns(connection, turn.name),
        stones=read_tombstones(connection, turn.name),
        kept=report_logs.evidence_kept(connection, turn.name),
        purged=report_logs.purges(connection, turn.name),
        holds=report_logs.hold_events(connection, turn.name),
        operated=status.operations,
    )
