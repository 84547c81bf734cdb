"""Down joins tables in the order of keys where their rows lie so, and else as the server thinks."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.migrations.files import read_folder
from tests.support.chain import SQL
from tests.support.queries import scalar
from tests.support.refactor import VERSION, turn

PEOPLE = """
    INSERT INTO public.users (email, password_hash) VALUES ('clinician@x', 'h');
    INSERT INTO public.patients (name, user_id)
    SELECT 'Patient ' || n, (SELECT max(u.id) FROM public.users AS u)
    FROM generate_series(1, 500) AS n;
"""
SCRAMBLE = """
    CREATE INDEX scrambled ON {0} (hashint4({1}));
    CLUSTER {0} USING scrambled;
    DROP INDEX {2}.scrambled;
    ANALYZE {0};
"""


def joins_by_hash(connection: psycopg.Connection) -> bool:
    """Begin Down, look, and roll it back."""
    migration = next(m for m in read_folder(SQL, environ={}) if m.version == VERSION)
    with connection.transaction(force_rollback=True):
        for statement in migration.down.statements:
            connection.execute(statement.data)
            if statement.text.startswith("DO $order$"):
                break
        else:
            pytest.fail("Down does not look at the order of rows.")
        return scalar(connection, "SELECT current_setting('enable_hashjoin')") == "on"


@pytest.mark.parametrize(
    ("table", "key"),
    [("public.users", "id"), ("archive.patients", "id"), ("archive.patients_map", "source_id")],
)
def test_rows_in_order_are_joined_in_order_and_others_are_not(
    table: str,
    key: str,
    make_database: Callable[[int], str],
    connect: Callable[..., psycopg.Connection],
) -> None:
    connection = connect(make_database(10))
    connection.execute(PEOPLE.encode())
    turn(connection, "up")
    assert joins_by_hash(connection), "what was never analysed is not known to lie in order"

    connection.execute("ANALYZE")
    assert not joins_by_hash(connection)
    turn(connection, "down")
    assert scalar(connection, "SELECT current_setting('enable_hashjoin')") == "on"
    turn(connection, "up")
    connection.execute("ANALYZE")
    assert not joins_by_hash(connection)

    schema, _, _ = table.partition(".")
    connection.execute(SCRAMBLE.format(table, key, schema).encode())
    assert joins_by_hash(connection)
