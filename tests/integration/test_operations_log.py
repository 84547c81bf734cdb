"""What is done to an archive is in its log of operations, or it is not done.

Export, import, hardening and its end, each in the transaction of what is done.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from refactorkit.coldfile.age import Writer
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.locks import LOCK_ID
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell
from tests.support.dump import copy_public, pg_dump
from tests.support.operations import (
    ENV,
    LOG,
    PASSPHRASE,
    as_runner,
    cheap_passphrase,
    clinic_at_11,
    done,
    export,
    forget,
    harden,
    log,
    user,
)
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user
from tests.support.servers import Server

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction


@pytest.fixture(autouse=True)
def _cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_passphrase(monkeypatch)


@pytest.fixture
def at_11(database_at_10: str) -> str:
    return clinic_at_11(database_at_10)


@pytest.fixture
def app(at_11: str) -> Iterator[str]:
    with as_runner(at_11) as url:
        yield url


def test_an_export_says_who_when_and_which_file_and_no_secret(
    at_11: str, app: str, tmp_path: Path
) -> None:
    file = tmp_path / "a"
    made = export(app, file)
    assert made["recorded"] == [{"refactor": "patients", "operation": 1}]
    checked = run("archive", "verify-export", str(file), "--json", env=ENV).document
    assert checked["digest"] == made["digest"]
    assert checked["recorded"] == []
    (record,) = log(at_11)
    with psycopg.connect(at_11) as connection:
        committed = scalar(
            connection, f"SELECT pg_xact_status(transaction_id) FROM {LOG} WHERE operation = 1"
        )
    assert committed == "committed"
    assert (record["operation"], record["kind"]) == (1, "export")
    assert (record["run_by"], record["digest"]) == (user(app), made["digest"])
    facts = record["facts"]
    assert facts.pop("tool").startswith("refactorkit ")
    assert facts == {
        "recipient": "passphrase",
        "database_version": 11,
        "tables": len(made["tables"]),
        "rows": sum(table["rows"] for table in made["tables"]),
    }
    assert PASSPHRASE not in json.dumps(record)
    # Another export is another file, and the first record is in it
    again = export(app, tmp_path / "b")
    assert again["digest"] != made["digest"]
    assert {t["name"]: t["rows"] for t in again["tables"]}["patients_operations"] == 1
    for direction in (DOWN, UP):
        ended = go(direction, app)
        assert ended.code == 0, ended.says
        assert run("verify", url=app).code == 0
    assert [each["operation"] for each in log(at_11)] == [1, 2]


def test_a_copy_has_the_log_of_its_origin_and_the_import(
    at_11: str, empty_database: str, server: Server, tmp_path: Path
) -> None:
    export(at_11, tmp_path / "a")
    made = export(at_11, tmp_path / "b")
    origin = log(at_11)
    copy_public(server, at_11, empty_database)
    with fresh_role(empty_database) as owner:
        give_everything(empty_database, owner)
        imported = done("archive", "import", tmp_path / "b", url=empty_database)
        assert imported["recorded"] == [{"refactor": "patients", "operation": 2}]
        assert imported["digest"] == made["digest"]
        first, second = log(empty_database)
        assert first == origin[0]
        assert (second["kind"], second["digest"]) == ("import", origin[1]["digest"])
        assert second["run_by"] == user(at_11)  # a superuser, who acted for the owner
        facts = second["facts"]
        assert facts["exported_by"] == origin[1]["facts"]["tool"]
        assert facts["exported_from"] == Dsn.parse(at_11).environment()["PGDATABASE"]
        assert facts["exported_from_system"]
        assert (facts["recipient"], facts["rights_left_out"]) == ("passphrase", [])
        assert facts["rows"] == origin[1]["facts"]["rows"]
        with psycopg.connect(empty_database) as connection:
            assert scalar(connection, f"SELECT relowner::regrole::text FROM pg_class WHERE"
                          f" oid = '{LOG}'::regclass") == owner  # fmt: skip
        ended = go(DOWN, with_user(empty_database, owner))
        assert ended.code == 0, ended.says
        assert log(empty_database) == [first, second]


def test_an_import_of_a_file_without_the_log_makes_it(
    at_11: str, empty_database: str, server: Server, tmp_path: Path
) -> None:
    """The first export of an older archive holds none."""
    made = export(at_11, tmp_path / "a")
    assert "patients_operations" not in {table["name"] for table in made["tables"]}
    copy_public(server, at_11, empty_database)
    done("archive", "import", tmp_path / "a", url=empty_database)
    assert [(each["operation"], each["kind"]) for each in log(empty_database)] == [(1, "import")]
    assert [(each["operation"], each["kind"]) for each in log(at_11)] == [(1, "export")]
    assert go(DOWN, empty_database).code == 0


def test_a_refused_import_leaves_no_record(at_11: str, tmp_path: Path) -> None:
    export(at_11, tmp_path / "a")
    done("archive", "import", tmp_path / "a", url=at_11, code=3)
    assert [each["kind"] for each in log(at_11)] == ["export"]


def test_hardening_says_what_was_made_for_whom_and_what_could_not_be(at_11: str, app: str) -> None:
    harden(app, code=3)
    whole = harden(at_11)
    harden(at_11, "--skip", "event-triggers")
    harden(at_11, "--off")
    found = log(at_11)
    assert [(each["operation"], each["kind"]) for each in found] == [
        (1, "harden"), (2, "harden"), (3, "harden"), (4, "harden off"),
    ]  # fmt: skip
    assert [each["run_by"] for each in found] == [user(app), *[user(at_11)] * 3]
    assert {each["digest"] for each in found} == {None}
    outcomes = [
        {step["step"]: step["outcome"] for step in each["facts"]["steps"]} for each in found
    ]
    assert outcomes[0] == {
        "public": "done", "roles": "refused", "guards": "done", "event-triggers": "refused",
    }  # fmt: skip
    assert outcomes[2]["event-triggers"] == "skipped"
    refused = [step for step in found[0]["facts"]["steps"] if step["outcome"] == "refused"]
    assert all("42501" in step["reason"] for step in refused)
    for name in ("owner", "reader", "eraser", "runner"):
        assert found[1]["facts"][name] == whole[name]
    assert [each["facts"]["verdict"] for each in found] == ["incomplete", "pass", "pass", "pass"]


def test_beside_a_migration_or_where_nothing_can_be_written_nothing_is_exported(
    at_11: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refactorkit.postgres.archive_writes._LOCK_WAIT_SECONDS", 0.1)
    other = connect(at_11)
    other.execute("SELECT pg_advisory_lock(%s)", (LOCK_ID,))
    assert export(at_11, tmp_path / "a", code=4)["error"]["kind"] == "busy"
    other.execute("SELECT pg_advisory_unlock(%s)", (LOCK_ID,))
    name = sql.Identifier(other.info.dbname)
    other.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    error = export(at_11, tmp_path / "a", code=3)["error"]
    assert "read-only" in error["message"]
    assert error["state"] == "Nothing was changed."
    assert list(tmp_path.iterdir()) == []
    assert log(at_11) == []


def test_a_file_is_whole_only_once_it_is_recorded(
    at_11: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Writer.finish
    seen: list[tuple[int, str]] = []

    def look(writer: Writer) -> None:
        (unfinished,) = tmp_path.glob(".*.new")
        outcome = run("archive", "verify-export", str(unfinished), "--json", env=ENV)
        seen.append((len(log(at_11)), outcome.document["error"]["message"]))
        finish(writer)

    monkeypatch.setattr(Writer, "finish", look)
    export(at_11, tmp_path / "a")
    assert [number for number, _ in seen] == [1]
    assert "cut off" in seen[0][1]
    assert run("archive", "verify-export", str(tmp_path / "a"), env=ENV).code == 0


def test_where_a_record_cannot_be_written_there_is_no_file(at_11: str, tmp_path: Path) -> None:
    export(at_11, tmp_path / "a")
    tell(at_11, f"ALTER TABLE {LOG} ADD CHECK (operation < 2)")
    before = log(at_11)
    assert export(at_11, tmp_path / "b", code=1)["error"]["state"] == "Nothing was changed."
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert harden(at_11, code=1)["error"]["state"] == "Nothing was changed."
    assert run("archive", "status", "--json", url=at_11).document["refactors"][0]["guards"][
        "state"
    ] == "none"  # fmt: skip
    assert log(at_11) == before


def test_a_disk_that_is_full_at_the_very_end_is_told_with_its_record(
    at_11: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_writer: Writer) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "finish", full)
    error = export(at_11, tmp_path / "a", code=1)["error"]
    assert "No space left on device" in error["message"]
    assert error["state"].endswith(f"that it was made is recorded in {LOG} as 1.")
    assert list(tmp_path.iterdir()) == []
    assert [each["kind"] for each in log(at_11)] == ["export"]


def test_the_log_outlasts_a_rollback_that_was_given_up_and_outside_nothing_tells_of_it(
    database_at_10: str, tmp_path: Path
) -> None:
    open_clinic(database_at_10)
    versions = ("public.goose_db_version",)
    at_10 = pg_dump(database_at_10, exclude_tables=versions)
    assert go(UP, database_at_10).code == 0
    export(database_at_10, tmp_path / "a")
    assert go(DOWN, database_at_10).code == 0
    assert pg_dump(database_at_10, exclude_tables=versions) == at_10
    assert go(UP, database_at_10).code == 0
    at_11 = pg_dump(database_at_10, exclude_tables=versions)
    tell(database_at_10, "UPDATE archive.patients_turns SET at = '2015-01-01Z'")
    purge = ("archive", "purge", "--basis", "b", "--approved-by", "c", "--before", "2020-01-01")
    done(*purge, url=database_at_10)
    assert pg_dump(database_at_10, exclude_tables=versions) == at_11
    assert go(DOWN, database_at_10).code == 0
    assert pg_dump(database_at_10, exclude_tables=versions) == at_10
    assert go(UP, database_at_10).code == 0
    tell(database_at_10, "UPDATE archive.patients_turns SET at = '2015-01-01Z'")
    done(*purge, "--accept", "no_rollback", url=database_at_10)
    export(database_at_10, tmp_path / "b")
    assert [each["operation"] for each in log(database_at_10)] == [1, 2]


def test_other_mappings_have_the_log_too_and_each_refactor_its_own(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    connection.execute(
        "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT NULL,"
        " is_applied boolean NOT NULL, tstamp timestamp DEFAULT now());"
        " INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)"
    )
    names = []
    for one in ("members", "devices"):
        mappings.prepare(connection, one)
        mappings.turn(connection, one, UP)
        names.append(load_mapping(mappings.MAPPINGS / f"{one}.toml").name)
    made = export(empty_database, tmp_path / "a")
    assert made["recorded"] == [{"refactor": name, "operation": 1} for name in sorted(names)]
    for name in names:
        log_of = sql.Identifier("archive", f"{name}_operations")
        found = connection.execute(sql.SQL("SELECT digest FROM {}").format(log_of)).fetchall()
        assert found == [(made["digest"],)]
    try:
        assert harden(empty_database)["verdict"] == "pass"
        for one in ("members", "devices"):
            mappings.turn(connection, one, DOWN)
            mappings.turn(connection, one, UP)
    finally:
        forget(empty_database)
