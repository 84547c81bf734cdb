"""verify --rollback as its user meets it: answers, refusals, and that nothing was touched."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.rollback import measure
from refactorkit.postgres.verification import snapshot
from tests.support.chain import SQL
from tests.support.cli import Outcome, run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.refusals import CANARY, keeps_secrets, plant_canary, refused
from tests.support.roles import fresh_role, with_user
from tests.support.scripts import chain

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]
HEAD = "sixty@clinic.invalid"


@pytest.fixture
def url(database_at_10: str) -> str:
    """A clinic that went to version 11 and worked there; one owner has left since."""
    open_clinic(database_at_10)
    plant_canary(database_at_10)
    assert run("up", "--dir", SQL, url=database_at_10).code == 0
    work_as_version_11(database_at_10)
    return database_at_10


@pytest.fixture
def db(url: str, connect: Connect) -> psycopg.Connection:
    return connect(url)


def meter(url: str, *arguments: str, directory: Path = SQL) -> Outcome:
    return run("verify", "--rollback", "--json", *arguments, "--dir", directory, url=url)


def test_it_passes_counts_and_decides_as_down_then_does(url: str, connect: Connect) -> None:
    told = meter(url)
    assert told.code == 0, told.err
    assert told.document["verdict"] == "pass"
    (found,) = told.document["refactors"]
    assert (found["name"], found["version"], found["turn"]) == ("patients", 11, 2)
    assert (found["refusals"], found["obstacles"], found["unknown"]) == ([], [], [])
    assert run("down", "--dir", SQL, url=url).code == 0
    db = connect(url)
    counts = found["counts"]
    assert counts["restored"] + counts["created"] == scalar(db, "SELECT count(*) FROM patients")
    assert (counts["withheld_soft"], counts["withheld_hard"], counts["created"]) == (1, 1, 1)
    assert counts["merged_columns"] == {"bmi": 1, "menopause_status": 1}
    assert counts["new_tables"] == {"notification_queue": 2}
    last = run("verify", "--json", url=url).document["refactors"][0]["decisions"]
    assert last["last_turn"]["by_rule"] == found["decisions"]
    assert last["last_turn"]["count"] == sum(each["count"] for each in found["decisions"]) > 0


def test_the_text_says_the_same(url: str) -> None:
    told = run("verify", "--rollback", "--dir", SQL, url=url)
    assert told.code == 0
    assert "patients: what Down would do now, as turn 2." in told.out
    assert "with an edit carried home" in told.out
    assert "replaced a value without an image" in told.out
    assert told.out.endswith("PASS: nothing is known that would stop Down.\n")
    assert keeps_secrets(told, url)


def test_an_owner_who_is_gone_is_a_refusal_until_a_custodian_is_named(
    url: str, db: psycopg.Connection
) -> None:
    db.execute("DELETE FROM users WHERE id = 900")
    told = meter(url)
    assert told.code == 3
    assert told.document["verdict"] == "fail"
    (found,) = told.document["refactors"]
    (refusal,) = found["refusals"]
    down = run("down", "--json", "--dir", SQL, url=url)
    assert down.code == 3
    assert refusal["text"] in down.document["error"]["message"]
    assert found["counts"]["reowned"] == 1
    assert meter(url, "--custodian", HEAD).code == 0
    (nobody,) = meter(url, "--custodian", "nobody@x").document["refactors"][0]["refusals"]
    assert "the custodian must be an existing row of users" in nobody["text"]
    assert run("down", "--custodian", HEAD, "--dir", SQL, url=url).code == 0


def test_the_operators_choices_change_the_answer_as_they_change_down(
    url: str, connect: Connect
) -> None:
    def rules(*arguments: str) -> dict[tuple[str, str], int]:
        (found,) = meter(url, *arguments).document["refactors"]
        return {(each["rule"], each["column"]): each["count"] for each in found["decisions"]}

    assert rules()["made in version 11", "is_active"] == 1
    assert ("made in version 11", "is_active") not in rules("--keep-logins")
    live = meter(url).document["refactors"][0]["counts"]["merged_columns"]
    kept = meter(url, "--on-conflict", "archive").document["refactors"][0]["counts"]
    assert live["menopause_status"] == 1
    assert "menopause_status" not in kept["merged_columns"]
    assert run("down", "--on-conflict", "archive", "--dir", SQL, url=url).code == 0
    assert scalar(connect(url), "SELECT menopause_status FROM patients WHERE id = -7") == "unknown"


def test_a_guard_that_has_a_name_says_it_and_can_be_overruled(
    url: str, db: psycopg.Connection
) -> None:
    db.execute("CREATE INDEX mine ON users (phone); ALTER TABLE users DROP CONSTRAINT"
               " users_hypertension_check; CREATE TABLE notes (u integer REFERENCES users);"
               " DELETE FROM users WHERE id = 900")  # fmt: skip
    (found,) = meter(url).document["refactors"]
    assert sorted(str(each["accept"]) for each in found["refusals"]) == ["None", "drift", "drift"]
    assert ["owner" in each["text"] for each in found["later_refusals"]] == [True]
    text = run("verify", "--rollback", "--dir", SQL, url=url).out
    assert "  refuses: constraint users_hypertension_check is not there (--accept drift)\n" in text
    assert "  and then: the owner of 1 patients is gone (id 1500)" in text
    db.execute("DROP TABLE notes")
    assert meter(url, "--accept", "drift", "--custodian", HEAD).code == 0
    done = run("down", "--accept", "drift", "--custodian", HEAD, "--dir", SQL, url=url)
    assert done.code == 0, done.err


def test_nothing_is_changed_not_even_a_transaction_number(url: str, db: psycopg.Connection) -> None:
    db.execute("DELETE FROM users WHERE id = 900; CREATE INDEX mine ON users (phone)")
    query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    places = "SELECT string_agg(concat(sequencename, last_value), ',') FROM pg_sequences"
    before = pg_dump(url, exclude_schemas=()), scalar(db, places)

    def takes_no_number() -> bool:
        number = scalar(db, query)
        for arguments in ((), ("--accept", "drift", "--custodian", HEAD)):
            assert meter(url, *arguments).code in (0, 3)
        return bool(scalar(db, query) == number)

    # The counter is the whole server's: autovacuum may take one meanwhile, though not every time.
    assert any(takes_no_number() for _ in range(5))
    assert (pg_dump(url, exclude_schemas=()), scalar(db, places)) == before


def test_it_holds_no_lock_that_a_writer_could_meet(
    db: psycopg.Connection, url: str, connect: Connect
) -> None:
    writer = connect(url)
    writer.execute("SET lock_timeout = '50ms'")
    with snapshot(db, pin_times=False):
        (turn,) = last_turns(db)
        assert turn.mapping is not None
        measure(db, turn.mapping, settings={})
        modes = writer.execute(
            "SELECT DISTINCT locktype, mode FROM pg_locks WHERE pid = %s", [db.info.backend_pid]
        ).fetchall()
        assert set(modes) == {("relation", "AccessShareLock"), ("virtualxid", "ExclusiveLock")}
        writer.execute("UPDATE users SET bmi = 1; DELETE FROM assessments; INSERT INTO audit_events"
            " (action) VALUES ('x'); CREATE INDEX ON users (phone)")  # fmt: skip


def test_whoever_holds_a_table_for_long_makes_it_busy(url: str, connect: Connect) -> None:
    holder = connect(url, autocommit=False)
    holder.execute("LOCK TABLE users")
    told = meter(url)
    assert told.code == 4
    assert told.document["verdict"] == "incomplete"


@pytest.fixture
def reader(url: str) -> Iterator[str]:
    """A role that may read every table and sequence, and nothing else."""
    with fresh_role(url) as name:
        with psycopg.connect(url, autocommit=True) as admin:
            role = sql.Identifier(name)
            admin.execute(sql.SQL("GRANT USAGE ON SCHEMA archive TO {}").format(role))
            for schema in ("public", "archive"):
                for what in ("TABLES", "SEQUENCES"):
                    grant = "GRANT SELECT ON ALL {} IN SCHEMA {} TO {}"
                    admin.execute(
                        sql.SQL(grant).format(sql.SQL(what), sql.Identifier(schema), role)
                    )
        yield name


def test_a_reader_who_may_not_call_the_archives_functions_gets_no_pass(
    url: str, reader: str
) -> None:
    owner = psycopg.conninfo.conninfo_to_dict(url)["user"]
    asking = ("--run-by", str(owner), "--accept", "archive_readers")
    told = meter(with_user(url, reader), *asking)
    assert told.code == 3
    assert told.document["verdict"] == "incomplete"
    (found,) = told.document["refactors"]
    assert found["counts"] is None
    (reason,) = found["unknown"]
    assert reason.startswith("Nothing could be counted: this user may not read or call archive.")
    assert "archive.patients_back_hypertension" in reason


def test_a_reader_who_may_call_them_measures_for_the_one_who_runs_down(
    url: str, reader: str, db: psycopg.Connection
) -> None:
    execute = "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA archive TO {}"
    db.execute(sql.SQL(execute).format(sql.Identifier(reader)))
    owner = psycopg.conninfo.conninfo_to_dict(url)["user"]
    theirs = meter(with_user(url, reader), "--run-by", str(owner), "--accept", "archive_readers")
    own = meter(url, "--accept", "archive_readers")
    assert theirs.code == 0, theirs.out
    assert theirs.document == own.document
    # Without --run-by it is the reader who would run Down, and may not.
    alone = meter(with_user(url, reader), "--accept", "archive_readers").document
    assert alone["verdict"] == "fail"
    texts = [each["text"] for each in alone["refactors"][0]["refusals"]]
    assert f"schema archive belongs to {owner}, and not to {reader}" in texts


def test_what_is_missing_for_a_reader_is_named(
    url: str, reader: str, db: psycopg.Connection
) -> None:
    role = sql.Identifier(reader)
    db.execute(
        sql.SQL("REVOKE SELECT ON public.goose_db_version, assessments FROM {}").format(role)
    )
    (found,) = meter(with_user(url, reader)).document["refactors"]
    assert [each for each in found["unknown"] if "may not read public.goose_db_version" in each]
    assert [each for each in found["unknown"] if "public.assessments" in each]


@pytest.mark.parametrize(
    ("version", "says", "do"),
    [
        (10, "There is nothing to take back: no refactor has run", "refactorkit status"),
        (-10, "There is nothing to take back: Down of patients has run", "refactorkit status"),
        (
            -11,
            "The archive says that version 11 is applied, and public.goose_db_version",
            "--table",
        ),
    ],
)
def test_a_database_that_is_not_at_version_11_is_refused(
    make_database: MakeDatabase, version: int, says: str, do: str
) -> None:
    url = make_database(10 if version == 10 else 11)
    if version == -10:
        assert run("down", "--dir", SQL, url=url).code == 0
    if version == -11:
        with psycopg.connect(url) as connection:
            connection.execute("DELETE FROM goose_db_version WHERE version_id = 11")
    refused(url, "verify", "--rollback", code=3, says=says, do=do)


def test_what_down_would_be_run_from_must_be_what_is_measured(
    make_database: MakeDatabase, tmp_path: Path, connect: Connect
) -> None:
    url = make_database(11)
    told = meter(url, directory=tmp_path)
    assert (told.code, told.document["verdict"]) == (3, "incomplete")
    assert "no file of version 11" in told.document["refactors"][0]["unknown"][0]
    name = chain()[11].file
    text = (SQL / name).read_text()
    (tmp_path / name).write_text(text)
    assert meter(url, directory=tmp_path).code == 0
    head, down, tail = text.partition("-- +goose Down")
    (tmp_path / name).write_text(head + down + tail.replace("'live'", "'archive'"))
    told = meter(url, directory=tmp_path)
    assert (told.code, told.document["verdict"]) == (3, "incomplete")
    assert "its own Down does was not measured" in told.document["refactors"][0]["unknown"][0]
    connect(url).execute("INSERT INTO goose_db_version (version_id, is_applied) VALUES (12, true)")
    (found,) = meter(url).document["refactors"]
    assert found["unknown"] == [
        "Version 12 must be taken back before: what that does was not measured."
    ]


def test_a_mapping_of_another_version_of_the_program_is_incomplete(
    url: str, db: psycopg.Connection
) -> None:
    db.execute("UPDATE archive.patients_turns SET structure_hash = 'other'")
    told = meter(url)
    assert (told.code, told.document["verdict"]) == (3, "incomplete")
    assert told.document["refactors"][0]["counts"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--allow-edits", "--rollback"),
        ("--custodian", "x"),
        ("--keep-logins",),
        ("--accept", "drift"),
        ("--run-by", "x"),
        ("--rollback", "--run-by", "nobody at all"),
    ],
)
def test_options_that_cannot_be_meant_are_a_usage_error(
    url: str, arguments: tuple[str, ...]
) -> None:
    told = run("verify", *arguments, "--json", "--dir", SQL, url=url)
    assert told.code == 2
    assert told.document["error"]["state"] == "Nothing was changed."


def test_the_defaults_of_columns_are_read_in_the_sessions_time_zone_as_down_reads_them(
    url: str, db: psycopg.Connection
) -> None:
    db.execute("ALTER TABLE users ALTER COLUMN created_at SET DEFAULT '2020-01-01 00:00:00+00'")
    name = sql.Identifier(db.info.dbname)
    db.execute(sql.SQL("ALTER DATABASE {} SET TimeZone = 'Asia/Tokyo'").format(name))
    (refusal,) = meter(url).document["refactors"][0]["refusals"]
    assert "2020-01-01 09:00:00+09" in refusal["text"]
    down = run("down", "--json", "--dir", SQL, url=url)
    assert refusal["text"] in down.document["error"]["message"]


def test_no_value_of_a_row_is_in_any_answer(url: str, db: psycopg.Connection) -> None:
    db.execute("DELETE FROM users WHERE id = 900; CREATE INDEX mine ON users (phone)")
    db.execute("ALTER TABLE archive.patients ADD CONSTRAINT c CHECK (name = 'x') NOT VALID")
    for arguments in ((), ("--accept", "drift", "--custodian", HEAD)):
        told = meter(url, *arguments, "--log-level", "debug")
        assert told.code == 3
        assert CANARY not in told.out + told.err
        assert keeps_secrets(told, url)
        assert HEAD not in told.out


def test_the_style_of_times_is_the_sessions_own_affair(url: str, db: psycopg.Connection) -> None:
    plain = meter(url)
    for name, value in (("DateStyle", "SQL, DMY"), ("TimeZone", "Asia/Kolkata")):
        db.execute(f"ALTER DATABASE {db.info.dbname} SET {name} = '{value}'".encode())
    assert (meter(url).code, meter(url).out) == (plain.code, plain.out)


def test_who_would_read_what_was_written_meanwhile_is_named_and_stops_nothing(url: str) -> None:
    with fresh_role(url) as old, fresh_role(url) as both, psycopg.connect(url) as db:
        for role, tables in ((old, ["archive.patients"]), (both, ["archive.patients", "users"])):
            for table in tables:
                grant = sql.SQL("GRANT SELECT ON {} TO {}")
                name = sql.Identifier(*table.split("."))
                db.execute(grant.format(name, sql.Identifier(role)))
        db.commit()
        told = meter(url)
        assert told.code == 0, told.err
        assert told.document["refactors"][0]["new_readers"] == [old]
        text = run("verify", "--rollback", "--dir", SQL, url=url).out
        assert f"New to {old} after Down" in text
        rehearsed = run("rollback", "--dry-run", "--json", "--dir", SQL, url=url)
        assert rehearsed.code == 0, rehearsed.err
        (remark,) = rehearsed.document["forecast"]["remarks"]
        assert old in remark
        assert both not in remark
