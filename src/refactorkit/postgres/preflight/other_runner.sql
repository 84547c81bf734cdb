SELECT l.pid, a.application_name
FROM pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
    AND l.pid IS DISTINCT FROM %(besides)s::integer
    AND l.classid::bigint = %(id)s >> 32 AND l.objid::bigint = %(id)s & 4294967295
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY l.pid
