-- Users, their patients, the patients' assessments, runs of the model, and the log of who did what.

-- +goose Up

-- IF NOT EXISTS hides what is there already. A database that holds columns of later versions was migrated
-- before, under another version table: running the chain over it again would make its history untrue.
-- +goose StatementBegin
DO $guard$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid IN (pg_catalog.to_regclass('public.users'), pg_catalog.to_regclass('public.patients'),
                pg_catalog.to_regclass('archive.patients'))
            AND a.attname IN ('is_active', 'family_history') AND NOT a.attisdropped
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'RK001',
            MESSAGE = 'The tables of this database are of a later version already.',
            HINT = 'Nothing was changed. Look at the version table: is its name or schema another one here?';
    END IF;
END
$guard$;
-- +goose StatementEnd

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

-- +goose Down
-- Referencing tables first; never CASCADE, so that whatever else refers to them stops this file.
DROP TABLE IF EXISTS public.audit_events;
DROP TABLE IF EXISTS public.model_runs;
DROP TABLE IF EXISTS public.assessments;
DROP TABLE IF EXISTS public.patients;
DROP TABLE IF EXISTS public.users;
