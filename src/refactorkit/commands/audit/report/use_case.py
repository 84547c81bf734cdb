"""Make a report for an auditor: what is known about a refactor, and what is not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog

from refactorkit import __version__
from refactorkit.commands.archive_status import Row as KeptRow
from refactorkit.commands.archive_status import guards_state, look
from refactorkit.commands.audit.files import public_keys
from refactorkit.commands.audit.refactor import the_turn
from refactorkit.commands.audit.report import checks, gather, given
from refactorkit.commands.audit.report.writing import write_all
from refactorkit.commands.audit.verify import AuditVerifyRequest, AuditVerifyResult, audit_verify
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify_here
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.report import Questions
from refactorkit.postgres import evidence_facts, report_facts, server_errors
from refactorkit.postgres.anchoring import places_of
from refactorkit.postgres.connection import connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.identity import identify
from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.tombstone_signatures import signatures
from refactorkit.postgres.tombstones import read_tombstones
from refactorkit.postgres.verification import snapshot
from refactorkit.report import csv, model, page

_LIMITATIONS: Final = """
The report is of one moment: what the database held when it was made. Evidence was verified in a \
snapshot of its own, right before.
It is not signed. Whoever doubts it runs the commands that it begins with.
The field-level comparison rests on the mapping that the archive has stored; that this is the one \
that ran is what the evidence shows.
Documents that were handed in are believed only as far as the archive says the same; a drill ran \
elsewhere, and its word alone stands for it.
Names, tickets and reasons are what people typed in; nobody checked who they are.
Counts of values that are missing or without an image are exact, however few; classes of fewer \
than five people are hidden. Two reports of different days, held side by side, can tell of single \
people what neither tells alone.
Erasure does not reach the write-ahead log, backups, dead rows until VACUUM, exports, or texts \
that somebody wrote elsewhere.
""".strip().splitlines()

_log = structlog.get_logger()


class Format(StrEnum):
    """What a report can be written as."""

    HTML = "html"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """What to report on, with what in hand, and where to.

    Attributes:
        dsn: the database.
        output: a folder; or a file, where one format is asked for and it has that ending.
        formats: what to write.
        replace: files that are there may be replaced.
        refactor: its name, where the database has run several.
        evidence: the signed file; None: the newest copy that the archive has.
        keys: public keys, all of which must have signed.
        tombstone_keys: more public keys that may have signed tombstones.
        allow_edits: what the application may have written since is no failure.
        ticket: the change's, where the evidence does not say.
        requester: who asked for it, likewise.
        approver: who allowed it, likewise.
        preflights: what ``preflight --json`` printed.
        drills: what ``drill --json`` printed.
        operations: what ``cutover --json`` and ``rollback --json`` printed.
        people: how many are drawn for the sample.
        seed: of the sample.
    """

    dsn: Dsn
    output: Path
    formats: tuple[Format, ...] = tuple(Format)
    replace: bool = False
    refactor: str | None = None
    evidence: Path | None = None
    keys: tuple[Path, ...] = ()
    tombstone_keys: tuple[Path, ...] = ()
    allow_edits: bool = False
    ticket: str | None = None
    requester: str | None = None
    approver: str | None = None
    preflights: tuple[Path, ...] = ()
    drills: tuple[Path, ...] = ()
    operations: tuple[Path, ...] = ()
    people: int = 20
    seed: str = "1"


@dataclass(frozen=True, kw_only=True)
class ReportResult:
    """A report that was written.

    Attributes:
        report: what it says.
        files: where.
    """

    report: model.Report
    files: tuple[Path, ...]

    @property
    def verdict(self) -> Verdict:
        """Pass: everything was asked, and answered with yes."""
        return Verdict(self.report.verdict)

    @property
    def exit_code(self) -> int:
        """0 for a pass, else 3; the report is written in any case."""
        return 0 if self.verdict is Verdict.PASS else 3


def audit_report(
    request: ReportRequest, report: Callable[[str], None] = lambda _name: None
) -> ReportResult:
    """Gather a report and write it; the database is only read.

    Args:
        request: what to report on.
        report: is told what is looked at before it is.

    Raises:
        UsageError: a file cannot be read, is there already, or contradicts the evidence.
        RefusedError: no refactor has run here, or the file is no evidence.
        FailedError: the server refused or was lost, or the report cannot be written.
    """
    places = _places(request)
    if not request.replace:
        _refuse_to_replace(places)
    made = gathered(request, report)
    report("writing")
    contents = _contents(request, made, places)
    write_all(contents, replace=request.replace)
    _log.info("audit.reported", verdict=made.verdict, count=len(contents))
    return ReportResult(report=made, files=tuple(contents))


def _refuse_to_replace(places: dict[Format, Path]) -> None:
    """Refuse before the long work what would be refused after it.

    Raises:
        UsageError: a file is there already.
    """
    for form, path in places.items():
        taken = path.exists() if form is not Format.CSV else any(path.glob("*.csv"))
        if taken:
            raise UsageError(
                f"There is a report at {path} already, and nothing is written over.",
                state=NOTHING_CHANGED,
                hint="Name another place, or replace it with --force.",
            )


def gathered(
    request: ReportRequest, report: Callable[[str], None] = lambda _name: None
) -> model.Report:
    """Return what a report says; raises as ``audit_report`` does, but writes nothing."""
    keys = public_keys(request.keys)
    verified, unreadable = _verified(request, report)
    doing = f"Reporting on {request.dsn.describe()}"
    with (
        connected(request.dsn) as connection,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        snapshot(connection),
    ):
        turn, mapping = the_turn(last_turns(connection), request.refactor, request.dsn)
        if verified is not None and verified.manifest.places.name != turn.name:
            raise UsageError(
                f"The evidence is of {verified.manifest.places.name}, and not of {turn.name}.",
                state=NOTHING_CHANGED,
                hint="Name the other refactor with --refactor, or give its evidence.",
            )
        questions = Questions(mapping, turn.direction)
        here = identify(connection)
        status = look(connection, request.dsn)
        mine = next(each for each in status.refactors if each.turn.name == turn.name)
        if mine.given_up is not None:
            raise RefusedError(
                f"There is nothing to report on {turn.name}: the rollback was given up on"
                f" {mine.given_up:%Y-%m-%d}, and its archive destroyed.",
                state=NOTHING_CHANGED,
                hint=f"archive.{turn.name}_purges says on what basis.",
            )
        found = next(
            each
            for each in verify_here(
                connection,
                VerifyRequest(dsn=request.dsn, allow_edits=request.allow_edits, limit=50),
                report,
            ).refactors
            if each.turn.name == turn.name
        )
        report("counts and logs")
        server = evidence_facts.identity(connection, tool=f"refactorkit {__version__}")
        facts = evidence_facts.turn_facts(connection, turn.name, turn.number)
        turns = report_facts.turns(connection, turn.name)
        stones = read_tombstones(connection, turn.name)
        signed = signatures(connection, turn.name, (*keys, *public_keys(request.tombstone_keys)))
        kept = report_facts.evidence_kept(connection, turn.name)
        purged = report_facts.purges(connection, turn.name)
        counts, equations = gather.counts(
            evidence_facts.counts(connection, places_of(mapping, turn.direction), facts),
            turn=turns[-1],
            living=report_facts.living_subjects(connection, questions),
            linked=report_facts.linked(connection, questions),
            erased=len(
                {
                    each.source_id
                    for each in stones
                    if each.at > turn.at and each.kind in ("subject", "native")
                }
            ),
        )
        reconciled = gather.reconciliation(
            connection, questions, found, allow_edits=request.allow_edits
        )
        report("distributions")
        distributions = gather.distributions(connection, questions)
        columns = gather.columns(connection, questions, report)
        report("sample")
        sample = gather.sample(connection, questions, seed=request.seed, people=request.people)
        documents, about = _documents(
            request,
            given.Here(
                database=here.database,
                migration=mapping.migration,
                refactor=turn.name,
                turns=turns,
            ),
        )
        operation = next(
            (
                each
                for each, number in about
                if number == turn.number and each.matches and each.verdict == "pass"
            ),
            None,
        )
        manifest = verified.manifest if verified else None
        is_of_turn = manifest is not None and manifest.run.turn == turn.number
        run = model.Run(
            refactor=turn.name,
            turn=turn.number,
            direction=turn.direction.value,
            version=facts.run.version,
            at=facts.run.at,
            started_at=operation.at if operation else None,
            seconds=operation.seconds if operation else None,
            transaction_id=facts.run.transaction_id,
            wal_lsn=manifest.made.wal_lsn if manifest and is_of_turn else None,
            run_by=facts.run.run_by,
            structure_hash=facts.run.structure_hash,
            mapping_hash=facts.run.mapping_hash,
            migration_checksum=facts.run.migration_checksum,
            settings=facts.run.settings,
        )
        identity = model.Identity(
            database=here.database,
            environment=here.environment,
            system_identifier=server.system_identifier,
            server_version=here.server_version,
            server_encoding=server.server_encoding,
        )
        evidence = gather.evidence(verified) if verified else None
        authority = _authority(request, verified)
        guards = model.Guards(
            state=guards_state(mine.guards),
            off=[f"{d.table}: {d.what}" for d in (mine.guards.listed if mine.guards else ())],
        )
        retention = model.Retention(
            period=mine.retention.text,
            destroy_from=_day(mine.retention.until),
        )
        turns_told = [number for _, number in about if number is not None]
        asked = [
            checks.evidence(
                evidence,
                unreadable=unreadable if kept else "",
                named=request.evidence is not None,
            ),
            checks.ties(evidence if is_of_turn else None),
            checks.reconciliation(reconciled),
            checks.equations(equations),
            checks.sample(sample),
            checks.identity(identity, run),
            checks.authority(authority, run.run_by),
            *(
                checks.document(
                    kind,
                    [each for each in documents if each.kind == kind],
                    turn=turn.number,
                    about=turns_told,
                )
                for kind in ("preflight", "drill", "operation")
            ),
            checks.way_back(mine),
            checks.tombstones(signed, within_evidence=_tombstones_within(verified, turn.name)),
            checks.guards(guards.state),
            checks.retention(retention),
        ]
        verdict = model.verdict_of(asked)
        return model.Report(
            format=model.FORMAT,
            verdict=verdict,
            summary=_summary(asked),
            made=model.Made(
                at=evidence_facts.now(connection),
                tool=f"refactorkit {__version__}",
                run_by=here.user,
            ),
            identity=identity,
            verify_with=_commands(request),
            authority=authority,
            run=run,
            checks=asked,
            counts=counts,
            equations=equations,
            timeline=gather.timeline(
                turns=turns,
                evidence=kept,
                erased=stones,
                holds=report_facts.hold_events(connection, turn.name),
                purged=purged,
            ),
            rules=gather.rules(questions, found.unmapped),
            columns=columns,
            distributions=distributions,
            evidence=evidence,
            catalogs=gather.catalogs(kept, keys),
            reconciliation=reconciled,
            sample=sample,
            decisions=gather.decisions(found),
            documents=documents,
            guards=guards,
            kept=[_kept(row) for row in status.tables],
            retention=retention,
            holds=gather.holds(connection, questions, mine),
            tombstones=gather.tombstones(stones, signed),
            purges=gather.purges(purged),
            limitations=[*_LIMITATIONS, *(evidence.limitations if evidence else ())],
        )


def _verified(
    request: ReportRequest, report: Callable[[str], None]
) -> tuple[AuditVerifyResult | None, str]:
    """Verify the evidence; where none can be read from the archive, return None, and why."""
    try:
        result = audit_verify(
            AuditVerifyRequest(
                dsn=request.dsn,
                evidence=request.evidence,
                keys=request.keys,
                tombstone_keys=request.tombstone_keys,
                refactor=request.refactor,
                allow_edits=request.allow_edits,
            ),
            report,
        )
    except RefusedError as error:
        if request.evidence is not None:
            raise
        return None, error.message
    return result, ""


def _tombstones_within(verified: AuditVerifyResult | None, name: str) -> bool:
    """Tell whether evidence that was signed holds every tombstone, as it is now."""
    if verified is None or not verified.signatures:
        return False
    return all(each.is_valid for each in verified.signatures) and any(
        tree.is_whole and tree.verified == tree.expected and not tree.differences + tree.grown
        for tree in verified.trees
        if tree.table == f"archive.{name}_tombstones"
    )


def _documents(
    request: ReportRequest, here: given.Here
) -> tuple[list[model.Given], list[tuple[model.Given, int | None]]]:
    """Return all documents, and those of operations with the turn that each is about."""
    about = [
        (given.operation(path, here), given.turn_of(path, here)) for path in request.operations
    ]
    return [
        *(given.preflight(path, here) for path in request.preflights),
        *(given.drill(path, here) for path in request.drills),
        *(document for document, _ in about),
    ], about


def _authority(request: ReportRequest, verified: AuditVerifyResult | None) -> model.Authority:
    """Take what the evidence says, and where it is silent what the options say.

    Raises:
        UsageError: they contradict each other.
    """
    signed = verified.manifest.authority if verified else None

    def stated(name: str, option: str | None) -> model.Stated:
        value: str | None = getattr(signed, name) if signed else None
        if value and option and option != value:
            raise UsageError(
                f"The evidence names another {name} than --{name} does.",
                state=NOTHING_CHANGED,
                hint=f"Leave --{name} away: what was signed is taken.",
            )
        if value:
            return model.Stated(value=value, source="evidence")
        if option:
            return model.Stated(value=option, source="option")
        return model.Stated(value=None, source="not said")

    return model.Authority(
        ticket=stated("ticket", request.ticket),
        requester=stated("requester", request.requester),
        approver=stated("approver", request.approver),
        operator=stated("operator", None),
    )


def _summary(asked: list[model.Check]) -> str:
    count = {word: sum(each.verdict == word for each in asked) for word in ("pass", "fail")}
    left = len(asked) - count["pass"] - count["fail"]
    return (
        f"{count['pass']} of {len(asked)} questions were answered with yes,"
        f" {count['fail']} with no, {left} could not be answered."
    )


def _commands(request: ReportRequest) -> list[str]:
    """Return the commands by which a reader verifies it; no place of this machine is in them."""
    evidence = request.evidence.name if request.evidence else "EVIDENCE.json"
    keys = [path.name for path in request.keys] or ["OPERATOR.key.pub"]
    options = " ".join(f"--key {name}" for name in keys)
    edits = " --allow-edits" if request.allow_edits else ""
    return [
        "export DATABASE_URL=postgresql://READER@HOST/DATABASE",
        f"refactorkit audit verify {evidence} {options}{edits}",
        f"refactorkit verify{edits}",
    ]


def _kept(row: KeptRow) -> model.Kept:
    return model.Kept(
        table=f"archive.{row.table.name}",
        holds=row.holds,
        rows=row.table.rows,
        size_bytes=row.table.size_bytes,
        readers=list(row.table.readers),
    )


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else moment.date().isoformat()


def _places(request: ReportRequest) -> dict[Format, Path]:
    """Return where each format goes: a file, or for CSV a folder.

    Raises:
        UsageError: one file was named, and several formats.
    """
    output = request.output
    ending = output.suffix.removeprefix(".").lower()
    if ending in (Format.HTML, Format.JSON):
        if set(request.formats) != {Format(ending)}:
            raise UsageError(
                f"{output} is one file, and these are several formats or another.",
                state=NOTHING_CHANGED,
                hint=f"Name a folder, or ask for --format {ending} alone.",
            )
        return {Format(ending): output}
    names = {Format.HTML: "report.html", Format.JSON: "report.json", Format.CSV: "tables"}
    return {form: output / names[form] for form in request.formats}


def _contents(
    request: ReportRequest, made: model.Report, places: dict[Format, Path]
) -> dict[Path, bytes]:
    contents: dict[Path, bytes] = {}
    for form in request.formats:
        place = places[form]
        if form is Format.HTML:
            contents[place] = page.render(made).encode()
        elif form is Format.JSON:
            contents[place] = (made.model_dump_json(indent=2) + "\n").encode()
        else:
            contents |= {place / f"{name}.csv": text for name, text in csv.tables(made).items()}
    return contents
