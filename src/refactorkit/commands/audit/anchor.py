"""Make evidence of the last turn of a refactor: leaves, trees, a signed manifest."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from refactorkit import __version__
from refactorkit.commands.audit.files import KeySource, remove, write_new
from refactorkit.commands.audit.refactor import the_turn
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import (
    NOTHING_CHANGED,
    FailedError,
    RefactorkitError,
    RefusedError,
    UsageError,
)
from refactorkit.evidence.envelope import BadEnvelopeError, Envelope
from refactorkit.evidence.keys import SigningKey
from refactorkit.evidence.manifest import (
    AFTERWARDS,
    FORMAT,
    LIMITATIONS,
    PROMISE,
    WITHIN,
    Authority,
    Counts,
    Made,
    Manifest,
    Tie,
)
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.verification import unmapped_query
from refactorkit.migrations.model import Direction
from refactorkit.postgres import evidence_facts, server_errors
from refactorkit.postgres.anchoring import Maker, places_of, plan_trees, scope_of, with_spread
from refactorkit.postgres.connection import Connection, connected, refuse_read_only
from refactorkit.postgres.definitions import definitions, sequences
from refactorkit.postgres.digests import pinned, shared_snapshot
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_facts import Spread, TurnFacts
from refactorkit.postgres.evidence_tables import EvidenceTables
from refactorkit.postgres.locks import session_lock
from refactorkit.postgres.overlay import Looking, Seen, Witnessed
from refactorkit.postgres.refactors import last_turns, refuse_staged

_LOCK_WAIT_SECONDS = 10.0

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class AnchorRequest:
    """What to make evidence of, and in whose name.

    Attributes:
        dsn: the database.
        key: where the signing key is.
        out: the file to make; None: one that is named after the turn.
        folder: where that one goes; None: the working folder.
        refactor: its name; None where the database has run one alone.
        ticket: that the change was asked for in; may be empty.
        requester: who asked for it.
        approver: who allowed it.
        operator: who ran it; None: the role of this connection.
        profile: count different values of each column, and values without an image, too.
    """

    dsn: Dsn
    key: KeySource
    out: Path | None = None
    folder: Path | None = None
    refactor: str | None = None
    ticket: str | None = None
    requester: str | None = None
    approver: str | None = None
    operator: str | None = None
    profile: bool = False


@dataclass(frozen=True, kw_only=True)
class AnchorResult:
    """Evidence that was made.

    Attributes:
        file: where it is, beside the copy in the archive.
        digest: of the manifest.
        key_id: who signed it.
        manifest: what it says.
    """

    file: Path
    digest: str
    key_id: str
    manifest: Manifest

    @property
    def verdict(self) -> Verdict:
        """Pass: it is of exactly what the change left behind, and each row has its pair."""
        tied = all(tie.state == "same" for tie in self.manifest.ties)
        return Verdict.PASS if tied and self.manifest.counts.holds else Verdict.INCOMPLETE

    @property
    def exit_code(self) -> int:
        """0 for a pass, else 3; the evidence is made in either case."""
        return 0 if self.verdict is Verdict.PASS else 3


def anchor(
    request: AnchorRequest, report: Callable[[str], None] = lambda _name: None
) -> AnchorResult:
    """Make evidence of what a database holds after the last turn of a refactor, and sign it.

    Everything is read in one snapshot, while no other runner may start. The file is on disk before
    the copy in the archive is committed.

    Args:
        request: of what.
        report: is told what is being done.

    Raises:
        UsageError: there is no key, the file is there already, or the approver is the operator.
        RefusedError: no refactor has run, or the archive is not this role's.
        BusyError: a migration is running.
        FailedError: the server refused or was lost.
    """
    key = request.key.load()
    with (
        connected(request.dsn) as connection,
        session_lock(connection, wait_seconds=_LOCK_WAIT_SECONDS),
        connected(request.dsn) as reader,
        connected(request.dsn) as aside,
    ):
        refuse_read_only(connection, request.dsn)
        return make_evidence(connection, (reader, aside), request, key, report=report)


def make_evidence(
    connection: Connection,
    readers: tuple[Connection, Connection],
    request: AnchorRequest,
    key: SigningKey,
    *,
    witnessed: Witnessed | None = None,
    report: Callable[[str], None] = lambda _name: None,
) -> AnchorResult:
    """Make evidence while nobody else can run a migration; as ``anchor``, on its connections.

    Args:
        connection: in no transaction, able to write; its snapshot is taken at once.
        readers: two others, in no transaction.
        request: of what; the key is not looked at.
        key: that signs.
        witnessed: what was seen while the turn held its locks; None where nobody stood by.
        report: is told what is being done.

    Raises:
        RefactorkitError: as ``anchor``.
    """
    doing = f"Making evidence of {request.dsn.describe()}"
    written: Path | None = None
    try:
        with (
            server_errors.explained(doing=doing, state=NOTHING_CHANGED),
            pinned(connection, read_only=False),
            contextlib.ExitStack() as stack,
        ):
            snapshot = shared_snapshot(connection)
            for reader in readers:
                stack.enter_context(pinned(reader, read_only=True, snapshot=snapshot))
            manifest = _manifest(connection, readers, request, report, witnessed)
            envelope = Envelope(payload=manifest.to_bytes()).signed_by(key)
            _keep(connection, manifest, envelope)
            file = request.out or (request.folder or Path()) / _default_file(manifest)
            write_new(file, envelope.to_bytes())
            written = file
    except OSError as error:  # leaves wait in a file, and roots are reckoned by a process
        raise FailedError(
            f"{doing} failed: {error.strerror or 'the process that reckons roots is gone'}.",
            state=NOTHING_CHANGED,
            hint="Look at the room for temporary files, and at the memory, of this system.",
        ) from error
    except RefactorkitError as error:
        _withdraw(written, error)
        raise
    _log.info("audit.anchored", digest=envelope.digest, trees=len(manifest.trees))
    return AnchorResult(file=file, digest=envelope.digest, key_id=_id(key), manifest=manifest)


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """What is counted while leaves are made: beside the trees, it costs no time of its own."""

    ties: list[Tie]
    counts: Counts
    without_image: dict[str, int] | None
    spreads: tuple[dict[str, Spread], ...]


def _manifest(
    connection: Connection,
    readers: tuple[Connection, Connection],
    request: AnchorRequest,
    report: Callable[[str], None],
    witnessed: Witnessed | None,
) -> Manifest:
    authority = _authority(request, connection.info.user)
    turns = last_turns(connection)
    turn, mapping = the_turn(turns, request.refactor, request.dsn)
    refuse_staged(connection, (turn,))
    scope = scope_of(mapping.name, turns)
    places = places_of(mapping, turn.direction)
    tables = EvidenceTables(name=mapping.name)
    tables.create(
        connection,
        source_type=mapping.source.columns[mapping.source.key].type,
        target_type=mapping.target.columns[mapping.target.key].type,
    )
    snapshot = uuid4()
    facts = evidence_facts.turn_facts(connection, mapping.name, turn.number)
    at, wal_lsn = evidence_facts.now(connection), evidence_facts.wal_position(connection)
    planned = plan_trees(connection, mapping, places, scope)
    seen: dict[int, Seen] = {}
    if witnessed is not None:
        _refuse_another_turn(witnessed, facts)
        look = Looking(
            now=connection, witnessed=witnessed, mapping=mapping, places=places, turn=facts
        )
        if turn.direction is Direction.DOWN:  # after Up the application cannot write to it
            seen[0] = look.at_source(planned[0].form)
        seen[1] = look.at_target(planned[1].form)
    overlays = {n: each.overlay for n, each in seen.items() if each.overlay is not None}
    maker = Maker(
        connection=connection,
        reader=readers[0],
        aside=readers[1],
        places=places,
        snapshot=snapshot,
        report=report,
        overlays=overlays,
    )

    def count(aside: Connection) -> _Counted:
        # Leaves are made meanwhile: more processes would take from them what they give here.
        aside.execute("SELECT pg_catalog.set_config('max_parallel_workers_per_gather', '0', true)")
        return _Counted(
            ties=[
                seen[number].tie if number in seen else tie()
                for number, tie in enumerate(evidence_facts.ties(aside, mapping, places, facts))
            ],
            counts=evidence_facts.counts(aside, places, facts),
            without_image=_without_image(aside, mapping, turn.direction)
            if request.profile
            else None,
            spreads=tuple(
                {}
                if number in overlays  # another snapshot's rows are among them
                else evidence_facts.spread(aside, tree.form, distinct=request.profile)
                for number, tree in enumerate(planned[:2])
            ),
        )

    done = maker.make(planned, count)
    counted = done.aside
    trees = [
        *(with_spread(t, each) for t, each in zip(done.trees, counted.spreads, strict=False)),
        *done.trees[2:],
    ]
    labels = [tree.table for tree in trees]
    is_within = witnessed is not None and all(tie.state == "same" for tie in counted.ties)
    return Manifest(
        format=FORMAT,
        snapshot=snapshot.hex,
        promise=PROMISE,
        made=Made(at=at, after_the_fact=not is_within, wal_lsn=wal_lsn),
        identity=evidence_facts.identity(connection, tool=f"refactorkit {__version__}"),
        authority=authority,
        run=facts.run,
        places=places,
        counts=evidence_facts.equation(
            places,
            counted.counts.counted | {"sources": trees[0].rows, "targets": trees[1].rows},
        ),
        values_without_image=counted.without_image,
        ties=counted.ties,
        trees=trees,
        catalog=definitions(connection, labels, scope=scope),
        sequences=sequences(connection, labels),
        previous=_previous(connection, tables),
        limitations=[WITHIN if is_within else AFTERWARDS, *LIMITATIONS],
    )


def _refuse_another_turn(witnessed: Witnessed, facts: TurnFacts) -> None:
    """Stop where the log's last turn is not the one that was watched.

    Raises:
        RefusedError: somebody else has run one since.
    """
    if witnessed.transaction_id not in (None, facts.run.transaction_id):
        raise RefusedError(
            "Another Up or Down has run since the one that evidence was to be of.",
            state=NOTHING_CHANGED,
            hint="Look at refactorkit status.",
        )


def _without_image(connection: Connection, mapping: Mapping, after: Direction) -> dict[str, int]:
    query = unmapped_query(mapping, after)
    return dict(connection.execute(query.encode()).fetchall()) if query else {}


def _previous(connection: Connection, tables: EvidenceTables) -> str | None:
    kept = tables.latest(connection)
    if kept is None:
        return None
    try:
        return Envelope.from_bytes(kept).digest
    except BadEnvelopeError:
        raise RefusedError(
            f"The copy of the last evidence in archive.{tables.name}_evidence was edited.",
            state=NOTHING_CHANGED,
            hint="See audit verify with the file of that evidence; put its copy back, or take the"
            " row away and keep a record of it.",
        ) from None


def _authority(request: AnchorRequest, user: str) -> Authority:
    operator = request.operator or user
    refuse_own_approval(request.approver, operator)
    return Authority(
        ticket=request.ticket,
        requester=request.requester,
        approver=request.approver,
        operator=operator,
    )


def refuse_own_approval(approver: str | None, operator: str | None) -> None:
    """Stop where somebody approves their own change.

    Raises:
        UsageError: approver and operator are the same.
    """
    if approver is not None and approver == operator:
        raise UsageError(
            "The approver is the operator: nobody approves their own change.",
            state=NOTHING_CHANGED,
            hint="Name who allowed it, or leave --approver out.",
        )


def _keep(connection: Connection, manifest: Manifest, envelope: Envelope) -> None:
    EvidenceTables(name=manifest.places.name).add(
        connection,
        snapshot=UUID(manifest.snapshot),
        turn=manifest.run.turn,
        digest=envelope.digest,
        envelope=envelope.to_bytes(),
    )


def _default_file(manifest: Manifest) -> Path:
    name, turn = manifest.places.name, manifest.run.turn
    return Path(f"evidence-{name}-turn-{turn}-{manifest.snapshot[:8]}.json")


def _withdraw(written: Path | None, error: RefactorkitError) -> None:
    """Take the file back where its copy was not committed; keep it where nobody can tell."""
    if written is None:
        return
    if server_errors.is_lost_connection(error):
        raise FailedError(
            "The connection was lost while the copy of the evidence was being committed.",
            state=f"The database is as it was but for that copy, which may be there; {written} is.",
            hint="audit verify with this file tells whether the archive has it; else anchor again.",
        ) from None
    remove(written)


def _id(key: SigningKey) -> str:
    return key.public.id
