"""Bad input, through the program: what somebody did to the tables, and who may not do what.

Every refusal is held to the rules of `tests.support.refusals`.
"""

import re
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from refactorkit.migrations.model import Direction
from tests.support.background import go
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import GONE, open_clinic, tell
from tests.support.queries import scalar
from tests.support.refusals import (
    AT_10,
    AT_11,
    CANARY,
    keeps_secrets,
    plant_canary,
    refused_unchanged,
)
from tests.support.roles import fresh_role, give_everything, with_user


@pytest.fixture
def url(database_at_10: str) -> str:
    """A clinic at version 10, with values that must never be seen."""
    open_clinic(database_at_10)
    plant_canary(database_at_10)
    return database_at_10


@pytest.fixture
def url_at_11(url: str) -> str:
    assert go(Direction.UP, url).code == 0
    return url


# Somebody was at the tables

FOUND = {
    "a foreign key": (
        "CREATE TABLE public.notes (patient_id integer REFERENCES public.patients)",
        "foreign key notes_patient_id_fkey of public.notes is not known to the mapping",
    ),
    "a view": (
        "CREATE VIEW public.list AS SELECT id, name FROM public.patients",
        "view public.list depends on public.patients",
    ),
    "a publication": (
        "CREATE PUBLICATION stream FOR TABLE public.patients",
        r"publication stream covers public.patients \(--accept publications\)",
    ),
    "a policy": (
        "CREATE POLICY mine ON public.patients USING (user_id = 1)",
        "policy mine on public.patients",
    ),
    "ids at the end of int4": (
        "INSERT INTO public.patients (id, name, user_id) VALUES (2147483647, 'x', 1)",
        "ids would reach [0-9]+, and integer ends at 2147483647",
    ),
    "a sequence at the end of int4": (
        "SELECT setval('public.users_id_seq', 2147483600)",
        "ids would reach [0-9]+, and integer ends at 2147483647",
    ),
    "a patient without an owner": (
        "ALTER TABLE public.users DISABLE TRIGGER ALL; DELETE FROM public.users WHERE id = 900;"
        " ALTER TABLE public.users ENABLE TRIGGER ALL",
        "1 of public.patients name a user_id that is not in public.users: id 1500",
    ),
    "a placeholder's email": (
        "INSERT INTO public.users (id, email, password_hash)"
        " VALUES (5000, 'patient-3@unclaimed.invalid', 'h')",
        "1 rows of public.users already hold the email that a subject is to have: id 5000",
    ),
    "all at once": (
        "CREATE VIEW public.list AS SELECT id, name FROM public.patients;"
        " CREATE POLICY mine ON public.patients USING (user_id = 1)",
        "view public.list depends on public.patients; policy mine",
    ),
}


@pytest.mark.parametrize(("plant", "says"), FOUND.values(), ids=FOUND)
def test_up_refuses_what_it_could_not_give_back(url: str, plant: str, says: str) -> None:
    tell(url, plant)
    refused_unchanged(url, "up", code=3, says=says, do="Mend what is named", state=AT_10)


def test_a_check_that_a_subject_breaks_is_named(url: str) -> None:
    tell(url, "ALTER TABLE public.users ADD CONSTRAINT roles CHECK (role <> 'member')")
    refused_unchanged(
        url,
        "up",
        code=3,
        says="constraint roles of users does not let a subject or a native in",
        do="Look for the rows that break it",
        state=AT_10,
    )


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (
            "CREATE TABLE public.notes (user_id integer REFERENCES public.users)",
            "foreign key notes_user_id_fkey of public.notes is not known",
        ),
        (
            "CREATE VIEW public.phones AS SELECT phone FROM public.users",
            "view public.phones hangs on public.users.phone, which Down drops",
        ),
        ("CREATE PUBLICATION stream FOR TABLE public.users", "publication stream covers"),
        ("CREATE POLICY mine ON public.users USING (id = 1)", "policy mine on public.users"),
    ],
)
def test_down_refuses_what_it_could_not_give_back(url_at_11: str, plant: str, says: str) -> None:
    tell(url_at_11, plant)
    refused_unchanged(url_at_11, "down", code=3, says=says, do="Mend what is named", state=AT_11)


def test_down_without_the_owner_names_the_patients_by_id_and_asks_for_a_custodian(
    url_at_11: str,
) -> None:
    tell(url_at_11, f"DELETE FROM public.users WHERE id IN (3, {GONE})")
    owned = "owner of [0-9]+ patients is gone"
    message = refused_unchanged(
        url_at_11, "down", code=3, says=owned, do="Mend what is named", state=AT_11
    )
    ids = re.search(r"\(id ([-0-9, ]+)\): name a custodian \(--custodian EMAIL", message)
    assert ids is not None
    with psycopg.connect(url_at_11) as connection:
        found = connection.execute(
            "SELECT id FROM archive.patients WHERE user_id IN (3, 900) ORDER BY id"
        ).fetchall()
    assert ids[1] == ", ".join(str(row[0]) for row in found)
    assert "1500" in ids[1]


@pytest.mark.parametrize("custodian", [f"{CANARY}@nowhere.invalid", "patient-60@unclaimed.invalid"])
def test_a_custodian_who_is_nobody_or_a_subject_is_refused(url_at_11: str, custodian: str) -> None:
    tell(url_at_11, f"DELETE FROM public.users WHERE id = {GONE}")
    refused_unchanged(
        url_at_11,
        "down",
        "--custodian",
        custodian,
        code=3,
        says="the custodian must be an existing row of users that is nobody's subject",
        do="Mend what is named",
        state=AT_11,
    )
    assert run("down", "--custodian", "sixty@clinic.invalid", "--dir", SQL, url=url_at_11).code == 0


# Privileges


@pytest.mark.parametrize("command", ["up", "down", "redo", "status", "version"])
def test_a_role_that_owns_nothing(url: str, command: str) -> None:
    with fresh_role(url) as name:
        refused_unchanged(
            url,
            command,
            seen_as=with_user(url, name),
            code=1,
            says="42501 .*: this user lacks a privilege",
            do="Run it as the owner of the tables",
        )


@pytest.mark.parametrize("command", ["up", "redo"])
def test_a_role_that_may_write_every_table_and_owns_none(url: str, command: str) -> None:
    with fresh_role(url) as name:
        role = sql.Identifier(name)
        with psycopg.connect(url) as admin:
            for what in (
                "ALL TABLES IN SCHEMA public",
                "ALL SEQUENCES IN SCHEMA public",
                "SCHEMA public",
            ):
                admin.execute(sql.SQL("GRANT ALL ON {} TO {}").format(sql.SQL(what), role))
        refused_unchanged(
            url,
            command,
            seen_as=with_user(url, name),
            code=3,
            says="The schema archive belongs to another role",
            do="Run as its owner",
        )


@pytest.mark.parametrize("table", ["users", "assessments", "user_clinics"])
def test_a_role_that_owns_all_but_one_table(url: str, table: str) -> None:
    """Up would work with grants on some of them, and Down would not."""
    with fresh_role(url) as name:
        give_everything(url, name)
        tell(url, f"ALTER TABLE public.{table} OWNER TO CURRENT_USER")
        tell(url, f"GRANT ALL ON public.{table} TO {name}")
        refused_unchanged(
            url,
            "up",
            seen_as=with_user(url, name),
            code=3,
            says=f"public.{table} belongs to [^ ]+, and {name} is not a member of it",
            do="Mend what is named",
            state=AT_10,
        )


def test_a_role_that_may_not_create_the_schema_archive(url: str) -> None:
    tell(url, "DROP SCHEMA archive CASCADE")
    with fresh_role(url) as name:
        give_everything(url, name)
        tell(url, f"ALTER DATABASE {urlsplit(url).path[1:]} OWNER TO CURRENT_USER")
        refused_unchanged(
            url,
            "up",
            seen_as=with_user(url, name),
            code=3,
            says="This user may not create the schema archive",
            do="GRANT CREATE ON DATABASE",
        )


# What passes is as silent about values as what is refused


def test_a_whole_turn_shows_no_value_and_no_password(url: str) -> None:
    calls = [
        ["up", "--dry-run"], ["up"], ["up"], ["status"], ["validate"], ["version"],
        ["verify"], ["down", "--dry-run"], ["redo"], ["down"], ["verify"], ["status"],
    ]  # fmt: skip
    for call in calls:
        for form in ([], ["--json"]):
            outcome = run(*call, *form, "--dir", SQL, "--log-level", "debug", url=url)
            assert outcome.code == 0, outcome.err
            assert keeps_secrets(outcome, url), call
    with psycopg.connect(url) as connection:
        count = "SELECT count(*) FROM public.patients WHERE name = %s"
        assert scalar(connection, count, CANARY) == 4


def test_verify_needs_to_read_the_archive(url_at_11: str) -> None:
    with fresh_role(url_at_11) as name:
        refused_unchanged(
            url_at_11,
            "verify",
            seen_as=with_user(url_at_11, name),
            code=1,
            says="Verifying .* failed: SQLSTATE 42501 .*: this user lacks a privilege",
            do="Run it as the owner of the tables",
        )


def test_verify_where_no_refactor_has_run(url: str) -> None:
    refused_unchanged(
        url, "verify", code=3, says="There is nothing to verify", do="See refactorkit status"
    )
