"""Destroy rows of the archive whose time is over, and that no Up or Down will ask for again."""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql
from psycopg.types.json import Jsonb

from refactorkit.mapping.care import holds_table, purges_table
from refactorkit.mapping.guards import kept_tables, lasting_tables
from refactorkit.mapping.keeping import kept
from refactorkit.mapping.model import Mapping
from refactorkit.postgres.archive_log import exists
from refactorkit.postgres.archive_writes import close
from refactorkit.postgres.connection import Connection, fetch_value
from refactorkit.postgres.purge_rules import rules


@dataclass(frozen=True, kw_only=True)
class Expired:
    """What of one table is older than the date.

    Attributes:
        table: of the archive, without schema.
        destroyed: rows that are, or would be, destroyed.
        held: rows that stay because of a legal hold.
        needed: rows that stay because the next Up or Down needs them.
    """

    table: str
    destroyed: int
    held: int
    needed: int


def ensure_tables(connection: Connection, mapping: Mapping) -> None:
    """Make the tables of holds and purges where an older Up did not make them."""
    for suffix, statement in (("holds", holds_table(mapping)), ("purges", purges_table(mapping))):
        table = f"{mapping.name}_{suffix}"
        if not exists(connection, table):
            connection.execute(statement.encode())
            close(connection, table)


def purge(connection: Connection, mapping: Mapping, before: datetime) -> tuple[Expired, ...]:
    """Destroy what is over in the open transaction, which may be rolled back; return the counts.

    Of people who were withheld the two ids stay, among those that are no more.
    """
    done = []
    for rule in rules(connection, mapping):
        table = sql.Identifier("archive", rule.table)
        counted = connection.execute(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE {idle} AND {held}),"
                " count(*) FILTER (WHERE NOT {idle})"
                " FROM {table} AS x WHERE {old}"
            ).format(table=table, old=rule.old, idle=rule.idle, held=rule.held),
            {"before": before},
        ).fetchone()
        held, needed = counted or (0, 0)
        where = sql.SQL("{old} AND {idle} AND NOT {held}").format(
            old=rule.old, idle=rule.idle, held=rule.held
        )
        if rule.table == f"{mapping.name}_withheld_{mapping.source.table}":
            connection.execute(
                sql.SQL(
                    "INSERT INTO {past} (turn, source_id, target_id)"
                    " SELECT x.refactorkit_turn, x.{key}, x.refactorkit_target_id FROM {table} AS x"
                    " WHERE {where} ON CONFLICT DO NOTHING"
                ).format(
                    past=sql.Identifier("archive", f"{mapping.name}_past"),
                    key=sql.Identifier(mapping.source.key),
                    table=table,
                    where=where,
                ),
                {"before": before},
            )
        deleted = connection.execute(
            sql.SQL("DELETE FROM {} AS x WHERE {}").format(table, where), {"before": before}
        )
        done.append(Expired(table=rule.table, destroyed=deleted.rowcount, held=held, needed=needed))
    return tuple(done)


def purge_all(connection: Connection, mapping: Mapping) -> tuple[Expired, ...]:
    """Destroy the moved table and all that is kept, but for logs and used ids; version 11 alone."""
    lasting = {name.removeprefix("archive.") for name in lasting_tables(mapping)}
    names = [name.removeprefix("archive.") for name in kept_tables(mapping)]
    doomed = [name for name in names if name not in lasting and exists(connection, name)]
    counts = {
        name: int(
            fetch_value(
                connection,
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("archive", name)),
            )
        )
        for name in [mapping.source.table, *doomed]
    }
    connection.execute(
        sql.SQL("TRUNCATE {}").format(
            sql.SQL(", ").join(sql.Identifier("archive", name) for name in doomed)
        )
    )
    connection.execute(
        sql.SQL("DROP TABLE {} RESTRICT").format(sql.Identifier("archive", mapping.source.table))
    )
    return tuple(
        Expired(table=name, destroyed=count, held=0, needed=0) for name, count in counts.items()
    )


def others(connection: Connection, mapping: Mapping) -> tuple[str, ...]:
    """Return the tables of the archive that are not this refactor's, with their schema.

    They are of other refactors and of other migrations, some of which keep rows too.
    """
    own = [one.table for one in kept(mapping)]
    return tuple(
        f"archive.{row[0]}"
        for row in connection.execute(
            "SELECT c.relname::text FROM pg_catalog.pg_class AS c"
            " WHERE c.relnamespace = pg_catalog.to_regnamespace('archive')"
            " AND c.relkind IN ('r', 'p') AND c.relname <> ALL (%s) ORDER BY 1",
            (own,),
        ).fetchall()
    )


def record(
    connection: Connection,
    mapping: Mapping,
    *,
    before: datetime,
    gives_up_rollback: bool,
    basis: str,
    approved_by: str,
    expired: tuple[Expired, ...],
) -> int:
    """Write down what was destroyed, by whose word; return its number."""
    table = sql.Identifier("archive", f"{mapping.name}_purges")
    connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))
    return int(
        fetch_value(
            connection,
            sql.SQL(
                "INSERT INTO {table} (purge, before, gives_up_rollback, basis, approved_by, counts)"
                " SELECT coalesce(max(purge), 0) + 1, %s, %s, %s, %s, %s FROM {table}"
                " RETURNING purge"
            ).format(table=table),
            (
                before,
                gives_up_rollback,
                basis,
                approved_by,
                Jsonb({one.table: one.destroyed for one in expired if one.destroyed}),
            ),
        )
    )


def given_up(connection: Connection, name: str) -> datetime | None:
    """Return when the rollback of a refactor was given up, None where it was not."""
    if not exists(connection, f"{name}_purges"):
        return None
    value = fetch_value(
        connection,
        sql.SQL("SELECT max(at) FROM {} WHERE gives_up_rollback").format(
            sql.Identifier("archive", f"{name}_purges")
        ),
    )
    return value if isinstance(value, datetime) else None
