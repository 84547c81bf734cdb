"""Version 10's application beside version 11, and the rows that it sees."""

import psycopg

from refactorkit.commands.chain import Chain
from refactorkit.commands.cutover import CutoverRequest, cutover
from refactorkit.commands.operation.result import OperationResult
from refactorkit.postgres.dsn import Dsn
from tests.support.chain import SQL

PATH = "v10,public"
TABLES = ("users", "patients", "assessments")


def switch(url: str) -> OperationResult:
    """Cut over, and keep version 10 beside."""
    chain = Chain(dsn=Dsn.parse(url), directory=SQL, table="goose_db_version", environ={})
    return cutover(CutoverRequest(chain=chain, keep_former=True))


def application(url: str, **more: object) -> psycopg.Connection:
    """Return a connection of version 10's application: its path was set before the switch."""
    return psycopg.connect(url, autocommit=True, options=f"-c search_path={PATH}", **more)  # type: ignore[arg-type]


def seen(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Return every row of the three tables as text, to the byte, by table."""
    return {
        table: sorted(
            row[0] for row in connection.execute(f"SELECT t::text FROM {table} AS t".encode())
        )
        for table in TABLES
    }
