"""Every part of a mapping that may be left out may be left out: what is compiled still works."""

import tomllib
from pathlib import Path
from typing import Any

import psycopg
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from psycopg import sql

from refactorkit.mapping.check import check
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.parser import parse
from tests.support.databases import Databases
from tests.support.dump import pg_dump

MAPPINGS = Path(__file__).parents[1] / "mappings"
NAMES = ["contacts", "devices", "members", "orders"]
OF_TARGET = ("checks", "indexes", "defaults")
OF_NATIVE = ("deleted", "rights", "login", "named")
OF_LINK = ("adds",)
OF_TABLE = ("checks", "indexes")
PARTS = ("link", "dependant", "table")


@st.composite
def thinned(draw: st.DrawFn) -> tuple[str, dict[str, Any], set[str]]:
    """Draw a mapping's name, its document without some parts, and the tables that it left out."""

    def thin(part: dict[str, Any], optional: tuple[str, ...]) -> None:
        for key in optional:
            if key in part and draw(st.booleans()):
                del part[key]
                part.pop(f"{key}_by", None)

    name = draw(st.sampled_from(NAMES))
    document = tomllib.loads((MAPPINGS / f"{name}.toml").read_text())
    left_out: set[str] = set()
    for kind, optional in zip(PARTS, (OF_LINK, (), OF_TABLE), strict=True):
        kept = []
        for part in document.get(kind, []):
            thin(part, optional)
            if draw(st.booleans()):
                kept.append(part)
            elif kind != "table":
                left_out.add(part["table"])
        document[kind] = kept
    thin(document["target"], OF_TARGET)
    thin(document["source"], ("touched", "owner"))
    thin(document.get("native", {}), OF_NATIVE)
    for index, column in enumerate(document["column"]):
        thin(column, ("profile",))
        if draw(st.integers(0, 3)) == 0:
            document["column"][index] = {"source": column["source"], "codec": "archive"}
    return name, document, left_out


@settings(
    deadline=None,
    max_examples=8,
    # An example takes seconds: the first that fails will do.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(drawn=thinned())
def test_what_is_left_of_a_mapping_goes_up_and_down_without_a_trace(
    drawn: tuple[str, dict[str, Any], set[str]], databases: Databases
) -> None:
    name, document, left_out = drawn
    mapping = Mapping.model_validate(document)
    assume(not list(check(mapping)))
    migration = parse(compile_migration(mapping).encode(), file=mapping.migration, environ={})
    url = databases.create()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute((MAPPINGS / f"{name}.sql").read_bytes())
            for table in left_out:
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
            old = pg_dump(url)
            run(connection, migration.up.statements)
            new = pg_dump(url)
            run(connection, migration.down.statements)
            assert pg_dump(url) == old
            run(connection, migration.up.statements)
            assert pg_dump(url) == new
    finally:
        databases.drop(url)


def run(connection: psycopg.Connection, statements: Any) -> None:
    with connection.transaction():
        for statement in statements:
            connection.execute(statement.data)
