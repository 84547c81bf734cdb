-- Two yes-or-no answers of a patient.

-- +goose Up
ALTER TABLE public.patients
    ADD COLUMN IF NOT EXISTS family_history BOOLEAN,
    ADD COLUMN IF NOT EXISTS phys_activity BOOLEAN;

-- +goose Down
ALTER TABLE public.patients
    DROP COLUMN IF EXISTS phys_activity,
    DROP COLUMN IF EXISTS family_history;
