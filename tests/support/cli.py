"""The program as a user meets it: in this process where that is enough, else as one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from refactorkit.cli.app import app

# What would change the program's mind, wherever the tests run.
_FOREIGN = (
    "REFACTORKIT_DATABASE_URL",
    "DATABASE_URL",
    "GOOSE_DBSTRING",
    "GOOSE_MIGRATION_DIR",
    "GOOSE_TABLE",
    "NO_COLOR",
    "PGDATABASE",
    "PGHOST",
    "PGPASSWORD",
    "PGSERVICE",
    "PGUSER",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that standard output must be."""
        return json.loads(self.out)


def run(
    *arguments: str | Path, url: str | None = None, env: Mapping[str, str] | None = None
) -> Outcome:
    """Call the program in this process; `url` comes by the environment, as in production."""
    environment: dict[str, str | None] = dict.fromkeys(_FOREIGN)
    if url is not None:
        environment["REFACTORKIT_DATABASE_URL"] = url
    environment.update(env or {})
    result = CliRunner().invoke(app, [str(each) for each in arguments], env=environment)
    return Outcome(code=result.exit_code, out=result.stdout, err=result.stderr)


def start(
    *arguments: str | Path, url: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the program as a process of its own, to be killed or to run beside another."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    if url is not None:
        environment["REFACTORKIT_DATABASE_URL"] = url
    return subprocess.Popen(
        [sys.executable, "-m", "refactorkit", *(str(each) for each in arguments)],
        env={**environment, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], *, seconds: float = 60.0) -> Outcome:
    """Wait for a started program."""
    out, err = process.communicate(timeout=seconds)
    return Outcome(code=process.returncode, out=out, err=err)


def write_files(directory: Path, files: Mapping[str, str]) -> Path:
    """Write migration files; a text without annotations becomes Up, beside a Down that does little.

    Two texts parted by a line of dashes are Up and Down.
    """
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        if "+goose Up" not in text:
            up, _, down = text.partition("\n----\n")
            text = f"-- +goose Up\n{up}\n\n-- +goose Down\n{down or 'SELECT 1;'}\n"  # noqa: PLW2901
        (directory / name).write_text(text)
    return directory
