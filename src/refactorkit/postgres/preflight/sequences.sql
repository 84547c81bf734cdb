-- How much of each sequence is used up. NULL: this user may not look, or nothing was ever taken from it.
SELECT s.seqrelid::regclass::text,
    CASE WHEN has_sequence_privilege(s.seqrelid, 'SELECT, USAGE') THEN pg_sequence_last_value(s.seqrelid)::bigint END,
    least(s.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE s.seqmax END),
    has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
FROM pg_sequence AS s
JOIN pg_depend AS d
    ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass
    AND d.deptype IN ('a', 'i')
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.refobjid = ANY (%(tables)s::regclass[]::oid[])
ORDER BY 1
