-- Unique indexes of the target: the keys as expressions, the condition, the columns that both use,
-- whether NULL counts as a value, whether it is an exclusion, whether it would run foreign code here.
SELECT x.indexrelid::regclass::text,
    ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, false) FROM generate_series(1, x.indnkeyatts) AS k ORDER BY k),
    pg_get_expr(x.indpred, x.indrelid),
    ARRAY(
        SELECT a.attname::text
        FROM pg_depend AS d
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid > 0
        UNION
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) AND a.attnum > 0
        ORDER BY 1),
    coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false), -- from PostgreSQL 15 on
    x.indisexclusion,
    current_setting('is_superuser') = 'on' AND EXISTS (
        SELECT FROM pg_depend AS d
        LEFT JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
        LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
        JOIN pg_roles AS r ON r.oid = coalesce(p.proowner, o.oprowner)
        WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid AND NOT r.rolsuper)
FROM pg_index AS x
WHERE x.indrelid = %(target)s::regclass AND (x.indisunique OR x.indisexclusion) AND NOT x.indisprimary
    AND x.indisvalid
ORDER BY 1
