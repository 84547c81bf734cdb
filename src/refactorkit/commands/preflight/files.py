"""Versions and files: is this refactor next, is its file what was compiled, was another edited."""

from collections.abc import Iterator

from refactorkit.commands.chain import Found
from refactorkit.commands.preflight.finding import Observation, no_go, note, ok, unknown
from refactorkit.errors import RefactorkitError
from refactorkit.mapping.compiled import Refactor
from refactorkit.migrations.plan import plan_up
from refactorkit.postgres.checksums import FileState
from refactorkit.postgres.preflight.looking import UnseenError


def versions(found: Found | UnseenError, refactor: Refactor | None) -> Iterator[Observation]:
    """Compare the version table with the files, as plain ``up`` does."""
    if isinstance(found, UnseenError):
        yield unknown(f"the version table could not be read: {found.reason}", found.advice)
        return
    current = found.history.current
    try:
        steps = plan_up(found.migrations, found.history, to=None, allow_missing=False)
    except RefactorkitError as error:
        yield no_go(error.message.rstrip("."), error.hint or "See refactorkit status.")
        return
    if refactor is None:
        yield no_go(
            f"no refactor is pending: the database is at version {current}",
            "Is this the database, and --dir the folder, that you mean? See refactorkit status.",
        )
        return
    before = [
        step.migration.version
        for step in steps
        if step.migration.version < refactor.migration.version
    ]
    if before:
        yield no_go(
            f"the database is at version {current}, and {len(before)} files come before"
            f" {refactor.migration.file}",
            f"Bring it to version {max(before)} first: refactorkit up --to {max(before)};"
            " then run preflight again.",
        )
    after = [step for step in steps if step.migration.version > refactor.migration.version]
    if after:
        yield note(
            f"{len(after)} more files are pending after {refactor.migration.file}:"
            " preflight looks at that one alone",
            f"To stop after it: refactorkit up --to {refactor.migration.version}.",
        )
    if not before and not after:
        yield ok(f"the database is at version {current}, and {refactor.migration.file} is next")


def compiled_file(refactor: Refactor) -> Iterator[Observation]:
    """Hold the file against what its own mapping compiles to."""
    file = refactor.migration.file
    if refactor.is_as_compiled:
        yield ok(f"{file} is what its mapping compiles to")
    else:
        yield no_go(
            f"{file} is not what its mapping compiles to: it was edited, or compiled by another"
            " version of refactorkit, so that preflight cannot speak for it",
            "Compile it again (refactorkit compile), or run the version that compiled it.",
            accept="compiled_file",
        )


def edited_files(found: Found | UnseenError) -> Iterator[Observation]:
    """Hold the files that were applied against their recorded checksums."""
    if isinstance(found, UnseenError):
        yield unknown(f"the version table could not be read: {found.reason}", found.advice)
        return
    if found.checksums.by_version is None:
        yield unknown(
            "this user may not read archive.migration_checksums",
            "Run preflight as the role that will run Up.",
        )
        return
    edited, same, unrecorded = [], 0, 0
    for migration in found.migrations:
        row = found.history.newest.get(migration.version)
        if row is None or not row.applied:
            continue
        state = found.checksums.state(migration, row)
        if state is FileState.EDITED:
            edited.append(migration.file)
        same += state is FileState.SAME
        unrecorded += state is FileState.NOT_RECORDED
    if edited:
        yield no_go(
            f"edited since they were applied: {', '.join(edited)}",
            "Put them back as they were applied; what is to change is a new file.",
            accept="edited_files",
        )
    else:
        yield ok(f"{same} applied files are as they were, of {unrecorded} nothing is recorded")
