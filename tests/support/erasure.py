"""A clinic in which every value of a person is marked, wherever either version keeps it.

A person's mark is `canary<patient id>.`; whose mark is in no row of the database is erased.
"""

from collections import Counter
from collections.abc import Iterable

import psycopg

from tests.support.refactor import turn

# Patients of version 10: two whose ids collide with users, and what becomes of each in version 11.
COLLIDES, SUBJECT, SOFT, HARD, DELETED, NEIGHBOUR, DECIDED = 2, 201, 202, 203, 204, 205, 206
PATIENTS = (COLLIDES, SUBJECT, SOFT, HARD, DELETED, NEIGHBOUR, DECIDED)
# A user made in version 11 with a profile, whom Down shows as a patient of the same id.
NATIVE = 900
# Whom version 10 makes after the rollback.
NEWCOMER = 1300

# A table with its schema, and a row of it as text.
Line = tuple[str, str]

_AT_10 = """
INSERT INTO public.clinics (id, name) VALUES (1, 'North') ON CONFLICT DO NOTHING;
INSERT INTO public.patients (id, name, user_id)
SELECT i, 'x', 1 FROM unnest(%(new)s::integer[]) AS i;
UPDATE public.patients SET (name, menopause_status, activity, smoking, hypertension, heart_disease)
    = (SELECT m || ' name', m, m, m, m, m FROM format('canary%s.', id) AS m)
WHERE id = ANY (%(all)s);
INSERT INTO public.assessments (patient_id, activity, smoking, hypertension, heart_disease, cluster,
    model_version, dataset_hash, validation_status)
SELECT i, m, m, m, m, m, m, m, m
FROM unnest(%(all)s::integer[]) AS i, format('canary%s.', i) AS m, generate_series(1, 2);
-- As 0007 keeps them; by name, whatever else its table holds.
INSERT INTO archive.assessments_cluster_0007
SELECT k.* FROM public.assessments AS a, jsonb_populate_record(
    NULL::archive.assessments_cluster_0007, to_jsonb(a) || jsonb_build_object(
        'cluster_before', a.cluster, 'cluster_after', a.cluster)) AS k
WHERE a.patient_id = ANY (%(all)s)
    AND NOT EXISTS (SELECT FROM archive.assessments_cluster_0007 AS o WHERE o.id = a.id);
UPDATE archive.assessments_cluster_0007 AS k SET (cluster_before, cluster_after) = (m, m)
FROM public.assessments AS a, format('canary%s.', a.patient_id) AS m
WHERE a.id = k.id AND a.patient_id = ANY (%(all)s);
-- Whose assessment a row of 0007 was is not known once the assessment is gone: no mark there.
UPDATE archive.assessments_cluster_0007 AS k
SET (cluster_before, cluster_after) = ('low_risk', 'MARD')
FROM public.assessments AS a WHERE a.id = k.id AND a.patient_id = %(hard)s;
INSERT INTO archive.mock_data_0006 (table_name, row_id, content)
SELECT 'assessments', a.id, to_jsonb(a) FROM public.assessments AS a
WHERE patient_id = ANY (%(all)s)
ON CONFLICT (table_name, row_id) DO UPDATE SET content = EXCLUDED.content;
INSERT INTO archive.mock_data_0006 (table_name, row_id, content)
SELECT 'patients', p.id, to_jsonb(p) FROM public.patients AS p WHERE id = ANY (%(all)s)
ON CONFLICT (table_name, row_id) DO UPDATE SET content = EXCLUDED.content;
INSERT INTO public.audit_events (actor, action, target_type, target_id)
SELECT 'app', 'read', 'patient', i FROM unnest(%(all)s::integer[]) AS i;
-- As other files of the chain may keep them.
CREATE TABLE archive.chain_9002_patients (
    id integer PRIMARY KEY, created_at timestamp with time zone, family text);
INSERT INTO archive.chain_9002_patients
SELECT i, now(), format('canary%s.', i) FROM unnest(%(all)s::integer[]) AS i;
CREATE TABLE archive.patients_salts (source_id integer PRIMARY KEY, salt text);
INSERT INTO archive.patients_salts
SELECT i, format('canary%s.', i) FROM unnest(%(all)s::integer[]) AS i;
CREATE TABLE archive.weather (day date PRIMARY KEY, rain integer);
"""
_AT_11 = """
INSERT INTO public.users (id, email, password_hash, first_name, bmi, hypertension)
VALUES (%(native)s, 'x', 'x', 'x', 20, 'no');
SELECT setval('public.users_id_seq', %(native)s);
CREATE TEMPORARY TABLE person AS
SELECT source_id, target_id, format('canary%s.', source_id) AS m FROM archive.patients_map
WHERE source_id = ANY (%(all)s) UNION ALL SELECT %(native)s, %(native)s, 'canary%(native)s.';
UPDATE public.users AS u SET (email, password_hash, role, phone, address, first_name, last_name,
    activity) = (SELECT m || '@x.invalid', m, m, m, m, m, m, m)
FROM person WHERE u.id = target_id;
INSERT INTO public.assessments (user_id, activity, notes, source)
SELECT target_id, m, m, m FROM person, generate_series(1, 2);
UPDATE public.assessments AS a SET notes = m, source = m FROM person WHERE a.user_id = target_id;
INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at)
SELECT target_id, m, now() FROM person;
INSERT INTO public.user_clinics (user_id, clinic_id, role) SELECT target_id, 1, m FROM person;
INSERT INTO public.notification_queue
    (user_id, notification_type, subject, body, error_message, scheduled_for)
SELECT target_id, 'educational', m, m, m, now() FROM person;
CREATE TABLE archive.chain_9004_refresh_tokens (
    id integer PRIMARY KEY, user_id integer, token_hash text);
INSERT INTO archive.chain_9004_refresh_tokens SELECT -source_id, target_id, m FROM person;
UPDATE public.users AS u SET hypertension = 'no', smoking_status = 'never'
FROM person WHERE u.id = target_id AND source_id = %(decided)s;
UPDATE public.users AS u SET account_status = 'deleted', deleted_at = now()
FROM person WHERE u.id = target_id AND source_id = %(soft)s;
DELETE FROM public.users AS u USING person WHERE u.id = target_id AND source_id = %(hard)s;
DROP TABLE person;
"""
_BACK_AT_10 = """
DELETE FROM public.patients WHERE id = %(deleted)s;
UPDATE public.patients SET name = 'canary%(subject)s. renamed', activity = 'canary%(subject)s. 10'
WHERE id = %(subject)s;
INSERT INTO public.patients (id, name, activity, user_id)
VALUES (%(newcomer)s, 'canary%(newcomer)s.', 'canary%(newcomer)s.', 1);
INSERT INTO public.assessments (patient_id, cluster) VALUES (%(newcomer)s, 'canary%(newcomer)s.');
SELECT setval('public.patients_id_seq', %(newcomer)s);
-- What the native did as a clinician.
UPDATE public.users SET created_by = %(native)s WHERE id = 3;
-- One assessment changed hands: it is the neighbour's, and so is what is kept of it.
UPDATE public.assessments SET patient_id = %(neighbour)s, activity = NULL, cluster = NULL,
    smoking = NULL, hypertension = NULL, heart_disease = NULL, model_version = NULL,
    dataset_hash = NULL, validation_status = NULL
WHERE id = (SELECT max(id) FROM public.assessments WHERE patient_id = %(subject)s);
UPDATE archive.patients_kept_assessments AS k SET notes = 'the neighbour''s', source = 'x'
FROM public.assessments AS a
WHERE a.id = k.id AND a.patient_id = %(neighbour)s AND k.notes NOT LIKE 'canary%(neighbour)s.'
"""
_IDS = {
    "all": list(PATIENTS),
    "new": [key for key in PATIENTS if key > 100],
    "soft": SOFT,
    "hard": HARD,
    "deleted": DELETED,
    "subject": SUBJECT,
    "neighbour": NEIGHBOUR,
    "decided": DECIDED,
    "native": NATIVE,
    "newcomer": NEWCOMER,
}


def play(db: psycopg.Connection, stage: str) -> None:
    """Bring a database at version 10 to a stage: "11", then "10 again", then "11 again"."""
    _run(db, _AT_10)
    turn(db, "up")
    _run(db, _AT_11)
    if stage == "11":
        return
    turn(db, "down")
    _run(db, _BACK_AT_10)
    if stage == "10 again":
        return
    assert stage == "11 again"
    turn(db, "up")


def mark(patient_id: int) -> str:
    """Return the text that stands in every value of this person."""
    return f"canary{patient_id}."


def rows(url: str) -> Counter[Line]:
    """Return every row of every table as text, archive included; what the system keeps is not."""
    with psycopg.connect(url) as db:
        tables = db.execute(
            "SELECT c.oid::regclass::text, n.nspname || '.' || c.relname FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm')"
            " AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'"
        ).fetchall()
        query = " UNION ALL ".join(
            f"SELECT '{name}', x::text FROM {sql} AS x" for sql, name in tables
        )
        return Counter(db.execute(query.encode()).fetchall()) if tables else Counter()


def marked(found: Iterable[Line], patient_ids: Iterable[int]) -> set[tuple[str, int]]:
    """Return where the marks of these people are to be read: table and patient."""
    ids = tuple(patient_ids)
    return {(table, key) for table, line in found for key in ids if mark(key) in line}


def _run(db: psycopg.Connection, text: str) -> None:
    for name, value in _IDS.items():
        written = str(value) if isinstance(value, int) else f"ARRAY{value}"
        text = text.replace(f"%({name})s", written)
    with db.transaction():
        db.execute(text.encode())
