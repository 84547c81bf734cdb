"""`refactorkit compile`: the file is what its mapping says, whole, or it is as it was."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from refactorkit.commands import atomic_file
from refactorkit.commands.atomic_file import write_atomically
from refactorkit.commands.compile_mapping import CompileRequest, compile_mapping
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import FailedError, UsageError
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations import conventions
from refactorkit.migrations.parser import parse
from tests.support.cli import run

ROOT = Path(__file__).parents[2]
PATIENTS = ROOT / "archive/patients.toml"
MAPPINGS = sorted((ROOT / "tests/mappings").glob("*.toml"))
CONTACTS = ROOT / "tests/mappings/contacts.toml"
FILE = "0002_contacts_to_people.sql"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_refactor_in_sql_is_what_its_mapping_says() -> None:
    result = compile_mapping(CompileRequest(mapping=PATIENTS, directory=ROOT / "sql", check=True))

    assert result.difference is None, "run: uv run refactorkit compile"
    assert result.output == ROOT / "sql/0011_refactor_to_menopausal.sql"


@pytest.mark.parametrize("file", [PATIENTS, *MAPPINGS], ids=lambda file: file.name)
def test_what_is_compiled_keeps_the_conventions_and_is_the_same_every_time(file: Path) -> None:
    mapping = load_mapping(file)
    text = compile_migration(mapping)

    migration = parse(text.encode(), file=mapping.migration, environ={})
    assert (migration.up.error, migration.down.error) == (None, None)
    assert migration.version == mapping.version
    assert conventions.check(migration) == ()
    assert compile_migration(load_mapping(file)) == text
    assert text.endswith("\n")
    assert not [line for line in text.split("\n") if line != line.rstrip()]


def test_a_migration_is_written_where_the_mapping_says(tmp_path: Path) -> None:
    outcome = run("compile", CONTACTS, "--dir", tmp_path)

    assert outcome.code == 0
    assert (tmp_path / FILE).read_text() == compile_migration(load_mapping(CONTACTS))
    assert names_in(tmp_path) == [FILE]
    assert f"Wrote {tmp_path / FILE}" in outcome.out


def test_a_migration_is_written_to_another_file_on_request(tmp_path: Path) -> None:
    outcome = run("compile", CONTACTS, "--output", tmp_path / "x.sql", "--json")

    assert outcome.code == 0
    assert (tmp_path / "x.sql").exists()
    assert outcome.document["migration"] == str(tmp_path / "x.sql")
    assert outcome.document["written"] is True
    assert outcome.document["version"] == 2


def test_a_file_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    run("compile", CONTACTS, "--dir", tmp_path)
    before = (tmp_path / FILE).stat()

    outcome = run("compile", CONTACTS, "--dir", tmp_path, "--json")

    after = (tmp_path / FILE).stat()
    assert outcome.document["written"] is False
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_check_passes_where_the_file_is_what_the_mapping_says(tmp_path: Path) -> None:
    run("compile", CONTACTS, "--dir", tmp_path)

    outcome = run("compile", CONTACTS, "--dir", tmp_path, "--check", "--json")

    assert outcome.code == 0
    assert outcome.document["verdict"] == "pass"
    assert outcome.document["difference"] is None


def test_check_says_how_much_differs_and_where_and_writes_nothing(tmp_path: Path) -> None:
    run("compile", CONTACTS, "--dir", tmp_path)
    file = tmp_path / FILE
    lines = file.read_text().split("\n")
    lines[9] = "-- edited by hand"
    edited = "\n".join([*lines[:20], "-- one more", *lines[20:-3]]) + "\n"
    file.write_text(edited)

    outcome = run("compile", CONTACTS, "--dir", tmp_path, "--check", "--json")

    assert outcome.code == 3
    assert outcome.document["verdict"] == "fail"
    difference = outcome.document["difference"]
    assert (difference["line"], difference["found"]) == (10, "-- edited by hand")
    assert (difference["missing_lines"], difference["surplus_lines"]) == (3, 2)
    assert file.read_text() == edited
    told = run("compile", CONTACTS, "--dir", tmp_path, "--check")
    assert told.code == 3
    assert "3 lines are missing, 2 are too many; the first is line 10." in told.out
    assert "- -- edited by hand\n" in told.out


@pytest.mark.parametrize(
    ("old", "new"), [(b"\n", b"\r\n"), (b"-- +goose Down", b""), (b"\n\n", b"\n\xff\n")]
)
def test_check_sees_a_difference_that_eyes_may_not(tmp_path: Path, old: bytes, new: bytes) -> None:
    run("compile", CONTACTS, "--dir", tmp_path)
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes().replace(old, new, 1))

    assert run("compile", CONTACTS, "--dir", tmp_path, "--check").code == 3


def test_check_fails_where_there_is_no_file(tmp_path: Path) -> None:
    request = CompileRequest(mapping=CONTACTS, directory=tmp_path, check=True)

    result = compile_mapping(request)

    assert result.verdict is Verdict.FAIL
    assert result.difference is not None
    assert (result.difference.line, result.difference.found) == (1, None)
    assert result.difference.surplus == 0
    assert names_in(tmp_path) == []


def test_a_mapping_that_is_not_sound_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    run("compile", CONTACTS, "--dir", tmp_path)
    before = (tmp_path / FILE).read_bytes()
    broken = tmp_path / "broken.toml"
    broken.write_text(CONTACTS.read_text().replace('target = "phone"', 'target = "fax"'))

    outcome = run("compile", broken, "--dir", tmp_path, "--json")

    assert outcome.code == 3
    assert outcome.document["error"]["kind"] == "refused"
    assert f"{broken}:28: there is no column fax" in outcome.document["error"]["message"]
    assert "there is no column fax" in outcome.err
    assert (tmp_path / FILE).read_bytes() == before


def test_a_wrong_call_is_told_apart(tmp_path: Path) -> None:
    assert run("compile", tmp_path / "none.toml").code == 2
    assert run("compile", CONTACTS, "--dir", tmp_path / "none").code == 2
    assert run("compile", CONTACTS, "--output", tmp_path).code == 1


def test_a_new_file_has_the_mode_of_a_new_file_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    file = tmp_path / "f"
    umask = os.umask(0o027)
    try:
        write_atomically(file, b"new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o604)

    write_atomically(file, b"newer")

    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert file.read_bytes() == b"newer"


def test_a_link_stays_and_what_it_points_at_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    file, link = tmp_path / "far/file", tmp_path / "link"
    file.write_bytes(b"old")
    link.symlink_to(file)

    write_atomically(link, b"new")

    assert link.is_symlink()
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("step", "left", "state"),
    [("_write_new", b"old", "It is as it was."), ("_sync", b"new", "It is new, and may be lost")],
)
def test_a_failure_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, left: bytes, state: str
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file, step, fail)

    with pytest.raises(FailedError, match="No space left on device") as caught:
        write_atomically(file, b"new")
    assert caught.value.state.startswith(state)
    assert file.read_bytes() == left
    assert names_in(tmp_path) == ["f"]


def test_a_folder_that_is_gone_is_a_wrong_call(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    shutil.rmtree(folder)

    with pytest.raises(UsageError, match="does not exist"):
        write_atomically(folder / "f", b"")
