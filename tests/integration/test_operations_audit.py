"""Evidence holds every operation on an archive, and an audit names what was done to their log.

Each fault is planted by a superuser, whom no guard stops.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from refactorkit.migrations.model import Direction
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import tell
from tests.support.dump import copy_public
from tests.support.evidence import Signer, said
from tests.support.operations import (
    LET_BY,
    LOG,
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


def test_rights_on_the_log_that_hardening_gives_are_no_finding_and_more_are(
    at_11: str, tmp_path: Path
) -> None:
    export(at_11, tmp_path / "a")
    signer = Signer.new(tmp_path)
    file = signer.anchor(at_11).file
    try:
        roles = harden(at_11)
        assert said(signer.verify(at_11, file)) == set()
        tell(at_11, f"{LET_BY} GRANT UPDATE ON {LOG} TO {roles['eraser']}")
        assert said(signer.verify(at_11, file)) == {("right", LOG, "", "was added")}
        tell(at_11, f"{LET_BY} REVOKE UPDATE ON {LOG} FROM {roles['eraser']}")
    finally:
        forget(at_11)
    assert said(signer.verify(at_11, file)) == set()


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
