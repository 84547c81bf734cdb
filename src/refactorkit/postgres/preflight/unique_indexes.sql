-- Unique indexes of the target: the keys as expressions, the condition, the columns that both use.
SELECT x.indexrelid::regclass::text,
    ARRAY(SELECT pg_get_indexdef(x.indexrelid, k, false) FROM generate_series(1, x.indnkeyatts) AS k ORDER BY k),
    pg_get_expr(x.indpred, x.indrelid),
    ARRAY(
        SELECT DISTINCT a.attname::text
        FROM pg_depend AS d
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid > 0
        UNION
        SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) AND a.attnum > 0
        ORDER BY 1),
    coalesce((to_jsonb(x) ->> 'indnullsnotdistinct')::boolean, false),
    x.indisexclusion
FROM pg_index AS x
WHERE x.indrelid = %(target)s::regclass AND (x.indisunique OR x.indisexclusion) AND NOT x.indisprimary
    AND x.indisvalid
ORDER BY 1
