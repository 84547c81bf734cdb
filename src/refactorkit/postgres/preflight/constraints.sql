-- Checks of the target: the expression, the columns, whether it would run foreign code here.
-- Foreign: a superuser looks, and a function or an operator in it is of somebody who is none.
SELECT quote_ident(c.conname), c.conname::text, pg_get_expr(c.conbin, c.conrelid),
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) ORDER BY a.attnum),
    current_setting('is_superuser') = 'on' AND EXISTS (
        SELECT FROM pg_depend AS d
        LEFT JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
        LEFT JOIN pg_operator AS o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
        JOIN pg_roles AS r ON r.oid = coalesce(p.proowner, o.oprowner)
        WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid AND NOT r.rolsuper)
FROM pg_constraint AS c
WHERE c.conrelid = %(target)s::regclass AND c.contype = 'c'
ORDER BY 1
