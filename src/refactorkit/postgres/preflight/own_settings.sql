-- Settings of the refactor that hold for every session, or for every one of this role.
SELECT CASE WHEN s.setdatabase = 0 THEN 'the role' WHEN s.setrole = 0 THEN 'the database' ELSE 'the role in this database' END,
    split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1)
FROM pg_db_role_setting AS s
CROSS JOIN unnest(s.setconfig) AS entry
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = %(runner)s))
    AND starts_with(lower(entry), 'refactorkit.')
    AND lower(split_part(entry, '=', 1)) IN ('refactorkit.accept', 'refactorkit.on_conflict', 'refactorkit.keep_logins')
ORDER BY 1, 2
