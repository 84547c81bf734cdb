"""Fresh databases for tests, copied from templates that are migrated once a session."""

import os
import uuid

import psycopg
from psycopg import sql

from tests.support.chain import migrate
from tests.support.servers import Server

FIRST_WITH_STRATEGY = 15
FIRST_WITH_PROVIDER = 15


class Databases:
    """Creates databases in a server and drops them again.

    Their names hold a random part: workers, and runs side by side on one server, do not meet.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._run = uuid.uuid4().hex[:8]
        self._count = 0
        self._templates: dict[int, str] = {}
        self._alive: set[str] = set()

    @property
    def major(self) -> int:
        """The server's major version."""
        return int(self._server.version.split(".")[0])

    def create(self, version: int = 0) -> str:
        """Return the URL of a fresh database at a version; 0 has not even goose's table."""
        template = "template0" if version == 0 else self._template(version)
        return self._server.url(self._create(template))

    def copy(self, url: str) -> str:
        """Return the URL of a copy of a database that nobody is connected to."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        return self._server.url(self._create(str(name)))

    def create_empty(self, encoding: str) -> str:
        """Return the URL of a fresh database with nothing in it, of an encoding."""
        return self._server.url(self._create("template0", encoding=encoding))

    def drop(self, url: str) -> None:
        """Drop a database that `create` made, whoever is still connected to it."""
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        assert name in self._alive
        self._drop(str(name))

    def drop_all(self) -> None:
        """Drop whatever is left, templates included."""
        for name in sorted(self._alive):
            self._drop(name)

    def _template(self, version: int) -> str:
        if version not in self._templates:
            name = self._create("template0")
            migrate(self._server.url(name), version)
            self._templates[version] = name
        return self._templates[version]

    def _create(self, template: str, *, encoding: str | None = None) -> str:
        self._count += 1
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"rk_test_{worker}_{self._run}_{self._count}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        if self.major >= FIRST_WITH_STRATEGY:
            statement += sql.SQL(" STRATEGY file_copy")
        if encoding is not None:
            statement += sql.SQL(
                " ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
                if self.major >= FIRST_WITH_PROVIDER
                else " ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
            ).format(sql.Literal(encoding))
        self._execute(statement)
        self._alive.add(name)
        return name

    def _drop(self, name: str) -> None:
        self._execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        self._alive.discard(name)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)
