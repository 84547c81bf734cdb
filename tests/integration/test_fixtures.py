"""The set-up that the other tests lean on."""

from collections.abc import Callable

import psycopg

from tests.support.dump import pg_dump


def test_databases_of_one_version_are_equal_and_apart(
    make_database: Callable[[int], str], connect: Callable[..., psycopg.Connection]
) -> None:
    first, second = make_database(5), make_database(5)
    assert pg_dump(first) == pg_dump(second)
    connect(first).execute("INSERT INTO users (email, password_hash) VALUES ('a@example.org', '!')")
    assert pg_dump(first) != pg_dump(second)
    assert pg_dump(first, schema_only=True) == pg_dump(second, schema_only=True)


def test_an_empty_database_has_no_tables(
    empty_database: str, connect: Callable[..., psycopg.Connection]
) -> None:
    assert (
        connect(empty_database)
        .execute("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        .fetchall()
        == []
    )


def test_version_10_is_recorded_as_goose_records_it(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    rows = connect(database_at_10).execute(
        "SELECT id, version_id, is_applied FROM goose_db_version ORDER BY id"
    )
    assert rows.fetchall() == [(version + 1, version, True) for version in range(11)]


def test_a_dump_sorts_rows_and_leaves_sequence_positions_out(
    make_database: Callable[[int], str], connect: Callable[..., psycopg.Connection]
) -> None:
    first, second = make_database(0), make_database(0)
    for url, rows in ((first, [(1, "a"), (2, "b")]), (second, [(2, "b"), (1, "a")])):
        connection = connect(url)
        connection.execute("CREATE TABLE t (id serial PRIMARY KEY, v text)")
        connection.cursor().executemany("INSERT INTO t VALUES (%s, %s)", rows)
    connect(second).execute("SELECT nextval('t_id_seq')")
    assert pg_dump(first) == pg_dump(second)
    connect(second).execute("UPDATE t SET v = 'c' WHERE id = 1")
    assert pg_dump(first) != pg_dump(second)


def test_a_dump_leaves_the_archive_out_unless_told_otherwise(
    empty_database: str, connect: Callable[..., psycopg.Connection]
) -> None:
    before = pg_dump(empty_database)
    connect(empty_database).execute("CREATE SCHEMA archive CREATE TABLE kept (id int)")
    assert pg_dump(empty_database) == before
    assert "archive.kept" in pg_dump(empty_database, exclude_schemas=())
