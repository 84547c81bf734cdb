"""0011 gives the same result whatever the database, the user or the session is set to."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support.background import go
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.scripts import chain
from tests.support.servers import Server

UP, DOWN = Direction
# When and by which transaction; the rest is the same.
OF_THE_MOMENT = (
    "public.goose_db_version",
    "archive.migration_checksums",
    "archive.patients_turns",
    "archive.patients_decisions",
)

SETTINGS: dict[str, Mapping[str, str]] = {
    "isolation: repeatable read": {"default_transaction_isolation": "repeatable read"},
    "isolation: serializable": {
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
    },
    "dates": {"DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kolkata"},
    "dates of others": {"DateStyle": "German", "TimeZone": "America/St_Johns"},
    "text": {
        "standard_conforming_strings": "off",
        "escape_string_warning": "on",
        "backslash_quote": "on",
        "bytea_output": "escape",
        "transform_null_equals": "on",
        "xmloption": "document",
    },
    "quotes": {"quote_all_identifiers": "on"},
    "plans": {
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_seqscan": "off",
        "plan_cache_mode": "force_generic_plan",
        "join_collapse_limit": "1",
        "from_collapse_limit": "1",
        "geqo_threshold": "2",
        "work_mem": "64kB",
    },
    "numbers": {"extra_float_digits": "-15", "lc_numeric": "C"},
    "encoding, row security off, bodies": {
        "client_encoding": "LATIN1",
        "row_security": "off",
        "check_function_bodies": "off",
        "plpgsql.variable_conflict": "use_column",
    },
    "row security on, bodies, logs": {
        "row_security": "on",
        "plpgsql.variable_conflict": "use_variable",
        "plpgsql.extra_errors": "all",
        "plpgsql.check_asserts": "off",
        "client_min_messages": "debug1",
        "constraint_exclusion": "on",
    },
    "replica": {"session_replication_role": "replica"},
    "names of nowhere": {"search_path": "nowhere, public, pg_temp"},
    "names of the catalog last, own names": {
        "search_path": "public, pg_catalog",
        "refactorkit.on_conflict": "",
        "refactorkit.keep_logins": "",
        "refactorkit.custodian": "",
        "refactorkit.accept": "",
    },
}
# Everything that 0011 calls, and some that it does not, in a schema that comes before pg_catalog.
HOSTILE = """
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap() RETURNS integer LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'a hostile function was called'; END$$;
CREATE FUNCTION hostile.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.lower(text) RETURNS text LANGUAGE sql AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.left(text, integer) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql
    AS 'SELECT now() FROM hostile.trap()';
CREATE FUNCTION hostile.current_setting(text) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.current_setting(text, boolean) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.set_config(text, text, boolean) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE FUNCTION hostile.to_regclass(text) RETURNS regclass LANGUAGE sql
    AS 'SELECT hostile.trap()::regclass';
CREATE FUNCTION hostile.nextval(regclass) RETURNS bigint LANGUAGE sql
    AS 'SELECT hostile.trap()::bigint';
CREATE FUNCTION hostile.setval(regclass, bigint) RETURNS bigint LANGUAGE sql
    AS 'SELECT hostile.trap()::bigint';
CREATE FUNCTION hostile.hash_record_extended(record, bigint) RETURNS bigint LANGUAGE plpgsql
    AS 'BEGIN RETURN hostile.trap(); END';
CREATE FUNCTION hostile.pg_try_advisory_lock(bigint) RETURNS boolean LANGUAGE sql
    AS 'SELECT hostile.trap() = 1';
CREATE FUNCTION hostile.is_equal(integer, integer) RETURNS boolean LANGUAGE sql
    AS 'SELECT hostile.trap() OPERATOR(pg_catalog.=) 1';
CREATE FUNCTION hostile.is_equal(text, text) RETURNS boolean LANGUAGE sql
    AS 'SELECT hostile.trap() OPERATOR(pg_catalog.=) 1';
CREATE FUNCTION hostile.concat(text, text) RETURNS text LANGUAGE sql
    AS 'SELECT hostile.trap()::text';
CREATE OPERATOR hostile.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.is_equal);
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.is_equal);
CREATE OPERATOR hostile.<> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.is_equal);
CREATE OPERATOR hostile.<= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.is_equal);
CREATE OPERATOR hostile.> (LEFTARG = integer, RIGHTARG = integer, FUNCTION = hostile.is_equal);
CREATE OPERATOR hostile.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.concat);
CREATE TABLE hostile.users (id integer);
CREATE TABLE hostile.patients (id integer);
CREATE TABLE hostile.assessments (id integer);
CREATE TABLE hostile.pg_class (oid oid);
CREATE TABLE hostile.pg_constraint (oid oid);
CREATE TABLE hostile.pg_trigger (oid oid);
CREATE FUNCTION hostile.springs(anyelement) RETURNS boolean LANGUAGE sql
    AS 'SELECT hostile.trap() OPERATOR(pg_catalog.=) 1';
CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (hostile.springs(VALUE));
CREATE DOMAIN hostile.name AS pg_catalog.name CHECK (hostile.springs(VALUE));
CREATE DOMAIN hostile.xid8 AS pg_catalog.xid8 CHECK (hostile.springs(VALUE));
CREATE DOMAIN hostile.regclass AS pg_catalog.regclass CHECK (hostile.springs(VALUE));
GRANT ALL ON SCHEMA hostile TO PUBLIC;
"""


@pytest.fixture(scope="module")
def turns(databases: Databases) -> Iterator[tuple[str, str, str]]:
    """What a clinic is after Up, after Down, and after Up again, with nothing set."""
    url = databases.create(10)
    open_clinic(url)
    found = run_turns(url)
    yield found
    databases.drop(url)


def text(url: str) -> str:
    return pg_dump(url, exclude_schemas=("hostile",), exclude_tables=OF_THE_MOMENT)


def run_turns(
    url: str, settings: Mapping[str, str] | None = None, *, table: str = "goose_db_version"
) -> tuple[str, str, str]:
    """Go up, down and up; the settings hold for the runs alone."""
    found = []
    for direction in (UP, DOWN, UP):
        with database_settings(url, settings or {}):
            ended = go(direction, url, table=table)
            assert ended.code == 0, ended.says
            assert verify(VerifyRequest(dsn=Dsn.parse(url))).verdict is Verdict.PASS
        found.append(text(url))
        if len(found) == 1:
            work_as_version_11(url)
    up, down, again = found
    return up, down, again


@contextmanager
def database_settings(url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """Have settings for every new session of a database; one that is not known is left away."""
    with psycopg.connect(url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        for name, value in settings.items():
            known = connection.execute(
                "SELECT FROM pg_settings WHERE lower(name) = lower(%s)", [name]
            )
            if known.rowcount or "." in name:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                        database,
                        sql.Identifier(*name.split(".")),
                        sql.SQL(value) if name == "search_path" else sql.Literal(value),
                    )
                )
    yield
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = pg_catalog")
        connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_change_nothing(
    settings: Mapping[str, str], database_at_10: str, turns: tuple[str, str, str]
) -> None:
    open_clinic(database_at_10)
    assert run_turns(database_at_10, settings) == turns


def test_a_path_of_hostile_names_is_not_looked_at(
    database_at_10: str, turns: tuple[str, str, str]
) -> None:
    """A schema before pg_catalog holds functions, operators, types and tables of the same names.

    The version table is named with its schema: by that path, goose would look in the wrong one.
    """
    open_clinic(database_at_10)
    with psycopg.connect(database_at_10) as connection:
        connection.execute(HOSTILE.encode())
    found = run_turns(
        database_at_10,
        {"search_path": "hostile, pg_catalog, public"},
        table="public.goose_db_version",
    )
    assert found == turns


@pytest.mark.parametrize("path", ["public, pg_temp", '"$user", public', "nowhere, public"])
def test_the_path_is_what_it_was_when_the_file_ends(path: str, database_at_10: str) -> None:
    """The file has one of its own, and goose writes its version row by the session's."""
    with psycopg.connect(database_at_10) as connection:
        connection.execute("SELECT set_config('search_path', %s, false)", [path])
        connection.commit()
        for direction in (UP, DOWN):
            for statement in chain()[11].script(direction).statements:
                connection.execute(statement.data)
            assert scalar(connection, "SHOW search_path") == path
            connection.commit()


@pytest.fixture
def tablespace(server: Server) -> Iterator[str]:
    name = f"rk_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        if connection.info.server_version < 150000:
            pytest.skip("a tablespace needs a folder of the server's")
        connection.execute("SET allow_in_place_tablespaces = on")
        connection.execute(sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("DROP TABLESPACE {}").format(sql.Identifier(name)))


@pytest.fixture
def database(tablespace: str, databases: Databases) -> Iterator[str]:
    """A database that is gone before its tablespace is."""
    del tablespace
    url = databases.create(10)
    yield url
    databases.drop(url)


@pytest.mark.parametrize("where", ["default", "index"])
def test_a_tablespace_keeps_what_was_there_before(
    where: str, database: str, tablespace: str
) -> None:
    settings = {}
    if where == "default":
        settings["default_tablespace"] = tablespace
    else:
        with psycopg.connect(database) as connection:
            connection.execute(
                sql.SQL("ALTER INDEX public.idx_users_role SET TABLESPACE {}").format(
                    sql.Identifier(tablespace)
                )
            )
    open_clinic(database)
    before = pg_dump(database)
    with database_settings(database, settings):
        for direction in (UP, DOWN, UP, DOWN):
            ended = go(direction, database)
            assert ended.code == 0, ended.says
    assert pg_dump(database) == before
