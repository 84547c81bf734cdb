"""The same folders and version tables through goose's own library and through our planner."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest

from refactorkit.errors import RefactorkitError
from refactorkit.migrations.files import refuse_bad_names
from refactorkit.migrations.history import AppliedRow, History
from refactorkit.migrations.parser import parse
from refactorkit.migrations.plan import Step, plan_down, plan_redo, plan_up
from tests.conformance.goose_tool import Request, Row, needs_goose_recorder, record

COMMANDS = ("up", "up-to", "down", "down-to", "redo")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A folder, a version table and a command."""

    versions: tuple[int, ...]
    rows: tuple[Row, ...]
    command: str
    to: int | None = None
    allow_missing: bool = False


def text(version: int) -> bytes:
    return b"-- +goose Up\nup %d;\n-- +goose Down\ndown %d;\n" % (version, version)


def file(version: int) -> str:
    return f"{version:05}_x.sql"


def goose_runs(cases: Sequence[Case]) -> list[list[str] | None]:
    """What goose runs for each case, None where it ends with an error."""
    answers = record(
        Request(
            files={file(version): text(version) for version in case.versions},
            command=case.command,
            arguments=() if case.to is None else (str(case.to),),
            allow_missing=case.allow_missing,
            versioning=True,
            rows=case.rows,
        )
        for case in cases
    )
    return [
        None if answer.error else [statement.decode() for statement in answer.statements]
        for answer in answers
    ]


def we_run(case: Case) -> list[str] | None:
    """What we run for a case, None where we refuse."""
    try:
        return [step.script.statements[0].text for step in plan(case)]
    except RefactorkitError:
        return None


def plan(case: Case) -> tuple[Step, ...]:
    migrations = [parse(text(v), file=file(v), environ={}) for v in sorted(case.versions)]
    rows = tuple(AppliedRow(id=r.id, version=r.version, applied=r.applied) for r in case.rows)
    history = History(rows=rows)
    match case.command:
        case "up" | "up-to":
            return plan_up(migrations, history, to=case.to, allow_missing=case.allow_missing)
        case "redo":
            return plan_redo(migrations, history)
        case _:
            return plan_down(migrations, history, to=case.to)


def made_up(random: Random, *, taken_back: bool) -> Case:
    """Make a case; with ``taken_back``, rows that say so are among the rows."""
    applied = random.sample(range(1, 9), random.randrange(7))
    if random.random() < 0.6:
        applied.sort()
    if applied and random.random() < 0.2:
        applied.append(random.choice(applied))
    history = [(0, True), *((version, True) for version in applied)]
    if taken_back:
        for version in random.choices(range(1, 9), k=random.randrange(4)):
            history.insert(random.randrange(len(history) + 1), (version, False))
    rows = [Row(id=n, version=v, applied=a) for n, (v, a) in enumerate(history, start=1)]
    random.shuffle(rows)
    known = [v for v in range(1, 9) if v not in applied or random.random() < 0.9]
    versions = tuple(v for v in known if v in applied or random.random() < 0.4)
    command = random.choice(COMMANDS[2:] if taken_back else COMMANDS)
    to = random.randrange(11) if command.endswith("-to") else None
    return Case(
        versions=versions,
        rows=tuple(rows),
        command=command,
        to=to,
        allow_missing=random.random() < 0.5,
    )


@needs_goose_recorder
@pytest.mark.parametrize("taken_back", [False, True])
def test_the_same_files_are_run_in_the_same_order(taken_back: bool) -> None:
    random = Random(11)
    cases = [made_up(random, taken_back=taken_back) for _ in range(4000)]
    seen: Counter[str] = Counter()
    for case, theirs in zip(cases, goose_runs(cases), strict=True):
        assert we_run(case) == theirs, case
        outcome = "refused" if theirs is None else f"{min(len(theirs), 2)} files"
        seen[f"{case.command}: {outcome}"] += 1
    # The cases must be worth asking about: each command is refused, and runs something.
    for command in COMMANDS[2:] if taken_back else COMMANDS:
        assert seen[f"{command}: refused"] > 20
        assert seen[f"{command}: 1 files"] + seen[f"{command}: 2 files"] > 20


@needs_goose_recorder
def test_a_version_taken_back_by_an_old_goose_is_pending_for_us_and_skipped_by_goose() -> None:
    """The one known difference.

    Old versions of goose wrote a row for a version that was taken back instead of deleting its
    rows. Today's goose calls such a version pending (status), and up skips it for ever. We apply
    it, or call it missing where a higher version is applied.
    """
    rows = tuple(
        Row(id=n, version=v, applied=a)
        for n, (v, a) in enumerate([(0, True), (1, True), (2, True), (2, False)])
    )
    last = Case(versions=(1, 2), rows=rows, command="up")
    below = Case(versions=(1, 2, 3), rows=(*rows, Row(id=9, version=3, applied=True)), command="up")
    assert goose_runs([last, below]) == [[], []]
    assert we_run(last) == ["up 2;"]
    assert we_run(below) is None


@needs_goose_recorder
@pytest.mark.parametrize(
    "files",
    [
        ["0001_a.sql"],
        ["0001_.sql"],
        ["+1_a.sql"],
        ["9223372036854775807_a.sql"],
        ["00000000000000000000000000001_a.sql"],
        ["0001_a.sql", "0002_b.SQL", "3_c.txt", "sub/init.sql"],
        ["0001_a.sql", "init.sql"],
        ["0001_a.sql", "0002.sql"],
        ["0001_a.sql", ".sql"],
        ["0001_a.sql", "0_b.sql"],
        ["0001_a.sql", "-2_b.sql"],
        ["0001_a.sql", " 2_b.sql"],
        ["0001_a.sql", "2.0_b.sql"],
        ["0001_a.sql", "0x2_b.sql"],
        ["0001_a.sql", "\u0662_b.sql"],
        ["0001_a.sql", "9223372036854775808_b.sql"],
        ["0001_a.sql", "1_b.sql"],
    ],
)
def test_the_same_names_are_names_of_migrations(files: list[str]) -> None:
    contents = dict.fromkeys(files, b"-- +goose Up\nSELECT 1;\n")
    (answer,) = record([Request(files=contents, command="up", versioning=True, rows=_NEW)])
    here = [name for name in files if name.endswith(".sql") and "/" not in name]
    try:
        refuse_bad_names(here)
    except RefactorkitError:
        assert answer.error
    else:
        assert (answer.error, len(answer.statements)) == ("", len(here))


_NEW = (Row(id=1, version=0, applied=True),)
