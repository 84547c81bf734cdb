-- Prepared transactions of this database; a lock of theirs lasts until somebody ends them.
-- Their locks have no process; the one on their own number says which locks belong together.
SELECT p.gid, p.owner::text, extract(epoch FROM clock_timestamp() - p.prepared)::float8,
    EXISTS (
        SELECT FROM pg_locks AS own
        JOIN pg_locks AS l ON l.virtualtransaction = own.virtualtransaction AND l.pid IS NULL
        WHERE own.pid IS NULL AND own.locktype = 'transactionid' AND own.transactionid = p.transaction
            AND own.mode = 'ExclusiveLock'
            AND l.locktype = 'relation' AND l.relation = ANY (%(tables)s::regclass[]::oid[]))
FROM pg_prepared_xacts AS p
WHERE p.database = current_database()
ORDER BY p.prepared
