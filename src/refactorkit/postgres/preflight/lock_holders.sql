-- Sessions that hold a lock on a touched table; what belongs to others is NULL without pg_read_all_stats.
SELECT l.pid, a.usename::text, a.application_name, a.backend_type, a.state,
    max(extract(epoch FROM clock_timestamp() - a.xact_start)::float8)
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.relation = ANY (%(tables)s::regclass[]::oid[])
GROUP BY 1, 2, 3, 4, 5
ORDER BY 6 DESC NULLS LAST, 1
