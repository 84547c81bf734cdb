-- When an assessment was last changed, and indexes for the lists of the application.

-- +goose Up
ALTER TABLE public.assessments
    ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ NOT NULL DEFAULT now();

CREATE INDEX IF NOT EXISTS idx_users_email ON public.users (email);
CREATE INDEX IF NOT EXISTS idx_patients_created_at ON public.patients (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_assessments_patient_id ON public.assessments (patient_id);
CREATE INDEX IF NOT EXISTS idx_assessments_created_at ON public.assessments (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_assessments_patient_created
    ON public.assessments (patient_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_assessments_cluster ON public.assessments (cluster);
CREATE INDEX IF NOT EXISTS idx_assessments_risk_score ON public.assessments (risk_score DESC);

-- +goose Down
DROP INDEX IF EXISTS public.idx_assessments_risk_score;
DROP INDEX IF EXISTS public.idx_assessments_cluster;
DROP INDEX IF EXISTS public.idx_assessments_patient_created;
DROP INDEX IF EXISTS public.idx_assessments_created_at;
DROP INDEX IF EXISTS public.idx_assessments_patient_id;
DROP INDEX IF EXISTS public.idx_patients_created_at;
DROP INDEX IF EXISTS public.idx_users_email;

ALTER TABLE public.assessments
    DROP COLUMN IF EXISTS updated_at;
