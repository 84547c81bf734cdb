"""rollback: counted before, whole or not at all, told by row; a dry run leaves no trace."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.chain import Chain, Session
from refactorkit.commands.operation.model import Forecast, Question
from refactorkit.commands.rollback import RollbackRequest, rollback
from refactorkit.errors import RefusedError
from refactorkit.migrations.model import Direction
from refactorkit.migrations.plan import Step
from refactorkit.postgres.dsn import Dsn
from tests.integration.test_cutover import began_since, everything
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.planted import count_statements, plant
from tests.support.queries import scalar
from tests.support.refactor_chain import write_refactor

Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def at_11(database_at_10: str) -> str:
    """A database at version 11, in which the application has claimed, edited, deleted and made."""
    open_clinic(database_at_10)
    assert run("cutover", "--yes", url=database_at_10).code == 0
    work_as_version_11(database_at_10)
    return database_at_10


def report(document: Any) -> Any:
    (found,) = document["refactors"]
    return found


def test_it_says_what_became_of_every_row(at_11: str) -> None:
    outcome = run("rollback", "--yes", "--json", url=at_11)
    assert outcome.code == 0, outcome.err
    found = report(outcome.document)
    counts = found["counts"]
    # 14 patients; one was softly deleted, one hard; one account of version 11 became one.
    assert counts["sources"] == counts["pairs"] == 13
    assert (counts["restored"], counts["created"]) == (12, 1)
    assert (counts["left_out_soft"], counts["left_out_hard"]) == (1, 1)
    assert counts.get("merged", 2) == 2  # not where Down writes them inside a block
    assert found["deactivated"] == ["30000"]
    rules = {(each["rule"], each["column"]): each["count"] for each in found["decisions"]}
    assert rules["made in version 11", "is_active"] == 1
    assert rules["replaced a value without an image", "menopause_status"] == 1
    assert all(each["holds"] for each in found["equations"])
    assert (outcome.document["before"], outcome.document["after"]) == (11, 10)


def test_a_dry_run_says_the_same_and_leaves_no_trace(at_11: str) -> None:
    before = everything(at_11)
    asked_at = datetime.now(UTC)
    rehearsed = run("rollback", "--dry-run", "--json", url=at_11)
    assert rehearsed.code == 0, rehearsed.err
    assert began_since(asked_at, rehearsed.document)
    assert everything(at_11) == before
    asked_at = datetime.now(UTC)
    done = run("rollback", "--yes", "--json", url=at_11)
    assert began_since(asked_at, done.document)
    assert everything(at_11) != before
    assert report(rehearsed.document) == report(done.document)
    assert rehearsed.document["dry_run"] is True
    assert (rehearsed.document["before"], rehearsed.document["after"]) == (11, 11)
    assert rehearsed.document["verify"]["verdict"] == "pass"
    locks = [[each["line"], each["locks"]] for each in rehearsed.document["statements"]]
    assert locks == [[each["line"], each["locks"]] for each in done.document["statements"]]


def test_a_dry_run_gives_up_at_the_limit_of_its_locks(at_11: str) -> None:
    before = everything(at_11)
    outcome = run("rollback", "--dry-run", "--max-lock-ms", "25", "--retries", "0", url=at_11)
    assert outcome.code == 4
    assert "was not done after 25 ms" in outcome.err
    assert everything(at_11) == before


def test_a_dry_run_finds_a_fault_that_the_run_would_have(
    database_at_10: str, tmp_path: Path
) -> None:
    assert run("cutover", "--yes", url=database_at_10).code == 0
    fault = "UPDATE public.patients SET age = 1 WHERE id = 3;"
    last = count_statements(Direction.DOWN)
    plant(tmp_path, Direction.DOWN, after=last - 1, statement=fault)
    options = ("--dir", tmp_path, "--json")
    rehearsed = run("rollback", "--dry-run", *options, url=database_at_10)
    assert rehearsed.code == 3
    assert rehearsed.document["next"] == ["Nothing was changed: the database is at version 11."]
    done = run("rollback", "--yes", *options, url=database_at_10)
    assert done.code == 3
    differences = done.document["verify"]["differences"]
    assert {(each["table"], each["id"]) for each in differences} == {("public.patients", "3")}
    assert differences == rehearsed.document["verify"]["differences"]
    assert "the database is at version 10" in done.document["next"][0]
    assert "refactorkit cutover" in done.document["next"][0]


def test_a_guard_that_says_no_leaves_everything_as_it_was(at_11: str, connect: Connect) -> None:
    connect(at_11).execute("DELETE FROM public.users WHERE id = 900")  # an owner
    before = everything(at_11)
    for way in ("--dry-run", "--yes"):
        outcome = run("rollback", way, url=at_11)
        assert outcome.code == 3
        assert "--custodian EMAIL" in outcome.err
        assert everything(at_11) == before
    custodian = ("--custodian", "sixty@clinic.invalid")
    assert run("rollback", "--dry-run", *custodian, url=at_11).code == 0
    outcome = run("rollback", "--yes", *custodian, "--json", url=at_11)
    assert outcome.code == 0, outcome.err
    rules = {each["rule"]: each["count"] for each in report(outcome.document)["decisions"]}
    assert rules["owner gone"] == 1


def test_the_operators_answers_reach_down(at_11: str, connect: Connect) -> None:
    options = ("--keep-logins", "--on-conflict", "archive")
    outcome = run("rollback", "--yes", "--json", *options, url=at_11)
    assert outcome.code == 0, outcome.err
    assert report(outcome.document)["deactivated"] == []
    connection = connect(at_11)
    assert scalar(connection, "SELECT is_active FROM public.users WHERE id = 30000") is True
    status = "SELECT menopause_status FROM public.patients WHERE id = -7"
    assert scalar(connection, status) == "unknown"


def test_a_rollback_that_was_done_is_only_verified_again(at_11: str) -> None:
    assert run("rollback", "--yes", url=at_11).code == 0
    before = everything(at_11)
    outcome = run("rollback", "--yes", url=at_11)
    assert outcome.code == 0
    assert "already at version 10, nothing was run" in outcome.out
    assert everything(at_11) == before


def test_another_refactor_goes_up_and_down_as_well(empty_database: str, tmp_path: Path) -> None:
    write_refactor(tmp_path, empty_database, "devices")
    options = ("--dir", tmp_path, "--json")
    assert run("cutover", "--yes", *options, url=empty_database).code == 0
    rehearsed = run("rollback", "--dry-run", *options, url=empty_database)
    done = run("rollback", "--yes", *options, url=empty_database)
    assert (rehearsed.code, done.code) == (0, 0), done.err
    assert report(rehearsed.document) == report(done.document)


def metered(url: str, forecast: Forecast | None, **more: object) -> RollbackRequest:
    asked: list[Mapping[str, str]] = []

    def meter(
        session: Session, steps: tuple[Step, ...], settings: Mapping[str, str]
    ) -> Forecast | None:
        assert session.found.history.current == 11
        assert [step.direction for step in steps] == [Direction.DOWN]
        asked.append(settings)
        return forecast

    chain = Chain(dsn=Dsn.parse(url), directory=SQL, table="goose_db_version", environ={})
    return RollbackRequest(chain=chain, meter=meter, keep_logins=True, **more)  # type: ignore[arg-type]


def test_what_was_counted_before_can_refuse_and_is_shown_before_the_question(at_11: str) -> None:
    before = everything(at_11)
    no = Forecast(refusals=("The owner of 3 patients is gone.", "An id is out of range."))
    with pytest.raises(RefusedError, match=r"of 3 patients is gone\. An id is out of range"):
        rollback(metered(at_11, no))
    questions: list[Question] = []

    def ask(question: Question) -> bool:
        questions.append(question)
        return False

    with pytest.raises(RefusedError, match="did not say yes"):
        rollback(metered(at_11, Forecast(counts={"restored": 12}), confirm=ask))
    assert questions[0].remarks == ("12 rows would be restored.",)
    assert questions[0].rows["archive.patients"] == 14
    assert everything(at_11) == before


def test_several_files_cannot_be_tried_together_and_a_version_above_is_no_goal(
    at_11: str,
) -> None:
    outcome = run("rollback", "--dry-run", "--to", "9", url=at_11)
    assert outcome.code == 3
    assert "Only one file, in one transaction, can be tried" in outcome.err
    assert run("rollback", "--yes", "--to", "11", url=at_11).code == 2


def test_where_nothing_was_ever_cut_over_there_is_nothing_to_roll_back(
    database_at_10: str, connect: Connect
) -> None:
    outcome = run("rollback", "--yes", url=database_at_10)
    assert outcome.code == 3
    assert "the archive knows of no turn of patients" in outcome.err
    # Another tool ran another 0011: the version table says 11, and there is no archive of it.
    connect(database_at_10).execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (11, true)"
    )
    outcome = run("cutover", "--yes", url=database_at_10)
    assert outcome.code == 3
    assert "the archive knows of no turn of patients" in outcome.err
