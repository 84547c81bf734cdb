"""plan: what a run will lock is what it locks, seen before, on a database that nobody touches."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.postgres.lock_manual import by_the_manual
from refactorkit.postgres.lock_modes import LockMode
from tests.support.chain import SQL
from tests.support.cli import run, write_files
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.refactor_chain import write_refactor
from tests.support.roles import fresh_role, give_everything, with_user

Connect = Callable[..., psycopg.Connection]
FILE = "0011_refactor_to_menopausal.sql"


def make_plan(url: str, file: Path, *arguments: str | Path) -> Any:
    outcome = run("plan", *arguments, "--json", url=url)
    assert outcome.code == 0, outcome.err
    file.write_text(outcome.out)
    return outcome.document


def operate(url: str, operation: str, plan: Path, *options: str | Path) -> Any:
    outcome = run(operation, "--yes", "--plan", plan, "--json", *options, url=url)
    assert outcome.code == 0, outcome.err
    return outcome.document


def is_as_planned(planned: Any, ran: Any) -> int:
    """Hold a run to its plan: the locks of every statement, and the rows that were predicted.

    Returns the number of statements with predicted rows: those inside a block have none.
    """
    assert planned["locks"] == "observed on a copy"
    assert planned["refused"] is None
    assert ran["plan"]["differences"] == [], "\n".join(map(str, ran["plan"]["differences"]))
    statements = {
        (step["file"], each["line"]): each
        for step in planned["steps"]
        for each in step["statements"]
    }
    assert ran["plan"]["not_compared"] == 0
    assert ran["plan"]["compared"] == len(statements) == len(ran["statements"])
    predicted = 0
    for each in ran["statements"]:
        rows = statements[each["file"], each["line"]]["rows"]
        predicted += rows is not None
        assert rows in (None, each["rows"]), each
    return predicted


def test_a_run_takes_the_locks_and_writes_the_rows_that_the_plan_said_in_either_direction(
    database_at_10: str, tmp_path: Path
) -> None:
    """Twice up: the second has claims, tokens, clinics and notifications to give back."""
    url, file = database_at_10, tmp_path / "plan.json"
    open_clinic(url)
    assert is_as_planned(make_plan(url, file), operate(url, "cutover", file)) > 0
    work_as_version_11(url)
    is_as_planned(make_plan(url, file, "down"), operate(url, "rollback", file))
    is_as_planned(make_plan(url, file), operate(url, "cutover", file))


def test_a_plan_of_another_refactor_is_as_true(empty_database: str, tmp_path: Path) -> None:
    chain = tmp_path / "sql"
    chain.mkdir()
    write_refactor(chain, empty_database, "devices")
    for direction, operation in (("up", "cutover"), ("down", "rollback")):
        file = tmp_path / "plan.json"
        planned = make_plan(empty_database, file, direction, "--dir", chain)
        is_as_planned(planned, operate(empty_database, operation, file, "--dir", chain))


def test_an_owner_without_other_rights_sees_the_same_plan(
    database_at_10: str, tmp_path: Path
) -> None:
    with fresh_role(database_at_10) as name:
        give_everything(database_at_10, name)
        file = tmp_path / "plan.json"
        url = with_user(database_at_10, name)
        is_as_planned(make_plan(url, file), operate(url, "cutover", file))


def test_a_superuser_sees_the_plan_of_a_database_that_belongs_to_others_and_nobody_is_one_there(
    database_at_10: str, tmp_path: Path, connect: Connect
) -> None:
    """The archive is the superuser's, all else the application's; readers come by membership."""
    url, file, admin = database_at_10, tmp_path / "plan.json", connect(database_at_10)
    with fresh_role(url) as owner, fresh_role(url) as group, fresh_role(url) as reader:
        give_everything(url, owner)
        admin.execute("ALTER SCHEMA archive OWNER TO CURRENT_USER")
        for (name,) in admin.execute(
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relnamespace = 'archive'::regnamespace AND relkind = 'r'"
        ).fetchall():
            admin.execute(f"ALTER TABLE {name} OWNER TO CURRENT_USER".encode())
        admin.execute(f"GRANT {group} TO {reader}".encode())
        admin.execute(f"GRANT SELECT ON public.patients TO {group}".encode())
        admin.execute(f"GRANT SELECT ON public.users TO {reader}".encode())
        is_as_planned(make_plan(url, file), operate(url, "cutover", file))
        is_as_planned(make_plan(url, file, "down"), operate(url, "rollback", file))

        # What only a superuser can make is not made: it would run with a superuser's rights.
        admin.execute(
            "CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$"
        )
        admin.execute("CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f()")
        planned = make_plan(url, file)
        assert planned["locks"] == "from the manual"
        assert planned["why_not_observed"].startswith("pg_restore")


def test_a_lock_that_the_plan_did_not_have_is_told_and_one_that_was_not_taken_too(
    database_at_10: str, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    planned = make_plan(database_at_10, file)
    locks = planned["steps"][0]["statements"][1]
    assert {lock["table"] for lock in locks["locks"]} >= {"public.users", "public.patients"}
    taken = locks["locks"].pop()
    locks["locks"].append({"table": "public.model_runs", "mode": "EXCLUSIVE"})
    file.write_text(json.dumps(planned))

    ran = operate(database_at_10, "cutover", file)

    told = {(each["line"], each["table"], each["what"]) for each in ran["plan"]["differences"]}
    line = locks["line"]
    assert told >= {(line, taken["table"], "not planned"), (line, "public.model_runs", "not taken")}


def test_a_plan_of_another_text_is_refused_before_anything_is_run(
    database_at_10: str, tmp_path: Path
) -> None:
    file = tmp_path / "plan.json"
    planned = make_plan(database_at_10, file, "--no-observe")
    planned["steps"][0]["sha256"] = "0" * 64
    file.write_text(json.dumps(planned))
    outcome = run("cutover", "--yes", "--plan", file, url=database_at_10)
    assert outcome.code == 3
    assert "The plan was not made of 0011_refactor_to_menopausal.sql as it is now." in outcome.err
    file.write_text("[]")
    assert run("cutover", "--yes", "--plan", file, url=database_at_10).code == 2
    assert run("cutover", "--yes", "--plan", tmp_path / "none", url=database_at_10).code == 2


def test_a_plan_leaves_no_trace_and_waits_for_no_writer(
    database_at_10: str, tmp_path: Path, connect: Connect
) -> None:
    before = pg_dump(database_at_10, exclude_schemas=())
    writer = connect(database_at_10, autocommit=False)
    writer.execute("UPDATE public.patients SET age = age")
    writer.execute("UPDATE public.users SET role = role")
    planned = make_plan(database_at_10, tmp_path / "plan.json")
    writer.rollback()
    assert planned["locks"] == "observed on a copy"
    assert pg_dump(database_at_10, exclude_schemas=()) == before


def test_all_files_of_an_empty_database_are_planned(empty_database: str, tmp_path: Path) -> None:
    planned = make_plan(empty_database, tmp_path / "plan.json")
    assert planned["refused"] is None
    assert [step["file"] for step in planned["steps"]] == sorted(f.name for f in SQL.glob("*.sql"))
    assert (planned["before"], planned["after"]) == (0, 11)


def test_what_would_be_refused_is_told(database_at_10: str, connect: Connect) -> None:
    connect(database_at_10).execute("CREATE VIEW public.v AS SELECT id FROM public.patients")
    outcome = run("plan", url=database_at_10)
    assert outcome.code == 0
    assert "On the copy: " in outcome.out
    assert "v depends on public.patients" in outcome.out
    assert "not known" in outcome.out


def test_where_no_copy_can_be_made_the_manual_is_asked_and_that_is_said(
    database_at_10: str, tmp_path: Path
) -> None:
    with fresh_role(database_at_10) as name:  # may not read the tables
        psycopg.connect(database_at_10, autocommit=True).execute(
            f"GRANT SELECT ON goose_db_version TO {name}".encode()
        ).connection.close()
        outcome = run("plan", "--json", url=with_user(database_at_10, name))
    assert outcome.code == 0, outcome.err
    assert outcome.document["locks"] == "from the manual"
    assert outcome.document["why_not_observed"].startswith("pg_")
    text = run("plan", "--programs", tmp_path, url=database_at_10)
    assert "Locks from PostgreSQL's manual, not observed" in text.out
    statements = outcome.document["steps"][0]["statements"]
    blocks = [each for each in statements if each["begins"].startswith("DO ")]
    assert blocks
    assert {each["locks"] is None for each in blocks} == {True}


STATEMENTS = {
    "INSERT INTO public.a VALUES (1)": "ROW EXCLUSIVE",
    "UPDATE public.a SET id = 2": "ROW EXCLUSIVE",
    "DELETE FROM ONLY public.a": "ROW EXCLUSIVE",
    "TRUNCATE public.a": "ACCESS EXCLUSIVE",
    "ANALYZE public.a": "SHARE UPDATE EXCLUSIVE",
    "LOCK TABLE public.a IN SHARE ROW EXCLUSIVE MODE": "SHARE ROW EXCLUSIVE",
    "LOCK public.a": "ACCESS EXCLUSIVE",
    "ALTER TABLE IF EXISTS public.a ADD COLUMN x int": "ACCESS EXCLUSIVE",
    "ALTER TABLE public.a RENAME COLUMN id TO other": "ACCESS EXCLUSIVE",
    "ALTER TABLE public.a ADD CONSTRAINT c CHECK (id > 0) NOT VALID": "ACCESS EXCLUSIVE",
    "ALTER TABLE public.a ADD CONSTRAINT f FOREIGN KEY (b_id) REFERENCES public.b (id)": (
        "SHARE ROW EXCLUSIVE"
    ),
    "ALTER TABLE public.a VALIDATE CONSTRAINT old": "SHARE UPDATE EXCLUSIVE",
    "ALTER TABLE public.a DISABLE TRIGGER USER": "SHARE ROW EXCLUSIVE",
    "ALTER TABLE public.a SET SCHEMA other": "ACCESS EXCLUSIVE",
    "CREATE INDEX i ON public.a (id)": "SHARE",
    "DROP TABLE public.a": "ACCESS EXCLUSIVE",
    'COMMENT ON TABLE public."a" IS NULL': None,
    "CREATE TABLE public.c (id int REFERENCES public.a (id))": None,
}


@pytest.mark.parametrize(("statement", "mode"), STATEMENTS.items())
def test_the_manual_is_right_about_a_statement(
    statement: str, mode: str | None, empty_database: str
) -> None:
    """What it says of the table is what the server's own table of locks says."""
    with psycopg.connect(empty_database) as connection:
        connection.execute(
            "CREATE SCHEMA other; CREATE TABLE public.b (id int PRIMARY KEY);"
            "CREATE TABLE public.a (id int PRIMARY KEY, b_id int,"
            " CONSTRAINT old CHECK (true) NOT VALID)"
        )
        connection.commit()
        oid = connection.execute("SELECT 'public.a'::regclass::oid").fetchone()
        connection.execute(statement.encode())
        rows = connection.execute(
            "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = %s", oid
        ).fetchall()
        connection.rollback()
    seen = max((LockMode.of_pg_locks(row[0]) for row in rows), key=lambda each: each.rank)
    known = by_the_manual(statement)
    if mode is not None:
        assert (known.table, seen) == ("public.a", mode)
        assert known.is_known
        assert dict(known.locks)["public.a"] == mode
    elif known.is_known:
        assert dict(known.locks)["public.a"] == seen == LockMode.SHARE_ROW_EXCLUSIVE
    else:
        assert known.locks == ()


def test_a_planned_file_may_run_without_a_transaction(empty_database: str, tmp_path: Path) -> None:
    psycopg.connect(empty_database, autocommit=True).execute(
        "CREATE TABLE public.a (id int)"
    ).connection.close()
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON public.a (id);\n"
    chain = write_files(tmp_path, {"0001_a.sql": text})
    outcome = run("plan", "--no-observe", "--dir", chain, url=empty_database)
    assert outcome.code == 0, outcome.err
    assert "no transaction" in outcome.out
