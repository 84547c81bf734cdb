"""Which files to run, in which order, for each command. Pure: files and history in, steps out.

A plan is made before anything runs, so what goose would find out halfway (a broken file, a missing
one) is refused here with nothing changed. A plan never contains a script that could not be read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.migrations.history import History
from refactorkit.migrations.model import Direction, Migration, Script


@dataclass(frozen=True, kw_only=True)
class Step:
    """One file to run in one direction."""

    migration: Migration
    direction: Direction

    @property
    def script(self) -> Script:
        """What the step runs."""
        return self.migration.script(self.direction)


def pending(migrations: Iterable[Migration], history: History) -> tuple[Migration, ...]:
    """Return the files whose version is not applied, missing ones included."""
    return tuple(m for m in migrations if not history.is_applied(m.version))


def missing(migrations: Iterable[Migration], history: History) -> tuple[Migration, ...]:
    """Return the pending files that are below the highest applied version."""
    return tuple(m for m in pending(migrations, history) if m.version < history.highest)


def plan_up(
    migrations: Sequence[Migration], history: History, *, to: int | None, allow_missing: bool
) -> tuple[Step, ...]:
    """Plan what is pending, missing files first; nothing is planned where nothing is pending.

    Applied versions that have no file are ignored, as goose does.

    Args:
        migrations: the files, sorted by version.
        history: the version table.
        to: the highest version to apply, which need not be one of a file; None for all.
        allow_missing: whether files below the highest applied version are run, too.

    Raises:
        UsageError: no file has a version up to ``to``.
        RefusedError: files are missing and not allowed to be, a file to be run is broken, or
            the version table makes no sense.
    """
    _ = history.current  # a table that makes no sense is refused here
    chosen = [m for m in migrations if to is None or m.version <= to]
    if not chosen:
        raise _no_files("" if to is None else f" with a version up to {to}")
    skipped = missing(chosen, history)
    if skipped and not allow_missing:
        raise RefusedError(
            f"Pending files below version {history.highest}, which is applied: "
            f"{', '.join(m.file for m in skipped)}.",
            state=NOTHING_CHANGED,
            hint="Give them versions above all others, or run up again with --allow-missing.",
        )
    return _steps((m, Direction.UP) for m in pending(chosen, history))


def plan_down(
    migrations: Sequence[Migration], history: History, *, to: int | None
) -> tuple[Step, ...]:
    """Plan to take back what was applied last: one version, or all above ``to``.

    The order is that in which the versions were applied, backwards; so with ``to``, the plan ends
    at the first version, going back in time, that is not above it.

    Args:
        migrations: the files.
        history: the version table.
        to: the version to go back to, 0 for all; None for one step.

    Raises:
        UsageError: there are no files.
        RefusedError: there is nothing to take back (``to`` is None), a version to be taken back
            has no file or a broken one, or the version table makes no sense.
    """
    if not migrations:
        raise _no_files("")
    if to is None:
        return _steps([(_current(migrations, history), Direction.DOWN)])
    _ = history.current  # a table that makes no sense is refused here
    back: list[tuple[Migration, Direction]] = []
    for version in history.newest_first:
        if version <= 0:
            break
        migration = _file_of(version, migrations)
        if version <= to:
            break
        back.append((migration, Direction.DOWN))
    return _steps(back)


def plan_redo(migrations: Sequence[Migration], history: History) -> tuple[Step, ...]:
    """Plan to take back what was applied last and to apply it again: two steps.

    Raises:
        UsageError: there are no files.
        RefusedError: nothing is applied, the version has no file or one that is broken in either
            direction, or the version table makes no sense.
    """
    if not migrations:
        raise _no_files("")
    migration = _current(migrations, history)
    return _steps([(migration, Direction.DOWN), (migration, Direction.UP)])


def _current(migrations: Iterable[Migration], history: History) -> Migration:
    if history.current == 0:
        raise RefusedError(
            "The database is at version 0: no migration is applied that could be taken back.",
            state=NOTHING_CHANGED,
        )
    return _file_of(history.current, migrations)


def _file_of(version: int, migrations: Iterable[Migration]) -> Migration:
    for migration in migrations:
        if migration.version == version:
            return migration
    raise RefusedError(
        f"Version {version} is applied, and no file has this version, so nothing says how to take "
        "it back.",
        state=NOTHING_CHANGED,
        hint="Put the file back into the folder of migrations, as it was when it was applied.",
    )


def _steps(pairs: Iterable[tuple[Migration, Direction]]) -> tuple[Step, ...]:
    steps = tuple(Step(migration=migration, direction=direction) for migration, direction in pairs)
    problems = [problem for step in steps for problem in _problems(step)]
    if problems:
        raise RefusedError(
            " ".join(problems),
            state=NOTHING_CHANGED,
            hint="Correct the file, and look it over with 'refactorkit validate'.",
        )
    return steps


def _problems(step: Step) -> tuple[str, ...]:
    if step.script.error is not None:
        return (step.script.error,)
    # A driver that takes C strings would send a part of such a statement, and say nothing.
    return tuple(
        f"{step.migration.file}:{statement.line}: the statement holds a NUL byte, which no server "
        "accepts. Take it out."
        for statement in step.script.statements
        if "\0" in statement.text
    )


def _no_files(which: str) -> UsageError:
    return UsageError(
        f"There is no migration file{which}.",
        state=NOTHING_CHANGED,
        hint="Name the folder with --dir or GOOSE_MIGRATION_DIR, and check the version after --to.",
    )
