"""What up, down and redo do to a database, file by file."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.cli import Outcome, run, write_files
from tests.support.dump import pg_dump
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

CANARY = "canary-5f1d"

THREE = {
    "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
    "0002_b.sql": "CREATE TABLE b (id int);\n----\nDROP TABLE b;",
    "0003_c.sql": "CREATE TABLE c (id int);\n----\nDROP TABLE c;",
}


def versions(connection: psycopg.Connection) -> list[int]:
    rows = connection.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [row[0] for row in rows]


def exists(connection: psycopg.Connection, table: str) -> bool:
    return scalar(connection, "SELECT to_regclass(%s) IS NOT NULL", table) is True


def up(url: str, directory: Path, *options: str) -> Outcome:
    return run("up", "--dir", directory, *options, url=url)


def down(url: str, directory: Path, *options: str) -> Outcome:
    return run("down", "--dir", directory, *options, url=url)


def test_up_applies_every_pending_file_in_order(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    outcome = up(empty_database, write_files(tmp_path, THREE), "--json")

    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["before"], document["after"], document["dry_run"]) == (0, 3, False)
    assert [step["file"] for step in document["steps"]] == list(THREE)
    assert {step["direction"] for step in document["steps"]} == {"up"}
    assert {step["statements"] for step in document["steps"]} == {1}
    assert versions(connect(empty_database)) == [0, 1, 2, 3]


def test_up_again_does_nothing_and_says_so(empty_database: str, tmp_path: Path) -> None:
    up(empty_database, write_files(tmp_path, THREE))

    again = up(empty_database, tmp_path)

    assert again.code == 0
    assert "Nothing to do: the database is at version 3." in again.out


def test_up_stops_after_the_version_it_was_given(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    assert up(empty_database, write_files(tmp_path, THREE), "--to", "2").code == 0

    assert versions(connect(empty_database)) == [0, 1, 2]


def test_down_takes_back_one_version_and_with_to_all_above_it(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    up(empty_database, write_files(tmp_path, THREE))
    connection = connect(empty_database)

    assert down(empty_database, tmp_path).code == 0
    assert versions(connection) == [0, 1, 2]
    assert not exists(connection, "c")

    back = down(empty_database, tmp_path, "--to", "0", "--json")
    assert [step["file"] for step in back.document["steps"]] == ["0002_b.sql", "0001_a.sql"]
    assert versions(connection) == [0]
    assert not exists(connection, "a")


def test_redo_runs_down_and_up_of_the_last_version(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    up(empty_database, write_files(tmp_path, THREE))
    connection = connect(empty_database)
    connection.execute("INSERT INTO c VALUES (1)")

    outcome = run("redo", "--dir", tmp_path, "--json", url=empty_database)

    assert [step["direction"] for step in outcome.document["steps"]] == ["down", "up"]
    assert scalar(connection, "SELECT count(*) FROM c") == 0
    assert versions(connection) == [0, 1, 2, 3]


def test_a_file_below_the_highest_applied_is_run_only_when_allowed(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, {name: text for name, text in THREE.items() if "2" not in name})
    up(empty_database, tmp_path)
    write_files(tmp_path, THREE)

    refused = up(empty_database, tmp_path)
    assert refused.code == 3
    assert "0002_b.sql" in refused.err
    assert "Nothing was changed." in refused.err

    assert up(empty_database, tmp_path, "--allow-missing").code == 0
    assert exists(connect(empty_database), "b")


def test_a_failing_file_is_rolled_back_and_the_files_before_it_stay(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, THREE)
    write_files(
        tmp_path, {"0003_c.sql": "CREATE TABLE c (id int);\n\nSELECT 1,\n  nonsense\nFROM a;"}
    )

    outcome = up(empty_database, tmp_path, "--json")

    connection = connect(empty_database)
    assert outcome.code == 1
    assert versions(connection) == [0, 1, 2]
    assert not exists(connection, "c")
    error = outcome.document["error"]
    assert error["kind"] == "failed"
    assert error["message"] == "0003_c.sql:5 (up) failed: SQLSTATE 42703 (UndefinedColumn)."
    assert (
        error["state"] == "2 files were run before it and committed: the database is at version 2."
    )


def test_the_first_file_failing_changes_nothing_and_says_so(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": "CREATE TABLE;"}))

    assert outcome.code == 1
    assert "Nothing was changed: the database is at version 0." in outcome.err
    assert versions(connect(empty_database)) == [0]


def test_statements_are_sent_as_they_are(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    """Percent signs, dollar numbers, braces and several statements in one text mean nothing."""
    up_text = """
-- +goose StatementBegin
CREATE TABLE odd (text text);
INSERT INTO odd SELECT '100%' || '%s' || '%(x)s' || '$1' || '{}' || E'\\u00e9';
INSERT INTO odd VALUES ('ünïcode — 日本');
-- +goose StatementEnd
PREPARE p (text) AS INSERT INTO odd VALUES ($1);
"""

    assert up(empty_database, write_files(tmp_path, {"0001_odd.sql": up_text})).code == 0

    rows = connect(empty_database).execute("SELECT text FROM odd ORDER BY text").fetchall()
    assert rows == [("100%%s%(x)s$1{}é",), ("ünïcode — 日本",)]


def test_a_search_path_that_a_file_sets_does_not_lose_its_version_row(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    files = {"0001_a.sql": "SET search_path = '';", "0002_b.sql": "CREATE TABLE public.b (id int);"}

    assert up(empty_database, write_files(tmp_path, files)).code == 0

    assert versions(connect(empty_database)) == [0, 1, 2]


def test_a_constraint_that_only_the_commit_checks_fails_the_file(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = """
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
INSERT INTO child VALUES (7);
"""

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    assert outcome.code == 1
    assert "the COMMIT of 0001_a.sql (up) failed: SQLSTATE 23503" in outcome.err
    assert "table public.child, constraint child_id_fkey" in outcome.err
    assert not exists(connect(empty_database), "child")


def test_a_commit_inside_a_file_is_survived_as_goose_survives_it(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = "BEGIN;\nCREATE TABLE a (id int);\nCOMMIT;\nCREATE TABLE b (id int);"

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    connection = connect(empty_database)
    assert outcome.code == 0
    assert "step.transaction_ended_by_file" in outcome.err
    assert exists(connection, "a")
    assert exists(connection, "b")
    assert versions(connection) == [0, 1]


def test_what_a_commit_inside_a_failing_file_left_behind_is_said(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = "CREATE TABLE a (id int);\nCOMMIT;\nCREATE TABLE b (id int);\nnonsense;"

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    connection = connect(empty_database)
    assert outcome.code == 1
    assert "has a COMMIT of its own: what stands before it took effect" in outcome.err
    assert "counts as version 0" in outcome.err
    assert exists(connection, "a")
    assert not exists(connection, "b")
    assert versions(connection) == [0]


@pytest.mark.parametrize("ending", ["ROLLBACK;", "PREPARE TRANSACTION 'x';"])
def test_a_file_that_ends_its_transaction_without_a_commit_is_not_applied(
    ending: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = f"CREATE TABLE a (id int);\n{ending}"

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    connection = connect(empty_database)
    assert outcome.code == 1
    assert versions(connection) == [0]
    assert not exists(connection, "a")


def test_a_copy_from_standard_input_is_refused_with_a_sentence(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = "CREATE TABLE a (id int);\nCOPY a FROM STDIN;"

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    assert outcome.code == 1
    assert "0001_a.sql:3 (up)" in outcome.err
    assert versions(connect(empty_database)) == [0]


def test_a_file_without_transaction_may_build_an_index_concurrently(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    files = {
        "0001_a.sql": "CREATE TABLE a (id int);",
        "0002_b.sql": "-- +goose NO TRANSACTION\n-- +goose Up\n"
        "CREATE INDEX CONCURRENTLY a_id ON a (id);\n"
        "-- +goose Down\nDROP INDEX CONCURRENTLY a_id;\n",
    }

    outcome = up(empty_database, write_files(tmp_path, files), "--json")

    assert outcome.code == 0, outcome.err
    assert [step["transaction"] for step in outcome.document["steps"]] == [True, False]
    assert exists(connect(empty_database), "a_id")
    assert down(empty_database, tmp_path).code == 0


def test_a_failing_file_without_transaction_keeps_what_it_did_and_gets_no_row(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (id int);\n"
        "CREATE TABLE b (id int);\nCREATE TABLE a (id int);\n-- +goose Down\nDROP TABLE a;\n"
    )

    outcome = up(empty_database, write_files(tmp_path, {"0001_a.sql": text}))

    connection = connect(empty_database)
    assert outcome.code == 1
    assert "0001_a.sql:5 (up) failed: SQLSTATE 42P07" in outcome.err
    assert "what stands before line 5 took effect and stays" in outcome.err
    assert "Its version row was not written: the database counts as version 0." in outcome.err
    assert exists(connection, "b")
    assert versions(connection) == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES ('canary-5f1d');",
        "SELECT 'canary-5f1d'::int;",
        "DO $$BEGIN RAISE EXCEPTION 'canary-5f1d' USING DETAIL = 'canary-5f1d'; END$$;",
        "ALTER TABLE t ADD CHECK (v <> 'canary-5f1d');",
    ],
)
@pytest.mark.parametrize("level", ["debug", "info"])
def test_no_value_of_a_failing_statement_is_printed(
    statement: str, level: str, empty_database: str, tmp_path: Path
) -> None:
    files = {
        "0001_t.sql": f"CREATE TABLE t (v text UNIQUE);\nINSERT INTO t VALUES ('{CANARY}');",
        "0002_u.sql": f"-- +goose Up\n-- +goose StatementBegin\n{statement}\n"
        "-- +goose StatementEnd\n",
    }

    outcome = run(
        "up", "--json", "--log-level", level, "--dir", write_files(tmp_path, files),
        url=empty_database,
    )  # fmt: skip

    assert outcome.code == 1
    assert "0002_u.sql:3 (up) failed: SQLSTATE" in outcome.err
    assert CANARY not in outcome.out + outcome.err


def test_what_our_own_guards_say_reaches_the_user(empty_database: str, tmp_path: Path) -> None:
    text = """
CREATE TABLE a (id int);
DO $$BEGIN RAISE NOTICE 'hidden'; RAISE NOTICE 'shown' USING ERRCODE = 'RK000'; END$$;
"""
    guard = """
DO $$BEGIN RAISE EXCEPTION 'Table a is empty.' USING ERRCODE = 'RK001', HINT = 'Fill it.'; END$$;
"""
    files = {"0001_a.sql": text, "0002_b.sql": guard}

    first = up(empty_database, write_files(tmp_path, files), "--to", "1")
    assert "0001_a.sql: shown" in first.out
    assert "hidden" not in first.out + first.err

    refused = up(empty_database, tmp_path, "--json")
    assert refused.code == 3
    error = refused.document["error"]
    assert error["kind"] == "refused"
    assert error["message"] == "0002_b.sql:3 (up) was refused: Table a is empty."
    assert error["hint"] == "Fill it."
    assert error["state"] == "Nothing was changed: the database is at version 1."


def test_answers_of_the_operator_reach_the_sql_as_values(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    read = "current_setting('refactorkit.{}', true)"
    names = ("accept", "custodian", "keep_logins", "on_conflict")
    columns = ", ".join(read.format(name) for name in names)
    text = (
        "CREATE TABLE IF NOT EXISTS said (a text, c text, k text, o text);\n"
        f"INSERT INTO said VALUES ({columns});\n----\nINSERT INTO said VALUES ({columns});"
    )
    write_files(tmp_path, {"0001_a.sql": text})

    up(empty_database, tmp_path, "--accept", "views", "--accept", "o'clock, policies")
    down(
        empty_database, tmp_path,
        "--custodian", "o'hara@example.org", "--keep-logins", "--on-conflict", "archive",
    )  # fmt: skip
    up(empty_database, tmp_path)

    rows = connect(empty_database).execute("SELECT * FROM said").fetchall()
    assert rows[0][0] == "views,o'clock,policies"
    assert rows[1][1:] == ("o'hara@example.org", "on", "archive")
    assert not any(rows[2])


def test_a_dry_run_shows_every_statement_and_runs_none(empty_database: str, tmp_path: Path) -> None:
    write_files(tmp_path, THREE)
    before = pg_dump(empty_database, exclude_schemas=())

    shown = up(empty_database, tmp_path, "--dry-run")
    document = up(empty_database, tmp_path, "--dry-run", "--json", "--to", "2").document

    assert pg_dump(empty_database, exclude_schemas=()) == before
    assert "0002_b.sql (up, one transaction)" in shown.out
    assert "CREATE TABLE b (id int);" in shown.out
    assert "nothing was run" in shown.out
    assert document["dry_run"] is True
    assert document["after"] == 0
    assert document["steps"][1]["sql"] == [{"line": 2, "text": "CREATE TABLE b (id int);"}]
    assert len(document["steps"]) == 2


def test_a_dry_run_of_down_and_redo_runs_nothing_either(
    empty_database: str, tmp_path: Path
) -> None:
    up(empty_database, write_files(tmp_path, THREE))
    before = pg_dump(empty_database, exclude_schemas=())

    assert "DROP TABLE c;" in down(empty_database, tmp_path, "--dry-run").out
    redo = run("redo", "--dry-run", "--dir", tmp_path, url=empty_database)
    assert "DROP TABLE c;" in redo.out
    assert "CREATE TABLE c (id int);" in redo.out

    assert pg_dump(empty_database, exclude_schemas=()) == before


def test_a_version_without_a_file_is_reported_and_not_taken_back(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    up(empty_database, write_files(tmp_path, THREE))
    (tmp_path / "0003_c.sql").unlink()

    status = run("status", "--check", "--json", "--dir", tmp_path, url=empty_database)
    assert status.code == 3
    assert status.document["migrations"][-1] == {
        "version": 3,
        "file": None,
        "state": "no file",
        "applied_at": status.document["migrations"][-1]["applied_at"],
        "content": None,
    }

    ignored = run("up", "--dir", tmp_path, url=empty_database)
    assert ignored.code == 0
    assert "event=version.without_file" in ignored.err

    for command in ("down", "redo"):
        refused = run(command, "--dir", tmp_path, url=empty_database)
        assert refused.code == 3
        assert "Version 3 is applied, and no file has this version" in refused.err
    assert exists(connect(empty_database), "c")


def test_a_read_only_database_is_refused_before_anything_is_tried(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    name = scalar(connection, "SELECT current_database()")
    connection.execute(
        psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
            psycopg.sql.Identifier(str(name))
        )
    )

    outcome = up(empty_database, write_files(tmp_path, THREE))

    assert outcome.code == 3
    assert "read-only" in outcome.err
    assert "Nothing was changed." in outcome.err


def test_the_whole_chain_goes_up_and_down_again(empty_database: str, connect: Connect) -> None:
    assert run("up", "--to", "10", url=empty_database).code == 0
    assert versions(connect(empty_database)) == list(range(11))

    outcome = run("down", "--to", "0", url=empty_database)

    assert outcome.code == 0, outcome.err
    assert versions(connect(empty_database)) == [0]
