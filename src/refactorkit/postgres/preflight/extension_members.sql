-- Touched tables, and their sequences, that belong to an extension; and objects of one that use them.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid), quote_ident(x.extname), d.classid = 'pg_class'::regclass AND d.objid = ANY (%(tables)s::regclass[]::oid[])
FROM pg_depend AS d
JOIN pg_extension AS x ON x.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    AND (
        (d.classid = 'pg_class'::regclass AND d.objid = ANY (
            %(tables)s::regclass[]::oid[] || ARRAY(
                SELECT s.objid FROM pg_depend AS s
                WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass
                    AND s.refobjid = ANY (%(tables)s::regclass[]::oid[]) AND s.deptype IN ('a', 'i'))))
        OR EXISTS (
            SELECT FROM pg_depend AS u
            WHERE u.classid = d.classid AND u.objid = d.objid AND u.refclassid = 'pg_class'::regclass
                AND u.refobjid = ANY (%(tables)s::regclass[]::oid[]) AND u.deptype = 'n'))
ORDER BY 1
