"""The archive's owner writes its log of operations, and nobody else does, or has code run by it.

In plain archives, behind guards, and in archives that an older version hardened.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.mapping import guards
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres import operations
from tests.support.background import go
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import tell
from tests.support.dump import pg_dump
from tests.support.operations import (
    LET_BY,
    LOG,
    as_runner,
    cheap_passphrase,
    clinic_at_11,
    export,
    harden,
    log,
    refusal,
    user,
)
from tests.support.queries import scalar
from tests.support.roles import fresh_role, with_user

Connect = Callable[..., psycopg.Connection]
UP, DOWN = Direction
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_passphrase(monkeypatch)


@pytest.fixture
def at_11(database_at_10: str) -> str:
    return clinic_at_11(database_at_10)


@pytest.fixture
def app(at_11: str) -> Iterator[str]:
    with as_runner(at_11) as url:
        yield url


def test_behind_guards_the_owner_writes_the_log_and_nobody_changes_it(
    at_11: str, app: str, tmp_path: Path
) -> None:
    roles = harden(at_11)
    export(app, tmp_path / "a")
    assert [each["kind"] for each in log(at_11)] == ["harden", "export"]
    for statement in (f"UPDATE {LOG} SET run_by = 'x'", f"DELETE FROM {LOG}", f"TRUNCATE {LOG}"):
        assert refusal(app, statement) == "RK003", statement
        assert refusal(at_11, statement) == "RK003", statement
    assert refusal(app, f"DROP TABLE {LOG}") == "RK003"
    insert = f"INSERT INTO {LOG} (operation, kind, facts) VALUES (9, 'x', '{{}}')"
    with fresh_role(at_11) as other:
        url = with_user(at_11, other)
        for role in (None, roles["reader"], roles["eraser"]):
            if role is not None:
                tell(at_11, f"GRANT {role} TO {other}")
            may_read = None if role else "42501"
            assert refusal(url, f"SELECT operation, facts FROM {LOG}") == may_read, role
            for statement in (
                insert, f"UPDATE {LOG} SET run_by = 'x'", f"DELETE FROM {LOG}", f"TRUNCATE {LOG}",
            ):  # fmt: skip
                assert refusal(url, LET_BY + statement) == "42501", (role, statement)
    assert go(DOWN, app).code == 0
    assert run("verify", url=app).code == 0
    assert go(UP, app).code == 0


def test_in_an_older_hardened_archive_the_log_is_made_as_hardening_would_have(
    at_11: str, app: str, tmp_path: Path
) -> None:
    roles = harden(at_11)
    whole = shape(at_11)
    for who, name in ((app, "a"), (at_11, "b")):  # by the runner, and by a superuser
        tell(at_11, LET_BY + f"DROP TABLE {LOG}")
        export(who, tmp_path / name)
        assert shape(at_11) == whole
        assert run("verify", url=app).code == 0
        assert run("archive", "status", "--check", url=app).code == 0
    assert refusal(app, f"DELETE FROM {LOG}") == "RK003"
    with psycopg.connect(at_11) as connection:
        owner = scalar(
            connection,
            f"SELECT relowner::regrole::text FROM pg_class WHERE oid = '{LOG}'::regclass",
        )
    assert owner == roles["owner"]
    for direction in (DOWN, UP):
        ended = go(direction, app)
        assert ended.code == 0, ended.says


@pytest.mark.parametrize("hardened", [False, True])
def test_a_file_of_an_older_version_goes_down_and_up_beside_the_log(
    hardened: bool, at_11: str, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 0011 knows of no such table."""
    folder = tmp_path / "sql"
    shutil.copytree(SQL, folder)
    (file,) = folder.glob("0011_*.sql")
    assert LOG in file.read_text()
    care = tuple(name for name in guards.CARE_TABLES if name != "operations")
    with monkeypatch.context() as older:
        older.setattr(guards, "CARE_TABLES", care)
        file.write_text(compile_migration(load_mapping(ROOT / "archive" / "patients.toml")))
    assert LOG not in file.read_text()
    if hardened:
        harden(at_11)
    export(app, tmp_path / "a")
    export(at_11, tmp_path / "b")
    before = log(at_11)
    for direction in (DOWN, UP, DOWN):
        ended = go(direction, app, directory=folder)
        assert ended.code == 0, ended.says
        assert run("verify", url=app).code == 0
    assert log(at_11) == before
    if hardened:
        assert refusal(app, f"DELETE FROM {LOG}") == "RK003"


def shape(url: str) -> list[Any]:
    """Columns, constraints, triggers, owner and rights of the log."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            f"""
            SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
                pg_get_expr(d.adbin, d.adrelid), a.attacl::text
            FROM pg_attribute AS a
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = '{LOG}'::regclass AND a.attnum > 0
            UNION ALL
            SELECT conname, pg_get_constraintdef(oid), '', '', '' FROM pg_constraint
            WHERE conrelid = '{LOG}'::regclass AND contype <> 'n'
            UNION ALL
            SELECT tgname, pg_get_triggerdef(oid), tgenabled::text, '', '' FROM pg_trigger
            WHERE tgrelid = '{LOG}'::regclass
            UNION ALL
            SELECT relowner::regrole::text, (SELECT string_agg(x::text, ',' ORDER BY x::text)
                FROM unnest(relacl) AS x), '', '', '' FROM pg_class WHERE oid = '{LOG}'::regclass
            ORDER BY 1, 2
            """.encode()
        ).fetchall()


def test_what_a_superuser_exports_does_not_stop_the_runner(
    at_11: str, app: str, tmp_path: Path
) -> None:
    export(at_11, tmp_path / "a")
    export(app, tmp_path / "b")
    assert [each["run_by"] for each in log(at_11)] == [user(at_11), user(app)]
    for direction in (DOWN, UP):
        ended = go(direction, app)
        assert ended.code == 0, ended.says


def test_default_privileges_open_the_log_to_nobody(at_11: str, app: str, tmp_path: Path) -> None:
    with fresh_role(at_11) as other:
        tell(at_11, f"GRANT USAGE ON SCHEMA archive TO {other}")
        for maker in (user(at_11), user(app)):
            tell(
                at_11,
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {maker} IN SCHEMA archive"
                f" GRANT ALL ON TABLES TO PUBLIC, {other}",
            )
        for who in (at_11, app):
            export(who, tmp_path / user(who))
            assert refusal(with_user(at_11, other), f"SELECT kind FROM {LOG}") == "42501"
            tell(at_11, f"DROP TABLE {LOG}")
        for maker in (user(at_11), user(app)):
            tell(
                at_11,
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {maker} IN SCHEMA archive"
                f" REVOKE ALL ON TABLES FROM PUBLIC, {other}",
            )


def test_who_cannot_write_the_log_is_refused_and_nothing_is_done(
    at_11: str, app: str, tmp_path: Path
) -> None:
    with fresh_role(at_11) as other:
        tell(at_11, f"GRANT pg_read_all_data TO {other}")
        for is_there in (False, True):
            before = pg_dump(at_11, exclude_schemas=())
            error = export(with_user(at_11, other), tmp_path / "no", code=3)["error"]
            assert f"may not write into the log of operations, {LOG}" in error["message"]
            assert user(app) in error["hint"]
            assert harden(with_user(at_11, other), code=3)["error"]["state"] == error["state"]
            assert pg_dump(at_11, exclude_schemas=()) == before
            assert list(tmp_path.glob("*no*")) == []
            if not is_there:
                export(app, tmp_path / "yes")


CALLED = "public.called()"
PLANTS = {
    "a trigger": (
        "CREATE FUNCTION public.fired() RETURNS trigger LANGUAGE plpgsql"
        f" AS 'BEGIN PERFORM {CALLED}; RETURN NULL; END';"
        f" CREATE TRIGGER mine BEFORE INSERT ON {LOG} EXECUTE FUNCTION public.fired()",
        "trigger mine",
    ),
    "a rule": (
        f"CREATE RULE mine AS ON INSERT TO {LOG} DO ALSO SELECT {CALLED}",
        "rule mine",
    ),
    "a default": (f"ALTER TABLE {LOG} ALTER run_by SET DEFAULT {CALLED}", "function public.called"),
    "a column": (f"ALTER TABLE {LOG} ADD x text DEFAULT {CALLED}", "function public.called"),
    "a check": (f"ALTER TABLE {LOG} ADD CHECK ({CALLED} <> kind)", "function public.called"),
    "an index": (
        "CREATE FUNCTION public.of(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
        f" CREATE INDEX mine ON {LOG} (public.of(kind))",
        "function public.of(text)",
    ),
}


@pytest.mark.parametrize(("plant", "says"), PLANTS.values(), ids=PLANTS)
def test_code_that_the_owner_put_on_the_log_runs_as_nobody(
    plant: str, says: str, at_11: str, app: str, tmp_path: Path
) -> None:
    export(app, tmp_path / "a")
    tell(
        app,
        "CREATE TABLE public.calls (by text); CREATE FUNCTION public.called() RETURNS text"
        " LANGUAGE sql IMMUTABLE AS 'SELECT ''x''::text';" + plant + ";"
        "CREATE OR REPLACE FUNCTION public.called() RETURNS text LANGUAGE plpgsql IMMUTABLE"
        " AS 'BEGIN INSERT INTO public.calls VALUES (current_user); RETURN ''x''; END'",
    )
    before = [each["operation"] for each in log(at_11)]
    for who in (at_11, app):
        error = export(who, tmp_path / "b", code=3)["error"]
        assert error["message"].startswith(f"Writing into {LOG} would run what is not ref")
        assert says in error["message"]
        assert harden(who, code=3)["error"]["message"] == error["message"]
        with psycopg.connect(at_11) as connection:
            assert scalar(connection, "SELECT count(*) FROM public.calls") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [each["operation"] for each in log(at_11)] == before


def test_nobody_can_put_code_on_the_log_while_an_export_runs(
    at_11: str, app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(app, tmp_path / "a")
    made = operations.refuse_foreign_code
    seen: list[str | None] = []

    def look(connection: Any, names: Any) -> None:
        made(connection, names)
        seen.append(
            refusal(
                app,
                "SET lock_timeout = '100ms'; CREATE FUNCTION public.f() RETURNS trigger"
                " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                f" CREATE TRIGGER mine BEFORE INSERT ON {LOG} EXECUTE FUNCTION public.f()",
            )
        )

    monkeypatch.setattr(operations, "refuse_foreign_code", look)
    export(at_11, tmp_path / "b")
    assert seen == ["55P03", "55P03"]
