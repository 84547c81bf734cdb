"""A run against its plan: what keeps anybody out unexpectedly is told, and nothing else."""

import pytest

from refactorkit.commands.operation.planned import PlanFile, compare
from refactorkit.migrations.model import Direction
from refactorkit.postgres.lock_modes import LockMode
from refactorkit.postgres.lock_recorder import StatementRecord, TableLock

Locks = dict[int, list[tuple[str, str]]]


def plan(locks: Locks, possible: Locks | None = None) -> PlanFile:
    return PlanFile(
        checksums={},
        locks={("f", "up", line): frozenset(each) for line, each in locks.items()},
        possible={("f", "up", line): frozenset(each) for line, each in (possible or {}).items()},
    )


def ran(locks: Locks) -> list[StatementRecord]:
    return [
        StatementRecord(
            file="f",
            direction=Direction.UP,
            line=line,
            begins="",
            locks=tuple(
                TableLock(table=table, mode=LockMode(mode), adds=True) for table, mode in each
            ),
            rows=None,
            seconds=0.0,
        )
        for line, each in locks.items()
    ]


A, B = "public.a", "public.b"
CASES: dict[str, tuple[Locks, Locks, Locks, list[tuple[int, str, bool]]]] = {
    "as planned": ({1: [(A, "SHARE")]}, {}, {1: [(A, "SHARE")]}, []),
    "later than planned": (
        {1: [(A, "SHARE")], 2: []},
        {},
        {1: [], 2: [(A, "SHARE")]},
        [],
    ),
    "earlier than planned": (
        {1: [], 2: [(A, "SHARE")]},
        {},
        {1: [(A, "SHARE")], 2: []},
        [(1, A, True)],
    ),
    "a stronger one is held": (
        {1: [(A, "ACCESS EXCLUSIVE")], 2: []},
        {},
        {1: [(A, "ACCESS EXCLUSIVE")], 2: [(A, "SHARE")]},
        [],
    ),
    "stronger than planned": (
        {1: [(A, "ROW SHARE")]},
        {},
        {1: [(A, "ROW EXCLUSIVE")]},
        [(1, A, True)],
    ),
    "weaker than planned": (
        {1: [(A, "ROW EXCLUSIVE")]},
        {},
        {1: [(A, "ROW SHARE")]},
        [(1, A, False)],
    ),
    "possible": ({1: []}, {1: [(B, "ROW SHARE")]}, {1: [(B, "ROW SHARE")]}, []),
    "possible and not taken": ({1: []}, {1: [(B, "ROW SHARE")]}, {1: []}, []),
    "not possible": ({1: []}, {1: [(A, "ROW SHARE")]}, {1: [(B, "ROW SHARE")]}, [(1, B, True)]),
    "never taken": ({1: [(A, "SHARE")]}, {}, {1: []}, [(1, A, False)]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_differs_is_told(name: str) -> None:
    planned, possible, taken, expected = CASES[name]
    found = compare(plan(planned, possible), ran(taken))
    assert [(d.line, d.table, d.is_surprise) for d in found.differences] == expected
    assert (found.compared, found.not_compared) == (len(taken), 0)


def test_what_was_not_planned_or_not_seen_is_not_compared() -> None:
    found = compare(plan({1: []}), ran({7: [(A, "SHARE")]}))
    assert (found.compared, found.not_compared, found.differences) == (0, 1, ())
