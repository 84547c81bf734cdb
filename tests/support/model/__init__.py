"""A plain Python model of both versions of the database, written from the design, not from the SQL."""
