"""A value that nothing may show: planted in every text of a clinic, looked for everywhere."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from typer.main import get_command

from refactorkit.cli.app import app
from tests.support.clinic import open_clinic

CANARY = "Kanarienvogel7f3e"
"""In every text of every row."""

CUSTODIAN = "custodian@clinic.invalid"
_TEXTS = """
SELECT a.attrelid::regclass::text, a.attname::text
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('text'::regtype)
    AND NOT EXISTS (
        SELECT FROM pg_constraint AS k
        WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey))
ORDER BY 1, 2
"""


def plant_at_10(url: str) -> None:
    """Fill a clinic at version 10: rows of every table, the canary in every text of them."""
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO public.users (id, email, password_hash) VALUES (950, %s, 'h')",
            [CUSTODIAN],
        )
        mark(connection)
        connection.execute("UPDATE public.users SET email = %s WHERE id = 950", [CUSTODIAN])
        connection.execute(
            "UPDATE public.audit_events SET details = jsonb_build_object('said', %s::text)",
            [CANARY],
        )


def plant_at_11(url: str) -> None:
    """The same for what version 11 adds: notifications, a native with a profile, an owner gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO public.notification_queue"
            " (user_id, notification_type, subject, body, scheduled_for, error_message)"
            " SELECT id, 'educational', '', '', now(), '' FROM public.users"
        )
        connection.execute(
            "INSERT INTO public.users (email, password_hash, hypertension)"
            " VALUES ('native', 'h', 'controlled')"
        )
        mark(connection)
        connection.execute("UPDATE public.users SET email = %s WHERE id = 950", [CUSTODIAN])
        connection.execute("DELETE FROM public.users WHERE id = 900")


def mark(connection: psycopg.Connection) -> None:
    """Put the canary before every text that no check forbids it in."""
    for table, column in connection.execute(_TEXTS).fetchall():
        connection.execute(
            sql.SQL("UPDATE {} SET {column} = {} || '-' || coalesce({column}, '')").format(
                sql.SQL(table), sql.Literal(CANARY), column=sql.Identifier(column)
            )
        )


def commands() -> set[str]:
    """Every command of the program, groups resolved."""
    return set(_leaves(get_command(app), ""))


def _leaves(command: object, name: str) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name
        return
    for child, each in children.items():
        yield from _leaves(each, f"{name} {child}".strip())


def files_with(directory: Path, *secrets: str) -> list[Path]:
    """Every file below a directory that holds one of the texts."""
    wanted = [secret.encode() for secret in secrets]
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in wanted)
    ]


def titles_with(*secrets: str) -> list[str]:
    """The command line of every process of this machine that holds one of the texts."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it ended meanwhile
            continue
        if any(secret in line for secret in secrets):
            found.append(line)
    return found
