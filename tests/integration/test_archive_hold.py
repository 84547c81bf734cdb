"""A legal hold is written down, ends only by a row of its own, and stands in nobody's way."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.connection import connect as open_connection
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.holds import is_held
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import open_clinic
from tests.support.dump import pg_dump
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction
WHOLE = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = 'archive.patients_holds'::regclass AND a.attnum > 0
UNION ALL
SELECT conname, pg_get_constraintdef(oid), true, ''
FROM pg_constraint WHERE conrelid = 'archive.patients_holds'::regclass
ORDER BY 1
"""
WHY = ("--reason", "case 12/34", "--by", "counsel")


@pytest.fixture
def at_11(database_at_10: str) -> str:
    open_clinic(database_at_10)
    assert go(UP, database_at_10).code == 0
    return database_at_10


def hold(url: str, *arguments: str, code: int = 0) -> Any:
    outcome = run("archive", "hold", *arguments, *WHY, "--json", url=url)
    assert outcome.code == code, outcome.err
    return outcome.document


def held(url: str, source_id: int, name: str = "patients") -> bool:
    with open_connection(Dsn.parse(url)) as connection:
        return is_held(connection, name, source_id)


def test_a_hold_lasts_until_each_of_its_orders_was_ended(at_11: str, connect: Connect) -> None:
    assert not held(at_11, -7)
    assert hold(at_11, "-7")["number"] == 1
    assert hold(at_11, "-7")["number"] == 2
    assert hold(at_11, "60")["number"] == 3

    several = hold(at_11, "-7", "--release", code=3)["error"]
    assert several["message"] == "There are 2 holds on patients -7: 1, 2."
    assert hold(at_11, "-7", "--release", "--number", "3", code=3)["error"]["kind"] == "refused"
    assert hold(at_11, "-7", "--release", "--number", "1")["held"] is True
    assert held(at_11, -7)
    assert hold(at_11, "-7", "--release", "--number", "1", code=3)["error"]["kind"] == "refused"
    assert hold(at_11, "-7", "--release")["held"] is False
    assert not held(at_11, -7)
    assert held(at_11, 60)
    assert scalar(connect(at_11), "SELECT count(*) FROM archive.patients_holds") == 5
    (refactor,) = run("archive", "status", "--json", url=at_11).document["refactors"]
    (shown,) = refactor["holds"]
    assert (shown["source_id"], shown["reason"], shown["by"]) == (60, "case 12/34", "counsel")


def test_up_down_and_verify_go_on_with_holds(at_11: str, connect: Connect) -> None:
    hold(at_11, "60")
    for direction in (DOWN, UP, DOWN):
        ended = go(direction, at_11)
        assert ended.code == 0, ended.says
        assert run("verify", url=at_11).code == 0
        assert held(at_11, 60)
    assert scalar(connect(at_11), "SELECT count(*) FROM archive.patients_holds") == 1
    assert hold(at_11, "1500")["held"] is True


def test_an_archive_of_an_older_up_gets_the_table_when_it_is_needed(
    at_11: str, connect: Connect
) -> None:
    made = connect(at_11).execute(WHOLE).fetchall()
    connect(at_11).execute("DROP TABLE archive.patients_holds, archive.patients_purges")
    assert not held(at_11, 60)
    for direction in (DOWN, UP):
        assert go(direction, at_11).code == 0
    connect(at_11).execute("DROP TABLE archive.patients_holds")
    assert hold(at_11, "60")["number"] == 1
    assert connect(at_11).execute(WHOLE).fetchall() == made
    assert go(DOWN, at_11).code == 0


@pytest.mark.parametrize("number", ["99999", "99999999999"])
def test_an_id_that_nothing_is_known_of_is_refused(number: str, at_11: str) -> None:
    before = pg_dump(at_11, exclude_schemas=())
    error = hold(at_11, number, code=3)["error"]
    assert f"Nothing is known of id {number}" in error["message"]
    assert pg_dump(at_11, exclude_schemas=()) == before


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 1001])
def test_a_reason_is_one_line(reason: str, at_11: str) -> None:
    outcome = run(
        "archive", "hold", "60", "--reason", reason, "--by", "counsel", "--json", url=at_11
    )
    assert outcome.code == 2


def test_a_running_migration_is_waited_for_and_then_busy(
    at_11: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refactorkit.postgres.archive_writes._LOCK_WAIT_SECONDS", 0.3)
    connect(at_11).execute("SELECT pg_advisory_lock(4097083626)")
    assert hold(at_11, "60", code=4)["error"]["kind"] == "busy"


def test_a_trigger_on_the_holds_is_refused_by_down(at_11: str, connect: Connect) -> None:
    connect(at_11).execute(
        "CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER mine BEFORE INSERT ON archive.patients_holds"
        " FOR EACH ROW EXECUTE FUNCTION public.mine()"
    )
    ended = go(DOWN, at_11)
    assert ended.code == 3
    assert "trigger mine on archive.patients_holds" in ended.says


def test_holds_are_of_any_mapping(empty_database: str, connect: Connect) -> None:
    connection = connect(empty_database)
    mappings.prepare(connection, "members")
    mappings.turn(connection, "members", UP)
    mapping = load_mapping(mappings.MAPPINGS / "members.toml")
    key = scalar(connection, f"SELECT source_id FROM archive.{mapping.name}_map LIMIT 1")
    assert hold(empty_database, str(key))["held"] is True
    assert held(empty_database, int(str(key)), mapping.name)
    mappings.turn(connection, "members", DOWN)
