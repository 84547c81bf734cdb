"""The codecs as SQL on a real server: against a model in Python, and there and back again.

The functions reach the server as the runner sends them: through a migration file's text.
"""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refactorkit.mapping import codecs
from refactorkit.mapping.model import Column, Mapping
from refactorkit.migrations.parser import parse
from tests.support.databases import Databases

# Every character that a text of PostgreSQL can hold, spaces of all kinds more often than others.
ODD = (
    "    \u00a0\u2003\u200b\u3000\t\n'\"\\$%;-{}a\u00e9e\u0301\u05d0\u202e"
    "\U0001f469\u200d\U0001f52c"
)
CHARACTERS = st.one_of(
    st.sampled_from(ODD), st.characters(exclude_categories=["Cs"], exclude_characters="\0")
)
TEXT = st.text(CHARACTERS, max_size=30)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
on_the_server = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    made = databases.create()
    yield made
    databases.drop(made)


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS archive")
        yield connection


def mapping(type_name: str, **column: object) -> Mapping:
    """Return a mapping of one column `v`, to `w` where no target is named."""
    if column["codec"] != "archive":
        column.setdefault("target", "w")
    return Mapping.model_validate(
        {
            "format": 1,
            "name": "codec",
            "migration": "0001_codec.sql",
            "source": {
                "table": "s",
                "key": "id",
                "columns": {"id": "integer NOT NULL serial", "v": type_name},
            },
            "target": {
                "table": "t",
                "key": "id",
                "columns": {"id": "integer NOT NULL serial"},
                "adds": dict.fromkeys("wfl", type_name),
            },
            "column": [{"source": "v", **column}],
        }
    )


def install(connection: psycopg.Connection, mapping: Mapping) -> Column:
    """Make the functions of a mapping, and return its one column."""
    made = codecs.functions(mapping)
    file = "-- +goose Up\n" + "\n\n".join(
        f"CREATE OR REPLACE FUNCTION archive.{f.name}({f.arguments})\n"
        f"RETURNS {f.returns} LANGUAGE sql IMMUTABLE\nRETURN {f.body};"
        for f in made
    )
    migration = parse(file.encode(), file="0001_codec.sql", environ={})
    assert migration.up.error is None
    assert len(migration.up.statements) == len(made)
    for statement in migration.up.statements:
        connection.execute(statement.data)
    return mapping.column[0]


def there(
    connection: psycopg.Connection, mapping: Mapping, column: Column, values: list[object]
) -> list[tuple[object, ...]]:
    """Return the images of values, in order."""
    targets = column.target if isinstance(column.target, list) else [column.target]  # type: ignore[union-attr]
    images = ", ".join(codecs.forward(mapping, column, target, "s") for target in targets)
    kind = mapping.source.columns["v"].type
    query = f"SELECT {images} FROM unnest(%s::{kind}[]) WITH ORDINALITY AS s (v, n) ORDER BY s.n"
    return connection.execute(query.encode(), [values]).fetchall()


def back(
    connection: psycopg.Connection, mapping: Mapping, column: Column, *images: list[object]
) -> list[object]:
    """Return what comes home of images, in order: a list for each target."""
    targets = column.target if isinstance(column.target, list) else [column.target]  # type: ignore[union-attr]
    kind = mapping.source.columns["v"].type
    home = codecs.back(mapping, column, "t")
    arrays = ", ".join([f"%s::{kind}[]"] * len(images))
    query = (
        f"SELECT {home} FROM unnest({arrays}) WITH ORDINALITY AS t ({', '.join(targets)}, n)"
        " ORDER BY t.n"
    )
    return [value for (value,) in connection.execute(query.encode(), list(images))]


# ── Names ────────────────────────────────────────────────────────────────────────────────────────


def split(name: str | None) -> tuple[str | None, str | None]:
    """The model: the separator is U+0020 alone, and the last one decides."""
    if name is None or " " not in name:
        return name, None
    first, _, last = name.rpartition(" ")
    return first, last


def joined(first: str | None, last: str | None) -> str:
    return " ".join(part for part in (first, last) if part is not None)


@pytest.fixture
def names(connection: psycopg.Connection) -> tuple[Mapping, Column]:
    made = mapping("text", codec="split_last", target=["f", "l"])
    return made, install(connection, made)


@on_the_server
@given(values=st.lists(st.none() | TEXT, min_size=1, max_size=50))
def test_a_name_is_split_at_its_last_space_and_comes_back_as_it_was(
    values: list[object], connection: psycopg.Connection, names: tuple[Mapping, Column]
) -> None:
    images = there(connection, *names, values)

    assert images == [split(value) for value in values]  # type: ignore[arg-type]
    home = back(connection, *names, [f for f, _ in images], [n for _, n in images])
    assert home == [value or "" for value in values]


@on_the_server
@given(pairs=st.lists(st.tuples(st.none() | TEXT, st.none() | TEXT), min_size=1, max_size=50))
def test_an_edited_name_comes_back_joined_by_one_space(
    pairs: list[tuple[str | None, str | None]],
    connection: psycopg.Connection,
    names: tuple[Mapping, Column],
) -> None:
    home = back(connection, *names, [f for f, _ in pairs], [n for _, n in pairs])

    assert home == [joined(first, last) for first, last in pairs]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ada", "Ada", None),
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Ada King Lovelace", "Ada King", "Lovelace"),
        ("Ada\u00a0Lovelace", "Ada\u00a0Lovelace", None),
        ("Ada ", "Ada", ""),
        (" Ada", "", "Ada"),
        ("Ada  L", "Ada ", "L"),
        (" ", "", ""),
        ("", "", None),
        ("e\u0301 \U0001f469\u200d\U0001f52c", "e\u0301", "\U0001f469\u200d\U0001f52c"),
        ("\U0001f469 \u0301", "\U0001f469", "\u0301"),
    ],
)
def test_names_that_people_ask_about(
    name: str,
    first: str,
    last: str | None,
    connection: psycopg.Connection,
    names: tuple[Mapping, Column],
) -> None:
    assert there(connection, *names, [name]) == [(first, last)]
    assert back(connection, *names, [first], [last]) == [name]


def test_a_cleared_name_adds_no_space(
    connection: psycopg.Connection, names: tuple[Mapping, Column]
) -> None:
    cleared = back(connection, *names, ["Ada", None, None], [None, "Lovelace", None])

    assert cleared == ["Ada", "Lovelace", ""]


# ── Maps of values ───────────────────────────────────────────────────────────────────────────────


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Draw forward and back that a mapping may have: each image goes back to a value of its own."""
    back = draw(st.dictionaries(TEXT, TEXT, min_size=1, max_size=8))
    forward = {value: image for image, value in back.items()}
    back = {image: value for value, image in forward.items()}
    more = draw(st.dictionaries(TEXT, st.sampled_from(sorted(back)), max_size=8))
    return {**more, **forward}, back


@on_the_server
@given(
    table=tables(),
    others=st.lists(st.none() | TEXT, max_size=10),
    conforming=st.sampled_from(["on", "off"]),
)
def test_mapped_values_go_where_the_table_says_and_come_back(
    table: tuple[dict[str, str], dict[str, str]],
    others: list[str | None],
    conforming: str,
    connection: psycopg.Connection,
) -> None:
    to, fro = table
    connection.execute("SELECT set_config('standard_conforming_strings', %s, false)", [conforming])
    made = mapping("text", codec="values", forward=to, back=fro)
    column = install(connection, made)
    values: list[object] = [*to, *others]

    images = [image for (image,) in there(connection, made, column, values)]

    assert images == [to.get(str(v)) if v is not None else None for v in values]
    assert back(connection, made, column, list(fro)) == list(fro.values())
    there_and_back = there(connection, made, column, list(fro.values()))
    assert [image for (image,) in there_and_back] == list(fro)
    unknown: list[object] = [v for v in others if v not in fro]
    assert back(connection, made, column, unknown) == unknown


# ── Numbers, and NULL as a value ─────────────────────────────────────────────────────────────────


@on_the_server
@given(bounds=st.tuples(INTEGERS, INTEGERS), values=st.lists(st.none() | INTEGERS, max_size=30))
def test_a_number_within_bounds_is_itself_and_one_outside_has_no_image(
    bounds: tuple[int, int], values: list[object], connection: psycopg.Connection
) -> None:
    low, high = sorted(bounds)
    made = mapping("integer", codec="range", min=low, max=high)
    column = install(connection, made)
    values += [low, high, min(high + 1, 2**31 - 1), max(low - 1, -(2**31))]

    images = [image for (image,) in there(connection, made, column, values)]

    assert images == [
        v if isinstance(v, int) and low <= v <= high else None  # the bounds are included
        for v in values
    ]
    passed: list[object] = [image for image in images if image is not None]
    assert back(connection, made, column, passed) == passed


@pytest.mark.parametrize(
    ("type_name", "value", "values"),
    [
        ("boolean", False, [True, False, None]),
        ("integer", -7, [0, -7, None, 2**31 - 1]),
        ("bigint", 0, [None, 2**63 - 1, -(2**63)]),
        ("text", "it's", ["", "it's", None, "\U0001f469"]),
    ],
)
def test_only_null_becomes_the_value_that_stands_for_it(
    type_name: str, value: object, values: list[object], connection: psycopg.Connection
) -> None:
    made = mapping(type_name, codec="null_as", value=value)
    column = install(connection, made)

    images = [image for (image,) in there(connection, made, column, values)]

    assert images == [value if v is None else v for v in values]
    assert back(connection, made, column, images) == images


@pytest.mark.parametrize(
    "type_name", ["text", "integer", "numeric(6,3)", "text[]", "timestamp with time zone"]
)
def test_a_column_that_stays_the_same_needs_no_function(
    type_name: str, connection: psycopg.Connection
) -> None:
    made = mapping(type_name, codec="same")
    column = install(connection, made)

    assert codecs.functions(made) == ()
    assert codecs.forward(made, column, "w", "s") == "s.v"
    assert codecs.back(made, column, "t") == "t.w"


def test_what_stays_in_the_archive_has_no_way_back() -> None:
    made = mapping("text", codec="archive")

    with pytest.raises(TypeError):
        codecs.back(made, made.column[0], "t")
