"""What only some of the supported PostgreSQL versions have: nothing of it is lost by 0011.

.ci/matrix runs these on every major version; on the newest one, all of them run.
"""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.dump import pg_dump
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]

# First major version that has it -> what someone does to a database at version 10. All of it is
# there after Up and Down.
CARRIED = {
    "a column compressed in its own way": (
        14,
        "ALTER TABLE public.patients ALTER COLUMN name SET COMPRESSION pglz",
    ),
    "a function with a parsed body": (
        14,
        "CREATE FUNCTION public.one() RETURNS integer LANGUAGE sql RETURN 1",
    ),
    "a unique constraint that counts NULLs": (
        15,
        (
            "ALTER TABLE public.patients ADD CONSTRAINT same UNIQUE NULLS NOT DISTINCT (id, age);"
            " ALTER TABLE public.users ADD CONSTRAINT same_too"
            " UNIQUE NULLS NOT DISTINCT (email, created_by)"
        ),
    ),
    "a number with a negative scale": (
        15,
        "ALTER TABLE public.patients ADD about numeric(5,-2) DEFAULT 1234",
    ),
    "a schema that PUBLIC may not create in": (14, "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    "a schema that PUBLIC may create in": (14, "GRANT CREATE ON SCHEMA public TO PUBLIC"),
    "a column with a storage of its own": (
        16,
        (
            "ALTER TABLE public.patients ADD long text STORAGE EXTERNAL;"
            " ALTER TABLE public.users ALTER COLUMN email SET STORAGE DEFAULT"
        ),
    ),
    "a right to maintain": (
        17,
        (
            "GRANT MAINTAIN ON public.patients TO pg_monitor;"
            " GRANT MAINTAIN ON public.assessments TO PUBLIC"
        ),
    ),
    "a statistics target set to the default": (
        17,
        (
            "ALTER TABLE public.patients ALTER COLUMN name SET STATISTICS 7,"
            " ALTER COLUMN bmi SET STATISTICS DEFAULT;"
            " ALTER TABLE public.users ALTER COLUMN email SET STATISTICS DEFAULT"
        ),
    ),
    "a virtual generated column": (
        18,
        (
            "ALTER TABLE public.patients ADD twice integer GENERATED ALWAYS AS (age * 2) VIRTUAL;"
            " ALTER TABLE public.users ADD loud text GENERATED ALWAYS AS (upper(email)) VIRTUAL;"
            " ALTER TABLE public.assessments ADD half integer"
            " GENERATED ALWAYS AS (risk_score / 2) VIRTUAL"
        ),
    ),
    "NOT NULL constraints with names and comments": (
        18,
        (
            "ALTER TABLE public.patients RENAME CONSTRAINT patients_name_not_null TO named;"
            " COMMENT ON CONSTRAINT named ON public.patients IS 'mine';"
            " ALTER TABLE public.users RENAME CONSTRAINT users_email_not_null TO reachable;"
            " COMMENT ON CONSTRAINT reachable ON public.users IS 'mine'"
        ),
    ),
    "a NOT NULL constraint that is not validated": (
        18,
        (
            "ALTER TABLE public.patients ADD extra integer DEFAULT 1;"
            " ALTER TABLE public.patients ADD CONSTRAINT filled NOT NULL extra NOT VALID"
        ),
    ),
    "a check that is not enforced": (
        18,
        (
            "ALTER TABLE public.patients ADD CONSTRAINT wish CHECK (age > 200) NOT ENFORCED;"
            " ALTER TABLE public.users ADD CONSTRAINT wish CHECK (email = '') NOT ENFORCED"
        ),
    ),
}
REFUSED = {
    "a publication of the schema": (
        15,
        "CREATE PUBLICATION stream FOR TABLES IN SCHEMA public",
        r"publication stream covers all tables of schema public \(--accept publications\)",
    ),
    "a publication of some columns": (
        15,
        "CREATE PUBLICATION stream FOR TABLE public.patients (id, name)",
        r"publication stream covers public.patients \(--accept publications\)",
    ),
    "a foreign key that empties one column": (
        15,
        (
            "ALTER TABLE public.patients DROP CONSTRAINT fk_patients_user_id,"
            " ADD CONSTRAINT fk_patients_user_id FOREIGN KEY (user_id) REFERENCES public.users (id)"
            " ON DELETE SET NULL (user_id)"
        ),
        r"fk_patients_user_id of public.patients is .*SET NULL \(user_id\)",
    ),
    "a foreign key that is not enforced": (
        18,
        (
            "ALTER TABLE public.patients DROP CONSTRAINT fk_patients_user_id,"
            " ADD CONSTRAINT fk_patients_user_id FOREIGN KEY (user_id) REFERENCES public.users (id)"
            " ON DELETE CASCADE NOT ENFORCED"
        ),
        "fk_patients_user_id of public.patients is .*NOT ENFORCED",
    ),
    "a right to maintain the archive": (
        17,
        ("CREATE TABLE archive.notes (); GRANT MAINTAIN ON archive.notes TO pg_monitor"),
        "others may write to archive.notes",
    ),
}


def at_10(
    since: int, statement: str, make_database: Callable[[int], str], connect: Connect
) -> tuple[str, psycopg.Connection]:
    url = make_database(10)
    connection = connect(url)
    if connection.info.server_version < since * 10000:
        pytest.skip(f"PostgreSQL {since} is the first to have it")
    connection.execute(statement.encode())
    return url, connection


@pytest.mark.parametrize(("since", "statement"), CARRIED.values(), ids=CARRIED.keys())
def test_what_a_version_has_alone_comes_back_and_returns(
    since: int, statement: str, make_database: Callable[[int], str], connect: Connect
) -> None:
    url, connection = at_10(since, statement, make_database, connect)
    ten = pg_dump(url)
    turn(connection, "up")
    eleven = pg_dump(url)
    turn(connection, "down")
    assert pg_dump(url) == ten
    turn(connection, "up")
    assert pg_dump(url) == eleven


@pytest.mark.parametrize(("since", "statement", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_version_has_alone_is_refused_where_it_could_not_be_given_back(
    since: int,
    statement: str,
    sentence: str,
    make_database: Callable[[int], str],
    connect: Connect,
) -> None:
    url, connection = at_10(since, statement, make_database, connect)
    before = pg_dump(url, exclude_schemas=())
    with pytest.raises(psycopg.errors.DatabaseError, match=sentence) as caught:
        turn(connection, "up")
    assert caught.value.sqlstate == "RK001"
    assert pg_dump(url, exclude_schemas=()) == before


def test_the_accepted_publication_of_a_schema_goes_on(
    make_database: Callable[[int], str], connect: Connect
) -> None:
    url, connection = at_10(
        15, "CREATE PUBLICATION stream FOR TABLES IN SCHEMA public", make_database, connect
    )
    ten = pg_dump(url)
    turn(connection, "up", {"accept": "publications"})
    turn(connection, "down", {"accept": "publications"})
    assert pg_dump(url) == ten
