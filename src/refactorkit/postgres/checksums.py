"""Checksums of applied files, so that a file that was edited afterwards is seen.

Kept in ``archive.migration_checksums``, one row a version, written in the transaction of the file
itself. Files that another tool applied have no row: that is no finding.

Whoever may change this table could run code as whoever migrates (by a trigger on it), so nothing
is created or written in a schema or table that is not this role's alone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from psycopg import sql
from psycopg.rows import TupleRow

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.migrations.history import AppliedRow
from refactorkit.migrations.model import Migration
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.history import TIME_FORMAT

SCHEMA: Final = "archive"
TABLE: Final = "migration_checksums"

_QUARTER: Final = re.compile(r".*:([0-9]{2}):([0-9]{2}\.[0-9]{6})")

_SCHEMA_FINDINGS: Final = """
    SELECT space.nspowner = me.oid OR (
            NOT owner.rolcanlogin AND NOT owner.rolsuper
            AND pg_catalog.pg_has_role(me.oid, owner.oid, 'USAGE')
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_roles AS other
                WHERE other.oid NOT IN (me.oid, owner.oid) AND NOT other.rolsuper
                    AND pg_catalog.pg_has_role(other.oid, owner.oid, 'MEMBER')
            )
        ),
        NOT EXISTS (
            SELECT FROM pg_catalog.aclexplode(space.nspacl) AS granted
            WHERE granted.privilege_type = 'CREATE' AND granted.grantee <> space.nspowner
        )
    FROM pg_catalog.pg_namespace AS space
    JOIN pg_catalog.pg_roles AS owner ON owner.oid = space.nspowner
    JOIN pg_catalog.pg_roles AS me ON me.rolname = coalesce(%s::pg_catalog.name, current_user)
    WHERE space.nspname = 'archive'
"""
_TABLE_FINDINGS: Final = """
    SELECT kept.relkind = 'r' AND kept.relowner = me.oid,
        NOT kept.relhasrules AND NOT kept.relrowsecurity AND NOT kept.relhastriggers
            AND NOT EXISTS (
                SELECT FROM pg_catalog.aclexplode(kept.relacl) AS granted
                WHERE granted.privilege_type <> 'SELECT' AND granted.grantee <> kept.relowner
            )
    FROM pg_catalog.pg_class AS kept
    JOIN pg_catalog.pg_namespace AS space ON space.oid = kept.relnamespace
    JOIN pg_catalog.pg_roles AS me ON me.rolname = coalesce(%s::pg_catalog.name, current_user)
    WHERE space.nspname = 'archive' AND kept.relname = 'migration_checksums'
"""
_CREATE: Final = """
    CREATE TABLE archive.migration_checksums (
        version BIGINT PRIMARY KEY,
        checksum pg_catalog.text NOT NULL,
        file pg_catalog.text NOT NULL,
        recorded_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT pg_catalog.now()
    );
    COMMENT ON TABLE archive.migration_checksums IS
        'SHA-256 of each migration file as it was when refactorkit applied it.';
"""
_GRANTEES: Final = """
    SELECT DISTINCT role.rolname::pg_catalog.text
    FROM pg_catalog.pg_class AS kept
    JOIN pg_catalog.pg_namespace AS space ON space.oid = kept.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(kept.relacl) AS granted
    JOIN pg_catalog.pg_roles AS role ON role.oid = granted.grantee
    WHERE space.nspname = 'archive' AND kept.relname = 'migration_checksums'
        AND granted.grantee <> kept.relowner
    ORDER BY 1
"""
_SCHEMA_GRANTEES: Final = """
    SELECT DISTINCT role.rolname::pg_catalog.text
    FROM pg_catalog.pg_namespace AS space
    CROSS JOIN LATERAL pg_catalog.aclexplode(space.nspacl) AS granted
    JOIN pg_catalog.pg_roles AS role ON role.oid = granted.grantee
    WHERE space.nspname = 'archive' AND granted.grantee <> space.nspowner
    ORDER BY 1
"""
_READABLE: Final = """
    SELECT CASE
        WHEN pg_catalog.to_regnamespace('archive') IS NULL THEN true
        WHEN NOT pg_catalog.has_schema_privilege('archive', 'USAGE') THEN false
        ELSE coalesce(pg_catalog.has_table_privilege(
            pg_catalog.to_regclass('archive.migration_checksums'), 'SELECT'), true)
    END
"""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One row of the table.

    Attributes:
        checksum: SHA-256 of the file, hexadecimal.
        at: when, in UTC, written as ``AppliedRow.at`` is.
    """

    checksum: str
    at: str


class FileState(StrEnum):
    """What the recorded checksum says of a file."""

    SAME = "same"
    EDITED = "edited"
    NOT_RECORDED = "not recorded"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """The recorded checksums of a database.

    Attributes:
        by_version: what is recorded of each version; None where this role may not read it.
    """

    by_version: Mapping[int, Recorded] | None

    def state(self, migration: Migration, row: AppliedRow) -> FileState:
        """Compare a file with what was recorded when it was applied.

        Args:
            migration: the file as it is.
            row: the version's newest row of the version table.
        """
        if self.by_version is None:
            return FileState.UNREADABLE
        recorded = self.by_version.get(migration.version)
        if recorded is None or not _are_of_one_transaction(row.at, recorded.at):
            return FileState.NOT_RECORDED
        return FileState.SAME if recorded.checksum == migration.checksum else FileState.EDITED


def read(connection: Connection) -> Checksums:
    """Return what is recorded; nothing where the table is not there."""
    if not fetch_value(connection, _READABLE):
        return Checksums(by_version=None)
    if not _table_exists(connection):
        return Checksums(by_version={})
    rows = connection.execute(
        "SELECT version, checksum, pg_catalog.to_char(recorded_at AT TIME ZONE 'UTC', %s)"
        " FROM archive.migration_checksums ORDER BY version",
        (TIME_FORMAT,),
    )
    return Checksums(by_version={row[0]: Recorded(checksum=row[1], at=str(row[2])) for row in rows})


def refuse_unusable(
    connection: Connection, *, will_record: bool, runner: str | None = None
) -> bool:
    """Stop before anything is changed where checksums could not be written safely.

    Args:
        connection: of any role, which need not read the table.
        will_record: False where checksums are only deleted, which needs no table.
        runner: the role that would write; None for the connection's own.

    Returns:
        whether the table is there.

    Raises:
        RefusedError: the schema or the table is another's or open to others, or the schema is
            missing and this role may not create it.
    """
    table = connection.execute(_TABLE_FINDINGS, (runner,)).fetchone()
    if table is None and not will_record:
        return False
    schema = connection.execute(_SCHEMA_FINDINGS, (runner,)).fetchone()
    if schema is None:
        if not fetch_value(
            connection,
            "SELECT pg_catalog.has_database_privilege("
            "coalesce(%s::pg_catalog.name, current_user), pg_catalog.current_database(), 'CREATE')",
            (runner,),
        ):
            raise RefusedError(
                "This user may not create the schema archive, where checksums are recorded.",
                state=NOTHING_CHANGED,
                hint="Ask for GRANT CREATE ON DATABASE.",
            )
        return False
    _refuse_foreign(schema, "The schema archive")
    if table is None:
        return False
    _refuse_foreign(table, "The table archive.migration_checksums")
    return True


def record(connection: Connection, migration: Migration) -> None:
    """Write a file's checksum in the open transaction, making schema and table where missing.

    Raises:
        RefusedError: as ``refuse_unusable``; the transaction must then be rolled back.
    """
    if not refuse_unusable(connection, will_record=True):
        _create(connection)
    connection.execute(
        "INSERT INTO archive.migration_checksums AS kept (version, checksum, file)"
        " VALUES (%s, %s, %s)"
        " ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum,"
        " file = excluded.file, recorded_at = excluded.recorded_at",
        (migration.version, migration.checksum, migration.file),
    )


def forget(connection: Connection, version: int) -> None:
    """Delete a version's checksum, if there is one, in the open transaction.

    Raises:
        RefusedError: the table is another's or open to others.
    """
    if refuse_unusable(connection, will_record=False):
        connection.execute("DELETE FROM archive.migration_checksums WHERE version = %s", (version,))


def _are_of_one_transaction(applied: str | None, recorded: str) -> bool:
    """Tell whether the version row is the one that was written together with the checksum.

    goose's down and up leave our checksum behind beside a row of their own. Both times are the
    ``now()`` of one transaction, and one of them has lost its time zone: what zones cannot
    change, everything below a quarter of an hour, has to be equal.
    """
    moments = [_QUARTER.fullmatch(text or "") for text in (applied, recorded)]
    if any(match is None for match in moments):
        return False
    one, other = ((int(match[1]) % 15, match[2]) for match in moments if match)
    return one == other


def _table_exists(connection: Connection) -> bool:
    return connection.execute(_TABLE_FINDINGS, (None,)).fetchone() is not None


def _refuse_foreign(findings: TupleRow, what: str) -> None:
    own, closed = findings
    if not own:
        raise RefusedError(
            f"{what} belongs to another role, so nothing is written there.",
            state=NOTHING_CHANGED,
            hint="Run as its owner, or give it to the role that migrates.",
        )
    if not closed:
        raise RefusedError(
            f"{what} is open to other roles: privileges, a trigger, a rule or a policy.",
            state=NOTHING_CHANGED,
            hint="Find out who opened it and why, then revoke that.",
        )


def _create(connection: Connection) -> None:
    # IF NOT EXISTS would ask for the right to create schemas even where this one exists.
    if fetch_value(connection, "SELECT pg_catalog.to_regnamespace('archive') IS NULL"):
        connection.execute("CREATE SCHEMA archive")
        # Default privileges may have opened it, or the table below, to other roles.
        for (role,) in connection.execute(_SCHEMA_GRANTEES).fetchall():
            connection.execute(
                sql.SQL("REVOKE ALL ON SCHEMA archive FROM {}").format(sql.Identifier(role))
            )
    connection.execute("REVOKE ALL ON SCHEMA archive FROM PUBLIC")
    connection.execute(_CREATE)
    connection.execute("REVOKE ALL ON archive.migration_checksums FROM PUBLIC")
    for (role,) in connection.execute(_GRANTEES).fetchall():
        connection.execute(
            sql.SQL("REVOKE ALL ON archive.migration_checksums FROM {}").format(
                sql.Identifier(role)
            )
        )
