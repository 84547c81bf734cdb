"""Where the time of Up and Down goes: the file's statements one by one, each with its cost."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.laboratory import Laboratory, Sample
from benchmarks.processes import cpu_seconds
from benchmarks.stock import AFTER, Stock
from refactorkit.errors import FailedError
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Direction, Script
from refactorkit.postgres.connection import connected

_LONGEST = 100  # characters of a statement's first line


@dataclass(frozen=True, kw_only=True)
class StatementCost:
    """What one statement took.

    Attributes:
        line: of the file, where it begins; None for what is not in the file.
        text: its first line, shortened.
        cost: of its own process only, where Sample says of the server.
    """

    line: int | None
    text: str
    cost: Sample


def statement_costs(
    laboratory: Laboratory, directory: Path, stock: Stock, direction: Direction
) -> tuple[StatementCost, ...]:
    """Run one direction of the refactor on a fresh copy, and return each statement's cost in order.

    The version row is not written; the last entry is the COMMIT.

    Raises:
        FailedError: the migration is not there, or cannot be read.
    """
    script = _script(directory, direction)
    template = stock.before if direction is Direction.UP else stock.after
    made = []
    with laboratory.copy(template) as name, connected(laboratory.dsn(name)) as connection:
        pid = connection.info.backend_pid
        connection.execute("CHECKPOINT")
        connection.execute("BEGIN")
        sent = [(each.line, each.text, each.data) for each in script.statements]
        for line, text, data in [*sent, (None, "COMMIT", b"COMMIT")]:
            wal, cpu = laboratory.wal_position(), cpu_seconds(pid)
            started = time.perf_counter()
            connection.execute(data)
            seconds = time.perf_counter() - started
            after = cpu_seconds(pid)
            made.append(
                StatementCost(
                    line=line,
                    text=_headline(text),
                    cost=Sample(
                        seconds=seconds,
                        cpu_seconds=None if cpu is None or after is None else after - cpu,
                        wal_bytes=laboratory.wal_position() - wal,
                    ),
                )
            )
    return tuple(made)


def _script(directory: Path, direction: Direction) -> Script:
    for migration in read_folder(directory, environ={}):
        script = migration.script(direction)
        if migration.version == AFTER and script.error is None:
            return script
    raise FailedError(f"{directory} has no migration {AFTER} that can be read.")


def _headline(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("--")), "")
    return first if len(first) <= _LONGEST else first[: _LONGEST - 1] + "…"
