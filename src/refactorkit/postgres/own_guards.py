"""Which guards and rights in the database are, to the letter, those that `archive harden` makes."""

from hashlib import sha256
from typing import Any, Final

from refactorkit.evidence.own_guards import Entry, OwnGuards
from refactorkit.mapping.compile import GUARD_SOURCE
from refactorkit.mapping.guards import kept_tables, moved_tables
from refactorkit.mapping.keeping import kept
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import hardening
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.hardening import Roles

_TRIGGERS: Final = """
    SELECT c.oid::regclass::text || '.' || %(guard)s, t.oid IS NOT NULL
    FROM pg_class AS c
    LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgname = %(guard)s
        AND t.tgenabled = 'A' AND NOT t.tgisinternal AND t.tgconstraint = 0
        AND t.tgtype = 58 -- BEFORE UPDATE OR DELETE OR TRUNCATE, a statement
        AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgattr::text = ''
        AND t.tgfoid = %(function)s::oid
    WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind = 'r'
        AND c.relname = ANY (%(tables)s)
    ORDER BY 1
"""
_FUNCTION: Final = """
    SELECT p.oid, p.oid::regprocedure::text
    FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace = to_regnamespace('archive') AND p.proname = %s AND p.pronargs = 0
        AND p.prorettype = 'trigger'::regtype AND l.lanname = 'plpgsql' AND NOT p.prosecdef
        AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
        AND encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = %s
"""
_EVENT_TRIGGERS: Final = """
    SELECT e.evtname::text
    FROM pg_event_trigger AS e
    JOIN pg_proc AS p ON p.oid = e.evtfoid
    JOIN pg_language AS l ON l.oid = p.prolang
    JOIN pg_roles AS o ON o.oid = p.proowner
    JOIN unnest(%(names)s::text[], %(events)s::text[]) AS own (name, event)
        ON own.name = e.evtname AND own.event = e.evtevent
    WHERE e.evtenabled = 'A' AND e.evttags IS NULL
        AND p.pronamespace = to_regnamespace('refactorkit_guard') AND p.proname = 'refuse'
        AND p.pronargs = 0 AND l.lanname = 'plpgsql' AND p.prosecdef
        AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
        AND encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = %(hash)s
        AND (o.rolsuper OR EXISTS (
            SELECT FROM pg_namespace AS n WHERE n.nspname = 'archive' AND n.nspowner = o.oid))
"""


def own_guards(connection: Connection, mapping: Mapping, after: Direction) -> OwnGuards:
    """Return what of hardening is there as this program makes it.

    Args:
        connection: inside ``pinned``.
        mapping: what the last turn ran with.
        after: the direction of that turn.
    """
    exact: set[Entry] = set()
    guards: set[Entry] = set()
    function: Any = connection.execute(
        _FUNCTION, (f"{mapping.name}_guard", sha256(GUARD_SOURCE.encode()).hexdigest())
    ).fetchone()
    if function is not None:
        exact.add(("function of the archive", function[1]))
    tables = (*kept_tables(mapping), *moved_tables(mapping, after))
    for name, is_own in connection.execute(
        _TRIGGERS,
        {
            "guard": f"{mapping.name}_guard",
            "function": function and function[0],
            "tables": [table.removeprefix("archive.") for table in tables],
        },
    ).fetchall():
        entries = {("trigger", name), ("trigger state", name)}
        guards |= entries
        exact |= entries if is_own else set()
    events = frozenset(("event trigger", name) for name, _ in hardening.EVENTS)
    exact |= {("event trigger", name) for name in _events(connection)}
    return OwnGuards(
        exact=frozenset(exact),
        families=(frozenset(guards), events),
        known=events,
        rights=_rights(connection, mapping),
    )


def _events(connection: Connection) -> list[str]:
    body = hardening.EVENT_GUARDS.split(b"$refuse$")[1]
    found = connection.execute(
        _EVENT_TRIGGERS,
        {
            "names": [name for name, _ in hardening.EVENTS],
            "events": [event for _, event in hardening.EVENTS],
            "hash": sha256(body).hexdigest(),
        },
    ).fetchall()
    return [name for (name,) in found]


def _rights(connection: Connection, mapping: Mapping) -> dict[Entry, frozenset[str]]:
    """Return the rights of reader and eraser; none where the archive has no such owner."""
    owner = hardening.present_owner(connection)
    if owner is None:
        return {}
    roles = Roles.of(owner)
    reader, eraser = (
        fetch_value(connection, "SELECT quote_ident(%s)", (name,))
        for name in (roles.reader, roles.eraser)
    )
    read = frozenset({f"SELECT to {eraser}"})
    given = frozenset({*read, f"UPDATE to {eraser}", f"DELETE to {eraser}"})
    tables = {one.table: read if one.is_log else given for one in kept(mapping) if not one.is_moved}
    names = connection.execute(
        "SELECT c.oid::regclass::text, c.relname::text FROM pg_class AS c"
        " WHERE c.relnamespace = to_regnamespace('archive') AND c.relname = ANY (%s)",
        (list(tables),),
    ).fetchall()
    schema = frozenset({f"USAGE to {reader}", f"USAGE to {eraser}"})
    return {
        ("right", "schema archive"): schema,
        **{("right", label): tables[name] for label, name in names},
    }
