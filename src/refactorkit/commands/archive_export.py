"""Write the archive into an encrypted file for cold storage."""

import datetime as dt
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog

from refactorkit import __version__
from refactorkit.coldfile import frames
from refactorkit.coldfile.age import RECIPIENT, WORK_FACTOR, Writer
from refactorkit.coldfile.frames import FORMAT, VERSION, TableEnd
from refactorkit.commands.new_file import new_private_file
from refactorkit.commands.one_refactor import one_refactor
from refactorkit.errors import NOTHING_CHANGED, FailedError
from refactorkit.mapping.guards import moved_tables
from refactorkit.postgres import (
    archive_catalog,
    archive_export,
    history,
    operations,
    server_errors,
)
from refactorkit.postgres.archive_writes import archive_transaction
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs
from refactorkit.postgres.history import TableName
from refactorkit.postgres.operations import Kind, Recorded
from refactorkit.postgres.refactors import Turn, last_turns, refuse_staged

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export, and where to.

    Attributes:
        dsn: the database.
        path: the file to be.
        passphrase: what opens it.
        table: the version table, as the user writes it.
        programs: where pg_dump is.
        work_factor: base-2 logarithm of what a guess at the passphrase costs.
    """

    dsn: Dsn
    path: Path
    passphrase: str = field(repr=False)
    table: str = "goose_db_version"
    programs: Programs = field(default_factory=Programs)
    work_factor: int = WORK_FACTOR


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What was written.

    Attributes:
        path: the file.
        size_bytes: of the file.
        version: of the database.
        tables: what went into it, one by one.
        digest: what the log of operations and ``archive verify-export`` call this export by.
        recorded: where in the log of operations.
    """

    path: Path
    size_bytes: int
    version: int
    tables: tuple[TableEnd, ...]
    digest: str
    recorded: tuple[Recorded, ...]


def export(request: ExportRequest) -> ExportResult:
    """Write all of schema archive into a new file, as a stream, out of one snapshot.

    The transaction that reads it writes it down in the log of operations. The file's last piece
    comes after the COMMIT, so that no file is whole that is not recorded; and beside no migration
    and no other operation, so that the order of the log is that of what was done.

    Raises:
        UsageError: the file is there already.
        RefusedError: no refactor has run, something foreign lies in the archive, this role may not
            write into the log, or the server is a standby.
        BusyError: a migration or another operation is running.
        FailedError: the server or the disk failed; no file is left behind.
    """
    doing = f"Exporting the archive of {request.dsn.describe()}"
    with new_private_file(request.path) as file:
        with archive_transaction(request.dsn, doing=doing, one_snapshot=True) as connection:
            turns = last_turns(connection)
            if not turns:
                one_refactor(connection, None, request.dsn)  # which refuses, and says why
            refuse_staged(connection, turns)
            names = [turn.name for turn in turns]
            _secure_log(connection, request.dsn, names)
            snapshot = archive_export.exported_snapshot(connection)
            head = _head(connection, request, snapshot, turns)
            writer = Writer(file, request.passphrase.encode(), work_factor=request.work_factor)
            first = frames.write_json(writer.write, b"H", head)
            ends = tuple(
                frames.write_table(
                    writer.write,
                    table["name"],
                    archive_export.rows(connection, table["name"], table["columns"]),
                )
                for table in head["tables"]
            )
            manifest = {"tables": [end.document() for end in ends]}
            last = frames.write_json(writer.write, b"M", manifest)
            file.flush()  # a disk that is full says so before anything is recorded
            digest = frames.fingerprint(first, last)
            recorded = operations.record(
                connection, names, Kind.EXPORT, digest=digest, facts=_facts(head, ends)
            )
        _finish(writer, file, request.path, recorded)
        size = file.tell()
    _log.info("archive.exported", count=len(ends), rows=sum(end.rows for end in ends))
    return ExportResult(
        path=request.path,
        size_bytes=size,
        version=head["database_version"],
        tables=ends,
        digest=digest,
        recorded=recorded,
    )


def _secure_log(connection: Connection, dsn: Dsn, names: list[str]) -> None:
    """See to it that the record can be written at the end, and that writing runs nobody's code.

    The log is locked from here on. This transaction sees what was there when it began; what stands
    on the log now, another connection sees.
    """
    operations.refuse_unwritable(connection, names)
    operations.lock(connection, names)
    with connected(dsn) as fresh:
        fresh.execute("SET search_path = pg_catalog, pg_temp")
        operations.refuse_foreign_code(fresh, names)


def _facts(head: dict[str, Any], ends: tuple[TableEnd, ...]) -> dict[str, Any]:
    return {
        "tool": head["made_by"],
        "recipient": RECIPIENT,
        "database_version": head["database_version"],
        "tables": len(ends),
        "rows": sum(end.rows for end in ends),
    }


def _finish(writer: Writer, file: IO[bytes], path: Path, recorded: tuple[Recorded, ...]) -> None:
    """Write what makes the file whole; where that fails, the log has an export that is nowhere."""
    try:
        writer.finish()
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        where = ", ".join(
            f"archive.{operations.table_of(one.refactor)} as {one.number}" for one in recorded
        )
        raise FailedError(
            f"The end of the file {path} cannot be written:"
            f" {error.strerror or 'an error of the system'}.",
            state=f"No file was left behind; that it was made is recorded in {where}.",
        ) from error


def document(result: ExportResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "file": str(result.path),
        "bytes": result.size_bytes,
        "database_version": result.version,
        "tables": [end.document() for end in result.tables],
        "digest": result.digest,
        "recorded": [
            {"refactor": one.refactor, "operation": one.number} for one in result.recorded
        ],
    }


def _head(
    connection: Connection, request: ExportRequest, snapshot: str, turns: tuple[Turn, ...]
) -> dict[str, Any]:
    moved = {
        table.removeprefix("archive.")
        for turn in turns
        if turn.mapping
        for table in moved_tables(turn.mapping, turn.direction)
    }
    with server_errors.explained(doing="Reading the version table", state=NOTHING_CHANGED):
        found = history.find(connection, TableName.parse(request.table))
        # The version table may lie anywhere in the user's search_path; here that is pg_catalog.
        if not found.exists:
            found = history.find(connection, TableName(schema="public", name=found.name))
        version = history.read(connection, found).current
    latest = max((turn.at for turn in turns), default=None)
    retention = archive_catalog.retention(connection, latest) if latest else None
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"refactorkit {__version__}",
        "made_at": dt.datetime.now(tz=dt.UTC).isoformat(),
        "database": connection.info.dbname,
        "database_version": version,
        "retention": retention.text if retention else None,
        "refactors": [
            {
                "name": turn.name,
                "turn": turn.number,
                "direction": turn.direction.value,
                "at": turn.at.isoformat(),
            }
            for turn in turns
        ],
        **archive_export.describe(connection, request.programs, snapshot, moved=sorted(moved)),
    }
