"""Legal holds: who must neither be erased nor purged."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from refactorkit.mapping.care import holds_table
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.archive_writes import close
from refactorkit.postgres.connection import Connection, fetch_value


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One hold that is in force.

    Attributes:
        number: of the hold, from 1 within its refactor.
        source_id: the id of the subject in the older version.
        reason: as it was given; no part of it comes from a row.
        said_by: who ordered it.
        at: since when.
    """

    number: int
    source_id: int
    reason: str
    said_by: str
    at: datetime


def is_held(connection: Connection, name: str, source_id: int) -> bool:
    """Tell whether a hold on a subject is in force.

    Args:
        connection: in any transaction.
        name: the refactor's prefix in the archive.
        source_id: the id of the subject in the older version, where it is or was a source row.
    """
    return any(hold.source_id == source_id for hold in holds(connection, name))


def holds(connection: Connection, name: str) -> tuple[Hold, ...]:
    """Return all holds of a refactor that are in force, by number; none without their table."""
    if not exists(connection, f"{name}_holds"):
        return ()
    query = sql.SQL(
        "SELECT h.hold, h.source_id, h.reason, h.said_by, h.at FROM {table} AS h"
        " WHERE h.releases IS NULL"
        " AND NOT EXISTS (SELECT FROM {table} AS r WHERE r.releases = h.hold) ORDER BY h.hold"
    ).format(table=sql.Identifier("archive", f"{name}_holds"))
    return tuple(
        Hold(number=number, source_id=source_id, reason=reason, said_by=said_by, at=at)
        for number, source_id, reason, said_by, at in connection.execute(query).fetchall()
    )


def record(
    connection: Connection,
    mapping: Mapping,
    source_id: int,
    *,
    releases: int | None,
    reason: str,
    said_by: str,
) -> int:
    """Write a hold, or the end of one, in the open transaction; return its number."""
    table = sql.Identifier("archive", f"{mapping.name}_holds")
    if not exists(connection, f"{mapping.name}_holds"):
        connection.execute(holds_table(mapping).encode())
        close(connection, f"{mapping.name}_holds")
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))
    number = fetch_value(
        connection,
        sql.SQL(
            "INSERT INTO {table} (hold, source_id, releases, reason, said_by)"
            " SELECT coalesce(max(hold), 0) + 1, %s, %s, %s, %s FROM {table} RETURNING hold"
        ).format(table=table),
        (source_id, releases, reason, said_by),
    )
    return int(number)


def is_known(
    connection: Connection, mapping: Mapping, direction: Direction, source_id: int
) -> bool:
    """Tell whether anything that is kept, or living, is about a source row of this id."""
    name, source = mapping.name, mapping.source
    schema = "archive" if direction is Direction.UP else "public"
    places = (
        ((schema, source.table), source.key),
        (("archive", f"{name}_map"), "source_id"),
        (("archive", f"{name}_past"), "source_id"),
        (("archive", f"{name}_withheld_{source.table}"), source.key),
    )
    return any(
        fetch_value(
            connection,
            sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} = %s)").format(
                sql.Identifier(*table), sql.Identifier(column)
            ),
            (source_id,),
        )
        for table, column in places
    )
