-- Event triggers that refuse to drop or alter what lies in the archive. They know objects, not names, and stand
-- outside the archive, so that nothing that drops it drops them first. A table that moves is theirs while it lies
-- there. Blind spot: its move by hand (ALTER TABLE … SET SCHEMA) looks like one that has come home.
CREATE SCHEMA refactorkit_guard;
REVOKE ALL ON SCHEMA refactorkit_guard FROM PUBLIC;
CREATE TABLE refactorkit_guard.guarded (
    object regclass PRIMARY KEY,
    schema regnamespace NOT NULL,
    moves boolean NOT NULL
);
REVOKE ALL ON refactorkit_guard.guarded FROM PUBLIC;
CREATE FUNCTION refactorkit_guard.refuse()
RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $refuse$
DECLARE
    what text;
BEGIN
    IF current_setting('refactorkit.archive_writer', true) IS NOT DISTINCT FROM pg_current_xact_id()::text THEN
        RETURN;
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        -- A table that has moved back to where it came from is nobody's business here.
        SELECT d.object_identity INTO what
        FROM pg_event_trigger_dropped_objects() AS d
        JOIN refactorkit_guard.guarded AS g
            ON (d.classid = 'pg_namespace'::regclass AND d.objid = g.schema)
            OR (d.classid = 'pg_class'::regclass AND d.objid = g.object
                AND (NOT g.moves OR d.schema_name = 'archive'))
            OR (d.object_type IN ('trigger', 'rule', 'policy', 'table constraint')
                AND to_regclass(format('%I.%I', d.address_names[1], d.address_names[2])) = g.object
                AND (NOT g.moves OR d.address_names[1] = 'archive'))
            OR (d.classid = 'pg_proc'::regclass AND d.schema_name = 'archive')
        LIMIT 1;
    ELSE
        SELECT d.object_identity INTO what
        FROM pg_event_trigger_ddl_commands() AS d
        LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
        LEFT JOIN pg_proc AS f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
        JOIN refactorkit_guard.guarded AS g
            ON (d.classid = 'pg_namespace'::regclass AND d.objid = g.schema AND d.command_tag LIKE 'ALTER%')
            OR f.pronamespace = g.schema
            OR (g.object = coalesce(t.tgrelid, r.ev_class, p.polrelid,
                    CASE WHEN d.classid = 'pg_class'::regclass THEN d.objid END)
                AND (NOT g.moves OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.object AND c.relnamespace = g.schema)))
        LIMIT 1;
    END IF;
    IF what IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'RK003',
            MESSAGE = format('%s of %s is refused: the archive is changed by refactorkit alone.', TG_TAG, what),
            HINT = 'Nothing was changed. Without it a rollback would lose data; refactorkit archive harden --off takes the guards away.';
    END IF;
END
$refuse$;
REVOKE ALL ON FUNCTION refactorkit_guard.refuse() FROM PUBLIC;
