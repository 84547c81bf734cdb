"""What the chain keeps in the archive: nothing of anyone else's is overwritten or trusted."""

import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from tests.integration.schema_facts import LATEST
from tests.support.catalog import read_tables
from tests.support.queries import scalar
from tests.support.scripts import down, up

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]

PRIMARY_KEYS = "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass"
TABLE_OPEN_TO_ALL = """
SELECT EXISTS (SELECT FROM pg_class AS c, aclexplode(c.relacl) AS a
    WHERE c.oid = %s::regclass AND a.grantee = 0)
"""
SCHEMA_OPEN_TO_OTHERS = """
SELECT EXISTS (SELECT FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
    WHERE n.nspname = 'archive' AND a.grantee <> n.nspowner)
"""


@pytest.mark.parametrize(
    ("version", "table"),
    [
        (6, "mock_data_0006"),
        (7, "assessments_cluster_0007"),
        (8, "assessments_cluster_0008"),
    ],
)
class TestArchive:
    def test_a_schema_that_others_may_create_in_is_refused(
        self, version: int, table: str, make_database: MakeDatabase, connect: Connect
    ) -> None:
        connection = connect(make_database(version - 1))
        connection.execute("CREATE SCHEMA IF NOT EXISTS archive")
        connection.execute("GRANT CREATE ON SCHEMA archive TO PUBLIC")
        with pytest.raises(psycopg.Error) as refusal:
            up(connection, version)
        assert refusal.value.sqlstate == "RK001"
        assert scalar(connection, f"SELECT to_regclass('archive.{table}') IS NULL")

    def test_an_archive_that_somebody_made_before_is_used_and_stays(
        self, version: int, table: str, make_database: MakeDatabase, connect: Connect
    ) -> None:
        connection = connect(make_database(version - 1))
        connection.execute("DROP SCHEMA IF EXISTS archive CASCADE")
        connection.execute("CREATE SCHEMA archive")
        connection.execute("COMMENT ON SCHEMA archive IS 'theirs'")
        connection.execute("CREATE TABLE archive.other (id integer PRIMARY KEY)")
        up(connection, version)
        assert scalar(connection, f"SELECT to_regclass('archive.{table}') IS NOT NULL")
        down(connection, version)
        assert scalar(connection, "SELECT to_regclass('archive.other') IS NOT NULL")
        comment = "SELECT obj_description('archive'::regnamespace, 'pg_namespace')"
        assert scalar(connection, comment) == "theirs"

    def test_what_is_kept_has_a_primary_key_and_is_nobody_elses_business(
        self, version: int, table: str, make_database: MakeDatabase, connect: Connect
    ) -> None:
        connection = connect(make_database(version - 1))
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, pg_monitor")
        up(connection, version)
        kept = f"archive.{table}"
        assert scalar(connection, PRIMARY_KEYS, kept) == 1
        assert scalar(connection, TABLE_OPEN_TO_ALL, kept) is False
        assert scalar(connection, SCHEMA_OPEN_TO_OTHERS) is False


def test_the_chain_needs_no_superuser(
    empty_database: str, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(empty_database)
    role = sql.Identifier(f'Plain "{uuid.uuid4().hex[:8]}"')
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        connection.execute(
            sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(
                sql.Identifier(connection.info.dbname), role
            )
        )
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role))
        connection.execute(sql.SQL("SET ROLE {}").format(role))
        for version in range(1, LATEST + 1):
            up(connection, version)
        assert read_tables(connection) == read_tables(connect(make_database(LATEST)))
        for version in range(LATEST, 0, -1):
            down(connection, version)
        assert read_tables(connection) == {}
        for version in range(1, LATEST + 1):
            up(connection, version)
        assert read_tables(connection) == read_tables(connect(make_database(LATEST)))
    finally:
        connection.execute("RESET ROLE")
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))
