-- The triggers of the touched tables, and whether the body of their function names what goes away.
SELECT t.tgrelid::regclass::text, quote_ident(t.tgname), p.oid::regprocedure::text,
    p.prosrc ~* %(words)s AND l.lanname NOT IN ('internal', 'c'),
    t.tgrelid = ANY (%(leaving)s::regclass[]), t.tgenabled = 'D'
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_language AS l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgrelid = ANY (%(tables)s::regclass[])
ORDER BY 1, 2
