"""PostgreSQL in a container, by testcontainers.

Blind spot: where there is no Docker engine, only the refusal below is ever run.
"""

import gc
import warnings

from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.community.postgres import PostgresContainer

# The same text order as the embedded server's.
INITDB = "--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C --data-checksums"


def container(image: str) -> PostgresContainer | None:
    """Return a container that is not started yet, or None without a Docker engine.

    It is the constructor that asks the engine: a docker command on PATH says nothing about one.
    """
    with warnings.catch_warnings():
        # docker leaves the socket open over which nobody answered.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return PostgresContainer(
                image, username="postgres", dbname="postgres", driver=None
            ).with_env("POSTGRES_INITDB_ARGS", INITDB)
        except DockerException:
            pass
        gc.collect()
    return None
