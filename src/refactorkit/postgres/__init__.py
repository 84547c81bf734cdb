"""The only importer of psycopg and SQLAlchemy: everything that touches a server."""
