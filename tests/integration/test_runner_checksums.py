"""Checksums of applied files: recorded with the file, compared afterwards, safe from others."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.support.cli import run, write_files
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

TWO = {
    "0001_a.sql": "CREATE TABLE a (id int);\n----\nDROP TABLE a;",
    "0002_b.sql": "CREATE TABLE b (id int);\n----\nDROP TABLE b;",
}


@pytest.fixture
def migrator(empty_database: str, connect: Connect) -> Iterator[str]:
    """The URL of an ordinary role that may do anything in public, and create no schema."""
    name, admin = f"rk_{uuid.uuid4().hex[:10]}", connect(empty_database)
    role = sql.Identifier(name)
    database = sql.Identifier(str(scalar(admin, "SELECT current_database()")))
    for statement in (
        sql.SQL("CREATE ROLE {0} LOGIN PASSWORD 'x'"),
        sql.SQL("GRANT ALL ON SCHEMA public TO {0}"),
    ):
        admin.execute(statement.format(role))
    parts = urlsplit(empty_database)
    hosts = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{name}:x@{hosts}"))
    admin.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, role))
    admin.execute(sql.SQL("DROP OWNED BY {}").format(role))
    admin.execute(sql.SQL("DROP ROLE {}").format(role))


def contents(url: str, directory: Path) -> list[str | None]:
    document = run("status", "--json", "--dir", directory, url=url).document
    return [each["content"] for each in document["migrations"]]


def test_an_applied_file_has_its_checksum_and_down_deletes_it(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connection = connect(empty_database)
    kept = "SELECT version, file, length(checksum) FROM archive.migration_checksums ORDER BY 1"
    assert connection.execute(kept).fetchall() == [(1, "0001_a.sql", 64), (2, "0002_b.sql", 64)]
    assert contents(empty_database, tmp_path) == ["same", "same"]

    run("down", "--dir", tmp_path, url=empty_database)

    assert connection.execute(kept).fetchall() == [(1, "0001_a.sql", 64)]


def test_the_sessions_time_zone_does_not_matter(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    database = sql.Identifier(connection.info.dbname)
    write_files(tmp_path, TWO)
    for version, zone in (("1", "Asia/Kathmandu"), ("2", "America/St_Johns")):
        connection.execute(sql.SQL("ALTER DATABASE {} SET TimeZone = {}").format(database, zone))
        run("up", "--to", version, "--dir", tmp_path, url=empty_database)

    assert contents(empty_database, tmp_path) == ["same", "same"]


def test_a_file_that_fails_leaves_no_checksum(
    empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, {"0001_a.sql": "nonsense;"}), url=empty_database)

    assert scalar(connect(empty_database), "SELECT to_regnamespace('archive')") is None


def test_an_edited_file_is_reported_by_status_and_validate(
    empty_database: str, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    with (tmp_path / "0001_a.sql").open("a") as file:
        file.write("-- a word more\n")

    assert contents(empty_database, tmp_path) == ["edited", "same"]
    status = run("status", "--dir", tmp_path, url=empty_database)
    assert status.code == 0
    assert "1 edited after they were applied." in status.out
    assert run("status", "--check", "--dir", tmp_path, url=empty_database).code == 3

    validation = run("validate", "--json", "--dir", tmp_path, url=empty_database)
    assert validation.code == 3
    assert validation.document["edited"] == ["0001_a.sql"]
    assert validation.document["verdict"] == "fail"


def test_taking_back_an_edited_file_says_that_it_was_edited(
    empty_database: str, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    with (tmp_path / "0002_b.sql").open("a") as file:
        file.write("-- a word more\n")

    outcome = run("down", "--dir", tmp_path, url=empty_database)

    assert outcome.code == 0
    assert "event=file.edited" in outcome.err


def test_validate_without_a_database_compares_nothing(tmp_path: Path) -> None:
    outcome = run("validate", "--json", "--no-conventions", "--dir", write_files(tmp_path, TWO))

    assert outcome.code == 0
    assert outcome.document["verdict"] == "pass"
    assert outcome.document["not_compared"] is None


def test_what_another_tool_applied_is_not_recorded_and_not_edited(
    database_at_10: str,
) -> None:
    status = run("status", "--json", "--check", url=database_at_10)

    applied = [each for each in status.document["migrations"] if each["state"] == "applied"]
    assert {each["content"] for each in applied} == {"not recorded"}
    assert status.document["edited"] == 0


def test_without_the_right_to_make_the_schema_nothing_is_begun(
    migrator: str, connect: Connect, tmp_path: Path
) -> None:
    write_files(tmp_path, TWO)

    for options in ([], ["--dry-run"]):
        outcome = run("up", *options, "--dir", tmp_path, url=migrator)
        assert outcome.code == 3
        assert "may not create the schema archive" in outcome.err
        assert "Nothing was changed." in outcome.err

    assert scalar(connect(migrator), "SELECT to_regclass('goose_db_version')") is None


def test_a_schema_of_its_own_is_enough_for_an_ordinary_role(
    migrator: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    role = sql.Identifier(urlsplit(migrator).username or "")
    connect(empty_database).execute(sql.SQL("CREATE SCHEMA archive AUTHORIZATION {}").format(role))

    assert run("up", "--dir", write_files(tmp_path, TWO), url=migrator).code == 0
    assert run("down", "--to", "0", "--dir", tmp_path, url=migrator).code == 0


def test_a_schema_of_another_role_is_refused(
    migrator: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    role = sql.Identifier(urlsplit(migrator).username or "")
    connection.execute(sql.SQL("CREATE SCHEMA archive AUTHORIZATION {}").format(role))

    outcome = run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)

    assert outcome.code == 3
    assert "The schema archive belongs to another role" in outcome.err
    assert scalar(connection, "SELECT to_regclass('goose_db_version')") is None


@pytest.mark.parametrize(
    "opening",
    [
        "GRANT CREATE ON SCHEMA archive TO PUBLIC",
        "GRANT INSERT ON archive.migration_checksums TO PUBLIC",
        "GRANT TRIGGER ON archive.migration_checksums TO PUBLIC",
        "CREATE RULE r AS ON INSERT TO archive.migration_checksums DO ALSO SELECT 1",
        "ALTER TABLE archive.migration_checksums ENABLE ROW LEVEL SECURITY",
        """CREATE TRIGGER t BEFORE INSERT ON archive.migration_checksums
        EXECUTE FUNCTION suppress_redundant_updates_trigger()""",
    ],
)
def test_a_place_that_others_may_change_is_refused(
    opening: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--to", "1", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connection = connect(empty_database)
    connection.execute(opening.encode())

    for command in ("up", "down"):
        outcome = run(command, "--dir", tmp_path, url=empty_database)
        assert outcome.code == 3
        assert "is open to other roles" in outcome.err
        assert "Nothing was changed." in outcome.err
    assert scalar(connection, "SELECT count(*) FROM goose_db_version") == 2


def test_default_privileges_do_not_open_the_new_table(
    empty_database: str, migrator: str, connect: Connect, tmp_path: Path
) -> None:
    connection = connect(empty_database)
    role = sql.Identifier(urlsplit(migrator).username or "")
    connection.execute(sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {}").format(role))
    connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")

    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)

    others = (
        "SELECT count(*) FROM pg_class, aclexplode(relacl) AS g"
        " WHERE oid = 'archive.migration_checksums'::regclass AND g.grantee <> relowner"
    )
    assert scalar(connection, others) == 0
    connection.execute(
        sql.SQL("ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM {}").format(role)
    )


def test_a_role_that_may_not_read_the_checksums_is_told_so(
    migrator: str, empty_database: str, connect: Connect, tmp_path: Path
) -> None:
    run("up", "--dir", write_files(tmp_path, TWO), url=empty_database)
    connect(empty_database).execute("GRANT SELECT ON goose_db_version TO PUBLIC")

    assert contents(migrator, tmp_path) == ["unreadable", "unreadable"]
    check = run("status", "--check", "--json", "--dir", tmp_path, url=migrator)
    assert check.code == 3
    assert check.document["verdict"] == "incomplete"
    validation = run("validate", "--json", "--no-conventions", "--dir", tmp_path, url=migrator)
    assert validation.document["verdict"] == "incomplete"
    assert validation.code == 3
