-- Every patient belongs to a user. Patients from before go to the user with the lowest id.

-- +goose Up
-- The foreign key stands inside ADD COLUMN because ADD CONSTRAINT knows no IF NOT EXISTS. This
-- statement also locks the table, so that the check below sees every patient.
ALTER TABLE public.patients
    ADD COLUMN IF NOT EXISTS user_id INTEGER
    CONSTRAINT fk_patients_user_id REFERENCES public.users (id) ON DELETE CASCADE;

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM public.patients WHERE user_id IS NULL)
        AND NOT EXISTS (SELECT FROM public.users)
    THEN
        RAISE EXCEPTION 'public.patients has rows, but public.users has none: '
            'there is nobody whom the patients could belong to.'
            USING ERRCODE = 'RK001',
                HINT = 'Insert the user who shall own them into public.users, then run this again.';
    END IF;
END
$$;
-- +goose StatementEnd

UPDATE public.patients
SET user_id = (SELECT min(id) FROM public.users)
WHERE user_id IS NULL;

ALTER TABLE public.patients
    ALTER COLUMN user_id SET NOT NULL;

CREATE INDEX IF NOT EXISTS idx_patients_user_id ON public.patients (user_id);

-- +goose Down
DROP INDEX IF EXISTS public.idx_patients_user_id;

ALTER TABLE public.patients
    DROP CONSTRAINT IF EXISTS fk_patients_user_id,
    DROP COLUMN IF EXISTS user_id;
