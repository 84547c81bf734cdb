"""`cutover --online` as an operator types it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.integration.test_cutover import began_since
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.terminal import converse


@pytest.fixture
def url(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


def test_it_stages_says_where_it_is_and_switches(url: str) -> None:
    staged = run("cutover", "--online", "--stage-only", "--yes", "--json", url=url)
    assert staged.code == 0, staged.err
    assert (staged.document["version"], staged.document["next"]) == (10, "ready to switch")

    asked = run("cutover", "--online", "--status", "--json", url=url)
    assert asked.document == staged.document

    asked_at = datetime.now(UTC)
    done = run("cutover", "--online", "--yes", "--json", url=url)
    assert done.code == 0, done.err
    assert began_since(asked_at, done.document)
    assert (done.document["verdict"], done.document["after"]) == ("pass", 11)
    assert done.document["subjects_staged"] == staged.document["subjects_staged"]
    assert done.document["locked_ms"] > 0
    locked_at = datetime.fromisoformat(done.document["locked_at"])
    with psycopg.connect(url) as connection:
        wrote_at = scalar(connection, "SELECT at FROM archive.patients_turns")
    assert isinstance(wrote_at, datetime)
    assert asked_at < locked_at < wrote_at
    assert wrote_at < locked_at + timedelta(milliseconds=done.document["locked_ms"])

    again = run("cutover", "--online", "--yes", url=url)
    assert again.code == 0, again.err
    assert "The switch had happened before: version 11." in again.out


def test_an_abort_leaves_version_10_as_it_was(url: str) -> None:
    before = pg_dump(url)
    assert run("cutover", "--online", "--stage-only", "--yes", url=url).code == 0
    assert pg_dump(url) != before
    aborted = run("cutover", "--online", "--abort", url=url)
    assert aborted.code == 0, aborted.err
    assert pg_dump(url) == before


def test_another_database_than_is_meant_is_left_alone(url: str) -> None:
    before = pg_dump(url, exclude_schemas=())
    for meant, says in (
        (("--expect-database", "elsewhere"), '"elsewhere" was expected'),
        (("--expect-system-identifier", "1"), "and 1 was expected"),
    ):
        refused = run("cutover", "--online", "--yes", *meant, url=url)
        assert refused.code == 3
        assert says in refused.err
    assert pg_dump(url, exclude_schemas=()) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--stage-only",), "need --online"),
        (("--online", "--stage-only", "--abort"), "exclude each other"),
        (("--online", "--to", "11"), "--to cannot be had with --online"),
        (("--online",), "there is no terminal to ask on"),
        (("--online", "--yes", "--pause-before-switch"), "asks on a terminal"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    url: str, options: tuple[str, ...], says: str
) -> None:
    before = pg_dump(url, exclude_schemas=())
    refused = run("cutover", *options, url=url)
    assert refused.code == 2
    assert says in refused.err
    assert pg_dump(url, exclude_schemas=()) == before


def test_it_pauses_before_the_switch_and_a_no_leaves_everything_staged(url: str) -> None:
    command = ("cutover", "--online", "--yes", "--pause-before-switch")
    code, said = converse(command, url=url, answers=[("Switch now?", "n")])
    assert code == 1, said
    assert "The switch was not confirmed." in said
    asked = run("cutover", "--online", "--status", "--json", url=url)
    assert (asked.document["version"], asked.document["next"]) == (10, "ready to switch")

    code, said = converse(command, url=url, answers=[("Switch now?", "y")])
    assert code == 0, said
    assert "From version 10 to 11" in said


def test_what_was_deleted_since_a_rollback_has_to_be_accepted_at_each_step(
    url: str, connect: Callable[[str], psycopg.Connection]
) -> None:
    assert run("cutover", "--yes", url=url).code == 0
    work_as_version_11(url)
    assert run("rollback", "--yes", url=url).code == 0
    connection = connect(url)
    connection.execute("DELETE FROM public.patients WHERE id = 1500")
    stage = ("cutover", "--online", "--stage-only", "--yes")
    before = pg_dump(url, exclude_schemas=())
    refused = run(*stage, url=url)
    assert refused.code == 3
    assert "1 patients that were deleted in version 10 (1 of them" in refused.err
    assert pg_dump(url, exclude_schemas=()) == before

    assert run(*stage, "--accept", "deletions", url=url).code == 0
    connection.execute("DELETE FROM public.patients WHERE id = 7")
    refused = run("cutover", "--online", "--yes", url=url)
    assert refused.code == 3
    assert "2 patients that were deleted in version 10 (1 of them" in refused.err
    offline = run("cutover", "--yes", url=url)
    assert offline.code == 3
    assert "2 patients that were deleted in version 10 (1 of them" in offline.err

    done = run("cutover", "--online", "--yes", "--accept", "deletions", "--json", url=url)
    assert done.code == 0, done.err
    assert any(
        "deleted in version 10, patients: 2 (7, 1500)" in n for n in done.document["notices"]
    )
