"""Fixtures: one server a session (a worker, under xdist), a fresh database a test."""

import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support import servers
from tests.support.databases import Databases
from tests.support.servers import Server

# A shell starts what runs in the background deaf to Ctrl-C: programs under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    try:
        return servers.describe()
    except servers.ServerUnavailableError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server under test; started when the first test wants it."""
    with servers.running() as running:
        yield running


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Databases]:
    """Makes databases in the server; what is left is dropped at the end of the session."""
    made = Databases(server)
    yield made
    made.drop_all()


@pytest.fixture
def make_database(databases: Databases) -> Iterator[Callable[[int], str]]:
    """Makes fresh databases at a version of sql/ (0: empty), dropped after the test; gives URLs."""
    urls = []

    def make(version: int) -> str:
        urls.append(databases.create(version))
        return urls[-1]

    yield make
    for url in urls:
        databases.drop(url)


@pytest.fixture
def empty_database(make_database: Callable[[int], str]) -> str:
    """The URL of a fresh database with nothing in it, not even goose's table."""
    return make_database(0)


@pytest.fixture
def database_at_10(make_database: Callable[[int], str]) -> str:
    """The URL of a fresh database at version 10, with the mock data and nothing else."""
    return make_database(10)


@pytest.fixture
def connect() -> Iterator[Callable[..., psycopg.Connection]]:
    """Opens connections, in autocommit mode unless told otherwise, and closes them afterwards."""
    opened = []

    def open_one(url: str, *, autocommit: bool = True) -> psycopg.Connection:
        opened.append(psycopg.connect(url, autocommit=autocommit))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()
