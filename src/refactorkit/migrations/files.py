"""The folder of migration files: which files count, and where a new one goes.

goose's rules: the folder itself and not those in it, every ``*.sql`` (other files are ignored, and
the ending is lower case), sorted by version as numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError, UsageError
from refactorkit.migrations.model import Migration
from refactorkit.migrations.names import (
    SUFFIX,
    TIMESTAMP_FORMAT,
    is_sequential,
    name_problem,
    read_name,
    snake_case,
)
from refactorkit.migrations.parser import parse
from refactorkit.migrations.quoting import quoted

SEQUENTIAL_DIGITS = 5
"""How many digits goose gives to a sequential version, where no file shows another habit."""

TEMPLATE = """\
-- +goose Up
SELECT 'up SQL query';

-- +goose Down
SELECT 'down SQL query';
"""


def migration_paths(directory: Path) -> tuple[Path, ...]:
    """List the ``*.sql`` files of a folder by name, whatever their names and texts are.

    Raises:
        UsageError: there is no such folder.
        FailedError: the folder cannot be read.
    """
    if not directory.is_dir():
        what = "is not a folder" if directory.exists() else "does not exist"
        raise UsageError(
            f"The folder of migrations {quoted(str(directory))} {what}.",
            state=NOTHING_CHANGED,
            hint="Name it with --dir or GOOSE_MIGRATION_DIR.",
        )
    try:
        return tuple(sorted(path for path in directory.iterdir() if path.name.endswith(SUFFIX)))
    except OSError as error:
        raise _unreadable(directory, error) from error


def read_file(path: Path, *, environ: Mapping[str, str]) -> Migration:
    """Read one migration file; what is wrong inside it is said in its scripts.

    Raises:
        RefusedError: its name is not one of a migration.
        FailedError: it cannot be read.
    """
    read_name(path.name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse(content, file=path.name, environ=environ)


def read_folder(directory: Path, *, environ: Mapping[str, str]) -> tuple[Migration, ...]:
    """Read all migrations of a folder, sorted by version; a broken one is among them.

    Raises:
        UsageError: there is no such folder.
        RefusedError: names that are not of migrations, or versions that several files have;
            all of them are named.
        FailedError: the folder or a file cannot be read.
    """
    paths = migration_paths(directory)
    refuse_bad_names(path.name for path in paths)
    migrations = [read_file(path, environ=environ) for path in paths]
    return tuple(sorted(migrations, key=lambda migration: migration.version))


def refuse_bad_names(files: Iterable[str]) -> None:
    """Hold file names to the rules, each alone and all against each other.

    Raises:
        RefusedError: names that are not of migrations, or versions that several files have;
            all of them are named.
    """
    problems: list[str] = []
    by_version: defaultdict[int, list[str]] = defaultdict(list)
    for file in files:
        problem = name_problem(file)
        if problem is None:
            by_version[read_name(file).version].append(file)
        else:
            problems.append(f"{quoted(file)}: {problem}")
    problems.extend(
        f"version {version} has {len(same)} files: {', '.join(quoted(file) for file in same)}"
        for version, same in sorted(by_version.items())
        if len(same) > 1
    )
    if problems:
        raise RefusedError(
            f"The names of the migration files cannot be used. {'; '.join(problems)}.",
            state=NOTHING_CHANGED,
            hint="Name each file like 0012_add_visits.sql, with a version of its own, or move it "
            "out of the folder.",
        )


def new_file(directory: Path, name: str, *, sequential: bool, now: datetime) -> Path:
    """Write an empty migration with a version above the others, and return where it is.

    Args:
        directory: the folder of migrations.
        name: what the migration does; letters and digits are kept, in snake case.
        sequential: count on from the highest version that is no time stamp, with as many digits
            as that file has (goose's five where there is none); otherwise the version is a time
            stamp.
        now: the time, with its zone; the version says it in UTC.

    Raises:
        UsageError: there is no such folder, or no letter and no digit in the name.
        RefusedError: a file there has a bad name, or the new version already.
        FailedError: the file cannot be written.
    """
    description = snake_case(name)
    if not description:
        raise UsageError(
            f"The name {quoted(name)} has no letter and no digit.",
            state=NOTHING_CHANGED,
            hint="Say what the migration does, as in 'add visits'.",
        )
    files = [path.name for path in migration_paths(directory)]
    version = (
        _next_sequential(files) if sequential else now.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    )
    path = directory / f"{version}_{description}{SUFFIX}"
    refuse_bad_names([*files, path.name])
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(TEMPLATE)
    except OSError as error:
        raise FailedError(
            f"{quoted(str(path))} could not be written: {error.strerror}.", state=NOTHING_CHANGED
        ) from error
    return path


def _next_sequential(files: Iterable[str]) -> str:
    highest, digits = 0, SEQUENTIAL_DIGITS
    for file in files:
        version = read_name(file).version
        if version > highest and is_sequential(version):
            highest, digits = version, len(file.partition("_")[0].lstrip("+"))
    return f"{highest + 1:0{digits}d}"


def _unreadable(path: Path, error: OSError) -> FailedError:
    return FailedError(
        f"{quoted(str(path))} could not be read: {error.strerror}.", state=NOTHING_CHANGED
    )
