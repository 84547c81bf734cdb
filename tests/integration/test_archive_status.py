"""`archive status` says what lies there, since when, who sees it, and what it cannot see."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from refactorkit.migrations.model import Direction
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell, work_as_version_11
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction


@pytest.fixture
def archived(database_at_10: str) -> str:
    """A clinic that went up, was written to, and went down again."""
    open_clinic(database_at_10)
    assert go(UP, database_at_10).code == 0
    work_as_version_11(database_at_10)
    tell(database_at_10, "DELETE FROM public.users WHERE id = 900")
    outcome = run("down", "--custodian", "sixty@clinic.invalid", "--dir", "sql", url=database_at_10)
    assert outcome.code == 0, outcome.err
    return database_at_10


def status(url: str, *options: str, code: int = 0) -> Any:
    outcome = run("archive", "status", "--json", *options, url=url)
    assert outcome.code == code, outcome.err
    return outcome.document


def test_every_table_is_listed_with_its_rows_its_bytes_and_its_age(
    archived: str, connect: Connect
) -> None:
    admin = connect(archived)
    found = {row["table"]: row for row in status(archived)["tables"]}

    tables = admin.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'archive'::regnamespace"
    ).fetchall()
    assert set(found) == {str(name) for (name,) in tables}
    for name, row in found.items():
        assert row["rows"] == scalar(admin, f"SELECT count(*) FROM {name}")
        assert row["bytes"] == scalar(admin, f"SELECT pg_total_relation_size('{name}')")
    kept = found["archive.patients_kept_users"]
    assert kept["rows"] > 0
    last = scalar(admin, "SELECT at FROM archive.patients_turns ORDER BY turn DESC LIMIT 1")
    assert kept["oldest"] == kept["newest"] == last.isoformat()  # type: ignore[attr-defined]
    assert found["archive.patients_map"]["versions"] == [10, 11]
    assert found["archive.notification_queue"]["versions"] == [10]
    assert found["archive.mock_data_0006"]["holds"].startswith("of a migration file")


def test_decisions_are_counted_by_rule_without_their_values(archived: str) -> None:
    outcome = run("archive", "status", "--json", url=archived)
    (refactor,) = outcome.document["refactors"]

    rules = {(d["rule"], d["column"]): d["count"] for d in refactor["decisions"]}
    assert rules["owner gone", "user_id"] == 1
    assert "sixty@clinic.invalid" not in outcome.out
    assert "sixty@clinic.invalid" not in run("archive", "status", url=archived).out


def test_who_can_read_is_found_however_they_came_to_it(archived: str, connect: Connect) -> None:
    admin = connect(archived)
    with fresh_role(archived) as direct, fresh_role(archived) as column, fresh_role(archived) as no:
        for statement in (
            f"GRANT USAGE ON SCHEMA archive TO {direct}, {column}",
            f"GRANT SELECT ON archive.patients_map TO {direct}, {no}",
            f"GRANT SELECT (source_id) ON archive.patients_past TO {column}",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA archive GRANT SELECT ON TABLES TO {column}",
        ):
            admin.execute(statement.encode())
        seen = status(archived)
        admin.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA archive REVOKE SELECT ON TABLES FROM {}")
            .format(sql.Identifier(column))
        )  # fmt: skip

    readers = {row["table"]: row["readers"] for row in seen["tables"]}
    assert readers["archive.patients_map"] == [direct]
    assert readers["archive.patients_past"] == [column]
    assert seen["default_privileges_open_to"] == [column]
    assert seen["superusers"] >= 1


def test_the_database_s_retention_gives_the_day_and_a_session_s_does_not(
    archived: str, connect: Connect
) -> None:
    admin = connect(archived)
    assert status(archived)["refactors"][0]["destroy_from"] is None
    name = sql.Identifier(admin.info.dbname)
    for text, verdict in (("6 years", "pass"), ("for ever", "incomplete"), ("2190 days", "pass")):
        admin.execute(
            sql.SQL("ALTER DATABASE {} SET refactorkit.retention = {}").format(name, text)
        )
        seen = status(archived)
        assert seen["verdict"] == verdict
        (refactor,) = seen["refactors"]
        assert refactor["retention"] == text
        if verdict == "pass":
            expected = scalar(
                admin, "SELECT max(at) + %s::interval FROM archive.patients_turns", text
            )
            assert refactor["destroy_from"] == expected.isoformat()  # type: ignore[attr-defined]
    outcome = run(
        "archive", "status", "--json", url=archived,
        env={"PGOPTIONS": "-c refactorkit.retention=1\\ day"},
    )  # fmt: skip
    assert outcome.document["refactors"][0]["retention"] == "2190 days"


def test_what_is_gone_fails_and_what_may_not_be_read_is_incomplete(
    archived: str, connect: Connect
) -> None:
    assert status(archived, "--check")["verdict"] == "pass"
    with fresh_role(archived) as owner:
        give_everything(archived, owner)
        connect(archived).execute("DROP TABLE archive.patients_past")
        connect(archived).execute("ALTER TABLE archive.mock_data_0006 OWNER TO CURRENT_USER")
        seen = status(with_user(archived, owner), "--check", code=3)
        connect(archived).execute("CREATE TABLE archive.patients_past (turn integer)")
        partly = status(with_user(archived, owner), "--check", code=3)
    assert seen["verdict"] == "fail"
    assert seen["refactors"][0]["stops"] == ["archive.patients_past is gone"]
    assert partly["verdict"] == "incomplete"
    assert next(
        row["rows"] for row in partly["tables"] if row["table"] == "archive.mock_data_0006"
    ) is None  # fmt: skip


def test_a_database_without_an_archive_is_refused_with_a_sentence(database_at_10: str) -> None:
    outcome = run("archive", "status", "--json", url=database_at_10)
    assert outcome.code == 3
    assert outcome.document["verdict"] == "incomplete"
    assert "no refactor has run" in outcome.document["error"]["message"]


@pytest.mark.parametrize("name", ["members", "orders"])
def test_other_mappings_have_an_archive_too(
    name: str, empty_database: str, connect: Connect
) -> None:
    connection = connect(empty_database)
    mappings.prepare(connection, name)
    mappings.turn(connection, name, UP)
    mappings.turn(connection, name, DOWN)
    seen = status(empty_database)
    assert seen["verdict"] == "pass"
    (refactor,) = seen["refactors"]
    assert refactor["direction"] == "down"
    assert all(not row["holds"].startswith("of a migration") for row in seen["tables"])
