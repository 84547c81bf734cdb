-- Who may read the rows of the source today, and whole rows of the target, where the profiles will be.
SELECT r.rolname::text,
    has_schema_privilege(r.oid, 'public', 'USAGE') AND has_any_column_privilege(r.oid, %(source)s::regclass, 'SELECT'),
    has_schema_privilege(r.oid, 'public', 'USAGE') AND has_table_privilege(r.oid, %(target)s::regclass, 'SELECT')
FROM pg_roles AS r
WHERE NOT r.rolsuper AND NOT starts_with(r.rolname, 'pg_')
    AND has_schema_privilege(r.oid, 'public', 'USAGE')
    AND (has_any_column_privilege(r.oid, %(source)s::regclass, 'SELECT')
        OR has_table_privilege(r.oid, %(target)s::regclass, 'SELECT'))
UNION ALL
SELECT 'PUBLIC',
    has_any_column_privilege('public', %(source)s::regclass, 'SELECT'),
    has_table_privilege('public', %(target)s::regclass, 'SELECT')
WHERE has_schema_privilege('public', 'public', 'USAGE')
    AND (has_any_column_privilege('public', %(source)s::regclass, 'SELECT')
        OR has_table_privilege('public', %(target)s::regclass, 'SELECT'))
ORDER BY 1
