-- What hangs on a column that is renamed, and is neither the mapping's own nor a view, which is a guard's.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), d.refobjid::regclass::text || '.' || quote_ident(a.attname)
FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS link (t, c)
JOIN pg_attribute AS a ON a.attrelid = link.t::regclass AND a.attname = link.c
JOIN pg_depend AS d
    ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
LEFT JOIN pg_class AS i ON d.classid = 'pg_class'::regclass AND i.oid = d.objid
LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
WHERE d.classid <> 'pg_rewrite'::regclass
    AND coalesce(i.relname, k.conname, '') <> ALL (%(own)s::text[])
    AND k.contype::text IS DISTINCT FROM 'n' -- NOT NULL, from PostgreSQL 18 on
ORDER BY 1, 2
