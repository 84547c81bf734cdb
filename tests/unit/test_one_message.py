"""A migration as one message says the same, in the same lines."""

import os

import pytest

from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Migration
from refactorkit.migrations.one_message import in_one_message
from tests.support.chain import SQL

MIGRATIONS = read_folder(SQL, environ=os.environ)


@pytest.mark.parametrize("migration", MIGRATIONS, ids=lambda each: each.file)
def test_every_statement_is_in_it_once_at_its_line(migration: Migration) -> None:
    (one,) = in_one_message(migration.up).statements
    lines = one.text.split("\n")

    for statement in migration.up.statements:
        text = statement.text.split("\n")
        at = statement.line - one.line
        assert lines[at : at + len(text)] == text
        lines[at : at + len(text)] = [""] * len(text)
    assert set(lines) <= {""}
