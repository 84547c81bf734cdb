-- What other tables have that names a table that goes away, or its sequence: policies, defaults, triggers.
-- They follow the move by its number, and go on seeing the archived rows.
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), d.refobjid::regclass::text
FROM pg_depend AS d
LEFT JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
LEFT JOIN pg_attrdef AS a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND NOT t.tgisinternal
WHERE d.refclassid = 'pg_class'::regclass
    AND d.refobjid = ANY (
        %(leaving)s::regclass[]::oid[] || ARRAY(
            SELECT s.objid FROM pg_depend AS s
            WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass
                AND s.refobjid = ANY (%(leaving)s::regclass[]::oid[]) AND s.deptype IN ('a', 'i')))
    AND coalesce(p.polrelid, a.adrelid, t.tgrelid) <> ALL (%(leaving)s::regclass[]::oid[])
ORDER BY 1
