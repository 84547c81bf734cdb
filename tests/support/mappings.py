"""The mappings of tests/mappings, each beside the schema and rows of the version before it."""

from pathlib import Path

import psycopg

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.migrations.parser import parse

MAPPINGS = Path(__file__).parents[1] / "mappings"


def prepare(connection: psycopg.Connection, name: str) -> None:
    """Make the tables and rows of the version before the refactor."""
    connection.execute((MAPPINGS / f"{name}.sql").read_bytes())


def turn(connection: psycopg.Connection, name: str, direction: Direction) -> None:
    """Run one direction of a mapping's migration, in one transaction."""
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    made = parse(compile_migration(mapping).encode(), file=mapping.migration, environ={})
    script = made.script(direction)
    assert script.error is None
    with connection.transaction():
        for statement in script.statements:
            connection.execute(statement.data)
