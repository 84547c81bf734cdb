"""The server that things are measured on: fresh copies of databases, and a stopwatch."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from psycopg import sql

from benchmarks.processes import server_cpu_seconds, server_processes, wait_for_backends
from refactorkit.postgres.connection import Connection, connected, fetch_value
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.embedded import EmbeddedServer

# Everything else is PostgreSQL's default. Autovacuum would come at moments that nobody chose.
SETTINGS: Final = {"autovacuum": "off"}
_TOLD: Final = (
    "autovacuum", "checkpoint_timeout", "data_checksums", "fsync", "full_page_writes", "io_method",
    "jit", "maintenance_work_mem", "max_parallel_maintenance_workers",
    "max_parallel_workers_per_gather", "max_wal_size", "shared_buffers", "synchronous_commit",
    "wal_compression", "wal_level", "work_mem",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One measurement.

    Attributes:
        seconds: by the clock on the wall.
        cpu_seconds: of all processes of the server; None where the system does not tell.
        wal_bytes: of write-ahead log.
    """

    seconds: float
    cpu_seconds: float | None
    wal_bytes: int


class Laboratory:
    """A durable server and its databases; made by ``open``."""

    def __init__(self, server: EmbeddedServer, observer: Connection) -> None:
        self.version = server.version
        self._server = server
        self._observer = observer
        self._count = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls, data: Path | None) -> Iterator[Self]:
        """Start a server with fsync on; it is gone, with its data, when the block ends.

        Args:
            data: where its folder is made; None for the system's folder of temporary files.

        Raises:
            FailedError: it did not start.
        """
        with (
            EmbeddedServer.start(directory=data, durable=True, settings=SETTINGS) as server,
            connected(Dsn.parse(server.dsn()), application_name="benchmarks") as observer,
        ):
            yield cls(server, observer)

    def settings(self) -> dict[str, str]:
        """Return the server's settings that speed depends on."""
        found = self._observer.execute(
            "SELECT name, current_setting(name) FROM pg_catalog.pg_settings"
            " WHERE name = ANY (%s) ORDER BY 1",
            (list(_TOLD),),
        )
        return dict(found.fetchall())

    def url(self, name: str) -> str:
        """Return the URL of a database; it holds the password."""
        return self._server.dsn(name)

    def dsn(self, name: str) -> Dsn:
        """Return where a database is."""
        return Dsn.parse(self.url(name))

    def create(self, template: str = "template0") -> str:
        """Make a database from another one, to which nobody may be connected; return its name.

        The files are copied and flushed: no page of it is in the server's memory.
        """
        self._count += 1
        name = f"benchmark_{self._count}"
        self._observer.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    @contextlib.contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """Have a fresh copy of a database for the length of a block; yield its name."""
        name = self.create(template)
        try:
            yield name
        finally:
            self._observer.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def measure(self, run: Callable[[], None]) -> Sample:
        """Measure one call after a checkpoint, on a server that does nothing else."""
        self._observer.execute("CHECKPOINT")
        postmaster = self._server.pid
        known = server_processes(postmaster)
        wal, cpu = self.wal_position(), server_cpu_seconds(postmaster)
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
        wal = self.wal_position() - wal
        wait_for_backends(postmaster, known)
        after = server_cpu_seconds(postmaster)
        return Sample(
            seconds=seconds,
            cpu_seconds=None if cpu is None or after is None else after - cpu,
            wal_bytes=wal,
        )

    def first_backend(self, name: str, application: str) -> int:
        """Return the process of an application's first connection to a database that is there."""
        return int(
            fetch_value(
                self._observer,
                "SELECT pid FROM pg_catalog.pg_stat_activity"
                " WHERE datname = %s AND application_name = %s ORDER BY backend_start LIMIT 1",
                (name, application),
            )
        )

    def wal_position(self) -> int:
        """Return how many bytes of write-ahead log there are since the server was made."""
        return int(
            fetch_value(
                self._observer,
                "SELECT pg_catalog.pg_current_wal_insert_lsn() OPERATOR(pg_catalog.-) '0/0'",
            )
        )
