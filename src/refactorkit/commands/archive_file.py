"""Read an export: check it without a database, or bring it into one."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog

from refactorkit import __version__
from refactorkit.coldfile import frames
from refactorkit.coldfile.age import RECIPIENT, DamagedError, decrypted
from refactorkit.coldfile.frames import Counter, TableEnd
from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError, UsageError
from refactorkit.postgres import archive_export, hardening, history, operations
from refactorkit.postgres.archive_writes import archive_transaction, close
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import role_for_restore
from refactorkit.postgres.history import TableName
from refactorkit.postgres.operations import Kind, Recorded
from refactorkit.postgres.refactors import last_turns, names

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class FileRequest:
    """Which file, and what opens it.

    Attributes:
        path: the file.
        passphrase: what opens it.
    """

    path: Path
    passphrase: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """Which file to bring into which database.

    Attributes:
        file: the export.
        dsn: the database; it has no archive.
        table: the version table, as the user writes it.
        role: who is to own the archive; None: the user, and for a superuser the database's owner.
        without_missing_roles: leave out the rights of roles that this server does not have.
    """

    file: FileRequest
    dsn: Dsn
    table: str = "goose_db_version"
    role: str | None = None
    without_missing_roles: bool = False


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """What the file holds.

    Attributes:
        head: what it says of itself.
        tables: what was counted, one by one, and is what its manifest says.
        digest: what the log of operations calls the export by.
        left_out: roles whose rights were not given back.
        recorded: where in the log of operations; nowhere where it was only read.
    """

    head: dict[str, Any]
    tables: tuple[TableEnd, ...]
    digest: str
    left_out: tuple[str, ...] = ()
    recorded: tuple[Recorded, ...] = ()


def verify_export(request: FileRequest) -> FileResult:
    """Read a whole export and compare it with its own manifest; no database is needed.

    Raises:
        DamagedError: wrong passphrase, changed, cut off, or not what its manifest says.
        UsageError: there is no such file.
    """
    with _opened(request.path) as file:
        reader = _Reader(decrypted(file, request.passphrase.encode()))
        for _, data in reader.tables():
            for _ in data:
                pass
    _log.info("archive.export_verified", count=len(reader.ends))
    return FileResult(head=reader.head, tables=tuple(reader.ends), digest=reader.digest)


def import_archive(request: ImportRequest) -> FileResult:
    """Make the archive of an export again, in one transaction, all of it or nothing.

    The log of operations comes with it, and has the import as its newest record.
    The SQL in it is what pg_dump said when it was made; only who has the passphrase can have
    changed it. It runs with the rights of ``role``, which code that means harm can take back: where
    the origin of a file is in doubt, import as a user without rights.

    Raises:
        DamagedError: as ``verify_export``.
        RefusedError: there is an archive, the version is another, or roles are missing.
        FailedError: the server failed or was lost; nothing was changed.
    """
    doing = f"Importing the archive into {request.dsn.describe()}"
    with (
        _opened(request.file.path) as file,
        archive_transaction(request.dsn, doing=doing) as connection,
    ):
        reader = _Reader(decrypted(file, request.file.passphrase.encode()))
        left_out = _refuse_unfit(connection, request, reader.head)
        _take_role(connection, request.role)
        archive_export.make_tables(connection, reader.head)
        for table, data in reader.tables():
            archive_export.fill(connection, table["name"], table["columns"], data)
        archive_export.finish(connection, reader.head, left_out)
        _close(connection, reader.head)
        recorded = operations.record(
            connection,
            names(connection),
            Kind.IMPORT,
            digest=reader.digest,
            facts=_facts(reader, left_out),
        )
    _log.info("archive.imported", count=len(reader.ends))
    return FileResult(
        head=reader.head,
        tables=tuple(reader.ends),
        digest=reader.digest,
        left_out=left_out,
        recorded=recorded,
    )


def document(result: FileResult) -> dict[str, Any]:
    """Return the result as JSON can hold it."""
    head = result.head
    return {
        "verdict": "pass",
        **{
            key: head.get(key)
            for key in (
                "made_by", "made_at", "database", "database_version", "server_version",
                "system_identifier", "retention", "refactors",
            )
        },
        "tables": [end.document() for end in result.tables],
        "digest": result.digest,
        "rights_left_out": list(result.left_out),
        "recorded": [
            {"refactor": one.refactor, "operation": one.number} for one in result.recorded
        ],
    }  # fmt: skip


def _facts(reader: "_Reader", left_out: tuple[str, ...]) -> dict[str, Any]:
    head = reader.head
    return {
        "tool": f"refactorkit {__version__}",
        "recipient": RECIPIENT,
        "database_version": head["database_version"],
        "tables": len(reader.ends),
        "rows": sum(end.rows for end in reader.ends),
        "exported_by": head["made_by"],
        "exported_at": head["made_at"],
        "exported_from": head["database"],
        "exported_from_system": head["system_identifier"],
        "rights_left_out": list(left_out),
    }


class _Reader:
    """Walks through the frames of an export, and holds each table against the manifest."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._frames = frames.read(chunks)
        _, content = next(self._frames, (b"", b""))
        self.head = frames.parse_head(content)
        self.ends: list[TableEnd] = []
        self.digest = ""
        self._first = content

    def tables(self) -> Iterator[tuple[dict[str, Any], Iterator[bytes]]]:
        """Yield each table of the head and its rows, which must be read before the next.

        Raises:
            DamagedError: a table, or the manifest, is not what it must be.
        """
        for table in self.head["tables"]:
            yield table, self._rows(table["name"])
        kind, content = next(self._frames)
        listed = frames.parse(content).get("tables")
        if kind != b"M" or listed != [end.document() for end in self.ends]:
            raise DamagedError("The file is not what its manifest says.")
        self.digest = frames.fingerprint(self._first, content)
        for _ in self._frames:  # until the end is known to be one
            raise DamagedError("Something stands after the manifest.")

    def _rows(self, name: str) -> Iterator[bytes]:
        counter = Counter(name)
        for kind, content in self._frames:
            if kind == b"D":
                counter.add(content)
                yield content
                continue
            end = counter.end()
            if kind != b"E" or frames.parse(content) != end.document():
                raise DamagedError(f"The rows of {name} are not what the file says of them.")
            self.ends.append(end)
            return


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.", state=NOTHING_CHANGED) from error
    except OSError as error:
        raise FailedError(
            f"The file {path} cannot be read: {error.strerror or 'an error of the system'}.",
            state=NOTHING_CHANGED,
        ) from error
    except DamagedError as error:
        error.state = error.state or NOTHING_CHANGED
        raise


def _refuse_unfit(
    connection: Connection, request: ImportRequest, head: dict[str, Any]
) -> tuple[str, ...]:
    if archive_export.has_archive(connection):
        raise RefusedError(
            f"{request.dsn.describe()} has a schema archive already.",
            state=NOTHING_CHANGED,
            hint="An import never mixes two archives: use a database without one.",
        )
    if archive_export.has_tables(connection):
        parsed = TableName.parse(request.table)
        found = history.find(
            connection, TableName(schema=parsed.schema or "public", name=parsed.name)
        )
        version = history.read(connection, found).current
        if version != head["database_version"]:
            raise RefusedError(
                f"The database is at version {version}, and the export was made at version"
                f" {head['database_version']}.",
                state=NOTHING_CHANGED,
                hint="Restore what lay outside the archive at the same time as the export.",
            )
    missing = archive_export.missing_roles(connection, head)
    if missing and not request.without_missing_roles:
        raise RefusedError(
            f"Roles that had rights on the moved tables are not here: {', '.join(missing)}.",
            state=NOTHING_CHANGED,
            hint="Create them, or leave their rights out: --without-missing-roles.",
        )
    return missing


def _take_role(connection: Connection, role: str | None) -> None:
    """Run what comes from the file with the rights of somebody who has few."""
    name = role if role is not None else role_for_restore(connection)
    if name is not None:
        hardening.act_as(connection, name)


def _close(connection: Connection, head: dict[str, Any]) -> None:
    """Nobody else looks in: default privileges opened nothing."""
    mappings = [turn.mapping for turn in last_turns(connection) if turn.mapping]
    hardening.close_to_public(connection, mappings)
    granted = {one["object"] for one in head["grants"]}
    for table in head["tables"]:
        if table["name"] not in granted:
            close(connection, table["name"])
