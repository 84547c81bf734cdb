"""Which files an operation runs: those up to the newest refactor, or down to below it."""

from collections.abc import Iterable
from dataclasses import dataclass

from refactorkit.commands.chain import Found
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Migration
from refactorkit.migrations.plan import Step, plan_down, plan_up


@dataclass(frozen=True, kw_only=True)
class Path:
    """The way to another version.

    Attributes:
        steps: what is to be run; empty where the database is there already.
        mappings: the refactors among them, in order; where nothing is to be run, the one that the
            database has been brought through.
    """

    steps: tuple[Step, ...]
    mappings: tuple[Mapping, ...]


def path_up(found: Found, *, to: int | None) -> Path:
    """Return the way up to the newest refactor, or to a version.

    Raises:
        UsageError: no file on the way is a refactor.
        RefusedError: as goose's rules have it.
    """
    refactors = _refactors(m for m in found.migrations if to is None or m.version <= to)
    if not refactors:
        upto = "" if to is None else f" up to version {to}"
        raise UsageError(
            f"None of the files{upto} is a refactor, so there is nothing to cut over to.",
            state=NOTHING_CHANGED,
            hint="Ordinary files are run by refactorkit up; is --dir the right folder?",
        )
    newest = max(refactors)
    pending = [v for v in refactors if not found.history.is_applied(v)]
    if not pending:
        return Path(steps=(), mappings=(refactors[newest],))
    steps = plan_up(
        found.migrations, found.history, to=max(pending) if to is None else to, allow_missing=False
    )
    return Path(steps=steps, mappings=_of_steps(steps, refactors))


def path_down(found: Found, *, to: int | None) -> Path:
    """Return the way back to below the newest refactor that is applied, or to a version.

    Raises:
        UsageError: no file is a refactor, or ``to`` is not below one that is applied.
        RefusedError: as goose's rules have it.
    """
    refactors = _refactors(found.migrations)
    if not refactors:
        raise UsageError(
            "None of the files is a refactor, so there is nothing to roll back.",
            state=NOTHING_CHANGED,
            hint="Ordinary files are taken back by refactorkit down; is --dir the right folder?",
        )
    applied = [v for v in refactors if found.history.is_applied(v)]
    if not applied:
        return Path(steps=(), mappings=(refactors[max(refactors)],))
    newest = max(applied)
    if to is not None and to >= newest:
        raise UsageError(
            f"Version {to} is not below {newest}, the refactor that is applied.",
            state=NOTHING_CHANGED,
            hint="Ordinary files are taken back by refactorkit down.",
        )
    goal = to
    if to is None and found.history.current != newest:
        goal = newest - 1  # what was applied above it goes too; else one step, as plain down
    steps = plan_down(found.migrations, found.history, to=goal)
    return Path(steps=steps, mappings=_of_steps(steps, refactors))


def refuse_several(steps: tuple[Step, ...]) -> None:
    """Stop a dry run that would have to go through several files.

    Raises:
        RefusedError: each file is a transaction of its own, so they cannot be tried together.
    """
    if len(steps) != 1 or not steps[0].migration.transaction:
        files = ", ".join(step.migration.file for step in steps)
        raise RefusedError(
            f"Only one file, in one transaction, can be tried and rolled back; these are: {files}.",
            state=NOTHING_CHANGED,
            hint="Take back the files above the refactor first, with refactorkit down.",
        )


def _refactors(migrations: Iterable[Migration]) -> dict[int, Mapping]:
    found = ((m.version, embedded_mapping(m)) for m in migrations)
    return {version: mapping for version, mapping in found if mapping is not None}


def _of_steps(steps: tuple[Step, ...], refactors: dict[int, Mapping]) -> tuple[Mapping, ...]:
    versions = [step.migration.version for step in steps]
    return tuple(refactors[version] for version in versions if version in refactors)
