-- Checks that somebody added to the target: every subject must meet them, too.
SELECT quote_ident(c.conname), pg_get_expr(c.conbin, c.conrelid),
    ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) ORDER BY a.attnum)
FROM pg_constraint AS c
WHERE c.conrelid = %(target)s::regclass AND c.contype = 'c'
ORDER BY 1
