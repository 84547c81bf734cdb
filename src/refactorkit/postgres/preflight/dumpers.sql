-- Roles that can dump the database as it is, and will not be let into the archive's new tables.
WITH relations AS (
    SELECT c.oid, c.relkind, c.relnamespace
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'S', 'm')
        AND NOT starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT r.rolname::text,
    NOT EXISTS (
        SELECT FROM relations AS c
        WHERE NOT has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
            OR NOT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, 'SELECT')
                ELSE has_table_privilege(r.oid, c.oid, 'SELECT') END)
FROM pg_roles AS r
WHERE r.rolcanlogin AND NOT r.rolsuper
    AND NOT pg_has_role(r.oid, 'pg_read_all_data', 'USAGE')
    AND NOT pg_has_role(r.oid, %(runner)s, 'USAGE')
    AND NOT EXISTS (
        SELECT FROM relations AS c
        WHERE c.relnamespace = 'public'::regnamespace
            AND (NOT has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
                OR NOT CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, 'SELECT')
                    ELSE has_table_privilege(r.oid, c.oid, 'SELECT') END))
ORDER BY 1
