"""Where a drill takes place: an embedded server, or a throwaway database on a given one."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from refactorkit.commands.drill.model import BEFORE, DrillRequest, Place
from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.postgres import history
from refactorkit.postgres.connection import Connection, connected
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.dumping import copy_database, role_for_restore
from refactorkit.postgres.embedded import EmbeddedServer
from refactorkit.postgres.history import TableName
from refactorkit.postgres.throwaway import (
    Throwaway,
    only_reading,
    server_errors_explained,
    throwaway_database,
)

_EMBEDDED_DATABASE = "postgres"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A database to do anything with.

    Attributes:
        dsn: how to reach it.
        place: how to speak of it.
        made: the throwaway database; None: all of the server is ours.
        version: of the database that is to be copied; 0 where the data is made up.
    """

    dsn: Dsn
    place: Place
    made: Throwaway | None
    version: int


@contextlib.contextmanager
def ground(request: DrillRequest) -> Iterator[Ground]:
    """Have an empty database, and nothing of it afterwards.

    Raises:
        RefusedError: the database to be copied is beyond the version that a drill begins at.
        RefactorkitError: as the server or the connection has it.
    """
    if request.copy_of is not None:
        with _beside(request, request.copy_of, kind="copy") as made:
            yield made
    elif request.server is not None:
        with _beside(request, request.server, kind="beside") as made:
            yield made
    else:
        with EmbeddedServer.start(durable=False) as server:
            place = Place(
                kind="embedded",
                version=server.version,
                database=_EMBEDDED_DATABASE,
                source=None,
                role=None,
                kept=False,
            )
            dsn = Dsn.parse(server.dsn(_EMBEDDED_DATABASE))
            yield Ground(dsn=dsn, place=place, made=None, version=0)


def restore(request: DrillRequest, ground: Ground) -> None:
    """Copy the database into the ground; it is only read.

    Raises:
        CannotDumpError: pg_dump or pg_restore could not do it.
    """
    if request.copy_of is None or ground.made is None:
        raise ValueError("there is nothing to copy")
    with (
        connected(only_reading(request.copy_of)) as source,
        connected(ground.made.plain_dsn) as target,
    ):
        copy_database(source, target, request.programs, role=ground.place.role)


@contextlib.contextmanager
def _beside(request: DrillRequest, dsn: Dsn, *, kind: str) -> Iterator[Ground]:
    role, version = None, 0
    looking = server_errors_explained(f"Reading {dsn.describe()}", state=NOTHING_CHANGED)
    with connected(only_reading(dsn)) as connection, looking:
        server_version = connection.info.parameter_status("server_version") or ""
        if request.copy_of is not None:
            version = _version(request, connection, dsn)
            role = request.restore_as or role_for_restore(connection)
    with throwaway_database(dsn, owner=role, keep=request.keep) as made:
        place = Place(
            kind=kind,
            version=server_version.partition(" ")[0],
            database=made.name,
            source=dsn.describe(),
            role=role,
            kept=request.keep,
        )
        yield Ground(dsn=made.dsn, place=place, made=made, version=version)


def _version(request: DrillRequest, connection: Connection, dsn: Dsn) -> int:
    table = history.find(connection, TableName.parse(request.table))
    current = history.read(connection, table).current
    if current > BEFORE:
        raise RefusedError(
            f"A drill begins at version {BEFORE}, and {dsn.describe()} is at version {current}.",
            state=NOTHING_CHANGED,
            hint="Name a database from before the cutover, such as a restored backup.",
        )
    return current
