"""The same files through goose's own library and through our parser: the same statements."""

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import pytest

from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.parser import parse
from tests.conformance.goose_tool import (
    Answer,
    Request,
    goose_binary,
    needs_goose,
    needs_goose_recorder,
    record,
)
from tests.support.goose_files import ENVIRON, troublesome_file

FILE = "00001_x.sql"
LIMIT = 4_194_304
SQL = Path(__file__).parents[2] / "sql"

BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"

RULES: dict[str, str | bytes] = {
    "empty file": "",
    "newline only": "\n",
    "no up": "-- hello\n",
    "up only": "-- +goose Up\n",
    "byte order mark": "\ufeff-- +goose Up\nSELECT 1;\n",
    "byte order mark on a line of its own": "\ufeff\n-- +goose Up\nSELECT 1;\n",
    "utf-16": "-- +goose Up\nSELECT 1;\n".encode("utf-16"),
    "crlf": "-- +goose Up\r\nSELECT 1,\r\n2;\r\n-- +goose Down\r\nSELECT 3;",
    "cr only": "-- +goose Up\rSELECT 1;\r",
    "sql before up": "SELECT 1;\n-- +goose Up\n",
    "block comment before up": "/* c */\n-- +goose Up\n",
    "down first": "-- +goose Down\n-- +goose Up\n",
    "down twice": "-- +goose Up\n-- +goose Down\n-- +goose Down\n",
    "up twice": "-- +goose Up\n-- +goose Up\n",
    "up after down": "-- +goose Up\n-- +goose Down\n-- +goose Up\n",
    "indented": "-- +goose Up\n -- +goose Down\n",
    "indented with a vertical tab": "\v-- +goose Up\nSELECT 1;\n",
    "other case of the marker": "-- +goose Up\n-- +Goose Down\nSELECT 1;\n",
    "marker last": "-- Up +goose\nSELECT 1;\n-- Down +goose\nSELECT 2;\n",
    "no spaces": "--+gooseup\nSELECT 1;\n--+goosedown\nSELECT 2;\n",
    "marker twice": "-- +goose Up +goose\n",
    "marker made by dashes": "-- +goose +go--ose Up\n",
    "unknown annotation": "-- +goose Up\n-- see +goose docs\n",
    "bare annotation": "-- +goose Up\n-- +goose\n",
    "two spaces": "-- +goose Up\n-- +goose NO  TRANSACTION\n",
    "long s": "-- +goose Up\n-- +goose \u017ftatementBegin\nSELECT 1\n" + END,
    "ligature st": "-- +goose Up\n-- +goose \ufb06atementBegin\nSELECT 1\n" + END,
    "annotation in a literal": "-- +goose Up\nSELECT '\n-- +goose Down\n';\n",
    "annotation in a statement": "-- +goose Up\nSELECT 1,\n-- +goose NO TRANSACTION\n2;\n",
    "annotation behind sql": "-- +goose Up\nselect 1; -- +goose Down\nselect 2;\n",
    "no transaction at the end": "-- +goose Up\nSELECT 1;\n-- +goose NO TRANSACTION",
    "no semicolon in up": "-- +goose Up\nSELECT 1\n-- +goose Down\nSELECT 2;\n",
    "no semicolon in down": "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2\n",
    "block": f"-- +goose Up\n{BEGIN}\n-- c\nSELECT 1;\n\nSELECT 2\n{END}SELECT 3;\n",
    "block left open in up": f"-- +goose Up\n{BEGIN}SELECT 1;\n",
    "block left open in down": f"-- +goose Up\n-- +goose Down\n{BEGIN}SELECT 1;\n",
    "block nested": f"-- +goose Up\n{BEGIN}{BEGIN}SELECT 1;\n{END}{END}",
    "end without begin": f"-- +goose Up\n{END}",
    "begin before up": f"{BEGIN}-- +goose Up\n",
    "down in a block": f"-- +goose Up\n{BEGIN}-- +goose Down\n{END}",
    "text before a block": f"-- +goose Up\nSELECT 1,\n{BEGIN}2;\n3\n{END}",
    "empty block": f"-- +goose Up\n{BEGIN}{END}CREATE TABLE t (\nid int);\nSELECT 2;\n",
    "empty block in down": f"-- +goose Up\n-- +goose Down\n{BEGIN}-- c\n{END}\nSELECT 2;\n3;\n",
    "two empty blocks": f"-- +goose Up\n{BEGIN}{END}{BEGIN}{END}SELECT 1;\nSELECT 2;\n",
    "empty block before down": f"-- +goose Up\n{BEGIN}{END}-- +goose Down\nSELECT 2;\n",
    "block of spaces": f"-- +goose Up\n{BEGIN}  \n{END}SELECT 1;\n",
    "spaces begin a statement": "-- +goose Up\n  \n-- c\nSELECT 1;\n",
    "spaces left over": "-- +goose Up\nSELECT 1;\n  \n-- c\n-- +goose Down\n  \n",
    "unicode spaces": "-- +goose Up\n\u2003SELECT 1\u00a0;\u3000\nSELECT 2;\x85\n",
    "separators that are no spaces": "-- +goose Up\nSELECT 1;\x1c\nSELECT 2;\n",
    "no utf-8": b"-- +goose Up\nSELECT '\xff\xe2\x80';\xa0\n;\n",
    "nul": b"-- +goose Up\nSELECT \0;\n",
    "line of the limit": "-- +goose Up\n" + "x" * LIMIT + "\n",
    "line of the limit at the end": "-- +goose Up\n" + "x" * LIMIT,
    "line below the limit": "-- +goose Up\n" + "x" * (LIMIT - 2) + ";\nSELECT 1;\n",
    "line below the limit at the end": "-- +goose Up\n" + "x" * (LIMIT - 2) + ";",
    "carriage return at the limit": "-- +goose Up\n" + "x" * (LIMIT - 2) + ";\r\n",
    "error above a long line": "SELECT 1;\n" + "x" * LIMIT,
    "envsub error in up": "-- +goose ENVSUB ON\n-- +goose Up\nSELECT $1;\n-- +goose Down\n",
    "envsub error in down": "-- +goose ENVSUB ON\n-- +goose Up\n-- +goose Down\nSELECT $1;\n",
    "envsub error behind a block": (
        f"-- +goose ENVSUB ON\n-- +goose Up\n{BEGIN}SELECT 1\n{END}SELECT $1;\n-- +goose Down\n"
    ),
    "envsub error in a comment": "-- +goose ENVSUB ON\n-- +goose Up\nSELECT\n-- $1\n1;\n",
    "envsub with newlines": "-- +goose ENVSUB ON\n-- +goose Up\n$LINES\n;\n",
    "envsub and no utf-8": b"-- +goose ENVSUB ON\n-- +goose Up\nSELECT '\xff$V\xe2\x80';\n",
    "envsub off": "-- +goose ENVSUB ON\n-- +goose Up\n$V\n-- +goose ENVSUB OFF\n$V;\n",
}


def data(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def ask(
    contents: Sequence[bytes], environ: Mapping[str, str]
) -> list[tuple[Migration, dict[Direction, Answer]]]:
    """Read files with our parser and with goose's library, which runs each direction alone."""
    answers = record(
        Request(files={FILE: content}, command=direction.value, environ=environ)
        for content in contents
        for direction in Direction
    )
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [
        (parse(content, file=FILE, environ=environ), dict(zip(Direction, pair, strict=True)))
        for content, pair in zip(contents, pairs, strict=True)
    ]


def differences(migration: Migration, answers: Mapping[Direction, Answer]) -> list[str]:
    found = []
    for direction, goose in answers.items():
        ours = migration.script(direction)
        if bool(goose.error) != bool(ours.error):
            found.append(f"{direction}: goose says {goose.error!r}, we say {ours.error!r}")
        elif not goose.error:
            statements = tuple(statement.data for statement in ours.statements)
            if (statements, migration.transaction) != (goose.statements, goose.transaction):
                found.append(f"{direction}: goose runs {goose.statements}, we run {statements}")
    return found


@needs_goose_recorder
def test_every_rule_is_goose_s() -> None:
    results = ask([data(text) for text in RULES.values()], ENVIRON)
    assert {
        name: found
        for name, (migration, answers) in zip(RULES, results, strict=True)
        if (found := differences(migration, answers))
    } == {}


@needs_goose_recorder
@pytest.mark.parametrize("seed", range(4))
def test_troublesome_files_are_read_as_goose_reads_them(seed: int) -> None:
    random = Random(seed)
    contents = [troublesome_file(random) for _ in range(2000)]
    seen: Counter[str] = Counter()
    for content, (migration, answers) in zip(contents, ask(contents, ENVIRON), strict=True):
        assert differences(migration, answers) == [], content
        seen.update("refused" if answer.error else "read" for answer in answers.values())
        seen["only one direction refused"] += len({not a.error for a in answers.values()}) - 1
        seen["statements"] += len(migration.up.statements) + len(migration.down.statements)
    # The files must be worth asking about.
    assert min(seen["read"], seen["refused"], seen["statements"]) > 500
    assert seen["only one direction refused"] > 20


@needs_goose_recorder
def test_values_longer_than_a_line_are_read_as_goose_reads_them() -> None:
    start = b"-- +goose ENVSUB ON\n-- +goose Up\n"
    contents = [start + b"$V" * n + b" ;\nSELECT 1;\n" for n in (31, 32, 33)]
    for migration, answers in ask(contents, {"V": "x" * (LIMIT // 32)}):
        assert differences(migration, answers) == []


@needs_goose_recorder
def test_our_own_files_are_read_as_goose_reads_them() -> None:
    contents = [path.read_bytes() for path in sorted(SQL.glob("*.sql"))]
    assert contents
    for migration, answers in ask(contents, {}):
        assert (migration.up.error, migration.down.error) == (None, None)
        assert differences(migration, answers) == []


@needs_goose_recorder
def test_a_difference_would_be_seen() -> None:
    ((_, answers),) = ask([b"-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"], {})
    for other in (
        b"-- +goose Up\nSELECT 1 ;\n-- +goose Down\nSELECT 2;\n",
        b"-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2\n",
        b"-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n-- +goose NO TRANSACTION\n",
    ):
        assert differences(parse(other, file=FILE, environ={}), answers) != []


@needs_goose
@pytest.mark.parametrize("rule", RULES)
def test_goose_validate_agrees(rule: str, tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(data(RULES[rule]))
    binary = goose_binary()
    assert binary is not None
    done = subprocess.run(
        [binary, "-v", "-dir", path, "-env", "none", "validate"],
        env={"PATH": os.defpath, **ENVIRON},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    migration = parse(data(RULES[rule]), file=FILE, environ=ENVIRON)
    sound = migration.up.error is None and migration.down.error is None
    assert (done.returncode == 0) is sound, done.stderr
    if sound:
        row = done.stdout.splitlines()[-1].split()
        transaction = "✔" if migration.transaction else "✘"
        counts = (len(migration.up.statements), len(migration.down.statements))
        assert row == ["sql", transaction, *map(str, counts), FILE]
