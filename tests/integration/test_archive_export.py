"""An archive goes into a file and comes back elsewhere, and Down cannot tell the difference."""

import functools
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.archive_export import ExportRequest
from refactorkit.migrations.model import Direction
from tests.support import mappings
from tests.support.background import go
from tests.support.cli import Outcome, run
from tests.support.clinic import open_clinic, tell, work_as_version_11
from tests.support.dump import copy_public, pg_dump
from tests.support.evidence import Signer
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user
from tests.support.servers import Server

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]
UP, DOWN = Direction
PASSPHRASE = "a passphrase of some length"  # noqa: S105 - of no file that lasts
ENV = {"REFACTORKIT_EXPORT_PASSPHRASE": PASSPHRASE}
CANARY = "Kanarienvogel7f3e"
DRESSED = """
COMMENT ON TABLE public.patients IS 'who came';
COMMENT ON COLUMN public.patients.age IS 'in years';
GRANT SELECT ON public.patients TO PUBLIC;
GRANT UPDATE (age) ON public.patients TO PUBLIC;
ALTER TABLE public.patients ALTER COLUMN name SET STATISTICS 77;
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON public.patients
    FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE public.patients DISABLE TRIGGER touched;
"""


@pytest.fixture(autouse=True)
def _cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a guess costs is no subject here."""
    cheap = functools.partial(ExportRequest, work_factor=10)
    monkeypatch.setattr("refactorkit.cli.archive_export.ExportRequest", cheap)


@pytest.fixture
def at_11(database_at_10: str) -> str:
    open_clinic(database_at_10)
    tell(database_at_10, DRESSED)
    tell(database_at_10, f"UPDATE public.patients SET smoking = '{CANARY}' WHERE id < 5")
    for direction in (UP, DOWN, UP):
        assert go(direction, database_at_10).code == 0
        if direction is UP:
            work = work_as_version_11 if not scalar_of(database_at_10) else tell_nothing
            work(database_at_10)
    return database_at_10


def scalar_of(url: str) -> object:
    with psycopg.connect(url) as connection:
        return scalar(connection, "SELECT count(*) FROM public.users WHERE id = 30000")


def tell_nothing(_url: str) -> None:
    pass


def export(url: str, path: Path, *options: str, code: int = 0) -> Any:
    outcome = run("archive", "export", "--out", path, *options, "--json", url=url, env=ENV)
    assert outcome.code == code, outcome.err
    return outcome.document


def import_(url: str, path: Path, *options: str, code: int = 0) -> Any:
    outcome = run("archive", "import", path, *options, "--json", url=url, env=ENV)
    assert outcome.code == code, outcome.err
    return outcome.document


def check(path: Path, passphrase: str = PASSPHRASE) -> Outcome:
    return run(
        "archive", "verify-export", path, "--json",
        env={"REFACTORKIT_EXPORT_PASSPHRASE": passphrase},
    )  # fmt: skip


def test_down_in_another_database_gives_what_down_gives_in_the_first(
    at_11: str, empty_database: str, server: Server, connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "archive.age"
    said = export(at_11, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["archive.age"]
    content = file.read_bytes()
    assert CANARY.encode() not in content
    assert b"patients" not in content
    counted = {end["name"]: end["rows"] for end in said["tables"]}
    assert counted["patients"] > 10
    for name, rows in counted.items():
        assert rows == scalar(connect(at_11), f"SELECT count(*) FROM archive.{name}")
    checked = check(file)
    assert checked.code == 0
    assert checked.document["verdict"] == "pass"
    assert checked.document["tables"] == said["tables"]
    assert checked.document["database_version"] == 11
    assert CANARY not in checked.out

    copy_public(server, at_11, empty_database)
    imported = import_(empty_database, file)
    assert imported["tables"] == said["tables"]
    assert archived(empty_database) == archived(at_11)
    assert run("verify", "--allow-edits", url=empty_database).code == 0
    for direction in (DOWN, UP, DOWN):
        for url in (at_11, empty_database):
            ended = go(direction, url)
            assert ended.code == 0, ended.says
        assert data(empty_database) == data(at_11)


def test_a_signed_tombstone_is_one_in_another_database_too(
    at_11: str, empty_database: str, server: Server, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    evidence = signer.anchor(at_11).file
    who = ("--basis", "ticket 7", "--approved-by", "privacy officer", "--key", signer.secret)
    assert run("archive", "erase", "2", *who, url=at_11).code == 0
    export(at_11, tmp_path / "archive.age")
    copy_public(server, at_11, empty_database)
    import_(empty_database, tmp_path / "archive.age")
    found = signer.verify(empty_database, evidence)
    assert [each.state.value for each in found.tombstones] == ["signed"]
    assert not [change for change in found.changes if change.kind == "tombstone"]
    tell(empty_database, "UPDATE archive.patients_tombstones SET basis = 'another'")
    found = signer.verify(empty_database, evidence)
    assert [each.state.value for each in found.tombstones] == ["forged"]


def archived(url: str) -> str:
    """All that is there, but for the log of operations, in which the two must differ."""
    return pg_dump(url, exclude_schemas=(), exclude_tables=("archive.patients_operations",))


def data(url: str) -> str:
    """What lies outside the archive, but for what says when."""
    return pg_dump(url, exclude_tables=("public.goose_db_version",))


def test_what_version_10_cannot_hold_comes_back_too(
    at_11: str, empty_database: str, server: Server, tmp_path: Path
) -> None:
    assert go(DOWN, at_11).code == 0
    skip = ("--skip", "roles", "--skip", "event-triggers")
    assert run("archive", "harden", *skip, url=at_11).code == 0
    export(at_11, tmp_path / "a")
    copy_public(server, at_11, empty_database)
    import_(empty_database, tmp_path / "a")
    for url in (at_11, empty_database):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.Error, match="is refused"):
            connection.execute("DELETE FROM archive.notification_queue")
        assert go(UP, url).code == 0
    assert data(empty_database) == data(at_11)


def test_an_owner_without_special_rights_exports_and_imports(
    at_11: str, empty_database: str, server: Server, connect: Connect, tmp_path: Path
) -> None:
    with fresh_role(at_11) as owner:
        give_everything(at_11, owner)
        export(with_user(at_11, owner), tmp_path / "a")
        copy_public(server, at_11, empty_database)
        give_everything(empty_database, owner)
        # by the superuser, who lends its rights to nobody
        import_(empty_database, tmp_path / "a")
        assert scalar(
            connect(empty_database),
            "SELECT count(*) FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner"
            " WHERE c.relnamespace = 'archive'::regnamespace AND r.rolname <> %s",
            owner,
        ) == 0  # fmt: skip
        connect(empty_database).execute("DROP SCHEMA archive CASCADE")
        import_(with_user(empty_database, owner), tmp_path / "a")
        for url in (at_11, empty_database):
            ended = go(DOWN, with_user(url, owner))
            assert ended.code == 0, ended.says
        assert data(empty_database) == data(at_11)
        for url in (at_11, empty_database):  # the role goes away
            connect(url).execute(f"REASSIGN OWNED BY {owner} TO postgres".encode())
            connect(url).execute(f"DROP OWNED BY {owner}".encode())


def test_whatever_is_done_to_the_file_nothing_is_imported(
    at_11: str, empty_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "archive.age"
    export(at_11, file)
    whole = file.read_bytes()
    before = pg_dump(empty_database, exclude_schemas=())
    broken = {
        "cut off": whole[:-1],
        "cut to a chunk": whole[: whole.index(b"\n---") + 49 + 16 + 65552],
        "half": whole[: len(whole) // 2],
        "one bit": whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:],
        "early bit": whole[:400] + bytes([whole[400] ^ 1]) + whole[401:],
        "more": whole + b"x",
        "empty": b"",
        "something else": b"PGDMP" + whole,
    }
    for name, content in broken.items():
        file.write_bytes(content)
        for outcome in (
            check(file),
            run("archive", "import", file, "--json", url=empty_database, env=ENV),
        ):
            assert outcome.code == 3, name
            assert outcome.document["verdict"] == "incomplete"
            assert outcome.document["error"]["message"]
            assert CANARY not in outcome.out + outcome.err
    file.write_bytes(whole)
    other = check(file, "another passphrase")
    assert other.code == 3
    assert "does not open" in other.document["error"]["message"]
    assert PASSPHRASE not in other.out + other.err
    assert pg_dump(empty_database, exclude_schemas=()) == before


def test_an_import_that_does_not_fit_is_refused(
    at_11: str, make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    with fresh_role(at_11) as reader:
        connect(at_11).execute(f"GRANT SELECT ON archive.patients TO {reader}".encode())
        export(at_11, tmp_path / "a")
        connect(at_11).execute(f"REVOKE ALL ON archive.patients FROM {reader}".encode())
    at_10 = make_database(10)
    present = import_(at_10, tmp_path / "a", code=3)["error"]
    assert "has a schema archive already" in present["message"]
    connect(at_10).execute("DROP SCHEMA archive CASCADE")
    before = pg_dump(at_10, exclude_schemas=())
    version = import_(at_10, tmp_path / "a", code=3)["error"]
    assert "at version 10, and the export was made at version 11" in version["message"]
    connect(at_10).execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (11, true)"
    )
    roles = import_(at_10, tmp_path / "a", code=3)["error"]
    assert f"are not here: {reader}" in roles["message"]
    connect(at_10).execute("DELETE FROM goose_db_version WHERE version_id = 11")
    assert pg_dump(at_10, exclude_schemas=()) == before


def test_no_file_is_written_over_or_left_half(at_11: str, connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "archive.age"
    file.write_text("mine")
    assert export(at_11, file, code=2)["error"]["kind"] == "usage"
    assert file.read_text() == "mine"
    assert export(at_11, tmp_path / "none" / "a", code=2)["error"]["kind"] == "usage"
    connect(at_11).execute("CREATE VIEW archive.v AS SELECT 1")
    connect(at_11).execute("CREATE MATERIALIZED VIEW archive.m AS SELECT 1")
    refused = export(at_11, tmp_path / "b", code=3)["error"]
    assert "cannot carry: m" in refused["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["archive.age"]


@pytest.mark.parametrize("command", ["export", "import", "verify-export"])
def test_a_passphrase_is_never_an_argument(
    command: str, empty_database: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("short\n")
    arguments = (
        ("archive", "export", "--out", tmp_path / "new")
        if command == "export"
        else ("archive", command, tmp_path / "none")
    )
    nothing = run(*arguments, url=empty_database)
    assert nothing.code == 2
    assert "No passphrase was given" in nothing.err
    both = run(
        *arguments, url=empty_database, env={**ENV, "REFACTORKIT_EXPORT_PASSPHRASE_FILE": "x"}
    )
    assert both.code == 2
    assert PASSPHRASE not in both.err
    from_file = run(
        *arguments, url=empty_database, env={"REFACTORKIT_EXPORT_PASSPHRASE_FILE": str(secret)}
    )
    assert from_file.code == 2
    expected = "12 characters" if command == "export" else "There is no file"
    assert expected in from_file.err
    assert "short" not in from_file.err


def test_other_mappings_are_carried_too(
    make_database: MakeDatabase, server: Server, connect: Connect, tmp_path: Path
) -> None:
    one, other = make_database(0), make_database(0)
    connection = connect(one)
    connection.execute(
        "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT NULL,"
        " is_applied boolean NOT NULL, tstamp timestamp DEFAULT now());"
        " INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)"
    )
    mappings.prepare(connection, "members")
    mappings.turn(connection, "members", UP)
    export(one, tmp_path / "a")
    copy_public(server, one, other)
    import_(other, tmp_path / "a")
    for url in (one, other):
        mappings.turn(connect(url), "members", DOWN)
    assert data(one) == data(other)
