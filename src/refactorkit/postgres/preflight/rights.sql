-- What Up and Down do, and this role may not. (Owning the tables is a guard's business.)
SELECT what FROM (
    SELECT 1, 'create schemas in this database (CREATE ON DATABASE): schema archive is made'
    WHERE to_regnamespace('archive') IS NULL AND NOT has_database_privilege(%(runner)s, current_database(), 'CREATE')
    UNION ALL
    SELECT 2, 'create in schema public (CREATE ON SCHEMA public): Up makes tables there, and Down moves ' || %(source)s || ' back'
    WHERE NOT has_schema_privilege(%(runner)s, 'public', 'CREATE')
    UNION ALL
    SELECT 3, 'use schema public (USAGE ON SCHEMA public)'
    WHERE NOT has_schema_privilege(%(runner)s, 'public', 'USAGE')
    UNION ALL
    SELECT 4, format('use the language %%s (USAGE ON LANGUAGE %%s)', l.lanname, l.lanname)
    FROM pg_language AS l
    WHERE l.lanname IN ('sql', 'plpgsql') AND NOT has_language_privilege(%(runner)s, l.oid, 'USAGE')
    UNION ALL
    SELECT 5, format('%%s %%s', p, t::regclass)
    FROM unnest(%(tables)s::regclass[]) AS t
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES']) AS p
    WHERE NOT has_table_privilege(%(runner)s, t::oid, p)
    UNION ALL
    SELECT 6, format('%%s %%s, the version table', p, to_regclass(%(versions)s))
    FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE']) AS p
    WHERE to_regclass(%(versions)s) IS NOT NULL AND NOT has_table_privilege(%(runner)s, to_regclass(%(versions)s), p)
    UNION ALL
    SELECT 7, format('USAGE %%s, the version table''s sequence', d.objid::regclass)
    FROM pg_depend AS d
    JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'
        AND d.refobjid = to_regclass(%(versions)s) AND NOT has_sequence_privilege(%(runner)s, d.objid, 'USAGE')
) AS rights (n, what)
ORDER BY n, what
