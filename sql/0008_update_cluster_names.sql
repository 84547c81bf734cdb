-- Two cluster names take their present spelling: SOIRD is SIRD, MIDD is MOD.
--
-- Rows that said SIRD or MOD before look the same afterwards. So Up keeps which rows it changed,
-- and Down touches only those; and keeps them, for the next Up to touch only those.

-- +goose Up
-- No snapshot is older than a lock, nobody waits long behind one that is asked for, and names mean
-- what they say, whatever the session's path.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT
    pg_catalog.set_config(
        'refactorkit.search_path', pg_catalog.current_setting('search_path'), TRUE
    ),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', TRUE),
    pg_catalog.set_config('row_security', 'off', TRUE),
    pg_catalog.set_config(
        'lock_timeout',
        CASE pg_catalog.current_setting('lock_timeout')
            WHEN '0' THEN '2s' ELSE pg_catalog.current_setting('lock_timeout')
        END,
        TRUE
    );

-- Nobody may change a row between the keeping and the renaming.
LOCK TABLE public.assessments IN SHARE ROW EXCLUSIVE MODE;

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0008 Up';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := TRUE;
    kept CONSTANT TEXT[] := ARRAY['assessments_cluster_0008', 'chain_0008_assessments'];
    moved CONSTANT TEXT[] := '{}';
    me CONSTANT OID := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user);
    gone TEXT[] := '{}';
    refusals TEXT[];
    stranger TEXT;
BEGIN
    IF to_regnamespace('archive') IS NULL THEN
        IF NOT makes THEN
            RETURN;
        END IF;
        CREATE SCHEMA archive;
        COMMENT ON SCHEMA archive IS 'Made by the migrations: what a version has no place for.';
        -- Default privileges may have opened it to others already.
        FOR stranger IN
            SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::REGROLE::TEXT END
            FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
            WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA archive FROM %s', stranger);
        END LOOP;
    END IF;
    -- What others could have planted there would run, or be read, as ours.
    refusals := ARRAY(
        SELECT 'the schema archive belongs to another role, or others may create in it'
        FROM pg_namespace AS n
        WHERE n.nspname = 'archive' AND (n.nspowner <> me OR EXISTS (
            SELECT FROM aclexplode(n.nspacl) AS x
            WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner))
        UNION ALL
        SELECT format(
            '%s is there, and is another role''s, or not as this file makes it', c.oid::REGCLASS
        )
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('archive')
            AND c.relname = ANY (kept || 'chain_moved'::TEXT)
            AND (
                c.relkind <> 'r' OR c.relowner <> me OR c.relhasrules OR c.relrowsecurity
                OR EXISTS (
                    SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
                OR EXISTS (
                    SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
            )
    );
    -- Up moves back what its own Down put there, and nothing else of the same name.
    IF cardinality(refusals) = 0 THEN
        IF to_regclass('archive.chain_moved') IS NOT NULL THEN
            gone := ARRAY(SELECT m.table_name FROM archive.chain_moved AS m);
        END IF;
        refusals := ARRAY(
            SELECT CASE
                WHEN to_regclass('archive.' || t) IS NULL
                    THEN format('Down moved archive.%s, and it is gone', t)
                WHEN t <> ALL (gone) THEN format('archive.%s is there, and Down did not move it', t)
                ELSE format('archive.%s is there, and public.%s is there too', t, t)
            END
            FROM unnest(moved) AS t
            WHERE (to_regclass('archive.' || t) IS NOT NULL) <> (t = ANY (gone))
                OR (
                    to_regclass('archive.' || t) IS NOT NULL
                    AND to_regclass('public.' || t) IS NOT NULL
                )
        );
    END IF;
    IF cardinality(refusals) > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s.', title, array_to_string(refusals, '; ')),
            HINT = 'Nothing was changed. Run this as the role that ran the other files. If something '
                'is there that is not ours, find out whose it is, and rename or revoke it.';
    END IF;
END
$archive$;
-- +goose StatementEnd

-- Says again, where readers of DDL can see it, what the block above did.
CREATE SCHEMA IF NOT EXISTS archive;
REVOKE ALL ON SCHEMA archive FROM PUBLIC;

-- What Up replaced: for Down.
CREATE TABLE IF NOT EXISTS archive.assessments_cluster_0008 (
    id INTEGER,
    created_at TIMESTAMPTZ,
    cluster_before TEXT,
    cluster_after TEXT,
    PRIMARY KEY (id, created_at)
);
-- What Down left, and what it found: for the next Up.
CREATE TABLE IF NOT EXISTS archive.chain_0008_assessments (
    id INTEGER,
    created_at TIMESTAMPTZ,
    cluster_left TEXT,
    cluster_found TEXT,
    PRIMARY KEY (id, created_at)
);

-- Default privileges would open what is kept to others: nobody else has a right there.
-- +goose StatementBegin
DO $close$
DECLARE
    opened RECORD;
BEGIN
    FOR opened IN
        SELECT DISTINCT
            CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            c.oid::REGCLASS AS name,
            CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::REGROLE::TEXT END AS stranger
        FROM pg_class AS c, aclexplode(c.relacl) AS x
        WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'S')
            AND c.relname ~ '^chain_|_000[678]$' AND x.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', opened.kind, opened.name, opened.stranger);
    END LOOP;
END
$close$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $rename$
DECLARE
    -- Triggers stay quiet for our own writes, and come back in their own state.
    quiet CONSTANT TEXT[] := ARRAY(
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::REGCLASS, t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid = 'public.assessments'::REGCLASS AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    loud CONSTANT TEXT[] := ARRAY(
        SELECT format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::REGCLASS,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname
        )
        FROM pg_trigger AS t
        WHERE t.tgrelid = 'public.assessments'::REGCLASS AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    command TEXT;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    -- A row that still says what Down left gets back what Down found there, whatever its score is
    -- now; an old name that Down found stays. A row that is kept already was renamed by an earlier
    -- run, and was given an old name again since.
    INSERT INTO archive.assessments_cluster_0008 (id, created_at, cluster_before, cluster_after)
    SELECT
        live.id, live.created_at, live.cluster,
        CASE
            WHEN waiting.id IS NOT NULL THEN waiting.cluster_found
            ELSE CASE live.cluster WHEN 'SOIRD' THEN 'SIRD' ELSE 'MOD' END
        END
    FROM public.assessments AS live
    LEFT JOIN archive.chain_0008_assessments AS waiting
        ON waiting.id = live.id AND waiting.created_at = live.created_at
        AND waiting.cluster_left IS NOT DISTINCT FROM live.cluster
    WHERE (live.cluster IN ('SOIRD', 'MIDD'))
        AND (waiting.id IS NULL OR waiting.cluster_found IS DISTINCT FROM live.cluster)
    ON CONFLICT (id, created_at) DO UPDATE
    SET cluster_before = EXCLUDED.cluster_before, cluster_after = EXCLUDED.cluster_after;
    ANALYZE archive.assessments_cluster_0008;

    FOREACH command IN ARRAY quiet LOOP
        EXECUTE command;
    END LOOP;
    UPDATE public.assessments AS live
    SET cluster = kept.cluster_after
    FROM archive.assessments_cluster_0008 AS kept
    WHERE kept.id = live.id AND kept.created_at = live.created_at
        AND live.cluster IS NOT DISTINCT FROM kept.cluster_before;
    FOREACH command IN ARRAY loud LOOP
        EXECUTE command;
    END LOOP;

    DELETE FROM archive.chain_0008_assessments AS waiting
    USING public.assessments AS live
    WHERE waiting.id = live.id AND waiting.created_at = live.created_at;
END
$rename$;
-- +goose StatementEnd

SELECT set_config('search_path', current_setting('refactorkit.search_path'), TRUE);

-- +goose Down
-- No snapshot is older than a lock, nobody waits long behind one that is asked for, and names mean
-- what they say, whatever the session's path.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SELECT
    pg_catalog.set_config(
        'refactorkit.search_path', pg_catalog.current_setting('search_path'), TRUE
    ),
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', TRUE),
    pg_catalog.set_config('row_security', 'off', TRUE),
    pg_catalog.set_config(
        'lock_timeout',
        CASE pg_catalog.current_setting('lock_timeout')
            WHEN '0' THEN '2s' ELSE pg_catalog.current_setting('lock_timeout')
        END,
        TRUE
    );

-- Nobody may change a row between the keeping and the renaming.
LOCK TABLE public.assessments IN SHARE ROW EXCLUSIVE MODE;

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0008 Down';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := TRUE;
    kept CONSTANT TEXT[] := ARRAY['assessments_cluster_0008', 'chain_0008_assessments'];
    moved CONSTANT TEXT[] := '{}';
    me CONSTANT OID := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user);
    gone TEXT[] := '{}';
    refusals TEXT[];
    stranger TEXT;
BEGIN
    IF to_regnamespace('archive') IS NULL THEN
        IF NOT makes THEN
            RETURN;
        END IF;
        CREATE SCHEMA archive;
        COMMENT ON SCHEMA archive IS 'Made by the migrations: what a version has no place for.';
        -- Default privileges may have opened it to others already.
        FOR stranger IN
            SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::REGROLE::TEXT END
            FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
            WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA archive FROM %s', stranger);
        END LOOP;
    END IF;
    -- What others could have planted there would run, or be read, as ours.
    refusals := ARRAY(
        SELECT 'the schema archive belongs to another role, or others may create in it'
        FROM pg_namespace AS n
        WHERE n.nspname = 'archive' AND (n.nspowner <> me OR EXISTS (
            SELECT FROM aclexplode(n.nspacl) AS x
            WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner))
        UNION ALL
        SELECT format(
            '%s is there, and is another role''s, or not as this file makes it', c.oid::REGCLASS
        )
        FROM pg_class AS c
        WHERE c.relnamespace = to_regnamespace('archive')
            AND c.relname = ANY (kept || 'chain_moved'::TEXT)
            AND (
                c.relkind <> 'r' OR c.relowner <> me OR c.relhasrules OR c.relrowsecurity
                OR EXISTS (
                    SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
                OR EXISTS (
                    SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
            )
    );
    -- Up moves back what its own Down put there, and nothing else of the same name.
    IF cardinality(refusals) = 0 THEN
        IF to_regclass('archive.chain_moved') IS NOT NULL THEN
            gone := ARRAY(SELECT m.table_name FROM archive.chain_moved AS m);
        END IF;
        refusals := ARRAY(
            SELECT CASE
                WHEN to_regclass('archive.' || t) IS NULL
                    THEN format('Down moved archive.%s, and it is gone', t)
                WHEN t <> ALL (gone) THEN format('archive.%s is there, and Down did not move it', t)
                ELSE format('archive.%s is there, and public.%s is there too', t, t)
            END
            FROM unnest(moved) AS t
            WHERE (to_regclass('archive.' || t) IS NOT NULL) <> (t = ANY (gone))
                OR (
                    to_regclass('archive.' || t) IS NOT NULL
                    AND to_regclass('public.' || t) IS NOT NULL
                )
        );
    END IF;
    IF cardinality(refusals) > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s.', title, array_to_string(refusals, '; ')),
            HINT = 'Nothing was changed. Run this as the role that ran the other files. If something '
                'is there that is not ours, find out whose it is, and rename or revoke it.';
    END IF;
END
$archive$;
-- +goose StatementEnd

-- What Down left, and what it found: for the next Up.
CREATE TABLE IF NOT EXISTS archive.chain_0008_assessments (
    id INTEGER,
    created_at TIMESTAMPTZ,
    cluster_left TEXT,
    cluster_found TEXT,
    PRIMARY KEY (id, created_at)
);

-- Default privileges would open what is kept to others: nobody else has a right there.
-- +goose StatementBegin
DO $close$
DECLARE
    opened RECORD;
BEGIN
    FOR opened IN
        SELECT DISTINCT
            CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            c.oid::REGCLASS AS name,
            CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::REGROLE::TEXT END AS stranger
        FROM pg_class AS c, aclexplode(c.relacl) AS x
        WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'S')
            AND c.relname ~ '^chain_|_000[678]$' AND x.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', opened.kind, opened.name, opened.stranger);
    END LOOP;
END
$close$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $rename$
DECLARE
    -- Triggers stay quiet for our own writes, and come back in their own state.
    quiet CONSTANT TEXT[] := ARRAY(
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::REGCLASS, t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid = 'public.assessments'::REGCLASS AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    loud CONSTANT TEXT[] := ARRAY(
        SELECT format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::REGCLASS,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname
        )
        FROM pg_trigger AS t
        WHERE t.tgrelid = 'public.assessments'::REGCLASS AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    command TEXT;
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    DELETE FROM archive.chain_0008_assessments AS waiting
    USING public.assessments AS live
    WHERE waiting.id = live.id AND waiting.created_at = live.created_at;

    IF to_regclass('archive.assessments_cluster_0008') IS NULL THEN
        -- Another tool's file ran Up and kept nothing. Nothing tells its rows from those that said
        -- SIRD or MOD of old, so no row is touched.
        RAISE NOTICE 'archive.assessments_cluster_0008 does not exist, so which rows Up changed is '
            'not known: every cluster of public.assessments stays as it is.'
            USING ERRCODE = 'RK000';
    ELSE
        -- A cluster that was changed after Up is somebody's decision, and stays.
        INSERT INTO archive.chain_0008_assessments (id, created_at, cluster_left, cluster_found)
        SELECT live.id, live.created_at, kept.cluster_before, live.cluster
        FROM public.assessments AS live
        INNER JOIN archive.assessments_cluster_0008 AS kept
            ON kept.id = live.id AND kept.created_at = live.created_at
        WHERE live.cluster IS NOT DISTINCT FROM kept.cluster_after;

        -- What is left in it belongs to rows that are gone, and may come back.
        DELETE FROM archive.assessments_cluster_0008 AS kept
        USING public.assessments AS live
        WHERE kept.id = live.id AND kept.created_at = live.created_at;
        IF NOT EXISTS (SELECT FROM archive.assessments_cluster_0008) THEN
            DROP TABLE archive.assessments_cluster_0008;
        END IF;
    END IF;

    -- An old name that was written after Up: the next Up must not take it for one of before.
    INSERT INTO archive.chain_0008_assessments (id, created_at, cluster_left, cluster_found)
    SELECT live.id, live.created_at, live.cluster, live.cluster
    FROM public.assessments AS live
    WHERE live.cluster IN ('SOIRD', 'MIDD')
    ON CONFLICT (id, created_at) DO NOTHING;
    ANALYZE archive.chain_0008_assessments;

    FOREACH command IN ARRAY quiet LOOP
        EXECUTE command;
    END LOOP;
    UPDATE public.assessments AS live
    SET cluster = waiting.cluster_left
    FROM archive.chain_0008_assessments AS waiting
    WHERE waiting.id = live.id AND waiting.created_at = live.created_at
        AND live.cluster IS DISTINCT FROM waiting.cluster_left;
    FOREACH command IN ARRAY loud LOOP
        EXECUTE command;
    END LOOP;
END
$rename$;
-- +goose StatementEnd

SELECT set_config('search_path', current_setting('refactorkit.search_path'), TRUE);
