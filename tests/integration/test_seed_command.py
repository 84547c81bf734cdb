"""The command `seed`: what it prints where, and how it ends."""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.seed.rows import TABLES
from tests.support.chain import record
from tests.support.cli import finish, run, start

Connect = Callable[..., psycopg.Connection]


def test_text_lists_the_tables_and_says_how_long_it_took(database_at_10: str) -> None:
    outcome = run("seed", "--patients", "50", url=database_at_10)
    assert outcome.code == 0
    assert all(table in outcome.out for table in TABLES)
    assert re.search(r"^[\d,]+ rows in \d+\.\d s\.$", outcome.out, re.MULTILINE)
    assert "password" not in outcome.out


def test_json_is_one_document(database_at_10: str) -> None:
    outcome = run(
        "seed", "--patients", "50", "--assessments-per-patient", "2", "--clinicians", "7",
        "--awkward", "--json", url=database_at_10,
    )  # fmt: skip
    assert outcome.code == 0
    assert outcome.document["rows"]["assessments"] == 100
    assert outcome.document["rows"]["users"] == 9
    assert outcome.document["logins"] == []


def test_passwords_are_printed_once_and_only_to_standard_output(database_at_10: str) -> None:
    outcome = run(
        "seed", "--patients", "9", "--demo-logins", "--json", "--log-level", "debug",
        url=database_at_10,
    )  # fmt: skip
    passwords = [login["password"] for login in outcome.document["logins"]]
    assert len(passwords) == 3
    for password in passwords:
        assert outcome.out.count(password) == 1
        assert password not in outcome.err


def test_a_second_call_is_refused_with_the_way_out(database_at_10: str) -> None:
    arguments = ("seed", "--patients", "9", "--json")
    assert run(*arguments, url=database_at_10).code == 0
    outcome = run(*arguments, url=database_at_10)
    assert outcome.code == 3
    assert "Nothing was changed." in outcome.err
    assert "--add" in outcome.document["error"]["hint"]
    assert run(*arguments, "--add", url=database_at_10).code == 0


def test_another_version_is_refused(database_at_10: str, connect: Connect) -> None:
    record(connect(database_at_10), 11)
    assert run("seed", url=database_at_10).code == 3


@pytest.mark.parametrize(
    "arguments", [("--patients", "-1"), ("--patients", "many"), ("--clinicians", "0"), ("extra",)]
)
def test_wrong_usage_is_said_before_anything_is_connected(arguments: tuple[str, ...]) -> None:
    assert run("seed", *arguments, url="postgresql://localhost:1/nowhere").code == 2


def test_without_a_url_no_database_is_guessed() -> None:
    assert run("seed").code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_the_program_stays_small_however_much_it_makes(database_at_10: str) -> None:
    program = start("seed", "--patients", "60000", "--json", url=database_at_10)
    peak = 0
    while program.poll() is None:
        peak = max(peak, resident_bytes(program.pid))
        time.sleep(0.05)
    outcome = finish(program)
    assert outcome.code == 0
    assert outcome.document["rows"]["patients"] == 60_000
    assert 0 < peak < 120 * 1024 * 1024


def resident_bytes(pid: int) -> int:
    """The highest resident memory of a process so far; 0 when it has just ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
