"""A plan that was made before, held against what a run really did."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.migrations.plan import Step
from refactorkit.postgres.lock_modes import LockMode, adds_to
from refactorkit.postgres.lock_recorder import StatementRecord

_HINT: Final = "Make it anew: refactorkit plan --json > FILE."

Key = tuple[str, str, int]
"""File, direction and line of a statement."""

Lock = tuple[str, str]
"""Table and mode."""


@dataclass(frozen=True, kw_only=True)
class PlanFile:
    """A plan as ``plan --json`` wrote it.

    Attributes:
        checksums: SHA-256 of each file, by its name.
        locks: what each statement was to take; None where the plan could not tell.
        possible: what it may take beside, where there are rows that make it.
    """

    checksums: dict[str, str]
    locks: dict[Key, frozenset[Lock] | None]
    possible: dict[Key, frozenset[Lock]]

    def refuse_other_files(self, steps: tuple[Step, ...]) -> None:
        """Stop where the files are not those that the plan was made of.

        Raises:
            RefusedError: a file is not in the plan, or has another text now.
        """
        for step in steps:
            migration = step.migration
            if self.checksums.get(migration.file) != migration.checksum:
                raise RefusedError(
                    f"The plan was not made of {migration.file} as it is now.",
                    state=NOTHING_CHANGED,
                    hint=_HINT,
                )


@dataclass(frozen=True, kw_only=True)
class LockDifference:
    """A lock that a plan and a run do not agree on.

    Attributes:
        file: of the statement.
        line: of the statement.
        table: what was locked, or was to be.
        mode: how strongly.
        is_surprise: taken, and not in the plan; False: in the plan, and not taken.
    """

    file: str
    line: int
    table: str
    mode: str
    is_surprise: bool


@dataclass(frozen=True, kw_only=True)
class PlanComparison:
    """Predicted against observed locks.

    Attributes:
        compared: how many statements of the run could be compared.
        not_compared: how many could not.
        differences: where they do not agree.
    """

    compared: int
    not_compared: int
    differences: tuple[LockDifference, ...]


def read_plan(path: Path) -> PlanFile:
    """Read a plan from a file.

    Raises:
        UsageError: there is no such file, or it holds no plan.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        steps: list[dict[str, Any]] = document["steps"]
        checksums = {step["file"]: step["sha256"] for step in steps}
        locks: dict[Key, frozenset[Lock] | None] = {}
        possible: dict[Key, frozenset[Lock]] = {}
        for step in steps:
            for each in step["statements"]:
                key = (step["file"], step["direction"], each["line"])
                locks[key] = None if each["locks"] is None else _locks(each["locks"])
                possible[key] = _locks(each["possible_locks"])
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The plan {path} cannot be read.", state=NOTHING_CHANGED) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no plan.", state=NOTHING_CHANGED, hint=_HINT) from error
    return PlanFile(checksums=checksums, locks=locks, possible=possible)


def compare(plan: PlanFile, statements: Iterable[StatementRecord]) -> PlanComparison:
    """Hold the locks of a run against those of a plan, file by file.

    No lock may keep out somebody earlier than planned; and whomever the plan kept out must have
    been kept out by the end of the file, which is how long locks are held. That a lock comes some
    statements later, or not where a stronger one is held, is no difference: what a block does can
    hang on the rows.
    """
    compared = not_compared = 0
    differences: list[LockDifference] = []
    files: dict[tuple[str, str], list[StatementRecord]] = {}
    for each in statements:
        files.setdefault((each.file, str(each.direction)), []).append(each)
    for records in files.values():
        planned, taken = _Held(), _Held()
        promised: list[tuple[StatementRecord, Lock]] = []
        for each in records:
            key = (each.file, str(each.direction), each.line)
            locks = plan.locks.get(key)
            if locks is None or each.locks is None:
                not_compared += 1
                continue
            compared += 1
            promised += [(each, lock) for lock in sorted(locks)]
            planned.take(locks | plan.possible.get(key, frozenset()))
            observed = [(lock.table, str(lock.mode)) for lock in each.locks]
            differences += [
                _difference(each, lock, is_surprise=True)
                for lock in observed
                if planned.lets_through(lock)
            ]
            taken.take(observed)
        differences += [
            _difference(each, lock, is_surprise=False)
            for each, lock in promised
            if taken.lets_through(lock)
        ]
    return PlanComparison(
        compared=compared, not_compared=not_compared, differences=tuple(differences)
    )


class _Held:
    """The locks that are held on each table."""

    def __init__(self) -> None:
        self._modes: dict[str, frozenset[LockMode]] = {}

    def take(self, locks: Iterable[Lock]) -> None:
        """Add locks."""
        for table, mode in locks:
            self._modes[table] = self._modes.get(table, frozenset()) | {LockMode(mode)}

    def lets_through(self, lock: Lock) -> bool:
        """Tell whether those held let somebody through whom the lock would keep out."""
        table, mode = lock
        return adds_to(self._modes.get(table, frozenset()), LockMode(mode))


def _difference(each: StatementRecord, lock: Lock, *, is_surprise: bool) -> LockDifference:
    table, mode = lock
    return LockDifference(
        file=each.file, line=each.line, table=table, mode=mode, is_surprise=is_surprise
    )


def _locks(listed: list[dict[str, Any]]) -> frozenset[Lock]:
    return frozenset((str(lock["table"]), LockMode(lock["mode"]).value) for lock in listed)
