"""Make a report for an auditor: what is known about a refactor, and what is not."""

from collections.abc import Callable
from datetime import datetime

import structlog

from refactorkit import __version__
from refactorkit.commands.archive_status import Row as KeptRow
from refactorkit.commands.archive_status import guards_state
from refactorkit.commands.audit.files import public_keys
from refactorkit.commands.audit.report import (
    checks,
    counts,
    events,
    files,
    given,
    operations,
    people,
    said,
    signed,
    values,
)
from refactorkit.commands.audit.report.found import Found, find
from refactorkit.commands.audit.report.request import ReportRequest, ReportResult
from refactorkit.commands.audit.report.writing import write_all
from refactorkit.commands.audit.verify import AuditVerifyRequest, AuditVerifyResult, audit_verify
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.evidence.manifest import Manifest
from refactorkit.postgres import evidence_facts, report_counts, server_errors
from refactorkit.postgres.anchoring import places_of
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.tombstone_signatures import signatures
from refactorkit.postgres.verification import snapshot
from refactorkit.report import model

_log = structlog.get_logger()


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
    places = files.places(request)
    if not request.replace:
        files.refuse_to_replace(places)
    made = gathered(request, report)
    report("writing")
    contents = files.contents(request, made, places)
    write_all(contents, replace=request.replace)
    _log.info("audit.reported", verdict=made.verdict, count=len(contents))
    return ReportResult(report=made, files=tuple(contents))


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
        found = find(connection, request, verified, report)
        rows, turn = found.rows, found.turn
        counted, equations = counts.counts(
            evidence_facts.counts(connection, places_of(rows.mapping, turn.direction), found.facts),
            turn=found.turns[-1],
            living=report_counts.living_subjects(connection, rows),
            linked=report_counts.linked(connection, rows),
            erased=found.erased_since,
        )
        stone_signatures = signatures(
            connection, turn.name, (*keys, *public_keys(request.tombstone_keys))
        )
        reconciled = people.reconciliation(
            connection, rows, found.verification, allow_edits=request.allow_edits
        )
        report("distributions")
        distributions = values.distributions(connection, rows)
        report("values of each column")
        columns = values.columns(connection, rows)
        report("sample")
        sample = people.sample(connection, rows, seed=request.seed, people=request.people)
        documents, about = said.documents(request, _here(found))
        evidence = signed.evidence(verified) if verified else None
        is_of_turn = verified is not None and verified.manifest.run.turn == turn.number
        run = _run(found, verified.manifest if verified and is_of_turn else None, about)
        identity = _identity(found)
        authority = said.authority(request, verified)
        guards = _guards(found)
        retention = model.Retention(
            period=found.status.retention.text,
            destroy_from=_day(found.status.retention.until),
        )
        asked = [
            checks.evidence(
                evidence,
                unreadable=unreadable if found.kept else "",
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
                    about=[number for _, number in about if number is not None],
                )
                for kind in ("preflight", "drill", "operation")
            ),
            checks.way_back(found.status),
            checks.tombstones(
                stone_signatures, within_evidence=_tombstones_within(verified, turn.name)
            ),
            checks.guards(guards.state),
            checks.retention(retention),
        ]
        return model.Report(
            format=model.FORMAT,
            verdict=model.verdict_of(asked),
            summary=said.summary(asked),
            made=_made(connection, found),
            identity=identity,
            verify_with=said.commands(request),
            authority=authority,
            run=run,
            checks=asked,
            counts=counted,
            equations=equations,
            timeline=events.timeline(
                turns=found.turns,
                evidence=found.kept,
                erased=found.stones,
                holds=found.holds,
                purged=found.purged,
                operated=found.operated,
            ),
            rules=counts.rules(rows.mapping, found.verification.unmapped),
            columns=columns,
            distributions=distributions,
            evidence=evidence,
            catalogs=signed.catalogs(found.kept, keys),
            reconciliation=reconciled,
            sample=sample,
            decisions=events.decisions(found.verification),
            documents=documents,
            guards=guards,
            kept=[_kept(row) for row in found.archive.tables],
            retention=retention,
            holds=people.holds(connection, rows, found.status),
            tombstones=events.tombstones(found.stones, stone_signatures),
            purges=events.purges(found.purged),
            operations=operations.operations(found.operated),
            limitations=[*said.LIMITATIONS, *(evidence.limitations if evidence else ())],
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


def _here(found: Found) -> given.Here:
    """Return what documents are held against."""
    return given.Here(
        database=found.here.database,
        migration=found.rows.mapping.migration,
        refactor=found.turn.name,
        turns=found.turns,
    )


def _made(connection: Connection, found: Found) -> model.Made:
    return model.Made(
        at=evidence_facts.now(connection),
        tool=f"refactorkit {__version__}",
        run_by=found.here.user,
    )


def _identity(found: Found) -> model.Identity:
    return model.Identity(
        database=found.here.database,
        environment=found.here.environment,
        system_identifier=found.server.system_identifier,
        server_version=found.here.server_version,
        server_encoding=found.server.server_encoding,
    )


def _run(
    found: Found, manifest: Manifest | None, about: list[tuple[model.Given, int | None]]
) -> model.Run:
    """Return the last turn; how long it took is known from a document that fits alone.

    Args:
        found: with what the log says of it.
        manifest: of the evidence of that very turn.
        about: documents of operations, with the turn that each is about.
    """
    turn, run = found.turn, found.facts.run
    operation = next(
        (
            each
            for each, number in about
            if number == turn.number and each.matches and each.verdict == "pass"
        ),
        None,
    )
    return model.Run(
        refactor=turn.name,
        turn=turn.number,
        direction=turn.direction.value,
        version=run.version,
        at=run.at,
        started_at=operation.at if operation else None,
        seconds=operation.seconds if operation else None,
        transaction_id=run.transaction_id,
        wal_lsn=manifest.made.wal_lsn if manifest else None,
        run_by=run.run_by,
        structure_hash=run.structure_hash,
        mapping_hash=run.mapping_hash,
        migration_checksum=run.migration_checksum,
        settings=run.settings,
    )


def _guards(found: Found) -> model.Guards:
    outcome = found.status.guards
    return model.Guards(
        state=guards_state(outcome),
        off=[f"{d.table}: {d.what}" for d in (outcome.listed if outcome else ())],
    )


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
