"""What can go wrong where patients become users: made subjects, ids, links, the complement."""

from tests.support.model.mutation import on_down, on_up

SUBJECTS = (
    on_up(
        "swap two columns of the subjects",
        "s.phys_activity, s.chol, s.ldl, s.hdl, s.triglycerides FROM archive.patients AS s JOIN",
        "s.phys_activity, s.ldl, s.chol, s.hdl, s.triglycerides FROM archive.patients AS s JOIN",
        times=2,
    ),
    on_up(
        "let subjects log in",
        "    false::boolean,\n    archive.patients_forward_first_name(s.name)",
        "    true::boolean,\n    archive.patients_forward_first_name(s.name)",
        times=0,
    ),
    on_up(
        "make up a consent",
        "    (false)::boolean,\n    (false)::boolean,\n    (NULL)",
        "    (true)::boolean,\n    (false)::boolean,\n    (NULL)",
        times=0,
    ),
    on_up(
        "make up a consent of natives",
        "consent_personal_data boolean NOT NULL DEFAULT false",
        "consent_personal_data boolean NOT NULL DEFAULT true",
    ),
    on_up(
        "forget the rights that a role gives",
        "UPDATE public.users SET is_admin = true WHERE role = 'admin' AND",
        "UPDATE public.users SET is_admin = true WHERE false AND",
    ),
    on_up(
        "leave version 10's default role",
        "    ALTER COLUMN role SET DEFAULT 'member'::text;",
        "    ALTER COLUMN role SET DEFAULT 'clinician'::text;",
    ),
    on_up(
        "leave version 10's default consent",
        "ALTER COLUMN consent_analytics SET DEFAULT true",
        "ALTER COLUMN consent_analytics SET DEFAULT false",
    ),
    on_up(
        "split the name at the first space",
        "left(value, length(value) - strpos(reverse(value), ' '))",
        "split_part(value, ' ', 1)",
    ),
    on_up(
        "map a value to its neighbour",
        "WHEN 'premenopausal' THEN 'pre'",
        "WHEN 'premenopausal' THEN 'peri'",
    ),
    on_up("forget the end of a range", "BETWEEN 0 AND 50", "BETWEEN 1 AND 50"),
    on_up(
        "invert a codec wrongly",
        "WHEN 'peri' THEN 'perimenopausal'",
        "WHEN 'peri' THEN 'postmenopausal'",
    ),
    on_up(
        "join names only where there are two",
        "coalesce(first || ' ' || last, first, last, '')",
        "coalesce(first || ' ' || last, '')",
    ),
)

IDS = (
    on_up(
        "give a subject the id of a deleted user",
        "CASE WHEN new.id > new.target_used\n",
        "CASE WHEN NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = new.id)\n",
    ),
    on_up(
        "give every subject a new id",
        "CASE WHEN new.id > new.target_used\n",
        "CASE WHEN false\n",
    ),
    on_up(
        "forget the sequences on Up",
        "SELECT setval(s.sequence, t.ids_after)",
        "SELECT 1",
        times=2,
    ),
    on_down(
        "forget the sequences on Down",
        "SELECT setval(s.sequence, t.ids_after)",
        "SELECT 1",
        times=2,
    ),
    on_down(
        "forget one sequence",
        "('public.users_id_seq'::regclass), ('archive.patients_id_seq'::regclass)",
        "('public.users_id_seq'::regclass)",
        times=2,
    ),
    on_down(
        "give a native's patient an id that a patient had",
        "AND NOT EXISTS (SELECT FROM archive.patients_past AS o WHERE o.source_id = t.id)",
        "",
        times=2,
    ),
    on_down(
        "give a native's patient an id that a patient may have had",
        "WHERE up.direction = 'up' AND t.id <= up.source_used",
        "WHERE false AND t.id <= up.source_used",
        times=2,
    ),
)

LINKS = (
    on_up(
        "skip the relink on Up",
        "WHERE l.user_id = m.source_id AND m.renumbered",
        "WHERE l.user_id = m.source_id AND false",
    ),
    on_down(
        "skip the relink on Down",
        "WHERE l.user_id = m.target_id AND m.renumbered",
        "WHERE l.user_id = m.target_id AND false",
    ),
    on_down(
        "relink in two statements",
        "WHERE l.user_id = m.target_id AND m.renumbered;",
        "WHERE l.user_id = m.target_id AND m.renumbered AND m.kind = 'subject';\n"
        "UPDATE public.assessments AS l SET user_id = m.source_id FROM archive.patients_map AS m\n"
        "WHERE l.user_id = m.target_id AND m.renumbered AND m.kind = 'native';",
    ),
    on_up(
        "forget that Down kept an assessment's columns",
        "SET is_self_reported = k.is_self_reported, source = k.source, notes = k.notes",
        "SET notes = k.notes",
    ),
    on_up(
        "say of old assessments that they are new",
        "ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'clinic'",
        "ADD COLUMN IF NOT EXISTS source text NOT NULL DEFAULT 'manual'",
    ),
    on_up(
        "drop the withheld assessments",
        "        WHERE EXISTS (SELECT FROM public.users AS t WHERE t.id = x.user_id)',\n"
        "        archive.patients_columns('archive.patients_withheld_assessments'",
        "        WHERE false',\n"
        "        archive.patients_columns('archive.patients_withheld_assessments'",
    ),
    on_up(
        "restore a foreign key without its cascade",
        "ADD CONSTRAINT assessments_user_id_fkey\n"
        "    FOREIGN KEY (user_id) REFERENCES public.users (id) ON DELETE CASCADE",
        "ADD CONSTRAINT assessments_user_id_fkey\n"
        "    FOREIGN KEY (user_id) REFERENCES public.users (id)",
    ),
)

COMPLEMENT = (
    on_up(
        "forget the sessions",
        "AND NOT EXISTS (SELECT FROM public.refresh_tokens AS o WHERE o.id = x.id)",
        "AND false",
    ),
    on_up(
        "forget the memberships",
        "AND NOT EXISTS (SELECT FROM public.user_clinics AS o"
        " WHERE o.user_id = x.user_id AND o.clinic_id = x.clinic_id)",
        "AND false",
    ),
    on_up(
        "forget the notifications",
        "ALTER TABLE IF EXISTS archive.notification_queue SET SCHEMA public;",
        "DROP TABLE IF EXISTS archive.notification_queue;",
    ),
    on_up(
        "forget those who were softly deleted",
        "WHERE x.refactorkit_reason = ''soft''",
        "WHERE x.refactorkit_reason = ''never''",
    ),
    on_up(
        "forget who made a native",
        "created_by = CASE WHEN record_image_eq(ROW(t.created_by), ROW(b.created_by)) AND",
        "created_by = CASE WHEN false AND",
    ),
    on_up(
        "forget an added column of subjects",
        "IF assignments IS NOT NULL THEN",
        "IF false THEN",
        dressed=True,
    ),
    on_down(
        "forget a column that was added later",
        "    PERFORM archive.patients_widen('archive.patients_withheld_patients',"
        " 'archive.patients');\n",
        "",
        dressed=True,
    ),
    *(
        on_down(
            f"keep nothing of an account whose {name} alone was changed",
            f"            OR x.{name} {condition}\n",
            "",
            times=times,
        )
        for name, condition, times in (
            ("phone", 'COLLATE "C" IS DISTINCT FROM (NULL)::text', 2),
            ("created_by", "IS DISTINCT FROM (NULL)::integer", 1),
        )
    ),
    on_up(
        "give a claimed email to two people",
        "THEN false::boolean ELSE k.is_active END",
        "THEN k.is_active ELSE k.is_active END",
        times=2,
    ),
    on_up(
        "say nothing of an email that was taken",
        "AND EXISTS (SELECT FROM public.users AS t WHERE t.email = k.email);",
        "AND false;",
        times=2,
    ),
    on_up(
        "leave a cascade into the archive",
        "ALTER TABLE public.patients DROP CONSTRAINT IF EXISTS fk_patients_user_id;",
        "SELECT 1;",
    ),
)

FAULTS = (
    *SUBJECTS,
    *IDS,
    *LINKS,
    *COMPLEMENT,
)
