"""Roles of the server for the length of a test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

PASSWORD = "Canary-Password-5c1e"  # noqa: S105 - of roles that live as long as a test


@contextmanager
def fresh_role(url: str) -> Iterator[str]:
    """Have a role that owns nothing, may log in, and is no superuser; its name is random.

    What it comes to own or to hold in the database of `url` goes with it.
    """
    name = f"rk_{uuid.uuid4().hex[:10]}"
    role = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD))
        )
    try:
        yield name
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
            admin.execute(sql.SQL("DROP OWNED BY {}").format(role))
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


def with_user(url: str, name: str, password: str | None = PASSWORD) -> str:
    """Return the URL for another user."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    user = name if password is None else f"{name}:{password}"
    return urlunsplit(parts._replace(netloc=f"{user}@{hosts}"))


def give_everything(url: str, name: str) -> None:
    """Make a role the owner of the database and of all that is in it."""
    owner = sql.Identifier(name)
    with psycopg.connect(url, autocommit=True) as admin:
        database = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
        admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(owner))
        for kind, found in (
            (sql.SQL("SCHEMA"), "SELECT 'archive' WHERE to_regnamespace('archive') IS NOT NULL"),
            (
                sql.SQL("TABLE"),
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND"
                " relnamespace IN ('public'::regnamespace, to_regnamespace('archive'))",
            ),
            (
                sql.SQL("FUNCTION"),
                "SELECT oid::regprocedure::text FROM pg_proc WHERE"
                " pronamespace IN ('public'::regnamespace, to_regnamespace('archive'))",
            ),
        ):
            for (what,) in admin.execute(found.encode()).fetchall():
                admin.execute(sql.SQL("ALTER {} {} OWNER TO {}").format(kind, sql.SQL(what), owner))
