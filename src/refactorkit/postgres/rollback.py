"""Measure what Down would do now: in one snapshot that changes nothing, without a strong lock.

All is read under ACCESS SHARE. What stops Down is told apart from what is not known: an answer that
could not be had is a sentence in ``Measured.unknown``, and never a figure.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

import psycopg

from refactorkit.mapping.model import Mapping as RefactorMapping
from refactorkit.mapping.rollback import RollbackQueries
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.decisions import DecisionCount
from refactorkit.postgres.rollback_constraints import Written, broken_constraints
from refactorkit.postgres.rollback_figures import (
    DependantFigures,
    Figures,
    LinkFigures,
    Measured,
    Obstacle,
    Refusal,
)
from refactorkit.postgres.rollback_readers import new_readers

_GUARDS_FOUND = "SELECT pg_catalog.current_setting('refactorkit.refusals')"
_SET = "SELECT pg_catalog.set_config(%s, %s, true)"
# The session's own settings, where the text of Down sets them for its transaction.
_AS_IN_DOWN = {"standard_conforming_strings": "on", "quote_all_identifiers": "off"}
_LOCK_TIMEOUT = "2s"
_UNREADABLE = """
    SELECT what FROM (
        SELECT t AS what FROM pg_catalog.unnest(%s::text[]) AS t
        WHERE NOT pg_catalog.has_table_privilege(pg_catalog.to_regclass(t), 'SELECT')
        UNION ALL
        SELECT n.nspname || '.' || p.proname
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname || '.' || p.proname = ANY (%s)
            AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
    ) AS needed ORDER BY what
"""


def measure(
    connection: Connection,
    mapping: RefactorMapping,
    *,
    settings: Mapping[str, str],
    run_by: str | None = None,
) -> Measured:
    """Say what Down of a refactor would do, inside a snapshot of the caller's.

    Args:
        connection: in a read-only transaction; see ``verification.snapshot``.
        mapping: what the last Up ran with.
        settings: the parameters ``refactorkit.*`` that Down would be given.
        run_by: the role that would run Down; None for this connection's.

    Raises:
        psycopg.Error: the server or the connection failed, or a lock was not to be had.
    """
    queries = RollbackQueries(mapping)
    for name, value in (_AS_IN_DOWN | dict(settings)).items():
        connection.execute(_SET, (name, value))
    if fetch_value(connection, "SELECT pg_catalog.current_setting('lock_timeout')") == "0":
        connection.execute(_SET, ("lock_timeout", _LOCK_TIMEOUT))
    role = run_by or fetch_value(connection, "SELECT current_user::text")
    connection.execute(_SET, ("refactorkit.run_by", role))
    if missing := _missing(connection, queries.tables):
        gone = queries.missing % missing
        return Measured(sentence=gone, refusals=(Refusal(text=gone),))
    now, later, unread = _guards(connection, queries.guards)
    refusals = _named(connection, queries, now)
    unknown = []
    if unread is not None:
        unknown.append(f"The guards of Down could not look at the data: SQLSTATE {unread}.")
    sentence = f"{queries.title} refuses: {'; '.join(now)}." if now else None
    found = Measured(
        sentence=sentence,
        refusals=refusals,
        later=tuple(Refusal(text=text) for text in later),
        unknown=tuple(unknown),
    )
    return _counted(connection, queries, found)


def _counted(connection: Connection, queries: RollbackQueries, found: Measured) -> Measured:
    """Add the figures, or why there are none."""
    unknown = list(found.unknown)
    names = [*queries.tables, *queries.kept, *queries.sequences]
    if missing := _missing(connection, names):
        unknown.append(f"Nothing could be counted: {missing} is not there.")
    elif closed := _unreadable(connection, queries):
        unknown.append(
            f"Nothing could be counted: this user may not read or call {', '.join(closed)}."
        )
    else:
        try:
            with connection.transaction():
                return _figures(connection, queries, found)
        except (psycopg.ProgrammingError, psycopg.DataError) as error:
            unknown.append(f"Nothing could be counted: {server_errors.facts(error)}.")
    return replace(found, unknown=tuple(unknown))


def _figures(connection: Connection, queries: RollbackQueries, found: Measured) -> Measured:
    rows = connection.execute(queries.figures.encode()).fetchall()
    facts = {(fact, label): count for fact, label, _, _, count in rows if fact != "decision"}
    obstacles = [
        Obstacle(table=table, constraint=constraint, column=column, rows=count)
        for fact, table, constraint, column, count in rows
        if fact == "stray" and count
    ]
    decisions = tuple(
        sorted(
            DecisionCount(rule=rule, table=table, column=column, count=count)
            for fact, rule, table, column, count in rows
            if fact == "decision" and count
        )
    )
    links = []
    for link in queries.links:
        ((total, nobody, withheld, relinked, stray, kept),) = connection.execute(
            link.figures.encode()
        ).fetchall()
        links.append(
            LinkFigures(
                table=link.table,
                rows=total,
                without_person=nobody,
                withheld=withheld,
                relinked=relinked,
                kept=kept,
            )
        )
        if stray:
            obstacles.append(
                Obstacle(
                    table=f"public.{link.table}",
                    constraint=link.foreign_key,
                    column=link.person,
                    rows=stray,
                )
            )
    dependants = []
    for each in queries.dependants:
        ((total, kept, stray),) = connection.execute(each.figures.encode()).fetchall()
        dependants.append(DependantFigures(table=each.table, rows=total, kept=kept))
        if stray:
            obstacles.append(
                Obstacle(
                    table=f"public.{each.table}",
                    constraint=each.foreign_key,
                    column=each.column,
                    rows=stray,
                )
            )
    figures = _figures_of(
        facts,
        links=tuple(links),
        dependants=tuple(dependants),
        new_tables={
            table: connection.execute(query.encode()).fetchall()[0][0]
            for table, query in queries.new_tables
        },
    )
    written = Written(
        sources=figures.merged + figures.reowned,
        created=figures.created,
        natives=figures.kept_natives,
        links={link.table: link.relinked for link in links},
    )
    broken, unknown = broken_constraints(connection, queries, written)
    return replace(
        found,
        obstacles=(*obstacles, *broken),
        unknown=(*found.unknown, *unknown),
        figures=figures,
        decisions=decisions,
        new_readers=new_readers(connection, source=queries.source, target=queries.target),
    )


def _figures_of(
    facts: Mapping[tuple[str, str], int],
    *,
    links: tuple[LinkFigures, ...],
    dependants: tuple[DependantFigures, ...],
    new_tables: Mapping[str, int],
) -> Figures:
    def by_label(fact: str) -> dict[str, int]:
        return {
            label: count
            for (name, label), count in sorted(facts.items())
            if name == fact and label and count
        }

    def count(fact: str, label: str = "") -> int:
        return facts.get((fact, label), 0)

    withheld, created, kept = (by_label(fact) for fact in ("withheld", "created", "kept"))
    changed = count("merged") + count("reowned") - count("reowned and merged")
    return Figures(
        pairs=count("pairs"),
        withheld_soft=withheld.get("soft", 0),
        withheld_hard=withheld.get("hard", 0),
        merged=count("merged"),
        merged_columns=by_label("merged"),
        reowned=count("reowned"),
        unchanged=count("pairs") - sum(withheld.values()) - changed,
        created=sum(created.values()),
        renumbered=created.get("new id", 0),
        leaving=count("leaving"),
        natives=count("targets") - count("leaving"),
        deactivated=count("deactivated"),
        rights_taken=count("rights", "taken"),
        rights_given=count("rights", "given"),
        cleared=by_label("cleared"),
        kept_subjects=kept.get("subject", 0),
        kept_natives=kept.get("native", 0),
        links=links,
        dependants=dependants,
        new_tables=new_tables,
    )


def _missing(connection: Connection, names: Iterable[str]) -> str | None:
    """Return those tables that are not there, as Down lists them."""
    found: str | None = fetch_value(
        connection,
        "SELECT pg_catalog.string_agg(t, ', ') FROM pg_catalog.unnest(%s::text[]) AS t"
        " WHERE pg_catalog.to_regclass(t) IS NULL",
        (list(names),),
    )
    return found


def _unreadable(connection: Connection, queries: RollbackQueries) -> list[str]:
    needed = [*queries.tables, *queries.kept, *queries.sequences]
    rows = connection.execute(_UNREADABLE, (needed, list(queries.functions))).fetchall()
    return [name for (name,) in rows]


def _guards(connection: Connection, block: str) -> tuple[list[str], list[str], str | None]:
    """Run Down's guards; return what they refuse now, what later, and a SQLSTATE or None."""
    connection.execute(block.encode())
    found = json.loads(fetch_value(connection, _GUARDS_FOUND))
    return found["now"], found["later"], found["unread"]


def _named(
    connection: Connection, queries: RollbackQueries, refused: list[str]
) -> tuple[Refusal, ...]:
    """Find out which name overrules which refusal: with the name accepted, it is gone."""
    if not refused:
        return ()
    given = fetch_value(
        connection, "SELECT coalesce(pg_catalog.current_setting('refactorkit.accept', true), '')"
    )
    stays, _, _ = _guards(connection, queries.catalog_guards)
    names: dict[str, str] = {}
    for name in queries.acceptable:
        connection.execute(_SET, ("refactorkit.accept", f"{given},{name}"))
        left, _, _ = _guards(connection, queries.catalog_guards)
        names |= dict.fromkeys(set(stays) - set(left), name)
    connection.execute(_SET, ("refactorkit.accept", given))
    return tuple(Refusal(text=text, accept=names.get(text)) for text in refused)
