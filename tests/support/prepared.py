"""Two databases at version 11, written to alike: one is prepared for its rollback, one is not."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import psycopg

from refactorkit.mapping.load import load_mapping
from refactorkit.postgres.lock_waits import LockLimits
from refactorkit.postgres.preparing import Preparer
from tests.support.chain import SQL
from tests.support.dump import pg_dump
from tests.support.online import KilledError

MAPPING = load_mapping(SQL.parent / "archive" / "patients.toml")


def preparer(
    connection: psycopg.Connection, report: Callable[[str], None] = lambda _doing: None
) -> Preparer:
    """Return what prepares the rollback of 0011."""
    limits = LockLimits(timeout_ms=200, retries=0)
    return Preparer(connection, MAPPING, limits=limits, state=lambda: "As it was.", report=report)


def prepare(connection: psycopg.Connection) -> None:
    """Prepare without a pause."""
    prepared = preparer(connection)
    prepared.hook()
    prepared.find_out()


def killed_at(connection: psycopg.Connection, moment: int) -> bool:
    """Prepare until a moment; tell whether there was that moment."""
    left = moment

    def count(_doing: str) -> None:
        nonlocal left
        if left == 0:
            raise KilledError
        left -= 1

    with suppress(KilledError):
        prepared = preparer(connection, count)
        prepared.hook()
        prepared.find_out()
        return False
    return True


def both(connections: Sequence[psycopg.Connection], text: str) -> str:
    """Write the same to all; return the SQLSTATE that all of them met, '' for none."""
    met = set()
    for connection in connections:
        try:
            with connection.transaction():
                connection.execute(text.encode())
        except psycopg.Error as error:
            met.add(error.sqlstate or "?")
        else:
            met.add("")
    (one,) = met
    return one


def told(connection: psycopg.Connection) -> list[str]:
    """Collect the notices of a connection, from now on."""
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
    return notices


def everything(url: str) -> str:
    """Return all there is, the archive included, apart from times.

    What was written today has none; nor are there numbers of transactions, salts (random as they
    are), or the fingerprints of rows that hold such a time: the rows themselves are here.
    """
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    text = pg_dump(url, exclude_schemas=()).replace(name, "db")
    text = re.sub(today + r" \d\d:\d\d:\d\d(\.\d+)?(\+00)?", "now", text)
    text = re.sub(r"(?m)(\tnow\t)\d+(?=\t)|(?<=\t)-?\d{15,19}$", r"\1#", text)
    text = re.sub(r'("xor": )-?\d+', r"\1#", text)
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "#", text)
    rows: list[str] = []
    out: list[str] = []
    for line in text.split("\n"):  # sorted once more: the times were in the way
        if line.startswith("COPY "):
            out.append(line)
            rows = []
        elif line == "\\.":
            out += [*sorted(rows), line]
            rows = []
        else:
            rows.append(line)
    return "\n".join([*out, *rows])
