-- Columns of a table that the mapping does not know, and what a new row holds there.
-- NULL for the text: only the insert itself can tell (a function's value, a generated column).
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod),
    CASE
        WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN NULL
        WHEN d.oid IS NULL THEN 'NULL'
        WHEN strpos(pg_get_expr(d.adbin, d.adrelid), '(') = 0 THEN pg_get_expr(d.adbin, d.adrelid)
    END
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attname <> ALL (%(known)s::text[])
ORDER BY a.attnum
