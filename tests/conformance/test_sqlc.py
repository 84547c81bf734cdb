"""sqlc reads sql/ as goose files and knows the schema of each version: applications depend on it.

sqlc looks at no server and ignores DDL in DO blocks and dynamic SQL, so what it knows is what the
files say as plain statements.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.chain import SQL

QUERIES = Path(__file__).parent / "queries"
FILES = tuple(sorted(SQL.glob("*.sql")))
OF_10 = FILES[:10]


@cache
def sqlc() -> Path | None:
    beside = Path(sys.executable).with_name("sqlc")
    found = str(beside) if beside.is_file() else shutil.which("sqlc")
    return Path(found) if found else None


pytestmark = pytest.mark.skipif(
    sqlc() is None,
    reason="sqlc is not here: its package has no wheel for this machine",
)


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """What sqlc said of a set of queries."""

    ok: bool
    says: str


def run_sqlc(command: str, folder: Path, schema: Iterable[Path], text: str) -> Compiled:
    (folder / "queries.sql").write_text(text)
    (folder / "schema").mkdir(exist_ok=True)
    for file in schema:
        shutil.copy(file, folder / "schema")
    config = {
        "version": "2",
        "sql": [
            {
                "engine": "postgresql",
                "schema": "schema",
                "queries": "queries.sql",
                "gen": {"go": {"package": "clinic", "out": "go", "sql_package": "pgx/v5"}},
            }
        ],
    }
    (folder / "sqlc.json").write_text(json.dumps(config))
    program = sqlc()
    assert program is not None
    done = subprocess.run(
        [program, command],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "SQLCCACHE": str(folder / "cache")},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Compiled(ok=done.returncode == 0, says=done.stdout + done.stderr)


def queries(version: int) -> str:
    return (QUERIES / f"v{version}.sql").read_text()


def names(text: str) -> list[str]:
    return re.findall(r"^-- name: (\w+) :\w+$", text, re.MULTILINE)


def one_by_one(text: str) -> list[str]:
    return ["-- name: " + part for part in text.split("-- name: ")[1:]]


@pytest.mark.parametrize(
    ("version", "schema"), [(10, OF_10), (11, FILES)], ids=["version 10", "version 11"]
)
def test_the_queries_of_a_version_compile_against_its_files(
    version: int, schema: tuple[Path, ...], tmp_path: Path
) -> None:
    text = queries(version)
    assert len(names(text)) >= (15 if version == 10 else 20)
    compiled = run_sqlc("compile", tmp_path, schema, text)
    assert compiled.ok, compiled.says


@pytest.mark.parametrize("text", one_by_one(queries(10)), ids=names(queries(10)))
def test_of_version_10_compiles_against_version_11_what_knows_no_patients(
    text: str, tmp_path: Path
) -> None:
    """The check can fail: where patients are asked for, it does, and names what is missing."""
    compiled = run_sqlc("compile", tmp_path, FILES, text)
    if "patient" in text:
        assert not compiled.ok
        assert re.search(
            r'relation "patients" does not exist|column .*patient_id.* does not exist',
            compiled.says,
        ), compiled.says
    else:
        assert compiled.ok, compiled.says


def test_the_queries_of_version_11_do_not_compile_against_version_10(tmp_path: Path) -> None:
    compiled = run_sqlc("compile", tmp_path, OF_10, queries(11))
    assert not compiled.ok
    for name in ("first_name", "notification_queue", "consent_personal_data"):
        assert name in compiled.says


def test_code_is_generated_with_the_types_of_version_11(tmp_path: Path) -> None:
    compiled = run_sqlc("generate", tmp_path, FILES, queries(11))
    assert compiled.ok, compiled.says
    models = (tmp_path / "go" / "models.go").read_text()
    tables = re.findall(r"^type (\w+) struct {(.*?)^}", models, re.MULTILINE | re.DOTALL)
    found = {name: re.findall(r"^\t(\w+) +([\w.]+)", body, re.MULTILINE) for name, body in tables}
    assert "Patient" not in found
    user = dict(found["User"])
    assert len(found["User"]) == 9 + 24 + 9
    assert user["Role"] == "string"
    assert user["ConsentPersonalData"] == "bool"
    assert user["FirstName"] == "pgtype.Text"
    assert user["Bmi"] == "pgtype.Numeric"
    assessment = dict(found["Assessment"])
    assert assessment["UserID"] == "pgtype.Int4"
    assert assessment["IsSelfReported"] == "bool"
    assert [column for column, _ in found["Assessment"]][:2] == ["ID", "UserID"]
    assert "PatientID" not in assessment
    assert len(found["NotificationQueue"]) == 11
    methods = (tmp_path / "go" / "queries.sql.go").read_text()
    for name in names(queries(11)):
        assert name in methods or name == "ImportFromClinic"


def test_code_is_generated_with_the_types_of_version_10(tmp_path: Path) -> None:
    compiled = run_sqlc("generate", tmp_path, OF_10, queries(10))
    assert compiled.ok, compiled.says
    models = (tmp_path / "go" / "models.go").read_text()
    assert "type Patient struct" in models
    assert "NotificationQueue" not in models
    assert "FirstName" not in models
