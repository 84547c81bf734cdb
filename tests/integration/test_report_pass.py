"""Counting many expressions in one pass: the same as counting each by itself."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.mapping.report_pass import values_counted


@pytest.fixture
def db(empty_database: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    connection = connect(empty_database)
    connection.execute("CREATE TEMPORARY TABLE pairs (a integer, b integer)")
    return connection


def one_by_one(db: psycopg.Connection, values: list[str]) -> set[tuple[object, ...]]:
    return {
        (place, *row)
        for place, value in enumerate(values)
        for row in db.execute(
            f"SELECT {value}, count(*) FROM pairs AS p GROUP BY 1".encode()
        ).fetchall()
    }


@pytest.mark.parametrize("count", [1, 2, 31, 32, 70])
def test_each_expression_has_the_counts_that_it_has_by_itself(
    count: int, db: psycopg.Connection
) -> None:
    db.execute(
        "INSERT INTO pairs SELECT nullif(n % 7, 3), CASE WHEN n % 2 = 0 THEN n % 11 END"
        " FROM generate_series(1, 500) AS n"
    )
    # Some are alike, one is always NULL, one names no column.
    some = ["p.a", "p.b", "p.a", "p.a + p.b", "NULL::integer", "1"]
    values = [*some, *(f"p.a % {n}" for n in range(2, 70))][:count]
    found = db.execute(values_counted(values, "pairs AS p").encode()).fetchall()
    assert len(found) == len(set(found))
    assert set(found) == one_by_one(db, values)


def test_without_rows_there_is_nothing_to_count(db: psycopg.Connection) -> None:
    assert db.execute(values_counted(["p.a", "p.b"], "pairs AS p").encode()).fetchall() == []


def test_it_keeps_to_little_memory_and_still_counts_right(db: psycopg.Connection) -> None:
    db.execute("SET work_mem = '64kB'")
    db.execute("INSERT INTO pairs SELECT n, n / 2 FROM generate_series(1, 20000) AS n")
    values = ["p.a", "p.b", "p.a % 10"]
    query = values_counted(values, "pairs AS p")
    assert set(db.execute(query.encode()).fetchall()) == one_by_one(db, values)
    explained = db.execute(b"EXPLAIN (ANALYZE, COSTS OFF) " + query.encode()).fetchall()
    assert any("Disk" in line for (line,) in explained), explained
