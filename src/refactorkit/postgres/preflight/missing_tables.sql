-- From the catalog, which tells also those who may not use the schema.
SELECT t FROM unnest(%(tables)s::text[]) AS t
WHERE NOT EXISTS (
    SELECT FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = t)
ORDER BY 1
