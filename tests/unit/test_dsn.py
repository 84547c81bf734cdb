"""Connection strings: both forms are read as libpq reads them, and none is ever repeated."""

import psycopg
import pytest

from refactorkit.errors import UsageError
from refactorkit.postgres.dsn import Dsn

SECRET = "s3cr3t"  # noqa: S105 - looked for in messages

READ_LIKE_LIBPQ = [
    "postgresql://",
    "postgres://localhost",
    "postgresql://localhost:5433/app",
    "postgresql://user@localhost/app",
    "postgresql://user:pass@localhost/app",
    "postgresql://user:p%40ss%2F%3A%23%3F@localhost/app",
    "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=myapp",
    "postgresql://host1:123,host2:456/somedb?target_session_attrs=any",
    "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
    "postgresql:///dbname?host=/var/lib/postgresql",
    "postgresql://[2001:db8::1234]:5432/database",
    "postgresql:///app?options=-c%20search_path%3Dclinic",
    "host=localhost port=5432 dbname=mydb connect_timeout=10",
    "host = localhost dbname = 'my db' password='it\\'s \\\\'",
    r"dbname=my\ db user=a\'b",
    "user='' dbname=app",
    "password=a=b dbname=app",
]


@pytest.mark.parametrize("text", READ_LIKE_LIBPQ)
def test_a_sound_string_means_what_libpq_takes_it_for(text: str) -> None:
    expected = psycopg.conninfo.conninfo_to_dict(text)

    ours = {key: value for key, value in Dsn.parse(text).parameters.items() if value}
    assert ours == {key: value for key, value in expected.items() if value}


MALFORMED = [
    f"mysql://user:{SECRET}@host/app",
    f"jdbc:postgresql://user:{SECRET}@host/app",
    f"postgresql://user:{SECRET}@more@host/app",
    f"postgresql://user:{SECRET}/more@host/app",
    f"postgresql://user:1{SECRET}?more@host/app",
    f"postgresql://user:{SECRET}#more@host/app",
    f"postgresql://user:{SECRET}:more@host/app",
    f"postgresql://user:{SECRET}%zz@host/app",
    f"postgresql://user:{SECRET}%00@host/app",
    f"postgresql://user:{SECRET}%ff@host/app",
    f"postgresql://user:{SECRET}\udcff@host/app",
    f"postgresql://user:{SECRET}@host:port/app",
    f"postgresql://user:{SECRET}@host:99999/app",
    f"postgresql://user:{SECRET}@host:0/app",
    f"postgresql://user:{SECRET}@ho st/app",
    f"postgresql://user:{SECRET}@[::1/app",
    f"postgresql://user:{SECRET}@[::1]x/app",
    f"postgresql://host/app?{SECRET}",
    f"postgresql://host/app?{SECRET}=1",
    f"postgresql://host/app?password={SECRET}=1",
    f"postgresql://host/app?connect_timeout={SECRET}",
    f"host=localhost password={SECRET} more",
    f"host=localhost password='{SECRET}",
    f"host=localhost password='{SECRET}'more",
    f"host=localhost pasword={SECRET}",
    f"host=localhost port={SECRET}",
    f"{SECRET}",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_string_is_refused_and_no_part_of_it_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Dsn.parse(text)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.hint


def test_a_password_is_shown_by_no_representation() -> None:
    dsn = Dsn.parse(f"postgresql://me:{SECRET}@db.example/app?sslpassword={SECRET}2")

    assert SECRET not in repr(dsn) + str(dsn) + f"{dsn}" + dsn.describe()
    assert dsn.describe() == 'database "app" on db.example'
    assert "me" in repr(dsn)


def test_another_database_of_the_same_server_keeps_everything_else() -> None:
    dsn = Dsn.parse("postgresql://me:pw@db.example:5433/app")

    other = dsn.with_database("o'ther db")

    assert other.parameters == {**dsn.parameters, "dbname": "o'ther db"}


def test_programs_get_the_same_parameters_by_their_environment() -> None:
    dsn = Dsn.parse("postgresql://me:pw@db.example:5433/app?sslmode=require")

    assert dsn.environment() == {
        "PGUSER": "me",
        "PGPASSWORD": "pw",
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGDATABASE": "app",
        "PGSSLMODE": "require",
    }


def test_what_has_no_variable_is_refused_rather_than_forgotten() -> None:
    with pytest.raises(UsageError, match="keepalives"):
        Dsn.parse("dbname=app keepalives=0").environment()


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        ("postgresql://host/app", {}, True),
        ("postgresql://host", {}, False),
        ("postgresql://host", {"PGDATABASE": "app"}, True),
        ("service=clinic", {}, True),
        ("postgresql://", {"PGSERVICE": "clinic"}, True),
    ],
)
def test_a_string_names_a_database_or_is_known_not_to(
    text: str, environment: dict[str, str], named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    assert Dsn.parse(text).names_database is named
