"""A chain of one compiled refactor, of any mapping of tests/mappings, and its database."""

from pathlib import Path

import psycopg

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping

MAPPINGS = Path(__file__).parents[1] / "mappings"


def write_refactor(directory: Path, url: str, name: str) -> Path:
    """Make the tables of the version before, and a folder with the compiled file alone."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((MAPPINGS / f"{name}.sql").read_bytes())
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    (directory / mapping.migration).write_text(compile_migration(mapping))
    return directory
