-- What an application of version 11 asks: written by us, for sqlc to compile against all of sql/.

-- name: SignUp :one
INSERT INTO users (email, password_hash, first_name, last_name, phone, date_of_birth)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id, role, account_status, consent_personal_data, consent_updated_at, created_at;

-- name: GetUserByEmail :one
SELECT id, email, password_hash, role, is_active, is_admin, account_status, deleted_at
FROM users
WHERE email = $1 AND account_status = 'active';

-- name: ClaimAccount :one
UPDATE users
SET email = @email, password_hash = @password_hash, is_active = true, updated_at = now()
WHERE id = @id AND email LIKE 'patient-%@unclaimed.invalid' AND NOT is_active
RETURNING id;

-- name: GetProfile :one
SELECT id, first_name, last_name, date_of_birth, phone, address, menopause_status,
    menopause_type, years_menopause, hypertension, heart_disease, family_history_diabetes,
    smoking_status, bmi, bp_systolic, bp_diastolic, activity, phys_activity, chol, ldl, hdl,
    triglycerides, onboarding_completed
FROM users
WHERE id = $1;

-- name: UpdateProfile :one
UPDATE users
SET first_name = coalesce(sqlc.narg(first_name), first_name),
    last_name = coalesce(sqlc.narg(last_name), last_name),
    menopause_status = coalesce(sqlc.narg(menopause_status), menopause_status),
    menopause_type = coalesce(sqlc.narg(menopause_type), menopause_type),
    years_menopause = coalesce(sqlc.narg(years_menopause), years_menopause),
    hypertension = coalesce(sqlc.narg(hypertension), hypertension),
    smoking_status = coalesce(sqlc.narg(smoking_status), smoking_status),
    bmi = coalesce(sqlc.narg(bmi), bmi),
    updated_at = now()
WHERE id = @id
RETURNING *;

-- name: CompleteOnboarding :exec
UPDATE users SET onboarding_completed = true, updated_at = now() WHERE id = $1;

-- name: SetConsents :one
UPDATE users
SET consent_personal_data = @personal_data,
    consent_research_participation = @research,
    consent_email_updates = @email_updates,
    consent_analytics = @analytics,
    consent_updated_at = now()
WHERE id = @id
RETURNING consent_updated_at;

-- name: SetReminders :exec
UPDATE users SET reminder_email = $2, assessment_frequency_months = $3 WHERE id = $1;

-- name: SoftDelete :execrows
UPDATE users
SET account_status = 'deleted', deleted_at = now(), is_active = false
WHERE id = $1 AND account_status = 'active';

-- name: HardDelete :execrows
DELETE FROM users WHERE id = $1;

-- name: ListAccounts :many
SELECT id, email, first_name, last_name, role, is_active, is_admin, last_login_at, created_by
FROM users
WHERE (@search::text = '' OR email ILIKE '%' || @search || '%')
    AND (sqlc.narg(active)::boolean IS NULL OR is_active = sqlc.narg(active))
ORDER BY created_at DESC
LIMIT @page_size OFFSET @page_start;

-- name: GrantAdmin :exec
UPDATE users SET is_admin = $2, updated_at = now() WHERE id = $1;

-- name: SelfReport :one
INSERT INTO assessments (user_id, fbs, hba1c, bmi, cluster, risk_score, notes)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id, is_self_reported, source, created_at;

-- name: ImportFromClinic :copyfrom
INSERT INTO assessments (user_id, fbs, hba1c, cluster, risk_score, is_self_reported, source)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: AssessmentsOfUser :many
SELECT id, user_id, fbs, hba1c, cluster, risk_score, is_self_reported, source, notes, created_at
FROM assessments
WHERE user_id = $1
ORDER BY created_at DESC
LIMIT $2;

-- name: LatestOfEverybody :many
SELECT DISTINCT ON (a.user_id) a.user_id, u.first_name, u.last_name, a.cluster, a.created_at
FROM assessments AS a
JOIN users AS u ON u.id = a.user_id
WHERE u.account_status = 'active'
ORDER BY a.user_id, a.created_at DESC;

-- name: RiskByMenopauseStatus :many
SELECT u.menopause_status, a.cluster, count(*) AS n
FROM assessments AS a
JOIN users AS u ON u.id = a.user_id
WHERE u.consent_research_participation
GROUP BY u.menopause_status, a.cluster
ORDER BY n DESC;

-- name: DueReminders :many
SELECT u.id, u.email, u.first_name
FROM users AS u
WHERE u.reminder_email AND u.account_status = 'active' AND u.is_active
    AND coalesce(u.last_assessment_reminder_sent, 'epoch'::timestamptz)
        < now() - make_interval(months => u.assessment_frequency_months)
ORDER BY u.id;

-- name: Notify :one
INSERT INTO notification_queue (user_id, notification_type, subject, body, scheduled_for)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, priority, status;

-- name: NextNotifications :many
SELECT n.id, n.subject, n.body, u.email
FROM notification_queue AS n
JOIN users AS u ON u.id = n.user_id
WHERE n.status = 'pending' AND n.scheduled_for <= now()
ORDER BY n.priority, n.scheduled_for
LIMIT $1
FOR UPDATE OF n SKIP LOCKED;

-- name: NotificationSent :exec
UPDATE notification_queue SET status = 'sent', sent_at = now() WHERE id = $1;

-- name: NotificationFailed :exec
UPDATE notification_queue SET status = 'failed', error_message = $2 WHERE id = $1;

-- name: ClinicsOfUser :many
SELECT c.id, c.name, uc.role
FROM clinics AS c
JOIN user_clinics AS uc ON uc.clinic_id = c.id
WHERE uc.user_id = $1
ORDER BY c.name;
