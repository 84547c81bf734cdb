"""The program around its commands: options, help, errors and logs, without a database."""

import ast
import json
import logging as standard_logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import typer.main
from typer.core import TyperGroup

from refactorkit import __version__
from refactorkit.cli import logging
from refactorkit.cli.app import app, split_global_options
from refactorkit.cli.logging import LogLevel, keep_known_facts
from refactorkit.errors import BusyError, FailedError, RefusedError, UsageError
from tests.support.cli import finish, run, start, write_files

TESTS = Path(__file__).parents[1]
OURS = ("up", "down", "redo", "status", "version", "create", "validate")
SECRET = "s3cr3t-9d2c"  # noqa: S105 - looked for in outputs


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    return write_files(tmp_path, {"0001_a.sql": "SELECT 1;"})


@pytest.mark.parametrize(
    ("typed", "given", "rest"),
    [
        (["--json", "status"], ["--json"], ["status"]),
        (["status", "--json"], ["--json"], ["status"]),
        (["up", "--dir", "x", "--to", "3"], ["--dir", "x"], ["up", "--to", "3"]),
        (["up", "--dir=x", "--table", "t"], ["--dir=x", "--table", "t"], ["up"]),
        (
            ["postgres", "start", "--log-level", "debug"],
            ["--log-level", "debug"],
            ["postgres", "start"],
        ),
        (["create", "--", "--json"], [], ["create", "--", "--json"]),
        (["status", "--table"], ["--table"], ["status"]),
        (["--database-url", "postgresql://h/d", "version"], ["--database-url", "postgresql://h/d"],
         ["version"]),
    ],
)  # fmt: skip
def test_global_options_are_found_before_and_after_the_command(
    typed: list[str], given: list[str], rest: list[str]
) -> None:
    assert split_global_options(typed) == (given, rest)


@pytest.mark.parametrize("position", ["before", "after"])
def test_json_may_stand_before_and_after_the_command(position: str, one_file: Path) -> None:
    options: list[str | Path] = ["--json", "--dir", one_file]
    outcome = run(*([*options, "validate"] if position == "before" else ["validate", *options]))

    assert outcome.document["files"][0]["file"] == "0001_a.sql"


def test_without_arguments_the_program_explains_itself() -> None:
    outcome = run()

    assert outcome.code == 0
    assert all(command in outcome.out for command in OURS)
    assert "4 busy" in outcome.out


def test_it_knows_its_own_version_and_runs_as_a_module() -> None:
    outcome = finish(start("--version"))

    assert outcome.code == 0
    assert outcome.out == f"refactorkit {__version__}\n"


@pytest.mark.parametrize("command", OURS)
def test_every_command_explains_itself(command: str) -> None:
    outcome = run(command, "--help")

    assert outcome.code == 0
    assert f"refactorkit {command}" in outcome.out


def test_every_option_of_the_help_is_exercised_by_a_test() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    options = {option for each in group.params for option in each.opts}
    for name in OURS:
        options |= {
            option
            for parameter in group.commands[name].params
            for option in parameter.opts + parameter.secondary_opts
            if option.startswith("--")
        }
    used = {
        node.value
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert len(options) > 15
    assert options - used - {"--help", "--conventions"} == set()


@pytest.mark.parametrize(
    "typed",
    [
        ["status", f"postgresql://me:{SECRET}@host/app"],
        [f"postgresql://me:{SECRET}@host/app", "status"],
        ["status", f"password={SECRET}"],
        [f"--datbase-url=postgresql://me:{SECRET}@host/app", "status"],
        ["up", "--to", f"postgresql://me:{SECRET}@host/app"],
        ["status", "--database-url", f"postgresql://me:{SECRET}@x@host/app"],
        ["status", "--database-url", f"password={SECRET} host"],
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_misplaced_or_malformed_url_is_a_usage_error_that_does_not_repeat_it(
    *, typed: list[str], as_json: bool
) -> None:
    outcome = run(*typed, *(["--json"] if as_json else []))

    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert SECRET not in outcome.out + outcome.err
    if as_json:
        assert outcome.document["error"]["kind"] == "usage"


@pytest.mark.parametrize("command", ["up", "down", "redo", "status", "version"])
def test_which_database_is_meant_is_never_guessed(command: str, one_file: Path) -> None:
    outcome = run(command, "--dir", one_file)

    assert outcome.code == 2
    assert "No database URL was given" in outcome.err
    assert "--database-url" in outcome.err


def test_a_url_without_a_database_is_no_guess_either(one_file: Path) -> None:
    outcome = run("status", "--dir", one_file, url="postgresql://localhost")

    assert outcome.code == 2
    assert "names no database" in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (FailedError("What.", state="So.", hint="Do."), 1, "failed"),
        (UsageError("What.", state="So.", hint="Do."), 2, "usage"),
        (RefusedError("What.", state="So.", hint="Do."), 3, "refused"),
        (BusyError("What.", state="So.", hint="Do."), 4, "busy"),
    ],
)
def test_an_error_is_a_sentence_a_state_and_a_hint(
    error: Exception, code: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("refactorkit.commands.create.create", fail)

    outcome = run("create", "x", "--json")

    assert outcome.code == code
    assert outcome.err == "error: What.\nSo.\nDo.\n"
    assert outcome.document == {
        "error": {"kind": kind, "message": "What.", "state": "So.", "hint": "Do.",
                  "exit_code": code}
    }  # fmt: skip


def test_an_unexpected_error_is_a_sentence_without_its_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        local = SECRET
        raise ValueError(local)

    monkeypatch.setattr("refactorkit.commands.create.create", fail)

    quiet = run("create", "x", "--json")
    loud = run("create", "x", "--log-level", "debug")

    for outcome in (quiet, loud):
        assert outcome.code == 1
        assert "An unexpected ValueError at test_cli.py:" in outcome.err
        assert SECRET not in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
    assert "traceback.frame" not in quiet.err
    assert "function=fail" in loud.err
    assert quiet.document["error"]["kind"] == "failed"


def test_a_check_that_broke_off_says_incomplete() -> None:
    outcome = run("validate", "--json", "--dir", "/no/such/folder")

    assert outcome.code == 2
    assert outcome.document["verdict"] == "incomplete"


@pytest.fixture
def restored_logs() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("restored_logs")
def test_a_log_line_has_known_facts_only(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(LogLevel.INFO)
    log = structlog.get_logger()

    log.info("step.done", file="0001_a.sql", email=SECRET, password=SECRET)
    log.info("step.done", rows=object(), column=[SECRET])
    log.info(f"step done for {SECRET}", file="0001_a.sql")  # noqa: G004 - what must not be done
    log.error("step.failed", sqlstate="22P02", exc_info=ValueError(SECRET))
    log.debug("step.started")

    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert SECRET not in captured.err
    assert [re.findall(r"event=(\S+)", line) for line in lines] == [
        ["step.done"], ["step.done"], ["event.unnamed"], ["step.failed"],
    ]  # fmt: skip
    assert "file=0001_a.sql" in lines[0]
    assert "sqlstate=22P02" in lines[3]
    assert len({re.findall(r"run_id=(\w+)", line)[0] for line in lines}) == 1


def test_unknown_keys_are_dropped_not_renamed() -> None:
    event = {"event": "a.b", "file": "x", "actor": SECRET}

    assert keep_known_facts(None, "info", event) == {"event": "a.b", "file": "x"}


@pytest.mark.usefixtures("restored_logs")
def test_the_drivers_own_log_does_not_reach_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.configure()

    standard_logging.getLogger("psycopg").warning("error ignored: %s", SECRET)
    standard_logging.getLogger("psycopg.pool").error("error ignored: %s", SECRET)

    assert SECRET not in capsys.readouterr().err


def test_validate_prints_one_entry_a_file_broken_ones_included(tmp_path: Path) -> None:
    files = {
        "0001_good.sql": "-- +goose Up\nSELECT 1;\nSELECT 2;\n-- +goose Down\nSELECT 3;\n",
        "0002_half.sql": "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 3\n",
        "0003_no_tx.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\n",
        "nonsense.sql": "SELECT 1;\n-- +goose Up\n",
    }

    outcome = run("validate", "--json", "--dir", write_files(tmp_path, files))

    assert outcome.code == 3
    document = outcome.document
    assert document["verdict"] == "fail"
    assert document["files"][0] == {
        "file": "0001_good.sql",
        "version": 1,
        "name": "good",
        "transaction": True,
        "up": {"statements": ["SELECT 1;", "SELECT 2;"], "error": None},
        "down": {"statements": ["SELECT 3;"], "error": None},
    }
    half = document["files"][1]
    assert half["up"]["error"] is None
    assert half["down"]["error"].startswith("0002_half.sql:4: ")
    assert document["files"][2]["transaction"] is False
    odd = document["files"][3]
    assert (odd["file"], odd["version"]) == ("nonsense.sql", None)
    assert odd["up"]["error"] == odd["down"]["error"]


def test_validate_with_a_database_that_does_not_answer_is_incomplete(one_file: Path) -> None:
    outcome = run(
        "validate", "--json", "--no-conventions", "--dir", one_file,
        url="postgresql:///app?host=/no/such/folder",
    )  # fmt: skip

    assert outcome.code == 3
    assert outcome.document["verdict"] == "incomplete"
    assert "No PostgreSQL server answers" in outcome.document["not_compared"]


def test_validate_names_files_of_the_same_version(tmp_path: Path) -> None:
    outcome = run(
        "validate",
        "--dir",
        write_files(tmp_path, {"0001_a.sql": "SELECT 1;", "1_b.sql": "SELECT 1;"}),
    )

    assert outcome.code == 3
    assert "Version 1 has 2 files: 0001_a.sql, 1_b.sql." in outcome.out
    assert "2 files: fail." in outcome.out


def test_validate_says_where_conventions_are_not_met_unless_told_not_to(tmp_path: Path) -> None:
    write_files(tmp_path, {"0001_a.sql": "create table a (id int);"})

    held = run("validate", "--dir", tmp_path)
    assert held.code == 3
    assert "0001_a.sql:2: keywords: " in held.out
    document = run("validate", "--json", "--dir", tmp_path).document
    assert {"file", "line", "rule", "text"} == set(document["findings"][0])

    assert run("validate", "--no-conventions", "--dir", tmp_path).code == 0


def test_create_makes_time_stamps_and_numbers(tmp_path: Path) -> None:
    first = run("create", "add visits", "-s", "--dir", tmp_path)
    assert first.code == 0
    assert first.out == f"Created {tmp_path}/00001_add_visits.sql\n"

    second = run("create", "more", "--sequential", "--json", "--dir", tmp_path)
    assert second.document == {
        "file": "00002_more.sql",
        "path": str(tmp_path / "00002_more.sql"),
    }

    third = run("create", "stamped", "--json", "--dir", tmp_path)
    assert re.fullmatch(r"20[0-9]{12}_stamped\.sql", third.document["file"])
    assert run("validate", "--no-conventions", "--dir", tmp_path).code == 0


def test_create_never_overwrites(tmp_path: Path) -> None:
    write_files(tmp_path, {"00001_a.sql": "SELECT 1;", "bad.sql": ""})

    outcome = run("create", "b", "-s", "--dir", tmp_path)

    assert outcome.code == 3
    assert "bad.sql" in outcome.err


def test_the_folder_and_the_table_come_from_the_environment_of_goose_too(one_file: Path) -> None:
    outcome = run("validate", "--json", env={"GOOSE_MIGRATION_DIR": str(one_file)})
    assert [each["file"] for each in outcome.document["files"]] == ["0001_a.sql"]

    for url in ("DATABASE_URL", "GOOSE_DBSTRING"):
        refused = run("version", env={"GOOSE_TABLE": "a b", url: "postgresql://localhost/app"})
        assert refused.code == 2
        assert "not an SQL name" in refused.err


def test_output_that_is_no_terminal_has_no_colours(one_file: Path) -> None:
    outcome = run("validate", "--dir", one_file, env={"FORCE_COLOR": "", "NO_COLOR": "1"})

    assert "\x1b" not in outcome.out + outcome.err


def test_json_is_one_document_and_ascii(tmp_path: Path) -> None:
    write_files(tmp_path, {"0001_a.sql": "SELECT 'é';"})

    outcome = run("validate", "--json", "--dir", tmp_path)

    assert outcome.out.isascii()
    assert json.loads(outcome.out)["files"][0]["up"]["statements"] == ["SELECT 'é';"]
