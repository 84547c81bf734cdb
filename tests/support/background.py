"""Up and down in a thread of their own: for what has to happen to them meanwhile."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from refactorkit.commands.chain import Chain, Limits
from refactorkit.commands.down import DownRequest, down
from refactorkit.commands.up import UpRequest, up
from refactorkit.errors import RefactorkitError
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.lock_waits import LockLimits
from tests.support.chain import SQL

PATIENCE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended.

    Attributes:
        code: what the program would exit with.
        steps: how many files were run.
        attempts: how often the last of them was tried.
        says: message, state and hint of the error; empty where there was none.
    """

    code: int
    steps: int = 0
    attempts: int = 0
    says: str = ""


def go(
    direction: Direction,
    url: str,
    *,
    directory: Path = SQL,
    lock_timeout_ms: int | None = None,
    lock_wait_seconds: float = PATIENCE_SECONDS,
    table: str = "goose_db_version",
) -> Ended:
    """Run all that is pending, or take one version back, as the command does."""
    chain = Chain(dsn=Dsn.parse(url), directory=directory, table=table, environ={})
    limits = Limits(
        lock_wait_seconds=lock_wait_seconds, locks=LockLimits(timeout_ms=lock_timeout_ms)
    )
    try:
        if direction is Direction.UP:
            result = up(UpRequest(chain=chain, limits=limits))
        else:
            result = down(DownRequest(chain=chain, limits=limits))
    except RefactorkitError as error:
        return Ended(code=error.exit_code, says=str(error))
    attempts = result.done[-1].attempts if result.done else 0
    return Ended(code=0, steps=len(result.done), attempts=attempts)


@contextmanager
def going(
    direction: Direction,
    url: str,
    *,
    directory: Path = SQL,
    lock_timeout_ms: int | None = None,
) -> Iterator[Future[Ended]]:
    """Have a run going on meanwhile; waits for its end."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(go, direction, url, directory=directory, lock_timeout_ms=lock_timeout_ms)
