"""Tables as they should be, put together beside those that are."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from psycopg import sql

from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.drill_people import Pairs
from refactorkit.postgres.snapshots import Comparison, Scratch, Table, names
from refactorkit.postgres.verification import Difference

_WITHOUT_USER: Final = """
    SELECT count(*) OVER (), 'public.patients', p.id::text, 'became nobody''s row of users'
    FROM {patients} AS p
    WHERE NOT EXISTS (SELECT FROM {pairs} AS m WHERE m.source_id = p.id)
    ORDER BY p.id LIMIT {limit}
"""
# The same id where no user can have had it; else one that neither table has had.
_WRONG_IDS: Final = """
    SELECT count(*) OVER (), 'public.users', m.target_id::text, 'has not the id that it should have'
    FROM {pairs} AS m
    WHERE CASE WHEN m.source_id > {users_used} THEN m.target_id <> m.source_id
        ELSE m.target_id <= {all_used} END
    ORDER BY m.target_id LIMIT {limit}
"""
_WITH_PERSON: Final = """
    SELECT count(*), count(*) FILTER (WHERE l.user_id = m.target_id)
    FROM {before} AS b
    LEFT JOIN {pairs} AS m ON m.source_id = b.patient_id
    LEFT JOIN public.assessments AS l ON l.id = b.id
    WHERE b.patient_id IS NOT NULL
"""
_SHOWN: Final = """
    SELECT p.user_id, p.id
    FROM public.patients AS p
    WHERE p.user_id = ANY (%s)
        AND NOT EXISTS (SELECT FROM {patients} AS e WHERE e.id = p.id)
    ORDER BY p.id
"""
_FORGET_KEPT: Final = """
    DELETE FROM {expected} WHERE id IN (SELECT k.id FROM archive.patients_kept_users AS k)
"""
_TAKE_KEPT: Final = """
    INSERT INTO {expected} ({columns})
    SELECT {columns} FROM public.users
    WHERE id IN (SELECT k.id FROM archive.patients_kept_users AS k)
"""
_MISSING_OBJECTS: Final = """
    SELECT split_part(w.definition, ' ', 1), w.name
    FROM unnest(%s::text[], %s::text[]) AS w (name, definition)
    WHERE NOT EXISTS (
        SELECT FROM pg_indexes AS i
        WHERE i.schemaname = 'public' AND i.indexname = w.name
            AND i.indexdef = format(
                'CREATE INDEX %%s ON public.%%s USING btree %%s', w.name,
                split_part(w.definition, ' ', 1),
                substr(w.definition, strpos(w.definition, '('))))
    UNION ALL
    SELECT w.table_name, w.name
    FROM unnest(%s::text[], %s::text[]) AS w (name, table_name)
    WHERE NOT EXISTS (
        SELECT FROM pg_constraint AS c
        WHERE c.conname = w.name AND c.convalidated
            AND c.conrelid = to_regclass('public.' || w.table_name))
    ORDER BY 1, 2
"""
_DECISIONS: Final = """
    SELECT w.table_name, w.row_id, w.column_name
    FROM unnest(%s::text[], %s::text[], %s::text[]) AS w (table_name, row_id, column_name)
    WHERE NOT EXISTS (
        SELECT FROM archive.patients_decisions AS d
        WHERE d.turn = (SELECT max(turn) FROM archive.patients_turns)
            AND d.table_name = w.table_name AND d.row_id = w.row_id
            AND d.column_name = w.column_name AND d.lost_value IS NOT NULL)
    ORDER BY 1, 2, 3
"""


def expected_assessments(
    scratch: Scratch,
    before: Table,
    live: Table,
    pairs: Pairs,
    adds: Mapping[str, str | None],
) -> Table:
    """Make the table of assessments of version 11: version 10's, each with its person's user.

    Args:
        scratch: where it is made.
        before: the rows of version 10.
        live: the table of version 11, for columns and types.
        pairs: who became whom.
        adds: what the columns of version 11 hold.
    """
    made = scratch.empty(live)
    values = [
        sql.SQL("m.target_id")
        if column == "user_id"
        else sql.SQL("{}::{}").format(sql.Literal(adds[column]), _type(type_))
        if column in adds
        else sql.Identifier("b", column)
        for column, type_ in live.columns.items()
    ]
    scratch.connection.execute(
        sql.SQL(
            "INSERT INTO {} SELECT {} FROM {} AS b LEFT JOIN {} AS m ON m.source_id = b.patient_id"
        ).format(
            made.identifier(), sql.SQL(", ").join(values), before.identifier(), pairs.identifier
        )
    )
    return made


def subjects_query(patients: Table, pairs: Pairs) -> tuple[sql.Composed, list[str]]:
    """Return a query of all patients, each with its user's id, and the query's columns."""
    query = sql.SQL(
        "SELECT m.target_id, {} FROM {} AS p JOIN {} AS m"
        " ON m.source_id = p.id AND m.kind = 'subject'"
    ).format(names(patients.columns, "p"), patients.identifier(), pairs.identifier)
    return query, ["target_id", *patients.columns]


def users_query(users: Table, columns: Collection[str]) -> tuple[sql.Composed, list[str]]:
    """Return a query of some columns of all users, and the columns."""
    wanted = [column for column in users.columns if column in columns]
    return sql.SQL("SELECT {} FROM {}").format(names(wanted), users.identifier()), wanted


def count_rows(connection: Connection, table: Table) -> int:
    """Return how many rows a table has."""
    query = sql.SQL("SELECT count(*) FROM {}").format(table.identifier())
    return int(fetch_value(connection, query))


def take_kept_as_found(connection: Connection, expected: Table) -> None:
    """Expect of users whom an earlier rollback kept in the archive just what is there."""
    for query in (_FORGET_KEPT, _TAKE_KEPT):
        connection.execute(
            sql.SQL(query).format(expected=expected.identifier(), columns=names(expected.columns))
        )


def people_without_user(
    connection: Connection, patients: Table, pairs: Pairs, *, limit: int
) -> Comparison:
    """Find patients who became nobody."""
    query = sql.SQL(_WITHOUT_USER).format(
        patients=patients.identifier(), pairs=pairs.identifier, limit=sql.Literal(limit)
    )
    return _listed(connection, query)


def wrong_ids(
    connection: Connection,
    pairs: Pairs,
    *,
    users_used: int,
    all_used: int,
    limit: int,
) -> Comparison:
    """Find subjects who did not get the id that the design gives them.

    Args:
        connection: to read on.
        pairs: who became whom.
        users_used: the highest id that a user has or had at the cutover.
        all_used: the highest id that a user or a patient has or had.
        limit: how many are listed.
    """
    query = sql.SQL(_WRONG_IDS).format(
        pairs=pairs.identifier,
        users_used=sql.Literal(users_used),
        all_used=sql.Literal(all_used),
        limit=sql.Literal(limit),
    )
    return _listed(connection, query)


def assessments_with_their_person(
    connection: Connection, before: Table, pairs: Pairs
) -> tuple[int, int]:
    """Return how many assessments had a patient in version 10, and how many have them still."""
    query = sql.SQL(_WITH_PERSON).format(before=before.identifier(), pairs=pairs.identifier)
    row = connection.execute(query).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def remove_rows(connection: Connection, table: Table, column: str, values: Collection[int]) -> None:
    """Take away all rows that have one of some numbers in a column."""
    connection.execute(
        sql.SQL("DELETE FROM {} WHERE {} = ANY (%s)").format(
            table.identifier(), sql.Identifier(column)
        ),
        (list(values),),
    )


def replace_value(connection: Connection, table: Table, column: str, old: int, new: int) -> None:
    """Put one number for another in a column."""
    identifier = sql.Identifier(column)
    connection.execute(
        sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(
            table.identifier(), identifier, identifier
        ),
        (new, old),
    )


def add_rows(
    connection: Connection, table: Table, rows: Iterable[Mapping[str, str | None]]
) -> None:
    """Put rows in, as PostgreSQL prints them; a column that a row has not is NULL."""
    columns = list(table.columns)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(table.identifier(), names(columns))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row.get(column) for column in columns])


def patients_of_natives(
    connection: Connection, patients: Table, natives: Collection[int]
) -> dict[int, int]:
    """Return under which id some users are shown as patients, who were none.

    Args:
        connection: to a database at version 10.
        patients: all other patients.
        natives: ids of users; one that is not shown is not in the answer.
    """
    query = sql.SQL(_SHOWN).format(patients=patients.identifier())
    return dict(connection.execute(query, (list(natives),)).fetchall())


def missing_objects(
    connection: Connection, indexes: Mapping[str, str], constraints: Mapping[str, str]
) -> Comparison:
    """Find indexes and validated constraints that should be in schema public and are not.

    Args:
        connection: to read on.
        indexes: by name, what each is on, such as ``users (role)``; all are B-trees.
        constraints: by name, the table.
    """
    rows = connection.execute(
        _MISSING_OBJECTS,
        (list(indexes), list(indexes.values()), list(constraints), list(constraints.values())),
    ).fetchall()
    return Comparison(
        differences=len(rows),
        listed=tuple(
            Difference(table=f"public.{table}", row_id="", column="", what=f"{name} is not there")
            for table, name in rows
        ),
    )


def missing_decisions(
    connection: Connection, wanted: Collection[tuple[str, str, str]]
) -> Comparison:
    """Find decisions of the last turn that the archive has not written down with both values.

    Args:
        connection: to read on.
        wanted: table, row and column of each.
    """
    columns = [list(part) for part in zip(*wanted, strict=True)] if wanted else [[], [], []]
    rows = connection.execute(_DECISIONS, columns).fetchall()
    return Comparison(
        rows=len(wanted),
        columns=1,
        differences=len(rows),
        listed=tuple(
            Difference(table=f"public.{t}", row_id=r, column=c, what="the losing value is not kept")
            for t, r, c in rows
        ),
    )


def _listed(connection: Connection, query: sql.Composed) -> Comparison:
    rows = connection.execute(query).fetchall()
    return Comparison(
        differences=rows[0][0] if rows else 0,
        listed=tuple(
            Difference(table=table, row_id=row_id, column="", what=what)
            for _, table, row_id, what in rows
        ),
    )


def _type(name: str) -> sql.SQL:
    # As format_type() printed it: quoted where that is needed.
    return sql.SQL(name)
