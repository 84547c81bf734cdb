"""Faults to plant in 0001 to 0010: each loses, mixes up or gives away something."""

from refactorkit.migrations.model import Direction
from tests.support.chain_story import Fault


def on_up(version: int, name: str, old: str, new: str) -> Fault:
    return Fault(name=name, version=version, direction=Direction.UP, old=old, new=new)


def on_down(version: int, name: str, old: str, new: str) -> Fault:
    return Fault(name=name, version=version, direction=Direction.DOWN, old=old, new=new)


SAME_ROW = "kept.id = live.id AND kept.created_at = live.created_at"

FAULTS = (
    on_down(
        1,
        "drop a table",
        "ALTER TABLE IF EXISTS public.audit_events SET SCHEMA archive;",
        "DROP TABLE IF EXISTS public.audit_events;",
    ),
    on_up(
        1,
        "make a table anew",
        "ALTER TABLE IF EXISTS archive.model_runs SET SCHEMA public;",
        "SELECT 1;",
    ),
    on_up(2, "swap two columns", "= kept.family_history", "= kept.phys_activity"),
    on_up(2, "take any row with the id for the same", SAME_ROW, "kept.id = live.id"),
    on_down(2, "keep one answer alone", " OR phys_activity IS NOT NULL", ""),
    on_up(3, "forget when rows were changed", "updated_at = kept.updated_at", "updated_at = now()"),
    on_up(3, "take any row with the id for the same", SAME_ROW, "kept.id = live.id"),
    on_up(4, "give a session to another", "kept.created_at <> live.created_at", "FALSE"),
    on_up(
        4,
        "throw away what has no user",
        "(%1$s) SELECT %1$s FROM orphans",
        "(%1$s) SELECT %1$s FROM orphans WHERE FALSE",
    ),
    on_up(4, "forget the cascade", "REFERENCES public.users (id) ON DELETE CASCADE;",
          "REFERENCES public.users (id);"),
    on_down(
        4,
        "leave a cascade into the archive",
        "DROP CONSTRAINT IF EXISTS refresh_tokens_user_id_fkey",
        "DROP CONSTRAINT IF EXISTS another",
    ),
    on_up(5, "give a patient to another", "AND owner.created_at = kept.user_created_at", ""),
    on_up(
        5,
        "say nothing of an owner who is gone",
        "WHERE live.user_id IS NULL;\n        GET",
        "WHERE FALSE;\n        GET",
    ),
    on_up(5, "wake the triggers", "FOREACH command IN ARRAY quiet LOOP",
          "FOREACH command IN ARRAY '{}'::TEXT[] LOOP"),
    on_up(5, "forget a trigger's state", "WHEN 'A' THEN 'ALWAYS'", "WHEN 'A' THEN ''"),
    on_up(5, "leave the triggers off", "FOREACH command IN ARRAY loud LOOP",
          "FOREACH command IN ARRAY '{}'::TEXT[] LOOP"),
    on_down(
        6,
        "keep nothing of a table",
        "WHERE listed.table_name = %1$L AND listed.row_id = live.id",
        "WHERE listed.table_name = %1$L AND listed.row_id = live.id AND %1$L <> ''audit_events''",
    ),
    on_up(
        6,
        "insert mock data a second time",
        "IF to_regclass('archive.chain_0006_users') IS NOT NULL THEN",
        "IF FALSE THEN",
    ),
    on_up(
        6,
        "give an account's patients to another",
        "AND NOT EXISTS (SELECT FROM archive.chain_0006_users AS o WHERE o.id = kept.user_id)",
        "OR TRUE",
    ),
    on_up(7, "go by the score again", "THEN waiting.cluster_found", "THEN 'MARD'"),
    on_up(
        7,
        "overwrite what was written at version 6",
        "AND waiting.cluster_left IS NOT DISTINCT FROM live.cluster",
        "",
    ),
    on_up(7, "take any row for the same", "AND waiting.created_at = live.created_at", ""),
    on_down(7, "overwrite what was written at version 7",
            "WHERE live.cluster IS NOT DISTINCT FROM kept.cluster_after", "WHERE TRUE"),
    on_down(
        7,
        "forget the old names of version 7",
        "SELECT live.id, live.created_at, live.cluster, live.cluster",
        "SELECT live.id, live.created_at, live.cluster, 'MARD'",
    ),
    on_up(8, "rename to the other", "WHEN 'SOIRD' THEN 'SIRD' ELSE 'MOD'",
          "WHEN 'MIDD' THEN 'SIRD' ELSE 'MOD'"),
    on_down(8, "rename every SIRD", "ON kept.id = live.id AND kept.created_at = live.created_at",
            "ON TRUE"),
    on_down(8, "forget the old names of version 8", "WHERE live.cluster IN ('SOIRD', 'MIDD')",
            "WHERE FALSE"),
    on_up(9, "give a membership to another", "kept.created_at <> live.created_at", "FALSE"),
    on_down(9, "drop the clinics' members",
            "ALTER TABLE IF EXISTS public.user_clinics SET SCHEMA archive;",
            "DROP TABLE IF EXISTS public.user_clinics;"),
    on_down(10, "forget who logged in", "OR live.last_login_at IS NOT NULL", ""),
    on_down(10, "forget who is inactive", "WHERE NOT live.is_active OR", "WHERE"),
    on_up(10, "let everybody in", "is_active = kept.is_active", "is_active = TRUE"),
    on_up(
        10,
        "say that another made the account",
        "AND creator.created_at = kept.created_by_created_at",
        "",
    ),
    on_up(10, "say nothing of a maker who is gone",
          "WHERE kept.created_by IS NOT NULL AND live.created_by IS NULL;", "WHERE FALSE;"),
)  # fmt: skip
