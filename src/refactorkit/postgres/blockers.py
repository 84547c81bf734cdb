"""Who stands in the way of a session that waits for a lock, and how such a session is ended.

Sources: PostgreSQL manual, 9.27 ``pg_blocking_pids`` (0 stands for a prepared transaction), 53.13
``pg_locks`` (a prepared transaction has no pid there, and a lock on its own id), 27.2.3
``pg_stat_activity`` (what other users run is shown to members of pg_read_all_stats alone).
"""

from dataclasses import dataclass
from typing import Final

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.migrations.first_words import first_words
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.lock_modes import LockMode

_CLIENT: Final = "client backend"
_OWN: Final = """
    SELECT a.pid, extract(epoch FROM a.backend_start)::pg_catalog.text
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
"""
_WAITS: Final = """
    SELECT a.wait_event_type IS NOT DISTINCT FROM 'Lock'
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = %s AND extract(epoch FROM a.backend_start)::pg_catalog.text = %s
"""
# A session that only queues before us is no holder: it waits for somebody itself.
_SESSIONS: Final = """
    SELECT a.pid, pg_catalog.concat_ws(' ', extract(epoch FROM a.backend_start)::pg_catalog.text,
            extract(epoch FROM a.xact_start)::pg_catalog.text),
        a.backend_type, a.application_name, a.usename, a.state,
        a.query,
        extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8,
        EXISTS (
            SELECT FROM pg_catalog.pg_locks AS wanted
            JOIN pg_catalog.pg_locks AS held
                ON held.granted AND held.pid = a.pid AND held.locktype = wanted.locktype
                AND ROW(held.database, held.relation, held.page, held.tuple, held.virtualxid,
                        held.transactionid, held.classid, held.objid, held.objsubid)
                    IS NOT DISTINCT FROM
                    ROW(wanted.database, wanted.relation, wanted.page, wanted.tuple,
                        wanted.virtualxid, wanted.transactionid, wanted.classid, wanted.objid,
                        wanted.objsubid)
            WHERE wanted.pid = %(waiting)s AND NOT wanted.granted)
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = ANY (pg_catalog.pg_blocking_pids(%(waiting)s))
    ORDER BY a.xact_start, a.pid
"""
_PREPARED: Final = """
    SELECT x.gid, x.owner, extract(epoch FROM pg_catalog.clock_timestamp() - x.prepared)::float8,
        held.locktype, held.mode, wanted.mode
    FROM pg_catalog.pg_locks AS wanted
    JOIN pg_catalog.pg_locks AS held
        ON held.granted AND held.pid IS NULL AND held.locktype = wanted.locktype
        AND ROW(held.database, held.relation, held.transactionid, held.objid)
            IS NOT DISTINCT FROM
            ROW(wanted.database, wanted.relation, wanted.transactionid, wanted.objid)
    JOIN pg_catalog.pg_locks AS own
        ON own.granted AND own.pid IS NULL AND own.locktype = 'transactionid'
        AND own.virtualtransaction = held.virtualtransaction
    JOIN pg_catalog.pg_prepared_xacts AS x ON x.transaction = own.transactionid
    WHERE wanted.pid = %(waiting)s AND NOT wanted.granted
    ORDER BY x.prepared, x.gid
"""
# Asked again in the same breath: still that transaction of that session, still in our way.
_TERMINATE: Final = """
    SELECT pg_catalog.pg_terminate_backend(a.pid)
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = %(pid)s
        AND pg_catalog.concat_ws(' ', extract(epoch FROM a.backend_start)::pg_catalog.text,
            extract(epoch FROM a.xact_start)::pg_catalog.text) = %(started)s
        AND a.backend_type = 'client backend'
        AND a.pid = ANY (pg_catalog.pg_blocking_pids(%(waiting)s))
"""
_MAY_SIGNAL: Final = """
    SELECT rolsuper OR (
        pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE')
        AND pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))
    FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user
"""


Key = tuple[int | None, str]


class AnotherServerError(Exception):
    """The session is not there: this is another server of the same name."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A session that may wait.

    Attributes:
        pid: its process.
        started: when it began, in seconds; None where it may not know.
    """

    pid: int
    started: str | None


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """A session, or a prepared transaction, that we wait for.

    Attributes:
        pid: the process; None for a prepared transaction.
        started: when the session and its transaction began, in seconds: tells two of one pid
            apart, and two transactions of one session.
        kind: what the server calls it: ``client backend``, ``autovacuum worker``, ...; empty where
            this user may not know, and then it is not ended.
        holds: whether it has the lock that we want; False where it only queues before us.
        application: its name, printable; may be empty.
        user: its role; may be empty.
        state: such as ``idle in transaction``; empty where this user may not know.
        query: the first words of its last statement, without any value; may be empty.
        age_seconds: of its transaction; None where this user may not know.
        gid: the name of a prepared transaction; None for a session.
    """

    pid: int | None
    started: str
    kind: str
    holds: bool
    application: str
    user: str
    state: str
    query: str
    age_seconds: float | None
    gid: str | None = None

    @property
    def key(self) -> Key:
        """What it is known by from one look to the next: one transaction, not one session."""
        return (self.pid, self.started)

    @property
    def may_be_terminated(self) -> bool:
        """Whether it is a client that holds what we want: nothing else is ever ended."""
        return self.pid is not None and self.kind == _CLIENT and self.holds

    def describe(self) -> str:
        """Return who it is, for a sentence."""
        age = "" if self.age_seconds is None else f" for {self.age_seconds:,.0f} s"
        if self.gid is not None:
            return f'prepared transaction "{self.gid}" of {self.user}, prepared{age}'
        parts = [f"process {self.pid}"]
        if self.application:
            parts.append(f'application "{self.application}"')
        if self.user:
            parts.append(f"user {self.user}")
        if self.kind not in {_CLIENT, ""}:
            parts.append(self.kind)
        if self.state:
            parts.append(f"{self.state}, its transaction open{age}" if age else self.state)
        if self.query:
            parts.append(f"last statement {self.query}")
        if not self.holds:
            parts.append("which waits itself, before us")
        return ", ".join(parts)


def own_session(connection: Connection) -> Waiting:
    """Return what the session of a connection is known by, on its server."""
    row = connection.execute(_OWN).fetchone()
    pid, started = row if row is not None else (connection.info.backend_pid, None)
    return Waiting(pid=pid, started=started)


def find(watcher: Connection, waiting: Waiting) -> tuple[Blocker, ...]:
    """Return who blocks a session now; none where it does not wait for a lock.

    Args:
        watcher: another connection to the same server, in autocommit.
        waiting: the session.

    Raises:
        AnotherServerError: there is no such session here, or this user may not see that it is.
    """
    # The cheap question first: the other one stops the whole lock manager for a moment.
    waits = fetch_value(watcher, _WAITS, (waiting.pid, waiting.started))
    if waits is None:
        raise AnotherServerError
    if not waits:
        return ()
    parameters = {"waiting": waiting.pid}
    sessions = watcher.execute(_SESSIONS, parameters).fetchall()
    prepared = watcher.execute(_PREPARED, parameters).fetchall()
    found = [
        Blocker(
            pid=pid,
            started=started or "",
            kind=kind or "",
            holds=holds,
            application=_printable(application),
            user=_printable(user),
            state=state or "",
            query=first_words(query or "") if state else "",
            age_seconds=age,
        )
        for pid, started, kind, application, user, state, query, age, holds in sessions
    ]
    known: set[str] = set()
    for gid, owner, age, locktype, held, wanted in prepared:
        if gid not in known and (locktype != "relation" or _exclude_each_other(held, wanted)):
            known.add(gid)
            found.append(
                Blocker(
                    pid=None,
                    started=gid,
                    kind="prepared transaction",
                    holds=True,
                    application="",
                    user=_printable(owner),
                    state="prepared",
                    query="",
                    age_seconds=age,
                    gid=_printable(gid),
                )
            )
    return tuple(found)


def terminate(watcher: Connection, waiting: Waiting, blocker: Blocker) -> bool:
    """End a blocker's session, if it is in the same transaction and still in the way of ours.

    Returns:
        False where it was gone or out of the way already.

    Raises:
        psycopg.errors.InsufficientPrivilege: it is a superuser's, or this user may not at all.
        ValueError: it is nothing that may be ended.
    """
    if not blocker.may_be_terminated:
        raise ValueError(f"a {blocker.kind} is never terminated")
    row = watcher.execute(
        _TERMINATE, {"pid": blocker.pid, "started": blocker.started, "waiting": waiting.pid}
    ).fetchone()
    return bool(row and row[0])


def refuse_unless_it_may_signal(connection: Connection) -> None:
    """Stop before anything is tried where blockers are to be terminated and cannot be.

    To be sure that it is a client that is ended, one must see what kind of session it is.

    Raises:
        RefusedError: this user is no superuser, and no member of the two roles that it takes.
    """
    if not fetch_value(connection, _MAY_SIGNAL):
        user = fetch_value(connection, "SELECT current_user::pg_catalog.text")
        raise RefusedError(
            f"{user} may not terminate the sessions of others: --terminate-blockers-after needs a"
            " member of pg_signal_backend and of pg_read_all_stats.",
            state=NOTHING_CHANGED,
            hint=f"GRANT pg_signal_backend, pg_read_all_stats TO {user}, or run without it.",
        )


def _exclude_each_other(held: str, wanted: str) -> bool:
    try:
        return LockMode.of_pg_locks(held) in LockMode.of_pg_locks(wanted).conflicts
    except ValueError:
        return True


def _printable(text: str | None) -> str:
    return "".join(c for c in text or "" if c.isprintable())
