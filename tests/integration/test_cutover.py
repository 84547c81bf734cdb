"""cutover: asks first, does all or nothing, verifies, and says what there is to say."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.chain import Chain
from refactorkit.commands.cutover import CutoverRequest, cutover
from refactorkit.commands.operation.checked import check
from refactorkit.commands.operation.model import Asked, Question
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.migrations.model import Direction
from refactorkit.migrations.plan import Step
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.turn_facts import count_deletions, moment
from tests.support.chain import SQL
from tests.support.cli import finish, run, start, write_files
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.planted import count_statements, plant
from tests.support.processes import wait_until
from tests.support.queries import scalar
from tests.support.refactor import turn
from tests.support.refactor_chain import write_refactor
from tests.support.scripts import chain
from tests.support.terminal import converse

Connect = Callable[..., psycopg.Connection]
CANARY = "Canary-77e1"


def everything(url: str) -> tuple[str, list[tuple[object, ...]]]:
    """The whole database as text, the archive and the places of sequences included."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' ORDER BY 1"
        ).fetchall()
        places: list[tuple[object, ...]] = [
            row
            for (name,) in names
            for row in connection.execute(
                f"SELECT '{name}', last_value, is_called FROM {name}".encode()
            )
        ]
    return pg_dump(url, exclude_schemas=()), places


def version(connection: psycopg.Connection) -> object:
    return scalar(connection, "SELECT max(version_id) FROM goose_db_version")


def request(url: str, **more: object) -> CutoverRequest:
    chain = Chain(dsn=Dsn.parse(url), directory=SQL, table="goose_db_version", environ={})
    return CutoverRequest(chain=chain, **more)  # type: ignore[arg-type]


def began_since(asked_at: datetime, document: Any) -> bool:
    """Tell whether a report says in UTC that it began between a moment and now."""
    began_at = datetime.fromisoformat(document["started_at"])
    assert began_at.utcoffset() == timedelta(0)
    return asked_at.replace(microsecond=0) <= began_at <= datetime.now(UTC)


def test_it_is_done_verified_and_told(database_at_10: str) -> None:
    open_clinic(database_at_10)
    asked_at = datetime.now(UTC)
    outcome = run("cutover", "--yes", "--json", url=database_at_10)
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert began_since(asked_at, document)
    assert (document["verdict"], document["before"], document["after"]) == ("pass", 10, 11)
    (report,) = document["refactors"]
    counts = report["counts"]
    assert counts["sources"] == counts["pairs"] == counts["subjects"] == 14
    assert counts["natives"] == 7
    assert [each["holds"] for each in report["equations"]] == [True, True]
    assert document["verify"]["verdict"] == "pass"
    assert document["verify"]["edits_since"] == 0
    assert 0 < document["longest_exclusive_lock_ms"] < document["seconds"] * 1000
    assert any("prepared statements" in step for step in document["next"])
    locks = [each["locks"] for each in document["statements"]]
    assert {"table": "public.users", "mode": "ACCESS EXCLUSIVE", "adds": True} in locks[1]


def test_again_it_changes_nothing_and_verifies(database_at_10: str) -> None:
    assert run("cutover", "--yes", url=database_at_10).code == 0
    before = everything(database_at_10)
    outcome = run("cutover", "--yes", url=database_at_10)
    assert outcome.code == 0
    assert "PASS: already at version 11, nothing was run" in outcome.out
    asked_at = datetime.now(UTC)
    told = run("cutover", "--yes", "--json", url=database_at_10).document
    assert (told["files"], began_since(asked_at, told)) == ([], True)
    assert everything(database_at_10) == before


@pytest.mark.parametrize("operation", ["cutover", "rollback"])
def test_without_a_terminal_and_without_yes_nothing_is_begun(
    operation: str, database_at_10: str
) -> None:
    outcome = run(operation, "--json", url=database_at_10)
    assert outcome.code == 2
    assert outcome.document["verdict"] == "incomplete"
    assert "there is no terminal to ask on" in outcome.document["error"]["message"]


def test_on_a_terminal_it_shows_where_it_is_and_wants_the_databases_name(
    database_at_10: str, connect: Connect
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_at_10)["dbname"]
    asked = "Type the database's name"
    code, said = converse(["cutover"], url=database_at_10, answers=[(asked, "production")])
    assert code == 3
    assert "The operator did not say yes." in said
    assert version(connect(database_at_10)) == 10

    code, said = converse(["cutover"], url=database_at_10, answers=[(asked, str(name))])
    assert code == 0, said
    assert f'cutover of "{name}" on ' in said
    assert "from version 10 to 11: 0011_refactor_to_menopausal.sql" in said
    assert "public.patients: 10 rows" in said
    assert "public.assessments: 23 rows" in said
    assert version(connect(database_at_10)) == 11


@pytest.mark.parametrize("operation", ["cutover", "rollback"])
def test_another_database_or_environment_than_the_one_that_is_meant_is_refused(
    operation: str, database_at_10: str, connect: Connect
) -> None:
    connection = connect(database_at_10)
    name = connection.info.dbname
    if operation == "rollback":
        turn(connection, "up")
        connection.execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (11,true)")
    before = everything(database_at_10)
    options = (operation, "--yes", "--expect-database")
    other = run(*options, "clinic", url=database_at_10)
    assert other.code == 3
    assert f'This is the database "{name}", and "clinic" was expected.' in other.err
    environment = ("--expect-environment", "production")
    unmarked = run(operation, "--yes", *environment, url=database_at_10)
    assert unmarked.code == 3
    assert "is not set" in unmarked.err
    connection.execute(f"ALTER DATABASE {name} SET refactorkit.environment = 'test'".encode())
    wrong = run(operation, "--yes", *environment, url=database_at_10)
    assert wrong.code == 3
    assert 'is "test", and "production" was expected' in wrong.err
    cluster = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert cluster is not None
    this = "--expect-system-identifier"
    elsewhere = run(operation, "--yes", this, str(cluster[0] + 1), url=database_at_10)
    assert elsewhere.code == 3
    assert f"This is the cluster {cluster[0]}, and {cluster[0] + 1} was expected" in elsewhere.err
    assert everything(database_at_10)[1] == before[1]
    connection.execute(f"ALTER DATABASE {name} SET refactorkit.environment = 'production'".encode())
    meant = (*options, name, *environment, this, str(cluster[0]))
    assert run(*meant, url=database_at_10).code == 0


def test_what_was_deleted_in_version_10_is_counted_and_has_to_be_accepted(
    database_at_10: str, connect: Connect
) -> None:
    url, connection = database_at_10, connect(database_at_10)
    open_clinic(url)
    assert run("cutover", "--yes", url=url).code == 0
    work_as_version_11(url)
    assert run("rollback", "--yes", url=url).code == 0
    connection.execute("DELETE FROM public.patients WHERE id IN (1500, 7)")  # one was claimed
    connection.execute("DELETE FROM public.users WHERE id = 30000")  # a native with a profile
    before = everything(url)

    refused = run("cutover", "--yes", url=url)

    assert refused.code == 3
    assert "2 patients that were deleted in version 10 (1 of them with claims" in refused.err
    assert "1 users of their own that were deleted in version 10 (1 of them" in refused.err
    assert "--accept deletions" in refused.err
    assert everything(url) == before
    questions: list[Question] = []

    def no(question: Question) -> bool:
        questions.append(question)
        return False

    with pytest.raises(RefusedError, match="did not say yes"):
        cutover(request(url, confirm=no))
    assert [each.count for each in questions[0].deletions] == [2, 1]
    assert everything(url)[0] == before[0]

    outcome = run("cutover", "--yes", "--accept", "deletions", "--json", url=url)
    assert outcome.code == 0, outcome.err
    assert [each["count"] for each in outcome.document["deletions"]] == [2, 1]
    rules = {each["rule"]: each["count"] for each in outcome.document["refactors"][0]["decisions"]}
    assert rules["deleted in version 10"] == 3
    setting = "SELECT settings ->> 'accept' FROM archive.patients_turns ORDER BY turn DESC LIMIT 1"
    assert scalar(connection, setting) is None


def test_a_verify_that_fails_after_the_commit_says_so_and_names_the_way_back(
    database_at_10: str, connect: Connect, tmp_path: Path
) -> None:
    """A fault in the file: one value is not what the mapping says, and nobody else wrote it."""
    fault = "UPDATE public.users SET bmi = 99 WHERE email = 'patient-7@unclaimed.invalid';"
    last = count_statements(Direction.UP)
    plant(tmp_path, Direction.UP, after=last - 1, statement=fault)
    outcome = run(
        "cutover", "--yes", "--no-preflight", "--json", "--dir", tmp_path, url=database_at_10
    )
    assert outcome.code == 3
    document = outcome.document
    assert document["verdict"] == "fail"
    (difference,) = document["verify"]["differences"]
    assert (difference["table"], difference["column"]) == ("public.users", "bmi")
    (first, _) = document["next"]
    assert "The work is committed: the database is at version 11." in first
    assert "refactorkit rollback" in first
    assert version(connect(database_at_10)) == 11
    text = run("rollback", "--yes", "--dir", tmp_path, url=database_at_10)
    assert text.code == 0, text.err


def test_a_write_of_the_application_since_is_no_failure_and_one_of_ours_is(
    database_at_10: str, connect: Connect
) -> None:
    """Also by a transaction that began before ours and wrote after it."""
    dsn, db = Dsn.parse(database_at_10), connect(database_at_10)
    older, watcher = connect(database_at_10, autocommit=False), connect(database_at_10)
    older.execute("SELECT pg_current_xact_id()")
    with db.transaction():
        for statement in chain()[11].up.statements:
            db.execute(statement.data)
        db.execute("SAVEPOINT s")
        db.execute("UPDATE public.users SET id = id WHERE id = 7")
        db.execute("RELEASE s")
        since = moment(watcher, db.info.backend_pid)
    assert check(dsn, since=since).verdict is Verdict.PASS

    older.execute("UPDATE public.users SET bmi = 50 WHERE email LIKE 'patient-3@%'")
    older.commit()
    db.execute("UPDATE public.users SET bmi = 51 WHERE email LIKE 'patient-4@%'")
    db.execute("DELETE FROM public.users WHERE email LIKE 'patient-5@%'")
    checked = check(dsn, since=since)
    assert (checked.verdict, checked.edits, checked.ours) == (Verdict.PASS, 3, ())

    # The same difference in a row that nobody wrote since: the archive says something else.
    db.execute("UPDATE archive.patients SET bmi = 12 WHERE id IN (6, 7)")
    checked = check(dsn, since=since)
    assert checked.verdict is Verdict.FAIL
    ours = {(d.table, d.row_id, d.column) for d in checked.ours}
    assert {("public.users", "6", "bmi"), ("public.users", "7", "bmi")} <= ours


def test_a_limit_on_holding_locks_gives_up_with_nothing_changed(database_at_10: str) -> None:
    before = everything(database_at_10)
    limit = ("--max-lock-ms", "25", "--retries", "1")
    outcome = run("cutover", "--yes", *limit, "--json", url=database_at_10)
    assert outcome.code == 4
    error = outcome.document["error"]
    assert "was not done after 25 ms (--max-lock-ms), tried 2 times" in error["message"]
    assert error["state"] == "Nothing was changed: the database is at version 10."
    assert everything(database_at_10) == before
    enough = ("--max-lock-ms", "20000")
    assert run("cutover", "--yes", *enough, url=database_at_10).code == 0


def test_a_slow_statement_is_cut_at_the_limit_and_not_at_its_own_end(
    empty_database: str, tmp_path: Path, connect: Connect
) -> None:
    write_refactor(tmp_path, empty_database, "contacts")
    connection = connect(empty_database)
    connection.execute(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_sleep(30); RETURN NEW; END$$"
    )
    run("status", "--dir", tmp_path, url=empty_database)
    connection.execute(
        "CREATE TABLE public.goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS"
        " IDENTITY, version_id bigint NOT NULL, is_applied boolean NOT NULL,"
        " tstamp timestamp NOT NULL DEFAULT now());"
        "INSERT INTO public.goose_db_version (version_id, is_applied) VALUES (0, true);"
        "CREATE TRIGGER t BEFORE INSERT ON public.goose_db_version FOR EACH ROW"
        " EXECUTE FUNCTION public.slow()"
    )
    options = ("--max-lock-ms", "1500", "--retries", "0", "--dir", tmp_path)
    outcome = run("cutover", "--yes", *options, url=empty_database)
    assert outcome.code == 4
    assert "was not done after 1500 ms" in outcome.err


def test_killed_in_the_midst_it_is_at_version_10_and_again_it_is_done(
    database_at_10: str, connect: Connect
) -> None:
    before = everything(database_at_10)
    reader, watching = connect(database_at_10, autocommit=False), connect(database_at_10)
    reader.execute("SELECT count(*) FROM public.user_clinics")
    options = ("--lock-timeout-ms", "60000", "--log-level", "info")
    process = start("cutover", "--yes", *options, url=database_at_10)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    assert wait_until(lambda: scalar(watching, waits) == 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    reader.rollback()
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refactorkit'"
    assert wait_until(lambda: scalar(watching, gone) == 0)
    assert everything(database_at_10) == before
    assert finish(start("cutover", "--yes", url=database_at_10)).code == 0


def test_a_runner_that_was_at_work_while_the_question_was_open_is_noticed(
    database_at_10: str, connect: Connect
) -> None:
    def yes(_question: Question) -> bool:
        connect(database_at_10).execute(
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (10, true)"
        )
        return True

    with pytest.raises(RefusedError, match="version table changed"):
        cutover(request(database_at_10, confirm=yes))


def test_a_gate_that_says_no_is_heard_before_anything_is_asked(database_at_10: str) -> None:
    def closed(session: Asked, steps: tuple[Step, ...]) -> tuple[str, ...]:
        assert session.found.history.current == 10
        return (f"{steps[0].migration.file} is not wanted today.",)

    def never(_question: Question) -> bool:
        raise AssertionError

    with pytest.raises(RefusedError, match="is not wanted today"):
        cutover(request(database_at_10, gates=(closed,), confirm=never))


def test_it_goes_up_to_the_refactor_and_no_further(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    chain = tmp_path / "sql"
    write_files(chain, {"0003_later.sql": "CREATE TABLE IF NOT EXISTS later (id int);"})
    write_refactor(chain, empty_database, "contacts")
    assert run("cutover", "--yes", "--dir", chain, url=empty_database).code == 0
    assert version(connect(empty_database)) == 2
    assert run("up", "--dir", chain, url=empty_database).code == 0
    assert run("rollback", "--yes", "--dir", chain, url=empty_database).code == 0
    assert version(connect(empty_database)) == 0


def test_a_chain_without_a_refactor_is_a_matter_of_up_and_down(
    empty_database: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"0001_a.sql": "CREATE TABLE IF NOT EXISTS a (id int);"})
    for operation in ("cutover", "rollback"):
        outcome = run(operation, "--yes", "--dir", tmp_path, url=empty_database)
        assert outcome.code == 2
        assert "is a refactor" in outcome.err


def test_no_value_is_in_what_it_says(database_at_10: str, connect: Connect) -> None:
    open_clinic(database_at_10)
    connection = connect(database_at_10)
    connection.execute("UPDATE public.patients SET name = %s, hypertension = %s", [CANARY, CANARY])
    connection.execute("UPDATE public.users SET password_hash = %s", [CANARY])
    said = ""
    for command in (["cutover", "--yes"], ["rollback", "--dry-run"], ["rollback", "--yes"]):
        for form in ([], ["--json"]):
            outcome = run(*command, *form, "--log-level", "debug", url=database_at_10)
            said += outcome.out + outcome.err
        if command == ["cutover", "--yes"]:
            work_as_version_11(database_at_10)
            connection.execute("UPDATE public.users SET hypertension = 'no', phone = %s", [CANARY])
    assert "replaced a value without an image" in said
    assert CANARY not in said


def test_an_interruption_while_it_verifies_does_not_hide_that_it_is_done(
    database_at_10: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("refactorkit.commands.operation.carry_out.check", interrupted)
    outcome = run("cutover", "--yes", "--json", url=database_at_10)
    assert outcome.code == 3
    assert outcome.document["verdict"] == "incomplete"
    assert "The work is committed: the database is at version 11." in outcome.document["next"][0]
    assert version(connect(database_at_10)) == 11


def test_the_lock_is_measured_from_its_request_to_the_commit(
    database_at_10: str, tmp_path: Path
) -> None:
    """A pause before the locks is no part of it, one between them and the commit is."""
    plant(tmp_path, Direction.UP, after=4, statement="SELECT pg_sleep(0.3);")
    outcome = run(
        "cutover", "--yes", "--no-preflight", "--json", "--dir", tmp_path, url=database_at_10
    )
    held = outcome.document["longest_exclusive_lock_ms"]
    whole = outcome.document["seconds"] * 1000
    assert 300 < held < whole
    plant(tmp_path, Direction.DOWN, after=1, statement="SELECT pg_sleep(0.3);")
    outcome = run("rollback", "--yes", "--json", "--dir", tmp_path, url=database_at_10)
    assert outcome.document["longest_exclusive_lock_ms"] < outcome.document["seconds"] * 1000 - 300


def test_each_deletion_that_is_counted_is_one_that_up_decides_about(
    database_at_10: str, connect: Connect
) -> None:
    """Row by row: what is counted before is what Up writes down, and what it leaves out."""
    open_clinic(database_at_10)
    assert run("cutover", "--yes", url=database_at_10).code == 0
    work_as_version_11(database_at_10)
    assert run("rollback", "--yes", url=database_at_10).code == 0
    db = connect(database_at_10)
    mapping = embedded_mapping(chain()[11])
    assert mapping is not None
    ids = "SELECT format('DELETE FROM public.%s WHERE id = %s', t, id) FROM ({}) AS x ORDER BY 1"
    both = "SELECT 'patients' AS t, id FROM public.patients UNION SELECT 'users', id FROM users"
    deletions = [row[0] for row in db.execute(ids.format(both).encode()).fetchall()]
    kinds: set[str] = set()
    natives = [
        "DELETE FROM public.patients WHERE user_id = 30000",
        "DELETE FROM public.users WHERE id = 30000",
    ]
    for deletion in [*deletions[::3], *natives]:
        db.execute("BEGIN")
        db.execute("UPDATE public.users SET created_by = NULL")  # it would forbid some
        db.execute(deletion.encode())
        counted = count_deletions(db, mapping)
        for statement in chain()[11].up.statements[1:]:
            db.execute(statement.data)
        decided = scalar(
            db,
            "SELECT count(*) FROM archive.patients_decisions AS d WHERE rule LIKE 'deleted in%10'"
            " AND turn = (SELECT max(turn) FROM archive.patients_turns)",
        )
        db.execute("ROLLBACK")
        of_pairs = [n for what, n, _ in counted if "withheld" not in what and "none" not in what]
        assert sum(of_pairs) == decided, deletion
        kinds |= {reason for reason, _, _ in counted}
    assert len(kinds) >= 3


def test_deletions_that_cannot_be_counted_yet_are_no_yes(database_at_10: str) -> None:
    """Below version 10 the rows may still be in the archive of an earlier file."""
    url = database_at_10
    for command in (["cutover", "--yes"], ["rollback", "--yes"], ["down", "--to", "9"]):
        assert run(*command, url=url).code == 0
    refused = run("cutover", "--yes", url=url)
    assert refused.code == 3
    assert "cannot be counted: 0010_admin_features.sql and what follows" in refused.err
    assert run("up", "--to", "10", url=url).code == 0
    assert run("cutover", "--yes", url=url).code == 0
