"""The whole chain under the real goose: down to a version and up again, turns taken with ours."""

from collections.abc import Callable

import psycopg
import pytest

from tests.conformance.goose_tool import needs_goose
from tests.conformance.test_goose_refactor import OF_THE_MOMENT, goose, ours, verified
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar

pytestmark = needs_goose

Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def url(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


@pytest.mark.parametrize("version", [0, 5, 8])
def test_down_to_a_version_and_up_again_leaves_no_trace(version: int, url: str) -> None:
    before = pg_dump(url, exclude_tables=OF_THE_MOMENT)
    goose(url, "down-to", str(version))
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) != before
    goose(url, "up-to", "10")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == before


def test_version_11_comes_back_from_far_below(url: str) -> None:
    goose(url, "up")
    work_as_version_11(url)
    before = pg_dump(url, exclude_tables=OF_THE_MOMENT)
    goose(url, "down-to", "1")
    goose(url, "up")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == before
    assert verified(url)


def test_turns_are_taken(url: str) -> None:
    ours(url, "up")
    work_as_version_11(url)
    before = pg_dump(url, exclude_tables=OF_THE_MOMENT)
    ours(url, "down", "--to", "3")
    goose(url, "up")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == before
    goose(url, "down-to", "3")
    ours(url, "up")
    assert pg_dump(url, exclude_tables=OF_THE_MOMENT) == before
    assert verified(url)


def test_what_has_no_user_any_more_is_kept_and_said(url: str, connect: Connect) -> None:
    goose(url, "down-to", "3")
    connection = connect(url)
    connection.execute("DELETE FROM public.users WHERE id = 60")
    goose(url, "up-to", "10")
    assert scalar(connection, "SELECT count(*) FROM public.refresh_tokens WHERE user_id = 60") == 0
    kept = "SELECT token_hash FROM archive.chain_0004_refresh_tokens_orphans"
    assert scalar(connection, kept) == "token of sixty"
    gone = "SELECT count(*) FROM archive.chain_0005_patients_owner_gone WHERE user_id = 60"
    assert scalar(connection, gone) == 2
