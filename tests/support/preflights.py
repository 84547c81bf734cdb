"""Preflight as a test calls it, and what it found."""

from pathlib import Path

from refactorkit.commands.chain import Chain
from refactorkit.commands.preflight import (
    Expectations,
    Finding,
    Level,
    PreflightRequest,
    PreflightResult,
    preflight,
)
from refactorkit.postgres.dsn import Dsn
from tests.support.chain import SQL

NOTHING_EXPECTED = Expectations()


def look(
    url: str,
    *,
    accept: tuple[str, ...] = (),
    runner: str | None = None,
    expect: Expectations = NOTHING_EXPECTED,
    sample: bool = False,
    timeout_seconds: float = 30.0,
    directory: Path = SQL,
    table: str = "goose_db_version",
) -> PreflightResult:
    """Run preflight in this process; without a sample unless it is asked for."""
    return preflight(
        PreflightRequest(
            chain=Chain(dsn=Dsn.parse(url), directory=directory, table=table, environ={}),
            accept=accept,
            runner=runner,
            expect=expect,
            sample=sample,
            timeout_seconds=timeout_seconds,
        )
    )


def found(result: PreflightResult, check: str) -> tuple[Finding, ...]:
    """Return what one check said."""
    return tuple(each for each in result.findings if each.check == check)


def no_gos(result: PreflightResult) -> list[str]:
    """Return what stands in the way, in order."""
    return [each.says for each in result.of(Level.NO_GO)]
