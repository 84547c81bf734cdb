-- What a new session of this user begins with; this session has set some for itself.
SELECT name, reset_val, unit FROM pg_settings WHERE name = ANY (%(names)s) ORDER BY name
