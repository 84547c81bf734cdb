"""Run one direction of one file of sql/, without the runner and without goose's table."""

from functools import cache

import psycopg

from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.parser import parse
from tests.support.chain import SQL


@cache
def chain() -> dict[int, Migration]:
    """Return the migrations of sql/ by version."""
    files = sorted(SQL.glob("*.sql"))
    parsed = [parse(file.read_bytes(), file=file.name, environ={}) for file in files]
    return {migration.version: migration for migration in parsed}


def run_script(connection: psycopg.Connection, version: int, direction: Direction) -> list[str]:
    """Run a script as goose does, in one transaction; return the notices of level NOTICE.

    "… does not exist, skipping" and its like, which IF [NOT] EXISTS says, are left out.
    """
    script = chain()[version].script(direction)
    assert script.error is None, script.error
    notices: list[str] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        message = diagnostic.message_primary or ""
        if diagnostic.severity_nonlocalized == "NOTICE" and not message.endswith(", skipping"):
            notices.append(message)

    connection.add_notice_handler(keep)
    try:
        with connection.transaction():
            for statement in script.statements:
                connection.execute(statement.text.encode())
    finally:
        connection.remove_notice_handler(keep)
    return notices


def up(connection: psycopg.Connection, version: int) -> list[str]:
    return run_script(connection, version, Direction.UP)


def down(connection: psycopg.Connection, version: int) -> list[str]:
    return run_script(connection, version, Direction.DOWN)
