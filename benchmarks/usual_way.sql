-- The usual way to version 11, as a comparison: what people write who do not keep ids.
-- A new column in assessments, filled by a join while its five indexes are in place, and patients
-- dropped: there is no way back.

BEGIN;

ALTER TABLE public.users
    ADD COLUMN first_name text,
    ADD COLUMN last_name text,
    ADD COLUMN date_of_birth date,
    ADD COLUMN phone text,
    ADD COLUMN address text,
    ADD COLUMN menopause_status text CHECK (menopause_status IN ('pre', 'peri', 'post', 'surgical')),
    ADD COLUMN menopause_type text CHECK (menopause_type IN ('natural', 'surgical')),
    ADD COLUMN years_menopause integer CHECK (years_menopause >= 0 AND years_menopause <= 50),
    ADD COLUMN hypertension text CHECK (hypertension IN ('no', 'controlled', 'uncontrolled')),
    ADD COLUMN heart_disease text CHECK (heart_disease IN ('no', 'yes')),
    ADD COLUMN family_history_diabetes boolean NOT NULL DEFAULT false,
    ADD COLUMN smoking_status text CHECK (smoking_status IN ('never', 'former', 'current')),
    ADD COLUMN consent_personal_data boolean NOT NULL DEFAULT true,
    ADD COLUMN consent_research_participation boolean NOT NULL DEFAULT false,
    ADD COLUMN consent_email_updates boolean NOT NULL DEFAULT false,
    ADD COLUMN consent_analytics boolean NOT NULL DEFAULT true,
    ADD COLUMN consent_updated_at timestamp with time zone DEFAULT now(),
    ADD COLUMN assessment_frequency_months integer NOT NULL DEFAULT 3
        CHECK (assessment_frequency_months >= 1 AND assessment_frequency_months <= 12),
    ADD COLUMN reminder_email boolean NOT NULL DEFAULT true,
    ADD COLUMN last_assessment_reminder_sent timestamp with time zone,
    ADD COLUMN onboarding_completed boolean NOT NULL DEFAULT false,
    ADD COLUMN account_status text NOT NULL DEFAULT 'active'
        CHECK (account_status IN ('active', 'deleted')),
    ADD COLUMN deleted_at timestamp with time zone,
    ADD COLUMN is_admin boolean NOT NULL DEFAULT false,
    ADD COLUMN bmi numeric(5,2),
    ADD COLUMN bp_systolic integer,
    ADD COLUMN bp_diastolic integer,
    ADD COLUMN activity text,
    ADD COLUMN phys_activity boolean,
    ADD COLUMN chol integer,
    ADD COLUMN ldl integer,
    ADD COLUMN hdl integer,
    ADD COLUMN triglycerides integer;
CREATE INDEX idx_users_account_status ON public.users (account_status);
CREATE INDEX idx_users_assessment_reminder
    ON public.users (reminder_email, last_assessment_reminder_sent);
CREATE INDEX idx_users_consent_research ON public.users (consent_research_participation);
CREATE INDEX idx_users_menopause_status ON public.users (menopause_status);

INSERT INTO public.users (
    email, password_hash, role, created_at, updated_at, is_active, first_name, last_name,
    menopause_status, years_menopause, hypertension, heart_disease, family_history_diabetes,
    smoking_status, bmi, bp_systolic, bp_diastolic, activity, phys_activity, chol, ldl, hdl,
    triglycerides
)
SELECT
    'patient-' || p.id || '@unclaimed.invalid', '!', 'member', p.created_at, p.updated_at, false,
    split_part(p.name, ' ', 1), nullif(split_part(p.name, ' ', 2), ''),
    CASE p.menopause_status
        WHEN 'premenopausal' THEN 'pre'
        WHEN 'perimenopausal' THEN 'peri'
        WHEN 'postmenopausal' THEN 'post'
        WHEN 'surgical' THEN 'surgical'
    END,
    CASE WHEN p.years_menopause BETWEEN 0 AND 50 THEN p.years_menopause END,
    CASE WHEN p.hypertension IN ('no', 'controlled', 'uncontrolled') THEN p.hypertension END,
    CASE WHEN p.heart_disease IN ('no', 'yes') THEN p.heart_disease END,
    coalesce(p.family_history, false),
    CASE WHEN p.smoking IN ('never', 'former', 'current') THEN p.smoking END,
    p.bmi, p.bp_systolic, p.bp_diastolic, p.activity, p.phys_activity, p.chol, p.ldl, p.hdl,
    p.triglycerides
FROM public.patients AS p;

ALTER TABLE public.assessments ADD COLUMN user_id integer;
UPDATE public.assessments AS a
SET user_id = u.id
FROM public.patients AS p
JOIN public.users AS u ON u.email = 'patient-' || p.id || '@unclaimed.invalid'
WHERE a.patient_id = p.id;
CREATE INDEX idx_assessments_user_id ON public.assessments (user_id);
CREATE INDEX idx_assessments_user_id_created ON public.assessments (user_id, created_at DESC);
ALTER TABLE public.assessments
    ADD CONSTRAINT assessments_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE;

ALTER TABLE public.assessments DROP COLUMN patient_id;
DROP TABLE public.patients;

COMMIT;
