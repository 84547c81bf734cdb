SELECT r.pid, r.application_name, r.state, r.sync_state,
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint END,
    extract(epoch FROM r.replay_lag)::float8
FROM pg_stat_replication AS r
ORDER BY r.pid
