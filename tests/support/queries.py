"""Short forms of queries that tests ask all the time."""

import psycopg


def scalar(connection: psycopg.Connection, query: str, *parameters: object) -> object:
    """Return the one value of the first row; for fixed queries of tests alone."""
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None
    return row[0]
