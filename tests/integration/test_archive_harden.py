"""A hardened archive is read by readers and changed by refactorkit alone; all else goes on.

The attackers are the runner itself, by accident, and roles that were let in; none is a superuser.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.evidence import Signer, said
from tests.support.queries import scalar
from tests.support.refactor import turn
from tests.support.roles import fresh_role, give_everything, with_user

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction
VERSIONS = "public.goose_db_version"
LET_BY = "SELECT set_config('refactorkit.archive_writer', pg_current_xact_id()::text, true);"


@dataclass(frozen=True, kw_only=True)
class House:
    """A clinic at version 11 that belongs to a role without any special right.

    Attributes:
        admin: its URL for the superuser.
        app: its URL for the runner.
        runner: the runner's name.
        other: the name of somebody else.
        at_10: version 10, as text.
    """

    admin: str
    app: str
    runner: str
    other: str
    at_10: str

    def url_of(self, role: str) -> str:
        return with_user(self.admin, role)

    def tell(self, statement: str) -> None:
        tell(self.admin, statement)


@pytest.fixture
def house(database_at_10: str) -> Iterator[House]:
    open_clinic(database_at_10)
    with ExitStack() as stack:
        stack.callback(forget, database_at_10)
        runner = stack.enter_context(fresh_role(database_at_10))
        other = stack.enter_context(fresh_role(database_at_10))
        give_everything(database_at_10, runner)
        at_10 = pg_dump(database_at_10, exclude_tables=(VERSIONS,))
        app = with_user(database_at_10, runner)
        assert go(UP, app).code == 0
        yield House(admin=database_at_10, app=app, runner=runner, other=other, at_10=at_10)


def forget(url: str) -> None:
    """Drop the roles of the archive: they belong to the whole server."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("DROP EVENT TRIGGER IF EXISTS refactorkit_guard_alter")
        admin.execute("DROP EVENT TRIGGER IF EXISTS refactorkit_guard_drop")
        for kind in ("owner", "reader", "eraser"):
            role = sql.Identifier(f"{admin.info.dbname}_archive_{kind}")
            found = admin.execute(
                "SELECT FROM pg_roles WHERE rolname = %s", [role.as_string(admin).strip('"')]
            ).fetchone()
            if found is not None:
                admin.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
                admin.execute(sql.SQL("DROP OWNED BY {}").format(role))
                admin.execute(sql.SQL("DROP ROLE {}").format(role))


def harden(url: str, *options: str, code: int = 0) -> Any:
    outcome = run("archive", "harden", *options, "--json", url=url)
    assert outcome.code == code, outcome.err + outcome.out
    return outcome.document


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


def archive_tables(url: str, prefix: str = "patients") -> list[str]:
    with psycopg.connect(url) as connection:
        return [
            str(row[0])
            for row in connection.execute(
                "SELECT oid::regclass FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = 'archive'::regnamespace AND relname LIKE %s ORDER BY 1",
                [prefix + "%"],
            )
        ]


def test_up_and_down_go_on_behind_guards_and_outside_nothing_tells_of_it(house: House) -> None:
    assert harden(house.admin)["verdict"] == "pass"
    work_as_version_11(house.app)
    at_11 = dump(house.admin)
    for direction, guarded in ((DOWN, "notification_queue"), (UP, "patients"), (DOWN, None)):
        ended = go(direction, house.app)
        assert ended.code == 0, ended.says
        outcome = run("verify", "--json", url=house.app)
        assert outcome.code == 0, outcome.out
        if direction is UP:
            assert dump(house.admin) == at_11
        if guarded:
            assert refusal(house.app, f"DELETE FROM archive.{guarded}") == "RK003"
        if direction is DOWN:  # version 10 has no trigger, and its owner does as they like there
            for statement in (
                "DELETE FROM public.patients",
                "ALTER TABLE public.patients ADD x int",
            ):
                assert refusal(house.app, statement) is None


def dump(url: str) -> list[str]:
    """What lies outside archive and guards, but for the event triggers and the version table."""
    text = pg_dump(
        url, exclude_schemas=("archive", "refactorkit_guard"), exclude_tables=(VERSIONS,)
    )
    return [line for line in text.split("\n") if "refactorkit_guard" not in line]


def test_a_superuser_s_down_takes_the_event_triggers_away(house: House, connect: Connect) -> None:
    with psycopg.connect(house.admin, autocommit=True) as admin:
        admin.execute(f"REASSIGN OWNED BY {house.runner} TO CURRENT_USER".encode())
    at_10 = house.at_10.replace(house.runner, "postgres")
    assert harden(house.admin)["runner"] == "postgres"
    assert scalar(connect(house.admin), "SELECT count(*) FROM pg_event_trigger") == 2
    with psycopg.connect(house.admin, autocommit=True) as admin:
        # what somebody put into the guards' schema is no reason to stop a rollback
        admin.execute("CREATE TABLE refactorkit_guard.mine (id integer)")
        admin.execute("BEGIN")
        turn(admin, "down")
        assert scalar(admin, "SELECT count(*) FROM pg_event_trigger") == 2
        admin.execute("ROLLBACK")
        admin.execute("DROP TABLE refactorkit_guard.mine")
        turn(admin, "down")  # the statements alone, as goose sends them
        admin.execute("DELETE FROM goose_db_version WHERE version_id = 11")
    assert pg_dump(house.admin, exclude_tables=(VERSIONS,)) == at_10
    assert refusal(house.admin, "DELETE FROM archive.patients_map") == "RK003"
    assert go(UP, house.admin).code == 0


ACCIDENTS = (
    "DROP TABLE archive.patients",
    "DROP TABLE archive.patients_map",
    "DROP SCHEMA archive CASCADE",
    "ALTER SCHEMA archive RENAME TO old",
    "ALTER TABLE archive.patients_kept_users DISABLE TRIGGER ALL",
    "ALTER TABLE archive.patients_map ADD COLUMN mine text",
    "ALTER TABLE archive.patients DROP COLUMN age",
    "ALTER TABLE archive.patients_map SET SCHEMA public",
    "DROP TRIGGER patients_guard ON archive.patients_map",
    "DROP TRIGGER patients_guard ON archive.patients",
    "CREATE RULE mine AS ON DELETE TO archive.patients_map DO INSTEAD NOTHING",
    "CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    " CREATE TRIGGER mine BEFORE INSERT ON archive.patients_map EXECUTE FUNCTION public.mine()",
    "CREATE OR REPLACE FUNCTION archive.patients_guard() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NULL; END'",
    "DROP FUNCTION archive.patients_widen(regclass, regclass)",
)


def test_no_accident_of_the_runner_s_reaches_the_archive(house: House) -> None:
    harden(house.admin)
    before = pg_dump(house.admin, exclude_schemas=())
    tables = archive_tables(house.admin)
    assert {"archive.patients", "archive.patients_map", "archive.patients_holds"} <= set(tables)
    for table in tables:
        column = "source_id" if "map" in table else "turn"
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DELETE FROM {table} AS t"):
            assert refusal(house.app, statement) == "RK003", statement
        replica = f"SET session_replication_role = replica; DELETE FROM {table}"
        assert refusal(house.admin, replica) == "RK003", column
    assert refusal(house.app, "UPDATE archive.patients SET age = 1") == "RK003"
    for statement in ACCIDENTS:
        assert refusal(house.app, statement) == "RK003", statement
    # an id of another transaction opens nothing
    stale = LET_BY + "COMMIT; DELETE FROM archive.patients_map"
    assert refusal(house.app, stale) == "RK003"
    assert pg_dump(house.admin, exclude_schemas=()) == before
    # what is not the archive's is nobody's business
    for statement in (
        "CREATE TABLE public.t (id int PRIMARY KEY); ALTER TABLE public.t ADD x int;"
        " DROP TABLE public.t",
        "ALTER TABLE public.users ADD x int",
        "CREATE TABLE archive.of_0012 (id int); DROP TABLE archive.of_0012",
    ):
        assert refusal(house.app, statement) is None, statement


def test_a_reader_reads_all_but_secrets_and_an_eraser_needs_the_word(house: House) -> None:
    work_as_version_11(house.app)
    assert go(DOWN, house.app).code == 0
    roles = harden(house.admin)
    url = house.url_of(house.other)
    assert refusal(url, "SELECT source_id FROM archive.patients_map") == "42501"
    house.tell(f"GRANT {roles['reader']} TO {house.other}")
    for statement in (
        "SELECT source_id, target_id FROM archive.patients_map",
        "SELECT email, bmi FROM archive.patients_kept_users",
        "SELECT user_id, expires_at FROM archive.patients_kept_refresh_tokens",
        "SELECT * FROM archive.patients_turns",
    ):
        assert refusal(url, statement) is None, statement
    for statement in (
        "SELECT password_hash FROM archive.patients_kept_users",
        "SELECT * FROM archive.patients_kept_users",
        "SELECT t FROM archive.patients_kept_users AS t",
        "SELECT token_hash FROM archive.patients_kept_refresh_tokens",
        "DELETE FROM archive.patients_map",
        "INSERT INTO archive.patients_holds VALUES (1, 1, NULL, 'r', 'b')",
        "CREATE TABLE archive.mine (id int)",
        "SELECT archive.patients_back_name('a', 'b')",
        "SELECT * FROM refactorkit_guard.guarded",
        f"SET ROLE {roles['owner']}",
    ):
        assert refusal(url, statement) == "42501", statement
    house.tell(f"REVOKE {roles['reader']} FROM {house.other}")
    house.tell(f"GRANT {roles['eraser']} TO {house.other}")
    delete = "DELETE FROM archive.patients_kept_users"
    assert refusal(url, delete) == "RK003"
    assert refusal(url, LET_BY + delete) is None
    assert refusal(url, "TRUNCATE archive.patients_map") == "42501"
    # Reader and eraser are let in by the next Up, too, and stay what they are
    assert go(UP, house.app).code == 0
    assert refusal(url, LET_BY + delete) is None
    assert run("verify", url=house.app).code == 0
    status = run("archive", "status", "--json", url=house.admin).document
    kept = next(t for t in status["tables"] if t["table"] == "archive.patients_kept_users")
    assert kept["readers"] == sorted(
        [house.runner, house.other, roles["owner"], roles["reader"], roles["eraser"]]
    )


PLANTED = {
    "a trigger beside the guard": (
        "CREATE TRIGGER mine AFTER INSERT ON archive.patients_past EXECUTE FUNCTION public.mine()",
        "trigger mine on archive.patients_past",
    ),
    "a trigger of the guard's name": (
        "DROP TRIGGER patients_guard ON archive.patients_past; CREATE TRIGGER patients_guard BEFORE"
        " UPDATE OR DELETE OR TRUNCATE ON archive.patients_past EXECUTE FUNCTION public.mine()",
        "trigger patients_guard on archive.patients_past",
    ),
    "the guard with another body": (
        "CREATE OR REPLACE FUNCTION archive.patients_guard() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
        "trigger patients_guard on archive.patients_map",
    ),
    "the guard as its owner's": (
        "ALTER FUNCTION archive.patients_guard() SECURITY DEFINER",
        "trigger patients_guard on archive.patients_map",
    ),
    "a guard on inserts": (
        "DROP TRIGGER patients_guard ON archive.patients_past; CREATE TRIGGER patients_guard BEFORE"
        " INSERT ON archive.patients_past EXECUTE FUNCTION archive.patients_guard()",
        "trigger patients_guard on archive.patients_past",
    ),
    "another member of the owner": ("GRANT {owner} TO {other}", "belongs to"),
    "an owner who can log in": ("ALTER ROLE {owner} LOGIN", "belongs to"),
    "a right of the reader's to write": (
        "GRANT INSERT ON archive.patients_past TO {reader}",
        "others may write to archive.patients_past",
    ),
    "a right to a column": (
        "GRANT UPDATE (turn) ON archive.patients_past TO {reader}",
        "others may write to archive.patients_past",
    ),
    "a right to pass on": (
        "GRANT DELETE ON archive.patients_past TO {eraser} WITH GRANT OPTION",
        "others may write to archive.patients_past",
    ),
    "a reader from elsewhere": (
        "GRANT USAGE ON SCHEMA archive TO {other}",
        "has USAGE on schema archive",
    ),
}


def test_what_was_planted_is_refused_behind_guards_too(house: House) -> None:
    """Each as the superuser, who lets himself by; then Down, as the runner."""
    roles = harden(house.admin)
    house.tell(
        "CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    names = {kind: roles[kind] for kind in ("owner", "reader", "eraser")}
    for name, (plant, says) in PLANTED.items():
        with psycopg.connect(house.admin, autocommit=True) as admin:
            admin.execute("BEGIN")
            admin.execute(LET_BY.encode() + plant.format(**names, other=house.other).encode())
            admin.execute(f"SET ROLE {house.runner}".encode())
            with pytest.raises(psycopg.Error) as refused:
                turn(admin, "down")
            assert refused.value.sqlstate == "RK001", name
            assert says in str(refused.value), name
            admin.execute("ROLLBACK")
    with psycopg.connect(house.app, autocommit=True) as app:
        turn(app, "down")


def test_guards_that_are_off_are_told(house: House) -> None:
    assert run("verify", url=house.app).code == 0
    harden(house.admin)
    assert run("verify", url=house.app).code == 0
    assert run("archive", "status", "--check", url=house.app).code == 0
    for statement, what in (
        (
            "ALTER TABLE archive.patients_map DISABLE TRIGGER patients_guard",
            "guard is switched off",
        ),
        ("ALTER TABLE archive.patients_map ENABLE TRIGGER patients_guard", "guard is switched off"),
        ("DROP TRIGGER patients_guard ON archive.patients", "guard is missing"),
        ("ALTER EVENT TRIGGER refactorkit_guard_drop DISABLE", "event trigger is switched off"),
        ("DROP EVENT TRIGGER refactorkit_guard_alter", "event trigger is missing"),
    ):
        house.tell(LET_BY + statement)
        outcome = run("verify", "--json", url=house.app)
        assert outcome.code == 3, statement
        (check,) = [
            check
            for check in outcome.document["refactors"][0]["checks"]
            if check["name"] == "guards of the archive"
        ]
        assert what in [found["difference"] for found in check["listed"]], statement
        status = run("archive", "status", "--check", "--json", url=house.app)
        assert status.code == 3
        assert status.document["refactors"][0]["guards"]["state"] == "partly"
        assert harden(house.admin)["verdict"] == "pass"
        assert run("verify", url=house.app).code == 0
    assert run("archive", "status", "--json", url=house.app).document["refactors"][0]["guards"][
        "state"
    ] == "on"  # fmt: skip


def test_who_may_not_make_roles_gets_the_rest_and_is_told(house: House) -> None:
    partly = harden(house.app, code=3)
    assert partly["verdict"] == "incomplete"
    outcomes = {step["step"]: step["outcome"] for step in partly["steps"]}
    assert outcomes == {
        "public": "done", "roles": "refused", "guards": "done", "event-triggers": "refused",
    }  # fmt: skip
    assert all(
        "42501" in step["reason"] for step in partly["steps"] if step["outcome"] == "refused"
    )
    assert refusal(house.app, "DELETE FROM archive.patients_map") == "RK003"
    assert harden(house.app, "--skip", "roles", "--skip", "event-triggers")["verdict"] == "pass"
    for direction in (DOWN, UP):
        ended = go(direction, house.app)
        assert ended.code == 0, ended.says
    assert run("verify", url=house.app).code == 0


def test_a_runner_who_may_make_roles_needs_no_superuser(house: House) -> None:
    house.tell(f"ALTER ROLE {house.runner} CREATEROLE")
    done = harden(house.app, "--skip", "event-triggers")
    assert done["verdict"] == "pass"
    for direction in (DOWN, UP):
        ended = go(direction, house.app)
        assert ended.code == 0, ended.says
    assert run("archive", "hold", "60", "--reason", "r", "--by", "b", url=house.app).code == 0
    assert refusal(house.app, "DELETE FROM archive.patients_holds") == "RK003"


def test_off_takes_everything_away_again(house: House, connect: Connect) -> None:
    log = "archive.patients_operations"  # which says so
    before = pg_dump(house.admin, exclude_schemas=())
    done = harden(house.admin)
    assert harden(house.admin)["owner"] == done["owner"]  # again is the same
    assert harden(house.admin, "--off")["verdict"] == "pass"
    after = pg_dump(house.admin, exclude_schemas=(), exclude_tables=(log,))
    assert [line for line in after.split("\n") if "REVOKE" not in line and "GRANT" not in line] == [
        line for line in before.split("\n") if "REVOKE" not in line and "GRANT" not in line
    ]
    assert scalar(
        connect(house.admin), "SELECT count(*) FROM pg_roles WHERE rolname LIKE %s",
        done["owner"].removesuffix("owner") + "%",
    ) == 0  # fmt: skip
    assert go(DOWN, house.app).code == 0
    assert pg_dump(house.admin, exclude_tables=(VERSIONS,)) == house.at_10


def test_an_owner_without_login_that_was_there_before_is_no_hardened_one(house: House) -> None:
    """Migrations run by SET ROLE: the archive is that of a role nobody logs in as."""
    house.tell(f"ALTER ROLE {house.runner} NOLOGIN")
    try:
        assert run("verify", url=house.admin).code == 0
        status = run("archive", "status", "--json", url=house.admin).document
        assert status["refactors"][0]["guards"]["state"] == "none"
    finally:
        house.tell(f"ALTER ROLE {house.runner} LOGIN")


def test_a_role_of_that_name_that_is_somebody_s_is_refused(house: House) -> None:
    before = pg_dump(house.admin, exclude_schemas=())
    with psycopg.connect(house.admin, autocommit=True) as admin:
        name = f"{admin.info.dbname}_archive_reader"
        admin.execute(f"CREATE ROLE {name} LOGIN".encode())
    error = harden(house.admin, code=3)["error"]
    assert f"The role {name} is there already" in error["message"]
    assert harden(house.admin, "--owner", "bad", code=3)["error"]["kind"] == "refused"
    assert pg_dump(house.admin, exclude_schemas=()) == before


def test_other_mappings_are_hardened_too(empty_database: str, connect: Connect) -> None:
    connection = connect(empty_database)
    mappings.prepare(connection, "members")
    mappings.turn(connection, "members", UP)
    name = load_mapping(mappings.MAPPINGS / "members.toml").name
    try:
        assert harden(empty_database)["verdict"] == "pass"
        assert refusal(empty_database, f"DELETE FROM archive.{name}_map") == "RK003"
        for direction in (DOWN, UP):
            mappings.turn(connection, "members", direction)
            assert run("verify", url=empty_database).code == 0
        assert harden(empty_database, "--off")["verdict"] == "pass"
    finally:
        forget(empty_database)


FORGED_GUARDS = {
    "a guard with another body": (
        "CREATE OR REPLACE FUNCTION archive.patients_guard() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
        ("function of the archive", "archive.patients_guard()", "", "was changed"),
    ),
    "a guard of some columns": (
        "DROP TRIGGER patients_guard ON archive.patients;"
        " CREATE TRIGGER patients_guard BEFORE UPDATE OF age OR DELETE OR TRUNCATE"
        " ON archive.patients EXECUTE FUNCTION archive.patients_guard();"
        " ALTER TABLE archive.patients ENABLE ALWAYS TRIGGER patients_guard",
        ("trigger", "archive.patients.patients_guard", "", "was added"),
    ),
    "a guard that is off": (
        "ALTER TABLE archive.patients DISABLE TRIGGER patients_guard",
        ("trigger state", "archive.patients.patients_guard", "", "was added"),
    ),
    "a guard where none is made": (
        "CREATE TRIGGER patients_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON public.users"
        " EXECUTE FUNCTION archive.patients_guard()",
        ("trigger", "public.users.patients_guard", "", "was added"),
    ),
    "an event trigger with another body": (
        "CREATE OR REPLACE FUNCTION refactorkit_guard.refuse() RETURNS event_trigger"
        " LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
        " AS 'BEGIN RETURN; END'",
        ("event trigger", "refactorkit_guard_drop", "", "was added"),
    ),
    "more for the reader": (
        "GRANT SELECT ON archive.patients_kept_users TO {reader}",
        ("right", "archive.patients_kept_users", "", "was added"),
    ),
    "a moved table for the eraser": (
        "GRANT SELECT ON archive.patients TO {eraser}",
        ("right", "archive.patients", "", "was added"),
    ),
    "the archive for somebody else": (
        "GRANT USAGE ON SCHEMA archive TO {other}",
        ("right", "schema archive", "", "was added"),
    ),
}


def test_guards_after_the_evidence_are_no_finding_and_forged_ones_are(
    house: House, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    file = signer.anchor(house.app).file
    assert said(signer.verify(house.app, file)) == set()
    assert harden(house.admin)["verdict"] == "pass"
    found = signer.verify(house.app, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    later = signer.anchor(house.app, "hardened.json").file
    with psycopg.connect(house.admin) as admin:
        stem = f"{admin.info.dbname}_archive"
    for title, (plant, named) in FORGED_GUARDS.items():
        statement = plant.format(
            reader=f"{stem}_reader", eraser=f"{stem}_eraser", other=house.other
        )
        assert named not in said(signer.verify(house.app, file)), title
        house.tell("ALTER EVENT TRIGGER refactorkit_guard_alter DISABLE")
        house.tell("ALTER EVENT TRIGGER refactorkit_guard_drop DISABLE")
        house.tell(statement)
        house.tell("ALTER EVENT TRIGGER refactorkit_guard_alter ENABLE ALWAYS")
        house.tell("ALTER EVENT TRIGGER refactorkit_guard_drop ENABLE ALWAYS")
        found = signer.verify(house.app, file)
        assert named in said(found), title
        assert found.verdict is Verdict.FAIL
        if title == "an event trigger with another body":
            # Evidence of the hardened archive knows the function by its name alone.
            what = "is not what archive harden makes"
            bodiless = ("event trigger", "refactorkit_guard_drop", "", what)
            assert bodiless in said(signer.verify(house.app, later))
        assert harden(house.admin)["verdict"] == "pass"  # mends guards, and takes no right away


def test_guards_that_are_taken_away_after_the_evidence_are_told_and_one_alone_is_a_finding(
    house: House, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    assert harden(house.admin)["verdict"] == "pass"
    file = signer.anchor(house.app).file
    house.tell(LET_BY + "DROP TRIGGER patients_guard ON archive.patients")
    named = said(signer.verify(house.app, file))
    assert named == {
        ("trigger", "archive.patients.patients_guard", "", "is gone"),
        ("trigger state", "archive.patients.patients_guard", "", "is gone"),
    }
    assert harden(house.admin, "--off")["verdict"] == "pass"
    found = signer.verify(house.app, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    assert [note for note in found.notes if "archive harden --off" in note]
    assert harden(house.admin)["verdict"] == "pass"
    found = signer.verify(house.app, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    assert not [note for note in found.notes if "archive harden --off" in note]


def test_a_tombstone_is_signed_behind_guards_and_its_signature_is_guarded(
    house: House, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    assert harden(house.admin)["verdict"] == "pass"
    file = signer.anchor(house.app).file
    options = ("--basis", "ticket 7", "--approved-by", "privacy officer", "--key", signer.secret)
    outcome = run("archive", "erase", "3", *options, url=house.app)
    assert outcome.code == 0, outcome.err
    found = signer.verify(house.app, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    assert [each.state.value for each in found.tombstones] == ["signed"]
    assert run("verify", url=house.app).code == 0
    for statement in (
        "DELETE FROM archive.patients_tombstone_signatures",
        "UPDATE archive.patients_tombstone_signatures SET envelope = ''",
    ):
        assert refusal(house.app, statement) == "RK003"
    for direction in (DOWN, UP):
        assert go(direction, house.app).code == 0
        assert run("verify", url=house.app).code == 0


def test_evidence_is_made_behind_guards_too(house: House, tmp_path: Path) -> None:
    signer = Signer.new(tmp_path)
    assert signer.anchor(house.app, "before.json").verdict is Verdict.PASS
    assert harden(house.admin)["verdict"] == "pass"
    made = signer.anchor(house.app, "after.json")
    assert said(signer.verify(house.app, made.file)) == set()
    for operation in ("rollback", "cutover"):
        options = ("--yes", "--key", signer.secret, "--evidence-dir", tmp_path, "--json")
        outcome = run(operation, *options, url=house.app)
        assert outcome.code == 0, outcome.err
        assert [each["verdict"] for each in outcome.document["evidence"]] == ["pass"]
    with psycopg.connect(house.admin, autocommit=True) as admin:
        admin.execute(
            sql.SQL("GRANT {} TO {}").format(
                sql.Identifier(f"{admin.info.dbname}_archive_owner"), sql.Identifier(house.other)
            )
        )
    with pytest.raises(RefusedError, match="does not belong to this role"):
        signer.anchor(house.app, "third.json")
