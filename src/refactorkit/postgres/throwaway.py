"""A database that is made beside another one, and dropped again whatever happens meanwhile."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
import structlog
from psycopg import sql

from refactorkit.errors import NOTHING_CHANGED, FailedError, RefactorkitError
from refactorkit.postgres import server_errors
from refactorkit.postgres.connection import Connection, connected, same_server
from refactorkit.postgres.dsn import Dsn

PREFIX: Final = "refactorkit_drill_"
_CLOSE: Final = "REVOKE ALL ON DATABASE {} FROM PUBLIC"
_OPEN_FOR_US: Final = "GRANT CONNECT ON DATABASE {} TO CURRENT_USER"
_SAY: Final = "COMMENT ON DATABASE {} IS {}"
_COMMENT: Final = (
    "Made by refactorkit drill, which drops it. Where no drill is running, drop it by hand."
)
_SINCE_PROVIDER: Final = 150000
_SINCE_ONE_LOCALE: Final = 170000
_SINCE_ICU_RULES: Final = 160000
_PROVIDERS: Final = {"c": "libc", "i": "icu", "b": "builtin"}

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Throwaway:
    """A database that was made for us.

    Attributes:
        dsn: how to reach it, with the rights of its owner.
        plain_dsn: how to reach it with the rights of the user who made it.
        name: its name.
    """

    dsn: Dsn
    plain_dsn: Dsn
    name: str


@contextlib.contextmanager
def throwaway_database(beside: Dsn, *, owner: str | None, keep: bool) -> Iterator[Throwaway]:
    """Have an empty database on the same server, with the same encoding and locale.

    Nobody but its owner may connect to it. It is dropped when the block ends, also by an error or
    by Ctrl-C; not where this process is killed: its name begins with ``refactorkit_drill_`` and
    its comment says what it is.

    Args:
        beside: a database of the server; nothing in it is changed.
        owner: the role that owns the new database, and whose rights ``dsn`` has; None: the user.
        keep: do not drop it.

    Raises:
        FailedError: it could not be made, or not be dropped.
    """
    name = PREFIX + secrets.token_hex(4)
    with connected(beside) as connection:
        pinned = same_server(beside, connection)
        _create(connection, name, owner, beside)
    plain = pinned.with_database(name)
    try:
        yield Throwaway(
            dsn=plain if owner is None else with_setting(plain, "role", owner),
            plain_dsn=plain,
            name=name,
        )
    finally:
        if not keep:
            _drop(pinned, name)


def _create(connection: Connection, name: str, owner: str | None, beside: Dsn) -> None:
    made = False
    try:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
        connection.execute(statement + _locale(connection) + _owner(owner))
        made = True
        database = sql.Identifier(name)
        for query in (_CLOSE, _OPEN_FOR_US):
            connection.execute(sql.SQL(query).format(database))
        connection.execute(sql.SQL(_SAY).format(database, sql.Literal(_COMMENT)))
    except psycopg.Error as error:
        if made:
            _drop_on(connection, name)
        explained = server_errors.explain(
            error, doing=f"Making a database beside {beside.describe()}", state=NOTHING_CHANGED
        )
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            explained.hint = "The user needs the right to make databases: ALTER ROLE … CREATEDB."
        elif isinstance(error, psycopg.errors.UndefinedObject):
            explained.hint = "Is there such a role on this server?"
        raise explained from None
    except BaseException:
        _drop_on(connection, name)
        raise


def _drop(dsn: Dsn, name: str) -> None:
    try:
        with connected(dsn) as connection:
            _drop_on(connection, name)
    except (psycopg.Error, RefactorkitError) as error:
        code = error.sqlstate if isinstance(error, psycopg.Error) else None
        _log.error("throwaway.left", database=name, sqlstate=code)
        raise FailedError(
            f'The throwaway database "{name}" could not be dropped.',
            state="It is left on the server; nothing else was changed.",
            hint=f"Drop it by hand: DROP DATABASE {name} WITH (FORCE).",
        ) from None


def _drop_on(connection: Connection, name: str) -> None:
    # FORCE: a statement that was interrupted may still be ending in a session of ours.
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )


def _owner(owner: str | None) -> sql.Composable:
    return sql.SQL("") if owner is None else sql.SQL(" OWNER {}").format(sql.Identifier(owner))


def _locale(connection: Connection) -> sql.Composed:
    """Return the options that give a new database the encoding and locale of this one."""
    version = connection.info.server_version
    columns: LiteralString = (
        "pg_encoding_to_char(encoding), datcollate, datctype, 'c'::\"char\", NULL, NULL"
    )
    if version >= _SINCE_ONE_LOCALE:
        columns = (
            "pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, datlocale,"
            " daticurules"
        )
    elif version >= _SINCE_ICU_RULES:
        columns = (
            "pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, daticulocale,"
            " daticurules"
        )
    elif version >= _SINCE_PROVIDER:
        columns = (
            "pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, daticulocale,"
            " NULL"
        )
    row = connection.execute(
        sql.SQL("SELECT {} FROM pg_catalog.pg_database WHERE datname = current_database()").format(
            sql.SQL(columns)
        )
    ).fetchone()
    if row is None:
        raise FailedError("The server does not know the database that we are connected to.")
    encoding, collate, ctype, provider, locale, rules = row
    options: list[tuple[LiteralString, object]] = [
        ("ENCODING", encoding),
        ("LC_COLLATE", collate),
        ("LC_CTYPE", ctype),
    ]
    if version >= _SINCE_PROVIDER:
        code = provider.decode() if isinstance(provider, bytes) else provider
        options.append(("LOCALE_PROVIDER", _PROVIDERS[code]))
        options += [("ICU_LOCALE", locale)] if code == "i" else []
        options += [("BUILTIN_LOCALE", locale)] if code == "b" else []
        options += [("ICU_RULES", rules)] if rules else []
    return sql.SQL("").join(
        sql.SQL(" {} {}").format(sql.SQL(name), sql.Literal(value)) for name, value in options
    )


def with_setting(dsn: Dsn, name: str, value: str) -> Dsn:
    """Return the dsn with a configuration parameter set from the first moment on."""
    # libpq's `options`: blanks and backslashes are escaped (PostgreSQL manual, 34.1.2).
    escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
    given = dsn.parameters.get("options") or os.environ.get("PGOPTIONS", "")
    return Dsn(parameters={**dsn.parameters, "options": f"{given} -c {name}={escaped}".strip()})


def only_reading(dsn: Dsn) -> Dsn:
    """Return the dsn for sessions whose transactions cannot write, whatever they try."""
    return with_setting(dsn, "default_transaction_read_only", "on")


@contextlib.contextmanager
def server_errors_explained(
    doing: str, *, state: str = "Only the throwaway database is concerned."
) -> Iterator[None]:
    """Turn a server's error into a sentence.

    Raises:
        RefactorkitError: the server or the connection failed.
    """
    try:
        yield
    except psycopg.Error as error:
        raise server_errors.explain(error, doing=doing, state=state) from error
