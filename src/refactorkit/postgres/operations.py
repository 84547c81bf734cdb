"""The log of operations on an archive: `<name>_operations`, made with the first of them.

Each refactor of an archive has one. Export, import and hardening write into it, in the transaction
of what they do; erasures, holds, purges and turns have logs of their own. The archive's owner may
write there, and nobody else: its reader and its eraser may read it. It names roles, servers and the
tool, and holds no value and no id of anybody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from psycopg import sql
from psycopg.types.json import Jsonb

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.mapping.keeping import log_of_operations
from refactorkit.postgres import hardening
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.archive_writes import close
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.hardening import Roles

# The kind is checked by no list: a later version may know more of them, and the table is kept.
_TABLE: Final = """
    CREATE TABLE {table} (
        operation integer PRIMARY KEY CHECK (operation > 0),
        kind text NOT NULL CHECK (kind <> ''),
        at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        run_by text NOT NULL DEFAULT session_user,
        digest text CHECK (digest ~ '^[0-9a-f]{{64}}$'),
        facts jsonb NOT NULL
    )
"""
_OWNER: Final = """
    SELECT o.rolname::text, pg_has_role(o.oid, 'USAGE'), has_schema_privilege(n.oid, 'CREATE')
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_roles AS o ON o.oid = c.relowner
    WHERE n.nspname = 'archive' AND c.relname = %s
"""
# What is the server's own leaves no trace in pg_depend. Our guard lets INSERT by.
_FOREIGN: Final = """
    WITH log AS (
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('archive') AND c.relname = %s
    ),
    parts (classid, objid) AS (
        SELECT 'pg_class'::regclass::oid, log.oid FROM log
        UNION
        SELECT d.classid, d.objid
        FROM log
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = log.oid
        WHERE d.deptype IN ('a', 'i') AND d.classid <> 'pg_trigger'::regclass
    )
    SELECT format('trigger %%I', t.tgname)
    FROM log JOIN pg_trigger AS t ON t.tgrelid = log.oid
    WHERE NOT t.tgisinternal AND t.tgtype & 4 <> 0 -- INSERT
    UNION
    SELECT format('rule %%I', r.rulename) FROM log JOIN pg_rewrite AS r ON r.ev_class = log.oid
    UNION
    SELECT pg_describe_object(d.refclassid, d.refobjid, 0)
    FROM parts AS x
    JOIN pg_depend AS d ON d.classid = x.classid AND d.objid = x.objid
    WHERE d.refclassid IN (
        'pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass,
        'pg_type'::regclass)
    ORDER BY 1
"""
_LOG: Final = """
    SELECT operation, kind,
        coalesce(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), at::text),
        transaction_id::text, run_by, digest, facts
    FROM {table} ORDER BY operation
"""
_GAPS: Final = """
    SELECT x.before + 1, x.operation - 1
    FROM (
        SELECT operation, coalesce(lag(operation) OVER (ORDER BY operation), 0) AS before
        FROM {table}
    ) AS x
    WHERE x.operation > x.before + 1
    ORDER BY 1
"""


class Kind(StrEnum):
    """What was done."""

    EXPORT = "export"
    IMPORT = "import"
    HARDEN = "harden"
    HARDEN_OFF = "harden off"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A record that was written.

    Attributes:
        refactor: whose log it is in.
        number: in that log, from 1.
    """

    refactor: str
    number: int


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One record, as it stands there.

    Attributes:
        number: from 1 within its refactor.
        kind: a ``Kind``, or what a later version wrote.
        at: in UTC; as the server writes it where it is no time.
        transaction_id: of what was done, on the server where it was.
        run_by: the role that had logged in.
        digest: of the file, as ``coldfile.frames.fingerprint`` makes it; None where there is none.
        facts: what else is known; which, depends on the kind.
    """

    number: int
    kind: str
    at: str
    transaction_id: str
    run_by: str
    digest: str | None
    facts: dict[str, Any]


def table_of(name: str) -> str:
    """Return the table's name, without the schema."""
    return log_of_operations(name).table


def refuse_unwritable(connection: Connection, names: Iterable[str]) -> None:
    """Refuse who could not write into the logs of these refactors: nothing is done unrecorded.

    Args:
        connection: where names mean ``pg_catalog``.
        names: of the refactors.

    Raises:
        RefusedError: this role may not.
    """
    for name in names:
        owner, is_ours, may_create = _owner(connection, name)
        table = table_of(name)
        if exists(connection, table):
            may = fetch_value(
                connection,
                sql.SQL("SELECT has_table_privilege({}::regclass, 'INSERT')").format(
                    sql.Literal(sql.Identifier("archive", table).as_string(connection))
                ),
            )
        else:
            may = is_ours and may_create
        if not may:
            raise RefusedError(
                f"This role may not write into the log of operations, archive.{table}, and nothing"
                " is done here that is not recorded.",
                state=NOTHING_CHANGED,
                hint=f"Run it as {owner}, who owns the archive, or as a member of that role.",
            )


def refuse_foreign_code(connection: Connection, names: Iterable[str]) -> None:
    """Refuse logs on which somebody put what an INSERT would run, as a superuser's for example.

    Args:
        connection: sees what is there now, in no older snapshot.
        names: of the refactors.

    Raises:
        RefusedError: there is a trigger, a rule, or anything that calls a function.
    """
    for name in names:
        found = connection.execute(_FOREIGN, (table_of(name),)).fetchall()
        if found:
            raise RefusedError(
                f"Writing into archive.{table_of(name)} would run what is not refactorkit's:"
                f" {', '.join(str(what) for (what,) in found)}.",
                state=NOTHING_CHANGED,
                hint="Find out who put it there and why, and take it away: the log of operations"
                " has no trigger but the archive's guard, and no function in it.",
            )


def lock(connection: Connection, names: Iterable[str]) -> None:
    """Keep everybody from putting anything on these logs until the open transaction ends."""
    for name in names:
        if exists(connection, table_of(name)):
            connection.execute(
                sql.SQL("LOCK TABLE ONLY {} IN ROW EXCLUSIVE MODE").format(
                    sql.Identifier("archive", table_of(name))
                )
            )


def ensure_table(connection: Connection, name: str) -> None:
    """Make the table where it is missing: as the log of turns is owned, and for nobody else.

    Archives of an older version have none. Where the archive is hardened it gets a guard, and its
    reader and its eraser may read it.
    """
    if exists(connection, table_of(name)):
        return
    table = sql.Identifier("archive", table_of(name))
    connection.execute(sql.SQL(_TABLE).format(table=table))
    close(connection, table_of(name))
    if hardening.has_guards(connection, name):
        hardening.put_guard(connection, name, table_of(name))
    hardened = hardening.present_owner(connection)
    if hardened is not None:
        hardening.let_in(connection, Roles.of(hardened), log_of_operations(name))
    owner, _, _ = _owner(connection, name)
    connection.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table, sql.Identifier(owner)))


def record(
    connection: Connection,
    names: Iterable[str],
    kind: Kind,
    *,
    facts: dict[str, Any],
    digest: str | None = None,
) -> tuple[Recorded, ...]:
    """Write down what the open transaction does, in the log of each refactor.

    Args:
        connection: in ``archive_transaction``: only one writes at a time.
        names: of the refactors.
        kind: of what is done.
        facts: what else is to be known; no secret and no value of a row.
        digest: of the file.

    Raises:
        RefusedError: writing would run somebody's code. Blind spot: what was put there after an
            older snapshot of this transaction; have it locked, and looked at by another connection.
    """
    done = []
    for name in names:
        ensure_table(connection, name)
        lock(connection, [name])
        refuse_foreign_code(connection, [name])
        number = fetch_value(
            connection,
            sql.SQL(
                "INSERT INTO {table} (operation, kind, digest, facts)"
                " SELECT coalesce(max(operation), 0) + 1, %s, %s, %s FROM ONLY {table}"
                " RETURNING operation"
            ).format(table=sql.Identifier("archive", table_of(name))),
            (kind.value, digest, Jsonb(facts)),
        )
        done.append(Recorded(refactor=name, number=int(number)))
    return tuple(done)


def operations(connection: Connection, name: str) -> tuple[Operation, ...]:
    """Return every record of a refactor's log, by number; none without a log."""
    if not exists(connection, table_of(name)):
        return ()
    return tuple(
        Operation(
            number=number,
            kind=kind,
            at=at,
            transaction_id=transaction_id,
            run_by=run_by,
            digest=digest,
            facts=facts if isinstance(facts, dict) else {},
        )
        for number, kind, at, transaction_id, run_by, digest, facts in connection.execute(
            sql.SQL(_LOG).format(table=sql.Identifier("archive", table_of(name)))
        ).fetchall()
    )


def gaps(connection: Connection, name: str) -> tuple[tuple[int, int], ...]:
    """Return the numbers that are missing before the last one, as first and last of each gap.

    Numbers have no gaps, so a record in the midst cannot go unseen, even where no evidence was made
    of it. Blind spot: the last ones.
    """
    if not exists(connection, table_of(name)):
        return ()
    found = connection.execute(
        sql.SQL(_GAPS).format(table=sql.Identifier("archive", table_of(name)))
    ).fetchall()
    return tuple((first, last) for first, last in found)


def _owner(connection: Connection, name: str) -> tuple[str, bool, bool]:
    """Return the owner of the log of turns, whether we have its rights, and may make a table."""
    row = connection.execute(_OWNER, (f"{name}_turns",)).fetchone()
    assert row is not None  # noqa: S101 - the names come from these tables
    return row[0], row[1], row[2]
