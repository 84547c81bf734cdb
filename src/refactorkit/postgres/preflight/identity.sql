-- Which database this is. The marker is read where ALTER DATABASE puts it: a session can set what it likes.
SELECT
    current_database()::text,
    current_user::text,
    host(inet_server_addr()),
    inet_server_port(),
    current_setting('server_version'),
    current_setting('server_version_num')::integer,
    current_setting('cluster_name'),
    pg_is_in_recovery(),
    (
        SELECT substr(entry, length('refactorkit.environment=') + 1)
        FROM pg_db_role_setting AS s
        JOIN pg_database AS d ON d.oid = s.setdatabase
        CROSS JOIN unnest(s.setconfig) AS entry
        WHERE d.datname = current_database() AND s.setrole = 0
            AND starts_with(lower(entry), 'refactorkit.environment=')
    )
