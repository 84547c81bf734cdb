-- Users, their patients, the patients' assessments, runs of the model, and the log of who did what.
--
-- Down moves the five tables into schema archive, whole; Up moves them back where it finds them there.

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

-- IF NOT EXISTS hides what is there already. A database that holds columns of later versions was migrated
-- before, under another version table: running the chain over it again would make its history untrue.
-- +goose StatementBegin
DO $later$
BEGIN
    IF EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid IN (to_regclass('public.users'), to_regclass('public.patients'),
                to_regclass('archive.patients'))
            AND a.attname IN ('is_active', 'family_history') AND NOT a.attisdropped
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = 'The tables of this database are of a later version already.',
            HINT = 'Nothing was changed. Look at the version table: is its name or schema another one here?';
    END IF;
END
$later$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0001 Up';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := FALSE;
    kept CONSTANT TEXT[] := '{}';
    moved CONSTANT TEXT[] := ARRAY[
        'users',
        'patients',
        'assessments',
        'model_runs',
        'audit_events'
    ];
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

-- A table that another role made is another role's to change, and its triggers and defaults would run with
-- our rights: IF NOT EXISTS would take it for ours.
-- +goose StatementBegin
DO $strangers$
DECLARE
    made CONSTANT TEXT[] := ARRAY['users', 'patients', 'assessments', 'model_runs', 'audit_events'];
    strangers TEXT;
BEGIN
    SELECT string_agg(format('%s belongs to %s', c.oid::REGCLASS, c.relowner::REGROLE), '; ' ORDER BY c.relname)
    INTO strangers
    FROM pg_class AS c
    JOIN pg_roles AS owner ON owner.oid = c.relowner
    JOIN pg_roles AS me ON me.rolname = current_user
    WHERE c.relnamespace = to_regnamespace('public') AND c.relname = ANY (made)
        AND owner.oid <> me.oid AND NOT owner.rolsuper
        AND (me.rolsuper OR NOT pg_has_role(me.oid, owner.oid, 'USAGE'));
    IF strangers IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = format('0001 Up refuses: %s, and is there already.', strangers),
            HINT = 'Nothing was changed. Find out whose it is, and rename it; or run this as the role that owns it.';
    END IF;
END
$strangers$;
-- +goose StatementEnd

-- Where Down moved them, they come back as they were: rows, indexes, grants, sequences and all.
ALTER TABLE IF EXISTS archive.users SET SCHEMA public;
ALTER TABLE IF EXISTS archive.patients SET SCHEMA public;
ALTER TABLE IF EXISTS archive.assessments SET SCHEMA public;
ALTER TABLE IF EXISTS archive.model_runs SET SCHEMA public;
ALTER TABLE IF EXISTS archive.audit_events SET SCHEMA public;

CREATE TABLE IF NOT EXISTS public.users (
    id SERIAL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT 'clinician',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.patients (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    age INTEGER,
    menopause_status TEXT,
    years_menopause INTEGER,
    bmi NUMERIC(5, 2),
    bp_systolic INTEGER,
    bp_diastolic INTEGER,
    activity TEXT,
    smoking TEXT,
    hypertension TEXT,
    heart_disease TEXT,
    chol INTEGER,
    ldl INTEGER,
    hdl INTEGER,
    triglycerides INTEGER,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.assessments (
    id SERIAL PRIMARY KEY,
    patient_id INTEGER REFERENCES public.patients (id) ON DELETE CASCADE,
    fbs NUMERIC(6, 2),
    hba1c NUMERIC(4, 2),
    cholesterol INTEGER,
    ldl INTEGER,
    hdl INTEGER,
    triglycerides INTEGER,
    systolic INTEGER,
    diastolic INTEGER,
    activity TEXT,
    history_flag BOOLEAN,
    smoking TEXT,
    hypertension TEXT,
    heart_disease TEXT,
    bmi NUMERIC(5, 2),
    cluster TEXT,
    risk_score INTEGER,
    model_version TEXT,
    dataset_hash TEXT,
    validation_status TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.model_runs (
    id SERIAL PRIMARY KEY,
    model_version TEXT NOT NULL,
    dataset_hash TEXT,
    notes TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.audit_events (
    id SERIAL PRIMARY KEY,
    actor TEXT,
    action TEXT,
    target_type TEXT,
    target_id INTEGER,
    details JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- +goose StatementBegin
DO $moved$
BEGIN
    IF to_regclass('archive.chain_moved') IS NOT NULL THEN
        DELETE FROM archive.chain_moved
        WHERE table_name IN ('users', 'patients', 'assessments', 'model_runs', 'audit_events');
    END IF;
END
$moved$;
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

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0001 Down';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := TRUE;
    kept CONSTANT TEXT[] := '{}';
    moved CONSTANT TEXT[] := ARRAY[
        'users',
        'patients',
        'assessments',
        'model_runs',
        'audit_events'
    ];
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

-- +goose StatementBegin
DO $guard$
DECLARE
    title CONSTANT TEXT := '0001 Down';
    -- What is locked, in the order of all files; the tables that move; the columns that go; their
    -- indexes and foreign keys, and those from a table that moves to one that stays.
    locked CONSTANT TEXT[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.model_runs',
        'public.audit_events'
    ];
    moved CONSTANT TEXT[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.model_runs',
        'public.audit_events'
    ];
    dropped CONSTANT TEXT[] := '{}';
    ours CONSTANT TEXT[] := '{}';
    accepted CONSTANT TEXT[] := string_to_array(
        replace(coalesce(current_setting('refactorkit.accept', TRUE), ''), ' ', ''), ','
    );
    refusals TEXT[];
BEGIN
    refusals := ARRAY(
        SELECT format('%s is not there', t) FROM unnest(locked) AS t WHERE to_regclass(t) IS NULL
    );
    IF cardinality(refusals) = 0 THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', array_to_string(locked, ', '));
        refusals := ARRAY(
            WITH RECURSIVE leaving (t, c, def) AS (
                SELECT dropped[i][1]::REGCLASS, dropped[i][2], dropped[i][3]
                FROM generate_subscripts(dropped, 1) AS i
            ),
            actual AS (
                SELECT
                    l.t, l.c, a.attnum, l.def AS wanted,
                    concat_ws(
                        ' ', format_type(a.atttypid, a.atttypmod),
                        CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                        'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                    ) AS def,
                    a.attacl IS NOT NULL OR a.attoptions IS NOT NULL
                        OR coalesce(a.attstattarget, -1) <> -1
                        OR col_description(a.attrelid, a.attnum) IS NOT NULL AS dressed
                FROM leaving AS l
                LEFT JOIN pg_attribute AS a
                    ON a.attrelid = l.t AND a.attname = l.c AND NOT a.attisdropped
                LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            ),
            -- What is dropped or moves along by itself.
            inside (classid, objid) AS (
                SELECT 'pg_class'::REGCLASS::OID, t::REGCLASS::OID FROM unnest(moved) AS t
                UNION
                SELECT d.classid, d.objid
                FROM inside AS i
                INNER JOIN pg_depend AS d ON d.refclassid = i.classid AND d.refobjid = i.objid
                WHERE d.deptype IN ('a', 'i')
            )
            SELECT format(
                '%s.%s is %s, and must be %s', a.t, a.c, coalesce(a.def, 'missing'), a.wanted
            )
            FROM actual AS a
            WHERE a.def IS DISTINCT FROM a.wanted
            UNION
            SELECT format(
                '%s has %s of 1600 attribute numbers left: rebuild it first',
                c.oid::REGCLASS, 1600 - c.relnatts
            )
            FROM pg_class AS c
            WHERE c.oid IN (SELECT l.t FROM leaving AS l) AND 1600 - c.relnatts < 10
            UNION
            SELECT format('foreign key %s is missing, or another', o)
            FROM unnest(ours) AS o
            WHERE o ~ '^\w+ FOREIGN KEY ' AND NOT EXISTS (
                SELECT FROM pg_constraint AS k
                WHERE k.conrelid = ANY (locked::REGCLASS[])
                    AND k.conname || ' ' || pg_get_constraintdef(k.oid) = o)
            UNION
            -- A foreign key that stayed live would empty the archive by a cascade.
            SELECT format(
                'foreign key %I of %s is not known: %s',
                k.conname, k.conrelid::REGCLASS, pg_get_constraintdef(k.oid)
            )
            FROM pg_constraint AS k
            WHERE k.contype = 'f' AND k.conrelid = ANY (moved::REGCLASS[])
                AND k.confrelid <> ALL (moved::REGCLASS[])
                AND k.conname || ' ' || pg_get_constraintdef(k.oid) <> ALL (ours)
            UNION
            SELECT format(
                '%s depends on %s',
                pg_describe_object(d.classid, d.objid, d.objsubid),
                pg_describe_object(d.refclassid, d.refobjid, 0)
            )
            FROM inside AS i
            INNER JOIN pg_depend AS d ON d.refclassid = i.classid AND d.refobjid = i.objid
            WHERE d.deptype = 'n' AND NOT EXISTS (
                SELECT FROM inside AS o WHERE o.classid = d.classid AND o.objid = d.objid)
            UNION
            -- What hangs on a column that goes, or is more than its definition, would be lost.
            SELECT format(
                'comment, grants or settings of %s.%s would be lost (--accept drift)', a.t, a.c
            )
            FROM actual AS a
            WHERE a.dressed AND 'drift' <> ALL (accepted)
            UNION
            SELECT format(
                '%s would go with %s.%s (--accept drift)',
                pg_describe_object(d.classid, d.objid, d.objsubid), a.t, a.c
            )
            FROM actual AS a
            INNER JOIN pg_depend AS d
                ON d.refclassid = 'pg_class'::REGCLASS AND d.refobjid = a.t
                AND d.refobjsubid = a.attnum
            LEFT JOIN pg_constraint AS k
                ON d.classid = 'pg_constraint'::REGCLASS AND k.oid = d.objid
            WHERE 'drift' <> ALL (accepted)
                AND d.classid <> 'pg_attrdef'::REGCLASS
                AND coalesce(k.contype <> 'n', TRUE)
                AND coalesce(k.conname || ' ' || pg_get_constraintdef(k.oid) <> ALL (ours), TRUE)
                AND NOT (
                    d.classid = 'pg_class'::REGCLASS
                    AND coalesce(pg_get_indexdef(d.objid) = ANY (ours), FALSE)
                )
            UNION
            SELECT format(
                '%s is more than its definition, and Up makes no more (--accept drift)',
                x.indexrelid::REGCLASS
            )
            FROM unnest(ours) AS o
            INNER JOIN pg_index AS x
                ON x.indexrelid = to_regclass('public.' || substring(o FROM '^CREATE INDEX (\w+) '))
            INNER JOIN pg_class AS c ON c.oid = x.indexrelid
            WHERE 'drift' <> ALL (accepted)
                AND (
                    pg_get_indexdef(c.oid) <> o OR NOT x.indisvalid OR x.indisclustered
                    OR x.indisreplident OR c.reltablespace <> 0
                    OR obj_description(c.oid, 'pg_class') IS NOT NULL
                )
            UNION
            SELECT format(
                'foreign key %I of %s has a comment, or triggers in another state (--accept drift)',
                k.conname, k.conrelid::REGCLASS
            )
            FROM pg_constraint AS k
            WHERE 'drift' <> ALL (accepted)
                AND k.conrelid = ANY (locked::REGCLASS[])
                AND k.conname || ' ' || pg_get_constraintdef(k.oid) = ANY (ours)
                AND (
                    obj_description(k.oid, 'pg_constraint') IS NOT NULL
                    OR EXISTS (
                        SELECT FROM pg_trigger AS t
                        WHERE t.tgconstraint = k.oid AND t.tgenabled <> 'O')
                )
            ORDER BY 1
        );
    END IF;
    IF cardinality(refusals) > 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s.', title, array_to_string(refusals, '; ')),
            HINT = 'Nothing was changed. Take away what is named, and make it again after the next '
                'Up; or overrule what has a name: --accept NAME, or SET refactorkit.accept.';
    END IF;
END
$guard$;
-- +goose StatementEnd

CREATE TABLE IF NOT EXISTS archive.chain_moved (
    table_name TEXT PRIMARY KEY,
    moved_at TIMESTAMPTZ NOT NULL DEFAULT now()
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

INSERT INTO archive.chain_moved (table_name)
VALUES ('users'), ('patients'), ('assessments'), ('model_runs'), ('audit_events');

ALTER TABLE IF EXISTS public.users SET SCHEMA archive;
ALTER TABLE IF EXISTS public.patients SET SCHEMA archive;
ALTER TABLE IF EXISTS public.assessments SET SCHEMA archive;
ALTER TABLE IF EXISTS public.model_runs SET SCHEMA archive;
ALTER TABLE IF EXISTS public.audit_events SET SCHEMA archive;

SELECT set_config('search_path', current_setting('refactorkit.search_path'), TRUE);
