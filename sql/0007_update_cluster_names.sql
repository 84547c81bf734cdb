-- Cluster names of the risk levels become the names of the diabetes subgroups.
--
-- The score alone cannot tell later whether a row said 'low_risk', 'Low risk' or nothing, and
-- a row could have been SIDD before. So Up keeps what it replaced, and Down gives just that back.

-- +goose Up
-- Nobody may change a row between the keeping and the renaming.
LOCK TABLE public.assessments IN SHARE ROW EXCLUSIVE MODE;

-- +goose StatementBegin
DO $$
DECLARE
    stranger REGROLE;
BEGIN
    IF to_regnamespace('archive') IS NULL THEN
        CREATE SCHEMA archive;
        COMMENT ON SCHEMA archive IS 'Made by the migrations, dropped by them when it is empty.';
        -- Default privileges may have opened it to others already.
        REVOKE ALL ON SCHEMA archive FROM PUBLIC;
        FOR stranger IN
            SELECT DISTINCT granted.grantee::REGROLE
            FROM pg_catalog.pg_namespace AS space, aclexplode(space.nspacl) AS granted
            WHERE space.nspname = 'archive' AND granted.grantee <> space.nspowner
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA archive FROM %s', stranger);
        END LOOP;
    END IF;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS space
        WHERE space.nspname = 'archive'
            AND (
                space.nspowner <> quote_ident(current_user)::REGROLE
                OR EXISTS (
                    SELECT FROM aclexplode(space.nspacl) AS granted
                    WHERE granted.privilege_type = 'CREATE'
                        AND granted.grantee <> space.nspowner
                )
            )
    ) THEN
        RAISE EXCEPTION 'The schema archive belongs to another role, or others may create in it.'
            USING ERRCODE = 'RK001',
                HINT = 'Run this as the owner of the schema archive, and revoke CREATE on it from '
                    'everyone else.';
    END IF;
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class AS kept
        WHERE kept.oid = to_regclass('archive.assessments_cluster_0007')
            AND (
                kept.relkind <> 'r'
                OR kept.relowner <> quote_ident(current_user)::REGROLE
                OR kept.relhasrules
                OR kept.relhastriggers
                OR kept.relrowsecurity
            )
    ) THEN
        RAISE EXCEPTION 'archive.assessments_cluster_0007 is there, and this file did not make it.'
            USING ERRCODE = 'RK001',
                HINT = 'Find out whose it is, and rename it or move it to another schema.';
    END IF;
END
$$;
-- +goose StatementEnd

-- Says again, where readers of DDL can see it, what the block above did.
CREATE SCHEMA IF NOT EXISTS archive;
REVOKE ALL ON SCHEMA archive FROM PUBLIC;

CREATE TABLE IF NOT EXISTS archive.assessments_cluster_0007 (
    id INTEGER PRIMARY KEY,
    cluster_before TEXT,
    cluster_after TEXT NOT NULL
);
REVOKE ALL ON TABLE archive.assessments_cluster_0007 FROM PUBLIC;

-- A row that is kept already was renamed by an earlier run, and was given an old name again since.
INSERT INTO archive.assessments_cluster_0007 (id, cluster_before, cluster_after)
SELECT
    id,
    cluster,
    CASE
        WHEN risk_score >= 80 THEN 'SIDD'
        WHEN risk_score >= 67 THEN 'SIRD'
        WHEN risk_score >= 50 THEN 'MOD'
        ELSE 'MARD'
    END
FROM public.assessments
WHERE cluster IS NULL
    OR cluster IN (
        'low_risk', 'moderate_risk', 'high_risk', 'Low risk', 'Moderate risk', 'High risk'
    )
ON CONFLICT (id) DO UPDATE
SET cluster_before = EXCLUDED.cluster_before, cluster_after = EXCLUDED.cluster_after;

UPDATE public.assessments AS live
SET cluster = kept.cluster_after
FROM archive.assessments_cluster_0007 AS kept
WHERE live.id = kept.id
    AND live.cluster IS NOT DISTINCT FROM kept.cluster_before;

-- +goose Down
LOCK TABLE public.assessments IN SHARE ROW EXCLUSIVE MODE;

-- +goose StatementBegin
DO $$
DECLARE
    guessed BIGINT;
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class AS kept
        WHERE kept.oid = to_regclass('archive.assessments_cluster_0007')
            AND (
                kept.relkind <> 'r'
                OR kept.relowner <> quote_ident(current_user)::REGROLE
                OR kept.relhasrules
                OR kept.relhastriggers
                OR kept.relrowsecurity
            )
    ) THEN
        RAISE EXCEPTION 'archive.assessments_cluster_0007 is not as Up made it, or is '
            'another role''s.'
            USING ERRCODE = 'RK001',
                HINT = 'Run this as the role that ran Up. If the table was changed since, find out '
                    'by whom before anything is restored from it.';
    END IF;
    IF to_regclass('archive.assessments_cluster_0007') IS NOT NULL THEN
        -- A cluster that was changed after Up is somebody's decision, and stays.
        UPDATE public.assessments AS live
        SET cluster = kept.cluster_before
        FROM archive.assessments_cluster_0007 AS kept
        WHERE live.id = kept.id
            AND live.cluster = kept.cluster_after;
    ELSE
        -- Another tool's file ran Up and kept nothing. Only rows that hold what Up gives for their
        -- score are taken for its work.
        UPDATE public.assessments
        SET cluster = CASE
            WHEN risk_score >= 67 THEN 'high_risk'
            WHEN risk_score >= 34 THEN 'moderate_risk'
            ELSE 'low_risk'
        END
        WHERE cluster = CASE
            WHEN risk_score >= 80 THEN 'SIDD'
            WHEN risk_score >= 67 THEN 'SIRD'
            WHEN risk_score >= 50 THEN 'MOD'
            ELSE 'MARD'
        END;
        GET DIAGNOSTICS guessed = ROW_COUNT;
        RAISE NOTICE 'archive.assessments_cluster_0007 does not exist, so what Up replaced is '
            'not known: % clusters of public.assessments were guessed from the risk score.',
            guessed
            USING ERRCODE = 'RK000';
    END IF;
END
$$;
-- +goose StatementEnd

DROP TABLE IF EXISTS archive.assessments_cluster_0007;

-- The schema goes only when a migration made it (its comment says so) and nothing is left in it.
-- +goose StatementBegin
DO $$
BEGIN
    IF obj_description(to_regnamespace('archive'), 'pg_namespace')
        = 'Made by the migrations, dropped by them when it is empty.'
    THEN
        DROP SCHEMA IF EXISTS archive RESTRICT;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        NULL;
END
$$;
-- +goose StatementEnd
