"""What the compiler takes for granted about PostgreSQL, asked of the server under test."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.mapping.column_types import has_hash, parse_column
from refactorkit.mapping.sql import identifier
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]

NEGATIVE_SCALES_SINCE = 150000

# As people write types, and in each case what format_type makes of it.
TYPES = """
bigint|boolean|box|bytea|cidr|circle|date|double precision|inet|integer|json|jsonb|line|lseg|macaddr
|macaddr8|money|name|numeric|oid|path|pg_lsn|pg_snapshot|point|polygon|real|smallint|text|tsquery
|tsvector|txid_snapshot|uuid|xml|int4range|int8multirange|numrange|tsrange|tstzmultirange|daterange
|bit(3)|varbit|varbit(8)|char|char(7)|bpchar|varchar|varchar(40)|numeric(5,2)|numeric(10)|numeric(3,-2)
|time|time(3)|timetz|timetz(0)|timestamp|timestamp(6)|timestamptz|timestamptz(3)|interval
|interval(3)|interval year to month|interval day to second(2)|integer[]|varchar(3)[]|int[][]
|public.mood|public.mood[]
""".replace("\n", "").split("|")


@pytest.fixture
def connection(empty_database: str, connect: Connect) -> psycopg.Connection:
    connection = connect(empty_database)
    connection.execute("CREATE TYPE public.mood AS ENUM ('good', 'bad')")
    connection.execute("SET search_path TO pg_catalog")
    return connection


def test_key_words_are_quoted_as_the_server_quotes_them(connection: psycopg.Connection) -> None:
    words = [
        word
        for (word,) in connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")
    ]
    rows = connection.execute(
        "SELECT word, quote_ident(word) FROM pg_get_keywords() WHERE word ~ '^[a-z_0-9]+$'"
    ).fetchall()

    assert len(rows) > 400
    differing = {word for word, quoted in rows if identifier(word) != quoted}
    # A later version may have more key words than this one: those may be quoted without need.
    assert differing.isdisjoint(words)


def as_printed(written: str, connection: psycopg.Connection) -> str:
    if "-" in written and connection.info.server_version < NEGATIVE_SCALES_SINCE:
        pytest.skip("numbers have no negative scale before PostgreSQL 15")
    connection.execute(f"CREATE TABLE public.t (c {written})".encode())
    return str(
        scalar(
            connection,
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'public.t'::regclass AND attname = 'c'",
        )
    )


@pytest.mark.parametrize("written", TYPES)
def test_every_type_is_read_as_the_server_prints_it(
    written: str, connection: psycopg.Connection
) -> None:
    printed = as_printed(written, connection)

    assert parse_column(printed)["type"] == printed
    assert parse_column(f"{printed} NOT NULL DEFAULT NULL")["type"] == printed


@pytest.mark.parametrize("written", TYPES)
def test_a_type_is_refused_where_the_server_has_no_hash_for_it(
    written: str, connection: psycopg.Connection
) -> None:
    printed = as_printed(written, connection)
    connection.execute("INSERT INTO public.t VALUES (NULL)")

    fingerprint = b"SELECT hash_record_extended(ROW(c, 1), 0) FROM public.t"
    if has_hash(printed):
        connection.execute(fingerprint)
    else:
        with pytest.raises(psycopg.errors.UndefinedFunction):
            connection.execute(fingerprint)
