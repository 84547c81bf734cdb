"""Copies of 0011 with a fault planted in it."""

from pathlib import Path

from refactorkit.migrations.model import Direction
from tests.support.scripts import chain

FILE = "0011_refactor_to_menopausal.sql"


def plant(directory: Path, direction: Direction, *, after: int, statement: str) -> Path:
    """Write a folder whose only file, 0011, runs `statement` after its first `after` statements.

    The files that are applied already are not needed to go up or down by one.
    """
    lines = []
    for each in (Direction.UP, Direction.DOWN):
        lines.append(f"-- +goose {each.capitalize()}")
        texts = [one.text for one in chain()[11].script(each).statements]
        if each is direction:
            texts.insert(after, statement)
        lines += [f"-- +goose StatementBegin\n{text}\n-- +goose StatementEnd" for text in texts]
    (directory / FILE).write_text("\n".join(lines) + "\n")
    return directory


def count_statements(direction: Direction) -> int:
    """Return how many statements a direction of 0011 has."""
    return len(chain()[11].script(direction).statements)
