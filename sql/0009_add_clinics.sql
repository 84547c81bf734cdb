-- Clinics, and who works in which.

-- +goose Up
CREATE TABLE IF NOT EXISTS public.clinics (
    id SERIAL PRIMARY KEY,
    name TEXT NOT NULL,
    address TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.user_clinics (
    user_id INTEGER NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
    clinic_id INTEGER NOT NULL REFERENCES public.clinics (id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'member',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, clinic_id)
);

CREATE INDEX IF NOT EXISTS idx_user_clinics_user ON public.user_clinics (user_id);
CREATE INDEX IF NOT EXISTS idx_user_clinics_clinic ON public.user_clinics (clinic_id);

-- +goose Down
DROP TABLE IF EXISTS public.user_clinics;
DROP TABLE IF EXISTS public.clinics;
