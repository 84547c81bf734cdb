"""The drill from the command line: what it shows, where it takes place, what it leaves behind."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support import cli
from tests.support.chain import SQL
from tests.support.cli import Outcome
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.servers import Server

LEFT = "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'refactorkit_drill_')"
DEFAULT_STEPS = [
    "chain", "seed", "dressing", "before", "up", "people", "verify", "evidence", "evidence-rows",
    "down", "undo-rows", "undo-catalog", "up-again", "writes", "after", "custodian",
    "down-after-writes", "rollback-rows", "rollback-catalog", "rollback-decisions",
    "verify-rollback", "up-once-more", "redo-rows", "redo-catalog", "verify-redo", "sequences",
]  # fmt: skip
COMPARISONS = ("people", "undo-rows", "rollback-rows", "redo-rows")


@pytest.fixture
def admin(server: Server, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    return connect(server.url("postgres"))


def drill(*arguments: str | Path, url: str | None = None) -> Outcome:
    return cli.run("--dir", SQL, "--log-level", "error", "drill", *arguments, url=url)


def seeded(url: str, patients: int = 40) -> None:
    outcome = cli.run("seed", "--patients", str(patients), "--awkward", url=url)
    assert outcome.code == 0, outcome.err


def test_a_newcomers_drill_passes_on_the_embedded_server() -> None:
    outcome = drill("--patients", "60")
    assert outcome.code == 0, outcome.out + outcome.err
    closing = outcome.out.strip().splitlines()[-1]
    assert re.match(
        r"PASS: 70 of 70 patients became users, (\d+) of \1 assessments kept their person;", closing
    )
    assert "Cutover once more" in outcome.out
    assert "FAIL" not in outcome.out


def test_json_has_the_verdict_the_server_the_steps_and_the_counts(
    server: Server, admin: psycopg.Connection
) -> None:
    before = scalar(admin, LEFT)
    outcome = drill("--json", "--patients", "60", url=server.url("postgres"))
    document = outcome.document
    assert (outcome.code, document["verdict"]) == (0, "pass"), document
    assert document["server"]["kind"] == "beside"
    assert document["server"]["version"] == server.version
    assert [step["name"] for step in document["steps"]] == DEFAULT_STEPS
    for step in document["steps"]:
        assert step["verdict"] == "pass"
        assert step["seconds"] >= 0
        assert step["rows"] > 0
        assert step["differences"] == 0
        assert (step["columns"] > 0) or step["name"] not in COMPARISONS
    counts = document["counts"]
    assert counts["patients"] == counts["patients_as_users"] == 70
    assert counts["assessments_with_a_person"] == counts["assessments_at_home"] > 0
    assert document["not_in_data"] == []
    assert all(
        document["writes"][kind] > 0
        for kind in ("accounts claimed", "subjects deleted", "owners deleted", "tokens issued")
    )
    assert scalar(admin, LEFT) == before


def test_the_same_seed_writes_the_same(server: Server) -> None:
    url = server.url("postgres")
    first, again = (
        drill("--json", "--patients", "20", "--seed", "7", url=url).document for _ in range(2)
    )
    assert first["writes"] == again["writes"]
    rows = [[step["rows"] for step in document["steps"]] for document in (first, again)]
    assert rows[0] == rows[1]


def test_a_copied_database_is_only_read_and_nothing_stays_behind(
    database_at_10: str, admin: psycopg.Connection
) -> None:
    seeded(database_at_10)
    before, left = pg_dump(database_at_10, exclude_schemas=()), scalar(admin, LEFT)
    outcome = drill("--json", "--from", database_at_10)
    document = outcome.document
    assert (outcome.code, document["verdict"]) == (0, "pass"), document
    assert document["server"]["kind"] == "copy"
    steps = {step["name"]: step for step in document["steps"]}
    assert "seed" not in steps
    assert steps["copy"]["rows"] > 200
    assert steps["chain"]["rows"] == 0
    assert document["counts"]["patients"] == 50
    assert pg_dump(database_at_10, exclude_schemas=()) == before
    assert scalar(admin, LEFT) == left
    password = psycopg.conninfo.conninfo_to_dict(database_at_10).get("password")
    assert password is None or str(password) not in outcome.out + outcome.err


def test_a_copy_below_version_10_is_brought_there_first(
    make_database: Callable[[int], str],
) -> None:
    outcome = drill("--json", "--from", make_database(7))
    document = outcome.document
    assert (outcome.code, document["verdict"]) == (0, "pass"), document
    assert {s["name"]: s["rows"] for s in document["steps"]}["chain"] == 3
    assert document["counts"]["patients"] == 10
    assert document["counts"]["assessments_at_home"] == 23


def test_a_database_beyond_version_10_is_refused(
    make_database: Callable[[int], str], admin: psycopg.Connection
) -> None:
    left = scalar(admin, LEFT)
    outcome = drill("--json", "--from", make_database(11))
    assert outcome.code == 3
    assert outcome.document["verdict"] == "incomplete"
    assert "begins at version 10" in outcome.document["error"]["message"]
    assert scalar(admin, LEFT) == left


def test_a_database_that_was_rolled_back_before_can_be_drilled_on(database_at_10: str) -> None:
    seeded(database_at_10)
    assert cli.run("--dir", SQL, "up", url=database_at_10).code == 0
    with psycopg.connect(database_at_10) as connection:
        connection.execute(
            "UPDATE users SET email = id || '@own.invalid', phone = '1', bmi = 20"
            " WHERE id IN (SELECT target_id FROM archive.patients_map ORDER BY 1 LIMIT 5)"
        )
        connection.execute("UPDATE users SET bmi = 21 WHERE role = 'admin'")
    assert cli.run("--dir", SQL, "down", url=database_at_10).code == 0
    outcome = drill("--json", "--from", database_at_10)
    assert (outcome.code, outcome.document["verdict"]) == (0, "pass"), outcome.document


def test_a_superuser_lends_the_copy_no_more_rights_than_its_owner_has(
    admin: psycopg.Connection, make_database: Callable[[int], str]
) -> None:
    url, owner = make_database(0), "drill odd\\owner"
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    identifiers = [psycopg.sql.Identifier(str(name)), psycopg.sql.Identifier(owner)]
    admin.execute(psycopg.sql.SQL("CREATE ROLE {}").format(identifiers[1]))
    try:
        admin.execute(psycopg.sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*identifiers))
        options = "-c role=" + owner.replace("\\", "\\\\").replace(" ", "\\ ")
        as_owner = psycopg.conninfo.make_conninfo(url, options=options)
        assert cli.run("--dir", SQL, "up", "--to", "10", url=as_owner).code == 0
        outcome = drill("--json", "--from", url)
        assert (outcome.code, outcome.document["verdict"]) == (0, "pass"), outcome.document
        assert outcome.document["server"]["role"] == owner
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(psycopg.sql.SQL("DROP OWNED BY {}").format(identifiers[1]))
        admin.execute(
            psycopg.sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(identifiers[0])
        )
        admin.execute(psycopg.sql.SQL("DROP ROLE {}").format(identifiers[1]))


@pytest.mark.parametrize("accepted", [False, True])
def test_a_guard_is_overruled_in_both_directions(database_at_10: str, accepted: bool) -> None:
    seeded(database_at_10)
    with psycopg.connect(database_at_10) as connection:
        connection.execute("CREATE PUBLICATION feed FOR TABLE public.patients, public.users")
    accept = ("--accept", "publications") if accepted else ()
    outcome = drill("--json", "--from", database_at_10, *accept)
    verdict = "pass" if accepted else "fail"
    assert outcome.document["verdict"] == verdict, outcome.document
    assert outcome.code == (0 if accepted else 3)


def test_without_pg_dump_a_drill_is_incomplete(server: Server, tmp_path: Path) -> None:
    outcome = drill(
        "--json", "--patients", "20", "--programs", tmp_path, url=server.url("postgres")
    )
    document = outcome.document
    assert (outcome.code, document["verdict"]) == (3, "incomplete")
    verdicts = {step["name"]: step["verdict"] for step in document["steps"]}
    unfinished = {name for name, verdict in verdicts.items() if verdict != "pass"}
    assert unfinished == {"undo-catalog", "rollback-catalog", "redo-catalog"}
    assert all(
        "does not run" in step["reason"] for step in document["steps"] if step["name"] in unfinished
    )


def test_a_pg_dump_older_than_the_server_is_not_used(server: Server, tmp_path: Path) -> None:
    program = tmp_path / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    program.chmod(0o755)
    outcome = drill(
        "--json", "--patients", "20", "--programs", tmp_path, url=server.url("postgres")
    )
    assert outcome.document["verdict"] == "incomplete"
    (reason, *_) = [s["reason"] for s in outcome.document["steps"] if s["name"] == "undo-catalog"]
    assert "is 9, and the server is" in reason


def test_without_pg_dump_nothing_is_copied_and_what_was_not_run_is_no_pass(
    database_at_10: str, tmp_path: Path, admin: psycopg.Connection
) -> None:
    left = scalar(admin, LEFT)
    outcome = drill("--json", "--from", database_at_10, "--programs", tmp_path)
    assert (outcome.code, outcome.document["verdict"]) == (3, "incomplete")
    verdicts = {step["verdict"] for step in outcome.document["steps"]}
    assert verdicts == {"incomplete"}
    assert outcome.document["steps"][-1]["reason"] == "It was not run."
    assert scalar(admin, LEFT) == left


def test_a_drill_that_had_nobody_to_write_about_is_incomplete(database_at_10: str) -> None:
    with psycopg.connect(database_at_10) as connection:
        connection.execute("DELETE FROM public.patients")
    outcome = drill("--json", "--from", database_at_10)
    assert (outcome.code, outcome.document["verdict"]) == (3, "incomplete"), outcome.document
    (reason,) = [s["reason"] for s in outcome.document["steps"] if s["name"] == "writes"]
    assert "accounts claimed" in reason
    assert "edits of bmi" in reason


def test_a_refusal_of_the_migration_is_told_and_the_rest_was_not_run(database_at_10: str) -> None:
    with psycopg.connect(database_at_10) as connection:
        connection.execute("CREATE VIEW public.v AS SELECT id FROM public.patients")
    outcome = drill("--json", "--from", database_at_10)
    assert (outcome.code, outcome.document["verdict"]) == (3, "fail")
    steps = {step["name"]: step for step in outcome.document["steps"]}
    assert "depends on" in steps["up"]["reason"]
    assert steps["down"]["verdict"] == "incomplete"


def test_a_kept_database_is_named_and_without_copies(
    server: Server, admin: psycopg.Connection
) -> None:
    outcome = drill("--json", "--patients", "5", "--keep", url=server.url("postgres"))
    name = outcome.document["server"]["database"]
    assert outcome.document["server"]["kept"] is True
    try:
        with psycopg.connect(server.url(name)) as connection:
            assert scalar(connection, "SELECT max(version_id) FROM goose_db_version") == 11
            schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'refactorkit%'"
            assert scalar(connection, schemas) == 0
    finally:
        admin.execute(psycopg.sql.SQL("DROP DATABASE {}").format(psycopg.sql.Identifier(name)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_no_database(
    database_at_10: str, admin: psycopg.Connection, number: signal.Signals
) -> None:
    seeded(database_at_10, 300)
    mine = "SELECT oid::bigint FROM pg_database WHERE starts_with(datname, 'refactorkit_drill_')"
    others = {oid for (oid,) in admin.execute(mine)}
    process = cli.start("--dir", SQL, "drill", "--from", database_at_10)
    deadline = time.monotonic() + 60
    made: set[int] = set()
    while not made and time.monotonic() < deadline and process.poll() is None:
        made = {oid for (oid,) in admin.execute(mine)} - others
        time.sleep(0.05)
    assert made
    time.sleep(1.0)
    process.send_signal(number)
    outcome = cli.finish(process)
    assert outcome.code == 1
    assert "Interrupted" in outcome.err
    assert not made & {oid for (oid,) in admin.execute(mine)}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--from", "postgresql://x/y", "--patients", "3"), "--patients"),
        (("--keep",), "--keep"),
        (("--restore-as", "somebody"), "--restore-as"),
        (("--from", "not a url"), "malformed"),
    ],
)
def test_a_contradiction_is_an_error_of_usage(arguments: tuple[str, ...], what: str) -> None:
    outcome = drill(*arguments)
    assert outcome.code == 2
    assert what in outcome.err
    assert "postgresql://x/y" not in outcome.err


def test_a_server_that_is_not_there_is_a_failure_and_no_verdict(tmp_path: Path) -> None:
    outcome = drill("--json", "--from", f"postgresql:///x?host={tmp_path}")
    assert outcome.code == 1
    assert outcome.document["verdict"] == "incomplete"
