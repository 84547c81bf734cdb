"""0011 under the real goose: the same laws, the same settings, turns taken with refactorkit."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.postgres.dsn import Dsn
from tests.conformance.goose_tool import needs_goose
from tests.conformance.test_interoperation import goose_process
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import GONE, open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar

pytestmark = needs_goose

Connect = Callable[..., psycopg.Connection]

OF_THE_MOMENT = (
    "public.goose_db_version",
    "archive.migration_checksums",
    "archive.patients_turns",
    "archive.patients_decisions",
)
CUSTODIAN = "-c refactorkit.custodian=sixty@clinic.invalid"


@pytest.fixture
def url(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


def goose(url: str, *arguments: str, options: str = "") -> None:
    process = goose_process(url, SQL, *arguments, options=options)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def goose_refuses(url: str, *arguments: str, options: str = "") -> str:
    """Assert that goose stops, with everything as it was; return what it says."""
    before = pg_dump(url, exclude_schemas=())
    process = goose_process(url, SQL, *arguments, options=options)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert pg_dump(url, exclude_schemas=()) == before
    return output


def ours(url: str, *arguments: str) -> None:
    outcome = run(*arguments, "--dir", SQL, url=url)
    assert outcome.code == 0, outcome.err


def verified(url: str) -> bool:
    return verify(VerifyRequest(dsn=Dsn.parse(url))).verdict is Verdict.PASS


def test_the_whole_chain_goes_up_and_down_with_data(empty_database: str) -> None:
    goose(empty_database, "up-to", "10")
    open_clinic(empty_database)
    before = pg_dump(empty_database)

    goose(empty_database, "up")
    assert verified(empty_database)
    goose(empty_database, "down")
    assert verified(empty_database)

    assert pg_dump(empty_database) == before


def test_both_tools_leave_the_same_database_the_archive_included(
    make_database: Callable[[int], str],
) -> None:
    """After each turn; our checksums, and when it was, aside."""
    texts = []
    for tool in (goose, ours):
        url = make_database(10)
        open_clinic(url)
        found = []
        for command in ("up", "down", "up"):
            tool(url, command)
            found.append(pg_dump(url, exclude_schemas=(), exclude_tables=OF_THE_MOMENT))
            if len(found) == 1:
                work_as_version_11(url)
        texts.append(found)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "turns",
    [
        [(goose, "up"), (ours, "down")],
        [(ours, "up"), (goose, "down")],
        [(goose, "up"), (ours, "redo"), (goose, "redo"), (ours, "down"), (ours, "up"),
         (goose, "down")],
    ],
    ids=["goose up, our down", "our up, goose down", "all in turn"],
)  # fmt: skip
def test_turns_are_taken(turns: list[tuple[Callable[..., None], str]], url: str) -> None:
    before = pg_dump(url)
    for tool, command in turns:
        tool(url, command)
        assert verified(url)
    assert pg_dump(url) == before


def test_turns_are_taken_over_the_work_of_version_11(url: str) -> None:
    goose(url, "up")
    work_as_version_11(url)
    at_11 = pg_dump(url, exclude_tables=OF_THE_MOMENT)
    ours(url, "down")
    goose(url, "up")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == at_11
    goose(url, "down")
    ours(url, "up")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == at_11
    assert verified(url)


# The operator's answers


@pytest.mark.parametrize("where", ["PGOPTIONS", "the database"])
def test_a_custodian_can_be_named(where: str, url: str, connect: Connect) -> None:
    goose(url, "up")
    connection = connect(url)
    connection.execute(f"DELETE FROM public.users WHERE id = {GONE}".encode())
    refusal = goose_refuses(url, "down")
    assert "0011 Down refuses: the owner of 1 patients is gone (id 1500)" in refusal
    assert "refactorkit.custodian" in refusal

    if where == "PGOPTIONS":
        goose(url, "down", options=CUSTODIAN)
    else:
        name = psycopg.sql.Identifier(connection.info.dbname)
        statement = "ALTER DATABASE {} SET refactorkit.custodian = 'sixty@clinic.invalid'"
        connection.execute(psycopg.sql.SQL(statement).format(name))
        goose(url, "down")

    assert scalar(connection, "SELECT user_id FROM public.patients WHERE id = 1500") == 60


@pytest.mark.parametrize(("options", "kept"), [("", False), ("on", True), ("off", False)])
def test_logins_can_be_kept(*, options: str, kept: bool, url: str, connect: Connect) -> None:
    goose(url, "up")
    work_as_version_11(url)
    goose(url, "down", options=f"-c refactorkit.keep_logins={options}" if options else "")
    active = "SELECT is_active FROM public.users WHERE email = 'new@home.invalid'"
    assert scalar(connect(url), active) is kept


@pytest.mark.parametrize(
    ("side", "kept"), [(None, "no"), ("", "no"), ("live", "no"), ("archive", "yes")]
)
def test_a_side_can_be_given_the_conflicts(
    side: str | None, kept: str, url: str, connect: Connect
) -> None:
    """'yes' has no image in version 11, where somebody then wrote 'no'."""
    connection = connect(url)
    goose(url, "up")
    connection.execute(
        "UPDATE public.users SET hypertension = 'no' WHERE email = 'patient--7@unclaimed.invalid'"
    )
    goose(url, "down", options="" if side is None else f"-c refactorkit.on_conflict={side}")
    assert scalar(connection, "SELECT hypertension FROM public.patients WHERE id = -7") == kept


def test_a_side_that_does_not_exist_is_refused(url: str) -> None:
    goose(url, "up")
    refusal = goose_refuses(url, "down", options="-c refactorkit.on_conflict=newest")
    assert "refactorkit.on_conflict must be live or archive" in refusal


def test_a_guard_can_be_overruled_by_its_name(url: str, connect: Connect) -> None:
    connect(url).execute("CREATE VIEW public.emails AS SELECT email FROM public.users")
    before = pg_dump(url)
    refusal = goose_refuses(url, "up")
    assert "view public.emails depends on public.users (--accept dependants)" in refusal

    accept = "-c refactorkit.accept=something,dependants"
    goose(url, "up", options=accept)
    goose(url, "down", options=accept)

    assert pg_dump(url) == before


@pytest.mark.parametrize("command", ["up", "down"])
def test_a_refusal_names_everything_and_shows_no_value(
    command: str, url: str, connect: Connect
) -> None:
    """goose shows the server's message, so it must be fit to be shown."""
    connection = connect(url)
    if command == "down":
        goose(url, "up")
    connection.execute(
        "CREATE TABLE public.notes (user_id integer REFERENCES public.users);"
        "CREATE POLICY mine ON public.users USING (email = 'sixty@clinic.invalid')"
    )
    refusal = goose_refuses(url, command)
    assert f"0011 {command.capitalize()} refuses: " in refusal
    assert "foreign key notes_user_id_fkey of public.notes is not known" in refusal
    assert "policy mine" in refusal
    assert "RK001" in refusal
    assert "sixty@clinic.invalid" not in refusal
