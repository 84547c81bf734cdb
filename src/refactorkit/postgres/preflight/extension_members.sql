-- Touched tables, and their sequences, that belong to an extension; and objects of one that use them.
WITH ours (id) AS (
    SELECT unnest(%(tables)s::regclass[]::oid[])
    UNION
    SELECT s.objid FROM pg_depend AS s
    WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass
        AND s.refobjid = ANY (%(tables)s::regclass[]::oid[]) AND s.deptype IN ('a', 'i')
), members AS (
    SELECT d.classid, d.objid, d.objsubid, x.extname,
        d.classid = 'pg_class'::regclass AND d.objid IN (SELECT id FROM ours) AS is_ours,
        EXISTS (
            SELECT FROM pg_depend AS u
            WHERE u.classid = d.classid AND u.objid = d.objid AND u.refclassid = 'pg_class'::regclass
                AND u.refobjid IN (SELECT id FROM ours) AND u.deptype = 'n') AS uses_ours
    FROM pg_depend AS d
    JOIN pg_extension AS x ON x.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
)
SELECT pg_describe_object(classid, objid, objsubid), quote_ident(extname), is_ours
FROM members WHERE is_ours OR uses_ours ORDER BY 1
