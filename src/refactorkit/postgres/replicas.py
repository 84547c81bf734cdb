"""How far the replicas are behind."""

from refactorkit.postgres.connection import Connection, fetch_value


def lag_bytes(connection: Connection) -> int:
    """Return the bytes of write-ahead log that the slowest replica has yet to replay.

    0 where there is none; replicas whose position this user may not see (pg_monitor) count as none.
    """
    lag = fetch_value(
        connection,
        "SELECT pg_catalog.max(pg_catalog.pg_wal_lsn_diff("
        "pg_catalog.pg_current_wal_lsn(), replay_lsn)) FROM pg_catalog.pg_stat_replication",
    )
    return max(0, int(lag or 0))
