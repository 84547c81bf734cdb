"""Laws 1 and 2 on random databases of version 10: after Up and Down nobody can tell that Up ran."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from tests.property.decorations import SET_UP, Decoration, decorations
from tests.property.effort import effort
from tests.property.strategies import positions, worlds
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.model.live import Live
from tests.support.model.world import World
from tests.support.servers import Server


@pytest.fixture(scope="module")
def role(server: Server, databases: Databases) -> Iterator[str]:
    """A role that grants name; dropped with all that it was granted."""
    name = psycopg.conninfo.conninfo_to_dict(databases.create())["dbname"]
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(str(name))))
        yield str(name)
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(str(name))))


@contextmanager
def database(databases: Databases) -> Iterator[tuple[str, psycopg.Connection]]:
    url = databases.create(10)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            yield url, connection
    finally:
        databases.drop(url)


@st.composite
def placed(draw: st.DrawFn) -> tuple[World, Mapping[str, tuple[int, bool]]]:
    world = draw(worlds())
    return world, draw(positions(world))


@effort(40)
@given(placed=placed(), added=decorations())
def test_down_after_up_leaves_no_trace_and_up_after_that_neither(
    databases: Databases,
    role: str,
    placed: tuple[World, Mapping[str, tuple[int, bool]]],
    added: Sequence[Decoration],
) -> None:
    world, at = placed
    with database(databases) as (url, connection):
        live = Live(connection)
        live.load(world)
        for table, (last, called) in at.items():
            connection.execute(
                "SELECT setval(%s, %s, %s)", [f"public.{table}_id_seq", last, called]
            )
        connection.execute(SET_UP)
        for decoration in added:
            connection.execute(decoration.statement.replace("{role}", role).encode())
        ten = pg_dump(url)
        live.turn("up")
        eleven = pg_dump(url)
        live.turn("down")
        assert pg_dump(url) == ten
        live.turn("up")
        assert pg_dump(url) == eleven
