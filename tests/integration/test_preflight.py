"""Each check of preflight beyond the guards: what it finds, in which words, with which verdict."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.preflight import Area, Expectations, Level, activity, inquiry
from refactorkit.commands.preflight.scene import Check
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import UsageError
from refactorkit.postgres.locks import LOCK_ID
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.dump import pg_dump
from tests.support.preflights import found, look, no_gos
from tests.support.refactor import turn
from tests.support.roles import fresh_role, give_everything, with_user

REFACTOR = "0011_refactor_to_menopausal.sql"

PLANTS = {
    "a check that subjects break": (
        "ALTER TABLE public.users ADD CONSTRAINT roles CHECK (role <> 'member')",
        "subject_checks",
        Level.NO_GO,
        "check roles of public.users would not be met by 10 subjects",
    ),
    "a check that some subjects break": (
        "ALTER TABLE public.users ADD CONSTRAINT mails CHECK (email NOT LIKE 'patient-_@%')",
        "subject_checks",
        Level.NO_GO,
        "check mails of public.users would not be met by 9 subjects",
    ),
    "a check that the default of an added column breaks": (
        'ALTER TABLE public.users ADD "a b" integer DEFAULT 7;'
        ' ALTER TABLE public.users ADD CONSTRAINT few CHECK ("a b" < 5) NOT VALID',
        "subject_checks",
        Level.NO_GO,
        "check few of public.users would not be met by 10 subjects",
    ),
    "a check that subjects meet": (
        "ALTER TABLE public.users ADD CONSTRAINT roles CHECK (role <> 'nobody')",
        "subject_checks",
        Level.OK,
        "every subject meets check roles of public.users",
    ),
    "a check on what only the insert makes": (
        "ALTER TABLE public.users ADD CONSTRAINT tenants CHECK (true);"
        " ALTER TABLE public.users ADD tenant text DEFAULT lower('X') CHECK (tenant <> '')",
        "subject_checks",
        Level.UNKNOWN,
        "check users_tenant_check of public.users is not foreseen: it depends on tenant",
    ),
    "a check that writes": (
        "CREATE TABLE public.seen (n integer); CREATE FUNCTION public.f(text) RETURNS boolean"
        " LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.seen VALUES (1); RETURN true; END';"
        " ALTER TABLE public.users ADD CONSTRAINT writes CHECK (public.f(role))",
        "subject_checks",
        Level.UNKNOWN,
        "check writes of public.users: SQLSTATE 25006",
    ),
    "a unique index that subjects break": (
        "CREATE UNIQUE INDEX one ON public.users (role) WHERE NOT is_active",
        "subject_keys",
        Level.NO_GO,
        "unique index public.one would meet the same key twice for 10 subjects",
    ),
    "a unique index that subjects meet": (
        "CREATE UNIQUE INDEX one ON public.users (lower(email), role)",
        "subject_keys",
        Level.OK,
        "every subject meets unique index public.one",
    ),
    "a function whose body names the table": (
        "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql"
        " AS 'SELECT count(*) FROM public.patients'",
        "function_bodies",
        Level.NOTE,
        "the body of function public.f() names what goes away",
    ),
    "a function whose body names the renamed column": (
        "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE plpgsql"
        " AS 'BEGIN RETURN (SELECT max(PATIENT_ID) FROM public.assessments); END'",
        "function_bodies",
        Level.NOTE,
        "the body of function public.f() names what goes away",
    ),
    "a function that names something longer": (
        "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS 'SELECT ''outpatients''::text'",
        "function_bodies",
        Level.OK,
        "no function's body names what goes away",
    ),
    "a trigger whose function names the column": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN NEW.cluster := NEW.patient_id; RETURN NEW; END';"
        " CREATE TRIGGER t BEFORE INSERT ON public.assessments"
        " FOR EACH ROW EXECUTE FUNCTION public.f()",
        "trigger_bodies",
        Level.NO_GO,
        "trigger t on public.assessments calls public.f(), whose body names what goes away",
    ),
    "a trigger on patients": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER t BEFORE INSERT ON public.patients"
        " FOR EACH ROW EXECUTE FUNCTION public.f()",
        "trigger_bodies",
        Level.NOTE,
        "1 triggers of public.patients move into the archive with it",
    ),
    "an event trigger": (
        "CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER rk_e ON ddl_command_end EXECUTE FUNCTION public.f()",
        "event_triggers",
        Level.NOTE,
        "event trigger rk_e (ddl_command_end) calls public.f()",
    ),
    "a column that version 10's views would not have": (
        "ALTER TABLE public.patients ADD extra text",
        "former_version",
        Level.NOTE,
        "cutover --keep-v10 would refuse to make v10: column extra of patients is not known",
    ),
    "nothing in the way of version 10's views": (
        "SELECT",
        "former_version",
        Level.OK,
        "cutover --keep-v10 could make v10",
    ),
    "a table of an extension": (
        "ALTER EXTENSION plpgsql ADD TABLE public.patients",
        "extension_members",
        Level.NO_GO,
        "table public.patients belongs to extension plpgsql",
    ),
    "a policy of another table that looks at patients": (
        "CREATE POLICY p ON public.clinics USING (EXISTS (SELECT FROM public.patients))",
        "used_elsewhere",
        Level.NO_GO,
        "policy p on table public.clinics uses public.patients",
    ),
    "a default of another table from the sequence of patients": (
        "ALTER TABLE public.clinics ADD n integer DEFAULT nextval('public.patients_id_seq')",
        "used_elsewhere",
        Level.NO_GO,
        "uses public.patients_id_seq",
    ),
    "values without an image": (
        "UPDATE public.patients SET hypertension = 'yes' WHERE id < 3",
        "values_without_image",
        Level.NOTE,
        "values of public.patients without an image: hypertension 2; they are NULL",
    ),
    "a number without an image": (
        "UPDATE public.patients SET years_menopause = 60 WHERE id = 3",
        "values_without_image",
        Level.NOTE,
        "values of public.patients without an image: years_menopause 1; they are NULL",
    ),
    "ids that run out": (
        "SELECT setval('public.assessments_id_seq', 2000000000)",
        "headroom",
        Level.NOTE,
        "public.assessments_id_seq (93.1 % of 2,147,483,647)",
    ),
    "a column that the runner may not write": (
        "REVOKE INSERT ON public.users FROM CURRENT_USER",
        "rights",
        Level.OK,  # a superuser may all the same
        "has the rights that Up needs now, and Down will need",
    ),
    "a setting for every run": (
        "ALTER ROLE CURRENT_USER IN DATABASE {db} SET refactorkit.keep_logins = 'on'",
        "settings",
        Level.NOTE,
        "refactorkit.keep_logins is set to 'on' on the role in this database",
    ),
    "transactions that are read-only": (
        "ALTER DATABASE {db} SET default_transaction_read_only = on",
        "primary",
        Level.NO_GO,
        "transactions are read-only by default",
    ),
}


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    return connect(database_at_10)


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_there_is_found(db: psycopg.Connection, database_at_10: str, name: str) -> None:
    plant, check, level, says = PLANTS[name]
    db.execute(plant.replace("{db}", db.info.dbname).encode())
    result = look(database_at_10)
    told = found(result, check)
    assert [each.level for each in told if says in each.says] == [level], told
    assert all(each.do for each in told if each.level is not Level.OK)
    expected = {Level.NO_GO: Verdict.FAIL, Level.UNKNOWN: Verdict.INCOMPLETE}
    assert result.verdict is expected.get(level, Verdict.PASS), no_gos(result)


@pytest.mark.parametrize(
    "plant",
    [
        plant
        for plant, check, level, _ in PLANTS.values()
        if check.startswith("subject_") and level is Level.NO_GO
    ],
)
def test_up_fails_at_what_subjects_break(db: psycopg.Connection, plant: str) -> None:
    db.execute(plant.encode())
    with pytest.raises(psycopg.Error):
        turn(db, "up")


# Files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(SQL, tmp_path / "sql")


def test_an_edited_file_is_a_no_go_by_name(empty_database: str, folder: Path) -> None:
    assert run("up", "--to", "10", "--dir", folder, url=empty_database).code == 0
    assert look(empty_database, directory=folder).verdict is Verdict.PASS
    with (folder / "0009_add_clinics.sql").open("a") as file:
        file.write("-- later\n")
    result = look(empty_database, directory=folder)
    assert no_gos(result) == ["edited since they were applied: 0009_add_clinics.sql"]
    accepted = look(empty_database, directory=folder, accept=("edited_files",))
    assert accepted.verdict is Verdict.PASS


def test_a_refactor_that_was_edited_by_hand_is_a_no_go(database_at_10: str, folder: Path) -> None:
    text = (folder / REFACTOR).read_text()
    (folder / REFACTOR).write_text(text.replace("refuses: %s", "says no: %s"))
    (said,) = no_gos(look(database_at_10, directory=folder))
    assert said.startswith(f"{REFACTOR} is not what its mapping compiles to")


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (
            8,
            ["the database is at version 8, and 2 files come before", "public.user_clinics is not"],
        ),
        (11, ["no refactor is pending: the database is at version 11"]),
    ],
)
def test_another_version_is_a_no_go(
    make_database: Callable[[int], str], version: int, says: list[str]
) -> None:
    result = look(make_database(version))
    assert result.verdict is Verdict.FAIL
    assert len(no_gos(result)) == len(says)
    for said, expected in zip(no_gos(result), says, strict=True):
        assert expected in said


def test_a_file_that_is_missing_is_a_no_go_as_for_up(
    db: psycopg.Connection, database_at_10: str
) -> None:
    db.execute("INSERT INTO public.goose_db_version (version_id, is_applied) VALUES (99, true)")
    (said,) = no_gos(look(database_at_10))
    assert said.startswith("Pending files below version 99")


def test_a_version_table_that_others_keep_is_not_guessed(empty_database: str) -> None:
    result = look(empty_database)
    assert result.verdict is Verdict.FAIL
    assert "10 files come before" in no_gos(result)[0]


# Identity


def test_another_database_than_the_expected_is_a_no_go(
    db: psycopg.Connection, database_at_10: str
) -> None:
    name = db.info.dbname
    row = db.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert row is not None
    db.execute(f"ALTER DATABASE {name} SET refactorkit.environment = 'production'".encode())
    right = Expectations(database=name, environment="production", system_identifier=row[0])
    result = look(database_at_10, expect=right)
    assert result.verdict is Verdict.PASS
    assert result.identity.environment == "production"
    for wrong in (
        Expectations(database="other"),
        Expectations(environment="staging"),
        Expectations(system_identifier=row[0] + 1),
    ):
        (said,) = no_gos(look(database_at_10, expect=wrong))
        assert said.endswith("is expected")


def test_a_session_cannot_pretend_to_be_of_another_environment(
    db: psycopg.Connection, database_at_10: str
) -> None:
    pretending = f"{database_at_10}&options=-c%20refactorkit.environment%3Dproduction"
    result = look(pretending, expect=Expectations(environment="production"))
    assert no_gos(result) == ['the environment marker is not set, and "production" is expected']
    db.execute(f"ALTER DATABASE {db.info.dbname} SET refactorkit.environment = 'drill'".encode())
    result = look(pretending, expect=Expectations(environment="production"))
    assert no_gos(result) == ['the environment marker is "drill", and "production" is expected']


# What a role may not see is unknown, and no pass


@pytest.fixture
def reader(database_at_10: str) -> Iterator[tuple[str, str]]:
    """A role that may only read tables, and the owner of all."""
    with fresh_role(database_at_10) as owner, fresh_role(database_at_10) as name:
        give_everything(database_at_10, owner)
        with psycopg.connect(database_at_10) as admin:
            for what in ("TABLES", "SEQUENCES"):
                admin.execute(
                    sql.SQL("GRANT SELECT ON ALL {} IN SCHEMA public TO {}").format(
                        sql.SQL(what), sql.Identifier(name)
                    )
                )
        yield name, owner


def test_a_role_that_may_only_read_can_look_on_behalf_of_the_owner(
    database_at_10: str, reader: tuple[str, str]
) -> None:
    name, owner = reader
    result = look(
        with_user(database_at_10, name),
        runner=owner,
        sample=True,
        accept=("dumpers",),
    )
    assert no_gos(result) == []
    unseen = {each.check for each in result.of(Level.UNKNOWN) if each.needed}
    assert unseen == {"edited_files"}  # the archive, and so the checksums, are closed to it
    assert result.verdict is Verdict.INCOMPLETE
    assert result.exit_code == 3
    assert result.figures is not None
    assert result.prediction is not None
    assert look(with_user(database_at_10, owner), accept=("dumpers",)).verdict is Verdict.PASS


def test_a_role_that_may_only_read_is_told_that_it_cannot_run_up(
    database_at_10: str, reader: tuple[str, str]
) -> None:
    name, _ = reader
    result = look(with_user(database_at_10, name), accept=("dumpers",))
    assert result.verdict is Verdict.FAIL
    said = no_gos(result)
    assert any("public.users belongs to" in each for each in said)
    assert any(f"{name} may not INSERT public.users" in each for each in said)
    assert any("The schema archive belongs to another role" in each for each in said)


def test_a_role_that_may_read_nothing_learns_nothing_of_the_rows(
    database_at_10: str,
) -> None:
    with fresh_role(database_at_10) as owner, fresh_role(database_at_10) as name:
        give_everything(database_at_10, owner)
        result = look(with_user(database_at_10, name), runner=owner)
    unseen = {each.check for each in result.of(Level.UNKNOWN) if each.needed}
    assert {"versions", "owners_of_rows", "ids", "counts", "values_without_image"} <= unseen
    assert result.verdict is Verdict.INCOMPLETE


def test_the_rights_that_down_will_need_are_asked_for_now(
    database_at_10: str, reader: tuple[str, str]
) -> None:
    _, owner = reader
    with psycopg.connect(database_at_10, autocommit=True) as admin:
        admin.execute("ALTER SCHEMA public OWNER TO CURRENT_USER")
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        name = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name))
        admin.execute(
            sql.SQL("REVOKE REFERENCES ON public.users FROM {}").format(sql.Identifier(owner))
        )
    said = [each.says for each in found(look(with_user(database_at_10, owner)), "rights")]
    assert said == [
        f"{owner} may not create in schema public (CREATE ON SCHEMA public): Up makes tables there,"
        " and Down moves public.patients back",
        f"{owner} may not REFERENCES public.users",
    ]


def test_law_10_says_who_reads_and_whose_dumps_will_fail(
    database_at_10: str, reader: tuple[str, str]
) -> None:
    name, owner = reader
    result = look(database_at_10, runner=owner)
    (readers,) = found(result, "readers")
    assert name in readers.says
    assert owner in readers.says
    # The archive of the chain is closed to it already: it can dump schema public alone.
    (dumps,) = found(result, "dumpers")
    assert dumps.level is Level.NOTE
    assert dumps.says.endswith(name)
    with psycopg.connect(database_at_10, autocommit=True) as admin:
        admin.execute("DROP SCHEMA archive CASCADE")
        admin.execute(sql.SQL("REVOKE SELECT ON public.users FROM {}").format(sql.Identifier(name)))
        lost = found(look(database_at_10, runner=owner), "readers")[1]
        assert lost.says.endswith(f"will not read the profiles: {name}")
        admin.execute(sql.SQL("GRANT SELECT ON public.users TO {}").format(sql.Identifier(name)))
    (dumps,) = found(look(database_at_10, runner=owner), "dumpers")
    assert dumps.level is Level.NO_GO
    assert dumps.says.endswith(f"pg_dump will fail for them after Up: {name}")


# Others at work


def test_another_runner_is_a_no_go(db: psycopg.Connection, database_at_10: str) -> None:
    db.execute("SELECT pg_advisory_lock(%s)", [LOCK_ID])
    (said,) = no_gos(look(database_at_10))
    assert said.startswith("another runner is migrating this database: process")


def test_a_lock_that_is_held_for_long_is_a_no_go(
    database_at_10: str,
    connect: Callable[..., psycopg.Connection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = connect(database_at_10, autocommit=False)
    other.execute("SELECT count(*) FROM public.users")
    assert look(database_at_10).verdict is Verdict.PASS
    monkeypatch.setattr(activity, "_LONG_SECONDS", 0.0)
    (said,) = no_gos(look(database_at_10))
    assert f"process {other.info.backend_pid} of" in said
    assert look(database_at_10, accept=("long_transactions",)).verdict is Verdict.PASS


def test_a_table_that_is_held_exclusively_is_unknown_and_not_waited_for(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    other = connect(database_at_10, autocommit=False)
    other.execute("LOCK TABLE public.patients IN ACCESS EXCLUSIVE MODE")
    result = look(database_at_10)
    assert result.verdict is Verdict.INCOMPLETE
    assert "somebody holds a table exclusively" in found(result, "counts")[0].says


def test_preflight_takes_no_lock_that_meets_a_writer(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    """EXCLUSIVE meets every lock but ACCESS SHARE: with it held, all is seen, the sample too."""
    other = connect(database_at_10, autocommit=False)
    other.execute(
        "LOCK TABLE public.users, public.patients, public.assessments, public.refresh_tokens,"
        " public.user_clinics, public.goose_db_version IN EXCLUSIVE MODE"
    )
    result = look(database_at_10, sample=True)
    assert result.verdict is Verdict.PASS
    assert result.of(Level.UNKNOWN) == ()
    assert result.prediction is not None


def test_preflight_changes_nothing(db: psycopg.Connection, database_at_10: str) -> None:
    db.execute("ALTER TABLE public.users ADD n serial, ADD x text NOT NULL DEFAULT 'x'")
    before = pg_dump(database_at_10, exclude_schemas=())
    sequences = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
    values = db.execute(sequences).fetchall()
    for _ in range(2):
        assert look(database_at_10, sample=True).prediction is not None
    assert pg_dump(database_at_10, exclude_schemas=()) == before
    assert db.execute(sequences).fetchall() == values


def test_what_hangs_on_the_renamed_column_is_named(
    db: psycopg.Connection, database_at_10: str
) -> None:
    assert [f.level for f in found(look(database_at_10), "renamed_columns")] == [Level.OK]
    db.execute("CREATE INDEX mine ON public.assessments (patient_id) WHERE risk_score > 50")
    (told,) = found(look(database_at_10), "renamed_columns")
    assert told.level is Level.NOTE
    assert told.says.startswith("index public.mine uses public.assessments.patient_id")


def test_an_event_trigger_is_not_made_to_fire(db: psycopg.Connection, database_at_10: str) -> None:
    db.execute(
        "CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql"
        " AS 'BEGIN RAISE EXCEPTION USING MESSAGE = ''fired''; END'"
    )
    db.execute("CREATE EVENT TRIGGER rk_fires ON ddl_command_start EXECUTE FUNCTION public.f()")
    result = look(database_at_10, sample=True)
    (told,) = found(result, "forecast")
    assert told.level is Level.UNKNOWN
    assert "an event trigger would run" in told.says
    assert result.verdict is Verdict.PASS


def test_a_superuser_runs_no_function_of_somebody_else(
    database_at_10: str, reader: tuple[str, str]
) -> None:
    _, owner = reader
    with psycopg.connect(with_user(database_at_10, owner), autocommit=True) as own:
        own.execute(
            "CREATE FUNCTION public.f(text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql"
            " AS 'BEGIN RETURN true; END';"
            " ALTER TABLE public.users ADD CONSTRAINT foreign_code CHECK (public.f(role));"
            " CREATE UNIQUE INDEX foreign_key ON public.users (email, (public.f(role)))"
        )
    as_owner = look(with_user(database_at_10, owner))
    assert {f.level for f in found(as_owner, "subject_checks")} == {Level.OK}
    assert {f.level for f in found(as_owner, "subject_keys")} == {Level.OK}
    as_superuser = look(database_at_10, runner=owner)
    assert as_superuser.verdict is Verdict.INCOMPLETE
    unseen = [f for f in as_superuser.of(Level.UNKNOWN) if f.needed]
    assert [f.check for f in unseen] == ["subject_checks", "subject_keys"]
    assert all("no superuser's" in f.says for f in unseen)
    accepted = look(database_at_10, runner=owner, accept=("subject_checks", "subject_keys"))
    assert accepted.verdict is Verdict.PASS


def test_a_runner_who_is_nobody_is_a_mistake_of_the_caller(database_at_10: str) -> None:
    with pytest.raises(UsageError, match="There is no such role"):
        look(database_at_10, runner="nobody_of_this_name")


def test_another_command_can_be_gated_by_it(db: psycopg.Connection, database_at_10: str) -> None:
    assert look(database_at_10).refusal is None
    db.execute("CREATE VIEW public.v AS SELECT id FROM public.patients")
    refusal = look(database_at_10).refusal
    assert refusal is not None
    assert refusal.exit_code == 3
    assert "view public.v depends on public.patients" in refusal.message


def test_public_is_among_those_who_will_read(db: psycopg.Connection, database_at_10: str) -> None:
    db.execute("GRANT SELECT (name) ON public.patients TO PUBLIC")
    db.execute("GRANT SELECT ON public.users TO PUBLIC")
    told = found(look(database_at_10), "readers")[0]
    now, later = told.says.split("; who will read the profiles in public.users: ")
    assert "PUBLIC" in now
    assert "PUBLIC" in later


def test_a_name_cannot_talk_to_the_terminal(db: psycopg.Connection, database_at_10: str) -> None:
    db.execute('CREATE VIEW public."a\x1b[31m\nb" AS SELECT id FROM public.patients')
    (said,) = no_gos(look(database_at_10))
    assert said.isprintable()
    assert 'view public."a?[31m?b" depends on' in said


def test_a_check_that_says_nothing_is_unknown_and_no_pass(
    database_at_10: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Check(name="silent", area=Area.VALUES, run=lambda _scene: ())
    monkeypatch.setattr(inquiry, "CHECKS", (*inquiry.CHECKS, silent))
    result = look(database_at_10)
    assert result.verdict is Verdict.INCOMPLETE
    assert [f.check for f in result.of(Level.UNKNOWN) if f.needed] == ["silent"]
