"""Which database this is: what an operator must be able to tell from another one."""

from dataclasses import dataclass
from typing import Final

from refactorkit.postgres.connection import Connection, fetch_value

_QUERY: Final = """
    SELECT pg_catalog.current_database()::pg_catalog.text,
        session_user::pg_catalog.text, current_user::pg_catalog.text,
        pg_catalog.inet_server_addr()::pg_catalog.text, pg_catalog.inet_server_port(),
        nullif(pg_catalog.current_setting('refactorkit.environment', true), ''),
        pg_catalog.current_setting('server_version')
"""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A database, as its server knows it.

    Attributes:
        database: its name.
        host: the server's address, or the folder of its socket.
        port: the server's port.
        user: whose rights are used.
        environment: the setting ``refactorkit.environment`` that somebody gave the database, such
            as ``production``; None where nobody did.
        server_version: such as ``18.6``.
        system_identifier: of the cluster, as pg_controldata prints it: a copy of it on another
            machine has the same one, a server that was restored from a dump has not. None where
            this user may not ask.
    """

    database: str
    host: str
    port: int
    user: str
    environment: str | None
    server_version: str
    system_identifier: int | None = None


def identify(connection: Connection) -> Identity:
    """Ask the server which database this is."""
    row = connection.execute(_QUERY).fetchone()
    if row is None:
        raise RuntimeError("a SELECT without FROM gave no row")
    database, _session_user, user, address, port, environment, version = row
    info = connection.info
    return Identity(
        database=database,
        host=info.host or address or "",
        port=port or info.port,
        user=user,
        environment=environment,
        server_version=version.partition(" ")[0],
        system_identifier=_system_identifier(connection),
    )


def _system_identifier(connection: Connection) -> int | None:
    """Ask for it only where that is allowed: a refusal would end an open transaction."""
    if not fetch_value(
        connection,
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')",
    ):
        return None
    return int(
        fetch_value(connection, "SELECT system_identifier FROM pg_catalog.pg_control_system()")
    )
