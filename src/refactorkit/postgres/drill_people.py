"""Who became whom, and the rows of a few or of all of them, as text.

The pairs are found by the placeholder emails and not by the archive's own table, which is a part of
what a drill examines. Only where an earlier rollback kept accounts that have other emails by now,
the archive is asked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg import sql

from refactorkit.postgres.connection import Connection, connected, fetch_value
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.snapshots import Scratch, Table, names, pin_settings

_PAIRS: Final = "pairs"
_ID_TABLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "users_id_seq": (("public", "users"),),
    "patients_id_seq": (("archive", "patients"), ("public", "patients")),
}
_BY_EMAIL: Final = """
    CREATE UNLOGGED TABLE {pairs} AS
    SELECT p.id AS source_id, u.id AS target_id, 'subject' AS kind
    FROM {patients} AS p
    JOIN public.users AS u ON u.email = 'patient-' || p.id || '@unclaimed.invalid'
"""
_BY_ARCHIVE: Final = """
    CREATE UNLOGGED TABLE {pairs} AS
    SELECT m.source_id, m.target_id, m.kind
    FROM archive.patients_map AS m
"""
_SUBJECTS: Final = """
    SELECT q.source_id, q.target_id, max(q.why)
    FROM (
        (SELECT p.source_id, p.target_id, 0 AS why
        FROM {pairs} AS p
        WHERE p.kind = 'subject' AND p.target_id = ANY (SELECT id FROM public.users)
        ORDER BY md5(p.source_id || {seed}) LIMIT {count})
        UNION ALL
        (SELECT p.source_id, p.target_id, 1
        FROM {pairs} AS p
        WHERE p.kind = 'subject' AND p.source_id <> p.target_id
            AND p.target_id = ANY (SELECT id FROM public.users)
        ORDER BY md5(p.source_id || {seed}) LIMIT {some})
        UNION ALL
        (SELECT p.source_id, p.target_id, 2
        FROM {pairs} AS p
        JOIN {patients} AS s ON s.id = p.source_id
        JOIN public.users AS u ON u.id = p.target_id
        WHERE p.kind = 'subject' AND s.hypertension IS NOT NULL AND u.hypertension IS NULL
        ORDER BY md5(p.source_id || {seed}) LIMIT {some})
    ) AS q
    JOIN public.users AS u ON u.id = q.target_id
    WHERE u.account_status = 'active' AND u.deleted_at IS NULL
        AND NOT EXISTS (SELECT FROM public.users AS c WHERE c.created_by = u.id)
    GROUP BY q.source_id, q.target_id
    ORDER BY q.source_id
"""
_NATIVES: Final = """
    WITH native AS MATERIALIZED (
        SELECT u.id, u.email, u.role = 'admin' AND u.is_admin AS is_admin,
            md5(u.id || {seed}) AS place
        FROM public.users AS u
        WHERE NOT EXISTS (SELECT FROM {pairs} AS p WHERE p.target_id = u.id)
            AND u.account_status = 'active' AND u.deleted_at IS NULL
    )
    SELECT n.id, n.email, n.is_admin,
        EXISTS (SELECT FROM {patients} AS s WHERE s.user_id = n.id),
        EXISTS (SELECT FROM public.users AS c WHERE c.created_by = n.id)
    FROM (
        (SELECT * FROM native ORDER BY place, id LIMIT {count})
        UNION
        (SELECT * FROM native WHERE is_admin ORDER BY place, id LIMIT 2)
    ) AS n
    ORDER BY n.place, n.id
"""
_ASSESSMENTS: Final = """
    SELECT a.user_id, a.id
    FROM public.assessments AS a
    WHERE a.user_id = ANY (%s)
    ORDER BY a.user_id, a.id
"""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A patient and their user, in version 11.

    Attributes:
        source_id: the patient's id.
        target_id: the user's.
        has_value_without_image: the patient has one that is NULL in the user's row.
    """

    source_id: int
    target_id: int
    has_value_without_image: bool


@dataclass(frozen=True, kw_only=True)
class Native:
    """A user who was never a patient.

    Attributes:
        id: the user's.
        email: the user's.
        is_admin: has role and flag.
        owns_patients: of version 10.
        made_others: is the `created_by` of somebody.
    """

    id: int
    email: str
    is_admin: bool
    owns_patients: bool
    made_others: bool


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The table that says which user each patient became.

    Attributes:
        identifier: its name; columns ``source_id``, ``target_id`` and ``kind``.
    """

    identifier: sql.Identifier


def make_pairs(scratch: Scratch, patients: Table, *, from_archive: bool) -> Pairs:
    """Note which user each patient became; return the table of them.

    Made anew where it was made before.
    """
    connection = scratch.connection
    name = sql.Identifier(scratch.schema, _PAIRS)
    connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
    query = sql.SQL(_BY_ARCHIVE if from_archive else _BY_EMAIL)
    connection.execute(query.format(pairs=name, patients=patients.identifier()))
    for column in ("source_id", "target_id"):
        connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(name, sql.Identifier(column)))
    connection.execute(sql.SQL("ANALYZE {}").format(name))
    return Pairs(identifier=name)


def highest_ids(connection: Connection) -> dict[str, int]:
    """Return the highest id of users and patients, by the names of their sequences."""
    found = {}
    for sequence, places in _ID_TABLES.items():
        for schema, table in places:
            if fetch_value(connection, "SELECT to_regclass(%s)", (f"{schema}.{table}",)):
                query = sql.SQL("SELECT coalesce(max(id), 0) FROM {}")
                found[sequence] = fetch_value(
                    connection, query.format(sql.Identifier(schema, table))
                )
    return found


def has_turned_before(connection: Connection) -> bool:
    """Tell whether the refactor was run on this database before, in either direction."""
    if fetch_value(connection, "SELECT to_regclass('archive.patients_turns')") is None:
        return False
    return bool(fetch_value(connection, "SELECT EXISTS (SELECT FROM archive.patients_turns)"))


def subjects(
    connection: Connection, pairs: Pairs, patients: Table, *, seed: int, count: int
) -> tuple[Subject, ...]:
    """Return some subjects, the same for the same seed: of every kind some, where there are any."""
    query = sql.SQL(_SUBJECTS).format(
        pairs=pairs.identifier,
        patients=patients.identifier(),
        seed=sql.Literal(f"/{seed}"),
        count=sql.Literal(count),
        some=sql.Literal(max(count // 4, 1)),
    )
    return tuple(
        Subject(source_id=source, target_id=target, has_value_without_image=why == 2)  # noqa: PLR2004
        for source, target, why in connection.execute(query).fetchall()
    )


def natives(
    connection: Connection, pairs: Pairs, patients: Table, *, seed: int, count: int
) -> tuple[Native, ...]:
    """Return some natives, the same for the same seed; an admin is among them if there is one."""
    query = sql.SQL(_NATIVES).format(
        pairs=pairs.identifier,
        patients=patients.identifier(),
        seed=sql.Literal(f"/{seed}"),
        count=sql.Literal(count),
    )
    return tuple(
        Native(id=key, email=email, is_admin=admin, owns_patients=owns, made_others=made)
        for key, email, admin, owns, made in connection.execute(query).fetchall()
    )


def assessments_of(connection: Connection, users: Collection[int]) -> dict[int, list[int]]:
    """Return the ids of the assessments of some users, in order; only of those who have any."""
    found: dict[int, list[int]] = {}
    for user, assessment in connection.execute(_ASSESSMENTS, (list(users),)).fetchall():
        found.setdefault(user, []).append(assessment)
    return found


def pair_of(
    connection: Connection, pairs: Pairs, users: Collection[int]
) -> dict[int, tuple[int, str]]:
    """Return patient id and kind for some users; only for those who are in a pair."""
    query = sql.SQL("SELECT target_id, source_id, kind FROM {} WHERE target_id = ANY (%s)")
    rows = connection.execute(query.format(pairs.identifier), (list(users),)).fetchall()
    return {target: (source, kind) for target, source, kind in rows}


def read_rows(
    connection: Connection, table: Table, column: LiteralString, values: Collection[int]
) -> Iterator[dict[str, str | None]]:
    """Yield the rows that have one of some numbers in a column, as PostgreSQL prints them."""
    query = sql.SQL("SELECT {} FROM ONLY {} WHERE {} = ANY ({}::bigint[])").format(
        names(table.columns),
        table.identifier(),
        sql.Identifier(column),
        sql.Literal("{" + ",".join(map(str, sorted(values))) + "}"),
    )
    yield from _stream(connection, query, list(table.columns))


def transform(
    connection: Connection,
    dsn: Dsn,
    query: sql.Composed,
    columns: list[str],
    *,
    into: Table,
    make: Callable[[dict[str, str | None]], Mapping[str, str | None]],
) -> int:
    """Send every row of a query through a function into a table; return how many.

    Two connections, one row at a time: the memory that this takes does not grow with the rows.

    Args:
        connection: to read on, with pinned settings.
        dsn: to write with.
        query: gives the rows.
        columns: its columns.
        into: the table; all its columns are written.
        make: makes a row of a row, both as PostgreSQL prints values.
    """
    count = 0
    target = list(into.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(into.identifier(), names(target))
    with connected(dsn) as writer:
        pin_settings(writer)
        with writer.cursor() as cursor, cursor.copy(statement) as copy:
            for row in _stream(connection, query, columns):
                made = make(row)
                copy.write_row([made[column] for column in target])
                count += 1
    return count


def _stream(
    connection: Connection, query: sql.Composed, columns: list[str]
) -> Iterator[dict[str, str | None]]:
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy,
    ):
        for row in copy.rows():
            yield dict(zip(columns, row, strict=True))
