-- Functions with a text for a body: no dependency says what they use. The SQL-standard ones are dependants.
SELECT p.oid::regprocedure::text
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('internal', 'c') AND p.prosqlbody IS NULL
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'archive')
    AND p.prosrc ~* %(words)s
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    AND NOT EXISTS (
        SELECT FROM pg_trigger AS t
        WHERE t.tgfoid = p.oid AND t.tgrelid = ANY (%(staying)s::regclass[]) AND t.tgenabled <> 'D')
ORDER BY 1
