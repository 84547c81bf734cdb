-- What a database in production has and made-up data lacks: comments, grants, triggers in every
-- state, settings of tables, columns and indexes that someone added. A refactor must give all of it
-- back. The triggers leave a trace in audit_events when they fire: the refactor's own writes must
-- not wake them.

COMMENT ON TABLE public.patients IS 'People under care; see the data protection register.';
COMMENT ON COLUMN public.patients.name IS 'As on the insurance card.';
COMMENT ON CONSTRAINT patients_pkey ON public.patients IS 'Printed on letters.';
COMMENT ON COLUMN public.assessments.patient_id IS 'NULL: the person is not known.';
COMMENT ON INDEX public.idx_assessments_patient_id IS 'For the timeline.';
COMMENT ON TABLE public.users IS 'Accounts.';

GRANT SELECT ON public.patients, public.users, public.assessments TO pg_monitor;
GRANT UPDATE (name, bmi) ON public.patients TO pg_read_all_stats;
GRANT SELECT (id, email) ON public.users TO pg_read_all_stats WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE public.patients_id_seq TO pg_monitor;

-- What is new is open to a role by default: the archive must not be.
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pg_monitor;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO pg_monitor;

ALTER TABLE public.patients SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE public.patients ALTER COLUMN name SET STATISTICS 300;
ALTER TABLE public.patients ALTER COLUMN activity SET STORAGE EXTERNAL;
ALTER TABLE public.patients REPLICA IDENTITY FULL;

ALTER TABLE public.patients ADD COLUMN drill_remark text DEFAULT 'from before';
ALTER TABLE public.patients ALTER COLUMN drill_remark DROP DEFAULT;
ALTER TABLE public.assessments ADD COLUMN drill_remark text DEFAULT 'from before';
ALTER TABLE public.assessments ALTER COLUMN drill_remark DROP DEFAULT;

CREATE INDEX drill_patients_name ON public.patients (lower(left(name, 20)));
CREATE INDEX drill_assessments_high ON public.assessments (patient_id) WHERE risk_score > 66;
CREATE STATISTICS public.drill_users_role ON role, is_active FROM public.users;

CREATE FUNCTION public.drill_trace() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    INSERT INTO public.audit_events (actor, action) VALUES (TG_TABLE_NAME, TG_OP);
    RETURN NULL;
END
$function$;
CREATE TRIGGER drill_users_trace AFTER INSERT OR UPDATE OR DELETE ON public.users
    FOR EACH STATEMENT EXECUTE FUNCTION public.drill_trace();
CREATE TRIGGER drill_users_mail AFTER INSERT ON public.users
    FOR EACH ROW EXECUTE FUNCTION public.drill_trace();
CREATE TRIGGER drill_patients_trace AFTER INSERT OR UPDATE OR DELETE ON public.patients
    FOR EACH STATEMENT EXECUTE FUNCTION public.drill_trace();
CREATE TRIGGER drill_assessments_trace AFTER INSERT OR UPDATE OR DELETE ON public.assessments
    FOR EACH STATEMENT EXECUTE FUNCTION public.drill_trace();
CREATE TRIGGER drill_assessments_off AFTER DELETE ON public.assessments
    FOR EACH ROW EXECUTE FUNCTION public.drill_trace();
COMMENT ON TRIGGER drill_users_mail ON public.users IS 'Would write to everybody who is added.';
ALTER TABLE public.users ENABLE ALWAYS TRIGGER drill_users_trace;
ALTER TABLE public.assessments ENABLE REPLICA TRIGGER drill_assessments_trace;
ALTER TABLE public.assessments DISABLE TRIGGER drill_assessments_off;
