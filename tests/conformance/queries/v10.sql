-- What an application of version 10 asks: written by us, for sqlc to compile against 0001 to 0010.

-- name: GetUserByEmail :one
SELECT id, email, password_hash, role, is_active, last_login_at
FROM users
WHERE email = $1;

-- name: CreateUser :one
INSERT INTO users (email, password_hash, role, created_by)
VALUES ($1, $2, $3, sqlc.narg(created_by))
RETURNING id, created_at;

-- name: RecordLogin :exec
UPDATE users SET last_login_at = now(), updated_at = now() WHERE id = $1;

-- name: ListUsersByRole :many
SELECT u.id, u.email, u.is_active, maker.email AS created_by_email
FROM users AS u
LEFT JOIN users AS maker ON maker.id = u.created_by
WHERE u.role = $1
ORDER BY u.email
LIMIT $2 OFFSET $3;

-- name: SetUserActive :execrows
UPDATE users SET is_active = $2, updated_at = now() WHERE id = $1;

-- name: CreatePatient :one
INSERT INTO patients (
    name, age, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic, activity,
    smoking, hypertension, heart_disease, family_history, phys_activity, chol, ldl, hdl,
    triglycerides, user_id
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
RETURNING *;

-- name: GetPatientOfOwner :one
SELECT * FROM patients WHERE id = $1 AND user_id = $2;

-- name: ListPatientsOfOwner :many
SELECT p.id, p.name, p.age, p.menopause_status, p.created_at, count(a.id) AS assessments
FROM patients AS p
LEFT JOIN assessments AS a ON a.patient_id = p.id
WHERE p.user_id = $1
GROUP BY p.id
ORDER BY p.created_at DESC
LIMIT $2;

-- name: UpdatePatient :one
UPDATE patients
SET name = coalesce(sqlc.narg(name), name),
    bmi = coalesce(sqlc.narg(bmi), bmi),
    smoking = coalesce(sqlc.narg(smoking), smoking),
    updated_at = now()
WHERE id = @id AND user_id = @owner_id
RETURNING id, updated_at;

-- name: DeletePatient :execrows
DELETE FROM patients WHERE id = $1 AND user_id = $2;

-- name: CreateAssessment :one
INSERT INTO assessments (
    patient_id, fbs, hba1c, cholesterol, ldl, hdl, triglycerides, systolic, diastolic, activity,
    history_flag, smoking, hypertension, heart_disease, bmi, cluster, risk_score, model_version,
    dataset_hash, validation_status
)
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20
)
RETURNING id, created_at;

-- name: LatestAssessments :many
SELECT DISTINCT ON (a.patient_id) a.patient_id, p.name, a.cluster, a.risk_score, a.created_at
FROM assessments AS a
JOIN patients AS p ON p.id = a.patient_id
WHERE p.user_id = $1
ORDER BY a.patient_id, a.created_at DESC;

-- name: ClusterCounts :many
SELECT a.cluster, count(*) AS n, avg(a.risk_score)::float8 AS mean_risk
FROM assessments AS a
JOIN patients AS p ON p.id = a.patient_id
WHERE p.user_id = $1
GROUP BY a.cluster
ORDER BY n DESC;

-- name: RevokeRefreshToken :exec
UPDATE refresh_tokens SET revoked = true, revoked_at = now() WHERE token_hash = $1;

-- name: ClinicsOfUser :many
SELECT c.id, c.name, uc.role
FROM clinics AS c
JOIN user_clinics AS uc ON uc.clinic_id = c.id
WHERE uc.user_id = $1
ORDER BY c.name;

-- name: AuditTrail :many
SELECT id, actor, action, target_type, target_id, details, created_at
FROM audit_events
WHERE (sqlc.narg(actor)::text IS NULL OR actor = sqlc.narg(actor)) AND created_at >= @since
ORDER BY created_at DESC
LIMIT @page_size;
