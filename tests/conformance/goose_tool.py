"""The real goose, and the recorder that shows what its library does, where they were built."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

_TOOLS = Path(__file__).parents[2] / ".tools" / "bin"


def goose_binary() -> Path | None:
    """The goose program: ``REFACTORKIT_GOOSE``, else .tools/bin/goose, else from PATH."""
    return _find("goose", "REFACTORKIT_GOOSE")


def goose_recorder() -> Path | None:
    """The program of goose_recorder/: ``REFACTORKIT_GOOSE_RECORDER``, else like goose itself."""
    return _find("goose-recorder", "REFACTORKIT_GOOSE_RECORDER")


@cache
def _find(program: str, variable: str) -> Path | None:
    named = os.environ.get(variable)
    if named:
        # A wrong name must not turn into a skipped test.
        return Path(named).resolve(strict=True)
    if (_TOOLS / program).is_file():
        return _TOOLS / program
    on_path = shutil.which(program)
    return Path(on_path) if on_path else None


needs_goose = pytest.mark.skipif(
    goose_binary() is None,
    reason="the real goose is not here: build it with .ci/run, which needs Go",
)
needs_goose_recorder = pytest.mark.skipif(
    goose_recorder() is None,
    reason="goose's recorder is not here: build it with .ci/run, which needs Go",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the version table."""

    id: int
    version: int
    applied: bool


@dataclass(frozen=True, kw_only=True)
class Request:
    """A command of goose on a folder of files.

    Attributes:
        files: file name → content.
        command: goose's name for it.
        arguments: what follows the command.
        environ: the whole environment, for ENVSUB.
        allow_missing: goose's option.
        versioning: whether goose looks at the version table; otherwise all files are run.
        rows: the version table.
    """

    files: Mapping[str, bytes]
    command: str
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    allow_missing: bool = False
    versioning: bool = False
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goose did.

    Attributes:
        statements: what it sent, apart from its own statements on the version table.
        transaction: whether it began a transaction.
        error: its message; empty where it was content.
        rows: the version table afterwards.
    """

    statements: tuple[bytes, ...]
    transaction: bool
    error: str
    rows: tuple[Row, ...]


def record(requests: Iterable[Request]) -> list[Answer]:
    """Let goose's library run each request, on a database that only writes down."""
    program = goose_recorder()
    assert program is not None, "mark the test with needs_goose_recorder"
    done = subprocess.run(
        [program],
        input=b"".join(_encode(request) for request in requests),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [_decode(line) for line in done.stdout.splitlines()]


def _encode(request: Request) -> bytes:
    document = {
        "files": {name: base64.b64encode(text).decode() for name, text in request.files.items()},
        "environ": dict(request.environ),
        "command": request.command,
        "arguments": request.arguments,
        "allow_missing": request.allow_missing,
        "versioning": request.versioning,
        "rows": [row.__dict__ for row in request.rows],
    }
    return json.dumps(document).encode() + b"\n"


def _decode(line: bytes) -> Answer:
    document = json.loads(line)
    return Answer(
        statements=tuple(base64.b64decode(text) for text in document["statements"]),
        transaction=document["transaction"],
        error=document["error"],
        rows=tuple(Row(**row) for row in document["rows"] or ()),
    )
