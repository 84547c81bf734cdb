"""pg_dump and pg_restore: a database's definitions as text, and a copy of a database.

The programs get where to connect, and the password, from their environment: arguments can be read
by everybody on the machine. What they print is not repeated, because it may quote rows.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from psycopg import sql

from refactorkit.errors import FailedError
from refactorkit.postgres import older_servers
from refactorkit.postgres.binaries import find_binaries
from refactorkit.postgres.connection import Connection, fetch_value

_MAJOR: Final = re.compile(rb"\(PostgreSQL\) (\d+)")
_LOCK_WAIT: Final = "--lock-wait-timeout=10s"  # a reader that waits longer stands in others' way
_ENTRY: Final = re.compile(rb"from TOC entry \d+; \d+ \d+ (.+)")
_NEW_SETTING: Final = b"SET transaction_timeout = 0;"  # of PostgreSQL 17
_HEAD: Final = 20  # lines of pg_dump's own, before and after everything else
_CLOSE_SECONDS: Final = 10.0


class CannotDumpError(FailedError):
    """The programs are not there, too old for the server, or ended with an error."""


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Where pg_dump and pg_restore are.

    Attributes:
        directory: their folder; None: those that the package brings along.
    """

    directory: Path | None = None

    def path(self, name: str, connection: Connection) -> str:
        """Return the path of a program that fits the connection's server.

        Raises:
            CannotDumpError: it is not there, does not run, or is older than the server.
        """
        return self.fitting(name, connection)[0]

    def fitting(self, name: str, connection: Connection) -> tuple[str, int]:
        """Return the path and the major version of a program that fits the connection's server.

        Raises:
            CannotDumpError: as ``path``.
        """
        path = self._directory() / name
        try:
            run = subprocess.run(  # noqa: S603
                [path, "--version"], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotDumpError(
                f"{path} does not run.",
                hint="Name the folder of PostgreSQL's programs: --programs.",
            ) from error
        found = _MAJOR.search(run.stdout)
        server = connection.info.server_version // 10000
        if found is None or int(found[1]) < server:
            version = found[1].decode() if found else "of an unknown version"
            raise CannotDumpError(
                f"{path} is {version}, and the server is {server}: a newer server is refused.",
                hint="Name the folder of the server's own programs: --programs.",
            )
        return str(path), int(found[1])

    def _directory(self) -> Path:
        if self.directory is not None:
            return self.directory
        try:
            return find_binaries().bin_directory
        except FailedError as error:
            raise CannotDumpError(error.message, hint=error.hint) from error


def schema_text(connection: Connection, programs: Programs, *, but_not_in: Sequence[str]) -> str:
    """Return what ``pg_dump --schema-only`` says of everything outside some schemas.

    Blind spots: what belongs to the whole server (roles, tablespaces), the settings and rights of
    the database itself, and where sequences stand.

    Raises:
        CannotDumpError: it could not be had.
    """
    command = [
        programs.path("pg_dump", connection),
        "--schema-only",
        "--no-password",
        _LOCK_WAIT,
        *(f"--exclude-schema={_pattern(schema)}" for schema in but_not_in),
    ]
    run = subprocess.run(  # noqa: S603
        command, env=_environment(connection), check=False, capture_output=True
    )
    if run.returncode:
        raise CannotDumpError(f"pg_dump ended with code {run.returncode}.")
    return run.stdout.decode("utf-8", "surrogateescape")


def copy_schema(
    source: Connection, target: Connection, programs: Programs, *, role: str | None
) -> None:
    """Restore the definitions of one database, and no row, into another, empty one.

    As ``copy_database``, whose arguments and errors it has; publications are left in, so that what
    looks for them finds them.

    Raises:
        CannotDumpError: it could not be done; the target holds a part.
    """
    _copy(source, target, programs, role=role, options=["--schema-only"])


def section_text(
    connection: Connection, programs: Programs, schema: str, *, section: str, snapshot: str
) -> bytes:
    """Return the definitions of one schema that stand before its rows, or after them, as SQL.

    Owners, rights, publications and security labels are left out, and so are the commands of psql
    and a setting that older servers do not know.

    Args:
        connection: shows where to read.
        programs: where pg_dump is.
        schema: which one.
        section: "pre-data" or "post-data".
        snapshot: the id of an exported one, whose transaction is open.

    Raises:
        CannotDumpError: it could not be had.
    """
    command = [
        programs.path("pg_dump", connection),
        "--schema-only",
        f"--section={section}",
        f"--schema={_pattern(schema)}",
        f"--snapshot={snapshot}",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-security-labels",
        "--no-tablespaces",
        "--no-password",
        _LOCK_WAIT,
    ]
    run = subprocess.run(  # noqa: S603
        command, env=_environment(connection), check=False, capture_output=True
    )
    if run.returncode:
        raise CannotDumpError(
            f"pg_dump ended with code {run.returncode}.",
            hint="The user must be allowed to read the whole archive.",
        )
    return _plain_sql(run.stdout)


def _plain_sql(script: bytes) -> bytes:
    """Leave psql's own commands out: the first and the last that pg_dump itself writes."""
    lines = script.splitlines(keepends=True)
    head = [line for line in lines[:_HEAD] if not line.startswith((b"\\restrict ", _NEW_SETTING))]
    tail = [line for line in lines[_HEAD:][-_HEAD:] if not line.startswith(b"\\unrestrict ")]
    return b"".join([*head, *lines[_HEAD:][:-_HEAD], *tail])


def copy_database(
    source: Connection, target: Connection, programs: Programs, *, role: str | None
) -> None:
    """Restore a dump of one database into another, empty one; the first is only read.

    All of it in one snapshot. Subscriptions are left out: a copy must not draw on their sources.
    pg_restore speaks to the server itself, so no text of the dump is read by psql, whose commands
    could reach this machine (CVE-2025-8714); ``older_servers`` says where that cannot be.

    Args:
        source: shows where to read.
        target: shows where to restore.
        programs: where pg_dump and pg_restore are.
        role: becomes the owner of what is restored and runs its code; None: the target's user.

    Raises:
        CannotDumpError: it could not be done; the target holds a part.
    """
    _copy(source, target, programs, role=role, options=[])


def _copy(
    source: Connection,
    target: Connection,
    programs: Programs,
    *,
    role: str | None,
    options: Sequence[str],
) -> None:
    dump = [
        programs.path("pg_dump", source),
        "--format=custom",
        "--compress=0",
        "--no-password",
        "--no-subscriptions",
        _LOCK_WAIT,
        *options,
    ]
    pg_restore, major = programs.fitting("pg_restore", target)
    restore = [
        pg_restore,
        "--exit-on-error",
        "--no-password",
        *([f"--role={role}"] if role else []),
    ]
    with _running(dump, source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dumping:
        if older_servers.lacks_a_setting(target.info.server_version, major):
            psql = [programs.path("psql", target), *older_servers.PSQL_ARGUMENTS]
            _restore_by_psql(dumping, restore, psql, target)
        else:
            _restore(dumping, restore, target)
        code = dumping.wait()
    if code:
        raise CannotDumpError(
            f"pg_dump ended with code {code}.",
            hint="The user must be allowed to read every table, and nobody may hold an exclusive "
            "lock on one.",
        )


def _restore(dumping: "subprocess.Popen[bytes]", command: list[str], target: Connection) -> None:
    command = [*command, f"--dbname={target.info.dbname}"]
    with _running(
        command,
        target,
        stdin=dumping.stdout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as restoring:
        # Ours is closed, so that pg_dump notices when pg_restore ends.
        cast("IO[bytes]", dumping.stdout).close()
        said = cast("IO[bytes]", restoring.stderr).read()
        code = restoring.wait()
    place = _ENTRY.search(said)
    _refuse_to_go_on(
        "pg_restore", code, f" at {place[1].decode('utf-8', 'replace')}" if place else ""
    )


def _restore_by_psql(
    dumping: "subprocess.Popen[bytes]", command: list[str], psql: list[str], target: Connection
) -> None:
    with (
        _running(
            [*command, "--file=-"],
            target,
            stdin=dumping.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as writing,
        _running(
            psql,
            target,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as restoring,
    ):
        cast("IO[bytes]", dumping.stdout).close()
        script = cast("IO[bytes]", writing.stdout)
        try:
            older_servers.pass_on(script, cast("IO[bytes]", restoring.stdin))
        except older_servers.UnrestrictedError:
            raise CannotDumpError(
                f"{command[0]} is too old to restore safely into an older server.",
                hint="Use a newer minor version, or the server's own programs: --programs.",
            ) from None
        script.close()
        codes = restoring.wait(), writing.wait()
    _refuse_to_go_on("psql", codes[0])
    _refuse_to_go_on("pg_restore", codes[1])


def _refuse_to_go_on(program: str, code: int, where: str = "") -> None:
    if code:
        raise CannotDumpError(
            f"{program} ended with code {code}{where}.",
            hint="Restore as a role that may make everything in it: --restore-as ROLE.",
        )


@contextlib.contextmanager
def _running(
    command: list[str],
    connection: Connection,
    *,
    stdout: int,
    stderr: int,
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a program running meanwhile; it does not outlive the block."""
    process = subprocess.Popen(  # noqa: S603
        command,
        env=_environment(connection),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(connection: Connection) -> dict[str, str]:
    """Return our environment, with ``PG*`` variables that lead where the connection leads.

    Taken from the open connection: what service file, passfile and lists of hosts came to.
    """
    info = connection.info
    resolved = {
        option.envvar.decode(): option.val.decode()
        for option in connection.pgconn.info
        if option.envvar and option.val
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    said = {
        "PGHOST": info.host,
        "PGPORT": str(info.port),
        "PGDATABASE": info.dbname,
        "PGUSER": info.user,
        "PGPASSWORD": info.password,
        "PGCLIENTENCODING": "UTF8",
    }
    for name in ("PGSERVICE", "PGSERVICEFILE", "PGPASSFILE", "PGTARGETSESSIONATTRS"):
        resolved.pop(name, None)
    if "," in resolved.get("PGHOSTADDR", ""):
        del resolved["PGHOSTADDR"]
    return {**kept, **resolved, **{name: value for name, value in said.items() if value}}


def _pattern(name: str) -> str:
    """Quote a name for the patterns of pg_dump."""
    return '"' + name.replace('"', '""') + '"'


def role_for_restore(connection: Connection) -> str | None:
    """Return whose rights a dump of this database is to be restored with, None for the user's own.

    Whoever owns a table can have code run when it is restored (a check, a generated column): so a
    superuser lends its rights to nobody who has less. It takes the first of these that is no
    superuser: the database's owner, the owner of ``public.users``.

    Blind spot: this is ``SET ROLE``, which code that means harm can take back. Where the owners of
    a database are not trusted, its URL has to be that of a role without rights.
    """
    superuser = fetch_value(
        connection, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
    )
    if not superuser:
        return None
    name = fetch_value(
        connection,
        sql.SQL(
            "SELECT r.rolname FROM (VALUES"
            " (1, (SELECT d.datdba FROM pg_catalog.pg_database AS d"
            " WHERE d.datname = current_database())),"
            " (2, (SELECT c.relowner FROM pg_catalog.pg_class AS c"
            " WHERE c.oid = pg_catalog.to_regclass('public.users')))) AS o (rank, role)"
            " JOIN pg_catalog.pg_roles AS r ON r.oid = o.role"
            " WHERE NOT r.rolsuper ORDER BY o.rank LIMIT 1"
        ).format(),
    )
    return None if name is None else str(name)
