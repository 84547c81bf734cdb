-- Where the server keeps its files; only pg_read_all_settings may know.
SELECT current_setting('data_directory'), extract(epoch FROM pg_postmaster_start_time())::float8,
    inet_server_addr() IS NULL,
    ARRAY(
        SELECT DISTINCT pg_tablespace_location(t.oid)
        FROM pg_tablespace AS t
        WHERE pg_tablespace_location(t.oid) <> '' AND t.oid IN (
            SELECT d.dattablespace FROM pg_database AS d WHERE d.datname = current_database()
            UNION SELECT c.reltablespace FROM pg_class AS c WHERE c.oid = ANY (%(tables)s::regclass[]::oid[])))
