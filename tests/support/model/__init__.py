"""A plain Python model of both versions, written from the design and not from the SQL."""
