-- Mock data: 4 users, 10 patients with 23 assessments, 2 model runs, 5 audit events. All made up.
--
-- How a mock row is told from everyone else's: Up keeps the id and the content of each row that it
-- inserted in archive.mock_data_0006. Down takes a row away only when
--   * Up inserted it, and
--   * its content is still what Up wrote (time stamps aside): an edited row is its editor's, and
--   * no foreign key leads to it from a row that stays, in whatever table: a cascade would delete
--     that row too. So an assessment that someone added to a mock patient keeps this patient, and
--     the patient keeps the user who owns it.
-- What Down takes away it keeps, and the next Up gives it back, with the same ids. Mock data is
-- inserted on the first Up alone: what was edited or deleted since does not come a second time.
-- Nobody can log in as a mock user: no password has the hash '!'. Ids come from the sequences.

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

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0006 Up';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := TRUE;
    kept CONSTANT TEXT[] := ARRAY[
        'mock_data_0006',
        'chain_0006_users',
        'chain_0006_patients',
        'chain_0006_assessments',
        'chain_0006_model_runs',
        'chain_0006_audit_events'
    ];
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

CREATE TABLE IF NOT EXISTS archive.mock_data_0006 (
    table_name TEXT,
    row_id INTEGER,
    content JSONB NOT NULL,
    PRIMARY KEY (table_name, row_id)
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

LOCK TABLE
    public.users, public.patients, public.assessments, public.model_runs, public.audit_events
    IN SHARE ROW EXCLUSIVE MODE;

-- What Down took away comes back, but for rows whose id, email or owner is somebody else's now.
-- +goose StatementBegin
DO $return$
DECLARE
    mock_table TEXT;
    names TEXT;
    waiting BIGINT := 0;
    waiting_here BIGINT;
    touched CONSTANT REGCLASS[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.model_runs',
        'public.audit_events'
    ];
    -- Triggers stay quiet for our own writes, and come back in their own state.
    quiet CONSTANT TEXT[] := ARRAY(
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::REGCLASS, t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    loud CONSTANT TEXT[] := ARRAY(
        SELECT format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::REGCLASS,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname
        )
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    command TEXT;
BEGIN
    IF to_regclass('archive.chain_0006_users') IS NULL THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOREACH command IN ARRAY quiet LOOP
        EXECUTE command;
    END LOOP;
    FOREACH mock_table IN ARRAY
        ARRAY['users', 'patients', 'assessments', 'model_runs', 'audit_events']
    LOOP
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO names
        FROM pg_attribute AS a
        INNER JOIN pg_attribute AS k
            ON k.attrelid = ('archive.chain_0006_' || mock_table)::REGCLASS
            AND k.attname = a.attname AND NOT k.attisdropped
        WHERE a.attrelid = ('public.' || mock_table)::REGCLASS
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
        EXECUTE format(
            'INSERT INTO public.%1$I (%2$s) OVERRIDING SYSTEM VALUE
            SELECT %2$s FROM archive.chain_0006_%1$s AS kept
            WHERE NOT EXISTS (SELECT FROM public.%1$I AS o WHERE o.id = kept.id) AND (%3$s)',
            mock_table,
            names,
            CASE mock_table
                WHEN 'users' THEN
                    'NOT EXISTS (SELECT FROM public.users AS o WHERE o.email = kept.email)'
                WHEN 'patients' THEN
                    'EXISTS (SELECT FROM public.users AS o WHERE o.id = kept.user_id)
                    AND NOT EXISTS (SELECT FROM archive.chain_0006_users AS o WHERE o.id = kept.user_id)'
                WHEN 'assessments' THEN
                    'kept.patient_id IS NULL
                    OR EXISTS (SELECT FROM public.patients AS o WHERE o.id = kept.patient_id)
                    AND NOT EXISTS (SELECT FROM archive.chain_0006_patients AS o WHERE o.id = kept.patient_id)'
                ELSE 'TRUE'
            END
        );
        EXECUTE format(
            'DELETE FROM archive.chain_0006_%1$s AS kept USING public.%1$I AS live
            WHERE kept.id = live.id AND kept.created_at = live.created_at',
            mock_table
        );
        EXECUTE format('SELECT count(*) FROM archive.chain_0006_%s', mock_table) INTO waiting_here;
        waiting := waiting + waiting_here;
    END LOOP;
    FOREACH command IN ARRAY loud LOOP
        EXECUTE command;
    END LOOP;
    IF waiting > 0 THEN
        RAISE NOTICE USING
            ERRCODE = 'RK000',
            MESSAGE = format(
                '0006 Up: %s mock rows have no place any more; they stay in archive.chain_0006_...',
                waiting
            );
    END IF;
END
$return$;
-- +goose StatementEnd

-- Rows that were written with ids of their own may have left a sequence behind.
SELECT setval(pg_get_serial_sequence('public.users', 'id'), max(id))
FROM public.users
HAVING max(id) >= (SELECT last_value FROM public.users_id_seq);

SELECT setval(pg_get_serial_sequence('public.patients', 'id'), max(id))
FROM public.patients
HAVING max(id) >= (SELECT last_value FROM public.patients_id_seq);

SELECT setval(pg_get_serial_sequence('public.assessments', 'id'), max(id))
FROM public.assessments
HAVING max(id) >= (SELECT last_value FROM public.assessments_id_seq);

SELECT setval(pg_get_serial_sequence('public.model_runs', 'id'), max(id))
FROM public.model_runs
HAVING max(id) >= (SELECT last_value FROM public.model_runs_id_seq);

SELECT setval(pg_get_serial_sequence('public.audit_events', 'id'), max(id))
FROM public.audit_events
HAVING max(id) >= (SELECT last_value FROM public.audit_events_id_seq);

-- +goose StatementBegin
DO $insert$
DECLARE
    touched CONSTANT REGCLASS[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.model_runs',
        'public.audit_events'
    ];
    -- Triggers stay quiet for our own writes, and come back in their own state.
    quiet CONSTANT TEXT[] := ARRAY(
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::REGCLASS, t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    loud CONSTANT TEXT[] := ARRAY(
        SELECT format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::REGCLASS,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname
        )
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    command TEXT;
BEGIN
    -- Down makes this table: where it is, mock data was there before.
    IF to_regclass('archive.chain_0006_users') IS NOT NULL THEN
        RETURN;
    END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOREACH command IN ARRAY quiet LOOP
        EXECUTE command;
    END LOOP;

    -- One statement, so that only users who were not there before get patients, and so on: what a
    -- second run finds in place, it leaves alone.
    WITH new_users AS (
        INSERT INTO public.users AS made (email, password_hash, role, created_at, updated_at)
        VALUES
            (
                'demo.clinician@mock.invalid', '!', 'clinician',
                '2024-01-08 08:00+00', '2024-01-08 08:00+00'
            ),
            ('clinician@mock.invalid', '!', 'clinician', '2024-01-08 08:05+00', '2024-01-08 08:05+00'),
            ('admin@mock.invalid', '!', 'admin', '2024-01-08 08:10+00', '2024-01-08 08:10+00'),
            ('researcher@mock.invalid', '!', 'researcher', '2024-01-08 08:15+00', '2024-01-08 08:15+00')
        ON CONFLICT (email) DO NOTHING
        RETURNING made.id, made.email, to_jsonb(made) AS content
    ),
    new_patients AS (
        INSERT INTO public.patients AS made (
            name, age, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic, activity,
            smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides,
            family_history, phys_activity, user_id, created_at, updated_at
        )
        SELECT
            mock.name, mock.age, mock.menopause_status, mock.years_menopause, mock.bmi,
            mock.bp_systolic, mock.bp_diastolic, mock.activity, mock.smoking, mock.hypertension,
            mock.heart_disease, mock.chol, mock.ldl, mock.hdl, mock.triglycerides,
            mock.family_history, mock.phys_activity, new_users.id,
            mock.created_at, mock.created_at
        FROM (
            VALUES
                (
                    'demo.clinician@mock.invalid', 'Mock Patient 01', 49, 'perimenopausal', 1, 23.40,
                    118, 76, 'moderate', 'never', 'no', 'no', 192, 112, 58, 110, FALSE, TRUE,
                    TIMESTAMPTZ '2024-01-10 09:00+00'
                ),
                (
                    'demo.clinician@mock.invalid', 'Mock Patient 02', 55, 'postmenopausal', 5, 27.10,
                    131, 84, 'low', 'former', 'controlled', 'no', 214, 131, 51, 149, TRUE, FALSE,
                    TIMESTAMPTZ '2024-01-11 09:00+00'
                ),
                (
                    'demo.clinician@mock.invalid', 'Mock Patient 03', 62, 'postmenopausal', 12, 31.80,
                    148, 92, 'low', 'current', 'uncontrolled', 'yes', 246, 160, 41, 221, TRUE, FALSE,
                    TIMESTAMPTZ '2024-01-12 09:00+00'
                ),
                (
                    'demo.clinician@mock.invalid', 'Mock Patient 04', 45, 'premenopausal', 0, 21.90,
                    112, 70, 'high', 'never', 'no', 'no', 178, 99, 64, 88, FALSE, TRUE,
                    TIMESTAMPTZ '2024-01-13 09:00+00'
                ),
                (
                    'clinician@mock.invalid', 'Mock Patient 05', 51, 'perimenopausal', 2, 29.50, 136,
                    86, 'moderate', 'never', 'controlled', 'no', 221, 139, 47, 172, TRUE, TRUE,
                    TIMESTAMPTZ '2024-01-14 09:00+00'
                ),
                (
                    'clinician@mock.invalid', 'Mock Patient 06', 58, 'surgical', 9, 33.20, 142, 90,
                    'low', 'former', 'uncontrolled', 'no', 238, 151, 43, 205, TRUE, FALSE,
                    TIMESTAMPTZ '2024-01-15 09:00+00'
                ),
                (
                    'clinician@mock.invalid', 'Mock Patient 07', 47, 'premenopausal', 0, 24.60, 121,
                    78, 'moderate', 'current', 'no', 'no', 199, 120, 55, 121, FALSE, TRUE,
                    TIMESTAMPTZ '2024-01-16 09:00+00'
                ),
                (
                    'admin@mock.invalid', 'Mock Patient 08', 60, 'postmenopausal', 10, 28.30, 139, 87,
                    'moderate', 'never', 'controlled', 'yes', 229, 144, 46, 183, FALSE, TRUE,
                    TIMESTAMPTZ '2024-01-17 09:00+00'
                ),
                (
                    'admin@mock.invalid', 'Mock Patient 09', 53, 'surgical', 3, 26.00, 127, 82, 'high',
                    'former', 'no', 'no', 206, 125, 57, 133, TRUE, TRUE,
                    TIMESTAMPTZ '2024-01-18 09:00+00'
                ),
                (
                    'researcher@mock.invalid', 'Mock Patient 10', 66, 'postmenopausal', 16, 35.70, 156,
                    95, 'low', 'current', 'uncontrolled', 'yes', 259, 171, 38, 248, TRUE, FALSE,
                    TIMESTAMPTZ '2024-01-19 09:00+00'
                )
        ) AS mock (
            owner, name, age, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic,
            activity, smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides,
            family_history, phys_activity, created_at
        )
        INNER JOIN new_users ON new_users.email = mock.owner
        ORDER BY mock.name
        RETURNING made.id, made.name, to_jsonb(made) AS content
    ),
    new_assessments AS (
        INSERT INTO public.assessments AS made (
            patient_id, fbs, hba1c, cholesterol, ldl, hdl, triglycerides, systolic, diastolic,
            activity, history_flag, smoking, hypertension, heart_disease, bmi, cluster, risk_score,
            model_version, dataset_hash, validation_status, created_at, updated_at
        )
        SELECT
            new_patients.id, mock.fbs, mock.hba1c, mock.cholesterol, mock.ldl, mock.hdl,
            mock.triglycerides, mock.systolic, mock.diastolic, mock.activity, mock.history_flag,
            mock.smoking, mock.hypertension, mock.heart_disease, mock.bmi,
            CASE
                WHEN mock.risk_score < 34 THEN 'low_risk'
                WHEN mock.risk_score < 67 THEN 'moderate_risk'
                ELSE 'high_risk'
            END,
            mock.risk_score, mock.model_version, 'mock', 'ok', mock.created_at, mock.created_at
        FROM (
            VALUES
                (
                    'Mock Patient 01', 92.60, 5.46, 192, 112, 58, 110, 118, 76, 'moderate', FALSE,
                    'never', 'no', 'no', 23.40, 18, 'mock-1', TIMESTAMPTZ '2024-01-10 10:00+00'
                ),
                (
                    'Mock Patient 01', 96.40, 5.59, 193, 111, 59, 108, 119, 75, 'moderate', FALSE,
                    'never', 'no', 'no', 23.50, 22, 'mock-1', TIMESTAMPTZ '2024-04-10 10:00+00'
                ),
                (
                    'Mock Patient 01', 99.50, 5.68, 194, 110, 60, 106, 120, 74, 'moderate', FALSE,
                    'never', 'no', 'no', 23.60, 25, 'mock-2', TIMESTAMPTZ '2024-07-10 10:00+00'
                ),
                (
                    'Mock Patient 02', 108.70, 6.18, 214, 131, 51, 149, 131, 84, 'low', TRUE, 'former',
                    'controlled', 'no', 27.10, 41, 'mock-1', TIMESTAMPTZ '2024-01-11 10:00+00'
                ),
                (
                    'Mock Patient 02', 113.90, 6.37, 215, 130, 52, 147, 132, 83, 'low', TRUE, 'former',
                    'controlled', 'no', 27.20, 47, 'mock-1', TIMESTAMPTZ '2024-04-11 10:00+00'
                ),
                (
                    'Mock Patient 03', 138.10, 7.49, 246, 160, 41, 221, 148, 92, 'low', TRUE,
                    'current', 'uncontrolled', 'yes', 31.80, 83, 'mock-1',
                    TIMESTAMPTZ '2024-01-12 10:00+00'
                ),
                (
                    'Mock Patient 04', 86.30, 5.18, 178, 99, 64, 88, 112, 70, 'high', FALSE, 'never',
                    'no', 'no', 21.90, 9, 'mock-1', TIMESTAMPTZ '2024-01-13 10:00+00'
                ),
                (
                    'Mock Patient 04', 88.70, 5.24, 179, 98, 65, 86, 113, 69, 'high', FALSE, 'never',
                    'no', 'no', 22.00, 11, 'mock-1', TIMESTAMPTZ '2024-04-13 10:00+00'
                ),
                (
                    'Mock Patient 04', 87.60, 5.15, 180, 97, 66, 84, 114, 68, 'high', FALSE, 'never',
                    'no', 'no', 22.10, 8, 'mock-2', TIMESTAMPTZ '2024-07-13 10:00+00'
                ),
                (
                    'Mock Patient 04', 91.40, 5.28, 181, 96, 67, 82, 115, 67, 'high', FALSE, 'never',
                    'no', 'no', 22.20, 12, 'mock-2', TIMESTAMPTZ '2024-10-13 10:00+00'
                ),
                (
                    'Mock Patient 05', 116.40, 6.53, 221, 139, 47, 172, 136, 86, 'moderate', TRUE,
                    'never', 'controlled', 'no', 29.50, 52, 'mock-1', TIMESTAMPTZ '2024-01-14 10:00+00'
                ),
                (
                    'Mock Patient 05', 121.60, 6.71, 222, 138, 48, 170, 137, 85, 'moderate', TRUE,
                    'never', 'controlled', 'no', 29.60, 58, 'mock-1', TIMESTAMPTZ '2024-04-14 10:00+00'
                ),
                (
                    'Mock Patient 06', 126.20, 6.96, 238, 151, 43, 205, 142, 90, 'low', TRUE, 'former',
                    'uncontrolled', 'no', 33.20, 66, 'mock-1', TIMESTAMPTZ '2024-01-15 10:00+00'
                ),
                (
                    'Mock Patient 06', 129.30, 7.06, 239, 150, 44, 203, 143, 89, 'low', TRUE, 'former',
                    'uncontrolled', 'no', 33.30, 69, 'mock-1', TIMESTAMPTZ '2024-04-15 10:00+00'
                ),
                (
                    'Mock Patient 06', 133.80, 7.21, 240, 149, 45, 201, 144, 88, 'low', TRUE, 'former',
                    'uncontrolled', 'no', 33.40, 74, 'mock-2', TIMESTAMPTZ '2024-07-15 10:00+00'
                ),
                (
                    'Mock Patient 07', 103.10, 5.93, 199, 120, 55, 121, 121, 78, 'moderate', FALSE,
                    'current', 'no', 'no', 24.60, 33, 'mock-1', TIMESTAMPTZ '2024-01-16 10:00+00'
                ),
                (
                    'Mock Patient 08', 122.70, 6.81, 229, 144, 46, 183, 139, 87, 'moderate', FALSE,
                    'never', 'controlled', 'yes', 28.30, 61, 'mock-1',
                    TIMESTAMPTZ '2024-01-17 10:00+00'
                ),
                (
                    'Mock Patient 08', 119.50, 6.62, 230, 143, 47, 181, 140, 86, 'moderate', FALSE,
                    'never', 'controlled', 'yes', 28.40, 55, 'mock-1',
                    TIMESTAMPTZ '2024-04-17 10:00+00'
                ),
                (
                    'Mock Patient 09', 103.80, 5.96, 206, 125, 57, 133, 127, 82, 'high', TRUE,
                    'former', 'no', 'no', 26.00, 34, 'mock-1', TIMESTAMPTZ '2024-01-18 10:00+00'
                ),
                (
                    'Mock Patient 09', 106.20, 6.03, 207, 124, 58, 131, 128, 81, 'high', TRUE,
                    'former', 'no', 'no', 26.10, 36, 'mock-1', TIMESTAMPTZ '2024-04-18 10:00+00'
                ),
                (
                    'Mock Patient 09', 103.70, 5.87, 208, 123, 59, 129, 129, 80, 'high', TRUE,
                    'former', 'no', 'no', 26.20, 31, 'mock-2', TIMESTAMPTZ '2024-07-18 10:00+00'
                ),
                (
                    'Mock Patient 09', 103.30, 5.81, 209, 122, 60, 127, 130, 79, 'high', TRUE,
                    'former', 'no', 'no', 26.30, 29, 'mock-2', TIMESTAMPTZ '2024-10-18 10:00+00'
                ),
                (
                    'Mock Patient 10', 143.70, 7.74, 259, 171, 38, 248, 156, 95, 'low', TRUE,
                    'current', 'uncontrolled', 'yes', 35.70, 91, 'mock-1',
                    TIMESTAMPTZ '2024-01-19 10:00+00'
                )
        ) AS mock (
            patient, fbs, hba1c, cholesterol, ldl, hdl, triglycerides, systolic, diastolic, activity,
            history_flag, smoking, hypertension, heart_disease, bmi, risk_score, model_version,
            created_at
        )
        INNER JOIN new_patients ON new_patients.name = mock.patient
        ORDER BY mock.patient, mock.created_at
        RETURNING made.id, to_jsonb(made) AS content
    ),
    new_model_runs AS (
        INSERT INTO public.model_runs AS made (model_version, dataset_hash, notes, created_at)
        SELECT mock.model_version, 'mock', mock.notes, mock.created_at
        FROM (
            VALUES
                ('mock-1', 'Mock run, first data set', TIMESTAMPTZ '2024-01-09 02:00+00'),
                ('mock-2', 'Mock run, second data set', TIMESTAMPTZ '2024-06-10 02:00+00')
        ) AS mock (model_version, notes, created_at)
        WHERE NOT EXISTS (
            SELECT FROM public.model_runs AS present
            WHERE present.model_version = mock.model_version
                AND present.dataset_hash = 'mock'
        )
        ORDER BY mock.model_version
        RETURNING made.id, made.model_version, to_jsonb(made) AS content
    ),
    new_audit_events AS (
        INSERT INTO public.audit_events AS made (
            actor, action, target_type, target_id, details, created_at
        )
        SELECT
            mock.actor, mock.action, mock.target_type,
            COALESCE(new_patients.id, new_model_runs.id, target_user.id),
            mock.details, mock.created_at
        FROM (
            VALUES
                (
                    'admin@mock.invalid', 'user.create', 'user', 'clinician@mock.invalid',
                    JSONB '{"mock": true}', TIMESTAMPTZ '2024-01-08 08:05+00'
                ),
                (
                    'admin@mock.invalid', 'user.create', 'user', 'researcher@mock.invalid',
                    JSONB '{"mock": true}', TIMESTAMPTZ '2024-01-08 08:15+00'
                ),
                (
                    'researcher@mock.invalid', 'model_run.create', 'model_run', 'mock-1',
                    JSONB '{"mock": true}', TIMESTAMPTZ '2024-01-09 02:00+00'
                ),
                (
                    'demo.clinician@mock.invalid', 'patient.create', 'patient', 'Mock Patient 01',
                    JSONB '{"mock": true}', TIMESTAMPTZ '2024-01-10 09:00+00'
                ),
                (
                    'clinician@mock.invalid', 'patient.create', 'patient', 'Mock Patient 05',
                    JSONB '{"mock": true}', TIMESTAMPTZ '2024-01-14 09:00+00'
                )
        ) AS mock (actor, action, target_type, target, details, created_at)
        INNER JOIN new_users ON new_users.email = mock.actor
        LEFT JOIN new_users AS target_user ON target_user.email = mock.target
        LEFT JOIN new_patients ON new_patients.name = mock.target
        LEFT JOIN new_model_runs ON new_model_runs.model_version = mock.target
        ORDER BY mock.created_at
        RETURNING made.id, to_jsonb(made) AS content
    ),
    new_rows AS (
        SELECT 'users' AS table_name, id, content FROM new_users
        UNION ALL
        SELECT 'patients', id, content FROM new_patients
        UNION ALL
        SELECT 'assessments', id, content FROM new_assessments
        UNION ALL
        SELECT 'model_runs', id, content FROM new_model_runs
        UNION ALL
        SELECT 'audit_events', id, content FROM new_audit_events
    )
    INSERT INTO archive.mock_data_0006 (table_name, row_id, content)
    SELECT table_name, id, content - 'created_at' - 'updated_at'
    FROM new_rows
    ON CONFLICT (table_name, row_id) DO UPDATE
    SET content = EXCLUDED.content;

    FOREACH command IN ARRAY loud LOOP
        EXECUTE command;
    END LOOP;
END
$insert$;
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

-- Also keeps away rows that are about to refer to one of these.
LOCK TABLE
    public.users, public.patients, public.assessments, public.model_runs, public.audit_events
    IN EXCLUSIVE MODE;

-- +goose StatementBegin
DO $archive$
DECLARE
    title CONSTANT TEXT := '0006 Down';
    -- Whether the schema is made where it is missing; this file's tables there; those that move.
    makes CONSTANT BOOLEAN := TRUE;
    kept CONSTANT TEXT[] := ARRAY[
        'mock_data_0006',
        'chain_0006_users',
        'chain_0006_patients',
        'chain_0006_assessments',
        'chain_0006_model_runs',
        'chain_0006_audit_events'
    ];
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

CREATE TABLE IF NOT EXISTS archive.mock_data_0006 (
    table_name TEXT,
    row_id INTEGER,
    content JSONB NOT NULL,
    PRIMARY KEY (table_name, row_id)
);
-- The rows that are taken away, whole.
CREATE TABLE IF NOT EXISTS archive.chain_0006_users (
    LIKE public.users,
    PRIMARY KEY (id, created_at)
);
CREATE TABLE IF NOT EXISTS archive.chain_0006_patients (
    LIKE public.patients,
    PRIMARY KEY (id, created_at)
);
CREATE TABLE IF NOT EXISTS archive.chain_0006_assessments (
    LIKE public.assessments,
    PRIMARY KEY (id, created_at)
);
CREATE TABLE IF NOT EXISTS archive.chain_0006_model_runs (
    LIKE public.model_runs,
    PRIMARY KEY (id, created_at)
);
CREATE TABLE IF NOT EXISTS archive.chain_0006_audit_events (
    LIKE public.audit_events,
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
DO $take$
DECLARE
    mock_table TEXT;
    names TEXT;
    reference RECORD;
    spared BIGINT;
    spared_this_round BIGINT;
    spared_in_all BIGINT := 0;
    touched CONSTANT REGCLASS[] := ARRAY[
        'public.users',
        'public.patients',
        'public.assessments',
        'public.model_runs',
        'public.audit_events'
    ];
    -- Triggers stay quiet for our own writes, and come back in their own state.
    quiet CONSTANT TEXT[] := ARRAY(
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I', t.tgrelid::REGCLASS, t.tgname)
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    loud CONSTANT TEXT[] := ARRAY(
        SELECT format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I', t.tgrelid::REGCLASS,
            CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname
        )
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY (touched) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY t.tgrelid, t.tgname
    );
    command TEXT;
BEGIN
    IF NOT EXISTS (SELECT FROM archive.mock_data_0006) THEN
        RAISE NOTICE 'archive.mock_data_0006 knows of no rows, so which are mock data is not '
            'known: none was deleted.'
            USING ERRCODE = 'RK000';
        RETURN;
    END IF;

    -- Strike from the list what is gone and what was edited since.
    FOREACH mock_table IN ARRAY
        ARRAY['users', 'patients', 'assessments', 'model_runs', 'audit_events']
    LOOP
        EXECUTE format(
            'DELETE FROM archive.mock_data_0006 AS kept
            WHERE kept.table_name = %1$L
                AND NOT EXISTS (
                    SELECT FROM public.%1$I AS live
                    WHERE live.id = kept.row_id
                        AND NOT EXISTS (
                            SELECT FROM jsonb_each(kept.content) AS written
                            WHERE to_jsonb(live) -> written.key IS DISTINCT FROM written.value
                        )
                )',
            mock_table
        );
        GET DIAGNOSTICS spared = ROW_COUNT;
        spared_in_all := spared_in_all + spared;
    END LOOP;

    -- Strike what a row that stays refers to, until nothing more is found: each row that stays can
    -- keep others.
    LOOP
        spared_this_round := 0;
        FOR reference IN
            SELECT
                target.relname AS target_table,
                format('%I.%I', source_space.nspname, source.relname) AS source_table,
                CASE
                    WHEN source_space.nspname = 'public' AND source.relname IN (
                        'users', 'patients', 'assessments', 'model_runs', 'audit_events'
                    )
                    THEN format(
                        'NOT EXISTS (
                            SELECT FROM archive.mock_data_0006 AS other
                            WHERE other.table_name = %L
                                AND other.row_id = theirs.id
                        )',
                        source.relname
                    )
                    ELSE 'TRUE'
                END AS stays,
                (
                    SELECT string_agg(
                        format('theirs.%I = ours.%I', source_column.attname, target_column.attname),
                        ' AND '
                    )
                    FROM unnest(fk.conkey, fk.confkey) AS pair (source_number, target_number)
                    INNER JOIN pg_catalog.pg_attribute AS source_column
                        ON source_column.attrelid = fk.conrelid
                        AND source_column.attnum = pair.source_number
                    INNER JOIN pg_catalog.pg_attribute AS target_column
                        ON target_column.attrelid = fk.confrelid
                        AND target_column.attnum = pair.target_number
                ) AS refers
            FROM pg_catalog.pg_constraint AS fk
            INNER JOIN pg_catalog.pg_class AS target ON target.oid = fk.confrelid
            INNER JOIN pg_catalog.pg_class AS source ON source.oid = fk.conrelid
            INNER JOIN pg_catalog.pg_namespace AS source_space
                ON source_space.oid = source.relnamespace
            WHERE fk.contype = 'f'
                AND fk.confrelid IN (
                    'public.users'::REGCLASS, 'public.patients'::REGCLASS,
                    'public.assessments'::REGCLASS, 'public.model_runs'::REGCLASS,
                    'public.audit_events'::REGCLASS
                )
        LOOP
            EXECUTE format(
                'DELETE FROM archive.mock_data_0006 AS kept
                USING public.%I AS ours
                WHERE kept.table_name = %L
                    AND ours.id = kept.row_id
                    AND EXISTS (SELECT FROM %s AS theirs WHERE %s AND %s)',
                reference.target_table,
                reference.target_table,
                reference.source_table,
                reference.refers,
                reference.stays
            );
            GET DIAGNOSTICS spared = ROW_COUNT;
            spared_this_round := spared_this_round + spared;
        END LOOP;
        spared_in_all := spared_in_all + spared_this_round;
        EXIT WHEN spared_this_round = 0;
    END LOOP;

    -- Keep what is left on the list, with columns that someone added; a keeper demands no value.
    FOREACH mock_table IN ARRAY
        ARRAY['users', 'patients', 'assessments', 'model_runs', 'audit_events']
    LOOP
        FOR command IN
            SELECT format(
                'ALTER TABLE archive.chain_0006_%s ADD COLUMN %I %s',
                mock_table, a.attname, format_type(a.atttypid, a.atttypmod)
            )
            FROM pg_attribute AS a
            WHERE a.attrelid = ('public.' || mock_table)::REGCLASS
                AND a.attnum > 0 AND NOT a.attisdropped
                AND NOT EXISTS (
                    SELECT FROM pg_attribute AS k
                    WHERE k.attrelid = ('archive.chain_0006_' || mock_table)::REGCLASS
                        AND k.attname = a.attname
                )
            UNION ALL
            SELECT format(
                'ALTER TABLE archive.chain_0006_%s ALTER COLUMN %I DROP NOT NULL',
                mock_table, k.attname
            )
            FROM pg_attribute AS k
            WHERE k.attrelid = ('archive.chain_0006_' || mock_table)::REGCLASS
                AND k.attnum > 0 AND k.attnotnull AND k.attname NOT IN ('id', 'created_at')
        LOOP
            EXECUTE command;
        END LOOP;
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) INTO names
        FROM pg_attribute AS a
        WHERE a.attrelid = ('public.' || mock_table)::REGCLASS
            AND a.attnum > 0 AND NOT a.attisdropped;
        EXECUTE format(
            'DELETE FROM archive.chain_0006_%1$s AS kept USING public.%1$I AS live
            WHERE kept.id = live.id AND kept.created_at = live.created_at',
            mock_table
        );
        EXECUTE format(
            'INSERT INTO archive.chain_0006_%1$s (%2$s)
            SELECT %2$s FROM public.%1$I AS live
            WHERE EXISTS (
                SELECT FROM archive.mock_data_0006 AS listed
                WHERE listed.table_name = %1$L AND listed.row_id = live.id
            )',
            mock_table, names
        );
    END LOOP;

    SET CONSTRAINTS ALL IMMEDIATE;
    FOREACH command IN ARRAY quiet LOOP
        EXECUTE command;
    END LOOP;

    DELETE FROM public.audit_events AS live
    USING archive.mock_data_0006 AS kept
    WHERE kept.table_name = 'audit_events' AND kept.row_id = live.id;

    DELETE FROM public.model_runs AS live
    USING archive.mock_data_0006 AS kept
    WHERE kept.table_name = 'model_runs' AND kept.row_id = live.id;

    DELETE FROM public.assessments AS live
    USING archive.mock_data_0006 AS kept
    WHERE kept.table_name = 'assessments' AND kept.row_id = live.id;

    DELETE FROM public.patients AS live
    USING archive.mock_data_0006 AS kept
    WHERE kept.table_name = 'patients' AND kept.row_id = live.id;

    DELETE FROM public.users AS live
    USING archive.mock_data_0006 AS kept
    WHERE kept.table_name = 'users' AND kept.row_id = live.id;

    FOREACH command IN ARRAY loud LOOP
        EXECUTE command;
    END LOOP;

    IF spared_in_all > 0 THEN
        RAISE NOTICE '% mock rows were edited, deleted or are referred to by other rows: what is '
            'left of them stays.', spared_in_all
            USING ERRCODE = 'RK000';
    END IF;
END
$take$;
-- +goose StatementEnd

SELECT set_config('search_path', current_setting('refactorkit.search_path'), TRUE);
