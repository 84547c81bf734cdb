-- Prepared transactions of this database; a lock of theirs lasts until somebody ends them.
SELECT p.gid, p.owner::text, extract(epoch FROM clock_timestamp() - p.prepared)::float8,
    EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
            AND l.locktype = 'relation' AND l.relation = ANY (%(tables)s::regclass[]::oid[]))
FROM pg_prepared_xacts AS p
WHERE p.database = current_database()
ORDER BY p.prepared
