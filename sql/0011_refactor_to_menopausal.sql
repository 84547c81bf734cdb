-- 0011_refactor_to_menopausal.sql
--
-- Compiled by `refactorkit compile` from archive/patients.toml. Change the mapping, not this file.
-- mapping dac028c4d1d9b89556e9db3503861fa9129a189dc9c22bff883ad6c0f50cf8f8
--
-- Up moves public.patients into schema archive, untouched; each of its rows becomes a row of
-- public.users (a subject), with the same id where that id was never one of users.
-- Down moves the table back, carries home what was edited meanwhile, and keeps in the archive what
-- version 10 has no place for, so that the next Up can give it back.
-- Both are one transaction: locks first, then guards, then the work, then the counts.
--
-- Settings, all optional (SET, ALTER DATABASE ... SET, or PGOPTIONS='-c refactorkit.custodian=...'):
--   refactorkit.accept       names of guards that the operator overrules, separated by commas
--   refactorkit.on_conflict  live (the default) or archive: which side wins a conflict
--   refactorkit.custodian    who takes the patients whose owner is gone, by email
--   refactorkit.keep_logins  on: accounts made since Up stay active after Down

-- +goose Up

-- == Locks first: one order for everybody, and no snapshot from before them ==

SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- +goose StatementBegin
DO $locks$
DECLARE
    -- Types are looked up before the path is pinned.
    missing pg_catalog.text;
    wanted pg_catalog.text[] := ARRAY[
        'LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.patients IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.assessments IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.refresh_tokens IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.user_clinics IN ACCESS EXCLUSIVE MODE'
    ];
    failed pg_catalog.text;
    limit_ms numeric;
    began timestamp with time zone;
    locked_at timestamp with time zone;
BEGIN
    -- Names in this file mean what they say, whatever the session's path; put back at the end.
    PERFORM pg_catalog.set_config('refactorkit.search_path', pg_catalog.current_setting('search_path'), true);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '2s', true);
    END IF;
    PERFORM set_config('row_security', 'off', true);
    PERFORM set_config('standard_conforming_strings', 'on', true);
    PERFORM set_config('quote_all_identifiers', 'off', true);
    -- Whole tables are joined and indexed here: no small change on disk for it.
    PERFORM set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 65536)::text, true);
    PERFORM set_config('maintenance_work_mem',
        greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024, 262144)::text, true);
    -- ANALYZE under the lock need not be as fine as autovacuum's, which follows.
    PERFORM set_config('default_statistics_target', '30', true);

    SELECT string_agg(t, ', ') INTO missing
    FROM unnest(ARRAY['public.users', 'public.patients', 'public.assessments', 'public.refresh_tokens', 'public.user_clinics']) AS t
    WHERE to_regclass(t) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'RK001',
            MESSAGE = format('%s is not there: this database is not at version 10', missing),
            HINT = 'Nothing was changed. Look at the version table: is this the database that you mean?';
    END IF;
    -- All locks together are waited for as long as lock_timeout says. Who holds one of these tables and wants
    -- another one must not wait for us while we wait for them: then all are let go, and theirs comes first
    -- (before the server finds a deadlock, and ends one of us, after a second).
    limit_ms := (SELECT setting::numeric FROM pg_settings WHERE name = 'lock_timeout');
    began := clock_timestamp();
    LOOP
        BEGIN
            FOREACH failed IN ARRAY wanted LOOP
                PERFORM set_config('lock_timeout', greatest(1, least(
                    limit_ms - round(extract(epoch FROM clock_timestamp() - began) * 1000),
                    CASE WHEN failed <> wanted[1] THEN greatest(20, least(400, round(limit_ms / 5))) END))::text, true);
                EXECUTE failed;
                IF failed = wanted[1] THEN
                    locked_at := clock_timestamp();
                END IF;
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF clock_timestamp() - began >= limit_ms * interval '1 ms' THEN
                RAISE;
            END IF;
            wanted := ARRAY[failed] || array_remove(wanted, failed);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', limit_ms::text, true);
    PERFORM set_config('refactorkit.locked_at', locked_at::text, false);
    -- The archive's guards, where it has some, let by who says so: this transaction, and no other.
    PERFORM set_config('refactorkit.archive_writer', pg_current_xact_id()::text, true);
END
$locks$;
-- +goose StatementEnd

-- == Guards: refuse, before anything is changed, what could not be given back ==

-- +goose StatementBegin
DO $guards$
DECLARE
    accepted CONSTANT text[] := string_to_array(
        replace(coalesce(current_setting('refactorkit.accept', true), ''), ' ', ''), ','
    );
    touched CONSTANT regclass[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.refresh_tokens',
        'public.user_clinics'
    ]::regclass[];
    -- What a view or a function may not hang on, also where the operator accepts dependants.
    leaving CONSTANT regclass[] := ARRAY[
        'public.patients'
    ]::regclass[];
    me CONSTANT oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user);
    -- `archive harden` gives the archive to a role without login, of which nobody else is a member.
    keeper CONSTANT oid := coalesce((
        SELECT n.nspowner
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        WHERE n.nspname = 'archive' AND NOT o.rolcanlogin AND NOT o.rolsuper
            AND pg_has_role(current_user, o.oid, 'USAGE')
            AND NOT EXISTS (
                SELECT FROM pg_roles AS r
                WHERE r.rolname <> current_user AND r.oid <> o.oid AND NOT r.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER'))
    ), me);
    reader CONSTANT oid := CASE WHEN keeper <> me THEN (
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'reader'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
    ) END;
    eraser CONSTANT oid := CASE WHEN keeper <> me THEN (
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'eraser'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
    ) END;
    refusals text[] := '{}';
    staged boolean;
    repeated boolean := false;
    found bigint;
    reach numeric;
    listed text;
    again text;
BEGIN
-- What `cutover --online` staged before may be there already: that, to the letter, and nothing else.
    PERFORM set_config('refactorkit.staged', '', true);
    PERFORM set_config('refactorkit.later', '', true);
    staged := EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS a ON a.oid = c.relnamespace
        WHERE a.nspname = 'archive' AND c.relname = 'patients_stage' AND c.relkind = 'r' AND c.relowner = me);
    IF staged THEN
        -- 'ready': all but the rows that were written last is done; 'partly': more is left to be done here.
        -- '': it has only begun, and all is.
        PERFORM set_config('refactorkit.staged', coalesce((
            SELECT CASE WHEN NOT g.is_expanded THEN '' WHEN g.walked AND g.is_ready AND g.natives IS NOT NULL THEN 'ready' ELSE 'partly' END
            FROM archive.patients_stage AS g), 'partly'), true);
        PERFORM set_config('refactorkit.staging', 'on', true);
        -- Compiling a plan that does nothing would cost more than everything else under this lock.
        PERFORM set_config('jit', 'off', true);
        IF NOT EXISTS (SELECT FROM archive.patients_stage WHERE mapping_hash = 'dac028c4d1d9b89556e9db3503861fa9129a189dc9c22bff883ad6c0f50cf8f8') THEN
            refusals := refusals || 'what is staged was made with another mapping (take it away: cutover --abort)'::text;
        END IF;
        refusals := refusals || ARRAY(
            SELECT DISTINCT format('%s of public.users is not as it was staged', split_part(line, ':', 1))
            FROM (
                SELECT unnest(g.made) AS line FROM archive.patients_stage AS g
            ) AS x
            FULL JOIN (SELECT format('column %s: %s', a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
                    CASE WHEN a.attnotnull THEN 'NOT NULL' END, 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid))) AS line
                FROM pg_attribute AS a
                LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = 'public.users'::regclass AND NOT a.attisdropped
                    AND a.attname = ANY (ARRAY['first_name', 'last_name', 'date_of_birth', 'phone', 'address', 'menopause_status', 'menopause_type', 'years_menopause', 'hypertension', 'heart_disease', 'family_history_diabetes', 'smoking_status', 'consent_personal_data', 'consent_research_participation', 'consent_email_updates', 'consent_analytics', 'consent_updated_at', 'assessment_frequency_months', 'reminder_email', 'last_assessment_reminder_sent', 'onboarding_completed', 'account_status', 'deleted_at', 'is_admin', 'bmi', 'bp_systolic', 'bp_diastolic', 'activity', 'phys_activity', 'chol', 'ldl', 'hdl', 'triglycerides']::name[])
                UNION ALL
                SELECT format('constraint %s: %s', c.conname, replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''))
                FROM pg_constraint AS c
                WHERE c.conrelid = 'public.users'::regclass
                    AND c.conname = ANY (ARRAY['users_account_status_check', 'users_assessment_frequency_months_check', 'users_heart_disease_check', 'users_hypertension_check', 'users_menopause_status_check', 'users_menopause_type_check', 'users_smoking_status_check', 'users_years_menopause_check']::name[])) AS y USING (line)
            WHERE y.line IS NULL OR x.line IS NULL
            ORDER BY 1
        );
        refusals := refusals || ARRAY(
            SELECT format('trigger %s on %s is not as it was staged: what was written meanwhile may have been missed (take away what is staged: cutover --abort)',
                e.name, e.t)
            FROM (VALUES
                ('public.patients', 'patients_stage_capture', 'archive.patients_stage_capture_source'),
                ('public.patients', 'patients_stage_truncate', 'archive.patients_stage_capture_source'),
                ('public.users', 'patients_stage_capture', 'archive.patients_stage_capture_target'),
                ('public.users', 'patients_stage_truncate', 'archive.patients_stage_capture_target'),
                ('public.users', 'patients_stage_shield', 'archive.patients_stage_shield'),
                ('public.patients', 'patients_stage_hold', 'archive.patients_stage_shield'),
                ('public.users', 'patients_stage_hold', 'archive.patients_stage_shield'),
                ('public.refresh_tokens', 'patients_stage_refer', 'archive.patients_stage_refer_1'),
                ('public.user_clinics', 'patients_stage_refer', 'archive.patients_stage_refer_2')
            ) AS e (t, name, f)
            WHERE current_setting('refactorkit.staged') <> '' AND NOT EXISTS (
                SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = to_regclass(e.t) AND t.tgname = e.name AND t.tgenabled = 'A'
                    AND t.tgfoid = to_regproc(e.f))
            ORDER BY 1
        );
        IF to_regclass('archive.patients_turns') IS NULL THEN
            refusals := refusals || 'archive.patients_turns is gone'::text;
        ELSIF EXISTS (
            SELECT FROM archive.patients_stage AS g
            WHERE g.turn <> 1 + (SELECT coalesce(max(u.turn), 0) FROM archive.patients_turns AS u)) THEN
            refusals := refusals || 'something is staged, and archive.patients_turns says that another turn has come since'::text;
        ELSIF current_setting('refactorkit.staged') <> '' AND EXISTS (SELECT FROM archive.patients_turns) THEN
            PERFORM set_config('refactorkit.later', 'on', true);
            -- What is given back is few rows of each table, and these were in memory a moment ago.
            PERFORM set_config('random_page_cost', '1', true);
        END IF;
    END IF;

    -- The columns are as the mapping knows them. A column that someone added is carried along; it must
    -- be able to be empty where rows are made.
    refusals := refusals || ARRAY(
        WITH known (t, c, def) AS (VALUES
            ('public.patients'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.patients_id_seq''::regclass)'),
            ('public.patients'::regclass, 'name', 'text NOT NULL'),
            ('public.patients'::regclass, 'age', 'integer'),
            ('public.patients'::regclass, 'menopause_status', 'text'),
            ('public.patients'::regclass, 'years_menopause', 'integer'),
            ('public.patients'::regclass, 'bmi', 'numeric(5,2)'),
            ('public.patients'::regclass, 'bp_systolic', 'integer'),
            ('public.patients'::regclass, 'bp_diastolic', 'integer'),
            ('public.patients'::regclass, 'activity', 'text'),
            ('public.patients'::regclass, 'smoking', 'text'),
            ('public.patients'::regclass, 'hypertension', 'text'),
            ('public.patients'::regclass, 'heart_disease', 'text'),
            ('public.patients'::regclass, 'chol', 'integer'),
            ('public.patients'::regclass, 'ldl', 'integer'),
            ('public.patients'::regclass, 'hdl', 'integer'),
            ('public.patients'::regclass, 'triglycerides', 'integer'),
            ('public.patients'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.patients'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.patients'::regclass, 'family_history', 'boolean'),
            ('public.patients'::regclass, 'phys_activity', 'boolean'),
            ('public.patients'::regclass, 'user_id', 'integer NOT NULL'),
            ('public.users'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.users_id_seq''::regclass)'),
            ('public.users'::regclass, 'email', 'text NOT NULL'),
            ('public.users'::regclass, 'password_hash', 'text NOT NULL'),
            ('public.users'::regclass, 'role', 'text NOT NULL DEFAULT ''clinician''::text'),
            ('public.users'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.users'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.users'::regclass, 'is_active', 'boolean NOT NULL DEFAULT true'),
            ('public.users'::regclass, 'last_login_at', 'timestamp with time zone'),
            ('public.users'::regclass, 'created_by', 'integer'),
            ('public.assessments'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.assessments_id_seq''::regclass)'),
            ('public.assessments'::regclass, 'patient_id', 'integer'),
            ('public.assessments'::regclass, 'fbs', 'numeric(6,2)'),
            ('public.assessments'::regclass, 'hba1c', 'numeric(4,2)'),
            ('public.assessments'::regclass, 'cholesterol', 'integer'),
            ('public.assessments'::regclass, 'ldl', 'integer'),
            ('public.assessments'::regclass, 'hdl', 'integer'),
            ('public.assessments'::regclass, 'triglycerides', 'integer'),
            ('public.assessments'::regclass, 'systolic', 'integer'),
            ('public.assessments'::regclass, 'diastolic', 'integer'),
            ('public.assessments'::regclass, 'activity', 'text'),
            ('public.assessments'::regclass, 'history_flag', 'boolean'),
            ('public.assessments'::regclass, 'smoking', 'text'),
            ('public.assessments'::regclass, 'hypertension', 'text'),
            ('public.assessments'::regclass, 'heart_disease', 'text'),
            ('public.assessments'::regclass, 'bmi', 'numeric(5,2)'),
            ('public.assessments'::regclass, 'cluster', 'text'),
            ('public.assessments'::regclass, 'risk_score', 'integer'),
            ('public.assessments'::regclass, 'model_version', 'text'),
            ('public.assessments'::regclass, 'dataset_hash', 'text'),
            ('public.assessments'::regclass, 'validation_status', 'text'),
            ('public.assessments'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.assessments'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()')
        ), actual AS (
            SELECT a.attrelid AS t, a.attname AS c, concat_ws(' ',
                format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                CASE WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN 'GENERATED' END,
                'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS def
            FROM pg_attribute AS a
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = ANY (touched) AND a.attnum > 0 AND NOT a.attisdropped
        )
        SELECT format('%s.%s is %s, and must be %s', known.t, known.c, coalesce(actual.def, 'missing'), known.def)
        FROM known
        LEFT JOIN actual ON actual.t = known.t AND actual.c = known.c
        WHERE actual.def IS DISTINCT FROM known.def
        UNION ALL
        SELECT format('%s.%s is NOT NULL without a default, and the mapping has no value for it', actual.t::regclass, actual.c)
        FROM actual
        WHERE actual.t = ANY (ARRAY['public.patients', 'public.users']::regclass[])
            AND actual.def LIKE '%NOT NULL'
            AND NOT EXISTS (SELECT FROM known WHERE known.t = actual.t AND known.c = actual.c)
        UNION ALL
        SELECT format('%s.%s is GENERATED ALWAYS AS IDENTITY: its values could not be given back', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = ANY (ARRAY['public.patients', 'public.users']::regclass[]) AND a.attidentity = 'a' AND NOT a.attisdropped
        UNION ALL
        SELECT format('%s.%s has a name that the archive keeps for columns of its own (refactorkit_...): rename it', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = ANY (touched) AND starts_with(a.attname, 'refactorkit_') AND NOT a.attisdropped
        ORDER BY 1
    );

    -- Whoever runs this must be able to undo it: tables and sequences belong to them, or to a role they are in.
    refusals := refusals || ARRAY(
        SELECT format('%s belongs to %s, and %s is not a member of it', c.oid::regclass, c.relowner::regrole, current_user)
        FROM pg_class AS c
        WHERE (c.oid = ANY (touched) OR c.oid IN (to_regclass('public.users_id_seq'), to_regclass('public.patients_id_seq')))
            AND NOT pg_has_role(me, c.relowner, 'USAGE')
        ORDER BY 1
    );

    -- Ordinary tables only: an ancestor or a partition would take part unseen.
    refusals := refusals || ARRAY(
        SELECT format('%s is not an ordinary table', c.oid::regclass)
        FROM pg_class AS c
        WHERE c.oid = ANY (touched) AND (c.relkind <> 'r' OR c.relispartition)
        UNION
        SELECT format('%s takes part in inheritance with %s', i.inhrelid::regclass, i.inhparent::regclass)
        FROM pg_inherits AS i
        WHERE i.inhrelid = ANY (touched) OR i.inhparent = ANY (touched)
        ORDER BY 1
    );

    -- Foreign keys: an unknown one would be cascaded into, a known one that differs would come back changed.
    refusals := refusals || ARRAY(
        WITH known (t, name, def) AS (VALUES
            ('public.patients'::regclass::oid, 'fk_patients_user_id', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.users'::regclass::oid, 'users_created_by_fkey', 'FOREIGN KEY (created_by) REFERENCES public.users(id)'),
            ('public.refresh_tokens'::regclass::oid, 'refresh_tokens_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.user_clinics'::regclass::oid, 'user_clinics_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.user_clinics'::regclass::oid, 'user_clinics_clinic_id_fkey', 'FOREIGN KEY (clinic_id) REFERENCES public.clinics(id) ON DELETE CASCADE'),
            ('public.assessments'::regclass::oid, 'assessments_patient_id_fkey', 'FOREIGN KEY (patient_id) REFERENCES public.patients(id) ON DELETE CASCADE')
        )
        SELECT format('foreign key %I of %s is not known to the mapping: %s',
            c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid))
        FROM pg_constraint AS c
        WHERE c.contype = 'f' AND (c.conrelid = ANY (touched) OR c.confrelid = ANY (touched))
            AND NOT EXISTS (SELECT FROM known WHERE known.t = c.conrelid AND known.name = c.conname)
        UNION ALL
        SELECT format('foreign key %I of %s %s', known.name, known.t::regclass,
            CASE
                WHEN c.oid IS NULL THEN 'is missing'
                WHEN pg_get_constraintdef(c.oid) <> known.def
                    THEN format('is %s, and must be %s', pg_get_constraintdef(c.oid), known.def)
                WHEN NOT c.convalidated THEN 'is not validated'
                WHEN obj_description(c.oid, 'pg_constraint') IS NOT NULL THEN 'has a comment, which would be lost'
                ELSE 'has triggers that are not in their ordinary state'
            END)
        FROM known
        LEFT JOIN pg_constraint AS c
            ON c.contype = 'f' AND c.conrelid = known.t AND c.conname = known.name
        WHERE c.oid IS NULL OR pg_get_constraintdef(c.oid) <> known.def OR (NOT c.convalidated)
            OR obj_description(c.oid, 'pg_constraint') IS NOT NULL
            OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O')
        ORDER BY 1
    );

    -- Views and functions follow a moved table and go on showing it, or stop a column from being dropped.
    refusals := refusals || ARRAY(
        SELECT DISTINCT format('%s depends on %s%s',
            CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END,
            r.oid::regclass,
            CASE WHEN r.oid = ANY (leaving) THEN '' ELSE ' (--accept dependants)' END)
        FROM pg_depend AS d
        JOIN pg_class AS r
            ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid)
            OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
                r.reltype, (SELECT t.typarray FROM pg_type AS t WHERE t.oid = r.reltype)))
        LEFT JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
        WHERE r.oid = ANY (touched)
            AND d.deptype = 'n'
            AND (d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
                OR (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_type'::regclass))
            AND NOT ('dependants' = ANY (accepted) AND r.oid <> ALL (leaving))
        ORDER BY 1
    );

    -- Rules, policies, row security: they would filter or rewrite what we read and write.
    refusals := refusals || ARRAY(
        SELECT format('rule %I on %s would rewrite what is done here: drop it, and make it again afterwards', r.rulename, r.ev_class::regclass)
        FROM pg_rewrite AS r WHERE r.ev_class = ANY (touched)
        UNION
        SELECT format('policy %I on %s would hide rows or change who sees them: drop it, and make it again afterwards', p.polname, p.polrelid::regclass)
        FROM pg_policy AS p WHERE p.polrelid = ANY (touched)
        UNION
        SELECT format('row security is on for %s: switch it off, and on again afterwards', c.oid::regclass)
        FROM pg_class AS c WHERE c.oid = ANY (touched) AND (c.relrowsecurity OR c.relforcerowsecurity)
        ORDER BY 1
    );

    -- Publications: a moved table is streamed on, or drops out, without a word.
    IF 'publications' <> ALL (accepted) THEN
        refusals := refusals || ARRAY(
            SELECT format('publication %I covers %s (--accept publications)', p.pubname, r.prrelid::regclass)
            FROM pg_publication_rel AS r
            JOIN pg_publication AS p ON p.oid = r.prpubid
            WHERE r.prrelid = ANY (touched)
            UNION
            SELECT format('publication %I covers all tables, the archive too (--accept publications)', p.pubname)
            FROM pg_publication AS p WHERE p.puballtables
            ORDER BY 1
        );
        IF to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL THEN -- from PostgreSQL 15 on
            refusals := refusals || ARRAY(
                SELECT format('publication %I covers all tables of schema %s (--accept publications)',
                    p.pubname, s.pnnspid::regnamespace)
                FROM pg_publication_namespace AS s
                JOIN pg_publication AS p ON p.oid = s.pnpubid
                WHERE s.pnnspid IN ('public'::regnamespace, to_regnamespace('archive'))
                ORDER BY 1
            );
        END IF;
    END IF;

    -- Sequences: owned, one by one, upward.
    refusals := refusals || ARRAY(
        SELECT format('%s.%s does not own the sequence %s', e.t, e.c, e.s)
        FROM (VALUES ('public.users', 'id', 'public.users_id_seq'), ('public.patients', 'id', 'public.patients_id_seq')) AS e (t, c, s)
        WHERE to_regclass(e.s) IS NULL
            OR NOT EXISTS (
                SELECT FROM pg_depend AS d
                JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(e.s)
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(e.t)
                    AND a.attname = e.c AND d.deptype = 'a')
        UNION ALL
        SELECT format('sequence %s must have CACHE 1, a positive INCREMENT, NO CYCLE and no MAXVALUE of its own', s.seqrelid::regclass)
        FROM pg_sequence AS s
        WHERE s.seqrelid = ANY (ARRAY[to_regclass('public.users_id_seq'), to_regclass('public.patients_id_seq')])
            AND (s.seqcache <> 1 OR s.seqincrement < 1 OR s.seqcycle OR s.seqmax < 2147483647)
        ORDER BY 1
    );

    -- Dropped columns are never used again: 33 a turn, of 1600 in the life of a table.
    refusals := refusals || ARRAY(
        SELECT format('%s has %s attribute numbers left of 1600, and 100 are wanted: rebuild it first (pg_dump, pg_restore)',
            c.oid::regclass, 1600 - c.relnatts)
        FROM pg_class AS c
        WHERE c.oid = ANY (ARRAY['public.users', 'public.assessments']::regclass[])
            AND 1600 - c.relnatts < CASE WHEN staged THEN 67 ELSE 100 END
        ORDER BY 1
    );

    -- Names that are about to be made: IF NOT EXISTS would hide what stands there.
    refusals := refusals || ARRAY(
        SELECT format('%s is there already', e)
        FROM unnest(ARRAY[
            'archive.patients',
            'archive.patients_id_seq',
            'public.idx_users_account_status',
            'public.idx_users_assessment_reminder',
            'public.idx_users_consent_research',
            'public.idx_users_menopause_status',
            'public.idx_assessments_user_id_created',
            'public.idx_assessments_user_id',
            'public.notification_queue',
            'public.idx_notification_queue_status',
            'public.idx_notification_queue_user'
        ]) AS e
        WHERE to_regclass(e) IS NOT NULL
            AND NOT (staged AND EXISTS (
                SELECT FROM (VALUES
                    ('public.idx_users_account_status', 'CREATE INDEX idx_users_account_status ON public.users USING btree (account_status)'),
                    ('public.idx_users_assessment_reminder', 'CREATE INDEX idx_users_assessment_reminder ON public.users USING btree (reminder_email, last_assessment_reminder_sent)'),
                    ('public.idx_users_consent_research', 'CREATE INDEX idx_users_consent_research ON public.users USING btree (consent_research_participation)'),
                    ('public.idx_users_menopause_status', 'CREATE INDEX idx_users_menopause_status ON public.users USING btree (menopause_status)')
                ) AS i (name, def)
                WHERE i.name = e AND i.def = pg_get_indexdef(to_regclass(e))))
        ORDER BY 1
    );
    refusals := refusals || ARRAY(
        SELECT format('%s.%s is there already', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        JOIN (VALUES
            ('public.users'::regclass, 'first_name'),
            ('public.users'::regclass, 'last_name'),
            ('public.users'::regclass, 'date_of_birth'),
            ('public.users'::regclass, 'phone'),
            ('public.users'::regclass, 'address'),
            ('public.users'::regclass, 'menopause_status'),
            ('public.users'::regclass, 'menopause_type'),
            ('public.users'::regclass, 'years_menopause'),
            ('public.users'::regclass, 'hypertension'),
            ('public.users'::regclass, 'heart_disease'),
            ('public.users'::regclass, 'family_history_diabetes'),
            ('public.users'::regclass, 'smoking_status'),
            ('public.users'::regclass, 'consent_personal_data'),
            ('public.users'::regclass, 'consent_research_participation'),
            ('public.users'::regclass, 'consent_email_updates'),
            ('public.users'::regclass, 'consent_analytics'),
            ('public.users'::regclass, 'consent_updated_at'),
            ('public.users'::regclass, 'assessment_frequency_months'),
            ('public.users'::regclass, 'reminder_email'),
            ('public.users'::regclass, 'last_assessment_reminder_sent'),
            ('public.users'::regclass, 'onboarding_completed'),
            ('public.users'::regclass, 'account_status'),
            ('public.users'::regclass, 'deleted_at'),
            ('public.users'::regclass, 'is_admin'),
            ('public.users'::regclass, 'bmi'),
            ('public.users'::regclass, 'bp_systolic'),
            ('public.users'::regclass, 'bp_diastolic'),
            ('public.users'::regclass, 'activity'),
            ('public.users'::regclass, 'phys_activity'),
            ('public.users'::regclass, 'chol'),
            ('public.users'::regclass, 'ldl'),
            ('public.users'::regclass, 'hdl'),
            ('public.users'::regclass, 'triglycerides'),
            ('public.assessments'::regclass, 'user_id'),
            ('public.assessments'::regclass, 'is_self_reported'),
            ('public.assessments'::regclass, 'source'),
            ('public.assessments'::regclass, 'notes')
        ) AS e (t, c) ON a.attrelid = e.t AND a.attname = e.c AND NOT a.attisdropped
        WHERE NOT (staged AND a.attrelid = 'public.users'::regclass)
        ORDER BY 1
    );
    refusals := refusals || ARRAY(
        SELECT format('constraint %I of %s is there already', c.conname, c.conrelid::regclass)
        FROM pg_constraint AS c
        WHERE c.conrelid = ANY (touched) AND c.conname = ANY (ARRAY['users_account_status_check', 'users_assessment_frequency_months_check', 'users_heart_disease_check', 'users_hypertension_check', 'users_menopause_status_check', 'users_menopause_type_check', 'users_smoking_status_check', 'users_years_menopause_check', 'assessments_user_id_fkey']::name[])
            AND NOT (staged AND c.conrelid = 'public.users'::regclass)
        ORDER BY 1
    );
    -- The profiles move into users: nobody may read, make, change or delete them there who could not before.
    IF 'new_readers' <> ALL (accepted) THEN
        refusals := refusals || ARRAY(
            SELECT format('%s may %s public.users and not public.patients: the profiles would be new to it (--accept new_readers)',
                CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type)
            FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS x
            WHERE c.oid = 'public.users'::regclass AND x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
                AND NOT CASE x.grantee
                    WHEN 0 THEN EXISTS (
                        SELECT FROM pg_class AS s, aclexplode(s.relacl) AS y
                        WHERE s.oid = 'public.patients'::regclass AND y.grantee = 0 AND y.privilege_type = x.privilege_type)
                    ELSE has_table_privilege(x.grantee, 'public.patients', x.privilege_type) END
            ORDER BY 1
        );
    END IF;
    -- The archive is the runner's own, and nobody else can write there or plant a trigger.
    IF to_regnamespace('archive') IS NOT NULL THEN
        refusals := refusals || ARRAY(
            SELECT format('schema archive belongs to %s, and not to %s', n.nspowner::regrole, current_user)
            FROM pg_namespace AS n
            WHERE n.nspname = 'archive' AND n.nspowner NOT IN (me, keeper)
            UNION ALL
            SELECT format('%s has %s on schema archive', acl.who, string_agg(acl.privilege_type, ', ' ORDER BY 1))
            FROM (
                SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS who, x.privilege_type
                FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
                WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
                    AND (x.privilege_type = 'CREATE' OR 'archive_readers' <> ALL (accepted))
                    AND NOT (x.privilege_type = 'USAGE' AND NOT x.is_grantable AND (x.grantee = reader OR x.grantee = eraser) IS TRUE)
            ) AS acl
            GROUP BY acl.who
            UNION ALL
            SELECT format('%s in schema archive belongs to %s, and not to %s', c.oid::regclass, c.relowner::regrole, current_user)
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace('archive') AND c.relowner NOT IN (me, keeper)
                AND c.relkind <> 'i'
                AND c.oid NOT IN (SELECT x FROM unnest(ARRAY[to_regclass('archive.notification_queue')]::oid[]) AS x WHERE x IS NOT NULL)
                AND c.oid NOT IN (
                    SELECT d.objid FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                        AND d.refobjid = ANY (ARRAY[to_regclass('archive.notification_queue')]::oid[]))
            UNION ALL
            SELECT format('%s in schema archive belongs to %s, and not to %s', p.oid::regprocedure, p.proowner::regrole, current_user)
            FROM pg_proc AS p
            WHERE p.pronamespace = to_regnamespace('archive') AND p.proowner NOT IN (me, keeper)
            UNION ALL
            SELECT format('others may write to %s', c.oid::regclass)
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                AND c.oid <> ALL (touched)
                AND c.oid NOT IN (SELECT x FROM unnest(ARRAY[to_regclass('archive.notification_queue')]::oid[]) AS x WHERE x IS NOT NULL)
                AND EXISTS (
                    SELECT FROM aclexplode(c.relacl) AS x
                    WHERE x.grantee <> c.relowner AND x.privilege_type <> 'SELECT'
                        AND NOT (x.privilege_type IN ('UPDATE', 'DELETE') AND NOT x.is_grantable AND (x.grantee = eraser) IS TRUE)
                    UNION ALL
                    SELECT FROM pg_attribute AS a, aclexplode(a.attacl) AS x
                    WHERE a.attrelid = c.oid AND x.grantee <> c.relowner AND x.privilege_type <> 'SELECT')
            UNION ALL
            SELECT format('%s is there, and is not a table of this refactor', c.oid::regclass)
            FROM pg_class AS c
            WHERE c.oid = ANY (ARRAY[to_regclass('archive.patients_turns'), to_regclass('archive.patients_map'), to_regclass('archive.patients_past'), to_regclass('archive.patients_tombstones'), to_regclass('archive.patients_decisions'), to_regclass('archive.patients_triggers'), to_regclass('archive.patients_indexes'), to_regclass('archive.patients_kept_users'), to_regclass('archive.patients_written_patients'), to_regclass('archive.patients_withheld_patients'), to_regclass('archive.patients_written_users'), to_regclass('archive.patients_kept_refresh_tokens'), to_regclass('archive.patients_kept_user_clinics'), to_regclass('archive.patients_kept_notification_queue'), to_regclass('archive.patients_kept_assessments'), to_regclass('archive.patients_withheld_assessments'), to_regclass('archive.patients_holds'), to_regclass('archive.patients_purges'), to_regclass('archive.patients_former_writes'), to_regclass('archive.patients_tombstone_signatures'), to_regclass('archive.patients_operations'), to_regclass('archive.patients_stage'), to_regclass('archive.patients_stage_captured'), to_regclass('archive.patients_stage_parked'), to_regclass('archive.patients_stage_natives'), to_regclass('archive.patients_stage_former'), to_regclass('archive.patients_stage_late'), to_regclass('archive.patients_free')]::oid[])
                AND (c.relkind <> 'r' OR c.relrowsecurity OR c.relhasrules OR EXISTS (
                    SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)))
            UNION ALL
            SELECT format('trigger %I on %s, which is the archive''s own', t.tgname, t.tgrelid::regclass)
            FROM pg_trigger AS t
            WHERE NOT t.tgisinternal
                AND NOT (t.tgname = 'patients_guard' AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgtype = 58 -- BEFORE UPDATE OR DELETE OR TRUNCATE, a statement
                    AND EXISTS (
                        SELECT FROM pg_proc AS p
                        WHERE p.oid = t.tgfoid AND p.proname = 'patients_guard' AND p.pronargs = 0
                            AND p.pronamespace = to_regnamespace('archive')
                            AND NOT p.prosecdef AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
                            AND encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = 'f5b0f3daaad0867d84fa5739e02496fc06244cd215b37b0477c9ce18cdef1212'))
                AND t.tgrelid = ANY (ARRAY[to_regclass('archive.patients_turns'), to_regclass('archive.patients_map'), to_regclass('archive.patients_past'), to_regclass('archive.patients_tombstones'), to_regclass('archive.patients_decisions'), to_regclass('archive.patients_triggers'), to_regclass('archive.patients_indexes'), to_regclass('archive.patients_kept_users'), to_regclass('archive.patients_written_patients'), to_regclass('archive.patients_withheld_patients'), to_regclass('archive.patients_written_users'), to_regclass('archive.patients_kept_refresh_tokens'), to_regclass('archive.patients_kept_user_clinics'), to_regclass('archive.patients_kept_notification_queue'), to_regclass('archive.patients_kept_assessments'), to_regclass('archive.patients_withheld_assessments'), to_regclass('archive.patients_holds'), to_regclass('archive.patients_purges'), to_regclass('archive.patients_former_writes'), to_regclass('archive.patients_tombstone_signatures'), to_regclass('archive.patients_operations'), to_regclass('archive.patients_stage'), to_regclass('archive.patients_stage_captured'), to_regclass('archive.patients_stage_parked'), to_regclass('archive.patients_stage_natives'), to_regclass('archive.patients_stage_former'), to_regclass('archive.patients_stage_late'), to_regclass('archive.patients_free')]::oid[])
        );
    END IF;

-- Data is looked at once the tables are known to be what they should be.
    IF cardinality(refusals) = 0 THEN
        -- Rows that are staged were looked at then, and those that were written since are looked at below.
        IF current_setting('refactorkit.staged') = '' THEN
            SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
            FROM (
                SELECT s.id AS id, row_number() OVER (ORDER BY s.id) AS n
                FROM public.patients AS s
                LEFT JOIN public.users AS t ON t.id = s.user_id
                WHERE t.id IS NULL AND s.user_id IS NOT NULL
            ) AS x;
            IF found > 0 THEN
                refusals := refusals || format('%s of public.patients name a user_id that is not in public.users: id %s%s',
                    found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
            END IF;
            -- Few users, if any, hold something like it: only these are compared.
            SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
            FROM (
                SELECT t.id AS id, row_number() OVER (ORDER BY t.id) AS n
                FROM public.users AS t
                WHERE starts_with(t.email, 'patient-')
                    AND EXISTS (
                        SELECT FROM public.patients AS s
                        WHERE t.email = 'patient-' || s.id || '@unclaimed.invalid')
            ) AS x;
            IF found > 0 THEN
                refusals := refusals || format('%s rows of public.users already hold the email that a subject is to have: id %s%s',
                    found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
            END IF;
        END IF;
        -- Every id that is in use or was, and those that are yet to be given, must fit the type.
        SELECT greatest(
                (SELECT last_value FROM public.users_id_seq), (SELECT last_value FROM public.patients_id_seq),
                (SELECT max(id) FROM public.users), (SELECT max(id) FROM public.patients))::numeric
            + CASE WHEN NOT current_setting('refactorkit.staged') = '' THEN 0 ELSE (SELECT count(*) FROM public.patients AS s
                WHERE s.id <= greatest((SELECT last_value FROM public.users_id_seq),
                    (SELECT max(id) FROM public.users))) END
        INTO reach;
        IF NOT current_setting('refactorkit.staged') = '' THEN -- those that have their id need no other
            reach := reach + (SELECT count(*) FROM archive.patients_stage_captured) + (SELECT count(*) FROM archive.patients_stage_parked);
            IF current_setting('refactorkit.staged') = 'partly' THEN
                SELECT reach + count(*) INTO reach
                FROM public.patients AS s
                CROSS JOIN archive.patients_stage AS g
                WHERE NOT s.id <@ g.free
                    AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.source_id = s.id);
            END IF;
        END IF;
        IF reach >= 2147483647 - 1000 THEN
            refusals := refusals || format('ids would reach %s, and integer ends at 2147483647 (1000 are kept free)', reach);
        END IF;
        IF to_regclass('archive.patients_turns') IS NOT NULL THEN
            repeated := EXISTS (SELECT FROM archive.patients_turns);
        END IF;
        IF (staged AND NOT repeated) OR to_regclass('archive.patients_turns') IS NULL THEN
            refusals := refusals || ARRAY(
                SELECT format('%s is there already', t)
                FROM unnest(ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments', 'archive.patients_holds', 'archive.patients_purges', 'archive.patients_former_writes', 'archive.patients_tombstone_signatures', 'archive.patients_operations', 'archive.notification_queue']) AS t
                WHERE to_regclass(t) IS NOT NULL
                    AND NOT (staged AND t = ANY (ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments', 'archive.patients_holds', 'archive.patients_purges', 'archive.patients_former_writes', 'archive.patients_tombstone_signatures', 'archive.patients_operations']))
                ORDER BY 1
            );
        ELSE
            -- What Down kept must still be there, and of the structure that this file knows.
            SELECT string_agg(t, ', ') INTO listed
            FROM unnest(ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments', 'archive.notification_queue']) AS t
            WHERE to_regclass(t) IS NULL;
            IF listed IS NOT NULL THEN
                refusals := refusals || format('%s is gone: what was kept there could not be given back', listed);
            ELSE
                SELECT count(*) INTO found FROM archive.patients_turns
                WHERE turn = (SELECT max(turn) FROM archive.patients_turns) AND structure_hash <> '9f8195736ea1f66be8c7275ac055561a10c1d155c6866b1225edd240ad0a9d2c';
                IF found > 0 THEN
                    refusals := refusals || 'the archive was written with a mapping of another structure: run the file that Down was run from'::text;
                END IF;
            SELECT count(*) INTO found FROM archive.patients_turns
            WHERE turn = (SELECT max(turn) FROM archive.patients_turns) AND direction = 'up';
            IF found > 0 THEN
                refusals := refusals || 'archive.patients_turns says that Up ran last, and the tables say that it did not'::text;
            END IF;
            SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
            FROM (
                SELECT l.id AS id, row_number() OVER (ORDER BY l.id) AS n
                FROM archive.patients_withheld_assessments AS w
                JOIN public.assessments AS l ON l.id = w.id
            ) AS x;
            IF found > 0 THEN
                refusals := refusals || format('%s rows of public.assessments have the id of a withheld row that is to return: id %s%s',
                    found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
            END IF;
            -- A subject returns under its own id, which a sequence that was set back may have given away.
            IF current_setting('refactorkit.staged') = '' THEN
                SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
                FROM (
                    SELECT t.id AS id, row_number() OVER (ORDER BY t.id) AS n
                    FROM archive.patients_map AS p
                    JOIN public.users AS t ON t.id = p.target_id
                    WHERE p.kind = 'subject'
                ) AS x;
                IF found > 0 THEN
                    refusals := refusals || format('%s rows of public.users have the id of a subject that is to return: id %s%s',
                        found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
                END IF;
            END IF;
            SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
            FROM (
                SELECT t.id AS id, row_number() OVER (ORDER BY t.id) AS n
                FROM archive.patients_withheld_patients AS p
                JOIN public.users AS t ON t.id = p.refactorkit_target_id
                WHERE p.refactorkit_kind = 'subject' AND p.refactorkit_reason = 'soft'
            ) AS x;
            IF found > 0 THEN
                refusals := refusals || format('%s rows of public.users have the id of a subject that is to return: id %s%s',
                    found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
            END IF;
            -- An id that was typed in again for somebody else: they must not get what is kept of another.
            IF 'reused_ids' <> ALL (accepted) THEN
                SELECT count(*), string_agg(x.id, ', ' ORDER BY x.n) FILTER (WHERE x.n <= 10) INTO found, listed
                FROM (
                    SELECT y.id, row_number() OVER (ORDER BY y.id) AS n
                    FROM (
                        SELECT 'users ' || t.id AS id
                        FROM archive.patients_kept_users AS k
                        JOIN public.users AS t ON t.id = k.id
                        WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND k.refactorkit_kind = 'native'
                            AND record_image_ne(ROW(t.created_at), ROW(k.created_at)) AND record_image_ne(ROW(t.email), ROW(k.email))
                        UNION ALL
                        SELECT 'patients ' || s.id AS id
                        FROM archive.patients_written_patients AS w
                        JOIN public.patients AS s ON s.id = w.source_id
                        WHERE w.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
                            AND record_image_ne(ROW(s.created_at), ROW(w.created_at)) AND record_image_ne(ROW(s.name), ROW(w.name))
                    ) AS y
                ) AS x;
                IF found > 0 THEN
                    refusals := refusals || format('%s rows have the id of somebody whom Down kept, and are somebody else by all else: %s%s; give them another id, or say that they are the same (--accept reused_ids)',
                        found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
                END IF;
            END IF;
            -- Who was erased stays erased: an id of theirs that is in use is a restored backup, or was typed in.
            SELECT count(*), string_agg(format('%s %s', x.table_name, x.row_id), ', ' ORDER BY x.n) FILTER (WHERE x.n <= 10),
                string_agg(DISTINCT x.source_id, ', ') FILTER (WHERE x.n <= 10)
            INTO found, listed, again
            FROM (
                SELECT y.table_name, y.row_id, y.source_id,
                    row_number() OVER (ORDER BY length(y.source_id), y.source_id, y.table_name, y.row_id) AS n
                FROM (
                    SELECT 'archive.patients_map', x.source_id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN archive.patients_map AS x ON x.source_id = d.source_id
                    UNION
                    SELECT 'archive.patients_map', x.source_id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN archive.patients_map AS x ON x.target_id = d.target_id
                    UNION
                    SELECT 'archive.patients_kept_users', x.id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN archive.patients_kept_users AS x ON x.id = d.target_id
                    UNION
                    SELECT 'archive.patients_withheld_patients', x.id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN archive.patients_withheld_patients AS x ON x.id = d.source_id
                    UNION
                    SELECT 'archive.patients_withheld_patients', x.id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN archive.patients_withheld_patients AS x ON x.refactorkit_target_id = d.target_id
                    UNION
                    SELECT 'public.patients', x.id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN public.patients AS x ON x.id = d.source_id
                    UNION
                    SELECT 'public.users', x.id::text, d.source_id::text
                    FROM archive.patients_tombstones AS d
                    JOIN public.users AS x ON x.id = d.target_id
                ) AS y (table_name, row_id, source_id)
            ) AS x;
            IF found > 0 THEN
                refusals := refusals || format('%s rows are of people who were erased: %s%s; erase them again (refactorkit archive erase %s)',
                    found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END, again);
            END IF;
            END IF;
        END IF;
    END IF;

    IF cardinality(refusals) > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s.', '0011 Up', array_to_string(refusals, '; ')),
            HINT = 'Nothing was changed. Mend what is named, or overrule a guard that has a name: --accept NAME, or SET refactorkit.accept.';
    END IF;
END
$guards$;
-- +goose StatementEnd
-- == The archive: what is kept there, and by whom it can be read (nobody else) ==

CREATE SCHEMA IF NOT EXISTS archive;
REVOKE ALL ON SCHEMA archive FROM PUBLIC;

-- Every Up and Down that ran, with the mapping it ran with. `..._used` is the highest id that had been
-- given out before the turn, `next_after` is where both sequences went on from.
CREATE TABLE IF NOT EXISTS archive.patients_turns (
    turn integer PRIMARY KEY,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    version bigint NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    run_by text NOT NULL DEFAULT session_user,
    structure_hash text NOT NULL,
    mapping_hash text NOT NULL,
    mapping json NOT NULL,
    settings jsonb NOT NULL,
    target_used bigint NOT NULL,
    source_used bigint NOT NULL,
    ids_after bigint NOT NULL,
    natives int4multirange NOT NULL,
    active int4multirange NOT NULL,
    counts jsonb NOT NULL DEFAULT '{}'
);
ALTER TABLE archive.patients_turns ADD COLUMN IF NOT EXISTS fingerprints jsonb NOT NULL DEFAULT '{}';

-- The pairs: which users row a patients row became ('subject'), or which native is shown as one ('native').
CREATE TABLE IF NOT EXISTS archive.patients_map (
    source_id integer PRIMARY KEY,
    target_id integer NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('subject', 'native')),
    turn integer NOT NULL,
    row_hash bigint,
    renumbered boolean NOT NULL GENERATED ALWAYS AS (source_id <> target_id) STORED
);

-- Pairs that are no more: their ids are never given to anybody else.
CREATE TABLE IF NOT EXISTS archive.patients_past (
    turn integer NOT NULL,
    source_id integer NOT NULL,
    target_id integer NOT NULL,
    PRIMARY KEY (turn, source_id)
);

-- People who were erased: both ids, when, by whom and why, how many rows, and no value of theirs. Their ids are
-- never given to anybody else either, and whoever is found under one of them stops Up and Down.
CREATE TABLE IF NOT EXISTS archive.patients_tombstones (
    tombstone integer PRIMARY KEY,
    erasure integer NOT NULL,
    source_id integer NOT NULL,
    target_id integer,
    kind text NOT NULL CHECK (kind IN ('subject', 'native', 'past', 'none')),
    turn integer NOT NULL,
    version bigint NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    run_by text NOT NULL DEFAULT session_user,
    operator text NOT NULL CHECK (operator <> ''),
    approved_by text NOT NULL CHECK (approved_by <> '' AND approved_by <> operator),
    basis text NOT NULL CHECK (basis <> ''),
    counts jsonb NOT NULL
);

-- Every decision in which a value, or a row, gave way: where, by which rule, and both values.
CREATE TABLE IF NOT EXISTS archive.patients_decisions (
    turn integer NOT NULL,
    table_name text NOT NULL,
    row_id text NOT NULL,
    column_name text NOT NULL,
    rule text NOT NULL,
    kept_value text,
    lost_value text,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (turn, table_name, row_id, column_name, rule)
);

-- Legal holds: who must neither be erased nor purged, by whose word, and since when. Rows are only added: the end of
-- a hold is a row that `releases` it.
CREATE TABLE IF NOT EXISTS archive.patients_holds (
    hold integer PRIMARY KEY,
    source_id integer NOT NULL,
    releases integer UNIQUE,
    reason text NOT NULL CHECK (reason <> ''),
    said_by text NOT NULL CHECK (said_by <> ''),
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    run_by text NOT NULL DEFAULT session_user
);

-- What was destroyed because its time was over: how many rows of which table, and by whose word; no values.
CREATE TABLE IF NOT EXISTS archive.patients_purges (
    purge integer PRIMARY KEY,
    before timestamp with time zone NOT NULL,
    gives_up_rollback boolean NOT NULL,
    basis text NOT NULL CHECK (basis <> ''),
    approved_by text NOT NULL CHECK (approved_by <> '' AND approved_by <> run_by),
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    run_by text NOT NULL DEFAULT session_user,
    counts jsonb NOT NULL
);

-- What Down made of the columns that it changes in natives: the base for the next Up.
CREATE TABLE IF NOT EXISTS archive.patients_written_users (
    turn integer NOT NULL,
    target_id integer NOT NULL,
    role text,
    is_active boolean,
    created_by integer,
    PRIMARY KEY (turn, target_id)
);

-- What Down wrote into patients for the rows that are kept: the base for the next Up.
CREATE TABLE IF NOT EXISTS archive.patients_written_patients (
    turn integer NOT NULL,
    source_id integer NOT NULL,
    target_id integer NOT NULL,
    name text,
    menopause_status text,
    years_menopause integer,
    bmi numeric(5,2),
    bp_systolic integer,
    bp_diastolic integer,
    activity text,
    smoking text,
    hypertension text,
    heart_disease text,
    chol integer,
    ldl integer,
    hdl integer,
    triglycerides integer,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    family_history boolean,
    phys_activity boolean,
    PRIMARY KEY (turn, source_id)
);

-- patients that version 10 must not see: deleted in version 11, softly or not.
CREATE TABLE IF NOT EXISTS archive.patients_withheld_patients (
    refactorkit_turn integer NOT NULL,
    refactorkit_reason text NOT NULL,
    refactorkit_kind text NOT NULL,
    refactorkit_target_id integer NOT NULL,
    LIKE public.patients,
    PRIMARY KEY (refactorkit_turn, id)
);

-- Whole rows that Down takes out of version 11, with what they hold, whatever that is. The columns are the
-- mapping's: those that someone added follow when there is a row to keep.

-- users that differ from what Up made.
CREATE TABLE IF NOT EXISTS archive.patients_kept_users (
    refactorkit_turn integer NOT NULL,
    refactorkit_kind text NOT NULL,
    id integer,
    email text,
    password_hash text,
    role text,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    is_active boolean,
    last_login_at timestamp with time zone,
    created_by integer,
    first_name text,
    last_name text,
    date_of_birth date,
    phone text,
    address text,
    menopause_status text,
    menopause_type text,
    years_menopause integer,
    hypertension text,
    heart_disease text,
    family_history_diabetes boolean,
    smoking_status text,
    consent_personal_data boolean,
    consent_research_participation boolean,
    consent_email_updates boolean,
    consent_analytics boolean,
    consent_updated_at timestamp with time zone,
    assessment_frequency_months integer,
    reminder_email boolean,
    last_assessment_reminder_sent timestamp with time zone,
    onboarding_completed boolean,
    account_status text,
    deleted_at timestamp with time zone,
    is_admin boolean,
    bmi numeric(5,2),
    bp_systolic integer,
    bp_diastolic integer,
    activity text,
    phys_activity boolean,
    chol integer,
    ldl integer,
    hdl integer,
    triglycerides integer,
    PRIMARY KEY (refactorkit_turn, id)
);

-- refresh_tokens of a subject, which follow it.
CREATE TABLE IF NOT EXISTS archive.patients_kept_refresh_tokens (
    refactorkit_turn integer NOT NULL,
    LIKE public.refresh_tokens,
    PRIMARY KEY (refactorkit_turn, id)
);

-- user_clinics of a subject, which follow it.
CREATE TABLE IF NOT EXISTS archive.patients_kept_user_clinics (
    refactorkit_turn integer NOT NULL,
    LIKE public.user_clinics,
    PRIMARY KEY (refactorkit_turn, user_id, clinic_id)
);

-- assessments: what version 10 has no column for, with whom the row belonged to: it may be deleted
-- before that person is erased.
CREATE TABLE IF NOT EXISTS archive.patients_kept_assessments (
    turn integer NOT NULL,
    id integer NOT NULL,
    refactorkit_target_id integer,
    is_self_reported boolean,
    source text,
    notes text,
    PRIMARY KEY (turn, id)
);

-- assessments of people who were softly deleted: withheld from version 10.
CREATE TABLE IF NOT EXISTS archive.patients_withheld_assessments (
    refactorkit_turn integer NOT NULL,
    id integer,
    user_id integer,
    fbs numeric(6,2),
    hba1c numeric(4,2),
    cholesterol integer,
    ldl integer,
    hdl integer,
    triglycerides integer,
    systolic integer,
    diastolic integer,
    activity text,
    history_flag boolean,
    smoking text,
    hypertension text,
    heart_disease text,
    bmi numeric(5,2),
    cluster text,
    risk_score integer,
    model_version text,
    dataset_hash text,
    validation_status text,
    created_at timestamp with time zone,
    updated_at timestamp with time zone,
    is_self_reported boolean,
    source text,
    notes text,
    PRIMARY KEY (refactorkit_turn, id)
);

-- notification_queue whose user did not return.
CREATE TABLE IF NOT EXISTS archive.patients_kept_notification_queue (
    refactorkit_turn integer NOT NULL,
    id integer,
    user_id integer,
    notification_type text,
    subject text,
    body text,
    priority integer,
    scheduled_for timestamp with time zone,
    sent_at timestamp with time zone,
    status text,
    error_message text,
    created_at timestamp with time zone,
    PRIMARY KEY (refactorkit_turn, id)
);

-- What version 10 writes after the switch, where its views are kept: where and when, by key, and no value.
CREATE TABLE IF NOT EXISTS archive.patients_former_writes (
    write bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    turn integer NOT NULL,
    table_name text NOT NULL,
    row_id bigint NOT NULL,
    action text NOT NULL CHECK (action IN ('INSERT', 'UPDATE', 'DELETE')),
    columns text[] NOT NULL,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    run_by text NOT NULL DEFAULT session_user
);

-- Refuses what would change the archive by accident. Up, Down and the commands that care for the archive say that they
-- mean it: by the id of their transaction, in a setting. `refactorkit archive harden` makes the triggers.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION archive.patients_guard()
RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $guard$
BEGIN
    IF current_setting('refactorkit.archive_writer', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        RAISE EXCEPTION USING ERRCODE = 'RK003',
            MESSAGE = format('%s on %I.%I is refused: the archive is changed by refactorkit alone.', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME),
            HINT = 'Nothing was changed. Without this table a rollback would lose data.';
    END IF;
    RETURN NULL;
END
$guard$;
-- +goose StatementEnd

-- Triggers that are switched off for the length of this transaction; empty outside it.
CREATE TABLE IF NOT EXISTS archive.patients_triggers (
    table_id oid NOT NULL,
    trigger_name name NOT NULL,
    state "char" NOT NULL,
    PRIMARY KEY (table_id, trigger_name)
);

-- Indexes that are rebuilt after the subjects' insert; empty outside this transaction.
CREATE TABLE IF NOT EXISTS archive.patients_indexes (
    index_name name PRIMARY KEY,
    definition text NOT NULL
);

-- The columns that a keeping table and a living one share, for a row to be copied whole.
CREATE OR REPLACE FUNCTION archive.patients_columns(keeper regclass, live regclass, prefix text)
RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT string_agg(prefix || quote_ident(a.attname), ', ' ORDER BY a.attnum)
    FROM pg_attribute AS a
    JOIN pg_attribute AS k ON k.attrelid = keeper AND k.attname = a.attname AND NOT k.attisdropped
    WHERE a.attrelid = live AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
);

-- A keeping table follows the living one: columns that someone added are kept too.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION archive.patients_widen(keeper regclass, live regclass)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    a record;
BEGIN
    FOR a IN
        SELECT l.attname, format_type(l.atttypid, l.atttypmod) AS type
        FROM pg_attribute AS l
        WHERE l.attrelid = live AND l.attnum > 0 AND NOT l.attisdropped
            AND NOT EXISTS (
                SELECT FROM pg_attribute AS k
                WHERE k.attrelid = keeper AND k.attname = l.attname AND NOT k.attisdropped)
        ORDER BY l.attnum
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', keeper, a.attname, a.type);
    END LOOP;
    -- A keeper keeps whatever there is: it demands no value outside its key.
    FOR a IN
        SELECT k.attname
        FROM pg_attribute AS k
        WHERE k.attrelid = keeper AND k.attnum > 0 AND NOT k.attisdropped AND k.attnotnull
            AND NOT EXISTS (
                SELECT FROM pg_index AS x WHERE x.indrelid = keeper AND x.indisprimary AND k.attnum = ANY (x.indkey))
            AND NOT starts_with(k.attname, 'refactorkit_')
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', keeper, a.attname);
    END LOOP;
END
$function$;
-- +goose StatementEnd

-- == The mapping, as this Up runs with it: Down goes back by these, whatever the file says then ==

CREATE OR REPLACE FUNCTION archive.patients_forward_first_name(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN strpos(value, ' ') = 0 THEN value ELSE left(value, length(value) - strpos(reverse(value), ' ')) END;

CREATE OR REPLACE FUNCTION archive.patients_forward_last_name(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN strpos(value, ' ') > 0 THEN right(value, strpos(reverse(value), ' ') - 1) END;

CREATE OR REPLACE FUNCTION archive.patients_back_name(first text, last text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN coalesce(first || ' ' || last, first, last, '');

CREATE OR REPLACE FUNCTION archive.patients_forward_menopause_status(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'premenopausal' THEN 'pre'
        WHEN 'perimenopausal' THEN 'peri'
        WHEN 'postmenopausal' THEN 'post'
        WHEN 'surgical' THEN 'surgical'
        WHEN 'pre' THEN 'pre'
        WHEN 'peri' THEN 'peri'
        WHEN 'post' THEN 'post'
    END;

CREATE OR REPLACE FUNCTION archive.patients_back_menopause_status(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'pre' THEN 'premenopausal'
        WHEN 'peri' THEN 'perimenopausal'
        WHEN 'post' THEN 'postmenopausal'
        WHEN 'surgical' THEN 'surgical'
        ELSE value
    END;

CREATE OR REPLACE FUNCTION archive.patients_forward_years_menopause(value integer)
RETURNS integer LANGUAGE sql IMMUTABLE
RETURN CASE WHEN value BETWEEN 0 AND 50 THEN value END;

CREATE OR REPLACE FUNCTION archive.patients_forward_hypertension(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'no' THEN 'no'
        WHEN 'controlled' THEN 'controlled'
        WHEN 'uncontrolled' THEN 'uncontrolled'
    END;

CREATE OR REPLACE FUNCTION archive.patients_back_hypertension(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'no' THEN 'no'
        WHEN 'controlled' THEN 'controlled'
        WHEN 'uncontrolled' THEN 'uncontrolled'
        ELSE value
    END;

CREATE OR REPLACE FUNCTION archive.patients_forward_heart_disease(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'no' THEN 'no'
        WHEN 'yes' THEN 'yes'
    END;

CREATE OR REPLACE FUNCTION archive.patients_back_heart_disease(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'no' THEN 'no'
        WHEN 'yes' THEN 'yes'
        ELSE value
    END;

CREATE OR REPLACE FUNCTION archive.patients_forward_smoking_status(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'never' THEN 'never'
        WHEN 'former' THEN 'former'
        WHEN 'current' THEN 'current'
    END;

CREATE OR REPLACE FUNCTION archive.patients_back_smoking(value text)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE value
        WHEN 'never' THEN 'never'
        WHEN 'former' THEN 'former'
        WHEN 'current' THEN 'current'
        ELSE value
    END;

-- == Ids: both sequences move past everything that is or was in use, and wait for our commit ==

ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;
ALTER SEQUENCE public.patients_id_seq OWNED BY public.patients.id;

INSERT INTO archive.patients_turns (
    turn, direction, version, structure_hash, mapping_hash, mapping, settings, target_used, source_used, ids_after, natives, active, counts
)
SELECT
    coalesce((SELECT max(turn) FROM archive.patients_turns), 0) + 1,
    'up',
    11,
    '9f8195736ea1f66be8c7275ac055561a10c1d155c6866b1225edd240ad0a9d2c',
    'dac028c4d1d9b89556e9db3503861fa9129a189dc9c22bff883ad6c0f50cf8f8',
    '{
"format": 1,
"name": "patients",
"migration": "0011_refactor_to_menopausal.sql",
"source": {
"table": "patients",
"key": "id",
"touched": "updated_at",
"owner": "user_id",
"columns": {"id": "integer NOT NULL serial", "name": "text NOT NULL", "age": "integer", "menopause_status": "text", "years_menopause": "integer", "bmi": "numeric(5,2)", "bp_systolic": "integer", "bp_diastolic": "integer", "activity": "text", "smoking": "text", "hypertension": "text", "heart_disease": "text", "chol": "integer", "ldl": "integer", "hdl": "integer", "triglycerides": "integer", "created_at": "timestamp with time zone NOT NULL DEFAULT now()", "updated_at": "timestamp with time zone NOT NULL DEFAULT now()", "family_history": "boolean", "phys_activity": "boolean", "user_id": "integer NOT NULL"},
"foreign_keys": [{"name": "fk_patients_user_id", "column": "user_id", "references": "users", "on_delete": "CASCADE"}]},
"target": {
"table": "users",
"key": "id",
"columns": {"id": "integer NOT NULL serial", "email": "text NOT NULL", "password_hash": "text NOT NULL", "role": "text NOT NULL DEFAULT ''clinician''::text", "created_at": "timestamp with time zone NOT NULL DEFAULT now()", "updated_at": "timestamp with time zone NOT NULL DEFAULT now()", "is_active": "boolean NOT NULL DEFAULT true", "last_login_at": "timestamp with time zone", "created_by": "integer"},
"defaults": {"role": "''member''::text"},
"adds": {"first_name": "text", "last_name": "text", "date_of_birth": "date", "phone": "text", "address": "text", "menopause_status": "text", "menopause_type": "text", "years_menopause": "integer", "hypertension": "text", "heart_disease": "text", "family_history_diabetes": "boolean NOT NULL DEFAULT false", "smoking_status": "text", "consent_personal_data": {"is": "boolean NOT NULL DEFAULT true", "existing": "false"}, "consent_research_participation": "boolean NOT NULL DEFAULT false", "consent_email_updates": "boolean NOT NULL DEFAULT false", "consent_analytics": {"is": "boolean NOT NULL DEFAULT true", "existing": "false"}, "consent_updated_at": {"is": "timestamp with time zone DEFAULT now()", "existing": "NULL"}, "assessment_frequency_months": "integer NOT NULL DEFAULT 3", "reminder_email": "boolean NOT NULL DEFAULT true", "last_assessment_reminder_sent": "timestamp with time zone", "onboarding_completed": "boolean NOT NULL DEFAULT false", "account_status": "text NOT NULL DEFAULT ''active''::text", "deleted_at": "timestamp with time zone", "is_admin": "boolean NOT NULL DEFAULT false", "bmi": "numeric(5,2)", "bp_systolic": "integer", "bp_diastolic": "integer", "activity": "text", "phys_activity": "boolean", "chol": "integer", "ldl": "integer", "hdl": "integer", "triglycerides": "integer"},
"checks": {"users_account_status_check": "account_status IN (''active'', ''deleted'')", "users_assessment_frequency_months_check": "assessment_frequency_months >= 1 AND assessment_frequency_months <= 12", "users_heart_disease_check": "heart_disease IN (''no'', ''yes'')", "users_hypertension_check": "hypertension IN (''no'', ''controlled'', ''uncontrolled'')", "users_menopause_status_check": "menopause_status IN (''pre'', ''peri'', ''post'', ''surgical'')", "users_menopause_type_check": "menopause_type IN (''natural'', ''surgical'')", "users_smoking_status_check": "smoking_status IN (''never'', ''former'', ''current'')", "users_years_menopause_check": "years_menopause >= 0 AND years_menopause <= 50"},
"indexes": {"idx_users_account_status": ["account_status"], "idx_users_assessment_reminder": ["reminder_email", "last_assessment_reminder_sent"], "idx_users_consent_research": ["consent_research_participation"], "idx_users_menopause_status": ["menopause_status"]},
"foreign_keys": [{"name": "users_created_by_fkey", "column": "created_by", "references": "users"}],
"secret": ["password_hash"]},
"subject": {
"email": {"template": "patient-{id}@unclaimed.invalid"},
"password_hash": "!",
"role": "member",
"is_active": false,
"created_at": {"column": "created_at"},
"updated_at": {"column": "updated_at"}},
"column": [
{"source": "name", "codec": "split_last", "target": ["first_name", "last_name"]},
{"source": "menopause_status", "codec": "values", "target": "menopause_status", "forward": {"premenopausal": "pre", "perimenopausal": "peri", "postmenopausal": "post", "surgical": "surgical", "pre": "pre", "peri": "peri", "post": "post"}, "back": {"pre": "premenopausal", "peri": "perimenopausal", "post": "postmenopausal", "surgical": "surgical"}, "profile": true},
{"source": "years_menopause", "codec": "range", "target": "years_menopause", "min": 0, "max": 50, "profile": true},
{"source": "hypertension", "codec": "values", "target": "hypertension", "forward": {"no": "no", "controlled": "controlled", "uncontrolled": "uncontrolled"}, "back": {"no": "no", "controlled": "controlled", "uncontrolled": "uncontrolled"}, "profile": true},
{"source": "heart_disease", "codec": "values", "target": "heart_disease", "forward": {"no": "no", "yes": "yes"}, "back": {"no": "no", "yes": "yes"}, "profile": true},
{"source": "smoking", "codec": "values", "target": "smoking_status", "forward": {"never": "never", "former": "former", "current": "current"}, "back": {"never": "never", "former": "former", "current": "current"}, "profile": true},
{"source": "family_history", "codec": "null_as", "target": "family_history_diabetes", "value": false, "profile": true},
{"source": "bmi", "codec": "same", "target": "bmi", "profile": true},
{"source": "bp_systolic", "codec": "same", "target": "bp_systolic", "profile": true},
{"source": "bp_diastolic", "codec": "same", "target": "bp_diastolic", "profile": true},
{"source": "activity", "codec": "same", "target": "activity", "profile": true},
{"source": "phys_activity", "codec": "same", "target": "phys_activity", "profile": true},
{"source": "chol", "codec": "same", "target": "chol", "profile": true},
{"source": "ldl", "codec": "same", "target": "ldl", "profile": true},
{"source": "hdl", "codec": "same", "target": "hdl", "profile": true},
{"source": "triglycerides", "codec": "same", "target": "triglycerides", "profile": true},
{"source": "age", "codec": "archive"},
{"source": "user_id", "codec": "archive"}],
"link": [
{"table": "assessments", "key": "id", "column": "patient_id", "becomes": "user_id", "foreign_key": "assessments_patient_id_fkey", "foreign_key_becomes": "assessments_user_id_fkey", "on_delete": "CASCADE", "columns": {"id": "integer NOT NULL serial", "patient_id": "integer", "fbs": "numeric(6,2)", "hba1c": "numeric(4,2)", "cholesterol": "integer", "ldl": "integer", "hdl": "integer", "triglycerides": "integer", "systolic": "integer", "diastolic": "integer", "activity": "text", "history_flag": "boolean", "smoking": "text", "hypertension": "text", "heart_disease": "text", "bmi": "numeric(5,2)", "cluster": "text", "risk_score": "integer", "model_version": "text", "dataset_hash": "text", "validation_status": "text", "created_at": "timestamp with time zone NOT NULL DEFAULT now()", "updated_at": "timestamp with time zone NOT NULL DEFAULT now()"}, "indexes": {"idx_assessments_patient_created": "idx_assessments_user_id_created", "idx_assessments_patient_id": "idx_assessments_user_id"}, "adds": {"is_self_reported": {"is": "boolean NOT NULL DEFAULT true", "existing": "false"}, "source": {"is": "text NOT NULL DEFAULT ''manual''::text", "existing": "''clinic''"}, "notes": "text"}}],
"dependant": [
{"table": "refresh_tokens", "key": ["id"], "column": "user_id", "foreign_key": "refresh_tokens_user_id_fkey", "on_delete": "CASCADE", "unique": [["token_hash"]], "secret": ["token_hash"]},
{"table": "user_clinics", "key": ["user_id", "clinic_id"], "column": "user_id", "foreign_key": "user_clinics_user_id_fkey", "on_delete": "CASCADE", "foreign_keys": [{"name": "user_clinics_clinic_id_fkey", "column": "clinic_id", "references": "clinics", "on_delete": "CASCADE"}]}],
"table": [
{"table": "notification_queue", "key": "id", "column": "user_id", "foreign_key": "notification_queue_user_id_fkey", "on_delete": "CASCADE", "columns": {"id": "integer NOT NULL serial", "user_id": "integer NOT NULL", "notification_type": "text NOT NULL", "subject": "text NOT NULL", "body": "text NOT NULL", "priority": "integer NOT NULL DEFAULT 5", "scheduled_for": "timestamp with time zone NOT NULL", "sent_at": "timestamp with time zone", "status": "text NOT NULL DEFAULT ''pending''::text", "error_message": "text", "created_at": "timestamp with time zone NOT NULL DEFAULT now()"}, "checks": {"notification_queue_notification_type_check": "notification_type IN (''assessment_reminder'', ''risk_alert'', ''monthly_summary'', ''educational'')", "notification_queue_priority_check": "priority >= 1 AND priority <= 10", "notification_queue_status_check": "status IN (''pending'', ''sent'', ''failed'')"}, "indexes": {"idx_notification_queue_status": ["status", "scheduled_for"], "idx_notification_queue_user": ["user_id"]}}],
"native": {
"named": "name",
"named_by": "email",
"login": "is_active",
"rights": {"flag": "is_admin", "column": "role", "value": "admin", "without_flag": "clinician"},
"deleted": {"account_status": "deleted", "deleted_at": "NOT NULL"}}}',
    jsonb_build_object('accept', current_setting('refactorkit.accept', true)),
    used.target,
    used.source,
    greatest(used.target, used.source),
    coalesce(natives.ids, '{}'),
    coalesce(natives.active, '{}'),
    jsonb_build_object('natives', natives.n)
FROM (
    SELECT
        greatest(
            (SELECT max(ids_after) FROM archive.patients_turns),
            (SELECT max(target_id) FROM archive.patients_map),
            (SELECT max(refactorkit_target_id) FROM archive.patients_withheld_patients),
            (SELECT max(target_id) FROM archive.patients_tombstones),
            (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM public.users_id_seq),
            (SELECT max(id) FROM public.users)
        ) AS target,
        greatest(
            (SELECT max(ids_after) FROM archive.patients_turns),
            (SELECT max(source_id) FROM archive.patients_map),
            (SELECT max(source_id) FROM archive.patients_tombstones),
            (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM public.patients_id_seq),
            (SELECT max(id) FROM public.patients)
        ) AS source
) AS used
CROSS JOIN (
    -- Who was made in version 11 and could not log in since is no native of version 10.
    SELECT
        count(*) AS n,
        range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE t.is_active OR made.target_id IS NULL) AS ids,
        range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE t.is_active) AS active
    FROM public.users AS t
    LEFT JOIN (
        SELECT b.target_id
        FROM archive.patients_written_users AS b
        JOIN archive.patients_turns AS down ON down.turn = b.turn
        WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND NOT b.is_active AND NOT b.target_id <@ down.natives
    ) AS made ON made.target_id = t.id
    WHERE current_setting('refactorkit.staged') = ''
) AS natives;

-- RESTART gives each sequence a new place that a rollback takes away again: setval alone would outlive it.
ALTER SEQUENCE public.users_id_seq RESTART;
ALTER SEQUENCE public.patients_id_seq RESTART;
SELECT setval(s.sequence, t.ids_after)
FROM archive.patients_turns AS t
CROSS JOIN (VALUES ('public.users_id_seq'::regclass), ('public.patients_id_seq'::regclass)) AS s (sequence)
JOIN pg_sequence AS q ON q.seqrelid = s.sequence
WHERE t.turn = (SELECT max(turn) FROM archive.patients_turns) AND t.ids_after >= q.seqmin;

-- A table that leaves the archive leaves its guard behind.
-- +goose StatementBegin
DO $guard$
DECLARE
    t regclass;
BEGIN
    FOR t IN
        SELECT g.tgrelid
        FROM unnest(ARRAY['archive.notification_queue']::text[]) AS e
        JOIN pg_trigger AS g ON g.tgrelid = to_regclass(e) AND g.tgname = 'patients_guard'
            AND g.tgfoid = to_regprocedure('archive.patients_guard()')
    LOOP
        EXECUTE format('DROP TRIGGER patients_guard ON %s', t);
    END LOOP;
END
$guard$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $staged$
BEGIN
    IF current_setting('refactorkit.staged') = '' THEN
        RETURN;
    END IF;
    DROP TRIGGER IF EXISTS patients_stage_capture ON public.patients;
    DROP TRIGGER IF EXISTS patients_stage_truncate ON public.patients;
    DROP TRIGGER IF EXISTS patients_stage_capture ON public.users;
    DROP TRIGGER IF EXISTS patients_stage_truncate ON public.users;
    DROP TRIGGER IF EXISTS patients_stage_shield ON public.users;
    DROP TRIGGER IF EXISTS patients_stage_hold ON public.patients;
    DROP TRIGGER IF EXISTS patients_stage_hold ON public.users;
    DROP TRIGGER IF EXISTS patients_stage_refer ON public.refresh_tokens;
    DROP TRIGGER IF EXISTS patients_stage_refer ON public.user_clinics;
    -- An index that nobody finished building is none.
    IF EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass('public.idx_users_account_status') AND NOT x.indisvalid) THEN
        DROP INDEX public.idx_users_account_status;
    END IF;
    -- An index that nobody finished building is none.
    IF EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass('public.idx_users_assessment_reminder') AND NOT x.indisvalid) THEN
        DROP INDEX public.idx_users_assessment_reminder;
    END IF;
    -- An index that nobody finished building is none.
    IF EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass('public.idx_users_consent_research') AND NOT x.indisvalid) THEN
        DROP INDEX public.idx_users_consent_research;
    END IF;
    -- An index that nobody finished building is none.
    IF EXISTS (SELECT FROM pg_index AS x WHERE x.indexrelid = to_regclass('public.idx_users_menopause_status') AND NOT x.indisvalid) THEN
        DROP INDEX public.idx_users_menopause_status;
    END IF;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_account_status_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_assessment_frequency_months_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_heart_disease_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_hypertension_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_menopause_status_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_menopause_type_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_smoking_status_check;
    ALTER TABLE public.users VALIDATE CONSTRAINT users_years_menopause_check;
END
$staged$;
-- +goose StatementEnd

-- Triggers stay quiet while we write: each is switched off, and comes back in the state that it had.

-- +goose StatementBegin
DO $triggers$
DECLARE
    t record;
BEGIN
    DELETE FROM archive.patients_triggers;
    INSERT INTO archive.patients_triggers (table_id, trigger_name, state)
    SELECT tgrelid, tgname, tgenabled
    FROM pg_trigger
    WHERE NOT tgisinternal AND tgenabled <> 'D'
        AND tgrelid = ANY (ARRAY[
            to_regclass('public.users'),
            to_regclass('public.patients'),
            to_regclass('public.assessments'),
            to_regclass('public.refresh_tokens'),
            to_regclass('public.user_clinics'),
            to_regclass('archive.notification_queue')
        ]);
    FOR t IN SELECT table_id, trigger_name FROM archive.patients_triggers ORDER BY 1, 2 LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.table_id::regclass, t.trigger_name);
    END LOOP;
END
$triggers$;
-- +goose StatementEnd

-- == users: columns, checks and defaults of version 11 ==

ALTER TABLE public.users
    ADD COLUMN IF NOT EXISTS first_name text,
    ADD COLUMN IF NOT EXISTS last_name text,
    ADD COLUMN IF NOT EXISTS date_of_birth date,
    ADD COLUMN IF NOT EXISTS phone text,
    ADD COLUMN IF NOT EXISTS address text,
    ADD COLUMN IF NOT EXISTS menopause_status text,
    ADD COLUMN IF NOT EXISTS menopause_type text,
    ADD COLUMN IF NOT EXISTS years_menopause integer,
    ADD COLUMN IF NOT EXISTS hypertension text,
    ADD COLUMN IF NOT EXISTS heart_disease text,
    ADD COLUMN IF NOT EXISTS family_history_diabetes boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS smoking_status text,
    ADD COLUMN IF NOT EXISTS consent_personal_data boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS consent_research_participation boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS consent_email_updates boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS consent_analytics boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS consent_updated_at timestamp with time zone,
    ADD COLUMN IF NOT EXISTS assessment_frequency_months integer NOT NULL DEFAULT 3,
    ADD COLUMN IF NOT EXISTS reminder_email boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS last_assessment_reminder_sent timestamp with time zone,
    ADD COLUMN IF NOT EXISTS onboarding_completed boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS account_status text NOT NULL DEFAULT 'active'::text,
    ADD COLUMN IF NOT EXISTS deleted_at timestamp with time zone,
    ADD COLUMN IF NOT EXISTS is_admin boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS bmi numeric(5,2),
    ADD COLUMN IF NOT EXISTS bp_systolic integer,
    ADD COLUMN IF NOT EXISTS bp_diastolic integer,
    ADD COLUMN IF NOT EXISTS activity text,
    ADD COLUMN IF NOT EXISTS phys_activity boolean,
    ADD COLUMN IF NOT EXISTS chol integer,
    ADD COLUMN IF NOT EXISTS ldl integer,
    ADD COLUMN IF NOT EXISTS hdl integer,
    ADD COLUMN IF NOT EXISTS triglycerides integer;

ALTER TABLE public.users
    ALTER COLUMN consent_personal_data SET DEFAULT true,
    ALTER COLUMN consent_analytics SET DEFAULT true,
    ALTER COLUMN consent_updated_at SET DEFAULT now(),
    ALTER COLUMN role SET DEFAULT 'member'::text;
-- +goose StatementBegin
DO $checks$
BEGIN
    IF current_setting('refactorkit.staged') = '' THEN
        ALTER TABLE public.users
            ADD CONSTRAINT users_account_status_check CHECK (account_status IN ('active', 'deleted')),
            ADD CONSTRAINT users_assessment_frequency_months_check CHECK (assessment_frequency_months >= 1 AND assessment_frequency_months <= 12),
            ADD CONSTRAINT users_heart_disease_check CHECK (heart_disease IN ('no', 'yes')),
            ADD CONSTRAINT users_hypertension_check CHECK (hypertension IN ('no', 'controlled', 'uncontrolled')),
            ADD CONSTRAINT users_menopause_status_check CHECK (menopause_status IN ('pre', 'peri', 'post', 'surgical')),
            ADD CONSTRAINT users_menopause_type_check CHECK (menopause_type IN ('natural', 'surgical')),
            ADD CONSTRAINT users_smoking_status_check CHECK (smoking_status IN ('never', 'former', 'current')),
            ADD CONSTRAINT users_years_menopause_check CHECK (years_menopause >= 0 AND years_menopause <= 50);
    END IF;
END
$checks$;
-- +goose StatementEnd

UPDATE public.users SET is_admin = true WHERE role = 'admin' AND current_setting('refactorkit.staged') = '';

-- == What was staged before: only what was written since, or was not yet come to, is left to be done ==

-- +goose StatementBegin
DO $staged$
DECLARE
    wanted CONSTANT integer := coalesce(nullif(current_setting('refactorkit.batch', true), '')::integer, 10000);
    -- Keys that were written down, of either table; keys that the walk over all rows comes to next.
    sources integer[];
    deleted integer[];
    targets integer[];
    walk integer[];
    looked_at integer[];
    absent integer[];
    known integer[];
    fresh integer[];
    lacking integer[];
    gone integer[];
    unpaired integer[];
    kept integer[];
    truncated boolean;
    unforeseen boolean;
    g record;
    n bigint;
    new_pairs bigint;
    new_subjects bigint;
    -- By how much the sums of the fingerprints change.
    new_source_xor bigint;
    new_natives_xor bigint;
    found bigint;
    listed text;
BEGIN
    IF current_setting('refactorkit.staged') <> '' THEN
DECLARE
        broken text;
        of_table text;
        of_column text;
    BEGIN
        LOOP
            WITH taken AS (
                DELETE FROM archive.patients_stage_captured AS c
                WHERE c.id IN (SELECT o.id FROM archive.patients_stage_captured AS o ORDER BY o.id LIMIT wanted)
                RETURNING c.side, c.key
            )
            SELECT
                coalesce(array_agg(DISTINCT t.key) FILTER (WHERE t.side = 'source'), '{}'),
                coalesce(array_agg(DISTINCT t.key) FILTER (WHERE t.side = 'gone'), '{}'),
                coalesce(array_agg(DISTINCT t.key) FILTER (WHERE t.side = 'target'), '{}'),
                coalesce(bool_or(t.side = 'all'), false)
            INTO sources, deleted, targets, truncated
            FROM taken AS t;
            IF truncated THEN -- a TRUNCATE names no row: all are looked at again
                UPDATE archive.patients_stage
                SET walked = false, walked_to = NULL, natives = NULL, active = NULL, is_counted = false;
            END IF;
            SELECT * INTO STRICT g FROM archive.patients_stage;
            walk := '{}';
            IF NOT g.walked AND wanted > 0 THEN
                -- In two texts: an OR would keep a plan that is made once from the place in the index.
                IF g.walked_to IS NULL THEN
                    walk := ARRAY(SELECT n.key
                        FROM (
                            (SELECT x.key FROM (SELECT s.id AS key FROM public.patients AS s) AS x
                                WHERE true ORDER BY x.key LIMIT wanted)
                            UNION
                            (SELECT x.key FROM (SELECT p.source_id AS key FROM archive.patients_map AS p) AS x
                                WHERE true ORDER BY x.key LIMIT wanted)
                        ) AS n
                        ORDER BY n.key LIMIT wanted);
                ELSE
                    walk := ARRAY(SELECT n.key
                        FROM (
                            (SELECT x.key FROM (SELECT s.id AS key FROM public.patients AS s) AS x
                                WHERE x.key > g.walked_to ORDER BY x.key LIMIT wanted)
                            UNION
                            (SELECT x.key FROM (SELECT p.source_id AS key FROM archive.patients_map AS p) AS x
                                WHERE x.key > g.walked_to ORDER BY x.key LIMIT wanted)
                        ) AS n
                        ORDER BY n.key LIMIT wanted);
                END IF;
                UPDATE archive.patients_stage
                SET walked_to = coalesce(walk[cardinality(walk)], walked_to), walked = cardinality(walk) = 0;
            END IF;
            IF g.walked THEN
                WITH taken AS (
                    DELETE FROM archive.patients_stage_parked AS c
                    WHERE c.key = ANY (ARRAY(SELECT o.key FROM archive.patients_stage_parked AS o ORDER BY o.key LIMIT wanted))
                    RETURNING c.key
                )
                SELECT sources || deleted || coalesce(array_agg(t.key), '{}') INTO sources FROM taken AS t;
            ELSE -- the walk comes to the others later
                INSERT INTO archive.patients_stage_parked (key)
                SELECT c.key FROM unnest(sources) AS c (key) WHERE c.key <= g.walked_to
                ON CONFLICT DO NOTHING;
                sources := deleted;
            END IF;
            -- A subject that was written past the shield is made again; its pair says from which row.
            looked_at := ARRAY(
                SELECT p.source_id FROM archive.patients_map AS p WHERE p.target_id = ANY (targets)
                UNION SELECT f.source_id FROM archive.patients_stage_former AS f WHERE f.target_id = ANY (targets));
            unforeseen := truncated
                OR EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = ANY (targets) AND p.kind = 'subject');
            sources := sources || looked_at;

            IF cardinality(targets) > 0 THEN -- what is looked for below, from the other side
                SELECT count(*), string_agg(t.id::text, ', ' ORDER BY t.id) INTO found, listed
                FROM public.users AS t
                WHERE t.id = ANY (targets) AND starts_with(t.email, 'patient-')
                    AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id)
                    AND EXISTS (
                        SELECT FROM public.patients AS s
                        WHERE t.email = 'patient-' || s.id || '@unclaimed.invalid');
                IF found > 0 THEN
                    RAISE EXCEPTION USING ERRCODE = 'RK001',
                        MESSAGE = format('%s rows of public.users already hold the email that a subject is to have: id %s', found, listed),
                        HINT = 'Nothing was changed. Mend these rows, and go on.';
                END IF;
            END IF;

            looked_at := ARRAY(SELECT DISTINCT c.key FROM unnest(sources || walk) AS c (key) ORDER BY c.key);
            new_pairs := 0;
            new_subjects := 0;
            new_source_xor := 0;
            new_natives_xor := 0;
            IF cardinality(looked_at) > 0 THEN
                SELECT coalesce(bit_xor(p.row_hash), 0), -count(*) INTO new_source_xor, new_pairs
                FROM archive.patients_map AS p WHERE p.source_id = ANY (looked_at);
                unpaired := '{}';
                kept := '{}';
                IF g.turn > 1 THEN
                    -- Pairs of former turns that hold no more stand aside, and come back if they hold again.
                    WITH left_over AS (
                        DELETE FROM archive.patients_map AS p
                        WHERE p.source_id = ANY (looked_at) AND p.turn < g.turn
                            AND NOT (EXISTS (SELECT FROM public.patients AS s WHERE s.id = p.source_id)
                                    AND (p.kind = 'subject'
                                        OR EXISTS (SELECT FROM public.users AS t WHERE t.id = p.target_id)))
                        RETURNING p.source_id, p.target_id, p.kind, p.turn, p.row_hash
                    ), noted AS (
                        INSERT INTO archive.patients_stage_former (source_id, target_id, kind, turn, row_hash, aside)
                        SELECT source_id, target_id, kind, turn, row_hash, true FROM left_over
                        ON CONFLICT (source_id) DO UPDATE SET aside = true
                    )
                    SELECT coalesce(array_agg(o.target_id) FILTER (WHERE o.kind = 'subject'), '{}') INTO unpaired FROM left_over AS o;
                    known := ARRAY(
                        SELECT p.source_id FROM archive.patients_stage_former AS p
                        WHERE p.source_id = ANY (looked_at) AND p.aside
                            AND EXISTS (SELECT FROM public.patients AS s WHERE s.id = p.source_id)
                                    AND (p.kind = 'subject'
                                        OR EXISTS (SELECT FROM public.users AS t WHERE t.id = p.target_id)));
                    IF cardinality(known) > 0 THEN
                        WITH replaced AS (
                            DELETE FROM archive.patients_map AS p WHERE p.source_id = ANY (known) RETURNING p.target_id
                        )
                        SELECT unpaired || coalesce(array_agg(r.target_id), '{}') INTO unpaired FROM replaced AS r;
                        INSERT INTO archive.patients_map (source_id, target_id, kind, turn, row_hash)
                        SELECT source_id, target_id, kind, turn, row_hash FROM archive.patients_stage_former WHERE source_id = ANY (known);
                        UPDATE archive.patients_stage_former SET aside = false WHERE source_id = ANY (known);
                    END IF;
                    kept := ARRAY(
                        SELECT p.source_id FROM archive.patients_map AS p
                        JOIN archive.patients_kept_users AS k ON k.id = p.target_id AND k.refactorkit_turn = g.turn - 1
                        WHERE p.source_id = ANY (looked_at) AND p.kind = 'subject');
                END IF;
                SELECT
                    coalesce(array_agg(x.key) FILTER (WHERE x.is_paired AND NOT x.is_there), '{}'),
                    coalesce(array_agg(x.key) FILTER (WHERE x.is_paired AND x.is_there), '{}'),
                    coalesce(array_agg(x.key) FILTER (WHERE NOT x.is_paired AND x.is_there), '{}'),
                    coalesce(array_agg(x.key) FILTER (WHERE x.is_paired AND x.is_there AND NOT x.has_subject), '{}')
                INTO absent, known, fresh, lacking
                FROM (
                    SELECT c.key, s.id IS NOT NULL AS is_there, m.source_id IS NOT NULL AS is_paired,
                        t.id IS NOT NULL AS has_subject
                    FROM unnest(looked_at) AS c (key)
                    LEFT JOIN public.patients AS s ON s.id = c.key
                    LEFT JOIN archive.patients_map AS m ON m.source_id = c.key
                    LEFT JOIN public.users AS t ON t.id = m.target_id
                ) AS x;

                -- What the guards of Up refuse, for the rows that came or changed since they looked.
                SELECT count(*), string_agg(s.id::text, ', ' ORDER BY s.id) INTO found, listed
                FROM public.patients AS s
                LEFT JOIN public.users AS t ON t.id = s.user_id
                WHERE s.id = ANY (looked_at) AND t.id IS NULL AND s.user_id IS NOT NULL;
                IF found > 0 THEN
                    RAISE EXCEPTION USING ERRCODE = 'RK001',
                        MESSAGE = format('%s of public.patients name a user_id that is not in public.users: id %s', found, listed),
                        HINT = 'Nothing was changed. Mend these rows, and go on.';
                END IF;
                SELECT count(*), string_agg(t.id::text, ', ' ORDER BY t.id) INTO found, listed
                FROM unnest(fresh) AS c (key) -- whoever has a subject has the value in it
                JOIN public.users AS t ON t.email = 'patient-' || c.key || '@unclaimed.invalid';
                IF found > 0 THEN
                    RAISE EXCEPTION USING ERRCODE = 'RK001',
                        MESSAGE = format('%s rows of public.users already hold the email that a subject is to have: id %s', found, listed),
                        HINT = 'Nothing was changed. Mend these rows, and go on.';
                END IF;

                -- Rows of patients that are no more: neither are their subjects.
                gone := unpaired;
                IF cardinality(absent) > 0 THEN
                    WITH left_over AS (
                        DELETE FROM archive.patients_map AS p
                        WHERE p.source_id = ANY (absent)
                            AND NOT EXISTS (SELECT FROM public.patients AS s WHERE s.id = p.source_id)
                        RETURNING p.target_id
                    )
                    SELECT unpaired || coalesce(array_agg(o.target_id), '{}') INTO gone FROM left_over AS o;
                END IF;
                IF cardinality(gone) > 0 THEN
                    UPDATE public.users AS t SET created_by = NULL
                    WHERE t.created_by IS NOT NULL AND t.created_by = ANY (gone);
                    DELETE FROM public.users AS t WHERE t.id = ANY (gone);
                    GET DIAGNOSTICS n = ROW_COUNT;
                    new_subjects := new_subjects - n;
                END IF;

                -- Rows that have a subject already: what has changed since.
                IF cardinality(known) > 0 THEN
                    UPDATE public.users AS t
                    SET
                        email = 'patient-' || m.source_id || '@unclaimed.invalid',
                        password_hash = '!'::text,
                        role = 'member'::text,
                        created_at = s.created_at,
                        updated_at = s.updated_at,
                        is_active = false::boolean,
                        last_login_at = (NULL)::timestamp with time zone,
                        created_by = (NULL)::integer,
                        first_name = archive.patients_forward_first_name(s.name),
                        last_name = archive.patients_forward_last_name(s.name),
                        date_of_birth = (NULL)::date,
                        phone = (NULL)::text,
                        address = (NULL)::text,
                        menopause_status = archive.patients_forward_menopause_status(s.menopause_status),
                        menopause_type = (NULL)::text,
                        years_menopause = archive.patients_forward_years_menopause(s.years_menopause),
                        hypertension = archive.patients_forward_hypertension(s.hypertension),
                        heart_disease = archive.patients_forward_heart_disease(s.heart_disease),
                        family_history_diabetes = coalesce(s.family_history, false),
                        smoking_status = archive.patients_forward_smoking_status(s.smoking),
                        consent_personal_data = (false)::boolean,
                        consent_research_participation = (false)::boolean,
                        consent_email_updates = (false)::boolean,
                        consent_analytics = (false)::boolean,
                        consent_updated_at = (NULL)::timestamp with time zone,
                        assessment_frequency_months = (3)::integer,
                        reminder_email = (true)::boolean,
                        last_assessment_reminder_sent = (NULL)::timestamp with time zone,
                        onboarding_completed = (false)::boolean,
                        account_status = ('active'::text)::text,
                        deleted_at = (NULL)::timestamp with time zone,
                        is_admin = (false)::boolean,
                        bmi = s.bmi,
                        bp_systolic = s.bp_systolic,
                        bp_diastolic = s.bp_diastolic,
                        activity = s.activity,
                        phys_activity = s.phys_activity,
                        chol = s.chol,
                        ldl = s.ldl,
                        hdl = s.hdl,
                        triglycerides = s.triglycerides
                    FROM public.patients AS s
                    JOIN archive.patients_map AS m ON m.source_id = s.id
                    WHERE s.id = ANY (known) AND t.id = m.target_id AND m.kind = 'subject'
                        AND s.id <> ALL (kept)
                        AND (t.id IS DISTINCT FROM m.target_id
                    OR t.email COLLATE "C" IS DISTINCT FROM 'patient-' || m.source_id || '@unclaimed.invalid'
                    OR t.password_hash COLLATE "C" IS DISTINCT FROM '!'::text
                    OR t.role COLLATE "C" IS DISTINCT FROM 'member'::text
                    OR t.created_at IS DISTINCT FROM s.created_at
                    OR t.updated_at IS DISTINCT FROM s.updated_at
                    OR t.is_active IS DISTINCT FROM false::boolean
                    OR t.last_login_at IS DISTINCT FROM (NULL)::timestamp with time zone
                    OR t.created_by IS DISTINCT FROM (NULL)::integer
                    OR t.first_name COLLATE "C" IS DISTINCT FROM archive.patients_forward_first_name(s.name)
                    OR t.last_name COLLATE "C" IS DISTINCT FROM archive.patients_forward_last_name(s.name)
                    OR t.date_of_birth IS DISTINCT FROM (NULL)::date
                    OR t.phone COLLATE "C" IS DISTINCT FROM (NULL)::text
                    OR t.address COLLATE "C" IS DISTINCT FROM (NULL)::text
                    OR t.menopause_status COLLATE "C" IS DISTINCT FROM archive.patients_forward_menopause_status(s.menopause_status)
                    OR t.menopause_type COLLATE "C" IS DISTINCT FROM (NULL)::text
                    OR t.years_menopause IS DISTINCT FROM archive.patients_forward_years_menopause(s.years_menopause)
                    OR t.hypertension COLLATE "C" IS DISTINCT FROM archive.patients_forward_hypertension(s.hypertension)
                    OR t.heart_disease COLLATE "C" IS DISTINCT FROM archive.patients_forward_heart_disease(s.heart_disease)
                    OR t.family_history_diabetes IS DISTINCT FROM coalesce(s.family_history, false)
                    OR t.smoking_status COLLATE "C" IS DISTINCT FROM archive.patients_forward_smoking_status(s.smoking)
                    OR t.consent_personal_data IS DISTINCT FROM (false)::boolean
                    OR t.consent_research_participation IS DISTINCT FROM (false)::boolean
                    OR t.consent_email_updates IS DISTINCT FROM (false)::boolean
                    OR t.consent_analytics IS DISTINCT FROM (false)::boolean
                    OR t.consent_updated_at IS DISTINCT FROM (NULL)::timestamp with time zone
                    OR t.assessment_frequency_months IS DISTINCT FROM (3)::integer
                    OR t.reminder_email IS DISTINCT FROM (true)::boolean
                    OR t.last_assessment_reminder_sent IS DISTINCT FROM (NULL)::timestamp with time zone
                    OR t.onboarding_completed IS DISTINCT FROM (false)::boolean
                    OR t.account_status COLLATE "C" IS DISTINCT FROM ('active'::text)::text
                    OR t.deleted_at IS DISTINCT FROM (NULL)::timestamp with time zone
                    OR t.is_admin IS DISTINCT FROM (false)::boolean
                    OR t.bmi IS DISTINCT FROM s.bmi
                    OR t.bp_systolic IS DISTINCT FROM s.bp_systolic
                    OR t.bp_diastolic IS DISTINCT FROM s.bp_diastolic
                    OR t.activity COLLATE "C" IS DISTINCT FROM s.activity
                    OR t.phys_activity IS DISTINCT FROM s.phys_activity
                    OR t.chol IS DISTINCT FROM s.chol
                    OR t.ldl IS DISTINCT FROM s.ldl
                    OR t.hdl IS DISTINCT FROM s.hdl
                    OR t.triglycerides IS DISTINCT FROM s.triglycerides);
                    WITH changed AS (
                        SELECT m.source_id, m.target_id, m.kind, m.turn, m.row_hash, hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0) AS new_hash
                        FROM archive.patients_map AS m
                        JOIN public.patients AS s ON s.id = m.source_id
                        WHERE m.source_id = ANY (known) AND m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)
                    ), noted AS (
                        INSERT INTO archive.patients_stage_former (source_id, target_id, kind, turn, row_hash)
                        SELECT source_id, target_id, kind, turn, row_hash FROM changed WHERE turn < g.turn
                        ON CONFLICT (source_id) DO NOTHING
                    )
                    UPDATE archive.patients_map AS m SET row_hash = c.new_hash FROM changed AS c WHERE m.source_id = c.source_id;
                END IF;

                -- Rows that have none: the same id where no row of users can ever have had it.
                IF cardinality(fresh) > 0 THEN
                    INSERT INTO archive.patients_map (source_id, target_id, kind, turn, row_hash)
                    SELECT
                        new.id,
                        CASE WHEN new.id <@ g.free
                            AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = new.id)
                            THEN new.id ELSE nextval('public.users_id_seq') END,
                        'subject',
                        g.turn,
                        new.row_hash
                    FROM (
                        SELECT s.id AS id, hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0) AS row_hash
                        FROM public.patients AS s
                        WHERE s.id = ANY (fresh)
                        ORDER BY s.id
                    ) AS new;
                END IF;
                INSERT INTO public.users (
                    id, email, password_hash, role, created_at, updated_at, is_active, first_name, last_name, menopause_status, years_menopause, hypertension, heart_disease, family_history_diabetes, smoking_status, consent_personal_data, consent_analytics, consent_updated_at, bmi, bp_systolic, bp_diastolic, activity, phys_activity, chol, ldl, hdl, triglycerides
                )
                SELECT
                    m.target_id,
                    'patient-' || m.source_id || '@unclaimed.invalid',
                    '!'::text,
                    'member'::text,
                    s.created_at,
                    s.updated_at,
                    false::boolean,
                    archive.patients_forward_first_name(s.name),
                    archive.patients_forward_last_name(s.name),
                    archive.patients_forward_menopause_status(s.menopause_status),
                    archive.patients_forward_years_menopause(s.years_menopause),
                    archive.patients_forward_hypertension(s.hypertension),
                    archive.patients_forward_heart_disease(s.heart_disease),
                    coalesce(s.family_history, false),
                    archive.patients_forward_smoking_status(s.smoking),
                    (false)::boolean,
                    (false)::boolean,
                    (NULL)::timestamp with time zone,
                    s.bmi,
                    s.bp_systolic,
                    s.bp_diastolic,
                    s.activity,
                    s.phys_activity,
                    s.chol,
                    s.ldl,
                    s.hdl,
                    s.triglycerides
                FROM public.patients AS s
                JOIN archive.patients_map AS m ON m.source_id = s.id
                WHERE s.id = ANY (fresh || lacking) AND m.kind = 'subject' AND s.id <> ALL (kept);
                GET DIAGNOSTICS n = ROW_COUNT;
                new_subjects := new_subjects + n;
                IF cardinality(kept) > 0 THEN
                    UPDATE public.users AS t
                    SET
                        email = x.email,
                        password_hash = x.password_hash,
                        role = x.role,
                        created_at = x.created_at,
                        updated_at = x.updated_at,
                        is_active = x.is_active,
                        last_login_at = x.last_login_at,
                        created_by = x.created_by,
                        first_name = x.first_name,
                        last_name = x.last_name,
                        date_of_birth = x.date_of_birth,
                        phone = x.phone,
                        address = x.address,
                        menopause_status = x.menopause_status,
                        menopause_type = x.menopause_type,
                        years_menopause = x.years_menopause,
                        hypertension = x.hypertension,
                        heart_disease = x.heart_disease,
                        family_history_diabetes = x.family_history_diabetes,
                        smoking_status = x.smoking_status,
                        consent_personal_data = x.consent_personal_data,
                        consent_research_participation = x.consent_research_participation,
                        consent_email_updates = x.consent_email_updates,
                        consent_analytics = x.consent_analytics,
                        consent_updated_at = x.consent_updated_at,
                        assessment_frequency_months = x.assessment_frequency_months,
                        reminder_email = x.reminder_email,
                        last_assessment_reminder_sent = x.last_assessment_reminder_sent,
                        onboarding_completed = x.onboarding_completed,
                        account_status = x.account_status,
                        deleted_at = x.deleted_at,
                        is_admin = x.is_admin,
                        bmi = x.bmi,
                        bp_systolic = x.bp_systolic,
                        bp_diastolic = x.bp_diastolic,
                        activity = x.activity,
                        phys_activity = x.phys_activity,
                        chol = x.chol,
                        ldl = x.ldl,
                        hdl = x.hdl,
                        triglycerides = x.triglycerides
                    FROM (
                        SELECT
                            m.target_id AS id,
                            'patient-' || m.source_id || '@unclaimed.invalid' AS email,
                            '!'::text AS password_hash,
                            'member'::text AS role,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.created_at), ROW(w.created_at)) THEN k.created_at ELSE s.created_at END AS created_at,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.updated_at), ROW(w.updated_at)) THEN k.updated_at ELSE s.updated_at END AS updated_at,
                            false::boolean AS is_active,
                            (NULL)::timestamp with time zone AS last_login_at,
                            (NULL)::integer AS created_by,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.first_name ELSE archive.patients_forward_first_name(s.name) END AS first_name,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.last_name ELSE archive.patients_forward_last_name(s.name) END AS last_name,
                            k.date_of_birth AS date_of_birth,
                            k.phone AS phone,
                            k.address AS address,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.menopause_status), ROW(w.menopause_status)) THEN k.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END AS menopause_status,
                            k.menopause_type AS menopause_type,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.years_menopause), ROW(w.years_menopause)) THEN k.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END AS years_menopause,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hypertension), ROW(w.hypertension)) THEN k.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END AS hypertension,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.heart_disease), ROW(w.heart_disease)) THEN k.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END AS heart_disease,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.family_history), ROW(w.family_history)) THEN k.family_history_diabetes ELSE coalesce(s.family_history, false) END AS family_history_diabetes,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.smoking), ROW(w.smoking)) THEN k.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END AS smoking_status,
                            k.consent_personal_data AS consent_personal_data,
                            k.consent_research_participation AS consent_research_participation,
                            k.consent_email_updates AS consent_email_updates,
                            k.consent_analytics AS consent_analytics,
                            k.consent_updated_at AS consent_updated_at,
                            k.assessment_frequency_months AS assessment_frequency_months,
                            k.reminder_email AS reminder_email,
                            k.last_assessment_reminder_sent AS last_assessment_reminder_sent,
                            k.onboarding_completed AS onboarding_completed,
                            k.account_status AS account_status,
                            k.deleted_at AS deleted_at,
                            k.is_admin AS is_admin,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bmi), ROW(w.bmi)) THEN k.bmi ELSE s.bmi END AS bmi,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_systolic), ROW(w.bp_systolic)) THEN k.bp_systolic ELSE s.bp_systolic END AS bp_systolic,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_diastolic), ROW(w.bp_diastolic)) THEN k.bp_diastolic ELSE s.bp_diastolic END AS bp_diastolic,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.activity), ROW(w.activity)) THEN k.activity ELSE s.activity END AS activity,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.phys_activity), ROW(w.phys_activity)) THEN k.phys_activity ELSE s.phys_activity END AS phys_activity,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.chol), ROW(w.chol)) THEN k.chol ELSE s.chol END AS chol,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.ldl), ROW(w.ldl)) THEN k.ldl ELSE s.ldl END AS ldl,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hdl), ROW(w.hdl)) THEN k.hdl ELSE s.hdl END AS hdl,
                            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.triglycerides), ROW(w.triglycerides)) THEN k.triglycerides ELSE s.triglycerides END AS triglycerides
                        FROM public.patients AS s
                        JOIN archive.patients_map AS m ON m.source_id = s.id
                        JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = g.turn - 1
                        LEFT JOIN archive.patients_written_patients AS w ON w.source_id = m.source_id AND w.turn = g.turn - 1
                        WHERE s.id = ANY (kept)
                            AND NOT EXISTS (SELECT FROM archive.patients_stage_late AS l WHERE l.target_id = m.target_id)
                    ) AS x
                    WHERE t.id = x.id
                        AND record_image_ne(
                            ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by, t.first_name, t.last_name, t.date_of_birth, t.phone, t.address, t.menopause_status, t.menopause_type, t.years_menopause, t.hypertension, t.heart_disease, t.family_history_diabetes, t.smoking_status, t.consent_personal_data, t.consent_research_participation, t.consent_email_updates, t.consent_analytics, t.consent_updated_at, t.assessment_frequency_months, t.reminder_email, t.last_assessment_reminder_sent, t.onboarding_completed, t.account_status, t.deleted_at, t.is_admin, t.bmi, t.bp_systolic, t.bp_diastolic, t.activity, t.phys_activity, t.chol, t.ldl, t.hdl, t.triglycerides),
                            ROW(x.id, x.email, x.password_hash, x.role, x.created_at, x.updated_at, x.is_active, x.last_login_at, x.created_by, x.first_name, x.last_name, x.date_of_birth, x.phone, x.address, x.menopause_status, x.menopause_type, x.years_menopause, x.hypertension, x.heart_disease, x.family_history_diabetes, x.smoking_status, x.consent_personal_data, x.consent_research_participation, x.consent_email_updates, x.consent_analytics, x.consent_updated_at, x.assessment_frequency_months, x.reminder_email, x.last_assessment_reminder_sent, x.onboarding_completed, x.account_status, x.deleted_at, x.is_admin, x.bmi, x.bp_systolic, x.bp_diastolic, x.activity, x.phys_activity, x.chol, x.ldl, x.hdl, x.triglycerides));
                    INSERT INTO public.users (
                        id, email, password_hash, role, created_at, updated_at, is_active, last_login_at, created_by, first_name, last_name, date_of_birth, phone, address, menopause_status, menopause_type, years_menopause, hypertension, heart_disease, family_history_diabetes, smoking_status, consent_personal_data, consent_research_participation, consent_email_updates, consent_analytics, consent_updated_at, assessment_frequency_months, reminder_email, last_assessment_reminder_sent, onboarding_completed, account_status, deleted_at, is_admin, bmi, bp_systolic, bp_diastolic, activity, phys_activity, chol, ldl, hdl, triglycerides
                    )
                    SELECT
                        m.target_id,
                        'patient-' || m.source_id || '@unclaimed.invalid',
                        '!'::text,
                        'member'::text,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.created_at), ROW(w.created_at)) THEN k.created_at ELSE s.created_at END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.updated_at), ROW(w.updated_at)) THEN k.updated_at ELSE s.updated_at END,
                        false::boolean,
                        (NULL)::timestamp with time zone,
                        (NULL)::integer,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.first_name ELSE archive.patients_forward_first_name(s.name) END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.last_name ELSE archive.patients_forward_last_name(s.name) END,
                        k.date_of_birth,
                        k.phone,
                        k.address,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.menopause_status), ROW(w.menopause_status)) THEN k.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END,
                        k.menopause_type,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.years_menopause), ROW(w.years_menopause)) THEN k.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hypertension), ROW(w.hypertension)) THEN k.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.heart_disease), ROW(w.heart_disease)) THEN k.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.family_history), ROW(w.family_history)) THEN k.family_history_diabetes ELSE coalesce(s.family_history, false) END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.smoking), ROW(w.smoking)) THEN k.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END,
                        k.consent_personal_data,
                        k.consent_research_participation,
                        k.consent_email_updates,
                        k.consent_analytics,
                        k.consent_updated_at,
                        k.assessment_frequency_months,
                        k.reminder_email,
                        k.last_assessment_reminder_sent,
                        k.onboarding_completed,
                        k.account_status,
                        k.deleted_at,
                        k.is_admin,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bmi), ROW(w.bmi)) THEN k.bmi ELSE s.bmi END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_systolic), ROW(w.bp_systolic)) THEN k.bp_systolic ELSE s.bp_systolic END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_diastolic), ROW(w.bp_diastolic)) THEN k.bp_diastolic ELSE s.bp_diastolic END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.activity), ROW(w.activity)) THEN k.activity ELSE s.activity END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.phys_activity), ROW(w.phys_activity)) THEN k.phys_activity ELSE s.phys_activity END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.chol), ROW(w.chol)) THEN k.chol ELSE s.chol END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.ldl), ROW(w.ldl)) THEN k.ldl ELSE s.ldl END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hdl), ROW(w.hdl)) THEN k.hdl ELSE s.hdl END,
                        CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.triglycerides), ROW(w.triglycerides)) THEN k.triglycerides ELSE s.triglycerides END
                    FROM public.patients AS s
                    JOIN archive.patients_map AS m ON m.source_id = s.id
                    JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = g.turn - 1
                    LEFT JOIN archive.patients_written_patients AS w ON w.source_id = m.source_id AND w.turn = g.turn - 1
                    WHERE s.id = ANY (kept)
                        AND NOT EXISTS (SELECT FROM archive.patients_stage_late AS l WHERE l.target_id = m.target_id)
                        AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = m.target_id);
                    GET DIAGNOSTICS n = ROW_COUNT;
                    new_subjects := new_subjects + n;
                END IF;
                SELECT new_source_xor # coalesce(bit_xor(p.row_hash), 0), new_pairs + count(*) INTO new_source_xor, new_pairs
                FROM archive.patients_map AS p WHERE p.source_id = ANY (looked_at);
            END IF;

            -- Rows of users that are nobody's subject.
            IF cardinality(targets) > 0 THEN
                UPDATE archive.patients_stage AS u
                SET natives = u.natives - coalesce((SELECT range_agg(int4range(c.key, c.key, '[]')) FROM unnest(targets) AS c (key)), '{}') + coalesce(living.ids, '{}'),
                    active = u.active - coalesce((SELECT range_agg(int4range(c.key, c.key, '[]')) FROM unnest(targets) AS c (key)), '{}') + coalesce(living.active, '{}')
                FROM (
                    SELECT range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE (t.is_active OR NOT EXISTS (
                            SELECT FROM archive.patients_written_users AS b
                            JOIN archive.patients_turns AS down ON down.turn = b.turn
                            WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND b.target_id = t.id
                                AND NOT b.is_active AND NOT b.target_id <@ down.natives))) AS ids,
                        range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE t.is_active) AS active
                    FROM public.users AS t
                    WHERE t.id = ANY (targets)
                        AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject')
                ) AS living;
                WITH before AS (
                    DELETE FROM archive.patients_stage_natives AS h WHERE h.target_id = ANY (targets) RETURNING h.row_hash
                )
                SELECT coalesce(bit_xor(b.row_hash), 0) INTO new_natives_xor FROM before AS b;
                WITH now AS (
                    INSERT INTO archive.patients_stage_natives (target_id, row_hash)
                    SELECT t.id, hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)
                    FROM public.users AS t
                    WHERE t.id = ANY (targets)
                        AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject') AND (t.is_active OR NOT EXISTS (
                            SELECT FROM archive.patients_written_users AS b
                            JOIN archive.patients_turns AS down ON down.turn = b.turn
                            WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND b.target_id = t.id
                                AND NOT b.is_active AND NOT b.target_id <@ down.natives))
                    RETURNING row_hash
                )
                SELECT new_natives_xor # coalesce(bit_xor(b.row_hash), 0) INTO new_natives_xor FROM now AS b;
                UPDATE public.users AS t
                SET is_admin = CASE WHEN t.role = 'admin' THEN true ELSE (false)::boolean END
                WHERE t.id = ANY (targets) AND t.is_admin IS DISTINCT FROM CASE WHEN t.role = 'admin' THEN true ELSE (false)::boolean END
                    AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject');
            END IF;
            UPDATE archive.patients_stage AS u
            SET pairs = u.pairs + new_pairs, subjects = u.subjects + new_subjects,
                source_xor = u.source_xor # new_source_xor, natives_xor = u.natives_xor # new_natives_xor,
                is_counted = u.is_counted AND NOT unforeseen
            WHERE new_pairs <> 0 OR new_subjects <> 0 OR new_source_xor <> 0 OR new_natives_xor <> 0 OR unforeseen;
            EXIT WHEN g.walked AND cardinality(sources || targets || walk) = 0 AND NOT truncated;
        END LOOP;
        IF g.natives IS NULL THEN
            DELETE FROM archive.patients_stage_natives;
            INSERT INTO archive.patients_stage_natives (target_id, row_hash)
            SELECT t.id, hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)
            FROM public.users AS t
            WHERE NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject') AND (t.is_active OR NOT EXISTS (
                            SELECT FROM archive.patients_written_users AS b
                            JOIN archive.patients_turns AS down ON down.turn = b.turn
                            WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND b.target_id = t.id
                                AND NOT b.is_active AND NOT b.target_id <@ down.natives));
            UPDATE archive.patients_stage AS u
            SET natives = coalesce(living.ids, '{}'), active = coalesce(living.active, '{}'),
                natives_xor = (SELECT coalesce(bit_xor(h.row_hash), 0) FROM archive.patients_stage_natives AS h)
            FROM (
                SELECT range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE (t.is_active OR NOT EXISTS (
                            SELECT FROM archive.patients_written_users AS b
                            JOIN archive.patients_turns AS down ON down.turn = b.turn
                            WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND b.target_id = t.id
                                AND NOT b.is_active AND NOT b.target_id <@ down.natives))) AS ids,
                    range_agg(int4range(t.id, t.id, '[]')) FILTER (WHERE t.is_active) AS active
                FROM public.users AS t
                WHERE NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject')
            ) AS living;
            UPDATE public.users AS t
            SET is_admin = true
            WHERE t.role = 'admin' AND NOT t.is_admin
                AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject');

        END IF;
    EXCEPTION WHEN integrity_constraint_violation THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
        RAISE EXCEPTION USING ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s of %s does not let a subject or a native in.',
                '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
            HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
    END;

    UPDATE archive.patients_stage
    SET is_counted = true,
        pairs = (SELECT count(*) FROM archive.patients_map),
        source_xor = (SELECT coalesce(bit_xor(m.row_hash), 0) FROM archive.patients_map AS m),
        subjects = (SELECT count(*) FROM archive.patients_map AS p JOIN public.users AS t ON t.id = p.target_id WHERE p.kind = 'subject')
    WHERE NOT is_counted;
    UPDATE archive.patients_turns AS u
    SET target_used = s.target_used,
        natives = s.natives,
        active = s.active,
        settings = u.settings || '{"staged": true}',
        counts = u.counts || jsonb_build_object('natives', s.living + s.others, 'pairs', s.pairs, 'subjects', s.subjects),
        fingerprints = jsonb_build_object(
            'source', jsonb_build_object('rows', s.pairs, 'xor', s.source_xor),
            'target', jsonb_build_object('rows', s.living, 'xor', s.natives_xor))
    FROM (
        SELECT e.*, (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(e.natives) AS r) AS living,
            CASE WHEN e.turn = 1 THEN 0 ELSE (SELECT count(*)
            FROM archive.patients_written_users AS b
            JOIN public.users AS t ON t.id = b.target_id
            WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND NOT ((t.is_active OR NOT EXISTS (
                    SELECT FROM archive.patients_written_users AS b
                    JOIN archive.patients_turns AS down ON down.turn = b.turn
                    WHERE b.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND b.target_id = t.id
                        AND NOT b.is_active AND NOT b.target_id <@ down.natives))) AND NOT EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = t.id AND p.kind = 'subject')) END AS others
        FROM archive.patients_stage AS e
    ) AS s
    WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns);
    IF current_setting('refactorkit.later') = 'on' THEN
        INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule)
        SELECT (SELECT max(turn) FROM archive.patients_turns), 'patients', f.source_id::text, '', 'deleted in version 10'
        FROM archive.patients_stage_former AS f
        WHERE f.aside AND NOT EXISTS (SELECT FROM public.patients AS s WHERE s.id = f.source_id);
        INSERT INTO archive.patients_past (turn, source_id, target_id)
        SELECT (SELECT max(turn) FROM archive.patients_turns), f.source_id, f.target_id FROM archive.patients_stage_former AS f WHERE f.aside;
    END IF;
    END IF;
    IF to_regclass('archive.patients_stage') IS NOT NULL THEN
        IF (SELECT u.roomy FROM archive.patients_stage AS u) THEN
            ALTER TABLE public.users RESET (fillfactor);
        END IF;
        ALTER TABLE archive.patients_map RESET (fillfactor);
        DROP TABLE archive.patients_stage, archive.patients_stage_captured, archive.patients_stage_parked, archive.patients_stage_natives, archive.patients_stage_former;
        DROP FUNCTION IF EXISTS archive.patients_stage_capture_source();
        DROP FUNCTION IF EXISTS archive.patients_stage_capture_target();
        DROP FUNCTION IF EXISTS archive.patients_stage_shield();
        DROP FUNCTION IF EXISTS archive.patients_stage_batch();
        DROP FUNCTION IF EXISTS archive.patients_stage_refer_1();
        DROP FUNCTION IF EXISTS archive.patients_stage_refer_2();
    END IF;
    DROP INDEX IF EXISTS public.patients_stage_1;
    DROP INDEX IF EXISTS public.patients_stage_2;
    DROP INDEX IF EXISTS public.patients_stage_3;
END
$staged$;
-- +goose StatementEnd

-- == patients moves into the archive ==
-- Its foreign keys first: one that stayed live would empty the archive by a cascade.

ALTER TABLE public.assessments DROP CONSTRAINT IF EXISTS assessments_patient_id_fkey;
ALTER TABLE public.patients DROP CONSTRAINT IF EXISTS fk_patients_user_id;
ALTER TABLE IF EXISTS public.patients SET SCHEMA archive;

-- Pairs whose patients row was deleted in version 10: the subject does not return, what is kept of it stays.
INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule)
SELECT (SELECT max(turn) FROM archive.patients_turns), 'patients', m.source_id::text, '', 'deleted in version 10'
FROM archive.patients_map AS m
LEFT JOIN archive.patients AS s ON s.id = m.source_id
WHERE s.id IS NULL AND current_setting('refactorkit.staged') = '';

-- The same for the pair of a native whose account was deleted in version 10: what showed them, if it
-- is still there, needs a new subject.
WITH gone AS (
    DELETE FROM archive.patients_map AS m
    WHERE current_setting('refactorkit.staged') = '' AND (NOT EXISTS (SELECT FROM archive.patients AS s WHERE s.id = m.source_id)
        OR (m.kind = 'native' AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = m.target_id)))
    RETURNING m.source_id, m.target_id
)
INSERT INTO archive.patients_past (turn, source_id, target_id)
SELECT (SELECT max(turn) FROM archive.patients_turns), gone.source_id, gone.target_id FROM gone;

-- Those that were withheld because they were softly deleted come back; not where the account was deleted since.
-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    UPDATE archive.patients_withheld_patients AS x
    SET refactorkit_reason = 'hard'
    WHERE x.refactorkit_reason = 'soft' AND x.refactorkit_kind = 'native'
        AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = x.refactorkit_target_id);
    EXECUTE format(
        'INSERT INTO archive.patients (%1$s) OVERRIDING SYSTEM VALUE
        SELECT %2$s FROM archive.patients_withheld_patients AS x
        WHERE x.refactorkit_reason = ''soft''',
        archive.patients_columns('archive.patients_withheld_patients', 'archive.patients', ''),
        archive.patients_columns('archive.patients_withheld_patients', 'archive.patients', 'x.')
    );
    INSERT INTO archive.patients_map (source_id, target_id, kind, turn)
    SELECT id, refactorkit_target_id, refactorkit_kind, (SELECT max(turn) FROM archive.patients_turns)
    FROM archive.patients_withheld_patients WHERE refactorkit_reason = 'soft';
    IF current_setting('refactorkit.later') = 'on' THEN
        INSERT INTO archive.patients_stage_late (target_id)
        SELECT x.refactorkit_target_id FROM archive.patients_withheld_patients AS x
        WHERE x.refactorkit_reason = 'soft' AND x.refactorkit_kind = 'subject';
        WITH back AS (
            UPDATE archive.patients_map AS m
            SET row_hash = hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)
            FROM archive.patients AS s
            JOIN archive.patients_withheld_patients AS x ON x.id = s.id AND x.refactorkit_reason = 'soft'
            WHERE m.source_id = s.id
            RETURNING m.row_hash
        )
        UPDATE archive.patients_turns AS u
        SET counts = u.counts || jsonb_build_object('pairs', (u.counts ->> 'pairs')::bigint + f.n),
            fingerprints = u.fingerprints || jsonb_build_object('source', jsonb_build_object(
                'rows', (u.fingerprints #>> '{source,rows}')::bigint + f.n,
                'xor', (u.fingerprints #>> '{source,xor}')::bigint # f.x))
        FROM (SELECT count(*), coalesce(bit_xor(b.row_hash), 0) FROM back AS b) AS f (n, x)
        WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns);
    END IF;
    DELETE FROM archive.patients_withheld_patients WHERE refactorkit_reason = 'soft';
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a withheld row in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- A new pair for each new row: the same id where no row of users can ever have had it.
-- An index costs a tenth when it is built at once, so the keys of the pairs are.
-- +goose StatementBegin
DO $pairs$
DECLARE
    free int4multirange := '{}';
BEGIN
    -- Ids that a `cutover --online` which was given up had kept from users.
    IF to_regclass('archive.patients_free') IS NOT NULL THEN
        SELECT coalesce(range_agg(f.ids), '{}') INTO free FROM (SELECT unnest(o.ids) AS ids FROM archive.patients_free AS o) AS f;
        DROP TABLE archive.patients_free;
    END IF;
    IF NOT current_setting('refactorkit.staged') = '' THEN
        RETURN;
    END IF;
    ALTER TABLE archive.patients_map
        DROP CONSTRAINT IF EXISTS patients_map_pkey,
        DROP CONSTRAINT IF EXISTS patients_map_target_id_key;
    INSERT INTO archive.patients_map (source_id, target_id, kind, turn, row_hash)
    SELECT
        new.id,
        CASE WHEN new.id > new.target_used
            OR (new.id <@ free AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = new.id))
            THEN new.id ELSE nextval('public.users_id_seq') END,
        'subject',
        new.turn,
        new.row_hash
    FROM (
        SELECT s.id AS id, t.target_used, t.turn, hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0) AS row_hash
        FROM archive.patients AS s
        CROSS JOIN archive.patients_turns AS t
        WHERE t.turn = (SELECT max(turn) FROM archive.patients_turns)
            AND NOT EXISTS (SELECT FROM archive.patients_map AS m WHERE m.source_id = s.id)
        ORDER BY s.id
    ) AS new;
    ALTER TABLE archive.patients_map
        ADD CONSTRAINT patients_map_pkey PRIMARY KEY (source_id),
        ADD CONSTRAINT patients_map_target_id_key UNIQUE (target_id);
    ANALYZE archive.patients_map;
END
$pairs$;
-- +goose StatementEnd

UPDATE archive.patients_turns
SET ids_after = greatest(
    ids_after,
    (SELECT last_value FROM public.users_id_seq WHERE is_called),
    (SELECT last_value FROM archive.patients_id_seq WHERE is_called))
WHERE turn = (SELECT max(turn) FROM archive.patients_turns);
SELECT setval(s.sequence, t.ids_after)
FROM archive.patients_turns AS t
CROSS JOIN (VALUES ('public.users_id_seq'::regclass), ('archive.patients_id_seq'::regclass)) AS s (sequence)
JOIN pg_sequence AS q ON q.seqrelid = s.sequence
WHERE t.turn = (SELECT max(turn) FROM archive.patients_turns) AND t.ids_after >= q.seqmin;

-- == Subjects ==

-- Where they are more than the rows that users has, its plain indexes are dropped, and built again
-- from their own definition afterwards. One that is more than its definition stays where it is.
-- +goose StatementBegin
DO $indexes$
DECLARE
    i record;
BEGIN
    DELETE FROM archive.patients_indexes;
    IF NOT current_setting('refactorkit.staged') = '' OR (SELECT count(*) FROM archive.patients_map) < 2 * (SELECT count(*) FROM public.users) THEN
        RETURN;
    END IF;
    PERFORM set_config('default_tablespace', '', true);
    INSERT INTO archive.patients_indexes (index_name, definition)
    SELECT c.relname, pg_get_indexdef(c.oid)
    FROM pg_index AS x
    JOIN pg_class AS c ON c.oid = x.indexrelid
    WHERE x.indrelid = 'public.users'::regclass AND x.indisvalid AND x.indisready AND x.indislive
        AND NOT (x.indisunique OR x.indisexclusion OR x.indisclustered OR x.indisreplident)
        AND c.reltablespace = 0 AND c.relnamespace = 'public'::regnamespace
        AND obj_description(c.oid, 'pg_class') IS NULL
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'x'))
        AND NOT EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND (coalesce(a.attstattarget, -1) <> -1 OR a.attoptions IS NOT NULL));
    FOR i IN SELECT index_name FROM archive.patients_indexes LOOP
        EXECUTE format('DROP INDEX public.%I', i.index_name);
    END LOOP;
END
$indexes$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    -- What is not to be done is not planned either: under a short lock that would be most of the time.
    IF current_setting('refactorkit.staged') = '' THEN
        -- Those that nobody touched in version 11: made from their patients row.
        INSERT INTO public.users (
            id,
            email,
            password_hash,
            role,
            created_at,
            updated_at,
            is_active,
            first_name,
            last_name,
            menopause_status,
            years_menopause,
            hypertension,
            heart_disease,
            family_history_diabetes,
            smoking_status,
            consent_personal_data,
            consent_analytics,
            consent_updated_at,
            bmi,
            bp_systolic,
            bp_diastolic,
            activity,
            phys_activity,
            chol,
            ldl,
            hdl,
            triglycerides
        )
        SELECT
            m.target_id,
            'patient-' || m.source_id || '@unclaimed.invalid',
            '!'::text,
            'member'::text,
            s.created_at,
            s.updated_at,
            false::boolean,
            archive.patients_forward_first_name(s.name),
            archive.patients_forward_last_name(s.name),
            archive.patients_forward_menopause_status(s.menopause_status),
            archive.patients_forward_years_menopause(s.years_menopause),
            archive.patients_forward_hypertension(s.hypertension),
            archive.patients_forward_heart_disease(s.heart_disease),
            coalesce(s.family_history, false),
            archive.patients_forward_smoking_status(s.smoking),
            (false)::boolean,
            (false)::boolean,
            (NULL)::timestamp with time zone,
            s.bmi,
            s.bp_systolic,
            s.bp_diastolic,
            s.activity,
            s.phys_activity,
            s.chol,
            s.ldl,
            s.hdl,
            s.triglycerides
        FROM archive.patients AS s
        JOIN archive.patients_map AS m ON m.source_id = s.id
        LEFT JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
        WHERE m.kind = 'subject' AND k.id IS NULL;

        -- A email that somebody took meanwhile stays with them.
        INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
        SELECT (SELECT max(turn) FROM archive.patients_turns), 'users', k.id::text, 'email', 'email taken meanwhile', 'patient-' || m.source_id || '@unclaimed.invalid', k.email
        FROM archive.patients_kept_users AS k
        JOIN archive.patients_map AS m ON m.target_id = k.id AND m.kind = 'subject'
        WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
            AND EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email);

        -- Those that differ: given back as they were. A column that version 10 changed since carries its new value.
        INSERT INTO public.users (
            id,
            email,
            password_hash,
            role,
            created_at,
            updated_at,
            is_active,
            last_login_at,
            created_by,
            first_name,
            last_name,
            date_of_birth,
            phone,
            address,
            menopause_status,
            menopause_type,
            years_menopause,
            hypertension,
            heart_disease,
            family_history_diabetes,
            smoking_status,
            consent_personal_data,
            consent_research_participation,
            consent_email_updates,
            consent_analytics,
            consent_updated_at,
            assessment_frequency_months,
            reminder_email,
            last_assessment_reminder_sent,
            onboarding_completed,
            account_status,
            deleted_at,
            is_admin,
            bmi,
            bp_systolic,
            bp_diastolic,
            activity,
            phys_activity,
            chol,
            ldl,
            hdl,
            triglycerides
        )
        SELECT
            m.target_id,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email) THEN 'patient-' || m.source_id || '@unclaimed.invalid' ELSE k.email END,
            k.password_hash,
            k.role,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.created_at), ROW(w.created_at)) THEN k.created_at ELSE s.created_at END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.updated_at), ROW(w.updated_at)) THEN k.updated_at ELSE s.updated_at END,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email) THEN false::boolean ELSE k.is_active END,
            k.last_login_at,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.id = k.created_by) OR EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = k.created_by) THEN k.created_by END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.first_name ELSE archive.patients_forward_first_name(s.name) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.last_name ELSE archive.patients_forward_last_name(s.name) END,
            k.date_of_birth,
            k.phone,
            k.address,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.menopause_status), ROW(w.menopause_status)) THEN k.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END,
            k.menopause_type,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.years_menopause), ROW(w.years_menopause)) THEN k.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hypertension), ROW(w.hypertension)) THEN k.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.heart_disease), ROW(w.heart_disease)) THEN k.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.family_history), ROW(w.family_history)) THEN k.family_history_diabetes ELSE coalesce(s.family_history, false) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.smoking), ROW(w.smoking)) THEN k.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END,
            k.consent_personal_data,
            k.consent_research_participation,
            k.consent_email_updates,
            k.consent_analytics,
            k.consent_updated_at,
            k.assessment_frequency_months,
            k.reminder_email,
            k.last_assessment_reminder_sent,
            k.onboarding_completed,
            k.account_status,
            k.deleted_at,
            k.is_admin,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bmi), ROW(w.bmi)) THEN k.bmi ELSE s.bmi END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_systolic), ROW(w.bp_systolic)) THEN k.bp_systolic ELSE s.bp_systolic END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_diastolic), ROW(w.bp_diastolic)) THEN k.bp_diastolic ELSE s.bp_diastolic END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.activity), ROW(w.activity)) THEN k.activity ELSE s.activity END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.phys_activity), ROW(w.phys_activity)) THEN k.phys_activity ELSE s.phys_activity END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.chol), ROW(w.chol)) THEN k.chol ELSE s.chol END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.ldl), ROW(w.ldl)) THEN k.ldl ELSE s.ldl END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hdl), ROW(w.hdl)) THEN k.hdl ELSE s.hdl END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.triglycerides), ROW(w.triglycerides)) THEN k.triglycerides ELSE s.triglycerides END
        FROM archive.patients AS s
        JOIN archive.patients_map AS m ON m.source_id = s.id
        JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
        LEFT JOIN archive.patients_written_patients AS w ON w.source_id = m.source_id AND w.turn = k.refactorkit_turn
        WHERE m.kind = 'subject'
        ORDER BY m.target_id;
    END IF;

    -- The same for those that could not be staged; empty unless Down kept something.
    IF current_setting('refactorkit.later') = 'on' THEN
        -- Those that nobody touched in version 11: made from their patients row.
        INSERT INTO public.users (
            id,
            email,
            password_hash,
            role,
            created_at,
            updated_at,
            is_active,
            first_name,
            last_name,
            menopause_status,
            years_menopause,
            hypertension,
            heart_disease,
            family_history_diabetes,
            smoking_status,
            consent_personal_data,
            consent_analytics,
            consent_updated_at,
            bmi,
            bp_systolic,
            bp_diastolic,
            activity,
            phys_activity,
            chol,
            ldl,
            hdl,
            triglycerides
        )
        SELECT
            m.target_id,
            'patient-' || m.source_id || '@unclaimed.invalid',
            '!'::text,
            'member'::text,
            s.created_at,
            s.updated_at,
            false::boolean,
            archive.patients_forward_first_name(s.name),
            archive.patients_forward_last_name(s.name),
            archive.patients_forward_menopause_status(s.menopause_status),
            archive.patients_forward_years_menopause(s.years_menopause),
            archive.patients_forward_hypertension(s.hypertension),
            archive.patients_forward_heart_disease(s.heart_disease),
            coalesce(s.family_history, false),
            archive.patients_forward_smoking_status(s.smoking),
            (false)::boolean,
            (false)::boolean,
            (NULL)::timestamp with time zone,
            s.bmi,
            s.bp_systolic,
            s.bp_diastolic,
            s.activity,
            s.phys_activity,
            s.chol,
            s.ldl,
            s.hdl,
            s.triglycerides
        FROM archive.patients AS s
        JOIN archive.patients_map AS m ON m.source_id = s.id
        LEFT JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
        WHERE m.kind = 'subject' AND k.id IS NULL AND m.target_id IN (SELECT l.target_id FROM archive.patients_stage_late AS l);

        -- A email that somebody took meanwhile stays with them.
        INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
        SELECT (SELECT max(turn) FROM archive.patients_turns), 'users', k.id::text, 'email', 'email taken meanwhile', 'patient-' || m.source_id || '@unclaimed.invalid', k.email
        FROM archive.patients_kept_users AS k
        JOIN archive.patients_map AS m ON m.target_id = k.id AND m.kind = 'subject'
        WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND m.target_id IN (SELECT l.target_id FROM archive.patients_stage_late AS l)
            AND EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email);

        -- Those that differ: given back as they were. A column that version 10 changed since carries its new value.
        INSERT INTO public.users (
            id,
            email,
            password_hash,
            role,
            created_at,
            updated_at,
            is_active,
            last_login_at,
            created_by,
            first_name,
            last_name,
            date_of_birth,
            phone,
            address,
            menopause_status,
            menopause_type,
            years_menopause,
            hypertension,
            heart_disease,
            family_history_diabetes,
            smoking_status,
            consent_personal_data,
            consent_research_participation,
            consent_email_updates,
            consent_analytics,
            consent_updated_at,
            assessment_frequency_months,
            reminder_email,
            last_assessment_reminder_sent,
            onboarding_completed,
            account_status,
            deleted_at,
            is_admin,
            bmi,
            bp_systolic,
            bp_diastolic,
            activity,
            phys_activity,
            chol,
            ldl,
            hdl,
            triglycerides
        )
        SELECT
            m.target_id,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email) THEN 'patient-' || m.source_id || '@unclaimed.invalid' ELSE k.email END,
            k.password_hash,
            k.role,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.created_at), ROW(w.created_at)) THEN k.created_at ELSE s.created_at END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.updated_at), ROW(w.updated_at)) THEN k.updated_at ELSE s.updated_at END,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email) THEN false::boolean ELSE k.is_active END,
            k.last_login_at,
            CASE WHEN EXISTS (SELECT FROM public.users AS t WHERE t.id = k.created_by) OR EXISTS (SELECT FROM archive.patients_map AS p WHERE p.target_id = k.created_by) THEN k.created_by END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.first_name ELSE archive.patients_forward_first_name(s.name) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.name), ROW(w.name)) THEN k.last_name ELSE archive.patients_forward_last_name(s.name) END,
            k.date_of_birth,
            k.phone,
            k.address,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.menopause_status), ROW(w.menopause_status)) THEN k.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END,
            k.menopause_type,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.years_menopause), ROW(w.years_menopause)) THEN k.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hypertension), ROW(w.hypertension)) THEN k.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.heart_disease), ROW(w.heart_disease)) THEN k.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.family_history), ROW(w.family_history)) THEN k.family_history_diabetes ELSE coalesce(s.family_history, false) END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.smoking), ROW(w.smoking)) THEN k.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END,
            k.consent_personal_data,
            k.consent_research_participation,
            k.consent_email_updates,
            k.consent_analytics,
            k.consent_updated_at,
            k.assessment_frequency_months,
            k.reminder_email,
            k.last_assessment_reminder_sent,
            k.onboarding_completed,
            k.account_status,
            k.deleted_at,
            k.is_admin,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bmi), ROW(w.bmi)) THEN k.bmi ELSE s.bmi END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_systolic), ROW(w.bp_systolic)) THEN k.bp_systolic ELSE s.bp_systolic END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.bp_diastolic), ROW(w.bp_diastolic)) THEN k.bp_diastolic ELSE s.bp_diastolic END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.activity), ROW(w.activity)) THEN k.activity ELSE s.activity END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.phys_activity), ROW(w.phys_activity)) THEN k.phys_activity ELSE s.phys_activity END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.chol), ROW(w.chol)) THEN k.chol ELSE s.chol END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.ldl), ROW(w.ldl)) THEN k.ldl ELSE s.ldl END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.hdl), ROW(w.hdl)) THEN k.hdl ELSE s.hdl END,
            CASE WHEN w.source_id IS NULL OR record_image_eq(ROW(s.triglycerides), ROW(w.triglycerides)) THEN k.triglycerides ELSE s.triglycerides END
        FROM archive.patients AS s
        JOIN archive.patients_map AS m ON m.source_id = s.id
        JOIN archive.patients_kept_users AS k ON k.id = m.target_id AND k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down')
        LEFT JOIN archive.patients_written_patients AS w ON w.source_id = m.source_id AND w.turn = k.refactorkit_turn
        WHERE m.kind = 'subject' AND m.target_id IN (SELECT l.target_id FROM archive.patients_stage_late AS l)
        ORDER BY m.target_id;
        UPDATE archive.patients_turns AS u
        SET counts = u.counts || jsonb_build_object('subjects', (u.counts ->> 'subjects')::bigint + (
            SELECT count(*) FROM archive.patients_stage_late AS l
            JOIN archive.patients_map AS m ON m.target_id = l.target_id
            JOIN public.users AS t ON t.id = l.target_id))
        WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns);
    END IF;
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    IF current_setting('refactorkit.later') = 'on' THEN
        UPDATE archive.patients_turns AS u
        SET fingerprints = u.fingerprints || jsonb_build_object('target', jsonb_build_object(
            'rows', (u.fingerprints #>> '{target,rows}')::bigint,
            'xor', (u.fingerprints #>> '{target,xor}')::bigint # (
                SELECT coalesce(bit_xor(hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)), 0)
                FROM archive.patients_kept_users AS k
                JOIN public.users AS t ON t.id = k.id
                WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND k.refactorkit_kind = 'native'
                    AND t.id <@ u.natives)))
        WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns);
    END IF;

    -- Natives get back what version 10 could not hold.
    UPDATE public.users AS t
    SET
        role = CASE WHEN record_image_eq(ROW(t.role), ROW(b.role)) THEN k.role ELSE t.role END,
        is_active = CASE WHEN record_image_eq(ROW(t.is_active), ROW(b.is_active)) THEN k.is_active ELSE t.is_active END,
        created_by = CASE WHEN record_image_eq(ROW(t.created_by), ROW(b.created_by)) AND EXISTS (SELECT FROM public.users AS p WHERE p.id = k.created_by) THEN k.created_by ELSE t.created_by END,
        first_name = CASE WHEN w.source_id IS NULL THEN k.first_name WHEN s.id IS NULL THEN k.first_name WHEN record_image_eq(ROW(s.name), ROW(w.name)) THEN k.first_name ELSE archive.patients_forward_first_name(s.name) END,
        last_name = CASE WHEN w.source_id IS NULL THEN k.last_name WHEN s.id IS NULL THEN k.last_name WHEN record_image_eq(ROW(s.name), ROW(w.name)) THEN k.last_name ELSE archive.patients_forward_last_name(s.name) END,
        date_of_birth = k.date_of_birth,
        phone = k.phone,
        address = k.address,
        menopause_status = CASE WHEN w.source_id IS NULL THEN k.menopause_status WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.menopause_status), ROW(w.menopause_status)) THEN k.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END,
        menopause_type = k.menopause_type,
        years_menopause = CASE WHEN w.source_id IS NULL THEN k.years_menopause WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.years_menopause), ROW(w.years_menopause)) THEN k.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END,
        hypertension = CASE WHEN w.source_id IS NULL THEN k.hypertension WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.hypertension), ROW(w.hypertension)) THEN k.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END,
        heart_disease = CASE WHEN w.source_id IS NULL THEN k.heart_disease WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.heart_disease), ROW(w.heart_disease)) THEN k.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END,
        family_history_diabetes = CASE WHEN w.source_id IS NULL THEN k.family_history_diabetes WHEN s.id IS NULL THEN (false)::boolean WHEN record_image_eq(ROW(s.family_history), ROW(w.family_history)) THEN k.family_history_diabetes ELSE coalesce(s.family_history, false) END,
        smoking_status = CASE WHEN w.source_id IS NULL THEN k.smoking_status WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.smoking), ROW(w.smoking)) THEN k.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END,
        consent_personal_data = k.consent_personal_data,
        consent_research_participation = k.consent_research_participation,
        consent_email_updates = k.consent_email_updates,
        consent_analytics = k.consent_analytics,
        consent_updated_at = k.consent_updated_at,
        assessment_frequency_months = k.assessment_frequency_months,
        reminder_email = k.reminder_email,
        last_assessment_reminder_sent = k.last_assessment_reminder_sent,
        onboarding_completed = k.onboarding_completed,
        account_status = k.account_status,
        deleted_at = k.deleted_at,
        is_admin = CASE WHEN record_image_eq(ROW(t.role), ROW(b.role)) THEN k.is_admin ELSE t.role = 'admin' END,
        bmi = CASE WHEN w.source_id IS NULL THEN k.bmi WHEN s.id IS NULL THEN (NULL)::numeric(5,2) WHEN record_image_eq(ROW(s.bmi), ROW(w.bmi)) THEN k.bmi ELSE s.bmi END,
        bp_systolic = CASE WHEN w.source_id IS NULL THEN k.bp_systolic WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.bp_systolic), ROW(w.bp_systolic)) THEN k.bp_systolic ELSE s.bp_systolic END,
        bp_diastolic = CASE WHEN w.source_id IS NULL THEN k.bp_diastolic WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.bp_diastolic), ROW(w.bp_diastolic)) THEN k.bp_diastolic ELSE s.bp_diastolic END,
        activity = CASE WHEN w.source_id IS NULL THEN k.activity WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.activity), ROW(w.activity)) THEN k.activity ELSE s.activity END,
        phys_activity = CASE WHEN w.source_id IS NULL THEN k.phys_activity WHEN s.id IS NULL THEN (NULL)::boolean WHEN record_image_eq(ROW(s.phys_activity), ROW(w.phys_activity)) THEN k.phys_activity ELSE s.phys_activity END,
        chol = CASE WHEN w.source_id IS NULL THEN k.chol WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.chol), ROW(w.chol)) THEN k.chol ELSE s.chol END,
        ldl = CASE WHEN w.source_id IS NULL THEN k.ldl WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.ldl), ROW(w.ldl)) THEN k.ldl ELSE s.ldl END,
        hdl = CASE WHEN w.source_id IS NULL THEN k.hdl WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.hdl), ROW(w.hdl)) THEN k.hdl ELSE s.hdl END,
        triglycerides = CASE WHEN w.source_id IS NULL THEN k.triglycerides WHEN s.id IS NULL THEN (NULL)::integer WHEN record_image_eq(ROW(s.triglycerides), ROW(w.triglycerides)) THEN k.triglycerides ELSE s.triglycerides END
    FROM archive.patients_kept_users AS k
    JOIN archive.patients_written_users AS b ON b.turn = k.refactorkit_turn AND b.target_id = k.id
    LEFT JOIN archive.patients_written_patients AS w ON w.target_id = k.id AND w.turn = k.refactorkit_turn
    LEFT JOIN archive.patients_map AS m ON m.target_id = k.id
    LEFT JOIN archive.patients AS s ON s.id = m.source_id
    WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND k.refactorkit_kind = 'native' AND t.id = k.id;
    IF current_setting('refactorkit.later') = 'on' THEN
        UPDATE archive.patients_turns AS u
        SET fingerprints = u.fingerprints || jsonb_build_object('target', jsonb_build_object(
            'rows', (u.fingerprints #>> '{target,rows}')::bigint,
            'xor', (u.fingerprints #>> '{target,xor}')::bigint # (
                SELECT coalesce(bit_xor(hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)), 0)
                FROM archive.patients_kept_users AS k
                JOIN public.users AS t ON t.id = k.id
                WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND k.refactorkit_kind = 'native'
                    AND t.id <@ u.natives)))
        WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns);
    END IF;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a subject or a native in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $late$
BEGIN
    IF to_regclass('archive.patients_stage_late') IS NOT NULL THEN
        DROP TABLE archive.patients_stage_late;
    END IF;
END
$late$;
-- +goose StatementEnd

-- Columns that someone added to users belong to the subjects too.
-- +goose StatementBegin
DO $extra$
DECLARE
    assignments text;
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%1$I = k.%1$I', a.attname), ', ') INTO assignments
    FROM pg_attribute AS a
    JOIN pg_attribute AS k
        ON k.attrelid = 'archive.patients_kept_users'::regclass AND k.attname = a.attname AND NOT k.attisdropped
    WHERE a.attrelid = 'public.users'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        AND a.attname <> ALL (ARRAY['id', 'email', 'password_hash', 'role', 'created_at', 'updated_at', 'is_active', 'last_login_at', 'created_by', 'first_name', 'last_name', 'date_of_birth', 'phone', 'address', 'menopause_status', 'menopause_type', 'years_menopause', 'hypertension', 'heart_disease', 'family_history_diabetes', 'smoking_status', 'consent_personal_data', 'consent_research_participation', 'consent_email_updates', 'consent_analytics', 'consent_updated_at', 'assessment_frequency_months', 'reminder_email', 'last_assessment_reminder_sent', 'onboarding_completed', 'account_status', 'deleted_at', 'is_admin', 'bmi', 'bp_systolic', 'bp_diastolic', 'activity', 'phys_activity', 'chol', 'ldl', 'hdl', 'triglycerides']);
    IF assignments IS NOT NULL THEN
        EXECUTE format(
            'UPDATE public.users AS t SET %s FROM archive.patients_kept_users AS k
            WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = ''down'') AND k.refactorkit_kind = ''subject'' AND t.id = k.id',
            assignments
        );
    END IF;
END
$extra$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $indexes$
DECLARE
    i record;
BEGIN
    FOR i IN SELECT definition FROM archive.patients_indexes ORDER BY index_name LOOP
        EXECUTE i.definition;
    END LOOP;
    DELETE FROM archive.patients_indexes;
END
$indexes$;
-- +goose StatementEnd
CREATE INDEX IF NOT EXISTS idx_users_account_status ON public.users (account_status);
CREATE INDEX IF NOT EXISTS idx_users_assessment_reminder ON public.users (reminder_email, last_assessment_reminder_sent);
CREATE INDEX IF NOT EXISTS idx_users_consent_research ON public.users (consent_research_participation);
CREATE INDEX IF NOT EXISTS idx_users_menopause_status ON public.users (menopause_status);
-- +goose StatementBegin
DO $statistics$
BEGIN
    IF current_setting('refactorkit.staged') <> 'ready' THEN
        ANALYZE public.users;
    END IF;
END
$statistics$;
-- +goose StatementEnd

-- == assessments: the column is renamed where it stands; only the rows of colliding ids are written ==

ALTER TABLE public.assessments RENAME COLUMN patient_id TO user_id;
ALTER INDEX IF EXISTS public.idx_assessments_patient_created RENAME TO idx_assessments_user_id_created;
ALTER INDEX IF EXISTS public.idx_assessments_patient_id RENAME TO idx_assessments_user_id;
ALTER TABLE public.assessments
    ADD COLUMN IF NOT EXISTS is_self_reported boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'clinic',
    ADD COLUMN IF NOT EXISTS notes text;
ALTER TABLE public.assessments
    ALTER COLUMN is_self_reported SET DEFAULT true,
    ALTER COLUMN source SET DEFAULT 'manual'::text;

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    UPDATE public.assessments AS l
    SET user_id = m.target_id
    FROM archive.patients_map AS m
    WHERE l.user_id = m.source_id AND m.renumbered;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a row under its new id in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- What was kept of them while version 10 ran.
-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    UPDATE public.assessments AS l
    SET is_self_reported = k.is_self_reported, source = k.source, notes = k.notes
    FROM archive.patients_kept_assessments AS k
    WHERE k.turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND k.id = l.id;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a row that gets back what was kept of it in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- Rows of people who were softly deleted: withheld from version 10, given back now.
-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO public.assessments (%1$s) OVERRIDING SYSTEM VALUE
        SELECT %2$s FROM archive.patients_withheld_assessments AS x
        WHERE EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id)',
        archive.patients_columns('archive.patients_withheld_assessments', 'public.assessments', ''),
        archive.patients_columns('archive.patients_withheld_assessments', 'public.assessments', 'x.')
    );
    DELETE FROM archive.patients_withheld_assessments AS x
    USING public.assessments AS l WHERE l.id = x.id;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a withheld row in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

ALTER TABLE public.assessments ADD CONSTRAINT assessments_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE NOT VALID;
-- It is validated here, unless `cutover --online` does it afterwards, when nobody is kept waiting.
-- +goose StatementBegin
DO $validate$
BEGIN
    IF current_setting('refactorkit.staged') <> 'ready' OR coalesce(current_setting('refactorkit.online', true), '') <> 'on' THEN
        ALTER TABLE public.assessments VALIDATE CONSTRAINT assessments_user_id_fkey;
        ANALYZE public.assessments;
    END IF;
END
$validate$;
-- +goose StatementEnd

-- == Rows that followed a subject into the archive ==

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO public.refresh_tokens (%1$s) OVERRIDING SYSTEM VALUE
        SELECT %2$s FROM archive.patients_kept_refresh_tokens AS x
        WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = ''down'')
            AND EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id)
            AND NOT EXISTS (SELECT FROM public.refresh_tokens AS o WHERE o.id = x.id)
            AND NOT EXISTS (SELECT FROM public.refresh_tokens AS o WHERE o.token_hash = x.token_hash)',
        archive.patients_columns('archive.patients_kept_refresh_tokens', 'public.refresh_tokens', ''),
        archive.patients_columns('archive.patients_kept_refresh_tokens', 'public.refresh_tokens', 'x.')
    );
    DELETE FROM archive.patients_kept_refresh_tokens AS x
    USING public.refresh_tokens AS d
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND d.id = x.id;
    INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule)
    SELECT (SELECT max(turn) FROM archive.patients_turns), 'refresh_tokens', concat_ws(',', x.id), '', 'no place in version 11'
    FROM archive.patients_kept_refresh_tokens AS x
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down');
    EXECUTE format(
        'INSERT INTO public.user_clinics (%1$s) OVERRIDING SYSTEM VALUE
        SELECT %2$s FROM archive.patients_kept_user_clinics AS x
        WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = ''down'')
            AND EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id)
            AND (x.clinic_id IS NULL OR EXISTS (SELECT FROM public.clinics AS p WHERE p.id = x.clinic_id))
            AND NOT EXISTS (SELECT FROM public.user_clinics AS o WHERE o.user_id = x.user_id AND o.clinic_id = x.clinic_id)',
        archive.patients_columns('archive.patients_kept_user_clinics', 'public.user_clinics', ''),
        archive.patients_columns('archive.patients_kept_user_clinics', 'public.user_clinics', 'x.')
    );
    DELETE FROM archive.patients_kept_user_clinics AS x
    USING public.user_clinics AS d
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down') AND d.user_id = x.user_id AND d.clinic_id = x.clinic_id;
    INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule)
    SELECT (SELECT max(turn) FROM archive.patients_turns), 'user_clinics', concat_ws(',', x.user_id, x.clinic_id), '', 'no place in version 11'
    FROM archive.patients_kept_user_clinics AS x
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'down');
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a row that followed a subject in.',
            '0011 Up', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- == notification_queue: moved back where it was before, made where it never was ==

ALTER TABLE IF EXISTS archive.notification_queue SET SCHEMA public;
CREATE TABLE IF NOT EXISTS public.notification_queue (
    id serial PRIMARY KEY,
    user_id integer NOT NULL,
    notification_type text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    priority integer NOT NULL DEFAULT 5,
    scheduled_for timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    status text NOT NULL DEFAULT 'pending'::text,
    error_message text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    CONSTRAINT notification_queue_notification_type_check CHECK (notification_type IN ('assessment_reminder', 'risk_alert', 'monthly_summary', 'educational')),
    CONSTRAINT notification_queue_priority_check CHECK (priority >= 1 AND priority <= 10),
    CONSTRAINT notification_queue_status_check CHECK (status IN ('pending', 'sent', 'failed'))
);
CREATE INDEX IF NOT EXISTS idx_notification_queue_status ON public.notification_queue (status, scheduled_for);
CREATE INDEX IF NOT EXISTS idx_notification_queue_user ON public.notification_queue (user_id);
-- Rows whose user did not return are kept, and leave the living table.
-- +goose StatementBegin
DO $orphans$
BEGIN
    IF NOT (current_setting('refactorkit.staged') = '' OR current_setting('refactorkit.later') = 'on') THEN
        RETURN;
    END IF;
    PERFORM archive.patients_widen('archive.patients_kept_notification_queue', 'public.notification_queue');
    EXECUTE format(
        'INSERT INTO archive.patients_kept_notification_queue (refactorkit_turn, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), %2$s FROM public.notification_queue AS x
        WHERE NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id)',
        archive.patients_columns('archive.patients_kept_notification_queue', 'public.notification_queue', ''),
        archive.patients_columns('archive.patients_kept_notification_queue', 'public.notification_queue', 'x.')
    );
    DELETE FROM public.notification_queue AS x
    WHERE NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id);
END
$orphans$;
-- +goose StatementEnd
ALTER TABLE public.notification_queue ADD CONSTRAINT notification_queue_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;

-- == The counts, the archive's fingerprint, and an end ==

-- +goose StatementBegin
DO $triggers$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT table_id, trigger_name, state FROM archive.patients_triggers ORDER BY 1, 2 LOOP
        EXECUTE format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I',
            t.table_id::regclass,
            CASE t.state WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
            t.trigger_name
        );
    END LOOP;
    DELETE FROM archive.patients_triggers;
END
$triggers$;
-- +goose StatementEnd

-- Where the archive has guards, all of it has.
-- +goose StatementBegin
DO $guard$
DECLARE
    t regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'archive.patients_map'::regclass AND tgname = 'patients_guard') THEN
        RETURN;
    END IF;
    FOR t IN
        SELECT c.oid
        FROM unnest(ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments', 'archive.patients_holds', 'archive.patients_purges', 'archive.patients_former_writes', 'archive.patients_tombstone_signatures', 'archive.patients_operations', 'archive.patients']) AS e
        JOIN pg_class AS c ON c.oid = to_regclass(e)
        WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgname = 'patients_guard')
        ORDER BY e
    LOOP
        EXECUTE format('CREATE TRIGGER patients_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION archive.patients_guard()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER patients_guard', t);
    END LOOP;
END
$guard$;
-- +goose StatementEnd

UPDATE archive.patients_map AS m
SET row_hash = hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)
FROM archive.patients AS s
WHERE current_setting('refactorkit.staged') = '' AND s.id = m.source_id AND (m.row_hash IS NULL OR m.turn < (SELECT max(turn) FROM archive.patients_turns))
    AND m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0);

-- +goose StatementBegin
DO $counts$
DECLARE
    -- Under the short lock of `cutover --online` nothing is counted: what was counted on the way must add up.
    counted CONSTANT jsonb := (SELECT counts FROM archive.patients_turns WHERE turn = (SELECT max(turn) FROM archive.patients_turns));
    is_short CONSTANT boolean := current_setting('refactorkit.staged') = 'ready' AND coalesce(current_setting('refactorkit.online', true), '') = 'on';
    sources bigint;
    targets bigint;
    natives bigint := (SELECT (counts ->> 'natives')::bigint FROM archive.patients_turns WHERE turn = (SELECT max(turn) FROM archive.patients_turns));
    pairs bigint;
    subjects bigint;
    renumbered bigint;
    acl record;
    told record;
BEGIN
    IF is_short THEN
        pairs := (counted ->> 'pairs')::bigint;
        subjects := (counted ->> 'subjects')::bigint;
        sources := subjects + (SELECT count(*) FROM archive.patients_map AS m WHERE m.kind = 'native');
        targets := natives + subjects;
        SELECT count(*) INTO renumbered FROM archive.patients_map AS m WHERE m.renumbered;
    ELSE
        SELECT count(*), count(*) FILTER (WHERE m.kind = 'subject'), count(*) FILTER (WHERE m.renumbered)
        INTO pairs, subjects, renumbered
        FROM archive.patients_map AS m;
        sources := (SELECT count(*) FROM archive.patients);
        targets := (SELECT count(*) FROM public.users);
    END IF;
    DROP INDEX IF EXISTS archive.patients_stage_renumbered, archive.patients_stage_shown;
    IF sources <> pairs OR targets <> natives + subjects THEN
        RAISE EXCEPTION USING ERRCODE = 'RK002',
            MESSAGE = format('0011 Up does not add up: %s rows of patients, %s pairs; %s rows of users, %s natives and %s subjects.',
                sources, pairs, targets, natives, subjects),
            HINT = 'Nothing was changed. This is a defect of the refactor: please report it.';
    END IF;
    IF EXISTS (
        SELECT FROM pg_constraint
        WHERE contype = 'f' AND 'archive.patients'::regclass IN (conrelid, confrelid)
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'RK002',
            MESSAGE = 'A foreign key enters or leaves the archive.',
            HINT = 'Nothing was changed. This is a defect of the refactor: please report it.';
    END IF;
    UPDATE archive.patients_turns
    SET counts = counts || jsonb_build_object(
        'sources', sources, 'pairs', pairs, 'subjects', subjects,
        'renumbered', renumbered,
        'decisions', (SELECT count(*) FROM archive.patients_decisions WHERE turn = (SELECT max(turn) FROM archive.patients_turns)))
    WHERE turn = (SELECT max(turn) FROM archive.patients_turns);

    -- Default privileges would open the archive to others: nobody else has a right there.
    IF 'archive_readers' <> ALL (string_to_array(replace(coalesce(current_setting('refactorkit.accept', true), ''), ' ', ''), ',')) THEN
        FOR acl IN
            SELECT DISTINCT x.grantee
            FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
            WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner AND x.grantee NOT IN (SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'reader'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
        UNION ALL
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'eraser'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper)
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA archive FROM %s',
                CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END);
        END LOOP;
    END IF;
    FOR acl IN
        SELECT DISTINCT c.oid::regclass AS t, x.grantee
        FROM pg_class AS c, aclexplode(c.relacl) AS x
        WHERE c.relnamespace = 'archive'::regnamespace AND c.relkind = 'r' AND c.relowner <> x.grantee
            AND x.grantee NOT IN (SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'reader'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
        UNION ALL
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'eraser'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper) AND starts_with(c.relname, 'patients_')
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', acl.t,
            CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END);
    END LOOP;
    FOR acl IN
        SELECT DISTINCT p.oid::regprocedure AS f, x.grantee
        FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x
        WHERE p.pronamespace = 'archive'::regnamespace AND p.proowner <> x.grantee
            AND starts_with(p.proname, 'patients_')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', acl.f,
            CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END);
    END LOOP;
    IF current_setting('refactorkit.staged') = '' THEN -- both tables are read for it
        UPDATE archive.patients_turns AS turn
        SET fingerprints = jsonb_build_object(
            'source', (
                SELECT jsonb_build_object('rows', f.n, 'xor', f.x)
                FROM (SELECT count(*), coalesce(bit_xor(m.row_hash), 0) FROM archive.patients_map AS m) AS f (n, x)),
            'target', (
                SELECT jsonb_build_object('rows', f.n, 'xor', f.x)
                FROM (SELECT count(*), coalesce(bit_xor(hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)), 0)
                    FROM archive.patients_turns AS u
                    CROSS JOIN LATERAL unnest(u.natives) AS r (ids)
                    JOIN public.users AS t ON t.id >= lower(r.ids) AND t.id < upper(r.ids)
                    WHERE u.turn = (SELECT max(turn) FROM archive.patients_turns)) AS f (n, x)))
        WHERE turn.turn = (SELECT max(turn) FROM archive.patients_turns);
    END IF;
    RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE = format(
        '0011 Up: %s rows of patients became %s subjects, %s of them under a new id; %s natives.',
        sources, subjects, renumbered, natives);
    FOR told IN
        SELECT format('%s: %s, %s%s: %s (%s%s)',
            '0011 Up', d.rule, d.table_name, CASE WHEN d.column_name = '' THEN '' ELSE '.' || d.column_name END,
            count(*),
            string_agg(d.row_id, ', ' ORDER BY length(d.row_id), d.row_id) FILTER (WHERE d.n <= 10),
            CASE WHEN count(*) > 10 THEN ', ...' ELSE '' END) AS sentence
        FROM (
            SELECT d.rule, d.table_name, d.column_name, d.row_id, row_number() OVER (
                PARTITION BY d.rule, d.table_name, d.column_name ORDER BY length(d.row_id), d.row_id) AS n
            FROM archive.patients_decisions AS d
            WHERE d.turn = (SELECT max(turn) FROM archive.patients_turns)
        ) AS d
        GROUP BY d.rule, d.table_name, d.column_name
        ORDER BY 1
    LOOP
        RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE = told.sentence;
    END LOOP;
    PERFORM set_config('search_path', current_setting('refactorkit.search_path'), true);
END
$counts$;
-- +goose StatementEnd

-- +goose Down

-- == Locks first: one order for everybody, and no snapshot from before them ==

SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

-- +goose StatementBegin
DO $locks$
DECLARE
    -- Types are looked up before the path is pinned.
    missing pg_catalog.text;
    wanted pg_catalog.text[] := ARRAY[
        'LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE archive.patients IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.assessments IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.refresh_tokens IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.user_clinics IN ACCESS EXCLUSIVE MODE',
        'LOCK TABLE public.notification_queue IN ACCESS EXCLUSIVE MODE'
    ];
    failed pg_catalog.text;
    limit_ms numeric;
    began timestamp with time zone;
    locked_at timestamp with time zone;
BEGIN
    -- Names in this file mean what they say, whatever the session's path; put back at the end.
    PERFORM pg_catalog.set_config('refactorkit.search_path', pg_catalog.current_setting('search_path'), true);
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '2s', true);
    END IF;
    PERFORM set_config('row_security', 'off', true);
    PERFORM set_config('standard_conforming_strings', 'on', true);
    PERFORM set_config('quote_all_identifiers', 'off', true);
    -- Whole tables are joined and indexed here: no small change on disk for it.
    PERFORM set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 65536)::text, true);
    PERFORM set_config('maintenance_work_mem',
        greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024, 262144)::text, true);
    -- ANALYZE under the lock need not be as fine as autovacuum's, which follows.
    PERFORM set_config('default_statistics_target', '30', true);

    SELECT string_agg(t, ', ') INTO missing
    FROM unnest(ARRAY['public.users', 'archive.patients', 'public.assessments', 'public.refresh_tokens', 'public.user_clinics', 'public.notification_queue']) AS t
    WHERE to_regclass(t) IS NULL;
    -- Who had the archive destroyed has said so, by name.
    IF missing IS NOT NULL AND to_regclass('archive.patients_purges') IS NOT NULL THEN
        IF EXISTS (SELECT FROM archive.patients_purges WHERE gives_up_rollback) THEN
            RAISE EXCEPTION USING ERRCODE = 'RK001',
                MESSAGE = format('the rollback was given up on %s: what it needs was destroyed (archive purge --accept no_rollback)', (
                    SELECT to_char(max(p.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD') FROM archive.patients_purges AS p WHERE p.gives_up_rollback)),
                HINT = 'Nothing was changed. archive.patients_purges says on what basis, and who approved it.';
        END IF;
    END IF;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'RK001',
            MESSAGE = format('%s is not there: this database is not at version 11, or Up ran without the archive', missing),
            HINT = 'Nothing was changed. Look at the version table: is this the database that you mean?';
    END IF;
    -- Who reads or writes through a view holds it first, and waits for the tables behind it then.
    wanted := ARRAY(SELECT format('ALTER VIEW %s RESET (check_option)', v.name) FROM (SELECT c.oid, format('%I.%I', 'v10', c.relname) AS name
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('v10') AND c.relkind = 'v' AND EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'v10' AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'refactorkit: version 10 beside version 11, patients'
        AND pg_catalog.pg_has_role(current_user, n.nspowner, 'USAGE'))
        AND c.relname = ANY (ARRAY['users', 'patients', 'assessments']::name[])) AS v ORDER BY 1) || wanted;
    -- All locks together are waited for as long as lock_timeout says. Who holds one of these tables and wants
    -- another one must not wait for us while we wait for them: then all are let go, and theirs comes first
    -- (before the server finds a deadlock, and ends one of us, after a second).
    limit_ms := (SELECT setting::numeric FROM pg_settings WHERE name = 'lock_timeout');
    began := clock_timestamp();
    LOOP
        BEGIN
            FOREACH failed IN ARRAY wanted LOOP
                PERFORM set_config('lock_timeout', greatest(1, least(
                    limit_ms - round(extract(epoch FROM clock_timestamp() - began) * 1000),
                    CASE WHEN failed <> wanted[1] THEN greatest(20, least(400, round(limit_ms / 5))) END))::text, true);
                EXECUTE failed;
                IF failed = wanted[1] THEN
                    locked_at := clock_timestamp();
                END IF;
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF clock_timestamp() - began >= limit_ms * interval '1 ms' THEN
                RAISE;
            END IF;
            wanted := ARRAY[failed] || array_remove(wanted, failed);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', limit_ms::text, true);
    PERFORM set_config('refactorkit.locked_at', locked_at::text, false);
    -- The archive's guards, where it has some, let by who says so: this transaction, and no other.
    PERFORM set_config('refactorkit.archive_writer', pg_current_xact_id()::text, true);
END
$locks$;
-- +goose StatementEnd

-- Rows that lie in the order of their keys are joined in that order: hashing a million of them costs a third more, which
-- the planner does not see. Where they lie in disorder, a hash is what it is for.
-- +goose StatementBegin
DO $order$
BEGIN
    IF (
        SELECT count(*) FROM pg_stats AS s
        WHERE s.correlation > 0.9 AND NOT s.inherited AND (s.schemaname, s.tablename, s.attname) IN (
            ('public', 'users', 'id'), ('archive', 'patients', 'id'),
            ('archive', 'patients_map', 'source_id'), ('archive', 'patients_map', 'target_id'))) = 4 THEN
        PERFORM set_config('enable_hashjoin', 'off', true);
    END IF;
END
$order$;
-- +goose StatementEnd

-- == What `cutover --keep-v10` made for version 10 beside version 11 goes: the tables come home ==

-- +goose StatementBegin
DO $former$
BEGIN
    IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'v10' AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'refactorkit: version 10 beside version 11, patients'
        AND pg_catalog.pg_has_role(current_user, n.nspowner, 'USAGE')) THEN
        RETURN;
    END IF;
    DROP VIEW IF EXISTS v10.users;
    DROP FUNCTION IF EXISTS v10.patients_write_users();
    DROP VIEW IF EXISTS v10.patients;
    DROP FUNCTION IF EXISTS v10.patients_write_patients();
    DROP VIEW IF EXISTS v10.assessments;
    DROP FUNCTION IF EXISTS v10.patients_write_assessments();
    DROP SCHEMA v10;
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = '0011 Down: somebody else has an object in schema v10, or one that hangs on its views.',
        HINT = 'Nothing was changed. Drop that object first.';
END
$former$;
-- +goose StatementEnd

-- == Guards: refuse, before anything is changed, what could not be given back ==

-- +goose StatementBegin
DO $guards$
DECLARE
    accepted CONSTANT text[] := string_to_array(
        replace(coalesce(current_setting('refactorkit.accept', true), ''), ' ', ''), ','
    );
    touched CONSTANT regclass[] := ARRAY[
        'public.users',
        'archive.patients',
        'public.assessments',
        'public.refresh_tokens',
        'public.user_clinics',
        'public.notification_queue'
    ]::regclass[];
    -- What a view or a function may not hang on, also where the operator accepts dependants.
    leaving CONSTANT regclass[] := ARRAY[
        'public.notification_queue'
    ]::regclass[];
    me CONSTANT oid := (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = current_user);
    -- `archive harden` gives the archive to a role without login, of which nobody else is a member.
    keeper CONSTANT oid := coalesce((
        SELECT n.nspowner
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        WHERE n.nspname = 'archive' AND NOT o.rolcanlogin AND NOT o.rolsuper
            AND pg_has_role(current_user, o.oid, 'USAGE')
            AND NOT EXISTS (
                SELECT FROM pg_roles AS r
                WHERE r.rolname <> current_user AND r.oid <> o.oid AND NOT r.rolsuper AND pg_has_role(r.oid, o.oid, 'MEMBER'))
    ), me);
    reader CONSTANT oid := CASE WHEN keeper <> me THEN (
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'reader'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
    ) END;
    eraser CONSTANT oid := CASE WHEN keeper <> me THEN (
        SELECT r.oid
        FROM pg_namespace AS n
        JOIN pg_roles AS o ON o.oid = n.nspowner
        JOIN pg_roles AS r ON r.rolname = left(o.rolname, -5) || 'eraser'
        WHERE n.nspname = 'archive' AND o.rolname LIKE '%\_owner' AND NOT o.rolcanlogin AND NOT r.rolcanlogin AND NOT r.rolsuper
    ) END;
    refusals text[] := '{}';
    later boolean := false;
    found bigint;
    reach numeric;
    listed text;
    again text;
BEGIN
    -- The columns are as the mapping knows them. A column that someone added is carried along; it must
    -- be able to be empty where rows are made.
    refusals := refusals || ARRAY(
        WITH known (t, c, def) AS (VALUES
            ('archive.patients'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''archive.patients_id_seq''::regclass)'),
            ('archive.patients'::regclass, 'name', 'text NOT NULL'),
            ('archive.patients'::regclass, 'age', 'integer'),
            ('archive.patients'::regclass, 'menopause_status', 'text'),
            ('archive.patients'::regclass, 'years_menopause', 'integer'),
            ('archive.patients'::regclass, 'bmi', 'numeric(5,2)'),
            ('archive.patients'::regclass, 'bp_systolic', 'integer'),
            ('archive.patients'::regclass, 'bp_diastolic', 'integer'),
            ('archive.patients'::regclass, 'activity', 'text'),
            ('archive.patients'::regclass, 'smoking', 'text'),
            ('archive.patients'::regclass, 'hypertension', 'text'),
            ('archive.patients'::regclass, 'heart_disease', 'text'),
            ('archive.patients'::regclass, 'chol', 'integer'),
            ('archive.patients'::regclass, 'ldl', 'integer'),
            ('archive.patients'::regclass, 'hdl', 'integer'),
            ('archive.patients'::regclass, 'triglycerides', 'integer'),
            ('archive.patients'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('archive.patients'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('archive.patients'::regclass, 'family_history', 'boolean'),
            ('archive.patients'::regclass, 'phys_activity', 'boolean'),
            ('archive.patients'::regclass, 'user_id', 'integer NOT NULL'),
            ('public.users'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.users_id_seq''::regclass)'),
            ('public.users'::regclass, 'email', 'text NOT NULL'),
            ('public.users'::regclass, 'password_hash', 'text NOT NULL'),
            ('public.users'::regclass, 'role', 'text NOT NULL DEFAULT ''member''::text'),
            ('public.users'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.users'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.users'::regclass, 'is_active', 'boolean NOT NULL DEFAULT true'),
            ('public.users'::regclass, 'last_login_at', 'timestamp with time zone'),
            ('public.users'::regclass, 'created_by', 'integer'),
            ('public.users'::regclass, 'first_name', 'text'),
            ('public.users'::regclass, 'last_name', 'text'),
            ('public.users'::regclass, 'date_of_birth', 'date'),
            ('public.users'::regclass, 'phone', 'text'),
            ('public.users'::regclass, 'address', 'text'),
            ('public.users'::regclass, 'menopause_status', 'text'),
            ('public.users'::regclass, 'menopause_type', 'text'),
            ('public.users'::regclass, 'years_menopause', 'integer'),
            ('public.users'::regclass, 'hypertension', 'text'),
            ('public.users'::regclass, 'heart_disease', 'text'),
            ('public.users'::regclass, 'family_history_diabetes', 'boolean NOT NULL DEFAULT false'),
            ('public.users'::regclass, 'smoking_status', 'text'),
            ('public.users'::regclass, 'consent_personal_data', 'boolean NOT NULL DEFAULT true'),
            ('public.users'::regclass, 'consent_research_participation', 'boolean NOT NULL DEFAULT false'),
            ('public.users'::regclass, 'consent_email_updates', 'boolean NOT NULL DEFAULT false'),
            ('public.users'::regclass, 'consent_analytics', 'boolean NOT NULL DEFAULT true'),
            ('public.users'::regclass, 'consent_updated_at', 'timestamp with time zone DEFAULT now()'),
            ('public.users'::regclass, 'assessment_frequency_months', 'integer NOT NULL DEFAULT 3'),
            ('public.users'::regclass, 'reminder_email', 'boolean NOT NULL DEFAULT true'),
            ('public.users'::regclass, 'last_assessment_reminder_sent', 'timestamp with time zone'),
            ('public.users'::regclass, 'onboarding_completed', 'boolean NOT NULL DEFAULT false'),
            ('public.users'::regclass, 'account_status', 'text NOT NULL DEFAULT ''active''::text'),
            ('public.users'::regclass, 'deleted_at', 'timestamp with time zone'),
            ('public.users'::regclass, 'is_admin', 'boolean NOT NULL DEFAULT false'),
            ('public.users'::regclass, 'bmi', 'numeric(5,2)'),
            ('public.users'::regclass, 'bp_systolic', 'integer'),
            ('public.users'::regclass, 'bp_diastolic', 'integer'),
            ('public.users'::regclass, 'activity', 'text'),
            ('public.users'::regclass, 'phys_activity', 'boolean'),
            ('public.users'::regclass, 'chol', 'integer'),
            ('public.users'::regclass, 'ldl', 'integer'),
            ('public.users'::regclass, 'hdl', 'integer'),
            ('public.users'::regclass, 'triglycerides', 'integer'),
            ('public.assessments'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.assessments_id_seq''::regclass)'),
            ('public.assessments'::regclass, 'user_id', 'integer'),
            ('public.assessments'::regclass, 'fbs', 'numeric(6,2)'),
            ('public.assessments'::regclass, 'hba1c', 'numeric(4,2)'),
            ('public.assessments'::regclass, 'cholesterol', 'integer'),
            ('public.assessments'::regclass, 'ldl', 'integer'),
            ('public.assessments'::regclass, 'hdl', 'integer'),
            ('public.assessments'::regclass, 'triglycerides', 'integer'),
            ('public.assessments'::regclass, 'systolic', 'integer'),
            ('public.assessments'::regclass, 'diastolic', 'integer'),
            ('public.assessments'::regclass, 'activity', 'text'),
            ('public.assessments'::regclass, 'history_flag', 'boolean'),
            ('public.assessments'::regclass, 'smoking', 'text'),
            ('public.assessments'::regclass, 'hypertension', 'text'),
            ('public.assessments'::regclass, 'heart_disease', 'text'),
            ('public.assessments'::regclass, 'bmi', 'numeric(5,2)'),
            ('public.assessments'::regclass, 'cluster', 'text'),
            ('public.assessments'::regclass, 'risk_score', 'integer'),
            ('public.assessments'::regclass, 'model_version', 'text'),
            ('public.assessments'::regclass, 'dataset_hash', 'text'),
            ('public.assessments'::regclass, 'validation_status', 'text'),
            ('public.assessments'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.assessments'::regclass, 'updated_at', 'timestamp with time zone NOT NULL DEFAULT now()'),
            ('public.assessments'::regclass, 'is_self_reported', 'boolean NOT NULL DEFAULT true'),
            ('public.assessments'::regclass, 'source', 'text NOT NULL DEFAULT ''manual''::text'),
            ('public.assessments'::regclass, 'notes', 'text'),
            ('public.notification_queue'::regclass, 'id', 'integer NOT NULL DEFAULT nextval(''public.notification_queue_id_seq''::regclass)'),
            ('public.notification_queue'::regclass, 'user_id', 'integer NOT NULL'),
            ('public.notification_queue'::regclass, 'notification_type', 'text NOT NULL'),
            ('public.notification_queue'::regclass, 'subject', 'text NOT NULL'),
            ('public.notification_queue'::regclass, 'body', 'text NOT NULL'),
            ('public.notification_queue'::regclass, 'priority', 'integer NOT NULL DEFAULT 5'),
            ('public.notification_queue'::regclass, 'scheduled_for', 'timestamp with time zone NOT NULL'),
            ('public.notification_queue'::regclass, 'sent_at', 'timestamp with time zone'),
            ('public.notification_queue'::regclass, 'status', 'text NOT NULL DEFAULT ''pending''::text'),
            ('public.notification_queue'::regclass, 'error_message', 'text'),
            ('public.notification_queue'::regclass, 'created_at', 'timestamp with time zone NOT NULL DEFAULT now()')
        ), actual AS (
            SELECT a.attrelid AS t, a.attname AS c, concat_ws(' ',
                format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attnotnull THEN 'NOT NULL' END,
                CASE WHEN a.attgenerated <> '' OR a.attidentity <> '' THEN 'GENERATED' END,
                'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) AS def
            FROM pg_attribute AS a
            LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = ANY (touched) AND a.attnum > 0 AND NOT a.attisdropped
        )
        SELECT format('%s.%s is %s, and must be %s', known.t, known.c, coalesce(actual.def, 'missing'), known.def)
        FROM known
        LEFT JOIN actual ON actual.t = known.t AND actual.c = known.c
        WHERE actual.def IS DISTINCT FROM known.def
        UNION ALL
        SELECT format('%s.%s is NOT NULL without a default, and the mapping has no value for it', actual.t::regclass, actual.c)
        FROM actual
        WHERE actual.t = ANY (ARRAY['archive.patients']::regclass[])
            AND actual.def LIKE '%NOT NULL'
            AND NOT EXISTS (SELECT FROM known WHERE known.t = actual.t AND known.c = actual.c)
        UNION ALL
        SELECT format('%s.%s is GENERATED ALWAYS AS IDENTITY: its values could not be given back', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = ANY (ARRAY['archive.patients']::regclass[]) AND a.attidentity = 'a' AND NOT a.attisdropped
        UNION ALL
        SELECT format('%s.%s has a name that the archive keeps for columns of its own (refactorkit_...): rename it', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        WHERE a.attrelid = ANY (touched) AND starts_with(a.attname, 'refactorkit_') AND NOT a.attisdropped
        ORDER BY 1
    );

    -- Whoever runs this must be able to undo it: tables and sequences belong to them, or to a role they are in.
    refusals := refusals || ARRAY(
        SELECT format('%s belongs to %s, and %s is not a member of it', c.oid::regclass, c.relowner::regrole, current_user)
        FROM pg_class AS c
        WHERE (c.oid = ANY (touched) OR c.oid IN (to_regclass('public.users_id_seq'), to_regclass('archive.patients_id_seq')))
            AND NOT pg_has_role(me, c.relowner, 'USAGE')
        ORDER BY 1
    );

    -- Ordinary tables only: an ancestor or a partition would take part unseen.
    refusals := refusals || ARRAY(
        SELECT format('%s is not an ordinary table', c.oid::regclass)
        FROM pg_class AS c
        WHERE c.oid = ANY (touched) AND (c.relkind <> 'r' OR c.relispartition)
        UNION
        SELECT format('%s takes part in inheritance with %s', i.inhrelid::regclass, i.inhparent::regclass)
        FROM pg_inherits AS i
        WHERE i.inhrelid = ANY (touched) OR i.inhparent = ANY (touched)
        ORDER BY 1
    );

    -- What Down drops need not have been validated: `cutover --online` does that after the switch.
    IF EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS a ON a.oid = c.relnamespace
        WHERE a.nspname = 'archive' AND c.relname = 'patients_turns' AND c.relkind = 'r' AND c.relowner = me) THEN
        later := coalesce((SELECT u.settings ? 'staged' FROM archive.patients_turns AS u ORDER BY u.turn DESC LIMIT 1), false);
    END IF;
    -- Foreign keys: an unknown one would be cascaded into, a known one that differs would come back changed.
    refusals := refusals || ARRAY(
        WITH known (t, name, def) AS (VALUES
            ('public.users'::regclass::oid, 'users_created_by_fkey', 'FOREIGN KEY (created_by) REFERENCES public.users(id)'),
            ('public.refresh_tokens'::regclass::oid, 'refresh_tokens_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.user_clinics'::regclass::oid, 'user_clinics_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.user_clinics'::regclass::oid, 'user_clinics_clinic_id_fkey', 'FOREIGN KEY (clinic_id) REFERENCES public.clinics(id) ON DELETE CASCADE'),
            ('public.assessments'::regclass::oid, 'assessments_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE'),
            ('public.notification_queue'::regclass::oid, 'notification_queue_user_id_fkey', 'FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE')
        )
        SELECT format('foreign key %I of %s is not known to the mapping: %s',
            c.conname, c.conrelid::regclass, pg_get_constraintdef(c.oid))
        FROM pg_constraint AS c
        WHERE c.contype = 'f' AND (c.conrelid = ANY (touched) OR c.confrelid = ANY (touched))
            AND NOT EXISTS (SELECT FROM known WHERE known.t = c.conrelid AND known.name = c.conname)
        UNION ALL
        SELECT format('foreign key %I of %s %s', known.name, known.t::regclass,
            CASE
                WHEN c.oid IS NULL THEN 'is missing'
                WHEN CASE WHEN later AND known.name = ANY (ARRAY['assessments_user_id_fkey']) THEN replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') ELSE pg_get_constraintdef(c.oid) END <> known.def
                    THEN format('is %s, and must be %s', pg_get_constraintdef(c.oid), known.def)
                WHEN NOT c.convalidated AND NOT (later AND known.name = ANY (ARRAY['assessments_user_id_fkey'])) THEN 'is not validated'
                WHEN obj_description(c.oid, 'pg_constraint') IS NOT NULL THEN 'has a comment, which would be lost'
                ELSE 'has triggers that are not in their ordinary state'
            END)
        FROM known
        LEFT JOIN pg_constraint AS c
            ON c.contype = 'f' AND c.conrelid = known.t AND c.conname = known.name
        WHERE c.oid IS NULL OR CASE WHEN later AND known.name = ANY (ARRAY['assessments_user_id_fkey']) THEN replace(pg_get_constraintdef(c.oid), ' NOT VALID', '') ELSE pg_get_constraintdef(c.oid) END <> known.def OR (NOT c.convalidated AND NOT (later AND known.name = ANY (ARRAY['assessments_user_id_fkey'])))
            OR obj_description(c.oid, 'pg_constraint') IS NOT NULL
            OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgconstraint = c.oid AND t.tgenabled <> 'O')
        ORDER BY 1
    );

    -- Views and functions follow a moved table and go on showing it, or stop a column from being dropped.
    refusals := refusals || ARRAY(
        SELECT DISTINCT format('%s depends on %s%s',
            CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END,
            r.oid::regclass,
            CASE WHEN r.oid = ANY (leaving) THEN '' ELSE ' (--accept dependants)' END)
        FROM pg_depend AS d
        JOIN pg_class AS r
            ON (d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid)
            OR (d.refclassid = 'pg_type'::regclass AND d.refobjid IN (
                r.reltype, (SELECT t.typarray FROM pg_type AS t WHERE t.oid = r.reltype)))
        LEFT JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
        WHERE r.oid = ANY (leaving)
            AND d.deptype = 'n'
            AND (d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
                OR (d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_type'::regclass))
            AND NOT ('dependants' = ANY (accepted) AND r.oid <> ALL (leaving))
            AND (w.oid IS NULL OR w.ev_class <> ALL (ARRAY(SELECT v.oid FROM (SELECT c.oid, format('%I.%I', 'v10', c.relname) AS name
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('v10') AND c.relkind = 'v' AND EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'v10' AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'refactorkit: version 10 beside version 11, patients'
        AND pg_catalog.pg_has_role(me, n.nspowner, 'USAGE'))
        AND c.relname = ANY (ARRAY['users', 'patients', 'assessments']::name[])) AS v)))
        ORDER BY 1
    );

    -- What Down drops takes everything that hangs on it: that must be the mapping's own.
    refusals := refusals || ARRAY(
        SELECT format('%s hangs on %s.%s%s, which Down drops%s',
            h.object, h.t, h.first, CASE WHEN h.n > 1 THEN format(' and %s more of its columns', h.n - 1) ELSE '' END,
            CASE WHEN h.is_part THEN ' (--accept drift)' ELSE '' END)
        FROM (
            SELECT CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                    ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END AS object,
                e.t, d.deptype = 'a' AS is_part, min(e.c) AS first, count(DISTINCT e.c) AS n
            FROM (VALUES
                ('public.users'::regclass, 'first_name'),
                ('public.users'::regclass, 'last_name'),
                ('public.users'::regclass, 'date_of_birth'),
                ('public.users'::regclass, 'phone'),
                ('public.users'::regclass, 'address'),
                ('public.users'::regclass, 'menopause_status'),
                ('public.users'::regclass, 'menopause_type'),
                ('public.users'::regclass, 'years_menopause'),
                ('public.users'::regclass, 'hypertension'),
                ('public.users'::regclass, 'heart_disease'),
                ('public.users'::regclass, 'family_history_diabetes'),
                ('public.users'::regclass, 'smoking_status'),
                ('public.users'::regclass, 'consent_personal_data'),
                ('public.users'::regclass, 'consent_research_participation'),
                ('public.users'::regclass, 'consent_email_updates'),
                ('public.users'::regclass, 'consent_analytics'),
                ('public.users'::regclass, 'consent_updated_at'),
                ('public.users'::regclass, 'assessment_frequency_months'),
                ('public.users'::regclass, 'reminder_email'),
                ('public.users'::regclass, 'last_assessment_reminder_sent'),
                ('public.users'::regclass, 'onboarding_completed'),
                ('public.users'::regclass, 'account_status'),
                ('public.users'::regclass, 'deleted_at'),
                ('public.users'::regclass, 'is_admin'),
                ('public.users'::regclass, 'bmi'),
                ('public.users'::regclass, 'bp_systolic'),
                ('public.users'::regclass, 'bp_diastolic'),
                ('public.users'::regclass, 'activity'),
                ('public.users'::regclass, 'phys_activity'),
                ('public.users'::regclass, 'chol'),
                ('public.users'::regclass, 'ldl'),
                ('public.users'::regclass, 'hdl'),
                ('public.users'::regclass, 'triglycerides'),
                ('public.assessments'::regclass, 'is_self_reported'),
                ('public.assessments'::regclass, 'source'),
                ('public.assessments'::regclass, 'notes')
            ) AS e (t, c)
            JOIN pg_attribute AS a ON a.attrelid = e.t AND a.attname = e.c AND NOT a.attisdropped
            JOIN pg_depend AS d
                ON d.refclassid = 'pg_class'::regclass AND d.refobjid = e.t AND d.refobjsubid = a.attnum
            LEFT JOIN pg_class AS i ON d.classid = 'pg_class'::regclass AND i.oid = d.objid
            LEFT JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
            LEFT JOIN pg_constraint AS c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
            WHERE d.classid <> 'pg_attrdef'::regclass AND d.deptype IN ('n', 'a')
                AND NOT (c.oid IS NOT NULL AND (c.contype::text = 'n' OR c.conname = ANY (
                    ARRAY['users_account_status_check', 'users_assessment_frequency_months_check', 'users_heart_disease_check', 'users_hypertension_check', 'users_menopause_status_check', 'users_menopause_type_check', 'users_smoking_status_check', 'users_years_menopause_check', 'assessments_user_id_fkey']::name[])))
                AND NOT (i.oid IS NOT NULL AND i.relname = ANY (
                    ARRAY['idx_users_account_status', 'idx_users_assessment_reminder', 'idx_users_consent_research', 'idx_users_menopause_status', 'idx_assessments_user_id_created', 'idx_assessments_user_id']::name[]))
                AND NOT ('drift' = ANY (accepted) AND d.deptype = 'a')
                AND (w.oid IS NULL OR w.ev_class <> ALL (ARRAY(SELECT v.oid FROM (SELECT c.oid, format('%I.%I', 'v10', c.relname) AS name
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('v10') AND c.relkind = 'v' AND EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = 'v10' AND pg_catalog.obj_description(n.oid, 'pg_namespace') = 'refactorkit: version 10 beside version 11, patients'
        AND pg_catalog.pg_has_role(me, n.nspowner, 'USAGE'))
        AND c.relname = ANY (ARRAY['users', 'patients', 'assessments']::name[])) AS v)))
            GROUP BY 1, 2, 3
        ) AS h
        ORDER BY 1
    );
    refusals := refusals || ARRAY(
        SELECT format('%s.%s has a comment, a grant or a setting of its own, which Down would lose (--accept drift)', e.t, e.c)
        FROM (VALUES
            ('public.users'::regclass, 'first_name'),
            ('public.users'::regclass, 'last_name'),
            ('public.users'::regclass, 'date_of_birth'),
            ('public.users'::regclass, 'phone'),
            ('public.users'::regclass, 'address'),
            ('public.users'::regclass, 'menopause_status'),
            ('public.users'::regclass, 'menopause_type'),
            ('public.users'::regclass, 'years_menopause'),
            ('public.users'::regclass, 'hypertension'),
            ('public.users'::regclass, 'heart_disease'),
            ('public.users'::regclass, 'family_history_diabetes'),
            ('public.users'::regclass, 'smoking_status'),
            ('public.users'::regclass, 'consent_personal_data'),
            ('public.users'::regclass, 'consent_research_participation'),
            ('public.users'::regclass, 'consent_email_updates'),
            ('public.users'::regclass, 'consent_analytics'),
            ('public.users'::regclass, 'consent_updated_at'),
            ('public.users'::regclass, 'assessment_frequency_months'),
            ('public.users'::regclass, 'reminder_email'),
            ('public.users'::regclass, 'last_assessment_reminder_sent'),
            ('public.users'::regclass, 'onboarding_completed'),
            ('public.users'::regclass, 'account_status'),
            ('public.users'::regclass, 'deleted_at'),
            ('public.users'::regclass, 'is_admin'),
            ('public.users'::regclass, 'bmi'),
            ('public.users'::regclass, 'bp_systolic'),
            ('public.users'::regclass, 'bp_diastolic'),
            ('public.users'::regclass, 'activity'),
            ('public.users'::regclass, 'phys_activity'),
            ('public.users'::regclass, 'chol'),
            ('public.users'::regclass, 'ldl'),
            ('public.users'::regclass, 'hdl'),
            ('public.users'::regclass, 'triglycerides'),
            ('public.assessments'::regclass, 'is_self_reported'),
            ('public.assessments'::regclass, 'source'),
            ('public.assessments'::regclass, 'notes')
        ) AS e (t, c)
        JOIN pg_attribute AS a ON a.attrelid = e.t AND a.attname = e.c AND NOT a.attisdropped
        WHERE (a.attacl IS NOT NULL OR a.attoptions IS NOT NULL OR coalesce(a.attstattarget, -1) <> -1
                OR col_description(a.attrelid, a.attnum) IS NOT NULL)
            AND 'drift' <> ALL (accepted)
        ORDER BY 1
    );

    -- Rules, policies, row security: they would filter or rewrite what we read and write.
    refusals := refusals || ARRAY(
        SELECT format('rule %I on %s would rewrite what is done here: drop it, and make it again afterwards', r.rulename, r.ev_class::regclass)
        FROM pg_rewrite AS r WHERE r.ev_class = ANY (touched)
        UNION
        SELECT format('policy %I on %s would hide rows or change who sees them: drop it, and make it again afterwards', p.polname, p.polrelid::regclass)
        FROM pg_policy AS p WHERE p.polrelid = ANY (touched)
        UNION
        SELECT format('row security is on for %s: switch it off, and on again afterwards', c.oid::regclass)
        FROM pg_class AS c WHERE c.oid = ANY (touched) AND (c.relrowsecurity OR c.relforcerowsecurity)
        ORDER BY 1
    );

    -- Publications: a moved table is streamed on, or drops out, without a word.
    IF 'publications' <> ALL (accepted) THEN
        refusals := refusals || ARRAY(
            SELECT format('publication %I covers %s (--accept publications)', p.pubname, r.prrelid::regclass)
            FROM pg_publication_rel AS r
            JOIN pg_publication AS p ON p.oid = r.prpubid
            WHERE r.prrelid = ANY (touched)
            UNION
            SELECT format('publication %I covers all tables, the archive too (--accept publications)', p.pubname)
            FROM pg_publication AS p WHERE p.puballtables
            ORDER BY 1
        );
        IF to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL THEN -- from PostgreSQL 15 on
            refusals := refusals || ARRAY(
                SELECT format('publication %I covers all tables of schema %s (--accept publications)',
                    p.pubname, s.pnnspid::regnamespace)
                FROM pg_publication_namespace AS s
                JOIN pg_publication AS p ON p.oid = s.pnpubid
                WHERE s.pnnspid IN ('public'::regnamespace, to_regnamespace('archive'))
                ORDER BY 1
            );
        END IF;
    END IF;

    -- Sequences: owned, one by one, upward.
    refusals := refusals || ARRAY(
        SELECT format('%s.%s does not own the sequence %s', e.t, e.c, e.s)
        FROM (VALUES ('public.users', 'id', 'public.users_id_seq'), ('archive.patients', 'id', 'archive.patients_id_seq')) AS e (t, c, s)
        WHERE to_regclass(e.s) IS NULL
            OR NOT EXISTS (
                SELECT FROM pg_depend AS d
                JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = to_regclass(e.s)
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = to_regclass(e.t)
                    AND a.attname = e.c AND d.deptype = 'a')
        UNION ALL
        SELECT format('sequence %s must have CACHE 1, a positive INCREMENT, NO CYCLE and no MAXVALUE of its own', s.seqrelid::regclass)
        FROM pg_sequence AS s
        WHERE s.seqrelid = ANY (ARRAY[to_regclass('public.users_id_seq'), to_regclass('archive.patients_id_seq')])
            AND (s.seqcache <> 1 OR s.seqincrement < 1 OR s.seqcycle OR s.seqmax < 2147483647)
        ORDER BY 1
    );

    -- Dropped columns are never used again: 33 a turn, of 1600 in the life of a table.
    refusals := refusals || ARRAY(
        SELECT format('%s has %s attribute numbers left of 1600, and 100 are wanted: rebuild it first (pg_dump, pg_restore)',
            c.oid::regclass, 1600 - c.relnatts)
        FROM pg_class AS c
        WHERE c.oid = ANY (ARRAY[]::regclass[])
            AND 1600 - c.relnatts < 100
        ORDER BY 1
    );

    -- Names that are about to be made: IF NOT EXISTS would hide what stands there.
    refusals := refusals || ARRAY(
        SELECT format('%s is there already', e)
        FROM unnest(ARRAY[
            'public.patients',
            'public.patients_id_seq',
            'public.idx_assessments_patient_created',
            'public.idx_assessments_patient_id',
            'archive.notification_queue',
            'archive.idx_notification_queue_status',
            'archive.idx_notification_queue_user',
            'archive.notification_queue_id_seq'
        ]) AS e
        WHERE to_regclass(e) IS NOT NULL
        ORDER BY 1
    );
    refusals := refusals || ARRAY(
        SELECT format('%s.%s is there already', a.attrelid::regclass, a.attname)
        FROM pg_attribute AS a
        JOIN (VALUES
            ('public.assessments'::regclass, 'patient_id')
        ) AS e (t, c) ON a.attrelid = e.t AND a.attname = e.c AND NOT a.attisdropped
        ORDER BY 1
    );
    refusals := refusals || ARRAY(
        SELECT format('constraint %I is not there', e)
        FROM unnest(ARRAY['users_account_status_check', 'users_assessment_frequency_months_check', 'users_heart_disease_check', 'users_hypertension_check', 'users_menopause_status_check', 'users_menopause_type_check', 'users_smoking_status_check', 'users_years_menopause_check', 'assessments_user_id_fkey']) AS e
        WHERE NOT EXISTS (
            SELECT FROM pg_constraint AS c WHERE c.conrelid = ANY (touched) AND c.conname = e)
            AND 'drift' <> ALL (accepted)
        ORDER BY 1
    );
    -- The archive is the runner's own, and nobody else can write there or plant a trigger.
    IF to_regnamespace('archive') IS NOT NULL THEN
        refusals := refusals || ARRAY(
            SELECT format('schema archive belongs to %s, and not to %s', n.nspowner::regrole, current_user)
            FROM pg_namespace AS n
            WHERE n.nspname = 'archive' AND n.nspowner NOT IN (me, keeper)
            UNION ALL
            SELECT format('%s has %s on schema archive', acl.who, string_agg(acl.privilege_type, ', ' ORDER BY 1))
            FROM (
                SELECT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS who, x.privilege_type
                FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
                WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
                    AND (x.privilege_type = 'CREATE' OR 'archive_readers' <> ALL (accepted))
                    AND NOT (x.privilege_type = 'USAGE' AND NOT x.is_grantable AND (x.grantee = reader OR x.grantee = eraser) IS TRUE)
            ) AS acl
            GROUP BY acl.who
            UNION ALL
            SELECT format('%s in schema archive belongs to %s, and not to %s', c.oid::regclass, c.relowner::regrole, current_user)
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace('archive') AND c.relowner NOT IN (me, keeper)
                AND c.relkind <> 'i'
                AND c.oid NOT IN (SELECT x FROM unnest(ARRAY[to_regclass('archive.patients')]::oid[]) AS x WHERE x IS NOT NULL)
                AND c.oid NOT IN (
                    SELECT d.objid FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                        AND d.refobjid = ANY (ARRAY[to_regclass('archive.patients')]::oid[]))
            UNION ALL
            SELECT format('%s in schema archive belongs to %s, and not to %s', p.oid::regprocedure, p.proowner::regrole, current_user)
            FROM pg_proc AS p
            WHERE p.pronamespace = to_regnamespace('archive') AND p.proowner NOT IN (me, keeper)
            UNION ALL
            SELECT format('others may write to %s', c.oid::regclass)
            FROM pg_class AS c
            WHERE c.relnamespace = to_regnamespace('archive') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                AND c.oid <> ALL (touched)
                AND c.oid NOT IN (SELECT x FROM unnest(ARRAY[to_regclass('archive.patients')]::oid[]) AS x WHERE x IS NOT NULL)
                AND EXISTS (
                    SELECT FROM aclexplode(c.relacl) AS x
                    WHERE x.grantee <> c.relowner AND x.privilege_type <> 'SELECT'
                        AND NOT (x.privilege_type IN ('UPDATE', 'DELETE') AND NOT x.is_grantable AND (x.grantee = eraser) IS TRUE)
                    UNION ALL
                    SELECT FROM pg_attribute AS a, aclexplode(a.attacl) AS x
                    WHERE a.attrelid = c.oid AND x.grantee <> c.relowner AND x.privilege_type <> 'SELECT')
            UNION ALL
            SELECT format('%s is there, and is not a table of this refactor', c.oid::regclass)
            FROM pg_class AS c
            WHERE c.oid = ANY (ARRAY[to_regclass('archive.patients_turns'), to_regclass('archive.patients_map'), to_regclass('archive.patients_past'), to_regclass('archive.patients_tombstones'), to_regclass('archive.patients_decisions'), to_regclass('archive.patients_triggers'), to_regclass('archive.patients_indexes'), to_regclass('archive.patients_kept_users'), to_regclass('archive.patients_written_patients'), to_regclass('archive.patients_withheld_patients'), to_regclass('archive.patients_written_users'), to_regclass('archive.patients_kept_refresh_tokens'), to_regclass('archive.patients_kept_user_clinics'), to_regclass('archive.patients_kept_notification_queue'), to_regclass('archive.patients_kept_assessments'), to_regclass('archive.patients_withheld_assessments'), to_regclass('archive.patients_holds'), to_regclass('archive.patients_purges'), to_regclass('archive.patients_former_writes'), to_regclass('archive.patients_tombstone_signatures'), to_regclass('archive.patients_operations'), to_regclass('archive.patients_prepared'), to_regclass('archive.patients_prepared_captured')]::oid[])
                AND (c.relkind <> 'r' OR c.relrowsecurity OR c.relhasrules OR EXISTS (
                    SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)))
            UNION ALL
            SELECT format('trigger %I on %s, which is the archive''s own', t.tgname, t.tgrelid::regclass)
            FROM pg_trigger AS t
            WHERE NOT t.tgisinternal
                AND NOT (t.tgname = 'patients_guard' AND t.tgqual IS NULL AND t.tgnargs = 0 AND t.tgtype = 58 -- BEFORE UPDATE OR DELETE OR TRUNCATE, a statement
                    AND EXISTS (
                        SELECT FROM pg_proc AS p
                        WHERE p.oid = t.tgfoid AND p.proname = 'patients_guard' AND p.pronargs = 0
                            AND p.pronamespace = to_regnamespace('archive')
                            AND NOT p.prosecdef AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
                            AND encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') = 'f5b0f3daaad0867d84fa5739e02496fc06244cd215b37b0477c9ce18cdef1212'))
                AND NOT (t.tgname = 'patients_prepared_capture' AND t.tgfoid = to_regproc('archive.patients_prepared_capture_archive'))
                AND t.tgrelid = ANY (ARRAY[to_regclass('archive.patients_turns'), to_regclass('archive.patients_map'), to_regclass('archive.patients_past'), to_regclass('archive.patients_tombstones'), to_regclass('archive.patients_decisions'), to_regclass('archive.patients_triggers'), to_regclass('archive.patients_indexes'), to_regclass('archive.patients_kept_users'), to_regclass('archive.patients_written_patients'), to_regclass('archive.patients_withheld_patients'), to_regclass('archive.patients_written_users'), to_regclass('archive.patients_kept_refresh_tokens'), to_regclass('archive.patients_kept_user_clinics'), to_regclass('archive.patients_kept_notification_queue'), to_regclass('archive.patients_kept_assessments'), to_regclass('archive.patients_withheld_assessments'), to_regclass('archive.patients_holds'), to_regclass('archive.patients_purges'), to_regclass('archive.patients_former_writes'), to_regclass('archive.patients_tombstone_signatures'), to_regclass('archive.patients_operations'), to_regclass('archive.patients_prepared'), to_regclass('archive.patients_prepared_captured')]::oid[])
        );
    END IF;

    IF cardinality(refusals) = 0 THEN
        SELECT string_agg(t, ', ') INTO listed
        FROM unnest(ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments']) AS t
        WHERE to_regclass(t) IS NULL;
        IF listed IS NOT NULL THEN
            refusals := refusals || format('%s is not there: Up did not make this database, or the archive was tampered with', listed);
        END IF;
    END IF;
    IF cardinality(refusals) = 0 THEN
        SELECT count(*) INTO found FROM archive.patients_turns
        WHERE turn = (SELECT max(turn) FROM archive.patients_turns) AND direction = 'up' AND structure_hash = '9f8195736ea1f66be8c7275ac055561a10c1d155c6866b1225edd240ad0a9d2c';
        IF found = 0 THEN
            refusals := refusals || 'Up ran with a mapping of another structure: Down must be run from the file that Up was run from'::text;
        END IF;
        SELECT count(*) INTO found
        FROM archive.patients_map AS m FULL JOIN archive.patients AS s ON s.id = m.source_id
        WHERE m.source_id IS NULL OR s.id IS NULL;
        IF found > 0 THEN
            refusals := refusals || format('%s rows of archive.patients and archive.patients_map have no counterpart: the archive was edited', found);
        END IF;
        -- Who was erased stays erased: an id of theirs that is in use is a restored backup, or was typed in.
        SELECT count(*), string_agg(format('%s %s', x.table_name, x.row_id), ', ' ORDER BY x.n) FILTER (WHERE x.n <= 10),
            string_agg(DISTINCT x.source_id, ', ') FILTER (WHERE x.n <= 10)
        INTO found, listed, again
        FROM (
            SELECT y.table_name, y.row_id, y.source_id,
                row_number() OVER (ORDER BY length(y.source_id), y.source_id, y.table_name, y.row_id) AS n
            FROM (
                SELECT 'archive.patients_map', x.source_id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients_map AS x ON x.source_id = d.source_id
                UNION
                SELECT 'archive.patients_map', x.source_id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients_map AS x ON x.target_id = d.target_id
                UNION
                SELECT 'archive.patients_kept_users', x.id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients_kept_users AS x ON x.id = d.target_id
                UNION
                SELECT 'archive.patients_withheld_patients', x.id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients_withheld_patients AS x ON x.id = d.source_id
                UNION
                SELECT 'archive.patients_withheld_patients', x.id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients_withheld_patients AS x ON x.refactorkit_target_id = d.target_id
                UNION
                SELECT 'archive.patients', x.id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN archive.patients AS x ON x.id = d.source_id
                UNION
                SELECT 'public.users', x.id::text, d.source_id::text
                FROM archive.patients_tombstones AS d
                JOIN public.users AS x ON x.id = d.target_id
            ) AS y (table_name, row_id, source_id)
        ) AS x;
        IF found > 0 THEN
            refusals := refusals || format('%s rows are of people who were erased: %s%s; erase them again (refactorkit archive erase %s)',
                found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END, again);
        END IF;
        -- Whose owner is gone needs a custodian: an existing native, named by the operator.
        SELECT count(*), string_agg(x.id::text, ', ' ORDER BY x.id) FILTER (WHERE x.n <= 10) INTO found, listed
        FROM (
            SELECT s.id AS id, row_number() OVER (ORDER BY s.id) AS n
            FROM (SELECT o.id FROM (SELECT DISTINCT s.user_id AS id FROM archive.patients AS s) AS o WHERE o.id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = o.id)) AS gone
            JOIN archive.patients AS s ON s.user_id = gone.id
            JOIN archive.patients_map AS m ON m.source_id = s.id
            JOIN public.users AS living ON living.id = m.target_id
            WHERE (living.account_status IS DISTINCT FROM 'deleted' AND living.deleted_at IS NULL)
        ) AS x;
        IF found > 0 AND coalesce(current_setting('refactorkit.custodian', true), '') = '' THEN
            refusals := refusals || format('the owner of %s patients is gone (id %s%s): name a custodian (--custodian EMAIL, or SET refactorkit.custodian)',
                found, listed, CASE WHEN found > 10 THEN ', ...' ELSE '' END);
        END IF;
        IF coalesce(current_setting('refactorkit.custodian', true), '') <> '' AND NOT EXISTS (
            SELECT FROM public.users AS t
            WHERE t.email = current_setting('refactorkit.custodian', true) AND (t.account_status IS DISTINCT FROM 'deleted' AND t.deleted_at IS NULL)
                AND NOT EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = t.id AND m.kind = 'subject')
        ) THEN
            refusals := refusals || 'the custodian must be an existing row of users that is nobody''s subject'::text;
        END IF;
        IF coalesce(current_setting('refactorkit.on_conflict', true), '') NOT IN ('', 'live', 'archive') THEN
            refusals := refusals || 'refactorkit.on_conflict must be live or archive'::text;
        END IF;
        SELECT greatest(
                (SELECT last_value FROM public.users_id_seq), (SELECT last_value FROM archive.patients_id_seq),
                (SELECT max(id) FROM public.users), (SELECT max(id) FROM archive.patients))::numeric
            + (SELECT count(*) FROM public.users) - (SELECT count(*) FROM archive.patients_map)
        INTO reach;
        IF reach >= 2147483647 THEN
            refusals := refusals || format('ids would reach %s, and integer ends at 2147483647', reach);
        END IF;
    END IF;

    IF cardinality(refusals) > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'RK001',
            MESSAGE = format('%s refuses: %s.', '0011 Down', array_to_string(refusals, '; ')),
            HINT = 'Nothing was changed. Mend what is named, or overrule a guard that has a name: --accept NAME, or SET refactorkit.accept.';
    END IF;
END
$guards$;
-- +goose StatementEnd

-- == What `rollback --online` found out before: then only those rows are looked at that may differ ==

-- +goose StatementBegin
DO $prepared$
DECLARE
    found bigint;
BEGIN
    PERFORM set_config('refactorkit.prepared', '', true);
    IF to_regclass('archive.patients_prepared') IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM archive.patients_prepared AS p
        WHERE p.facts = (
                SELECT CASE WHEN count(*) = 4 THEN
                    string_agg(format('%s %s %s', t.tgrelid, t.oid, t.xmin), ',' ORDER BY t.oid)
                    || (SELECT string_agg(format(' %s %s', p.oid, p.xmin), ',' ORDER BY p.oid)
                        FROM pg_proc AS p WHERE p.pronamespace = 'archive'::regnamespace)
                    || (SELECT string_agg(format(' %s %s', c.oid, pg_relation_filenode(c.oid)), ',' ORDER BY c.oid)
                        FROM pg_class AS c WHERE c.oid = ANY (ARRAY['archive.patients', 'archive.patients_map', 'public.users', 'public.assessments']::regclass[]))
                    || (SELECT string_agg(format(' %s %s %s %s %s', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attrelid, a.attnum)
                        FROM pg_attribute AS a
                        WHERE a.attrelid = ANY (ARRAY['archive.patients', 'archive.patients_map', 'public.users', 'public.assessments']::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped)
                    || format(' %s', (SELECT max(turn) FROM archive.patients_turns WHERE direction = 'up'))
                END
                FROM pg_trigger AS t
                JOIN (VALUES
                    ('archive.patients', 'patients_prepared_capture', 'archive.patients_prepared_capture_archive'),
                    ('archive.patients_map', 'patients_prepared_capture', 'archive.patients_prepared_capture_archive'),
                    ('public.users', 'patients_prepared_capture', 'archive.patients_prepared_capture_target'),
                    ('public.assessments', 'patients_prepared_capture', 'archive.patients_prepared_capture_1')
                ) AS e (t, name, f) ON t.tgrelid = to_regclass(e.t) AND t.tgname = e.name AND t.tgfoid = to_regproc(e.f)
                WHERE t.tgenabled = 'A'
            )
            AND p.mapping_hash = 'dac028c4d1d9b89556e9db3503861fa9129a189dc9c22bff883ad6c0f50cf8f8'
    ) AND NOT EXISTS (
        SELECT FROM archive.patients_prepared_captured AS c WHERE c.unforeseen
    ) AND NOT EXISTS ( -- of columns that someone added every row is kept
        SELECT FROM pg_attribute
        WHERE attrelid = 'public.users'::regclass AND attnum > 0 AND NOT attisdropped
            AND attname <> ALL (ARRAY['id', 'email', 'password_hash', 'role', 'created_at', 'updated_at', 'is_active', 'last_login_at', 'created_by', 'first_name', 'last_name', 'date_of_birth', 'phone', 'address', 'menopause_status', 'menopause_type', 'years_menopause', 'hypertension', 'heart_disease', 'family_history_diabetes', 'smoking_status', 'consent_personal_data', 'consent_research_participation', 'consent_email_updates', 'consent_analytics', 'consent_updated_at', 'assessment_frequency_months', 'reminder_email', 'last_assessment_reminder_sent', 'onboarding_completed', 'account_status', 'deleted_at', 'is_admin', 'bmi', 'bp_systolic', 'bp_diastolic', 'activity', 'phys_activity', 'chol', 'ldl', 'hdl', 'triglycerides'])
    ) THEN
        PERFORM set_config('refactorkit.prepared', 'on', true);
        -- Plans are made for a handful of keys; compiling them would cost more than they do.
        PERFORM set_config('jit', 'off', true);
        SELECT count(*) INTO found FROM archive.patients_prepared_captured;
        RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE = format(
            '0011 Down: prepared beforehand; %s keys of rows that may differ are looked at, and no others.', found);
    ELSE
        RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE =
            '0011 Down: what was prepared beforehand cannot be relied on any more; every row is looked at.';
    END IF;
    DROP TRIGGER IF EXISTS patients_prepared_capture ON archive.patients;
    DROP TRIGGER IF EXISTS patients_prepared_capture ON archive.patients_map;
    DROP TRIGGER IF EXISTS patients_prepared_capture ON public.users;
    DROP TRIGGER IF EXISTS patients_prepared_capture ON public.assessments;
END
$prepared$;
-- +goose StatementEnd

-- == This turn, and ids ==

ALTER TABLE archive.patients_turns ADD COLUMN IF NOT EXISTS fingerprints jsonb NOT NULL DEFAULT '{}';

ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;
ALTER SEQUENCE archive.patients_id_seq OWNED BY archive.patients.id;

INSERT INTO archive.patients_turns (
    turn, direction, version, structure_hash, mapping_hash, mapping, settings, target_used, source_used, ids_after, natives, active
)
SELECT
    up.turn + 1,
    'down',
    up.version,
    up.structure_hash,
    up.mapping_hash,
    up.mapping,
    jsonb_build_object(
        'accept', current_setting('refactorkit.accept', true),
        'on_conflict', coalesce(nullif(current_setting('refactorkit.on_conflict', true), ''), 'live'),
        'custodian_id', (
            SELECT t.id FROM public.users AS t
            WHERE t.email = nullif(current_setting('refactorkit.custodian', true), '')),
        'keep_logins', coalesce(nullif(current_setting('refactorkit.keep_logins', true), '')::boolean, false)),
    used.target,
    used.source,
    greatest(used.target, used.source),
    up.natives,
    up.active
FROM archive.patients_turns AS up
CROSS JOIN (
    SELECT
        greatest(
            (SELECT max(ids_after) FROM archive.patients_turns),
            (SELECT max(target_id) FROM archive.patients_map),
            (SELECT max(target_id) FROM archive.patients_tombstones),
            (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM public.users_id_seq),
            (SELECT max(id) FROM public.users)
        ) AS target,
        greatest(
            (SELECT max(source_id) FROM archive.patients_tombstones),
            (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM archive.patients_id_seq),
            (SELECT max(id) FROM archive.patients)
        ) AS source
) AS used
WHERE up.turn = (SELECT max(turn) FROM archive.patients_turns);

-- RESTART gives each sequence a new place that a rollback takes away again: setval alone would outlive it.
ALTER SEQUENCE public.users_id_seq RESTART;
ALTER SEQUENCE archive.patients_id_seq RESTART;
SELECT setval(s.sequence, t.ids_after)
FROM archive.patients_turns AS t
CROSS JOIN (VALUES ('public.users_id_seq'::regclass), ('archive.patients_id_seq'::regclass)) AS s (sequence)
JOIN pg_sequence AS q ON q.seqrelid = s.sequence
WHERE t.turn = (SELECT max(turn) FROM archive.patients_turns) AND t.ids_after >= q.seqmin;

-- A table that leaves the archive leaves its guard behind.
-- +goose StatementBegin
DO $guard$
DECLARE
    t regclass;
BEGIN
    FOR t IN
        SELECT g.tgrelid
        FROM unnest(ARRAY['archive.patients']::text[]) AS e
        JOIN pg_trigger AS g ON g.tgrelid = to_regclass(e) AND g.tgname = 'patients_guard'
            AND g.tgfoid = to_regprocedure('archive.patients_guard()')
    LOOP
        EXECUTE format('DROP TRIGGER patients_guard ON %s', t);
    END LOOP;
END
$guard$;
-- +goose StatementEnd

-- Triggers stay quiet while we write: each is switched off, and comes back in the state that it had.

-- +goose StatementBegin
DO $triggers$
DECLARE
    t record;
BEGIN
    DELETE FROM archive.patients_triggers;
    INSERT INTO archive.patients_triggers (table_id, trigger_name, state)
    SELECT tgrelid, tgname, tgenabled
    FROM pg_trigger
    WHERE NOT tgisinternal AND tgenabled <> 'D'
        AND tgrelid = ANY (ARRAY[
            to_regclass('public.users'),
            to_regclass('archive.patients'),
            to_regclass('public.assessments'),
            to_regclass('public.refresh_tokens'),
            to_regclass('public.user_clinics'),
            to_regclass('public.notification_queue')
        ]);
    FOR t IN SELECT table_id, trigger_name FROM archive.patients_triggers ORDER BY 1, 2 LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.table_id::regclass, t.trigger_name);
    END LOOP;
END
$triggers$;
-- +goose StatementEnd

-- An archived row that was edited by hand no longer has the fingerprint that Up took. It is not lost, and not silent.
INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule)
SELECT (SELECT max(turn) FROM archive.patients_turns), 'patients', m.source_id::text, '', 'archive edited by hand'
FROM archive.patients_map AS m
JOIN archive.patients AS s ON s.id = m.source_id
WHERE current_setting('refactorkit.prepared') = '' AND m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0);

-- == Deleted in version 11: withheld from version 10, kept in the archive ==
-- 'hard': the subject's row is gone; 'soft': it is marked as deleted, and comes back so with the next Up.

-- +goose StatementBegin
DO $withheld$
DECLARE
    of_pairs CONSTANT text := CASE WHEN current_setting('refactorkit.prepared') = 'on' THEN
        $only$AND m.target_id = ANY (ARRAY(SELECT c.target FROM archive.patients_prepared_captured AS c WHERE c.target IS NOT NULL))$only$ ELSE '' END;
    of_links CONSTANT text := CASE WHEN current_setting('refactorkit.prepared') = 'on' THEN
        $only$AND t.id = ANY (ARRAY(SELECT c.target FROM archive.patients_prepared_captured AS c WHERE c.target IS NOT NULL))$only$ ELSE '' END;
BEGIN
    PERFORM archive.patients_widen('archive.patients_withheld_patients', 'archive.patients');
    EXECUTE format(
        'INSERT INTO archive.patients_withheld_patients (refactorkit_turn, refactorkit_reason, refactorkit_kind, refactorkit_target_id, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), m.reason, m.kind, m.target_id, %2$s
        FROM (
            SELECT m.source_id, m.target_id, m.kind, CASE WHEN t.id IS NULL THEN ''hard'' ELSE ''soft'' END AS reason
            FROM archive.patients_map AS m
            LEFT JOIN public.users AS t ON t.id = m.target_id
            WHERE (t.id IS NULL OR NOT (t.account_status IS DISTINCT FROM ''deleted'' AND t.deleted_at IS NULL)) %3$s
            OFFSET 0 -- these first: they are few
        ) AS m
        JOIN archive.patients AS x ON x.id = m.source_id',
        archive.patients_columns('archive.patients_withheld_patients', 'archive.patients', ''),
        archive.patients_columns('archive.patients_withheld_patients', 'archive.patients', 'x.'),
        of_pairs
    );
    PERFORM archive.patients_widen('archive.patients_withheld_assessments', 'public.assessments');
    EXECUTE format(
        'INSERT INTO archive.patients_withheld_assessments (refactorkit_turn, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), %2$s FROM public.assessments AS x
        JOIN public.users AS t ON t.id = x.user_id WHERE NOT (t.account_status IS DISTINCT FROM ''deleted'' AND t.deleted_at IS NULL) %3$s',
        archive.patients_columns('archive.patients_withheld_assessments', 'public.assessments', ''),
        archive.patients_columns('archive.patients_withheld_assessments', 'public.assessments', 'x.'),
        of_links
    );
    DELETE FROM public.assessments AS l
    USING archive.patients_withheld_assessments AS x
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND x.id = l.id;
END
$withheld$;
-- +goose StatementEnd

-- == Natives with a profile or with rows of their own are shown as patients ==
-- with their own id where no row of patients ever had it.

-- +goose StatementBegin
DO $rows$
BEGIN
    IF current_setting('refactorkit.prepared') = '' THEN
        INSERT INTO archive.patients_map (source_id, target_id, kind, turn)
        SELECT
            CASE WHEN new.fresh THEN new.id ELSE nextval('archive.patients_id_seq') END,
            new.id,
            'native',
            (SELECT max(turn) FROM archive.patients_turns)
        FROM (
            SELECT
                t.id AS id,
                NOT EXISTS (SELECT FROM archive.patients_map AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_withheld_patients AS o WHERE o.id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_past AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_tombstones AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (
                        SELECT FROM archive.patients_turns AS up
                        LEFT JOIN archive.patients_turns AS down ON down.turn = up.turn - 1
                        WHERE up.direction = 'up' AND t.id <= up.source_used
                            AND (down.turn IS NULL OR t.id > down.ids_after)) AS fresh
            FROM (
                SELECT * FROM public.users AS native
                WHERE NOT EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = native.id)
                    AND (native.account_status IS DISTINCT FROM 'deleted' AND native.deleted_at IS NULL)
                OFFSET 0 -- the natives first: they are few
            ) AS t
            LEFT JOIN LATERAL (
                SELECT true AS found FROM public.assessments AS l WHERE l.user_id = t.id LIMIT 1
            ) AS of_assessments ON true
            WHERE t.menopause_status IS NOT NULL
                    OR t.years_menopause IS NOT NULL
                    OR t.hypertension IS NOT NULL
                    OR t.heart_disease IS NOT NULL
                    OR t.smoking_status IS NOT NULL
                    OR t.family_history_diabetes <> false
                    OR t.bmi IS NOT NULL
                    OR t.bp_systolic IS NOT NULL
                    OR t.bp_diastolic IS NOT NULL
                    OR t.activity IS NOT NULL
                    OR t.phys_activity IS NOT NULL
                    OR t.chol IS NOT NULL
                    OR t.ldl IS NOT NULL
                    OR t.hdl IS NOT NULL
                    OR t.triglycerides IS NOT NULL OR of_assessments.found
            ORDER BY t.id
        ) AS new;
    ELSE
        INSERT INTO archive.patients_map (source_id, target_id, kind, turn)
        SELECT
            CASE WHEN new.fresh THEN new.id ELSE nextval('archive.patients_id_seq') END,
            new.id,
            'native',
            (SELECT max(turn) FROM archive.patients_turns)
        FROM (
            SELECT
                t.id AS id,
                NOT EXISTS (SELECT FROM archive.patients_map AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_withheld_patients AS o WHERE o.id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_past AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (SELECT FROM archive.patients_tombstones AS o WHERE o.source_id = t.id)
                    AND NOT EXISTS (
                        SELECT FROM archive.patients_turns AS up
                        LEFT JOIN archive.patients_turns AS down ON down.turn = up.turn - 1
                        WHERE up.direction = 'up' AND t.id <= up.source_used
                            AND (down.turn IS NULL OR t.id > down.ids_after)) AS fresh
            FROM (
                SELECT * FROM public.users AS native
                WHERE NOT EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = native.id)
                    AND (native.account_status IS DISTINCT FROM 'deleted' AND native.deleted_at IS NULL)
                    AND native.id = ANY (ARRAY(SELECT c.target FROM archive.patients_prepared_captured AS c WHERE c.target IS NOT NULL))
                OFFSET 0 -- the natives first: they are few
            ) AS t
            LEFT JOIN LATERAL (
                SELECT true AS found FROM public.assessments AS l WHERE l.user_id = t.id LIMIT 1
            ) AS of_assessments ON true
            WHERE t.menopause_status IS NOT NULL
                    OR t.years_menopause IS NOT NULL
                    OR t.hypertension IS NOT NULL
                    OR t.heart_disease IS NOT NULL
                    OR t.smoking_status IS NOT NULL
                    OR t.family_history_diabetes <> false
                    OR t.bmi IS NOT NULL
                    OR t.bp_systolic IS NOT NULL
                    OR t.bp_diastolic IS NOT NULL
                    OR t.activity IS NOT NULL
                    OR t.phys_activity IS NOT NULL
                    OR t.chol IS NOT NULL
                    OR t.ldl IS NOT NULL
                    OR t.hdl IS NOT NULL
                    OR t.triglycerides IS NOT NULL OR of_assessments.found
            ORDER BY t.id
        ) AS new;
    END IF;
END
$rows$;
-- +goose StatementEnd

UPDATE archive.patients_turns
SET ids_after = greatest(
    ids_after,
    (SELECT last_value FROM public.users_id_seq WHERE is_called),
    (SELECT last_value FROM archive.patients_id_seq WHERE is_called))
WHERE turn = (SELECT max(turn) FROM archive.patients_turns);
SELECT setval(s.sequence, t.ids_after)
FROM archive.patients_turns AS t
CROSS JOIN (VALUES ('public.users_id_seq'::regclass), ('archive.patients_id_seq'::regclass)) AS s (sequence)
JOIN pg_sequence AS q ON q.seqrelid = s.sequence
WHERE t.turn = (SELECT max(turn) FROM archive.patients_turns) AND t.ids_after >= q.seqmin;

-- == What version 10 has no place for is kept, where it differs from what Up made ==

-- +goose StatementBegin
DO $kept$
DECLARE
    -- Columns that someone added have values that Up did not make: then every subject is kept whole.
    added CONSTANT boolean := EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'public.users'::regclass AND attnum > 0 AND NOT attisdropped
            AND attname <> ALL (ARRAY['id', 'email', 'password_hash', 'role', 'created_at', 'updated_at', 'is_active', 'last_login_at', 'created_by', 'first_name', 'last_name', 'date_of_birth', 'phone', 'address', 'menopause_status', 'menopause_type', 'years_menopause', 'hypertension', 'heart_disease', 'family_history_diabetes', 'smoking_status', 'consent_personal_data', 'consent_research_participation', 'consent_email_updates', 'consent_analytics', 'consent_updated_at', 'assessment_frequency_months', 'reminder_email', 'last_assessment_reminder_sent', 'onboarding_completed', 'account_status', 'deleted_at', 'is_admin', 'bmi', 'bp_systolic', 'bp_diastolic', 'activity', 'phys_activity', 'chol', 'ldl', 'hdl', 'triglycerides']));
    of_subjects CONSTANT text := CASE WHEN current_setting('refactorkit.prepared') = 'on' THEN
        $only$AND x.id = ANY (ARRAY(SELECT c.target FROM archive.patients_prepared_captured AS c WHERE c.target IS NOT NULL))$only$ ELSE '' END;
    of_natives CONSTANT text := CASE WHEN current_setting('refactorkit.prepared') = 'on' THEN
        $only$AND native.id = ANY (ARRAY(SELECT c.target FROM archive.patients_prepared_captured AS c WHERE c.target IS NOT NULL))$only$ ELSE '' END;
BEGIN
    PERFORM archive.patients_widen('archive.patients_kept_users', 'public.users');
    EXECUTE format(
        'INSERT INTO archive.patients_kept_users (refactorkit_turn, refactorkit_kind, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), ''subject'', %2$s
        FROM public.users AS x
        JOIN archive.patients_map AS m ON m.target_id = x.id AND m.kind = ''subject''
        JOIN (
            SELECT id AS refactorkit_source_id, s.* FROM archive.patients AS s
        ) AS s ON s.refactorkit_source_id = m.source_id
        WHERE (%3$L
            OR x.id IS DISTINCT FROM m.target_id
            OR x.email COLLATE "C" IS DISTINCT FROM ''patient-'' || m.source_id || ''@unclaimed.invalid''
            OR x.password_hash COLLATE "C" IS DISTINCT FROM ''!''::text
            OR x.role COLLATE "C" IS DISTINCT FROM ''member''::text
            OR x.created_at IS DISTINCT FROM s.created_at
            OR x.updated_at IS DISTINCT FROM s.updated_at
            OR x.is_active IS DISTINCT FROM false::boolean
            OR x.last_login_at IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.created_by IS DISTINCT FROM (NULL)::integer
            OR x.first_name COLLATE "C" IS DISTINCT FROM archive.patients_forward_first_name(s.name)
            OR x.last_name COLLATE "C" IS DISTINCT FROM archive.patients_forward_last_name(s.name)
            OR x.date_of_birth IS DISTINCT FROM (NULL)::date
            OR x.phone COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.address COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.menopause_status COLLATE "C" IS DISTINCT FROM archive.patients_forward_menopause_status(s.menopause_status)
            OR x.menopause_type COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.years_menopause IS DISTINCT FROM archive.patients_forward_years_menopause(s.years_menopause)
            OR x.hypertension COLLATE "C" IS DISTINCT FROM archive.patients_forward_hypertension(s.hypertension)
            OR x.heart_disease COLLATE "C" IS DISTINCT FROM archive.patients_forward_heart_disease(s.heart_disease)
            OR x.family_history_diabetes IS DISTINCT FROM coalesce(s.family_history, false)
            OR x.smoking_status COLLATE "C" IS DISTINCT FROM archive.patients_forward_smoking_status(s.smoking)
            OR x.consent_personal_data IS DISTINCT FROM (false)::boolean
            OR x.consent_research_participation IS DISTINCT FROM (false)::boolean
            OR x.consent_email_updates IS DISTINCT FROM (false)::boolean
            OR x.consent_analytics IS DISTINCT FROM (false)::boolean
            OR x.consent_updated_at IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.assessment_frequency_months IS DISTINCT FROM (3)::integer
            OR x.reminder_email IS DISTINCT FROM (true)::boolean
            OR x.last_assessment_reminder_sent IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.onboarding_completed IS DISTINCT FROM (false)::boolean
            OR x.account_status COLLATE "C" IS DISTINCT FROM (''active''::text)::text
            OR x.deleted_at IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.is_admin IS DISTINCT FROM (false)::boolean
            OR x.bmi IS DISTINCT FROM s.bmi
            OR x.bp_systolic IS DISTINCT FROM s.bp_systolic
            OR x.bp_diastolic IS DISTINCT FROM s.bp_diastolic
            OR x.activity COLLATE "C" IS DISTINCT FROM s.activity
            OR x.phys_activity IS DISTINCT FROM s.phys_activity
            OR x.chol IS DISTINCT FROM s.chol
            OR x.ldl IS DISTINCT FROM s.ldl
            OR x.hdl IS DISTINCT FROM s.hdl
            OR x.triglycerides IS DISTINCT FROM s.triglycerides) %4$s',
        archive.patients_columns('archive.patients_kept_users', 'public.users', ''),
        archive.patients_columns('archive.patients_kept_users', 'public.users', 'x.'),
        added,
        of_subjects
    );
    EXECUTE format(
        'INSERT INTO archive.patients_kept_users (refactorkit_turn, refactorkit_kind, %1$s)
        SELECT turn.turn, ''native'', %2$s
        FROM (
            SELECT * FROM public.users AS native
            WHERE NOT EXISTS (
                SELECT FROM archive.patients_map AS m WHERE m.target_id = native.id AND m.kind = ''subject'') %3$s
            OFFSET 0 -- the natives first: they are few
        ) AS x
        CROSS JOIN archive.patients_turns AS turn
        WHERE turn.turn = (SELECT max(turn) FROM archive.patients_turns)
            AND (NOT x.id <@ turn.natives
                OR EXISTS (SELECT FROM archive.patients_map AS c WHERE c.target_id = x.created_by AND c.kind = ''subject'' OFFSET 0)
                OR EXISTS (SELECT FROM archive.patients_map AS c WHERE c.target_id = x.id OFFSET 0)
                OR x.first_name COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.last_name COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.date_of_birth IS DISTINCT FROM (NULL)::date
            OR x.phone COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.address COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.menopause_status COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.menopause_type COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.years_menopause IS DISTINCT FROM (NULL)::integer
            OR x.hypertension COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.heart_disease COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.family_history_diabetes IS DISTINCT FROM (false)::boolean
            OR x.smoking_status COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.consent_personal_data IS DISTINCT FROM (false)::boolean
            OR x.consent_research_participation IS DISTINCT FROM (false)::boolean
            OR x.consent_email_updates IS DISTINCT FROM (false)::boolean
            OR x.consent_analytics IS DISTINCT FROM (false)::boolean
            OR x.consent_updated_at IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.assessment_frequency_months IS DISTINCT FROM (3)::integer
            OR x.reminder_email IS DISTINCT FROM (true)::boolean
            OR x.last_assessment_reminder_sent IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.onboarding_completed IS DISTINCT FROM (false)::boolean
            OR x.account_status COLLATE "C" IS DISTINCT FROM (''active''::text)::text
            OR x.deleted_at IS DISTINCT FROM (NULL)::timestamp with time zone
            OR x.is_admin IS DISTINCT FROM (x.role = ''admin'')
            OR x.bmi IS DISTINCT FROM (NULL)::numeric(5,2)
            OR x.bp_systolic IS DISTINCT FROM (NULL)::integer
            OR x.bp_diastolic IS DISTINCT FROM (NULL)::integer
            OR x.activity COLLATE "C" IS DISTINCT FROM (NULL)::text
            OR x.phys_activity IS DISTINCT FROM (NULL)::boolean
            OR x.chol IS DISTINCT FROM (NULL)::integer
            OR x.ldl IS DISTINCT FROM (NULL)::integer
            OR x.hdl IS DISTINCT FROM (NULL)::integer
            OR x.triglycerides IS DISTINCT FROM (NULL)::integer)',
        archive.patients_columns('archive.patients_kept_users', 'public.users', ''),
        archive.patients_columns('archive.patients_kept_users', 'public.users', 'x.'),
        of_natives
    );
    PERFORM archive.patients_widen('archive.patients_kept_refresh_tokens', 'public.refresh_tokens');
    EXECUTE format(
        'INSERT INTO archive.patients_kept_refresh_tokens (refactorkit_turn, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), %2$s FROM public.refresh_tokens AS x
        WHERE EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = x.user_id AND m.kind = ''subject'') OR EXISTS (SELECT FROM archive.patients_withheld_patients AS h WHERE h.refactorkit_target_id = x.user_id AND h.refactorkit_kind = ''subject'' AND h.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns))',
        archive.patients_columns('archive.patients_kept_refresh_tokens', 'public.refresh_tokens', ''),
        archive.patients_columns('archive.patients_kept_refresh_tokens', 'public.refresh_tokens', 'x.')
    );
    DELETE FROM public.refresh_tokens AS d
    USING archive.patients_kept_refresh_tokens AS x
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND d.id = x.id;
    PERFORM archive.patients_widen('archive.patients_kept_user_clinics', 'public.user_clinics');
    EXECUTE format(
        'INSERT INTO archive.patients_kept_user_clinics (refactorkit_turn, %1$s)
        SELECT (SELECT max(turn) FROM archive.patients_turns), %2$s FROM public.user_clinics AS x
        WHERE EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = x.user_id AND m.kind = ''subject'') OR EXISTS (SELECT FROM archive.patients_withheld_patients AS h WHERE h.refactorkit_target_id = x.user_id AND h.refactorkit_kind = ''subject'' AND h.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns))',
        archive.patients_columns('archive.patients_kept_user_clinics', 'public.user_clinics', ''),
        archive.patients_columns('archive.patients_kept_user_clinics', 'public.user_clinics', 'x.')
    );
    DELETE FROM public.user_clinics AS d
    USING archive.patients_kept_user_clinics AS x
    WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND d.user_id = x.user_id AND d.clinic_id = x.clinic_id;
END
$kept$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $rows$
BEGIN
    IF current_setting('refactorkit.prepared') = '' THEN
        INSERT INTO archive.patients_kept_assessments (turn, id, refactorkit_target_id, is_self_reported, source, notes)
        SELECT (SELECT max(turn) FROM archive.patients_turns), l.id, l.user_id, l.is_self_reported, l.source, l.notes
        FROM public.assessments AS l
        WHERE record_image_ne(
            ROW(l.is_self_reported, l.source, l.notes),
            ROW((false)::boolean, ('clinic')::text, (NULL)::text));
    ELSE
        INSERT INTO archive.patients_kept_assessments (turn, id, refactorkit_target_id, is_self_reported, source, notes)
        SELECT (SELECT max(turn) FROM archive.patients_turns), l.id, l.user_id, l.is_self_reported, l.source, l.notes
        FROM public.assessments AS l
        WHERE l.id = ANY (ARRAY(SELECT c.link_1 FROM archive.patients_prepared_captured AS c WHERE c.link_1 IS NOT NULL)) AND record_image_ne(
            ROW(l.is_self_reported, l.source, l.notes),
            ROW((false)::boolean, ('clinic')::text, (NULL)::text));
    END IF;
END
$rows$;
-- +goose StatementEnd

-- The withheld leave the pairs; what is left is what version 10 will see.
DELETE FROM archive.patients_map AS m
USING archive.patients_withheld_patients AS x
WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND x.id = m.source_id;
DELETE FROM archive.patients AS s
USING archive.patients_withheld_patients AS x
WHERE x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND x.id = s.id;

-- == Edits are carried home ==
-- A column that nobody changed keeps its raw value; a changed one takes the inverse of its new value.
-- "Changed" is measured by what the last Up wrote: the forward image, or what it gave back (g, by the base h).

-- Where a raw value has no forward image, or was edited by hand, and users holds something else now, one of the two gives way.
INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
SELECT
    turn.turn, 'patients', m.source_id::text, c.name,
    CASE WHEN c.by_hand THEN 'archive edited by hand' ELSE 'replaced a value without an image' END,
    CASE turn.settings ->> 'on_conflict' WHEN 'archive' THEN c.raw ELSE c.live END,
    CASE turn.settings ->> 'on_conflict' WHEN 'archive' THEN c.live ELSE c.raw END
FROM archive.patients_kept_users AS k
JOIN archive.patients_map AS m ON m.target_id = k.id
JOIN archive.patients AS s ON s.id = m.source_id
JOIN archive.patients_turns AS turn ON turn.turn = k.refactorkit_turn
LEFT JOIN archive.patients_kept_users AS g ON g.id = k.id AND g.refactorkit_turn = turn.turn - 2
LEFT JOIN archive.patients_written_patients AS h ON h.target_id = k.id AND h.turn = turn.turn - 2
CROSS JOIN LATERAL (VALUES
    ('name', s.name::text, CASE WHEN m.kind = 'native' THEN coalesce(nullif(archive.patients_back_name(k.first_name, k.last_name), ''), k.email) ELSE archive.patients_back_name(k.first_name, k.last_name) END::text, record_image_ne(ROW(k.first_name, k.last_name), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.name), ROW(h.name)) THEN g.first_name ELSE archive.patients_forward_first_name(s.name) END, CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.name), ROW(h.name)) THEN g.last_name ELSE archive.patients_forward_last_name(s.name) END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('menopause_status', s.menopause_status::text, archive.patients_back_menopause_status(k.menopause_status)::text, record_image_ne(ROW(k.menopause_status), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.menopause_status), ROW(h.menopause_status)) THEN g.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END)), s.menopause_status IS NOT NULL AND archive.patients_forward_menopause_status(s.menopause_status) IS NULL, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('years_menopause', s.years_menopause::text, k.years_menopause::text, record_image_ne(ROW(k.years_menopause), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.years_menopause), ROW(h.years_menopause)) THEN g.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END)), s.years_menopause IS NOT NULL AND archive.patients_forward_years_menopause(s.years_menopause) IS NULL, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('hypertension', s.hypertension::text, archive.patients_back_hypertension(k.hypertension)::text, record_image_ne(ROW(k.hypertension), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.hypertension), ROW(h.hypertension)) THEN g.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END)), s.hypertension IS NOT NULL AND archive.patients_forward_hypertension(s.hypertension) IS NULL, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('heart_disease', s.heart_disease::text, archive.patients_back_heart_disease(k.heart_disease)::text, record_image_ne(ROW(k.heart_disease), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.heart_disease), ROW(h.heart_disease)) THEN g.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END)), s.heart_disease IS NOT NULL AND archive.patients_forward_heart_disease(s.heart_disease) IS NULL, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('smoking', s.smoking::text, archive.patients_back_smoking(k.smoking_status)::text, record_image_ne(ROW(k.smoking_status), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.smoking), ROW(h.smoking)) THEN g.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END)), s.smoking IS NOT NULL AND archive.patients_forward_smoking_status(s.smoking) IS NULL, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('family_history', s.family_history::text, k.family_history_diabetes::text, record_image_ne(ROW(k.family_history_diabetes), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.family_history), ROW(h.family_history)) THEN g.family_history_diabetes ELSE coalesce(s.family_history, false) END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('bmi', s.bmi::text, k.bmi::text, record_image_ne(ROW(k.bmi), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bmi), ROW(h.bmi)) THEN g.bmi ELSE s.bmi END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('bp_systolic', s.bp_systolic::text, k.bp_systolic::text, record_image_ne(ROW(k.bp_systolic), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bp_systolic), ROW(h.bp_systolic)) THEN g.bp_systolic ELSE s.bp_systolic END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('bp_diastolic', s.bp_diastolic::text, k.bp_diastolic::text, record_image_ne(ROW(k.bp_diastolic), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bp_diastolic), ROW(h.bp_diastolic)) THEN g.bp_diastolic ELSE s.bp_diastolic END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('activity', s.activity::text, k.activity::text, record_image_ne(ROW(k.activity), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.activity), ROW(h.activity)) THEN g.activity ELSE s.activity END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('phys_activity', s.phys_activity::text, k.phys_activity::text, record_image_ne(ROW(k.phys_activity), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.phys_activity), ROW(h.phys_activity)) THEN g.phys_activity ELSE s.phys_activity END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('chol', s.chol::text, k.chol::text, record_image_ne(ROW(k.chol), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.chol), ROW(h.chol)) THEN g.chol ELSE s.chol END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('ldl', s.ldl::text, k.ldl::text, record_image_ne(ROW(k.ldl), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.ldl), ROW(h.ldl)) THEN g.ldl ELSE s.ldl END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('hdl', s.hdl::text, k.hdl::text, record_image_ne(ROW(k.hdl), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.hdl), ROW(h.hdl)) THEN g.hdl ELSE s.hdl END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)),
    ('triglycerides', s.triglycerides::text, k.triglycerides::text, record_image_ne(ROW(k.triglycerides), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.triglycerides), ROW(h.triglycerides)) THEN g.triglycerides ELSE s.triglycerides END)), false, m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0))
) AS c (name, raw, live, changed, imageless, by_hand)
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND c.changed AND (c.imageless OR c.by_hand);

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    UPDATE archive.patients AS s
    SET
        name = new.name,
        menopause_status = new.menopause_status,
        years_menopause = new.years_menopause,
        hypertension = new.hypertension,
        heart_disease = new.heart_disease,
        smoking = new.smoking,
        family_history = new.family_history,
        bmi = new.bmi,
        bp_systolic = new.bp_systolic,
        bp_diastolic = new.bp_diastolic,
        activity = new.activity,
        phys_activity = new.phys_activity,
        chol = new.chol,
        ldl = new.ldl,
        hdl = new.hdl,
        triglycerides = new.triglycerides,
        updated_at = CASE
            WHEN new.refactorkit_touched <> s.updated_at THEN new.refactorkit_touched ELSE now() END
    FROM (
        SELECT
            s.id AS refactorkit_id,
            k.updated_at AS refactorkit_touched,
            CASE WHEN NOT record_image_ne(ROW(k.first_name, k.last_name), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.name), ROW(h.name)) THEN g.first_name ELSE archive.patients_forward_first_name(s.name) END, CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.name), ROW(h.name)) THEN g.last_name ELSE archive.patients_forward_last_name(s.name) END)) THEN s.name WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.name ELSE CASE WHEN m.kind = 'native' THEN coalesce(nullif(archive.patients_back_name(k.first_name, k.last_name), ''), k.email) ELSE archive.patients_back_name(k.first_name, k.last_name) END END AS name,
            CASE WHEN NOT record_image_ne(ROW(k.menopause_status), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.menopause_status), ROW(h.menopause_status)) THEN g.menopause_status ELSE archive.patients_forward_menopause_status(s.menopause_status) END)) THEN s.menopause_status WHEN turn.settings ->> 'on_conflict' = 'archive' AND (s.menopause_status IS NOT NULL AND archive.patients_forward_menopause_status(s.menopause_status) IS NULL OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.menopause_status ELSE archive.patients_back_menopause_status(k.menopause_status) END AS menopause_status,
            CASE WHEN NOT record_image_ne(ROW(k.years_menopause), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.years_menopause), ROW(h.years_menopause)) THEN g.years_menopause ELSE archive.patients_forward_years_menopause(s.years_menopause) END)) THEN s.years_menopause WHEN turn.settings ->> 'on_conflict' = 'archive' AND (s.years_menopause IS NOT NULL AND archive.patients_forward_years_menopause(s.years_menopause) IS NULL OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.years_menopause ELSE k.years_menopause END AS years_menopause,
            CASE WHEN NOT record_image_ne(ROW(k.hypertension), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.hypertension), ROW(h.hypertension)) THEN g.hypertension ELSE archive.patients_forward_hypertension(s.hypertension) END)) THEN s.hypertension WHEN turn.settings ->> 'on_conflict' = 'archive' AND (s.hypertension IS NOT NULL AND archive.patients_forward_hypertension(s.hypertension) IS NULL OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.hypertension ELSE archive.patients_back_hypertension(k.hypertension) END AS hypertension,
            CASE WHEN NOT record_image_ne(ROW(k.heart_disease), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.heart_disease), ROW(h.heart_disease)) THEN g.heart_disease ELSE archive.patients_forward_heart_disease(s.heart_disease) END)) THEN s.heart_disease WHEN turn.settings ->> 'on_conflict' = 'archive' AND (s.heart_disease IS NOT NULL AND archive.patients_forward_heart_disease(s.heart_disease) IS NULL OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.heart_disease ELSE archive.patients_back_heart_disease(k.heart_disease) END AS heart_disease,
            CASE WHEN NOT record_image_ne(ROW(k.smoking_status), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.smoking), ROW(h.smoking)) THEN g.smoking_status ELSE archive.patients_forward_smoking_status(s.smoking) END)) THEN s.smoking WHEN turn.settings ->> 'on_conflict' = 'archive' AND (s.smoking IS NOT NULL AND archive.patients_forward_smoking_status(s.smoking) IS NULL OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.smoking ELSE archive.patients_back_smoking(k.smoking_status) END AS smoking,
            CASE WHEN NOT record_image_ne(ROW(k.family_history_diabetes), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.family_history), ROW(h.family_history)) THEN g.family_history_diabetes ELSE coalesce(s.family_history, false) END)) THEN s.family_history WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.family_history ELSE k.family_history_diabetes END AS family_history,
            CASE WHEN NOT record_image_ne(ROW(k.bmi), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bmi), ROW(h.bmi)) THEN g.bmi ELSE s.bmi END)) THEN s.bmi WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.bmi ELSE k.bmi END AS bmi,
            CASE WHEN NOT record_image_ne(ROW(k.bp_systolic), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bp_systolic), ROW(h.bp_systolic)) THEN g.bp_systolic ELSE s.bp_systolic END)) THEN s.bp_systolic WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.bp_systolic ELSE k.bp_systolic END AS bp_systolic,
            CASE WHEN NOT record_image_ne(ROW(k.bp_diastolic), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.bp_diastolic), ROW(h.bp_diastolic)) THEN g.bp_diastolic ELSE s.bp_diastolic END)) THEN s.bp_diastolic WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.bp_diastolic ELSE k.bp_diastolic END AS bp_diastolic,
            CASE WHEN NOT record_image_ne(ROW(k.activity), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.activity), ROW(h.activity)) THEN g.activity ELSE s.activity END)) THEN s.activity WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.activity ELSE k.activity END AS activity,
            CASE WHEN NOT record_image_ne(ROW(k.phys_activity), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.phys_activity), ROW(h.phys_activity)) THEN g.phys_activity ELSE s.phys_activity END)) THEN s.phys_activity WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.phys_activity ELSE k.phys_activity END AS phys_activity,
            CASE WHEN NOT record_image_ne(ROW(k.chol), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.chol), ROW(h.chol)) THEN g.chol ELSE s.chol END)) THEN s.chol WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.chol ELSE k.chol END AS chol,
            CASE WHEN NOT record_image_ne(ROW(k.ldl), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.ldl), ROW(h.ldl)) THEN g.ldl ELSE s.ldl END)) THEN s.ldl WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.ldl ELSE k.ldl END AS ldl,
            CASE WHEN NOT record_image_ne(ROW(k.hdl), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.hdl), ROW(h.hdl)) THEN g.hdl ELSE s.hdl END)) THEN s.hdl WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.hdl ELSE k.hdl END AS hdl,
            CASE WHEN NOT record_image_ne(ROW(k.triglycerides), ROW(CASE WHEN h.source_id IS NOT NULL AND record_image_eq(ROW(s.triglycerides), ROW(h.triglycerides)) THEN g.triglycerides ELSE s.triglycerides END)) THEN s.triglycerides WHEN turn.settings ->> 'on_conflict' = 'archive' AND (false OR m.row_hash IS DISTINCT FROM hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)) THEN s.triglycerides ELSE k.triglycerides END AS triglycerides
        FROM archive.patients_kept_users AS k
        JOIN archive.patients_map AS m ON m.target_id = k.id
        JOIN archive.patients AS s ON s.id = m.source_id
        JOIN archive.patients_turns AS turn ON turn.turn = k.refactorkit_turn
        LEFT JOIN archive.patients_kept_users AS g ON g.id = k.id AND g.refactorkit_turn = turn.turn - 2
        LEFT JOIN archive.patients_written_patients AS h ON h.target_id = k.id AND h.turn = turn.turn - 2
        WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns)
    ) AS new
    WHERE s.id = new.refactorkit_id
        AND record_image_ne(ROW(s.name, s.menopause_status, s.years_menopause, s.hypertension, s.heart_disease, s.smoking, s.family_history, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.phys_activity, s.chol, s.ldl, s.hdl, s.triglycerides),
                    ROW(new.name, new.menopause_status, new.years_menopause, new.hypertension, new.heart_disease, new.smoking, new.family_history, new.bmi, new.bp_systolic, new.bp_diastolic, new.activity, new.phys_activity, new.chol, new.ldl, new.hdl, new.triglycerides));
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let an edit in.',
            '0011 Down', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- Whose owner is gone goes to the custodian.
-- +goose StatementBegin
DO $owners$
DECLARE
    gone CONSTANT integer[] := ARRAY(SELECT o.id FROM (SELECT DISTINCT s.user_id AS id FROM archive.patients AS s) AS o WHERE o.id IS NOT NULL AND NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = o.id));
    custodian CONSTANT integer := (
        SELECT (settings ->> 'custodian_id')::integer FROM archive.patients_turns WHERE turn = (SELECT max(turn) FROM archive.patients_turns));
BEGIN
    IF cardinality(gone) > 0 THEN
        INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
        SELECT (SELECT max(turn) FROM archive.patients_turns), 'patients', s.id::text, 'user_id', 'owner gone', custodian::text, s.user_id::text
        FROM archive.patients AS s
        WHERE s.user_id = ANY (gone);
        UPDATE archive.patients AS s
        SET user_id = custodian
        WHERE s.user_id = ANY (gone);
    END IF;
END
$owners$;
-- +goose StatementEnd

-- == The rows of those natives ==

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    INSERT INTO archive.patients (
        id, name, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic, activity, smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides, created_at, updated_at, family_history, phys_activity, user_id
    )
    SELECT
        m.source_id,
        CASE WHEN m.kind = 'native' THEN coalesce(nullif(archive.patients_back_name(t.first_name, t.last_name), ''), t.email) ELSE archive.patients_back_name(t.first_name, t.last_name) END,
        archive.patients_back_menopause_status(t.menopause_status),
        t.years_menopause,
        t.bmi,
        t.bp_systolic,
        t.bp_diastolic,
        t.activity,
        archive.patients_back_smoking(t.smoking_status),
        archive.patients_back_hypertension(t.hypertension),
        archive.patients_back_heart_disease(t.heart_disease),
        t.chol,
        t.ldl,
        t.hdl,
        t.triglycerides,
        t.created_at,
        t.updated_at,
        t.family_history_diabetes,
        t.phys_activity,
        m.target_id
    FROM archive.patients_map AS m
    JOIN public.users AS t ON t.id = m.target_id
    WHERE m.kind = 'native' AND m.turn = (SELECT max(turn) FROM archive.patients_turns)
    ORDER BY m.source_id;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a native in.',
            '0011 Down', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

-- The base for the next Up: what version 10 starts with, for the rows that are kept.
INSERT INTO archive.patients_written_patients (turn, source_id, target_id, name, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic, activity, smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides, created_at, updated_at, family_history, phys_activity)
SELECT k.refactorkit_turn, m.source_id, m.target_id, s.name, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity
FROM archive.patients_kept_users AS k
JOIN archive.patients_map AS m ON m.target_id = k.id
JOIN archive.patients AS s ON s.id = m.source_id
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns);

UPDATE archive.patients_map AS m
SET row_hash = hash_record_extended(ROW(s.id, s.name, s.age, s.menopause_status, s.years_menopause, s.bmi, s.bp_systolic, s.bp_diastolic, s.activity, s.smoking, s.hypertension, s.heart_disease, s.chol, s.ldl, s.hdl, s.triglycerides, s.created_at, s.updated_at, s.family_history, s.phys_activity, s.user_id), 0)
FROM archive.patients AS s
WHERE s.id = m.source_id
    AND (m.row_hash IS NULL
        OR EXISTS (
            SELECT FROM archive.patients_written_patients AS w
            WHERE w.turn = (SELECT max(turn) FROM archive.patients_turns) AND w.source_id = m.source_id)
        OR EXISTS (
            SELECT FROM archive.patients_decisions AS d
            WHERE d.turn = (SELECT max(turn) FROM archive.patients_turns) AND d.table_name = 'patients' AND d.row_id = m.source_id::text));

-- == Subjects leave users; foreign keys to it stand aside meanwhile and come back as they were ==

ALTER TABLE public.refresh_tokens DROP CONSTRAINT IF EXISTS refresh_tokens_user_id_fkey;
ALTER TABLE public.user_clinics DROP CONSTRAINT IF EXISTS user_clinics_user_id_fkey;
ALTER TABLE public.notification_queue DROP CONSTRAINT IF EXISTS notification_queue_user_id_fkey;
ALTER TABLE public.assessments DROP CONSTRAINT IF EXISTS assessments_user_id_fkey;
ALTER TABLE public.users DROP CONSTRAINT IF EXISTS users_created_by_fkey;

DELETE FROM public.users AS t
USING archive.patients_map AS m
WHERE m.target_id = t.id AND m.kind = 'subject';
DELETE FROM public.users AS t
USING archive.patients_withheld_patients AS x
WHERE x.refactorkit_target_id = t.id AND x.refactorkit_kind = 'subject' AND x.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns);

-- == Natives: nobody can do in version 10 what they could not do in version 11 ==

INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
SELECT (SELECT max(turn) FROM archive.patients_turns), 'users', k.id::text, 'role',
    CASE WHEN k.is_admin THEN 'is_admin is not carried back' ELSE 'is_admin was taken away' END,
    CASE WHEN k.is_admin THEN k.role ELSE 'clinician' END,
    CASE WHEN k.is_admin THEN 'admin' ELSE k.role END
FROM archive.patients_kept_users AS k
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND k.refactorkit_kind = 'native'
    AND k.is_admin <> (k.role = 'admin');
INSERT INTO archive.patients_decisions (turn, table_name, row_id, column_name, rule, kept_value, lost_value)
SELECT turn.turn, 'users', k.id::text, 'is_active',
    CASE WHEN (k.account_status IS DISTINCT FROM 'deleted' AND k.deleted_at IS NULL) THEN 'made in version 11' ELSE 'deleted in version 11' END, 'false', 'true'
FROM archive.patients_kept_users AS k
JOIN archive.patients_turns AS turn ON turn.turn = k.refactorkit_turn
LEFT JOIN archive.patients_kept_users AS g ON g.id = k.id AND g.refactorkit_turn = turn.turn - 2
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND k.refactorkit_kind = 'native' AND k.is_active
    AND ((NOT (k.account_status IS DISTINCT FROM 'deleted' AND k.deleted_at IS NULL) AND NOT (k.id <@ turn.active AND g.id IS NOT NULL AND NOT (g.account_status IS DISTINCT FROM 'deleted' AND g.deleted_at IS NULL))) OR (NOT k.id <@ turn.natives AND NOT (turn.settings ->> 'keep_logins')::boolean));

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    UPDATE public.users AS t
    SET
        role = CASE WHEN t.role = 'admin' AND NOT k.is_admin THEN 'clinician' ELSE t.role END,
        is_active = t.is_active AND NOT ((NOT (k.account_status IS DISTINCT FROM 'deleted' AND k.deleted_at IS NULL) AND NOT (k.id <@ turn.active AND g.id IS NOT NULL AND NOT (g.account_status IS DISTINCT FROM 'deleted' AND g.deleted_at IS NULL))) OR (NOT k.id <@ turn.natives AND NOT (turn.settings ->> 'keep_logins')::boolean)),
        created_by = (SELECT p.id FROM public.users AS p WHERE p.id = t.created_by)
    FROM archive.patients_kept_users AS k
    JOIN archive.patients_turns AS turn ON turn.turn = k.refactorkit_turn
    LEFT JOIN archive.patients_kept_users AS g ON g.id = k.id AND g.refactorkit_turn = turn.turn - 2
    WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND k.refactorkit_kind = 'native' AND t.id = k.id;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a native in.',
            '0011 Down', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

INSERT INTO archive.patients_written_users (turn, target_id, role, is_active, created_by)
SELECT k.refactorkit_turn, t.id, t.role, t.is_active, t.created_by
FROM archive.patients_kept_users AS k
JOIN public.users AS t ON t.id = k.id
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND k.refactorkit_kind = 'native';

ALTER TABLE public.users
    ALTER COLUMN role SET DEFAULT 'clinician'::text,
    DROP COLUMN IF EXISTS first_name,
    DROP COLUMN IF EXISTS last_name,
    DROP COLUMN IF EXISTS date_of_birth,
    DROP COLUMN IF EXISTS phone,
    DROP COLUMN IF EXISTS address,
    DROP COLUMN IF EXISTS menopause_status,
    DROP COLUMN IF EXISTS menopause_type,
    DROP COLUMN IF EXISTS years_menopause,
    DROP COLUMN IF EXISTS hypertension,
    DROP COLUMN IF EXISTS heart_disease,
    DROP COLUMN IF EXISTS family_history_diabetes,
    DROP COLUMN IF EXISTS smoking_status,
    DROP COLUMN IF EXISTS consent_personal_data,
    DROP COLUMN IF EXISTS consent_research_participation,
    DROP COLUMN IF EXISTS consent_email_updates,
    DROP COLUMN IF EXISTS consent_analytics,
    DROP COLUMN IF EXISTS consent_updated_at,
    DROP COLUMN IF EXISTS assessment_frequency_months,
    DROP COLUMN IF EXISTS reminder_email,
    DROP COLUMN IF EXISTS last_assessment_reminder_sent,
    DROP COLUMN IF EXISTS onboarding_completed,
    DROP COLUMN IF EXISTS account_status,
    DROP COLUMN IF EXISTS deleted_at,
    DROP COLUMN IF EXISTS is_admin,
    DROP COLUMN IF EXISTS bmi,
    DROP COLUMN IF EXISTS bp_systolic,
    DROP COLUMN IF EXISTS bp_diastolic,
    DROP COLUMN IF EXISTS activity,
    DROP COLUMN IF EXISTS phys_activity,
    DROP COLUMN IF EXISTS chol,
    DROP COLUMN IF EXISTS ldl,
    DROP COLUMN IF EXISTS hdl,
    DROP COLUMN IF EXISTS triglycerides;
ALTER TABLE IF EXISTS public.notification_queue SET SCHEMA archive;

-- == assessments: relinked in one statement, for two would give one person's rows to another ==

-- +goose StatementBegin
DO $writing$
DECLARE
    broken text;
    of_table text;
    of_column text;
BEGIN
    UPDATE public.assessments AS l
    SET user_id = m.source_id
    FROM archive.patients_map AS m
    WHERE l.user_id = m.target_id AND m.renumbered;
EXCEPTION WHEN integrity_constraint_violation THEN
    GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME, of_table = TABLE_NAME, of_column = COLUMN_NAME;
    RAISE EXCEPTION USING ERRCODE = 'RK001',
        MESSAGE = format('%s refuses: %s of %s does not let a row under its old id in.',
            '0011 Down', CASE WHEN broken = '' THEN format('NOT NULL of column %I', of_column) ELSE format('constraint %I', broken) END, of_table),
        HINT = 'Nothing was changed. Look for the rows that break it, and change them or the constraint.';
END
$writing$;
-- +goose StatementEnd

ALTER TABLE public.assessments
    DROP COLUMN IF EXISTS is_self_reported,
    DROP COLUMN IF EXISTS source,
    DROP COLUMN IF EXISTS notes;
ALTER TABLE public.assessments RENAME COLUMN user_id TO patient_id;
ALTER INDEX IF EXISTS public.idx_assessments_user_id_created RENAME TO idx_assessments_patient_created;
ALTER INDEX IF EXISTS public.idx_assessments_user_id RENAME TO idx_assessments_patient_id;

-- == patients comes home ==

ALTER TABLE IF EXISTS archive.patients SET SCHEMA public;
ALTER TABLE public.patients ADD CONSTRAINT fk_patients_user_id
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.assessments ADD CONSTRAINT assessments_patient_id_fkey
    FOREIGN KEY (patient_id) REFERENCES public.patients (id) ON DELETE CASCADE;
ALTER TABLE public.refresh_tokens ADD CONSTRAINT refresh_tokens_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.user_clinics ADD CONSTRAINT user_clinics_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;
ALTER TABLE public.users ADD CONSTRAINT users_created_by_fkey
    FOREIGN KEY (created_by) REFERENCES public.users (id);

-- What the last Up gave back is at home again: the older copy need not be kept. What found no place stays.
DELETE FROM archive.patients_kept_users AS k
WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) - 2
    AND (EXISTS (SELECT FROM public.users AS t WHERE t.id = k.id)
        OR EXISTS (SELECT FROM archive.patients_map AS m WHERE m.target_id = k.id)
        OR EXISTS (
            SELECT FROM archive.patients_withheld_patients AS h
            WHERE h.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns) AND h.refactorkit_target_id = k.id));
DELETE FROM archive.patients_kept_assessments AS k
WHERE k.turn = (SELECT max(turn) FROM archive.patients_turns) - 2
    AND (EXISTS (SELECT FROM public.assessments AS l WHERE l.id = k.id)
        OR EXISTS (SELECT FROM archive.patients_withheld_assessments AS x WHERE x.id = k.id));

-- +goose StatementBegin
DO $triggers$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT table_id, trigger_name, state FROM archive.patients_triggers ORDER BY 1, 2 LOOP
        EXECUTE format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I',
            t.table_id::regclass,
            CASE t.state WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END,
            t.trigger_name
        );
    END LOOP;
    DELETE FROM archive.patients_triggers;
END
$triggers$;
-- +goose StatementEnd

-- Where the archive has guards, all of it has.
-- +goose StatementBegin
DO $guard$
DECLARE
    t regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'archive.patients_map'::regclass AND tgname = 'patients_guard') THEN
        RETURN;
    END IF;
    FOR t IN
        SELECT c.oid
        FROM unnest(ARRAY['archive.patients_turns', 'archive.patients_map', 'archive.patients_past', 'archive.patients_tombstones', 'archive.patients_decisions', 'archive.patients_triggers', 'archive.patients_indexes', 'archive.patients_kept_users', 'archive.patients_written_patients', 'archive.patients_withheld_patients', 'archive.patients_written_users', 'archive.patients_kept_refresh_tokens', 'archive.patients_kept_user_clinics', 'archive.patients_kept_notification_queue', 'archive.patients_kept_assessments', 'archive.patients_withheld_assessments', 'archive.patients_holds', 'archive.patients_purges', 'archive.patients_former_writes', 'archive.patients_tombstone_signatures', 'archive.patients_operations', 'archive.notification_queue']) AS e
        JOIN pg_class AS c ON c.oid = to_regclass(e)
        WHERE NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND g.tgname = 'patients_guard')
        ORDER BY e
    LOOP
        EXECUTE format('CREATE TRIGGER patients_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON %s EXECUTE FUNCTION archive.patients_guard()', t);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER patients_guard', t);
    END LOOP;
END
$guard$;
-- +goose StatementEnd

-- Outside the archive nothing tells that Up ever ran: the event triggers of `archive harden` go, where we may.
-- +goose StatementBegin
DO $guard$
BEGIN
    IF to_regnamespace('refactorkit_guard') IS NULL THEN
        RETURN;
    END IF;
    IF NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
        RAISE NOTICE USING ERRCODE = 'RK000',
            MESSAGE = '0011 Down: the event triggers of schema refactorkit_guard stay, for only a superuser may drop them (archive harden --off).';
        RETURN;
    END IF;
    DROP EVENT TRIGGER IF EXISTS refactorkit_guard_alter;
    DROP EVENT TRIGGER IF EXISTS refactorkit_guard_drop;
    DROP FUNCTION IF EXISTS refactorkit_guard.refuse();
    DROP TABLE IF EXISTS refactorkit_guard.guarded;
    DROP SCHEMA IF EXISTS refactorkit_guard RESTRICT;
    RAISE NOTICE USING ERRCODE = 'RK000',
        MESSAGE = '0011 Down: the event triggers of schema refactorkit_guard are gone: after the next Up, run archive harden again.';
EXCEPTION WHEN dependent_objects_still_exist THEN -- what somebody else put there does not stop a rollback
    RAISE NOTICE USING ERRCODE = 'RK000',
        MESSAGE = '0011 Down: schema refactorkit_guard stays, for others use what is in it.';
END
$guard$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $prepared$
BEGIN
    IF to_regclass('archive.patients_prepared') IS NOT NULL THEN
        DROP TABLE archive.patients_prepared, archive.patients_prepared_captured;
        DROP FUNCTION archive.patients_prepared_capture_archive();
        DROP FUNCTION archive.patients_prepared_capture_target();
        DROP FUNCTION archive.patients_prepared_capture_1();
    END IF;
END
$prepared$;
-- +goose StatementEnd

ANALYZE public.users;
ANALYZE public.assessments;

-- +goose StatementBegin
DO $counts$
DECLARE
    sources bigint := (SELECT count(*) FROM public.patients);
    pairs bigint := (SELECT count(*) FROM archive.patients_map);
    told record;
BEGIN
    IF sources <> pairs OR EXISTS (
        SELECT FROM archive.patients_map AS m
        JOIN public.users AS t ON t.id = m.target_id
        WHERE m.kind = 'subject'
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'RK002',
            MESSAGE = format('0011 Down does not add up: %s rows of patients, %s pairs, or a subject that stayed in users.', sources, pairs),
            HINT = 'Nothing was changed. This is a defect of the refactor: please report it.';
    END IF;
    UPDATE archive.patients_turns
    SET counts = jsonb_build_object(
        'sources', sources, 'pairs', pairs,
        'natives shown', (SELECT count(*) FROM archive.patients_map WHERE kind = 'native'),
        'withheld', (SELECT count(*) FROM archive.patients_withheld_patients WHERE refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns)),
        'kept', (SELECT count(*) FROM archive.patients_kept_users WHERE refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns)),
        'decisions', (SELECT count(*) FROM archive.patients_decisions WHERE turn = (SELECT max(turn) FROM archive.patients_turns)))
    WHERE turn = (SELECT max(turn) FROM archive.patients_turns);
    UPDATE archive.patients_turns AS turn
    SET fingerprints = jsonb_build_object(
        'source', (
            SELECT jsonb_build_object('rows', f.n, 'xor', f.x)
            FROM (SELECT count(*), coalesce(bit_xor(m.row_hash), 0) FROM archive.patients_map AS m) AS f (n, x)),
        'target', (
            SELECT jsonb_build_object('rows', f.n, 'xor', f.x)
            FROM (SELECT count(*), coalesce(bit_xor(hash_record_extended(ROW(t.id, t.email, t.password_hash, t.role, t.created_at, t.updated_at, t.is_active, t.last_login_at, t.created_by), 0)), 0)
                FROM public.users AS t) AS f (n, x)))
    WHERE turn.turn = (SELECT max(turn) FROM archive.patients_turns);
    RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE = format(
        '0011 Down: %s rows of patients are back; %s rows are withheld because they were deleted, %s rows of users are kept for the next Up.',
        sources,
        (SELECT count(*) FROM archive.patients_withheld_patients WHERE refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns)),
        (SELECT count(*) FROM archive.patients_kept_users WHERE refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns)));
    FOR told IN
        SELECT format('%s: %s, %s%s: %s (%s%s)',
            '0011 Down', d.rule, d.table_name, CASE WHEN d.column_name = '' THEN '' ELSE '.' || d.column_name END,
            count(*),
            string_agg(d.row_id, ', ' ORDER BY length(d.row_id), d.row_id) FILTER (WHERE d.n <= 10),
            CASE WHEN count(*) > 10 THEN ', ...' ELSE '' END) AS sentence
        FROM (
            SELECT d.rule, d.table_name, d.column_name, d.row_id, row_number() OVER (
                PARTITION BY d.rule, d.table_name, d.column_name ORDER BY length(d.row_id), d.row_id) AS n
            FROM archive.patients_decisions AS d
            WHERE d.turn = (SELECT max(turn) FROM archive.patients_turns)
        ) AS d
        GROUP BY d.rule, d.table_name, d.column_name
        ORDER BY 1
    LOOP
        RAISE NOTICE USING ERRCODE = 'RK000', MESSAGE = told.sentence;
    END LOOP;
    PERFORM set_config('search_path', current_setting('refactorkit.search_path'), true);
END
$counts$;
-- +goose StatementEnd
