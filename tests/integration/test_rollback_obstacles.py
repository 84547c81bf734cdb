"""What would stop Down after its guards is foretold too: constraints that its rows would break."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.databases import Databases
from tests.support.metered import foretell, stopped_by
from tests.support.refactor import turn

EDIT = "UPDATE public.users SET bmi = 44, updated_at = now() WHERE email LIKE 'patient-3@%';"
SIGN_UP = (
    "INSERT INTO public.users (id, email, password_hash, bmi, last_name)"
    " VALUES (300, 'n@x.invalid', 'h', 20, 'New');"
)
MOVE = "INSERT INTO public.assessments (user_id) VALUES (300);"
QUIET = "SET session_replication_role = replica;"
# What makes a Down impossible, and the constraint by which the server then says so.
BROKEN = {
    "an edit that a check of patients forbids": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT thin CHECK (bmi < 44) NOT VALID",
        "thin",
    ),
    "an edit that says a time which a check forbids": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT old CHECK (updated_at < '2026-01-01')"
        " NOT VALID",
        "old",
    ),
    "a native whom a check of patients forbids": (
        SIGN_UP + "ALTER TABLE archive.patients ADD CONSTRAINT known CHECK (age IS NOT NULL)"
        " NOT VALID",
        "known",
    ),
    "a check of a column that somebody added": (
        EDIT
        + 'ALTER TABLE archive.patients ADD COLUMN "Odd one" text;'
        " UPDATE archive.patients SET \"Odd one\" = '';"
        " ALTER TABLE archive.patients ADD CONSTRAINT odd CHECK (\"Odd one\" <> '' AND name <> '')"
        " NOT VALID",
        "odd",
    ),
    "two patients of one name": (
        "CREATE UNIQUE INDEX one_name ON archive.patients (lower(name)) WHERE id > 0;"
        " UPDATE public.users SET last_name = 'Same', first_name = 'THE' WHERE email LIKE"
        " 'patient-3@%'; UPDATE public.users SET last_name = 'Same', first_name = 'The' WHERE email"
        " LIKE 'patient-4@%'",
        "one_name",
    ),
    "a role that a check of users forbids": (
        "UPDATE public.users SET is_admin = false WHERE role = 'admin';"
        " ALTER TABLE public.users ADD CONSTRAINT few CHECK (role <> 'clinician' OR id < 3)"
        " NOT VALID",
        "few",
    ),
    "a check of users that the row breaks already": (
        "UPDATE public.users SET phone = '1' WHERE id = 1;"
        " ALTER TABLE public.users ADD CONSTRAINT never CHECK (id <> 1) NOT VALID",
        "never",
    ),
    "a number that a check of assessments forbids": (
        SIGN_UP + "INSERT INTO archive.patients_past VALUES (1, 300, 300);" + MOVE
        + "ALTER TABLE public.assessments ADD CONSTRAINT near CHECK (user_id < 301) NOT VALID",
        "near",
    ),
    "an assessment whose user is nobody": (
        QUIET + "UPDATE public.assessments SET user_id = 77777 WHERE id = 1",
        "assessments_patient_id_fkey",
    ),
    "a session whose user is nobody": (
        QUIET + "INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at)"
        " VALUES (77777, 't', now())",
        "refresh_tokens_user_id_fkey",
    ),
    "a creator who is nobody": (
        QUIET + "UPDATE public.users SET created_by = 77777 WHERE id = 2",
        "users_created_by_fkey",
    ),
    "an owner who is a subject": (
        "UPDATE archive.patients SET user_id = (SELECT target_id FROM archive.patients_map"
        " WHERE source_id = 4) WHERE id = 3",
        "fk_patients_user_id",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def at_11(databases: Databases) -> Iterator[psycopg.Connection]:
    """A database at version 11, for tests that leave nothing in it."""
    url = databases.create(11)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    databases.drop(url)


@pytest.fixture
def db(at_11: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The same in a transaction that is rolled back."""
    with at_11.transaction(force_rollback=True):
        yield at_11


@pytest.mark.parametrize(("plant", "constraint"), BROKEN.values(), ids=BROKEN)
def test_what_would_stop_down_is_foretold(
    db: psycopg.Connection, plant: str, constraint: str
) -> None:
    db.execute(plant.encode())
    db.execute("RESET session_replication_role")
    told = foretell(db, {})
    with pytest.raises(psycopg.Error) as stopped:
        turn(db, "down")
    assert stopped_by(stopped.value, told) == {constraint}
    assert [each.constraint for each in told.obstacles] == [constraint]
    assert told.sentence is None
    assert not told.passes
    assert all(each.rows > 0 for each in told.obstacles)


KEPT = {
    "a check that holds": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT thin CHECK (bmi < 45) NOT VALID"
    ),
    "a check whose answer is unknown": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT a CHECK (age + NULL > 1) NOT VALID"
    ),
    "a check of another row": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT b CHECK (id <> 4) NOT VALID"
    ),
    "a unique index over what is different": (
        EDIT + "CREATE UNIQUE INDEX c ON archive.patients (bmi, name)"
    ),
    "a unique index over NULL": (
        EDIT + SIGN_UP + "CREATE UNIQUE INDEX d ON archive.patients (nullif(age, age))"
    ),
    "a check of users that says nothing of rights": (
        "UPDATE public.users SET is_admin = false WHERE role = 'admin';"
        " ALTER TABLE public.users ADD CONSTRAINT e CHECK (id > 0)"
    ),
}


@pytest.mark.parametrize("plant", KEPT.values(), ids=KEPT)
def test_what_does_not_stop_down_is_no_obstacle(db: psycopg.Connection, plant: str) -> None:
    db.execute(plant.encode())
    told = foretell(db, {})
    assert told.passes
    assert told.unknown == ()
    turn(db, "down")


# Each may stop Down or not: only the run would tell.
UNKNOWN = {
    "a check that calls a function of somebody's own": (
        EDIT + "CREATE FUNCTION public.f(integer) RETURNS boolean IMMUTABLE LANGUAGE sql"
        " RETURN true; ALTER TABLE archive.patients ADD CONSTRAINT mine CHECK (public.f(id))",
        "mine of archive.patients",
    ),
    "a check that calls what may do anything": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT mine CHECK (set_config('a.b', '', true)"
        " = '' OR pg_sleep(9) IS NULL) NOT VALID",
        "mine of archive.patients",
    ),
    "a check that fails on a row": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT mine CHECK (1 / (bmi - 44) > 0)"
        " NOT VALID; ALTER TABLE archive.patients ADD CONSTRAINT fine CHECK (id > 0)",
        "mine of archive.patients",
    ),
    "a check of a default that Down gives": (
        SIGN_UP + "ALTER TABLE archive.patients ADD COLUMN x integer DEFAULT 1;"
        " ALTER TABLE archive.patients ADD CONSTRAINT mine CHECK (x = 1)",
        "mine of archive.patients",
    ),
    "an exclusion constraint": (
        EDIT + "ALTER TABLE archive.patients ADD CONSTRAINT mine EXCLUDE (id WITH =)",
        "mine of archive.patients",
    ),
    "a column that came back as another type": (
        "ALTER TABLE archive.patients_kept_users ADD COLUMN x integer;"
        " ALTER TABLE public.users ADD COLUMN x text",
        "archive.patients_kept_users.x",
    ),
}


@pytest.mark.parametrize(("plant", "named"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_cannot_be_found_out_is_said_and_is_no_pass(
    db: psycopg.Connection, plant: str, named: str
) -> None:
    db.execute(plant.encode())
    told = foretell(db, {})
    assert told.passes
    assert told.figures
    (sentence,) = told.unknown
    assert named in sentence
