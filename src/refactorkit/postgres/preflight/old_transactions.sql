SELECT count(*) FILTER (WHERE extract(epoch FROM clock_timestamp() - a.xact_start) > %(seconds)s),
    max(extract(epoch FROM clock_timestamp() - a.xact_start)::float8),
    count(*) FILTER (WHERE a.xact_start IS NULL AND a.backend_xmin IS NOT NULL)
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
