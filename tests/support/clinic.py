"""A small clinic for tests: version-10 rows that make 0011 work, and what version 11 then writes.

Times are fixed, so that two databases with the same clinic are the same text.
"""

import psycopg

OWNER = 1
GONE = 900

_AT_10 = """
INSERT INTO public.users (id, email, password_hash, role, created_at, updated_at, created_by)
VALUES
    (60, 'sixty@clinic.invalid', 'h60', 'clinician', '2020-01-01Z', '2020-01-02Z', 1),
    (61, 'sixtyone@clinic.invalid', 'h61', 'admin', '2020-01-01Z', '2020-01-02Z', 60),
    (900, 'leaves@clinic.invalid', 'h900', 'clinician', '2020-01-01Z', '2020-01-02Z', NULL);
INSERT INTO public.patients
    (id, name, age, menopause_status, years_menopause, bmi, smoking, hypertension, heart_disease,
     family_history, created_at, updated_at, user_id)
VALUES
    (60, 'Collides Withuser', 50, 'postmenopausal', 4, 20.10, 'never', 'no', 'no', true,
     '2021-01-01Z', '2021-01-02Z', 60),
    (-7, 'Mary Ann  Lee ', 51, 'unknown', 60, 31.00, 'sometimes', 'yes', NULL, NULL,
     '-infinity', 'infinity', 61),
    (1500, '', NULL, NULL, NULL, 'NaN', NULL, NULL, NULL, false,
     '2021-01-01Z', '2021-01-02Z', 900),
    (1501, 'Solo', 44, 'pre', 0, NULL, '', '', '', NULL, '2021-01-01Z', '2021-01-02Z', 60);
INSERT INTO public.assessments (patient_id, fbs, cluster, risk_score, created_at, updated_at)
SELECT p.id, 5.50, 'SIDD', 80, '2022-01-01Z', '2022-01-01Z'
FROM public.patients AS p, generate_series(1, 2) WHERE p.id IN (60, -7, 1500) ORDER BY p.id;
INSERT INTO public.assessments (patient_id, fbs, created_at, updated_at)
VALUES (NULL, 6.00, '2022-01-01Z', '2022-01-01Z');
INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at, created_at)
VALUES (60, 'token of sixty', '2030-01-01Z', '2022-01-01Z');
INSERT INTO public.clinics (id, name, created_at, updated_at)
VALUES (1, 'North', '2022-01-01Z', '2022-01-01Z');
INSERT INTO public.user_clinics (user_id, clinic_id, created_at) VALUES (60, 1, '2022-01-01Z');
SELECT setval('public.users_id_seq', 1000);
SELECT setval('public.patients_id_seq', 1501);
"""
_AT_11 = """
UPDATE public.users SET email = 'me@home.invalid', password_hash = 'claimed', is_active = true,
    phone = '+44', bmi = 22.22, consent_analytics = true, consent_updated_at = '2023-01-01Z',
    updated_at = '2023-01-01Z'
WHERE email = 'patient-1500@unclaimed.invalid';
UPDATE public.users SET menopause_status = 'post', updated_at = '2023-01-01Z'
WHERE email = 'patient--7@unclaimed.invalid';
UPDATE public.users SET account_status = 'deleted', deleted_at = '2023-01-01Z'
WHERE email = 'patient-1501@unclaimed.invalid';
DELETE FROM public.users WHERE email = 'patient-5@unclaimed.invalid';
INSERT INTO public.users (id, email, password_hash, first_name, last_name, hypertension,
    created_at, updated_at, consent_updated_at)
VALUES (30000, 'new@home.invalid', 'h', 'New', 'Native', 'controlled',
    '2023-01-01Z', '2023-01-01Z', '2023-01-01Z');
INSERT INTO public.assessments (user_id, fbs, notes, created_at, updated_at)
VALUES (30000, 4.40, 'by herself', '2023-01-01Z', '2023-01-01Z');
INSERT INTO public.notification_queue
    (user_id, notification_type, subject, body, scheduled_for, created_at)
SELECT u.id, 'educational', 'Hello', 'Body', '2023-02-01Z', '2023-01-01Z'
FROM public.users AS u WHERE u.email IN ('me@home.invalid', 'new@home.invalid') ORDER BY u.id;
INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at, created_at)
SELECT u.id, 'token of a subject', '2030-01-01Z', '2023-01-01Z'
FROM public.users AS u WHERE u.email = 'me@home.invalid';
INSERT INTO public.user_clinics (user_id, clinic_id, created_at)
SELECT u.id, 1, '2023-01-01Z' FROM public.users AS u WHERE u.email = 'me@home.invalid';
"""


def open_clinic(url: str) -> None:
    """Write into a database at version 10: ids that collide, values without an image, extremes."""
    tell(url, _AT_10)


def work_as_version_11(url: str) -> None:
    """Write as the application of version 11 does: claims, edits, deletions, new accounts."""
    tell(url, _AT_11)


def tell(url: str, text: str) -> None:
    """Run statements as one transaction."""
    with psycopg.connect(url) as connection:
        connection.execute(text.encode())
