"""Run one direction of 0011 as plain goose would: the file's statements in one transaction."""

import os
from collections.abc import Mapping
from functools import cache

import psycopg
from psycopg import sql

from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Direction, Migration
from tests.support.chain import SQL

VERSION = 11


@cache
def _migration(version: int) -> Migration:
    return next(m for m in read_folder(SQL, environ=os.environ) if m.version == version)


def turn(
    connection: psycopg.Connection,
    direction: str,
    settings: Mapping[str, str] | None = None,
    *,
    replace: tuple[str, str] | None = None,
    version: int = VERSION,
) -> None:
    """Run Up or Down of 0011 (or of another file) with settings `refactorkit.*`.

    `replace` plants a fault in its text.
    """
    migration = _migration(version)
    script = migration.script(Direction(direction))
    assert script.error is None
    with connection.transaction():
        for name, value in (settings or {}).items():
            connection.execute(
                sql.SQL("SET LOCAL {} = {}").format(
                    sql.Identifier("refactorkit", name), sql.Literal(value)
                )
            )
        found = replace is None
        for statement in script.statements:
            text = statement.text
            if replace and replace[0] in text:
                text, found = text.replace(*replace), True
            connection.execute(text.encode())
        assert found, f"the migration does not say {replace and replace[0]!r}"
