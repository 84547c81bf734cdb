"""What a manifest says beside its trees: where, when, which turn, how many, how it ties in."""

import contextlib
from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg
from psycopg import sql

from refactorkit.evidence.leaf import Form
from refactorkit.evidence.manifest import Counts, Identity, Places, Run, Side, Tie
from refactorkit.mapping.fingerprints import source_side, target_side
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.labels import identifier

_TURN: Final = """
    SELECT to_jsonb(t) - 'mapping' - 'natives' - 'active', t.transaction_id::text,
        to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    FROM {} AS t
    WHERE t.turn = %s
"""
_TEXTS: Final = ("text", "character", "character varying", "bytea")


@dataclass(frozen=True, kw_only=True)
class TurnFacts:
    """What the log says of one turn.

    Attributes:
        run: as the manifest has it.
        counts: what the migration counted.
        sides: the fingerprints that it recorded, by side; none where it was too old to do so.
    """

    run: Run
    counts: Map[str, int]
    sides: Map[str, Side]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How the values of one column are spread.

    Attributes:
        nulls: rows without a value.
        text_octets: the length of all its texts together; None for what is no text.
        distinct: different values, where they were counted.
    """

    nulls: int
    text_octets: int | None
    distinct: int | None


def identity(connection: Connection, *, tool: str) -> Identity:
    """Return where the connection leads."""
    system: str | None = None
    # Some hosts keep this from ordinary users.
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        system = fetch_value(
            connection, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()"
        )
    return Identity(
        tool=tool,
        system_identifier=system,
        database=connection.info.dbname,
        server_version=(connection.info.parameter_status("server_version") or "").split()[0],
        server_encoding=connection.info.parameter_status("server_encoding") or "",
    )


def wal_position(connection: Connection) -> str | None:
    """Return where the write-ahead log stands; None on a standby."""
    if fetch_value(connection, "SELECT pg_is_in_recovery()"):
        return None
    return str(fetch_value(connection, "SELECT pg_current_wal_lsn()::text"))


def now(connection: Connection) -> str:
    """Return the server's time of this transaction, in UTC."""
    return str(
        fetch_value(
            connection,
            "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        )
    )


def turn_facts(connection: Connection, name: str, number: int) -> TurnFacts:
    """Return what the log says of a turn that is in it."""
    row: Any = connection.execute(
        sql.SQL(_TURN).format(sql.Identifier("archive", f"{name}_turns")), (number,)
    ).fetchone()
    facts, transaction_id, at = row
    version = int(facts["version"])
    return TurnFacts(
        run=Run(
            turn=number,
            direction=facts["direction"],
            version=version,
            at=at,
            transaction_id=transaction_id,
            run_by=facts["run_by"],
            structure_hash=facts["structure_hash"],
            mapping_hash=facts["mapping_hash"],
            settings=facts["settings"],
            migration_checksum=_checksum(connection, version),
        ),
        counts=facts["counts"],
        sides={
            side: Side(rows=each["rows"], fingerprint=each["xor"])
            for side, each in facts.get("fingerprints", {}).items()
        },
    )


def ties(
    connection: Connection, mapping: Mapping, places: Places, turn: TurnFacts
) -> tuple[Callable[[], Tie], Callable[[], Tie]]:
    """Return what asks, for source and target, what the turn recorded beside what is there now."""
    after = Direction(turn.run.direction)

    def source() -> Tie:
        found = side_of(connection, source_side(mapping, after))
        return tie_of(places.source, turn.sides.get("source"), found)

    def target() -> Tie:
        found = side_of(connection, target_side(mapping, after, str(turn.run.turn)))
        return tie_of(places.target, turn.sides.get("target"), found)

    return source, target


def side_of(connection: Connection, query: str) -> Side:
    """Return the rows and the fingerprint that a query of them tells."""
    row: Any = connection.execute(query.encode()).fetchone()
    return Side(rows=row[0], fingerprint=row[1])


def tie_of(table: str, recorded: Side | None, found: Side) -> Tie:
    """Hold what is found against what was recorded."""
    state: Literal["same", "changed since", "not recorded"] = "not recorded"
    if recorded is not None:
        state = "same" if found == recorded else "changed since"
    return Tie(table=table, recorded=recorded, found=found, state=state)


def counts(connection: Connection, places: Places, turn: TurnFacts) -> Counts:
    """Count rows and pairs, and say whether each row of the source has its pair."""
    row: Any = connection.execute(
        sql.SQL(
            "SELECT (SELECT count(*) FROM {source}), count(*),"
            " count(*) FILTER (WHERE m.kind = 'subject'),"
            " count(*) FILTER (WHERE m.renumbered), (SELECT count(*) FROM {target})"
            " FROM {pairs} AS m"
        ).format(
            source=identifier(places.source),
            target=identifier(places.target),
            pairs=sql.Identifier("archive", f"{places.name}_map"),
        )
    ).fetchone()
    sources, pairs, subjects, renumbered, targets = row
    return equation(
        places,
        {
            "sources": sources,
            "pairs": pairs,
            "subjects": subjects,
            "natives shown": pairs - subjects,
            "renumbered": renumbered,
            "targets": targets,
            **{f"in the transaction: {name}": int(n) for name, n in turn.counts.items()},
        },
    )


def equation(places: Places, counted: Map[str, int]) -> Counts:
    """Say whether each row of the source has its pair."""
    sources, pairs = counted["sources"], counted["pairs"]
    return Counts(
        counted=dict(counted),
        equation=(
            f"rows of {places.source} {sources} = pairs {pairs}"
            f" = subjects {counted['subjects']} + natives shown {counted['natives shown']}"
        ),
        holds=sources == pairs,
    )


def spread(connection: Connection, form: Form, *, distinct: bool) -> dict[str, Spread]:
    """Count, for each column of a table, what tells nobody's value: NULLs and lengths of texts.

    Args:
        connection: inside ``pinned``.
        form: of the table's rows.
        distinct: count different values too, which sorts every column.
    """
    parts: list[sql.Composable] = [sql.SQL("count(*)")]
    for column in form.columns:
        name = sql.Identifier("t", column.name)
        is_text = column.type.partition("(")[0] in _TEXTS
        parts += [
            sql.SQL("count({})").format(name),
            sql.SQL("coalesce(sum(octet_length({})), 0)::bigint").format(name)
            if is_text
            else sql.SQL("NULL"),
            sql.SQL("count(DISTINCT {}::text)").format(name) if distinct else sql.SQL("NULL"),
        ]
    row: Any = connection.execute(
        sql.SQL("SELECT {} FROM {} AS t").format(sql.SQL(", ").join(parts), identifier(form.table))
    ).fetchone()
    rows, found = row[0], {}
    for place, column in enumerate(form.columns):
        values, octets, different = row[1 + 3 * place : 4 + 3 * place]
        found[column.name] = Spread(nulls=rows - values, text_octets=octets, distinct=different)
    return found


def _checksum(connection: Connection, version: int) -> str | None:
    if fetch_value(connection, "SELECT to_regclass('archive.migration_checksums') IS NULL"):
        return None
    found: str | None = fetch_value(
        connection,
        "SELECT checksum FROM archive.migration_checksums WHERE version = %s",
        (version,),
    )
    return found
