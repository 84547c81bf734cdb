"""The former version knows mappings, not patients: the ones of tests/mappings."""

import re
from collections.abc import Callable

import psycopg
import pytest

from refactorkit.mapping.former import Former, former_of
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.model import Direction
from tests.integration.compile_stories import STORIES
from tests.integration.test_online_other_mappings import WRITES
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.mappings import MAPPINGS, prepare, turn

# What a default made just now: times of this century's later part, and random ids of this test.
MADE = re.compile(
    r"\b20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]


@pytest.fixture(params=sorted(STORIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def seen(connection: psycopg.Connection, mapping: Mapping, schema: str) -> list[str]:
    """Every row of the old version's tables, without a key that the database made."""
    tables = [(mapping.source.table, mapping.source.columns, mapping.source.key)]
    tables += [(mapping.target.table, mapping.target.columns, mapping.target.key)]
    tables += [(link.table, link.columns, link.key) for link in mapping.link]
    found = []
    for table, columns, key in tables:
        values = ", ".join(f't."{column}"' for column in columns if column != key)
        query = f'SELECT ROW({values})::text FROM {schema}."{table}" AS t'
        found += [f"{table} {row}" for (row,) in connection.execute(query.encode())]
    return sorted(MADE.sub("new", row) for row in found)


def create(connection: psycopg.Connection, former: Former) -> None:
    with connection.transaction():
        connection.execute("SELECT set_config('refactorkit.search_path', 'public', true)")
        for statement in former.create.statements:
            connection.execute(statement.data)


@pytest.mark.parametrize("turns", [1, 3])
def test_the_old_version_works_on_and_down_finds_what_it_wrote(
    name: str, turns: int, make_database: MakeDatabase, databases: Databases, connect: Connect
) -> None:
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    url = make_database(0)
    with psycopg.connect(url, autocommit=True) as connection:
        prepare(connection, name)
        if turns > 1:
            turn(connection, name, Direction.UP)
            connection.execute(STORIES[name].new_writes.encode())
            connection.execute(STORIES[name].settings.encode())
            turn(connection, name, Direction.DOWN)
    urls = [url, databases.copy(url)]
    plain, kept = (connect(each) for each in urls)
    turn(kept, name, Direction.UP)
    former = former_of(mapping, again=turns > 1)
    schema = pg_dump(urls[1], exclude_schemas=(), schema_only=True)
    kept.execute(f"DROP TABLE {former.writes}".encode())  # an older Up made none
    create(kept, former)
    assert seen(kept, mapping, former.schema) == seen(plain, mapping, "public")
    for statement in WRITES[name]:
        plain.execute(statement.encode())
        moved = statement.replace("public.", f"{former.schema}.")
        kept.execute(f"SET search_path = {former.schema}, public".encode())
        kept.execute(moved.encode())
        assert seen(kept, mapping, former.schema) == seen(plain, mapping, "public"), statement
    kept.execute("RESET search_path")
    kept.execute(former.drop)
    assert pg_dump(urls[1], exclude_schemas=(), schema_only=True) == schema
    create(kept, former)
    turn(kept, name, Direction.DOWN)
    assert seen(kept, mapping, "public") == seen(plain, mapping, "public")
    assert pg_dump(urls[1], schema_only=True) == pg_dump(urls[0], schema_only=True)
