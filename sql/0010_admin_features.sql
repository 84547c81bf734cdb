-- What an administrator needs: who may log in, when they last did, who made the account, and
-- indexes for searching.

-- +goose Up
ALTER TABLE public.users
    ADD COLUMN IF NOT EXISTS is_active BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN IF NOT EXISTS last_login_at TIMESTAMPTZ,
    ADD COLUMN IF NOT EXISTS created_by INTEGER REFERENCES public.users (id);

CREATE INDEX IF NOT EXISTS idx_users_email_search ON public.users (email);
CREATE INDEX IF NOT EXISTS idx_users_role ON public.users (role);
CREATE INDEX IF NOT EXISTS idx_users_is_active ON public.users (is_active);
CREATE INDEX IF NOT EXISTS idx_audit_events_created_at ON public.audit_events (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_audit_events_actor ON public.audit_events (actor);
CREATE INDEX IF NOT EXISTS idx_audit_events_action ON public.audit_events (action);
CREATE INDEX IF NOT EXISTS idx_model_runs_created_at ON public.model_runs (created_at DESC);

-- +goose Down
DROP INDEX IF EXISTS public.idx_model_runs_created_at;
DROP INDEX IF EXISTS public.idx_audit_events_action;
DROP INDEX IF EXISTS public.idx_audit_events_actor;
DROP INDEX IF EXISTS public.idx_audit_events_created_at;
DROP INDEX IF EXISTS public.idx_users_is_active;
DROP INDEX IF EXISTS public.idx_users_role;
DROP INDEX IF EXISTS public.idx_users_email_search;

ALTER TABLE public.users
    DROP COLUMN IF EXISTS created_by,
    DROP COLUMN IF EXISTS last_login_at,
    DROP COLUMN IF EXISTS is_active;
