"""0005, 0007, 0008: what happens to the rows that are there."""

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.scripts import down, up

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]


# 0005: an owner for every patient


def test_patients_from_before_go_to_the_lowest_user(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(4))
    connection.execute(
        "INSERT INTO users (id, email, password_hash)"
        " VALUES (9, 'a', ''), (3, 'b', ''), (5, 'c', '')"
    )
    connection.execute("INSERT INTO patients (name) VALUES ('p'), ('q')")
    up(connection, 5)
    assert connection.execute("SELECT user_id FROM patients").fetchall() == [(3,), (3,)]


def test_patients_without_any_user_are_refused_in_a_sentence(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(4)
    connection = connect(url)
    connection.execute("INSERT INTO patients (name) VALUES ('p')")
    before = pg_dump(url)
    with pytest.raises(psycopg.Error) as refusal:
        up(connection, 5)
    assert refusal.value.sqlstate == "RK001"
    assert "there is nobody whom the patients could belong to" in str(refusal.value)
    assert refusal.value.diag.message_hint
    assert pg_dump(url) == before


def test_no_patients_need_no_user(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(4))
    up(connection, 5)
    assert scalar(connection, "SELECT count(*) FROM patients") == 0


# 0007 and 0008: cluster names

BEFORE_7 = {
    "low_risk": (20, "MARD"),
    "Low risk": (85, "SIDD"),
    "moderate_risk": (50, "MOD"),
    "Moderate risk": (66, "MOD"),
    "high_risk": (67, "SIRD"),
    "High risk": (49, "MARD"),
    None: (None, "MARD"),
    "SIDD": (3, "SIDD"),
    "unknown": (90, "unknown"),
    "": (90, ""),
    "SOIRD": (90, "SOIRD"),
}


def insert_clusters(connection: psycopg.Connection, scores: dict[str | None, int | None]) -> None:
    connection.cursor().executemany(
        "INSERT INTO assessments (cluster, risk_score, updated_at) VALUES (%s, %s, '-infinity')",
        list(scores.items()),
    )


def own_clusters(connection: psycopg.Connection) -> list[str | None]:
    """The clusters of the rows that `insert_clusters` wrote, in its order."""
    rows = connection.execute(
        "SELECT cluster FROM assessments WHERE updated_at = '-infinity' ORDER BY id"
    )
    return [cluster for (cluster,) in rows]


def test_clusters_are_named_by_the_score(make_database: MakeDatabase, connect: Connect) -> None:
    connection = connect(make_database(6))
    insert_clusters(connection, {cluster: score for cluster, (score, _) in BEFORE_7.items()})
    up(connection, 7)
    assert own_clusters(connection) == [after for _, after in BEFORE_7.values()]
    down(connection, 7)
    assert own_clusters(connection) == list(BEFORE_7)


@pytest.mark.parametrize(
    ("version", "edit", "expected"),
    [
        (7, "UPDATE assessments SET cluster = 'SIRD'", ["SIRD", "SIRD"]),
        (7, "UPDATE assessments SET cluster = NULL", [None, None]),
        (7, "UPDATE assessments SET risk_score = 1", ["low_risk", "SIDD"]),
        (7, "UPDATE assessments SET cluster = 'x'; UPDATE assessments SET cluster = 'SIDD'",
         ["low_risk", "SIDD"]),
        (8, "UPDATE assessments SET cluster = 'MOD'", ["MOD", "MOD"]),
        (8, "UPDATE assessments SET risk_score = 1", ["SOIRD", "SIRD"]),
    ],
)  # fmt: skip
def test_an_edit_after_up_survives_down(
    version: int,
    edit: str,
    expected: list[str | None],
    make_database: MakeDatabase,
    connect: Connect,
) -> None:
    connection = connect(make_database(version - 1))
    clusters: dict[str | None, int | None] = (
        {"low_risk": 80, "SIDD": 2} if version == 7 else {"SOIRD": 80, "SIRD": 2}
    )
    insert_clusters(connection, clusters)
    up(connection, version)
    connection.execute(edit.encode())
    down(connection, version)
    assert own_clusters(connection) == expected


def test_old_names_that_came_back_between_two_runs_are_kept_too(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    insert_clusters(connection, {"low_risk": 80, "high_risk": 80})
    up(connection, 7)
    connection.execute("UPDATE assessments SET cluster = 'Low risk' WHERE id % 2 = 0")
    once = sorted(str(cluster) for cluster in own_clusters(connection))
    up(connection, 7)
    assert own_clusters(connection) == ["SIDD", "SIDD"]
    down(connection, 7)
    assert once == ["Low risk", "SIDD"]
    assert "Low risk" in own_clusters(connection)
    assert set(own_clusters(connection)) & {"low_risk", "high_risk"}


def test_without_what_was_kept_down_guesses_by_the_score_and_says_so(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(6))
    insert_clusters(connection, {"Low risk": 80, "SIDD": 2, "high_risk": 51, None: None, "q": 99})
    up(connection, 7)
    connection.execute("DROP SCHEMA archive CASCADE")
    notices = down(connection, 7)
    # SIDD with a score of 2 is nothing that Up could have written.
    assert own_clusters(connection) == ["high_risk", "SIDD", "moderate_risk", "low_risk", "q"]
    assert [notice for notice in notices if "guessed from the risk score" in notice]


def test_without_what_was_kept_the_second_renaming_is_not_undone_and_says_so(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(7))
    insert_clusters(connection, {"SOIRD": 80, "SIRD": 2, "MIDD": 3, "MOD": 3})
    up(connection, 8)
    connection.execute("DROP SCHEMA archive CASCADE")
    notices = down(connection, 8)
    assert own_clusters(connection) == ["SIRD", "SIRD", "MOD", "MOD"]
    assert [notice for notice in notices if "stays as it is" in notice]


# What others write meanwhile


@pytest.mark.parametrize("version", [2, 10])
def test_what_is_committed_while_down_waits_for_its_lock_is_kept_too(
    version: int, make_database: MakeDatabase, connect: Connect
) -> None:
    """Also where the database's default is a snapshot from before the lock."""
    url = make_database(version)
    connection, other = connect(url), connect(url, autocommit=False)
    connection.execute("SET default_transaction_isolation = 'repeatable read'")
    table, column = ("patients", "family_history") if version == 2 else ("users", "is_active")
    row = "(name, family_history) VALUES ('p', true)"
    if version == 10:
        row = "(email, password_hash, is_active) VALUES ('e', '', false)"
    other.execute(f"INSERT INTO {table} {row}".encode())
    ended: list[list[str]] = []
    waiting = threading.Thread(target=lambda: ended.append(down(connection, version)))
    waiting.start()
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    while waiting.is_alive() and scalar(other, blocked, table) == 0:
        time.sleep(0.01)
    other.commit()
    waiting.join()
    assert len(ended) == 1
    up(connection, version)
    assert scalar(connection, f"SELECT {column} FROM {table} ORDER BY id DESC LIMIT 1") is (
        version == 2
    )
