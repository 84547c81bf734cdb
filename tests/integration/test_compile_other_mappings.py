"""The compiler against other mappings than ours: undo, redo, edits, and what must be refused.

Each mapping of tests/mappings stands beside the schema and rows of the version before it.
"""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.verification import checks
from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.parser import parse
from tests.integration.compile_stories import STORIES
from tests.support.cli import run, write_files
from tests.support.dump import pg_dump

MAPPINGS = Path(__file__).parents[1] / "mappings"
Connect = Callable[..., psycopg.Connection]
MakeDatabase = Callable[[int], str]


@pytest.fixture(params=sorted(STORIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def before(name: str, empty_database: str, connect: Connect) -> psycopg.Connection:
    """A database at the version before the refactor."""
    connection = connect(empty_database)
    connection.execute((MAPPINGS / f"{name}.sql").read_bytes())
    return connection


def migration(name: str) -> Migration:
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    text = compile_migration(mapping)
    made = parse(text.encode(), file=mapping.migration, environ={})
    assert (made.up.error, made.down.error) == (None, None)
    return made


def up(connection: psycopg.Connection, name: str) -> None:
    with connection.transaction():
        for statement in migration(name).up.statements:
            connection.execute(statement.data)


def down(connection: psycopg.Connection, name: str) -> None:
    with connection.transaction():
        for statement in migration(name).down.statements:
            connection.execute(statement.data)


def whole(url: str) -> str:
    return pg_dump(url)


def rows(connection: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def test_down_leaves_no_trace_of_up(
    name: str, before: psycopg.Connection, empty_database: str
) -> None:
    old = whole(empty_database)
    up(before, name)
    new = whole(empty_database)
    assert new != old

    for _ in range(2):
        down(before, name)
        assert whole(empty_database) == old
        up(before, name)
        assert whole(empty_database) == new


def test_edits_of_the_new_version_come_home_and_are_there_again_after_the_next_up(
    name: str, before: psycopg.Connection, empty_database: str
) -> None:
    story = STORIES[name]
    up(before, name)
    before.execute(story.new_writes.encode())
    before.execute(story.settings.encode())
    new = whole(empty_database)

    down(before, name)
    for query, expected in story.home:
        assert rows(before, query) == list(expected), query
    up(before, name)

    assert whole(empty_database) == new


def test_edits_of_the_old_version_survive_the_next_up(
    name: str, before: psycopg.Connection
) -> None:
    story = STORIES[name]
    up(before, name)
    before.execute(story.new_writes.encode())
    before.execute(story.settings.encode())
    down(before, name)
    before.execute(story.old_writes.encode())

    up(before, name)

    for query, expected in story.again:
        assert rows(before, query) == list(expected), query


def test_verify_finds_nothing_to_say_after_each_turn(name: str, before: psycopg.Connection) -> None:
    story = STORIES[name]
    up(before, name)
    assert differences(before, name, Direction.UP) == []
    before.execute(story.new_writes.encode())
    before.execute(story.settings.encode())
    down(before, name)
    assert differences(before, name, Direction.DOWN) == []
    before.execute(story.old_writes.encode())
    up(before, name)
    assert differences(before, name, Direction.UP) == []


def differences(
    connection: psycopg.Connection, name: str, after: Direction
) -> list[tuple[object, ...]]:
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    return [row for check in checks(mapping, after) for row in rows(connection, check.differences)]


def test_the_runner_takes_a_compiled_refactor_up_and_down(
    empty_database: str, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "sql", {"0001_before.sql": before_text("contacts")})
    assert run("compile", MAPPINGS / "contacts.toml", "--dir", folder).code == 0
    assert run("up", "--to", "1", "--dir", folder, url=empty_database).code == 0
    old = whole(empty_database)

    done = run("up", "--dir", folder, url=empty_database)
    assert done.code == 0, done.err
    assert whole(empty_database) != old
    done = run("down", "--dir", folder, url=empty_database)
    assert done.code == 0, done.err

    assert whole(empty_database) == old


def before_text(name: str) -> str:
    return (MAPPINGS / f"{name}.sql").read_text()


def test_refactors_of_two_mappings_share_an_archive(empty_database: str, connect: Connect) -> None:
    connection = connect(empty_database)
    for name in ("contacts", "members"):
        connection.execute(before_text(name).encode())
    old = whole(empty_database)

    up(connection, "contacts")
    middle = whole(empty_database)
    up(connection, "members")
    down(connection, "members")
    assert whole(empty_database) == middle
    down(connection, "contacts")

    assert whole(empty_database) == old


def test_a_parent_that_is_gone_stops_down_with_a_sentence(
    empty_database: str, connect: Connect
) -> None:
    connection = connect(empty_database)
    connection.execute(before_text("devices").encode())
    up(connection, "devices")
    connection.execute("DELETE FROM sites WHERE no = 2")
    new = whole(empty_database)

    with pytest.raises(psycopg.DatabaseError) as caught:
        down(connection, "devices")

    assert caught.value.sqlstate == "RK001"
    assert "1 devices have a site_id that is no longer in public.sites: id 4" in str(caught.value)
    assert whole(empty_database) == new


def test_a_schema_that_differs_from_the_mapping_stops_up(
    name: str, before: psycopg.Connection, empty_database: str
) -> None:
    source = load_mapping(MAPPINGS / f"{name}.toml").source
    before.execute(f'ALTER TABLE "{source.table}" ALTER "{source.key}" DROP DEFAULT'.encode())
    old = whole(empty_database)

    with pytest.raises(psycopg.DatabaseError) as caught:
        up(before, name)

    assert caught.value.sqlstate == "RK001"
    assert source.key in str(caught.value)
    assert whole(empty_database) == old


@pytest.mark.parametrize(
    ("planted", "instead"),
    [
        ("    ALTER COLUMN made SET DEFAULT now(),\n", ""),
        (
            "SET SCHEMA public;",
            "SET SCHEMA public;\nUPDATE public.devices SET note = 'y' WHERE id = 1;",
        ),
        ("DROP COLUMN IF EXISTS state", "DROP COLUMN IF EXISTS stat"),
    ],
)
def test_a_down_that_leaves_a_trace_is_seen(
    planted: str, instead: str, empty_database: str, connect: Connect
) -> None:
    connection = connect(empty_database)
    connection.execute(before_text("devices").encode())
    old = whole(empty_database)
    mapping = load_mapping(MAPPINGS / "devices.toml")
    head, _, tail = compile_migration(mapping).rpartition(planted)
    assert "+goose Down" in head
    wrong = parse((head + instead + tail).encode(), file=mapping.migration, environ={})

    with connection.transaction():
        for statement in (*wrong.up.statements, *wrong.down.statements):
            connection.execute(statement.data)

    assert whole(empty_database) != old
