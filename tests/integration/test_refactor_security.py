"""No superuser is needed, and nobody can read or do in one version what they could not before.

Rights are measured by what the catalog says of every role, table and column, and by trying.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support.background import Ended, go
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.dump import pg_dump
from tests.support.queries import scalar
from tests.support.roles import fresh_role, give_everything, with_user

Connect = Callable[..., psycopg.Connection]

UP, DOWN = Direction
OF_THE_MOMENT = (
    "public.goose_db_version",
    "archive.migration_checksums",
    "archive.patients_turns",
    "archive.patients_decisions",
)
# Every right that a role has on a table or on a column of it, by name.
RIGHTS = """
SELECT r.rolname, c.oid::regclass::text, coalesce(a.attname, ''), p.privilege
FROM pg_roles AS r
CROSS JOIN pg_class AS c
CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'),
    ('TRIGGER')) AS p (privilege)
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND p.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
WHERE r.rolname = ANY (%s) AND c.relkind = 'r'
    AND c.relnamespace IN ('public'::regnamespace, to_regnamespace('archive'))
    AND has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
    AND CASE WHEN a.attnum IS NULL THEN has_table_privilege(r.oid, c.oid, p.privilege)
        ELSE has_column_privilege(r.oid, c.oid, a.attnum, p.privilege) END
"""
CLINICAL = {"bmi", "menopause_status", "hypertension", "heart_disease", "chol", "years_menopause"}

Right = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class Clinic:
    """A database that belongs to a role without any special right.

    Attributes:
        admin: its URL for the superuser.
        app: its URL for the owner.
        owner: the owner's name.
        others: other roles, by what they are called in the test.
    """

    admin: str
    app: str
    owner: str
    others: dict[str, str]

    def url_of(self, other: str) -> str:
        return with_user(self.admin, self.others[other])

    def tell(self, statement: str) -> None:
        """Run statements as the superuser; {names} are those of the roles."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            names = {"owner": self.owner, **self.others}
            connection.execute(
                sql.SQL(statement).format(
                    **{name: sql.Identifier(role) for name, role in names.items()}
                )
            )

    def rights(self) -> set[Right]:
        names = {role: other for other, role in self.others.items()}
        with psycopg.connect(self.admin) as connection:
            rows = connection.execute(RIGHTS, [list(names)]).fetchall()
        return {(names[row[0]], row[1], row[2], row[3]) for row in rows}

    def turn(self, direction: Direction, url: str | None = None) -> None:
        ended = go(direction, url or self.app)
        assert ended.code == 0, ended.says

    def verified(self) -> bool:
        return verify(VerifyRequest(dsn=Dsn.parse(self.app))).verdict is Verdict.PASS


@pytest.fixture
def clinic(database_at_10: str) -> Iterator[Clinic]:
    """A clinic at version 10."""
    open_clinic(database_at_10)
    with ExitStack() as stack:
        owner = stack.enter_context(fresh_role(database_at_10))
        others = {
            name: stack.enter_context(fresh_role(database_at_10))
            for name in ("reader", "writer", "stranger")
        }
        give_everything(database_at_10, owner)
        yield Clinic(
            admin=database_at_10,
            app=with_user(database_at_10, owner),
            owner=owner,
            others=others,
        )


def denied(url: str, statement: str) -> bool:
    with psycopg.connect(url) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


def readers(rights: set[Right]) -> set[str]:
    """Who can read profiles, wherever they stand."""
    return {who for who, _, column, right in rights if right == "SELECT" and column in CLINICAL}


def writers(rights: set[Right]) -> set[str]:
    """Who can change profiles, wherever they stand."""
    return {who for who, _, column, right in rights if right == "UPDATE" and column in CLINICAL}


# The owner needs nothing but what is his


def test_the_whole_chain_runs_as_the_owner_of_an_empty_database(
    empty_database: str, connect: Connect
) -> None:
    """All files up and down, the refactor twice, with rows in it; no superuser, no other right."""
    with fresh_role(empty_database) as name:
        admin = connect(empty_database)
        statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        admin.execute(statement.format(sql.Identifier(admin.info.dbname), sql.Identifier(name)))
        url = with_user(empty_database, name)
        assert scalar(connect(url), "SHOW is_superuser") == "off"

        assert run("up", "--to", "10", "--dir", SQL, url=url).code == 0
        open_clinic(url)
        before = pg_dump(empty_database)
        at_11 = []
        for command in ("up", "down", "up", "down"):
            outcome = run(command, "--dir", SQL, url=url)
            assert outcome.code == 0, outcome.err
            assert verify(VerifyRequest(dsn=Dsn.parse(url))).verdict is Verdict.PASS
            if command == "up":
                at_11.append(pg_dump(empty_database, exclude_tables=OF_THE_MOMENT))
        assert pg_dump(empty_database) == before
        assert at_11[0] == at_11[1]
        outcome = run("down", "--to", "0", "--dir", SQL, url=url)
        assert outcome.code == 0, outcome.err
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert scalar(admin, tables + " AND relkind = 'r'") == 1


def test_the_owner_gets_what_a_superuser_gets(
    clinic: Clinic, make_database: Callable[[int], str]
) -> None:
    other = make_database(10)
    open_clinic(other)
    seen = []
    for direction in (UP, DOWN, UP):
        clinic.turn(direction)
        assert go(direction, other).code == 0
        seen.append(without_owners(clinic.admin))
        assert seen[-1] == without_owners(other)
        if direction is UP and len(seen) == 1:
            work_as_version_11(clinic.app)
            work_as_version_11(other)


def without_owners(url: str) -> list[str]:
    """Return the database as sorted lines, but for whose things are and the rights of schemas."""
    text = pg_dump(url, exclude_schemas=(), exclude_tables=OF_THE_MOMENT)
    return sorted(
        line
        for line in text.split("\n")
        if line
        and not line.startswith("--")
        and " OWNER TO " not in line
        and " ON SCHEMA " not in line
        and " SCHEMA public" not in line
    )


# Nobody else looks into the archive


@pytest.mark.parametrize("direction", Direction)
def test_who_may_do_all_with_the_tables_may_do_nothing_in_the_archive(
    direction: Direction, clinic: Clinic, connect: Connect
) -> None:
    clinic.tell("GRANT ALL ON ALL TABLES IN SCHEMA public TO {reader}, {writer}")
    clinic.tell("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {reader}")
    clinic.turn(UP)
    if direction is DOWN:
        work_as_version_11(clinic.app)
        clinic.turn(DOWN)
    admin = connect(clinic.admin)
    tables = [
        str(row[0])
        for row in admin.execute(
            "SELECT oid::regclass FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'archive'::regnamespace"
        )
    ]
    assert {"archive.patients_map", "archive.patients_kept_users"} <= set(tables)
    assert ("archive.patients" in tables) is (direction is UP)
    for table in tables:
        for statement in (f"SELECT FROM {table}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            assert denied(clinic.url_of("reader"), statement), statement
    assert denied(clinic.url_of("reader"), "CREATE TABLE archive.mine (id integer)")
    assert denied(clinic.url_of("reader"), "SELECT archive.patients_back_name('a', 'b')")
    assert not {right for right in clinic.rights() if right[1].startswith("archive.")}


@pytest.mark.parametrize("on_schemas", ["USAGE", "USAGE, CREATE"])
def test_default_privileges_open_nothing(on_schemas: str, clinic: Clinic) -> None:
    """Also not those of a schema that is made anew, and of everything in it."""
    clinic.tell("DROP SCHEMA archive CASCADE")
    for what, rights in (
        ("SCHEMAS", on_schemas), ("TABLES", "ALL"), ("SEQUENCES", "ALL"), ("FUNCTIONS", "ALL"),
        ("TYPES", "ALL"),
    ):  # fmt: skip
        clinic.tell(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {{owner}} GRANT {rights} ON {what} TO {{reader}}"
        )
    for direction in (UP, DOWN, UP):
        ended = go(direction, clinic.app)
        assert ended.code == 0, ended.says
        assert not {right for right in clinic.rights() if right[1].startswith("archive.")}
        assert denied(clinic.url_of("reader"), "SELECT FROM archive.patients_map")
        assert clinic.verified()


# Nobody else's things are trusted there

PLANTED = {
    "the schema itself": (
        "ALTER SCHEMA archive OWNER TO {stranger}",
        "The schema archive belongs to another role",
    ),
    "a table of the refactor's name": (
        "GRANT USAGE, CREATE ON SCHEMA archive TO {stranger}; SET ROLE {stranger};"
        " CREATE TABLE archive.patients_decisions (turn integer); RESET ROLE;"
        " REVOKE ALL ON SCHEMA archive FROM {stranger}",
        "archive.patients_decisions in schema archive belongs to",
    ),
    "a table of another name": (
        "GRANT USAGE, CREATE ON SCHEMA archive TO {stranger}; SET ROLE {stranger};"
        " CREATE TABLE archive.mine (turn integer); RESET ROLE;"
        " REVOKE ALL ON SCHEMA archive FROM {stranger}",
        "archive.mine in schema archive belongs to",
    ),
    "a function of the refactor's name": (
        "GRANT USAGE, CREATE ON SCHEMA archive TO {stranger}; SET ROLE {stranger};"
        " CREATE FUNCTION archive.patients_back_name(text, text) RETURNS text LANGUAGE sql"
        " AS 'SELECT NULL::text'; RESET ROLE; REVOKE ALL ON SCHEMA archive FROM {stranger}",
        "archive.patients_back_name.text,text. in schema archive belongs to",
    ),
    "the right to make things": (
        "GRANT CREATE ON SCHEMA archive TO {stranger}",
        "archive",
    ),
    "the right to write": (
        "SET ROLE {owner}; CREATE TABLE archive.patients_past (turn integer);"
        " GRANT INSERT ON archive.patients_past TO {stranger}",
        "others may write to archive.patients_past",
    ),
    "the right to plant a trigger": (
        "SET ROLE {owner}; CREATE TABLE archive.patients_past (turn integer);"
        " GRANT TRIGGER ON archive.patients_past TO {stranger}",
        "others may write to archive.patients_past",
    ),
    "a trigger": (
        "SET ROLE {owner}; CREATE TABLE archive.patients_past (turn integer);"
        " CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER mine AFTER INSERT ON archive.patients_past EXECUTE FUNCTION public.mine()",
        "trigger mine on archive.patients_past",
    ),
}


@pytest.mark.parametrize(("plant", "says"), PLANTED.values(), ids=PLANTED)
def test_what_another_role_planted_in_the_archive_is_refused(
    plant: str, says: str, clinic: Clinic
) -> None:
    with psycopg.connect(clinic.admin, autocommit=True) as connection:
        roles = {"stranger": clinic.others["stranger"], "owner": clinic.owner}
        connection.execute(plant.format(**roles).encode())
    before = pg_dump(clinic.admin, exclude_schemas=())
    ended: Ended = go(UP, clinic.app)
    assert ended.code == 3
    assert says.replace(".text,text.", "(text,text)") in ended.says
    assert "Nothing was changed" in ended.says
    assert pg_dump(clinic.admin, exclude_schemas=()) == before


def test_what_another_role_planted_meanwhile_is_refused_by_down(clinic: Clinic) -> None:
    clinic.turn(UP)
    clinic.tell("GRANT CREATE, USAGE ON SCHEMA archive TO {stranger}")
    with psycopg.connect(clinic.url_of("stranger"), autocommit=True) as stranger:
        stranger.execute("CREATE TABLE archive.mine (id integer)")
    clinic.tell("REVOKE ALL ON SCHEMA archive FROM {stranger}")
    before = pg_dump(clinic.admin, exclude_schemas=())
    ended = go(DOWN, clinic.app)
    assert ended.code == 3
    assert "archive.mine in schema archive belongs to" in ended.says
    assert pg_dump(clinic.admin, exclude_schemas=()) == before


# Law 10


GRANTS = {
    "none": [],
    "readers of everything": [
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}, {writer}",
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {writer}",
    ],
    "readers of patients alone": [
        "GRANT SELECT ON public.patients TO {reader}",
        "GRANT SELECT, UPDATE ON public.patients TO {writer}",
    ],
    "columns": [
        "GRANT SELECT (id, email), UPDATE (email) ON public.users TO {reader}",
        "GRANT SELECT (id, bmi), UPDATE (bmi) ON public.patients TO {writer}",
        "GRANT REFERENCES (id) ON public.users TO {stranger}",
    ],
    "everybody": [
        "GRANT SELECT ON public.users, public.patients, public.assessments TO PUBLIC",
        "GRANT UPDATE ON public.patients TO PUBLIC",
    ],
    "assessments alone": ["GRANT ALL ON public.assessments TO {reader}"],
    "membership": [
        "GRANT {writer} TO {reader}",
        "GRANT SELECT, UPDATE ON public.patients TO {writer}",
        "GRANT SELECT, UPDATE ON public.users TO {reader}, {writer}",
    ],
}


@pytest.mark.parametrize("grants", GRANTS.values(), ids=GRANTS)
def test_nobody_gains_a_right_and_all_come_back_as_they_were(
    grants: list[str], clinic: Clinic
) -> None:
    for grant in grants:
        clinic.tell(grant)
    at_10 = clinic.rights()
    clinic.turn(UP)
    at_11 = clinic.rights()
    assert readers(at_11) <= readers(at_10)
    assert writers(at_11) <= writers(at_10)
    old = {right for right in at_11 if right[1] == "users" and right[2] == "email"}
    assert old == {right for right in at_10 if right[1] == "users" and right[2] == "email"}
    work_as_version_11(clinic.app)
    clinic.turn(DOWN)
    assert clinic.rights() == at_10
    clinic.turn(UP)
    assert clinic.rights() == at_11


NEW = {
    "to read": "GRANT SELECT ON public.users TO {reader}",
    "to change": (
        "GRANT SELECT ON public.users, public.patients TO {reader};"
        " GRANT UPDATE ON public.users TO {reader}"
    ),
    "to read, one column aside": (
        "GRANT SELECT ON public.users TO {reader}; GRANT SELECT (id, name) ON public.patients"
        " TO {reader}"
    ),
    "of everybody": "GRANT SELECT ON public.users TO PUBLIC",
    "of a group": "GRANT SELECT ON public.users TO {writer}; GRANT {writer} TO {reader}",
    "to see what others write": "GRANT SELECT (id), TRIGGER ON public.users TO {reader}",
    "to make": "GRANT INSERT ON public.users TO {reader}",
    "to delete": "GRANT DELETE ON public.users TO {reader}",
}


@pytest.mark.parametrize("grant", NEW.values(), ids=NEW)
def test_a_right_that_would_be_new_needs_a_yes_by_name(grant: str, clinic: Clinic) -> None:
    for statement in grant.split(";"):
        clinic.tell(statement)
    at_10, before = clinic.rights(), pg_dump(clinic.admin, exclude_schemas=())
    ended = go(UP, clinic.app)
    assert ended.code == 3
    assert "public.users and not public.patients: the profiles would be new to it" in ended.says
    assert "--accept new_readers" in ended.says
    assert pg_dump(clinic.admin, exclude_schemas=()) == before

    outcome = run("up", "--accept", "new_readers", "--dir", SQL, url=clinic.app)
    assert outcome.code == 0, outcome.err
    clinic.turn(DOWN)
    assert clinic.rights() == at_10


def test_who_could_not_read_profiles_cannot_read_them_by_trying(clinic: Clinic) -> None:
    """Not by the tables, and not by a row or a key that is left somewhere."""
    clinic.tell("GRANT SELECT (id, email, role) ON public.users TO {reader}")
    clinic.tell("GRANT SELECT ON public.assessments, public.goose_db_version TO {reader}")
    url = clinic.url_of("reader")
    for version, direction in ((11, UP), (10, DOWN), (11, UP)):
        clinic.turn(direction)
        if version == 11:
            for column in sorted(CLINICAL | {"first_name", "password_hash"}):
                assert denied(url, f"SELECT {column} FROM public.users")
            assert denied(url, "SELECT FROM archive.patients")
            assert denied(url, "SELECT FROM public.notification_queue")
        else:
            assert denied(url, "SELECT id FROM public.patients")
        assert denied(url, "SELECT * FROM public.users")
        assert denied(url, "SELECT FROM archive.patients_map")
        assert denied(url, "SELECT FROM archive.patients_turns")
        assert not denied(url, "SELECT id, email, role FROM public.users")
