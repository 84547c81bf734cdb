"""What can go wrong where users become patients again: merges, people, rights, the catalog."""

from tests.support.model.columns import CARRIED
from tests.support.model.mutation import on_down, on_up

MERGE = (
    *(
        on_down(
            f"drop the merge of {column.source}",
            f"    {column.source} = new.{column.source},\n",
            f"    {column.source} = s.{column.source},\n",
        )
        for column in CARRIED
    ),
    *(
        on_up(
            f"drop the way forward of an edit of {source}",
            f"THEN k.{target} ELSE {made} END",
            f"THEN k.{target} ELSE k.{target} END",
            times=5,
        )
        for source, target, made in (
            ("bmi", "bmi", "s.bmi"),
            ("name", "last_name", "archive.patients_forward_last_name(s.name)"),
            ("family_history", "family_history_diabetes", "coalesce(s.family_history, false)"),
        )
    ),
    on_down(
        "say nothing of when an edit was made",
        "WHEN new.refactorkit_touched <> s.updated_at THEN new.refactorkit_touched ELSE now() END",
        "WHEN true THEN s.updated_at END",
    ),
    on_down(
        "say now of every edit",
        "WHEN new.refactorkit_touched <> s.updated_at THEN new.refactorkit_touched ELSE now() END",
        "WHEN true THEN now() END",
    ),
    on_down(
        "take a login for an edit",
        "WHERE s.id = new.refactorkit_id\n    AND",
        "WHERE s.id = new.refactorkit_id OR s.id = new.refactorkit_id AND",
    ),
    on_down(
        "measure edits by the forward image alone",
        "h.source_id IS NOT NULL AND",
        "false AND",
        times=0,
    ),
    on_down(
        "decide every conflict for the living",
        "turn.settings ->> 'on_conflict' = 'archive' AND (",
        "false AND (",
        times=0,
    ),
    on_down(
        "forget what Down wrote",
        "JOIN archive.patients AS s ON s.id = m.source_id\n"
        "WHERE k.refactorkit_turn = (SELECT max(turn) FROM archive.patients_turns);",
        "JOIN archive.patients AS s ON s.id = m.source_id\nWHERE false;",
    ),
)

PEOPLE = (
    on_down("forget those who have assessments alone", " OR of_assessments.found", "", times=2),
    on_down(
        "forget those who have a family history alone",
        "            OR t.family_history_diabetes <> false\n",
        "",
        times=2,
    ),
    on_down(
        "give a native's patient to who made the native",
        "    m.target_id\nFROM archive.patients_map AS m\nJOIN public.users",
        "    coalesce(t.created_by, m.target_id)\n"
        "FROM archive.patients_map AS m\nJOIN public.users",
    ),
    on_down(
        "leave a native without a name",
        "coalesce(nullif(archive.patients_back_name(t.first_name, t.last_name), ''), t.email)",
        "archive.patients_back_name(t.first_name, t.last_name)",
    ),
    on_down(
        "give every patient to the custodian",
        "WHERE s.user_id = ANY (gone);\n    END IF",
        "; END IF",
    ),
    on_down(
        "bring the deleted back",
        "WHERE (t.id IS NULL OR NOT (t.account_status",
        "WHERE (NOT (t.account_status",
    ),
    on_down(
        "know only one way to delete softly",
        " AND t.deleted_at IS NULL)",
        ")",
        times=0,
    ),
    on_up(
        "keep the profile of a native whose patient was deleted",
        "WHEN s.id IS NULL THEN (NULL)::text WHEN record_image_eq(ROW(s.smoking)",
        "WHEN s.id IS NULL THEN k.smoking_status WHEN record_image_eq(ROW(s.smoking)",
    ),
    on_up(
        "clear the name of a native whose patient was deleted",
        "WHEN s.id IS NULL THEN k.first_name",
        "WHEN s.id IS NULL THEN NULL",
    ),
)

RIGHTS = (
    on_up("forget to record the natives", "coalesce(natives.ids, '{}')", "'{}'"),
    on_up(
        "record as a native who was made in version 11",
        "FILTER (WHERE t.is_active OR made.target_id IS NULL)",
        "FILTER (WHERE true)",
    ),
    on_down(
        "keep logins always",
        "NOT k.id <@ turn.natives AND NOT (turn.settings ->> 'keep_logins')::boolean",
        "false",
        times=2,
    ),
    on_down(
        "keep no login, whatever is said",
        "NOT k.id <@ turn.natives AND NOT (turn.settings ->> 'keep_logins')::boolean",
        "NOT k.id <@ turn.natives",
        times=2,
    ),
    on_down(
        "promote who was given the flag",
        "role = CASE WHEN t.role = 'admin' AND NOT k.is_admin THEN",
        "role = CASE WHEN k.is_admin THEN 'admin' WHEN t.role = 'admin' AND NOT k.is_admin THEN",
    ),
    on_down(
        "leave an admin who lost the flag",
        "role = CASE WHEN t.role = 'admin' AND NOT k.is_admin THEN",
        "role = CASE WHEN false THEN",
    ),
    on_up(
        "give the flag back whatever version 10 says",
        "THEN k.is_admin ELSE t.role = 'admin' END",
        "THEN k.is_admin ELSE k.is_admin END",
    ),
    on_up(
        "let in whom version 10 locked out, and the other way round",
        "is_active = CASE WHEN record_image_eq(ROW(t.is_active), ROW(b.is_active))"
        " THEN k.is_active ELSE t.is_active END",
        "is_active = k.is_active",
    ),
    on_up(
        "open the archive to default privileges",
        "'REVOKE ALL ON TABLE %s FROM %s'",
        "'REVOKE TRIGGER ON TABLE %s FROM %s'",
        dressed=True,
    ),
)

CATALOG = (
    on_down(
        "leave version 11's default role", "ALTER COLUMN role SET DEFAULT 'clinician'::text,", ""
    ),
    on_down(
        "leave an index its new name",
        "ALTER INDEX IF EXISTS public.idx_assessments_user_id RENAME TO",
        "ALTER INDEX IF EXISTS public.nothing RENAME TO",
    ),
    on_down(
        "restore the patients' owner without its cascade",
        "ADD CONSTRAINT fk_patients_user_id\n"
        "    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE",
        "ADD CONSTRAINT fk_patients_user_id\n"
        "    FOREIGN KEY (user_id) REFERENCES public.users (id)",
    ),
    on_down(
        "forget to restore a foreign key",
        "ALTER TABLE public.users ADD CONSTRAINT users_created_by_fkey\n"
        "    FOREIGN KEY (created_by) REFERENCES public.users (id);",
        "SELECT 1;",
    ),
    on_down(
        "leave a table of version 11",
        "ALTER TABLE IF EXISTS public.notification_queue SET SCHEMA archive;",
        "SELECT 1;",
    ),
    on_down("leave a column of version 11", "    DROP COLUMN IF EXISTS phone,\n", ""),
    *(
        mutation
        for direct in (on_up, on_down)
        for mutation in (
            direct(
                f"wake the triggers on {'Up' if direct is on_up else 'Down'}",
                "'ALTER TABLE %s DISABLE TRIGGER %I'",
                "'SELECT 1'",
                dressed=True,
            ),
            direct(
                f"forget to restore the triggers on {'Up' if direct is on_up else 'Down'}",
                "'ALTER TABLE %s ENABLE %s TRIGGER %I'",
                "'SELECT 1'",
                dressed=True,
            ),
            direct(
                f"switch every trigger on the same on {'Up' if direct is on_up else 'Down'}",
                "CASE t.state WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END",
                "''",
                dressed=True,
            ),
        )
    ),
)

FAULTS = (
    *MERGE,
    *PEOPLE,
    *RIGHTS,
    *CATALOG,
)
