"""Each guard of 0011: what it refuses, in which words, and that nothing was changed."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.dump import pg_dump
from tests.support.refactor import turn

USERS_INSERT = "INSERT INTO public.users (id, email, password_hash) VALUES "

UP = {
    "a column of patients under a name of the archive's own": (
        "ALTER TABLE public.patients ADD refactorkit_turn integer",
        r"public.patients.refactorkit_turn has a name that the archive keeps for columns of its own"
        r" \(refactorkit_...\): rename it",
    ),
    "a column of users under a name of the archive's own": (
        "ALTER TABLE public.users ADD refactorkit_kind text",
        "public.users.refactorkit_kind has a name that the archive keeps",
    ),
    "a column of assessments under such a name": (
        "ALTER TABLE public.assessments ADD refactorkit_whatever text",
        "public.assessments.refactorkit_whatever has a name that the archive keeps",
    ),
    "a foreign key into patients": (
        "CREATE TABLE public.notes (patient_id integer REFERENCES public.patients)",
        "foreign key notes_patient_id_fkey of public.notes is not known to the mapping",
    ),
    "a foreign key into assessments": (
        "CREATE TABLE public.notes (a integer REFERENCES public.assessments ON DELETE CASCADE)",
        "foreign key notes_a_fkey of public.notes is not known",
    ),
    "a foreign key out of users": (
        "ALTER TABLE public.users ADD clinic_id integer REFERENCES public.clinics",
        "foreign key users_clinic_id_fkey of public.users is not known",
    ),
    "a foreign key with another action": (
        "ALTER TABLE public.patients DROP CONSTRAINT fk_patients_user_id,"
        " ADD CONSTRAINT fk_patients_user_id FOREIGN KEY (user_id) REFERENCES public.users",
        "foreign key fk_patients_user_id of public.patients is FOREIGN KEY",
    ),
    "a foreign key that is not validated": (
        "ALTER TABLE public.patients DROP CONSTRAINT fk_patients_user_id,"
        " ADD CONSTRAINT fk_patients_user_id FOREIGN KEY (user_id) REFERENCES public.users"
        " ON DELETE CASCADE NOT VALID",
        "NOT VALID",
    ),
    "a foreign key with a comment": (
        "COMMENT ON CONSTRAINT fk_patients_user_id ON public.patients IS 'mine'",
        "has a comment, which would be lost",
    ),
    "a foreign key that is gone": (
        "ALTER TABLE public.refresh_tokens DROP CONSTRAINT refresh_tokens_user_id_fkey",
        "foreign key refresh_tokens_user_id_fkey of public.refresh_tokens is missing",
    ),
    "a foreign key whose triggers are off": (
        "ALTER TABLE public.assessments DISABLE TRIGGER ALL",
        "foreign key assessments_patient_id_fkey of public.assessments has triggers",
    ),
    "a view on patients": (
        "CREATE VIEW public.v AS SELECT id FROM public.patients",
        r": view public.v depends on public.patients\.",
    ),
    "a view on users": (
        "CREATE VIEW public.v AS SELECT id FROM public.users",
        r"view public.v depends on public.users \(--accept dependants\)",
    ),
    "a materialized view on assessments": (
        "CREATE MATERIALIZED VIEW public.v AS SELECT patient_id FROM public.assessments",
        r"view public.v depends on public.assessments",
    ),
    "a function of the row type": (
        "CREATE FUNCTION public.f(public.patients) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        r"function public.f\(public.patients\) depends on public.patients",
    ),
    "a rule": (
        "CREATE RULE r AS ON DELETE TO public.users DO INSTEAD NOTHING",
        "rule r on public.users",
    ),
    "a policy": (
        "CREATE POLICY p ON public.patients USING (true)",
        "policy p on public.patients",
    ),
    "forced row security": (
        "ALTER TABLE public.users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "row security is on for public.users",
    ),
    "an heir": (
        "CREATE TABLE public.heir () INHERITS (public.patients)",
        "public.heir takes part in inheritance with public.patients",
    ),
    "a publication of the table": (
        "CREATE PUBLICATION pub FOR TABLE public.patients",
        r"publication pub covers public.patients \(--accept publications\)",
    ),
    "a publication of all tables": (
        "CREATE PUBLICATION pub FOR ALL TABLES",
        "publication pub covers all tables, the archive too",
    ),
    "a sequence with a cache": (
        "ALTER SEQUENCE public.users_id_seq CACHE 10",
        "sequence public.users_id_seq must have CACHE 1",
    ),
    "a sequence that goes round": (
        "ALTER SEQUENCE public.patients_id_seq CYCLE",
        "sequence public.patients_id_seq must have CACHE 1",
    ),
    "a sequence that ends before the type": (
        "ALTER SEQUENCE public.patients_id_seq MAXVALUE 1000",
        "no MAXVALUE of its own",
    ),
    "a column whose values the server alone makes": (
        "ALTER TABLE public.users ADD n integer GENERATED ALWAYS AS IDENTITY",
        "public.users.n is GENERATED ALWAYS AS IDENTITY",
    ),
    "a sequence that is not owned": (
        "ALTER SEQUENCE public.patients_id_seq OWNED BY NONE",
        "public.patients.id does not own the sequence public.patients_id_seq",
    ),
    "a column of another type": (
        "ALTER TABLE public.patients ALTER COLUMN bmi TYPE numeric(6,2)",
        r"public.patients.bmi is numeric\(6,2\), and must be numeric\(5,2\)",
    ),
    "a column that is gone": (
        "ALTER TABLE public.assessments DROP COLUMN fbs",
        "public.assessments.fbs is missing",
    ),
    "another default": (
        "ALTER TABLE public.users ALTER COLUMN role SET DEFAULT 'x'",
        "public.users.role is text NOT NULL DEFAULT 'x'::text, and must be",
    ),
    "a column that must be filled": (
        "TRUNCATE public.users CASCADE; ALTER TABLE public.users ADD tenant integer NOT NULL",
        "public.users.tenant is NOT NULL without a default",
    ),
    "a column of version 11": (
        "ALTER TABLE public.users ADD phone text",
        "public.users.phone is there already",
    ),
    "an index of version 11": (
        "CREATE INDEX idx_users_account_status ON public.users (id)",
        "public.idx_users_account_status is there already",
    ),
    "a table of version 11": (
        "CREATE TABLE public.notification_queue (id integer)",
        "public.notification_queue is there already",
    ),
    "a constraint of version 11": (
        "ALTER TABLE public.users ADD CONSTRAINT users_smoking_status_check CHECK (true)",
        "constraint users_smoking_status_check of public.users is there already",
    ),
    "an archived table of that name": (
        "CREATE TABLE archive.patients (id integer)",
        "archive.patients is there already",
    ),
    "a table of the archive's own": (
        "CREATE TABLE archive.patients_map (id integer)",
        "archive.patients_map is there already",
    ),
    "a view that stands in the archive": (
        "CREATE VIEW archive.patients_map AS SELECT 1",
        "archive.patients_map is there, and is not a table of this refactor",
    ),
    "a trigger that was planted in the archive": (
        "CREATE TABLE archive.patients_decisions (turn integer);"
        "CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER evil AFTER INSERT ON archive.patients_decisions"
        " FOR EACH ROW EXECUTE FUNCTION public.evil()",
        "trigger evil on archive.patients_decisions",
    ),
    "an open archive": (
        "GRANT CREATE ON SCHEMA archive TO PUBLIC",
        "PUBLIC has CREATE on schema archive",
    ),
    "an archive that others may look into": (
        "GRANT USAGE ON SCHEMA archive TO PUBLIC",
        "PUBLIC has USAGE on schema archive",
    ),
    "an archive table that others may write": (
        "CREATE TABLE archive.other (id integer); GRANT INSERT ON archive.other TO PUBLIC",
        "others may write to archive.other",
    ),
    "a reader of users who could not read patients": (
        "GRANT SELECT ON public.users TO PUBLIC",
        r"PUBLIC may SELECT public.users and not public.patients.*--accept new_readers",
    ),
    "a patient without an owner": (
        "ALTER TABLE public.users DISABLE TRIGGER ALL;"
        " DELETE FROM public.users WHERE id = 1; ALTER TABLE public.users ENABLE TRIGGER ALL",
        r"\d+ of public.patients name a user_id that is not in public.users: id \d+, ",
    ),
    "a placeholder that is taken": (
        USERS_INSERT + "(5000, 'patient-3@unclaimed.invalid', 'h')",
        "1 rows of public.users already hold the email that a subject is to have: id 5000",
    ),
    "ids at the end of the type": (
        USERS_INSERT + "(2147483647, 'last@x.invalid', 'h')",
        "integer ends at 2147483647",
    ),
    "a sequence at the end of the type": (
        "SELECT setval('public.patients_id_seq', 2147483647)",
        "integer ends at 2147483647",
    ),
}


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    return connect(database_at_10)


def state(db: psycopg.Connection) -> str:
    return pg_dump(f"{db.info.dsn} password={db.info.password}", exclude_schemas=())


@pytest.mark.parametrize(("plant", "sentence"), UP.values(), ids=UP)
def test_up_refuses(db: psycopg.Connection, plant: str, sentence: str) -> None:
    db.execute(plant.encode())
    before = state(db)
    with pytest.raises(psycopg.Error, match=sentence) as refused:
        turn(db, "up")
    assert refused.value.sqlstate == "RK001"
    assert "Nothing was changed" in str(refused.value.diag.message_hint)
    assert state(db) == before


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("dependants", "CREATE VIEW public.v AS SELECT id FROM public.users"),
        ("publications", "CREATE PUBLICATION pub FOR TABLE public.users, public.patients"),
        ("publications", "CREATE PUBLICATION pub FOR ALL TABLES"),
        ("new_readers", "GRANT SELECT ON public.users TO PUBLIC"),
        ("archive_readers", "GRANT USAGE ON SCHEMA archive TO PUBLIC"),
    ],
)
def test_an_operator_may_overrule_a_guard_that_has_a_name(
    db: psycopg.Connection, name: str, plant: str
) -> None:
    db.execute(plant.encode())
    before = pg_dump(f"{db.info.dsn} password={db.info.password}")
    turn(db, "up", {"accept": f"something, {name}"})
    turn(db, "down", {"accept": name})
    assert pg_dump(f"{db.info.dsn} password={db.info.password}") == before


def test_a_table_with_few_attribute_numbers_left_is_refused(db: psycopg.Connection) -> None:
    db.execute(b"ALTER TABLE public.users " + b", ".join(b"ADD x%d text" % i for i in range(1495)))
    with pytest.raises(psycopg.Error, match=r"public\.users has 96 attribute numbers left"):
        turn(db, "up")


def test_up_refuses_a_database_that_is_not_at_version_10(
    make_database: Callable[[int], str], connect: Callable[..., psycopg.Connection]
) -> None:
    with pytest.raises(psycopg.Error, match=r"public.user_clinics is not there"):
        turn(connect(make_database(8)), "up")


DOWN = {
    "a column of users under a name of the archive's own": (
        "ALTER TABLE public.users ADD refactorkit_turn integer",
        "public.users.refactorkit_turn has a name that the archive keeps",
    ),
    "a column of the moved patients under such a name": (
        "ALTER TABLE archive.patients ADD refactorkit_reason text",
        "archive.patients.refactorkit_reason has a name that the archive keeps",
    ),
    "a column of a table that Down moves under such a name": (
        "ALTER TABLE public.notification_queue ADD refactorkit_turn text",
        "public.notification_queue.refactorkit_turn has a name that the archive keeps",
    ),
    "a foreign key into users": (
        "CREATE TABLE public.notes (u integer REFERENCES public.users ON DELETE CASCADE)",
        "foreign key notes_u_fkey of public.notes is not known",
    ),
    "a foreign key that is not validated": (
        "ALTER TABLE public.assessments DROP CONSTRAINT assessments_user_id_fkey,"
        " ADD CONSTRAINT assessments_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users"
        " ON DELETE CASCADE NOT VALID",
        "assessments_user_id_fkey of public.assessments is FOREIGN KEY",
    ),
    "a view on every column that Down drops": (
        "CREATE VIEW public.v AS SELECT * FROM public.users",
        r"view public.v hangs on public.users.account_status and 32 more of its columns,"
        r" which Down drops\.",
    ),
    "a view on a column that Down drops": (
        "CREATE VIEW public.v AS SELECT phone FROM public.users",
        r"view public.v hangs on public.users.phone, which Down drops\.",
    ),
    "a view on a table that Down moves": (
        "CREATE VIEW public.v AS SELECT id FROM public.notification_queue",
        "view public.v depends on public.notification_queue",
    ),
    "an index on a column that Down drops": (
        "CREATE INDEX mine ON public.users (phone)",
        r"index public.mine hangs on public.users.phone, which Down drops \(--accept drift\)",
    ),
    "a check on a column that Down drops": (
        "ALTER TABLE public.users ADD CONSTRAINT mine CHECK (phone <> '')",
        r"constraint mine on table public.users hangs on public.users.phone",
    ),
    "a comment on a column that Down drops": (
        "COMMENT ON COLUMN public.assessments.notes IS 'mine'",
        "public.assessments.notes has a comment, a grant or a setting of its own",
    ),
    "a grant on a column that Down drops": (
        "GRANT SELECT (phone) ON public.users TO PUBLIC",
        "public.users.phone has a comment, a grant or a setting of its own",
    ),
    "a check that is gone": (
        "ALTER TABLE public.users DROP CONSTRAINT users_hypertension_check",
        "constraint users_hypertension_check is not there",
    ),
    "a column that is gone": (
        "ALTER TABLE public.users DROP COLUMN phone",
        "public.users.phone is missing",
    ),
    "a patients table in its place": (
        "CREATE TABLE public.patients (id integer)",
        "public.patients is there already",
    ),
    "a foreign key into the archive": (
        "CREATE TABLE public.notes (p integer REFERENCES archive.patients ON DELETE CASCADE)",
        "foreign key notes_p_fkey of public.notes is not known",
    ),
    "an archive without a row": (
        "DELETE FROM archive.patients WHERE id = (SELECT min(id) FROM archive.patients)",
        "1 rows of archive.patients and archive.patients_map have no counterpart",
    ),
    "an archive with a table less": (
        "DROP TABLE archive.patients_decisions",
        "archive.patients_decisions is not there",
    ),
    "a policy": ("CREATE POLICY p ON public.users", "policy p on public.users"),
    "another mapping": (
        "UPDATE archive.patients_turns SET structure_hash = 'x'",
        "Up ran with a mapping of another structure",
    ),
    "a sequence at the end of the type": (
        "SELECT setval('public.users_id_seq', 2147483647)",
        "integer ends at 2147483647",
    ),
}


@pytest.mark.parametrize(("plant", "sentence"), DOWN.values(), ids=DOWN)
def test_down_refuses(db: psycopg.Connection, plant: str, sentence: str) -> None:
    turn(db, "up")
    db.execute(plant.encode())
    before = state(db)
    with pytest.raises(psycopg.Error, match=sentence) as refused:
        turn(db, "down")
    assert refused.value.sqlstate == "RK001"
    assert state(db) == before


AGAIN = {
    "a table of what was kept is gone": (
        "DROP TABLE archive.patients_kept_users",
        "archive.patients_kept_users is gone: what was kept there could not be given back",
    ),
    "a table that Down moved away is gone": (
        "DROP TABLE archive.notification_queue",
        "archive.notification_queue is gone",
    ),
    "another mapping": (
        "UPDATE archive.patients_turns SET structure_hash = 'x'",
        "the archive was written with a mapping of another structure",
    ),
    "a user with the id of a subject": (
        USERS_INSERT + "(7, 'seven@x.invalid', 'h')",
        "1 rows of public.users have the id of a subject that is to return: id 7",
    ),
}


@pytest.mark.parametrize(("plant", "sentence"), AGAIN.values(), ids=AGAIN)
def test_the_next_up_refuses(db: psycopg.Connection, plant: str, sentence: str) -> None:
    turn(db, "up")
    turn(db, "down")
    db.execute(plant.encode())
    before = state(db)
    with pytest.raises(psycopg.Error, match=sentence) as refused:
        turn(db, "up")
    assert refused.value.sqlstate == "RK001"
    assert state(db) == before


def test_down_refuses_a_rule_for_conflicts_that_does_not_exist(db: psycopg.Connection) -> None:
    turn(db, "up")
    with pytest.raises(psycopg.Error, match="on_conflict must be live or archive"):
        turn(db, "down", {"on_conflict": "newest"})


@pytest.mark.parametrize(
    "plant",
    [
        "CREATE INDEX mine ON public.users (phone)",
        "COMMENT ON COLUMN public.users.phone IS 'mine'",
        "ALTER TABLE public.users DROP CONSTRAINT users_hypertension_check",
    ],
)
def test_down_lets_go_of_drift_that_the_operator_accepts(
    db: psycopg.Connection, plant: str
) -> None:
    before = pg_dump(f"{db.info.dsn} password={db.info.password}")
    turn(db, "up")
    db.execute(plant.encode())
    turn(db, "down", {"accept": "drift"})
    assert pg_dump(f"{db.info.dsn} password={db.info.password}") == before


@pytest.mark.parametrize("version", [2, 10, 11])
def test_the_chain_does_not_begin_again_over_tables_of_a_later_version(
    make_database: Callable[[int], str], connect: Callable[..., psycopg.Connection], version: int
) -> None:
    db = connect(make_database(version))
    with pytest.raises(psycopg.Error, match="of a later version already"):
        turn(db, "up", version=1)
