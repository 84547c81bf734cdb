"""A purge destroys what is old and over, and nothing that a turn, a hold or an id still needs."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction
WHY = ("--basis", "retention rule 7", "--approved-by", "counsel")
# Turn n was in 2010 + n; so were its decisions.
AGE = """
UPDATE archive.patients_turns SET at = make_timestamptz(2010 + turn, 1, 1, 0, 0, 0, 'UTC');
UPDATE archive.patients_decisions
SET at = make_timestamptz(2010 + turn, 1, 1, 0, 0, 0, 'UTC');
"""
EDIT = """
UPDATE public.users SET bmi = 33.33, updated_at = '2024-01-01Z', phone = '+1'
WHERE id IN (SELECT target_id FROM archive.patients_map WHERE source_id IN (2, 60, -7));
"""


@pytest.fixture
def old(database_at_10: str) -> str:
    """A clinic at version 11, five turns old, with people deleted on the way."""
    open_clinic(database_at_10)
    assert go(UP, database_at_10).code == 0
    work_as_version_11(database_at_10)
    for edit in ("SELECT 1", EDIT.replace("33.33", "22.11")):
        tell(database_at_10, edit)
        # the archive wins: from then on only the base tells that nobody has edited the value since
        down = run("down", "--on-conflict", "archive", "--dir", "sql", url=database_at_10)
        assert down.code == 0, down.err
        assert go(UP, database_at_10).code == 0
    tell(database_at_10, AGE)
    return database_at_10


@pytest.fixture
def twin(old: str) -> Iterator[str]:
    """The same once more."""
    name = urlsplit(old).path[1:]
    with psycopg.connect(
        urlunsplit(urlsplit(old)._replace(path="/postgres")), autocommit=True
    ) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(f"{name}_twin"), sql.Identifier(name)
            )
        )
        yield urlunsplit(urlsplit(old)._replace(path=f"/{name}_twin"))
        admin.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(f"{name}_twin"))
        )


def purge(url: str, before: str, *options: str, code: int = 0) -> Any:
    outcome = run("archive", "purge", "--before", before, *options, "--json", url=url)
    assert outcome.code == code, outcome.err
    return outcome.document


def destroyed(document: Any) -> dict[str, int]:
    return {
        one["table"].removeprefix("archive.patients_"): one["destroyed"]
        for one in document["tables"]
        if one["destroyed"]
    }


def data(url: str) -> str:
    """What lies outside the archive; a time with a fraction is that of a turn, and no fixture's."""
    text = pg_dump(url, exclude_tables=("public.goose_db_version",))
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00", "NOW", text)


def test_after_a_purge_down_and_up_give_what_they_give_without_one(
    old: str, twin: str, connect: Connect
) -> None:
    admin = connect(old)
    counted = purge(old, "2020-01-01", "--dry-run")
    assert pg_dump(old, exclude_schemas=()) == pg_dump(twin, exclude_schemas=())
    done = purge(old, "2020-01-01", *WHY)
    assert done["tables"] == counted["tables"]
    gone = destroyed(done)
    assert gone["decisions"] == scalar(
        connect(twin), "SELECT count(*) FROM archive.patients_decisions"
    )
    assert gone["withheld_patients"] == 1
    assert {table for table in gone if table.startswith("written_")}
    for table, rows in gone.items():
        left = scalar(admin, f"SELECT count(*) FROM archive.patients_{table}")
        was = scalar(connect(twin), f"SELECT count(*) FROM archive.patients_{table}")
        assert int(str(was)) - int(str(left)) == rows, table
    assert scalar(admin, "SELECT counts FROM archive.patients_purges") == {
        f"patients_{table}": rows for table, rows in gone.items()
    }
    assert scalar(admin, "SELECT count(*) FROM archive.patients_past WHERE source_id = 5") == 1
    assert run("verify", "--allow-edits", url=old).code == 0
    again = purge(old, "2020-01-01", *WHY)
    assert (destroyed(again), again["number"]) == ({}, None)

    for url in (old, twin):
        tell(url, EDIT)
    for direction in (DOWN, UP, DOWN):
        for url in (old, twin):
            ended = go(direction, url)
            assert ended.code == 0, ended.says
        assert data(old) == data(twin)


def test_what_is_younger_than_the_day_stays(old: str) -> None:
    assert destroyed(purge(old, "2010-12-31", "--dry-run")) == {}
    assert "withheld_patients" not in destroyed(purge(old, "2012-01-01", "--dry-run"))
    first = destroyed(purge(old, "2012-01-02", "--dry-run"))
    assert first["withheld_patients"] == 1


def test_what_the_next_turn_needs_stays_however_old(old: str, connect: Connect) -> None:
    document = purge(old, "2020-01-01", *WHY)
    needed = {one["table"]: one["still_needed"] for one in document["tables"]}
    assert needed["archive.patients_kept_users"] > 0
    assert needed["archive.patients_written_patients"] > 0
    assert scalar(connect(old), "SELECT count(*) FROM archive.patients_kept_users") == needed[
        "archive.patients_kept_users"
    ]  # fmt: skip


def test_rows_of_who_is_under_hold_stay(old: str, connect: Connect) -> None:
    hold = ("archive", "hold", "5", "--reason", "case", "--by", "counsel")
    assert run(*hold, url=old).code == 0
    document = purge(old, "2020-01-01", *WHY)
    held = {one["table"]: one["held"] for one in document["tables"]}
    assert held["archive.patients_withheld_patients"] == 1
    assert "withheld_patients" not in destroyed(document)
    assert scalar(
        connect(old), "SELECT count(*) FROM archive.patients_withheld_patients WHERE id = 5"
    ) == 1  # fmt: skip
    assert run(*hold, "--release", url=old).code == 0
    assert destroyed(purge(old, "2020-01-01", *WHY))["withheld_patients"] == 1


def test_giving_up_the_rollback_takes_a_word_and_everything_with_it(
    old: str, connect: Connect
) -> None:
    tell(old, "UPDATE public.users SET first_name = 'x'")
    give_up = ("--accept", "no_rollback")
    young = purge(old, "2014-01-01", *give_up, *WHY, code=3)["error"]
    assert "The last Up was on 2015-01-01" in young["message"]
    assert run("archive", "hold", "60", "--reason", "r", "--by", "b", url=old).code == 0
    blocked = purge(old, "2020-01-01", *give_up, *WHY, code=3)["error"]
    assert blocked["message"] == "1 of patients are under legal hold: 60."
    release = ("archive", "hold", "60", "--reason", "r", "--by", "b", "--release")
    assert run(*release, url=old).code == 0
    before = pg_dump(old, exclude_schemas=())
    counted = purge(old, "2020-01-01", *give_up, "--dry-run")
    assert pg_dump(old, exclude_schemas=()) == before
    public = pg_dump(old)

    done = purge(old, "2020-01-01", *give_up, *WHY)
    assert done["tables"] == counted["tables"]
    assert done["gives_up_rollback"] is True
    assert pg_dump(old) == public
    admin = connect(old)
    assert scalar(admin, "SELECT to_regclass('archive.patients')") is None
    for table in ("map", "kept_users", "decisions", "withheld_patients", "written_users"):
        assert scalar(admin, f"SELECT count(*) FROM archive.patients_{table}") == 0
    for table in ("turns", "holds", "purges"):
        assert scalar(admin, f"SELECT count(*) FROM archive.patients_{table}") != 0
    assert "archive.mock_data_0006" in done["left_alone"]
    left = pg_dump(old, exclude_schemas=("public",), exclude_tables=("archive.mock_data_0006",))
    for value in ("Mary Ann", "sixty@clinic.invalid", "token of sixty", "Mock Patient"):
        assert value not in left
    ended = go(DOWN, old)
    assert ended.code == 3
    assert "the rollback was given up on 2" in ended.says
    for command in (("verify",), ("archive", "purge", "--before", "2020-01-01", *WHY)):
        outcome = run(*command, "--json", url=old)
        assert outcome.code == 3
        assert "destroyed" in outcome.document["error"]["message"]
    status = run("archive", "status", "--check", "--json", url=old)
    assert status.code == 0
    assert status.document["refactors"][0]["rollback_given_up"]


def test_at_version_10_there_is_no_rollback_to_give_up(old: str) -> None:
    assert go(DOWN, old).code == 0
    tell(old, AGE)
    error = purge(old, "2020-01-01", "--accept", "no_rollback", "--dry-run", code=3)["error"]
    assert "there is no rollback to give up" in error["message"]
    assert purge(old, "2020-01-01", *WHY)["number"] == 1
    assert go(UP, old).code == 0
    assert run("verify", url=old).code == 0


def test_nothing_is_destroyed_within_the_retention(old: str, connect: Connect) -> None:
    admin = connect(old)
    name = sql.Identifier(admin.info.dbname)
    admin.execute(sql.SQL("ALTER DATABASE {} SET refactorkit.retention = '300 years'").format(name))
    error = purge(old, "2020-01-01", *WHY, code=3)["error"]
    assert "is kept until 2320-01-01: refactorkit.retention is 300 years" in error["message"]
    admin.execute(sql.SQL("ALTER DATABASE {} SET refactorkit.retention = 'long'").format(name))
    assert purge(old, "2020-01-01", *WHY, code=3)["error"]["kind"] == "refused"
    admin.execute(sql.SQL("ALTER DATABASE {} SET refactorkit.retention = '1 year'").format(name))
    assert purge(old, "2020-01-01", *WHY)["number"] == 1


@pytest.mark.parametrize(
    ("before", "options", "code"),
    [
        ("2999-01-01", WHY, 3),
        ("2020-01-01", (), 2),
        ("2020-01-01", ("--basis", "b"), 2),
        ("2020-01-01", ("--basis", " ", "--approved-by", "a"), 2),
        ("2020-01-01", ("--basis", "b", "--approved-by", "postgres"), 2),
        ("2020-01-01", (*WHY, "--accept", "everything"), 2),
        ("20-01-01", WHY, 2),
        ("2020-01-01", (*WHY, "--refactor", "other"), 3),
    ],
)
def test_a_purge_that_cannot_be_meant_destroys_nothing(
    before: str, options: tuple[str, ...], code: int, database_at_10: str
) -> None:
    assert go(UP, database_at_10).code == 0
    was = pg_dump(database_at_10, exclude_schemas=())
    assert purge(database_at_10, before, *options, code=code)["error"]["exit_code"] == code
    assert pg_dump(database_at_10, exclude_schemas=()) == was


def test_guards_let_a_purge_by_and_nobody_else(old: str) -> None:
    skip = ("--skip", "roles", "--skip", "event-triggers")
    assert run("archive", "harden", *skip, url=old).code == 0
    with psycopg.connect(old) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("DELETE FROM archive.patients_withheld_patients")
    assert refused.value.sqlstate == "RK003"
    assert purge(old, "2020-01-01", *WHY)["number"] == 1
    assert purge(old, "2020-01-01", "--accept", "no_rollback", *WHY)["number"] == 2


@pytest.mark.parametrize("name", ["members", "orders"])
def test_other_mappings_are_purged_too(name: str, empty_database: str, connect: Connect) -> None:
    connection = connect(empty_database)
    mappings.prepare(connection, name)
    for direction in (UP, DOWN, UP, DOWN, UP):
        mappings.turn(connection, name, direction)
    short = load_mapping(mappings.MAPPINGS / f"{name}.toml").name
    connection.execute(f"UPDATE archive.{short}_turns SET at = '2015-01-01Z'".encode())
    purge(empty_database, "2020-01-01", *WHY)
    for direction in (DOWN, UP):
        mappings.turn(connection, name, direction)
    assert run("verify", url=empty_database).code == 0
    connection.execute(f"UPDATE archive.{short}_turns SET at = '2015-01-01Z'".encode())
    purge(empty_database, "2020-01-01", "--accept", "no_rollback", *WHY)
    with pytest.raises(psycopg.Error, match="the rollback was given up"):
        mappings.turn(connection, name, DOWN)
