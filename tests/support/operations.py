"""Operations on an archive as tests do them, and their log as a superuser reads it."""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.archive_export import ExportRequest
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support.background import go
from tests.support.cli import Outcome, run
from tests.support.clinic import open_clinic
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user

PASSPHRASE = "a passphrase of some length"  # noqa: S105 - of no file that lasts
ENV = {"REFACTORKIT_EXPORT_PASSPHRASE": PASSPHRASE}
LOG = "archive.patients_operations"
LET_BY = "SELECT set_config('refactorkit.archive_writer', pg_current_xact_id()::text, true);"


def cheap_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make exports whose passphrase costs next to nothing to guess: that is no subject here."""
    cheap = functools.partial(ExportRequest, work_factor=10)
    monkeypatch.setattr("refactorkit.cli.archive_export.ExportRequest", cheap)


def clinic_at_11(url: str) -> str:
    """Take a database at version 10 to version 11, with people in it."""
    open_clinic(url)
    assert go(Direction.UP, url).code == 0
    return url


@contextmanager
def as_runner(url: str) -> Iterator[str]:
    """Have the URL of a runner without any special right, to whom all of it belongs."""
    with ExitStack() as stack:
        stack.callback(forget, url)
        runner = stack.enter_context(fresh_role(url))
        give_everything(url, runner)
        yield with_user(url, runner)


def forget(url: str) -> None:
    """Drop the roles of hardening: they belong to the whole server."""
    run("archive", "harden", "--off", url=url)


def done(*arguments: object, url: str, code: int = 0) -> Any:
    outcome: Outcome = run(*map(str, arguments), "--json", url=url, env=ENV)
    assert outcome.code == code, outcome.err + outcome.out
    return outcome.document


def export(url: str, path: Path, code: int = 0) -> Any:
    return done("archive", "export", "--out", path, url=url, code=code)


def harden(url: str, *options: str, code: int = 0) -> Any:
    return done("archive", "harden", *options, url=url, code=code)


def log(url: str) -> list[dict[str, Any]]:
    """Every record, as a superuser reads it."""
    with psycopg.connect(url) as connection:
        if scalar(connection, f"SELECT to_regclass('{LOG}')") is None:
            return []
        return [
            row for (row,) in connection.execute(f"SELECT to_jsonb(o) FROM {LOG} o ORDER BY 1"
            .encode())
        ]  # fmt: skip


def user(url: str) -> str:
    return Dsn.parse(url).environment()["PGUSER"]


def refusal(url: str, statement: str) -> str | None:
    """The SQLSTATE with which statements are refused, rolled back in any case."""
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            connection.rollback()
    return None
