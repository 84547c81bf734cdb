"""What the documents say is what the program does."""

import re
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from refactorkit.cli.app import app
from refactorkit.commands import preflight
from refactorkit.commands.preflight.guards import GROUPS
from refactorkit.mapping.guards import down_guards, kept_tables, up_guards
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.model import _Part

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHIVE = (ROOT / "archive" / "README.md").read_text(encoding="utf-8")
PREFLIGHT = "".join(
    file.read_text(encoding="utf-8")
    for file in (ROOT / "src" / "refactorkit" / "commands" / "preflight").glob("*.py")
)
MIGRATION = (ROOT / "sql" / "0011_refactor_to_menopausal.sql").read_text(encoding="utf-8")


def commands() -> list[str]:
    group = typer.main.get_command(app)
    return sorted(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_the_readme_tells_of_every_command(command: str) -> None:
    assert f"`{command}`" in README


def test_the_readme_tells_of_every_guard_that_has_a_name_and_of_no_other() -> None:
    named = set(re.findall(r"'(\w+)' (?:<> ALL|= ANY) \(accepted\)", MIGRATION))
    assert (
        set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", README, re.MULTILINE)) - set(commands())
        == named
    )


def test_the_archives_readme_tells_of_every_table_that_is_kept() -> None:
    mapping = load_mapping(ROOT / "archive" / "patients.toml")
    told = set(re.findall(r"`(\w+)`", ARCHIVE))
    up, down = up_guards(mapping), down_guards(mapping)
    tables = {*kept_tables(mapping), *up.moved, *down.moved, *up.staged, *down.staged}
    assert {table.removeprefix("archive.") for table in tables} <= told


def test_the_archives_readme_tells_of_every_table_that_the_chain_keeps_or_moves() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "sql").glob("00*.sql"))]
    chain = "".join(text for text in texts if text != MIGRATION)
    listed = re.findall(r"(?:kept|moved) CONSTANT TEXT\[\] := (ARRAY\[.*?\]);", chain, re.DOTALL)
    tables = {name for each in listed for name in re.findall(r"'(?:public\.)?(\w+)'", each)}
    made = set(re.findall(r"(?:TABLE IF NOT EXISTS|INTO|FROM) archive\.(\w+)", chain)) - {
        "chain_0006_"
    }
    assert {"clinics", "chain_0010_users", "chain_0009_user_clinics_orphans"} <= tables
    assert tables | made <= set(re.findall(r"`(\w+)`", ARCHIVE))


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_document_names_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.-])((?:src|sql|archive|tests|benchmarks|\.ci)/[\w./-]*\w)", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_preflight_page_tells_of_every_check_and_of_no_other() -> None:
    page = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| .* \| (needed|advice) \| (?:`(\w+)` )?\|$", page, re.MULTILINE
    )
    checks = {check.name: check.needed for check in preflight.CHECKS}
    checks |= dict.fromkeys(GROUPS, True)
    checks |= dict.fromkeys((*preflight.FILE_CHECKS, preflight.TABLES_CHECK), True)
    checks |= preflight.OUTLOOK_CHECKS
    assert {name: kind == "needed" for name, kind, _ in rows} == checks
    accepted = set(re.findall(r'accept="(\w+)"', PREFLIGHT))
    named = set(re.findall(r"'(\w+)' (?:<> ALL|= ANY) \(accepted\)", MIGRATION)) - {"drift"}
    assert {accept for _, _, accept in rows if accept} == accepted | named


def keys(model: type[BaseModel]) -> set[str]:
    """The keys that a mapping file may have, whatever part they are of."""
    found: set[str] = set()
    for part in model.__subclasses__():
        found |= set(part.model_fields) | keys(part)
    return found


def test_the_mappings_page_tells_of_every_key() -> None:
    page = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`]+`", page))))
    in_definitions = {"type", "not_null", "default", "serial"}
    assert keys(_Part) - in_definitions - told == set()


@pytest.mark.parametrize("driver", ["psycopg", "sqlalchemy"])
def test_only_one_room_imports_a_driver(driver: str) -> None:
    source = ROOT / "src" / "refactorkit"
    imports = re.compile(rf"^\s*(?:import|from) {driver}\b", re.MULTILINE)
    found = {
        file.relative_to(source).parts[0]
        for file in source.rglob("*.py")
        if imports.search(file.read_text(encoding="utf-8"))
    }
    assert found == {"postgres"}
