"""REFACTORKIT_TEST_POSTGRES: which server the tests use, and what they say if it is not there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.postgres.binaries import find_binaries
from tests.support.servers import Kind, Server, chosen_binaries

ONE_TEST = "tests/integration/test_fixtures.py::test_an_empty_database_has_no_tables"


def run_one_test(**environment: str) -> "subprocess.CompletedProcess[str]":
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "PYTEST" not in name and not name.startswith("REFACTORKIT_TEST_")
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ONE_TEST],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**inherited, **environment},
    )


def test_a_server_can_be_given_by_its_url(server: Server) -> None:
    run = run_one_test(
        REFACTORKIT_TEST_POSTGRES="url", REFACTORKIT_TEST_DATABASE_URL=server.url("postgres")
    )
    assert run.returncode == 0, run.stdout
    assert f"PostgreSQL {server.version} (url)" in run.stdout
    assert "1 passed" in run.stdout


def test_the_embedded_server_can_be_of_a_named_installation() -> None:
    named = find_binaries()
    run = run_one_test(REFACTORKIT_TEST_BINARIES=str(named.root))
    assert run.returncode == 0, run.stdout
    assert f"PostgreSQL {named.version} (embedded, programs of {named.root})" in run.stdout
    assert "1 passed" in run.stdout


def test_the_server_under_test_is_the_one_that_was_asked_for(
    server: Server, empty_database: str, connect: Callable[..., psycopg.Connection]
) -> None:
    connection = connect(empty_database)
    assert connection.execute("SHOW server_version").fetchone() == (server.version,)
    if server.kind is Kind.EMBEDDED:
        assert server.version == chosen_binaries().version


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"REFACTORKIT_TEST_POSTGRES": "mock"}, "must be one of embedded, container, url"),
        ({"REFACTORKIT_TEST_POSTGRES": "url"}, "REFACTORKIT_TEST_DATABASE_URL must be the URL"),
        (
            {
                "REFACTORKIT_TEST_POSTGRES": "url",
                "REFACTORKIT_TEST_DATABASE_URL": "postgresql://u:canary@/db?host=/nonexistent",
            },
            "does not answer",
        ),
        (
            {
                "REFACTORKIT_TEST_POSTGRES": "container",
                "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            },
            "no Docker engine answers here",
        ),
        (
            {"REFACTORKIT_TEST_BINARIES": "/nonexistent"},
            "must be a folder with PostgreSQL's programs in its bin/",
        ),
    ],
    ids=["unknown", "no-url", "nobody-there", "no-engine", "no-programs"],
)
def test_a_server_that_cannot_be_had_is_a_sentence_not_a_skip(
    environment: dict[str, str], sentence: str
) -> None:
    run = run_one_test(**{"REFACTORKIT_TEST_DATABASE_URL": "", **environment})
    assert run.returncode == pytest.ExitCode.USAGE_ERROR, run.stdout
    assert sentence in run.stderr
    assert "canary" not in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
