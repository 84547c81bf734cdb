"""What is done to an archive is in its log of operations, or it is not done; edits are found.

Export, import, hardening and its end; in plain archives, behind guards, and in older ones.
"""

import csv
import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from refactorkit.coldfile.age import Writer
from refactorkit.commands.archive_export import ExportRequest
from refactorkit.commands.verdict import Verdict
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import Outcome, run
from tests.support.clinic import open_clinic, tell
from tests.support.dump import pg_dump
from tests.support.evidence import Signer, said
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user
from tests.support.servers import Server

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction
PASSPHRASE = "a passphrase of some length"  # noqa: S105 - of no file that lasts
ENV = {"REFACTORKIT_EXPORT_PASSPHRASE": PASSPHRASE}
LOG = "archive.patients_operations"
LET_BY = "SELECT set_config('refactorkit.archive_writer', pg_current_xact_id()::text, true);"


@pytest.fixture(autouse=True)
def _cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guess costs is no subject here."""
    cheap = functools.partial(ExportRequest, work_factor=10)
    monkeypatch.setattr("refactorkit.cli.archive_export.ExportRequest", cheap)


@pytest.fixture
def at_11(database_at_10: str) -> str:
    open_clinic(database_at_10)
    assert go(UP, database_at_10).code == 0
    return database_at_10


@pytest.fixture
def app(at_11: str) -> Iterator[str]:
    """The URL of a runner without any special right, to whom all of it belongs."""
    with ExitStack() as stack:
        stack.callback(forget, at_11)
        runner = stack.enter_context(fresh_role(at_11))
        give_everything(at_11, runner)
        yield with_user(at_11, runner)


def forget(url: str) -> None:
    """Drop the roles of hardening: they belong to the whole server."""
    run("archive", "harden", "--off", url=url)


def done(*arguments: object, url: str, code: int = 0) -> Any:
    outcome: Outcome = run(*map(str, arguments), "--json", url=url, env=ENV)
    assert outcome.code == code, outcome.err + outcome.out
    return outcome.document


def export(url: str, path: Path, code: int = 0) -> Any:
    return done("archive", "export", "--out", path, url=url, code=code)


def harden(url: str, *options: str, code: int = 0) -> Any:
    return done("archive", "harden", *options, url=url, code=code)


def log(url: str) -> list[dict[str, Any]]:
    """Every record, as a superuser reads it."""
    with psycopg.connect(url) as connection:
        if scalar(connection, f"SELECT to_regclass('{LOG}')") is None:
            return []
        return [
            row for (row,) in connection.execute(f"SELECT to_jsonb(o) FROM {LOG} o ORDER BY 1"
            .encode())
        ]  # fmt: skip


def user(url: str) -> str:
    return Dsn.parse(url).environment()["PGUSER"]


def refusal(url: str, statement: str) -> str | None:
    """The SQLSTATE with which statements are refused, rolled back in any case."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            connection.rollback()
    return None


def copy_public(server: Server, source: str, target: str) -> None:
    """Restore everything outside the archive, as an operator with two programs does."""
    dump = subprocess.run(
        [server.bin_directory / "pg_dump", "--exclude-schema=archive", "--no-owner"],
        env={"PATH": os.environ["PATH"], **Dsn.parse(source).environment()},
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        [server.bin_directory / "psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env={"PATH": os.environ["PATH"], **Dsn.parse(target).environment()},
        check=True, capture_output=True,
        input=dump.stdout.replace(b"SET transaction_timeout = 0;\n", b""),
    )  # fmt: skip


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


def test_behind_guards_the_owner_writes_the_log_and_nobody_changes_it(
    at_11: str, app: str, tmp_path: Path
) -> None:
    roles = harden(at_11)
    export(app, tmp_path / "a")
    assert [each["kind"] for each in log(at_11)] == ["harden", "export"]
    for statement in (f"UPDATE {LOG} SET run_by = 'x'", f"DELETE FROM {LOG}", f"TRUNCATE {LOG}"):
        assert refusal(app, statement) == "RK003", statement
        assert refusal(at_11, statement) == "RK003", statement
    assert refusal(app, f"DROP TABLE {LOG}") == "RK003"
    insert = f"INSERT INTO {LOG} (operation, kind, facts) VALUES (9, 'x', '{{}}')"
    with fresh_role(at_11) as other:
        url = with_user(at_11, other)
        for role in (None, roles["reader"], roles["eraser"]):
            if role is not None:
                tell(at_11, f"GRANT {role} TO {other}")
            may_read = None if role else "42501"
            assert refusal(url, f"SELECT operation, facts FROM {LOG}") == may_read, role
            for statement in (
                insert, f"UPDATE {LOG} SET run_by = 'x'", f"DELETE FROM {LOG}", f"TRUNCATE {LOG}",
            ):  # fmt: skip
                assert refusal(url, LET_BY + statement) == "42501", (role, statement)
    assert go(DOWN, app).code == 0
    assert run("verify", url=app).code == 0
    assert go(UP, app).code == 0


def test_in_an_older_hardened_archive_the_log_is_made_as_hardening_would_have(
    at_11: str, app: str, tmp_path: Path
) -> None:
    roles = harden(at_11)
    whole = shape(at_11)
    for who, name in ((app, "a"), (at_11, "b")):  # by the runner, and by a superuser
        tell(at_11, LET_BY + f"DROP TABLE {LOG}")
        export(who, tmp_path / name)
        assert shape(at_11) == whole
        assert run("verify", url=app).code == 0
        assert run("archive", "status", "--check", url=app).code == 0
    assert refusal(app, f"DELETE FROM {LOG}") == "RK003"
    with psycopg.connect(at_11) as connection:
        owner = scalar(
            connection,
            f"SELECT relowner::regrole::text FROM pg_class WHERE oid = '{LOG}'::regclass",
        )
    assert owner == roles["owner"]
    for direction in (DOWN, UP):
        ended = go(direction, app)
        assert ended.code == 0, ended.says


def shape(url: str) -> list[Any]:
    """Columns, constraints, triggers, owner and rights of the log."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            f"""
            SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
                pg_get_expr(d.adbin, d.adrelid), a.attacl::text
            FROM pg_attribute AS a
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = '{LOG}'::regclass AND a.attnum > 0
            UNION ALL
            SELECT conname, pg_get_constraintdef(oid), '', '', '' FROM pg_constraint
            WHERE conrelid = '{LOG}'::regclass AND contype <> 'n'
            UNION ALL
            SELECT tgname, pg_get_triggerdef(oid), tgenabled::text, '', '' FROM pg_trigger
            WHERE tgrelid = '{LOG}'::regclass
            UNION ALL
            SELECT relowner::regrole::text, (SELECT string_agg(x::text, ',' ORDER BY x::text)
                FROM unnest(relacl) AS x), '', '', '' FROM pg_class WHERE oid = '{LOG}'::regclass
            ORDER BY 1, 2
            """.encode()
        ).fetchall()


def test_what_a_superuser_exports_does_not_stop_the_runner(
    at_11: str, app: str, tmp_path: Path
) -> None:
    export(at_11, tmp_path / "a")
    export(app, tmp_path / "b")
    assert [each["run_by"] for each in log(at_11)] == [user(at_11), user(app)]
    for direction in (DOWN, UP):
        ended = go(direction, app)
        assert ended.code == 0, ended.says


def test_who_cannot_write_the_log_is_refused_and_nothing_is_done(
    at_11: str, app: str, tmp_path: Path
) -> None:
    with fresh_role(at_11) as other:
        tell(at_11, f"GRANT pg_read_all_data TO {other}")
        for is_there in (False, True):
            before = pg_dump(at_11, exclude_schemas=())
            error = export(with_user(at_11, other), tmp_path / "no", code=3)["error"]
            assert f"may not write into the log of operations, {LOG}" in error["message"]
            assert user(app) in error["hint"]
            assert harden(with_user(at_11, other), code=3)["error"]["state"] == error["state"]
            assert pg_dump(at_11, exclude_schemas=()) == before
            assert list(tmp_path.glob("*no*")) == []
            if not is_there:
                export(app, tmp_path / "yes")


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
    tell(
        at_11,
        "CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100''; END';"
        f" CREATE TRIGGER no BEFORE INSERT ON {LOG} EXECUTE FUNCTION public.no()",
    )
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


EDITS = {
    "kind": "'purge'",
    "at": "at + interval '1 microsecond'",
    "transaction_id": "'3'",
    "run_by": "run_by || 'x'",
    "digest": "repeat('0', 64)",
    "facts": 'facts || \'{"tool": "x"}\'',
}


def test_evidence_holds_every_record_and_an_edit_of_any_column_is_named(
    at_11: str, server: Server, empty_database: str, tmp_path: Path
) -> None:
    """Export, import, hardening and its end, in one log."""
    export(at_11, tmp_path / "a")
    copy_public(server, at_11, empty_database)
    done("archive", "import", tmp_path / "a", url=empty_database)
    signer = Signer.new(tmp_path)
    early = signer.anchor(empty_database, "early.json").file
    try:
        harden(empty_database)
        harden(empty_database, "--off")
    finally:
        forget(empty_database)
    export(empty_database, tmp_path / "b")
    kinds = [each["kind"] for each in log(empty_database)]
    assert kinds == ["import", "harden", "harden off", "harden off", "export"]
    found = signer.verify(empty_database, early)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    (tree,) = [tree for tree in found.trees if tree.table == LOG]
    assert (tree.verified, tree.grown) == (1, 4)
    late = signer.anchor(empty_database, "late.json").file
    found = signer.verify(empty_database, late)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        columns = scalar(
            connection,
            "SELECT array_agg(attname::text) FROM pg_attribute"
            f" WHERE attnum > 0 AND attrelid = '{LOG}'::regclass",
        )
        assert set(columns) == {"operation", *EDITS}  # type: ignore[call-overload]
        connection.execute(f"CREATE TABLE public.kept AS SELECT * FROM {LOG}".encode())
        for number in range(1, 6):
            for column, edit in EDITS.items():
                connection.execute(
                    f"UPDATE {LOG} SET {column} = {edit} WHERE operation = {number}".encode()
                )
                named = said(signer.verify(empty_database, late))
                assert named == {(LOG, str(number), "", "was edited")}, column
                again(connection)
            connection.execute(f"DELETE FROM {LOG} WHERE operation = {number}".encode())
            found = signer.verify(empty_database, late)
            assert found.verdict is Verdict.FAIL
            named = said(found) - {
                ("operation", f"{LOG} {number}", "", "is missing, and a later one is there")
            }
            assert named == {(LOG, str(number), "", "is missing")}
            again(connection)
        connection.execute(f"DROP TABLE {LOG}".encode())
        assert (LOG, "", "", "the table is gone") in said(signer.verify(empty_database, late))


def again(connection: psycopg.Connection) -> None:
    """Put back what the log was."""
    connection.execute(f"TRUNCATE {LOG}; INSERT INTO {LOG} SELECT * FROM public.kept".encode())


def test_a_record_that_no_evidence_holds_is_missed_by_its_number(
    at_11: str, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    file = signer.anchor(at_11).file
    for name in ("a", "b", "c", "d"):
        export(at_11, tmp_path / name)
    assert said(signer.verify(at_11, file)) == set()
    tell(at_11, f"DELETE FROM {LOG} WHERE operation = 1")
    what = "is missing, and a later one is there"
    assert said(signer.verify(at_11, file)) == {("operation", f"{LOG} 1", "", what)}
    tell(at_11, f"DELETE FROM {LOG} WHERE operation = 2")
    found = signer.verify(at_11, file)
    assert said(found) == {("operation", f"{LOG} 1 to 2", "", what)}
    assert found.verdict is Verdict.FAIL
    assert go(DOWN, at_11).code == 0  # only the logs are compared then, and this is one
    assert ("operation", f"{LOG} 1 to 2", "", what) in said(signer.verify(at_11, file))


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


def test_a_report_and_the_status_tell_of_every_operation(
    at_11: str, app: str, tmp_path: Path
) -> None:
    partly = harden(app, "--skip", "event-triggers", code=3)
    made = export(app, tmp_path / "a")
    tell(
        at_11,
        f"INSERT INTO {LOG} (operation, kind, facts) VALUES (3, 'of a later version', '[1]'),"
        """ (4, 'import', '{"rows": "many", "rights_left_out": [1, "r"], "steps": 7}'),"""
        """ (5, 'harden', '{"steps": [1, {"step": "roles"}], "owner": "<b>o"}')""",
    )
    out = tmp_path / "out"
    run("audit", "report", "--output", out, url=app)
    document = json.loads((out / "report.json").read_bytes())
    first, second, third, fourth, fifth = document["operations"]
    assert [each["kind"] for each in document["operations"]] == [
        "harden", "export", "of a later version", "import", "harden",
    ]  # fmt: skip
    assert first["by"] == user(app)
    assert first["says"].startswith("public done, roles refused, guards done, event-triggers skip")
    assert f"owner {partly['owner']}" in first["says"]
    assert [each.partition(":")[0] for each in first["undone"]] == ["roles"]
    assert "42501" in first["undone"][0]
    assert second["digest"] == made["digest"]
    assert second["says"].endswith("version 11, for whoever has the passphrase")
    assert third["says"] == "of a kind that this version of refactorkit does not know"
    assert (fourth["says"], fourth["undone"]) == ("without the rights of r", [])
    assert (fifth["says"], fifth["undone"]) == ("owner <b>o", [])
    events = [(each["what"], each["by"]) for each in document["timeline"]]
    assert events[:3] == [
        ("up to version 11", user(at_11)),
        ("archive hardened", user(app)),
        ("archive exported", user(app)),
    ]
    assert document["timeline"][1]["at"] == first["at"]
    page = (out / "report.html").read_text()
    for text in ("archive exported", made["digest"], "roles: SQLSTATE 42501"):
        assert text in page
    assert "<b>o" not in page
    with (out / "tables" / "operations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["digest"] for row in rows] == ["", made["digest"], "", "", ""]
    with (out / "tables" / "timeline.csv").open(newline="") as file:
        assert "archive exported" in [row["what"] for row in csv.DictReader(file)]
    (refactor,) = run("archive", "status", "--json", url=app).document["refactors"]
    assert [each["kind"] for each in refactor["operations"]][:2] == ["harden", "export"]
    assert refactor["operations"][1]["digest"] == made["digest"]
    text = run("archive", "status", url=app).out
    assert f"operation 2: export, {second['at'][:10]}, by {user(app)}" in text


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
