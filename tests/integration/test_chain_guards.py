"""What the Downs of 0001 to 0010 could not give back, or would take along, stops them."""

import re
import uuid
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from refactorkit.migrations.model import Direction
from tests.integration.schema_facts import LATEST
from tests.support.catalog import read_tables
from tests.support.clinic import open_clinic, tell
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.roles import fresh_role, with_user
from tests.support.scripts import chain, down, up

Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]
UP, DOWN = Direction

# What a file says of itself in the blocks that all files share.
OWN_CONSTANTS = r"    (title|makes|kept|moved|locked|dropped|ours) CONSTANT \S+ :=.*?;\n"
# A version, what somebody did there, and what Down says.
UNKNOWN = [
    (
        9,
        "CREATE VIEW names AS SELECT name FROM clinics",
        "on view public.names depends on table public.clinics",
    ),
    (
        9,
        "CREATE TABLE notes (clinic_id integer REFERENCES clinics)",
        "notes_clinic_id_fkey on table public.notes depends on table public.clinics",
    ),
    (
        9,
        "ALTER TABLE clinics ADD owner integer REFERENCES users ON DELETE CASCADE",
        "foreign key clinics_owner_fkey of public.clinics is not known",
    ),
    (
        9,
        "ALTER TABLE user_clinics DROP CONSTRAINT user_clinics_user_id_fkey,"
        " ADD CONSTRAINT user_clinics_user_id_fkey FOREIGN KEY (user_id) REFERENCES users",
        "foreign key user_clinics_user_id_fkey of public.user_clinics is not known",
    ),
    (
        4,
        "CREATE FUNCTION f (t refresh_tokens) RETURNS integer LANGUAGE sql RETURN 1",
        "function public.f(public.refresh_tokens) depends on type public.refresh_tokens",
    ),
    (
        4,
        "CREATE TABLE child () INHERITS (refresh_tokens)",
        "table public.child depends on table public.refresh_tokens",
    ),
    (
        1,
        "CREATE TABLE notes (user_id integer REFERENCES users)",
        "notes_user_id_fkey on table public.notes depends on table public.users",
    ),
    (
        1,
        "CREATE TABLE other (id integer DEFAULT nextval('patients_id_seq'))",
        "depends on sequence public.patients_id_seq",
    ),
    (
        10,
        "ALTER TABLE users ALTER is_active SET DEFAULT false",
        "users.is_active is boolean NOT NULL DEFAULT false, and must be boolean NOT NULL",
    ),
    (
        5,
        "ALTER TABLE patients DROP CONSTRAINT fk_patients_user_id,"
        " ADD CONSTRAINT fk_patients_user_id FOREIGN KEY (user_id) REFERENCES users",
        "foreign key fk_patients_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON",
    ),
    (
        4,
        "ALTER TABLE refresh_tokens DROP CONSTRAINT refresh_tokens_user_id_fkey",
        "ON DELETE CASCADE is missing, or another",
    ),
    (
        2,
        "ALTER TABLE patients ALTER family_history TYPE integer USING 1",
        "patients.family_history is integer, and must be boolean",
    ),
]
# The same, where the operator may say that it can go.
DRIFT = [
    (
        10,
        "CREATE INDEX extra ON users (lower(email), last_login_at)",
        "index public.extra would go",
    ),
    (
        10,
        "COMMENT ON COLUMN users.is_active IS 'x'",
        "grants or settings of public.users.is_active",
    ),
    (
        10,
        "GRANT SELECT (created_by) ON users TO PUBLIC",
        "grants or settings of public.users.creat",
    ),
    (10, "COMMENT ON INDEX idx_users_role IS 'x'", "idx_users_role is more than its definition"),
    (10, "ALTER INDEX idx_users_role SET (fillfactor = 70)", "idx_users_role is more than its"),
    (
        5,
        "COMMENT ON CONSTRAINT fk_patients_user_id ON patients IS 'x'",
        "foreign key fk_patients_user_id of public.patients has a comment",
    ),
    (
        4,
        "COMMENT ON CONSTRAINT refresh_tokens_user_id_fkey ON refresh_tokens IS 'x'",
        "foreign key refresh_tokens_user_id_fkey of public.refresh_tokens has a comment",
    ),
    (
        3,
        "CREATE STATISTICS s ON updated_at, cluster FROM assessments",
        "statistics object public.s would go with public.assessments.updated_at",
    ),
    (3, "ALTER TABLE assessments CLUSTER ON idx_assessments_cluster", "cluster is more than its"),
    (
        2,
        "ALTER TABLE patients ADD CONSTRAINT c CHECK (family_history OR NOT phys_activity)",
        "constraint c on table public.patients would go",
    ),
]


PLANTED = [
    ("VIEW", "CREATE VIEW {} AS SELECT 1 AS id"),
    (
        "TABLE",
        "CREATE TABLE {0} (id integer); CREATE TRIGGER planted BEFORE INSERT ON {0}"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    ("TABLE", "CREATE TABLE {0} (id integer); ALTER TABLE {0} ENABLE ROW LEVEL SECURITY"),
    ("TABLE", "CREATE TABLE {} () INHERITS (public.parent)"),
]


def kept_tables(version: int) -> list[str]:
    """Return every table that a file says is its own."""
    text = "".join(statement.text for statement in chain()[version].down.statements)
    listed = re.search(r"kept CONSTANT TEXT\[\] := (.*?);", text, re.DOTALL)
    assert listed is not None
    return re.findall(r"'(\w+)'", listed[1])


def refused(connection: psycopg.Connection, version: int, run: Direction) -> str:
    """Assert that a file stops with a sentence; return it."""
    with pytest.raises(psycopg.Error) as refusal:
        (up if run is UP else down)(connection, version)
    assert refusal.value.sqlstate == "RK001", refusal.value
    assert str(refusal.value.diag.message_hint).startswith("Nothing was changed.")
    return str(refusal.value.diag.message_primary)


@pytest.mark.parametrize(("version", "statement", "says"), [*UNKNOWN, *DRIFT])
def test_what_down_does_not_know_stops_it(
    version: int, statement: str, says: str, make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(version)
    connection = connect(url)
    connection.execute(statement.encode())
    before = pg_dump(url, exclude_schemas=())
    sentence = refused(connection, version, DOWN)
    assert pg_dump(url, exclude_schemas=()) == before
    assert sentence.startswith(f"{version:04} Down refuses: ")
    assert says in sentence
    if (version, statement, says) in DRIFT:
        assert "(--accept drift)" in sentence
        connection.execute("SET refactorkit.accept = 'views, drift'")
        down(connection, version)
    else:
        connection.execute("SET refactorkit.accept = 'drift'")
        assert says in refused(connection, version, DOWN)


@pytest.mark.parametrize("version", range(1, LATEST + 1))
def test_what_others_may_have_planted_is_refused(
    version: int, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(version - 1))
    connection.execute("CREATE SCHEMA IF NOT EXISTS archive; CREATE TABLE public.parent ()")
    for table in [*kept_tables(version), "chain_moved"]:
        name = sql.Identifier("archive", table)
        for kind, planted in PLANTED:
            connection.execute(sql.SQL(planted).format(name))
            for run in (UP, DOWN):
                assert f"archive.{table} is there" in refused(connection, version, run)
            connection.execute(sql.SQL("DROP {} {}").format(sql.SQL(kind), name))


@pytest.mark.parametrize(
    ("version", "table"), [(1, "users"), (1, "audit_events"), (4, "refresh_tokens"), (9, "clinics")]
)
def test_up_moves_back_what_down_moved_and_nothing_else(
    version: int, table: str, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(version))
    connection.execute(
        f"CREATE SCHEMA IF NOT EXISTS archive; CREATE TABLE archive.{table} (id integer)".encode()
    )
    for run in (UP, DOWN):
        says = f"archive.{table} is there, and Down did not move it"
        assert says in refused(connection, version, run)
    connection.execute(f"DROP TABLE archive.{table}".encode())
    down(connection, version)
    connection.execute(f"CREATE TABLE public.{table} (id integer)".encode())
    says = f"archive.{table} is there, and public.{table} is there too"
    assert says in refused(connection, version, UP)
    connection.execute(f"DROP TABLE public.{table}".encode())
    connection.execute(f"ALTER TABLE archive.{table} RENAME TO elsewhere".encode())
    assert f"Down moved archive.{table}, and it is gone" in refused(connection, version, UP)
    connection.execute(f"ALTER TABLE archive.elsewhere RENAME TO {table}".encode())
    up(connection, version)


def test_an_archive_of_another_role_is_refused_by_each_file(
    make_database: MakeDatabase, connect: Connect
) -> None:
    url = make_database(LATEST)
    connection = connect(url)
    role = sql.Identifier(f"stranger_{uuid.uuid4().hex[:8]}")
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        for version in range(LATEST, 0, -1):
            connection.execute(sql.SQL("ALTER SCHEMA archive OWNER TO {}").format(role))
            with pytest.raises(psycopg.Error, match="belongs to another role") as refusal:
                down(connection, version)
            assert refusal.value.sqlstate == "RK001"
            connection.execute("ALTER SCHEMA archive OWNER TO CURRENT_USER")
            down(connection, version)
    finally:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.parametrize(
    ("version", "table"),
    [(1, "users"), (1, "audit_events"), (4, "refresh_tokens"), (9, "clinics"), (9, "user_clinics")],
)
def test_a_table_that_another_role_made_first_is_not_taken_for_ours(
    version: int, table: str, make_database: MakeDatabase, connect: Connect
) -> None:
    """Its triggers would run with the rights of whoever migrates."""
    url = make_database(version - 1)
    db = connect(url)
    with fresh_role(url) as role:
        db.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(role)))
        tell(with_user(url, role), f"CREATE TABLE public.{table} (id integer)")
        with pytest.raises(psycopg.Error, match=f"public.{table} belongs to {role}, and") as caught:
            up(db, version)
        assert caught.value.sqlstate == "RK001"


def test_what_is_kept_is_nobody_elses_business_and_0011_takes_no_offence(
    make_database: MakeDatabase, connect: Connect
) -> None:
    """Default privileges open everything new to an application's role, as they often do."""
    url = make_database(0)
    connection = connect(url)
    role = sql.Identifier(f"app_{uuid.uuid4().hex[:8]}")
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    try:
        for kind in ("TABLES", "SEQUENCES", "SCHEMAS"):
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON {} TO {}, PUBLIC").format(
                    sql.SQL(kind), role
                )
            )
        for version in range(1, LATEST + 1):
            up(connection, version)
        open_clinic(url)
        for version in range(LATEST, 0, -1):
            down(connection, version)
            open_to = (
                "SELECT string_agg(DISTINCT c.relname, ', ') FROM pg_class AS c,"
                " aclexplode(c.relacl) AS x WHERE c.relnamespace = 'archive'::regnamespace"
                " AND x.grantee <> c.relowner AND c.relname ~ '^chain_|_000[678]$'"
            )
            assert scalar(connection, open_to) is None
            space = (
                "SELECT count(*) FROM pg_namespace AS n, aclexplode(n.nspacl) AS x"
                " WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner"
            )
            assert scalar(connection, space) == 0
            if version == 4:
                connection.execute("DELETE FROM users WHERE id = 60")
        for version in range(1, LATEST + 2):
            up(connection, version)
            assert scalar(connection, open_to) is None
        orphans = "SELECT count(*) FROM archive.chain_0004_refresh_tokens_orphans"
        assert scalar(connection, orphans) == 1
        down(connection, LATEST + 1)
    finally:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_every_table_that_is_kept_has_a_primary_key(
    make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(LATEST))
    for version in range(LATEST, 0, -1):
        down(connection, version)
    without = (
        "SELECT string_agg(c.relname, ', ') FROM pg_class AS c"
        " WHERE c.relnamespace = 'archive'::regnamespace AND c.relkind = 'r' AND NOT EXISTS"
        " (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p')"
    )
    assert scalar(connection, without) is None


def test_the_blocks_that_all_files_share_are_the_same_text() -> None:
    """Each file stands alone, so each has its copy; only their first constants differ."""
    copies: dict[str, set[str]] = {}
    count: dict[str, int] = {}
    for version in range(1, LATEST + 1):
        for direction in Direction:
            for statement in chain()[version].script(direction).statements:
                tag = re.match(r"DO \$(archive|guard|close)\$", statement.text)
                if tag:
                    text = re.sub(OWN_CONSTANTS, "", statement.text, flags=re.DOTALL)
                    copies.setdefault(tag[1], set()).add(text)
                    count[tag[1]] = count.get(tag[1], 0) + 1
    assert count == {"archive": 20, "guard": 7, "close": 15}
    assert {tag: len(texts) for tag, texts in copies.items()} == dict.fromkeys(count, 1)


def test_each_file_begins_with_a_pinned_path_and_puts_it_back() -> None:
    for version in range(1, LATEST + 1):
        for direction in Direction:
            texts = [statement.text for statement in chain()[version].script(direction).statements]
            assert texts[0] == "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;"
            assert "pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', TRUE)" in texts[1]
            assert texts[-1].startswith("SELECT set_config('search_path', current_setting(")


def test_the_path_of_the_session_is_as_it_was(
    make_database: MakeDatabase, connect: Connect
) -> None:
    """goose writes its version row after the file, in the same transaction."""
    connection = connect(make_database(LATEST), autocommit=False)
    connection.execute("SET search_path = elsewhere, public")
    connection.commit()
    for run, version in ((DOWN, 10), (DOWN, 9), (DOWN, 8), (UP, 8), (UP, 9), (UP, 10)):
        for statement in chain()[version].script(run).statements:
            connection.execute(statement.text.encode())
        assert scalar(connection, "SHOW search_path") == "elsewhere, public"
        connection.commit()


@pytest.mark.parametrize("inactive", [0, 2])
def test_version_9_cannot_keep_out_who_is_inactive_and_down_says_so(
    inactive: int, make_database: MakeDatabase, connect: Connect
) -> None:
    connection = connect(make_database(LATEST))
    connection.execute(
        "UPDATE users SET is_active = false WHERE id IN (SELECT id FROM users LIMIT %s)", [inactive]
    )
    found = [notice for notice in down(connection, LATEST) if "inactive" in notice]
    assert len(found) == min(inactive, 1)
    assert all(f"version 9 cannot keep out {inactive} inactive accounts" in one for one in found)


def test_a_database_of_another_tool_goes_down_and_up_without_a_loss(
    make_database: MakeDatabase, connect: Connect
) -> None:
    """Nothing of ours is in the archive: neither mock rows nor old clusters are known."""
    url = make_database(LATEST)
    connection = connect(url)
    open_clinic(url)
    connection.execute("DROP SCHEMA archive CASCADE")
    connection.execute("UPDATE users SET email = 'other' || id WHERE email LIKE '%@mock.invalid'")
    before, tables = pg_dump(url), read_tables(connection)
    notices = []
    for turn in range(2):
        for version in range(LATEST, 0, -1):
            found = down(connection, version)
            notices += found if turn == 0 else []
        for version in range(1, LATEST + 1):
            up(connection, version)
        assert pg_dump(url) == before
    assert read_tables(connection) == tables
    for says in ("none was deleted", "guessed from the risk score", "stays as it is"):
        assert [notice for notice in notices if says in notice]
