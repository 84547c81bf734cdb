"""Write the archive into an encrypted file for cold storage."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from refactorkit import __version__
from refactorkit.coldfile import frames
from refactorkit.coldfile.age import WORK_FACTOR, Writer
from refactorkit.coldfile.frames import FORMAT, VERSION, TableEnd
from refactorkit.commands.new_file import new_private_file
from refactorkit.commands.one_refactor import one_refactor
from refactorkit.errors import NOTHING_CHANGED
from refactorkit.mapping.guards import moved_tables
from refactorkit.postgres import archive_catalog, archive_export, history, server_errors
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import Programs
from refactorkit.postgres.history import TableName
from refactorkit.postgres.refactors import last_turns, refuse_staged

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
    """

    path: Path
    size_bytes: int
    version: int
    tables: tuple[TableEnd, ...]


def export(request: ExportRequest) -> ExportResult:
    """Write all of schema archive into a new file, as a stream, out of one snapshot.

    Raises:
        UsageError: the file is there already.
        RefusedError: no refactor has run, or something foreign lies in the archive.
        FailedError: the server or the disk failed; no file is left behind.
    """
    doing = f"Exporting the archive of {request.dsn.describe()}"
    with (
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
        new_private_file(request.path) as file,
        connected(request.dsn) as connection,
        archive_export.exported_snapshot(connection) as snapshot,
    ):
        head = _head(connection, request, snapshot)
        writer = Writer(file, request.passphrase.encode(), work_factor=request.work_factor)
        frames.write_json(writer.write, b"H", head)
        ends = tuple(
            frames.write_table(
                writer.write,
                table["name"],
                archive_export.rows(connection, table["name"], table["columns"]),
            )
            for table in head["tables"]
        )
        frames.write_json(writer.write, b"M", {"tables": [end.document() for end in ends]})
        writer.finish()
        size = file.tell()
    _log.info("archive.exported", count=len(ends), rows=sum(end.rows for end in ends))
    return ExportResult(
        path=request.path, size_bytes=size, version=head["database_version"], tables=ends
    )


def document(result: ExportResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    return {
        "file": str(result.path),
        "bytes": result.size_bytes,
        "database_version": result.version,
        "tables": [end.document() for end in result.tables],
    }


def _head(connection: Connection, request: ExportRequest, snapshot: str) -> dict[str, Any]:
    turns = last_turns(connection)
    if not turns:
        one_refactor(connection, None, request.dsn)  # which refuses, and says why
    refuse_staged(connection, turns)
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
