"""The queries behind ``snapshots``."""

from typing import Final

TABLES: Final = """
    SELECT n.nspname, c.relname,
        array_agg(a.attname::text ORDER BY a.attnum),
        array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
        coalesce(
            array_agg(a.attname::text ORDER BY a.attnum)
                FILTER (WHERE a.attnum = ANY (i.indkey::smallint[])),
            '{}'),
        coalesce(bool_and(a.atttypid IN (
            'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype
        )) FILTER (WHERE a.attnum = ANY (i.indkey::smallint[])), false)
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> ALL (%s)
        AND NOT starts_with(n.nspname, 'pg_temp_')
    GROUP BY n.nspname, c.relname
    ORDER BY n.nspname, c.relname
"""

COUNT_KEYED: Final = """
    SELECT count(*), count(*) FILTER (
        WHERE {a_first} IS NULL OR {b_first} IS NULL
            OR record_image_ne(ROW({a_columns}), ROW({b_columns})))
    FROM {a} AS a
    FULL JOIN {b} AS b ON {join}
"""

LIST_KEYED: Final = """
    SELECT count(*) OVER (), d.row_id, d.column_name, d.what
    FROM (
        SELECT {row_id} AS row_id, cell.column_name,
            CASE
                WHEN {a_first} IS NULL THEN 'the row is new'
                WHEN {b_first} IS NULL THEN 'the row is missing'
                ELSE 'the value differs'
            END AS what
        FROM {a} AS a
        FULL JOIN {b} AS b ON {join}
        CROSS JOIN LATERAL (
            SELECT c.column_name
            FROM (VALUES {cells}) AS c (column_name, differs)
            WHERE {a_first} IS NOT NULL AND {b_first} IS NOT NULL AND c.differs
            UNION ALL
            SELECT '' WHERE {a_first} IS NULL OR {b_first} IS NULL
        ) AS cell
        WHERE {a_first} IS NULL OR {b_first} IS NULL
            OR record_image_ne(ROW({a_columns}), ROW({b_columns}))
    ) AS d
    ORDER BY length(d.row_id), d.row_id, d.column_name
    LIMIT {limit}
"""

# Without a key, rows are compared as the server's text of a row, each as often as it is there.
COUNT_KEYLESS: Final = """
    SELECT (SELECT count(*) FROM {a}) + count(*) FILTER (WHERE d.is_new), count(*)
    FROM (
        (SELECT true AS is_new, ROW({columns})::text COLLATE "C" FROM {b}
        EXCEPT ALL
        SELECT true, ROW({columns})::text COLLATE "C" FROM {a})
        UNION ALL
        (SELECT false, ROW({columns})::text COLLATE "C" FROM {a}
        EXCEPT ALL
        SELECT false, ROW({columns})::text COLLATE "C" FROM {b})
    ) AS d (is_new, image)
"""

LIST_KEYLESS: Final = """
    SELECT sum(s.missing + s.added) OVER (), '', '',
        format('%s rows are missing and %s are new (the table has no key)', s.missing, s.added)
    FROM (
        SELECT
            (SELECT count(*) FROM (
                SELECT ROW({columns})::text COLLATE "C" FROM {a}
                EXCEPT ALL SELECT ROW({columns})::text COLLATE "C" FROM {b}) AS x) AS missing,
            (SELECT count(*) FROM (
                SELECT ROW({columns})::text COLLATE "C" FROM {b}
                EXCEPT ALL SELECT ROW({columns})::text COLLATE "C" FROM {a}) AS x) AS added
    ) AS s
"""
