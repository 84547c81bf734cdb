SELECT quote_ident(s.slot_name), s.slot_type::text, s.plugin::text, s.active, s.database = current_database(),
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::bigint END
FROM pg_replication_slots AS s
ORDER BY 1
