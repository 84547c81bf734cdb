"""A database as text, such that equal states give equal texts."""

import os
import subprocess
from collections.abc import Iterator, Sequence

from refactorkit.postgres.binaries import find_binaries
from refactorkit.postgres.dsn import Dsn
from tests.support.servers import Server

# Random per run, or naming a version of the programs, or a sequence's position.
LEFT_OUT = (
    "\\restrict ",
    "\\unrestrict ",
    "-- Dumped from database version ",
    "-- Dumped by pg_dump version ",
    "SELECT pg_catalog.setval(",
)


def pg_dump(
    url: str,
    *,
    schema_only: bool = False,
    exclude_schemas: Sequence[str] = ("archive",),
    exclude_tables: Sequence[str] = (),
) -> str:
    """Return what pg_dump says of everything outside `exclude_schemas`.

    Rows are sorted within their table; sequence positions are left out. Blind spots: what belongs
    to the whole server (roles, tablespaces), statistics, and OIDs.
    """
    command = [
        str(find_binaries().bin_directory / "pg_dump"),
        *(["--schema-only"] if schema_only else []),
        *(f"--exclude-schema={name}" for name in exclude_schemas),
        *(f"--exclude-table={name}" for name in exclude_tables),
    ]
    run = subprocess.run(
        command,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "PGCLIENTENCODING": "UTF8",
            # A password must not stand in argv.
            **Dsn.parse(url).environment(),
        },
        check=False,
        capture_output=True,
    )
    assert run.returncode == 0, run.stderr.decode("utf-8", "replace")
    return "\n".join(_normalised(run.stdout.decode("utf-8").split("\n")))


def _normalised(lines: Sequence[str]) -> Iterator[str]:
    rows: list[str] | None = None
    for line in lines:
        if rows is not None:
            if line == "\\.":
                yield from sorted(rows)
                yield line
                rows = None
            else:
                rows.append(line)
        elif not line.startswith(LEFT_OUT):
            yield line
            if line.startswith("COPY ") and line.endswith(" FROM stdin;"):
                rows = []


def copy_public(server: Server, source: str, target: str) -> None:
    """Restore everything outside the archive, as an operator with two programs does."""
    dump = subprocess.run(
        [server.bin_directory / "pg_dump", "--exclude-schema=archive"],
        env={"PATH": os.environ["PATH"], **Dsn.parse(source).environment()},
        check=True, capture_output=True,
    )  # fmt: skip
    text = dump.stdout.replace(b"SET transaction_timeout = 0;\n", b"")
    subprocess.run(
        [server.bin_directory / "psql", "-qX", "-v", "ON_ERROR_STOP=1"],
        env={"PATH": os.environ["PATH"], **Dsn.parse(target).environment()},
        check=True, capture_output=True, input=text,
    )  # fmt: skip
