"""Give made-up tables what tables in production have beside rows."""

from importlib import resources

from refactorkit.postgres.connection import Connection


def dress(connection: Connection) -> int:
    """Add comments, grants, triggers, settings, columns and indexes; return how many statements.

    For a throwaway database at version 10. What is done, and why, stands in ``drill_dressing.sql``.
    """
    file = resources.files("refactorkit.postgres") / "drill_dressing.sql"
    cursor = connection.execute(file.read_bytes())
    count = 1
    while cursor.nextset():
        count += 1
    return count
