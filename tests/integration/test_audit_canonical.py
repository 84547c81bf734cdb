"""The canonical form is the same under every setting, after dump and restore, for every type.

A root that was made under one setting is made again under all others: audit verify does exactly
that, row by row.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.verdict import Verdict
from refactorkit.evidence.leaf import prefix
from refactorkit.evidence.manifest import Manifest
from refactorkit.evidence.sections import sections
from refactorkit.evidence.tree import root
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.parser import parse
from refactorkit.postgres.canonical import form_of
from refactorkit.postgres.digests import pinned, rows
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.tree_queries import unsalted_query
from tests.integration.compile_stories import STORIES
from tests.integration.test_refactor_settings import database_settings
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.evidence import Signer, said
from tests.support.refactor import turn
from tests.support.servers import Server

MAPPINGS = Path(__file__).parents[1] / "mappings"
# Columns that someone added, with values that text, settings or OIDs could change.
ODD = """
CREATE TYPE public.mood AS ENUM ('well', 'it''s');
CREATE TYPE public.pair AS (a double precision, at timestamp with time zone);
CREATE DOMAIN public.share AS numeric CHECK (VALUE <> 7);
ALTER TABLE public.patients
    ADD COLUMN x_float double precision, ADD COLUMN x_real real, ADD COLUMN x_numeric numeric,
    ADD COLUMN x_interval interval, ADD COLUMN x_bytes bytea, ADD COLUMN x_date date,
    ADD COLUMN x_time timestamp, ADD COLUMN x_zone time with time zone, ADD COLUMN x_json json,
    ADD COLUMN x_jsonb jsonb, ADD COLUMN x_char character(5), ADD COLUMN x_mood public.mood,
    ADD COLUMN x_moods public.mood[], ADD COLUMN x_pair public.pair,
    ADD COLUMN x_share public.share,
    ADD COLUMN x_texts text[], ADD COLUMN x_range tstzrange, ADD COLUMN x_ranges int4multirange,
    ADD COLUMN x_point point, ADD COLUMN x_class regclass,
    ADD COLUMN x_bits bit varying, ADD COLUMN x_money money, ADD COLUMN x_words tsvector,
    ADD COLUMN x_inet inet, ADD COLUMN x_uuid uuid, ADD COLUMN x_oid oid;
UPDATE public.patients SET x_float = 0.1::float8 + 0.2, x_real = 0.3, x_numeric = 1.10,
    x_interval = '1 year 2 mons -3 days 04:05:06.7', x_bytes = '\\x00ff5c',
    x_date = '4713-01-01 BC',
    x_time = '294276-12-31 23:59:59.999999', x_zone = '12:00+05:30',
    x_json = '{"b": 1,  "a": 1e2}',
    x_jsonb = '{"b": 1,  "a": 1e2}', x_char = 'ab', x_mood = 'it''s', x_moods = '{well,it''s}',
    x_pair = (0.1, '2020-06-01 12:00+02'), x_share = 0.50, x_texts = '{"a,b",NULL,"NULL",""}',
    x_range = '[2020-01-01 00:00+05,infinity)', x_ranges = '{[1,2),[5,9)}', x_point = '(0.1,-0)',
    x_class = 'public.users', x_bits = B'01', x_money = '1.50',
    x_words = 'b:1 a:2A', x_inet = '10.0.0.1/8', x_uuid = '00000000-0000-0000-0000-000000000001',
    x_oid = 4000000000
WHERE id = 60;
UPDATE public.patients SET x_float = '-0', x_real = 'NaN', x_numeric = 'NaN', x_date = 'infinity',
    x_interval = '-1 day', x_bytes = '', x_texts = '{}', x_char = '' WHERE id = 61 OR id = 1501;
"""
AS_TEXT = {"x_moods", "x_pair", "x_point", "x_class", "x_money", "x_words", "x_oid"}
SETTINGS: dict[str, Mapping[str, str]] = {
    "plain": {},
    "far east": {"TimeZone": "Asia/Kolkata", "DateStyle": "SQL, DMY",
                 "IntervalStyle": "sql_standard", "bytea_output": "escape"},
    "west": {"TimeZone": "America/St_Johns", "DateStyle": "German", "IntervalStyle": "iso_8601",
             "extra_float_digits": "-15"},
    "verbose": {"DateStyle": "Postgres, MDY", "IntervalStyle": "postgres_verbose",
                "extra_float_digits": "3", "client_encoding": "LATIN1"},
    "hostile path": {"search_path": "hostile, public", "client_encoding": "UTF8",
                     "xmlbinary": "hex", "xmloption": "document", "row_security": "on"},
    "quotes": {"quote_all_identifiers": "on", "standard_conforming_strings": "off",
               "bytea_output": "escape", "TimeZone": "Pacific/Kiritimati"},
    "plans": {"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_hashjoin": "off",
              "work_mem": "64kB", "enable_bitmapscan": "off"},
    "other plans": {"enable_seqscan": "off", "enable_mergejoin": "off", "jit": "on",
                    "plan_cache_mode": "force_generic_plan"},
}  # fmt: skip
HOSTILE = """
CREATE SCHEMA hostile;
CREATE TABLE hostile.patients (id integer);
CREATE TABLE hostile.patients_salts (source_id integer, salt bytea);
CREATE FUNCTION hostile.text_of(integer) RETURNS text LANGUAGE sql AS 'SELECT ''x''';
CREATE FUNCTION hostile.count(text) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
"""


@pytest.fixture(scope="module")
def odd(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Signer, Manifest]]:
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ODD.encode())
        turn(connection, "up")
        connection.execute(HOSTILE.encode())
    signer = Signer.new(tmp_path_factory.mktemp("odd"))
    made = signer.anchor(url)
    yield url, signer, made.manifest
    databases.drop(url)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_root_is_the_same_under_every_setting(
    odd: tuple[str, Signer, Manifest], settings: Mapping[str, str]
) -> None:
    url, signer, _ = odd
    with database_settings(url, settings):
        found = signer.verify(url, signer.folder / "evidence.json")
    assert said(found) == set()
    assert found.verdict is Verdict.PASS


@pytest.mark.parametrize("settings", list(SETTINGS.values())[1:5], ids=list(SETTINGS)[1:5])
def test_evidence_that_was_made_under_odd_settings_verifies_under_plain_ones(
    odd: tuple[str, Signer, Manifest], settings: Mapping[str, str], databases: Databases,
    tmp_path: Path,
) -> None:  # fmt: skip
    url = databases.copy(odd[0])
    signer = Signer.new(tmp_path)
    with database_settings(url, settings):
        file = signer.anchor(url).file
    found = signer.verify(url, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    databases.drop(url)


def test_types_without_stable_bytes_travel_as_text_and_the_schema_hash_says_so(
    odd: tuple[str, Signer, Manifest],
) -> None:
    _, _, manifest = odd
    columns = {each.name: each.encoding for each in manifest.tree("source").columns}
    assert {name for name, each in columns.items() if each == "text"} == AS_TEXT
    form = manifest.tree("source").form
    assert form.digest.hex() == manifest.tree("source").schema_hash


EDITS = [
    "x_float = 0.3", "x_numeric = 1.1", "x_char = 'ab '", "x_json = '{\"b\":1,\"a\":1e2}'",
    "x_texts = '{\"a,b\",NULL,NULL,\"\"}'", "x_moods = '{it''s,well}'", "x_bits = B'010'",
    "x_pair = (0.1, '2020-06-01 12:00+01')", "x_share = 0.5", "x_class = 'public.clinics'",
    "x_interval = '1 year 2 mons -3 days 04:05:06.8'", "x_jsonb = '{\"a\": 100.0, \"b\": 1}'",
]  # fmt: skip


def test_values_that_look_alike_or_are_equal_are_told_apart(
    odd: tuple[str, Signer, Manifest], databases: Databases
) -> None:
    url = databases.copy(odd[0])
    with psycopg.connect(url, autocommit=True) as connection:
        for edit in EDITS:
            with connection.transaction(force_rollback=False):
                connection.execute("CREATE TABLE IF NOT EXISTS public.before AS"
                                   " SELECT * FROM archive.patients WHERE id = 60")  # fmt: skip
                connection.execute(f"UPDATE archive.patients SET {edit} WHERE id = 60".encode())
            found = said(odd[1].verify(url, odd[1].folder / "evidence.json"))
            same = "x_char" in edit  # a character(5) is padded: the same value
            assert (("archive.patients", "60", "", "was edited") in found) is not same, edit
            column = edit.split(" ", maxsplit=1)[0]
            connection.execute(
                f"UPDATE archive.patients AS p SET {column} = b.{column}"
                " FROM public.before AS b WHERE p.id = b.id".encode()
            )
        assert odd[1].verify(url, odd[1].folder / "evidence.json").verdict is Verdict.PASS
    databases.drop(url)


def restored(source: str, target: str, bin_directory: Path) -> None:
    """Copy a database by pg_dump and psql's elder, pg_restore, as people do."""
    dump = subprocess.run(
        [bin_directory / "pg_dump", "--format=custom", "--no-owner", "--no-privileges"],
        env={"PATH": os.defpath, **Dsn.parse(source).environment()},
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    environment = Dsn.parse(target).environment()
    subprocess.run(
        [bin_directory / "pg_restore", "--no-owner", f"--dbname={environment['PGDATABASE']}"],
        env={"PATH": os.defpath, **environment}, input=dump, check=False, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_a_restored_dump_verifies_in_a_database_of_another_encoding_too(
    odd: tuple[str, Signer, Manifest], server: Server, databases: Databases, encoding: str
) -> None:
    url, signer, _ = odd
    target = databases.create_empty(encoding)
    restored(url, target, server.bin_directory)
    found = signer.verify(target, signer.folder / "evidence.json")
    assert said(found) == set()
    assert found.verdict is Verdict.PASS
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("UPDATE archive.patients SET x_char = 'ac' WHERE id = 60")
    found = signer.verify(target, signer.folder / "evidence.json")
    assert ("archive.patients", "60", "", "was edited") in said(found)
    databases.drop(target)


@pytest.mark.parametrize("name", sorted(STORIES))
def test_other_mappings_have_evidence_too(
    name: str, empty_database: str, connect: Callable[..., psycopg.Connection], tmp_path: Path
) -> None:
    db = connect(empty_database)
    db.execute((MAPPINGS / f"{name}.sql").read_bytes())
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    made = parse(compile_migration(mapping).encode(), file=mapping.migration, environ={})
    signer, story = Signer.new(tmp_path), STORIES[name]
    for number, script in enumerate((made.up, made.down, made.up)):
        with db.transaction():
            for statement in script.statements:
                db.execute(statement.data)
        done = signer.anchor(empty_database, f"{number}.json")
        assert done.verdict is Verdict.PASS, done.manifest.ties
        found = signer.verify(empty_database, done.file)
        assert (said(found), found.verdict) == (set(), Verdict.PASS)
        if number == 0:
            db.execute(story.new_writes.encode())
            db.execute(story.settings.encode())
    source = mapping.source
    db.execute(
        f'UPDATE archive."{source.table}" SET "{source.key}" = 77777 WHERE "{source.key}" ='
        f' (SELECT max("{source.key}") FROM archive."{source.table}")'.encode()
    )
    found = signer.verify(empty_database, signer.folder / "2.json")
    assert (f"archive.{source.table}", "77777", "", "was added") in said(found)


def test_evidence_of_one_refactor_knows_nothing_of_another(
    empty_database: str, connect: Callable[..., psycopg.Connection], tmp_path: Path
) -> None:
    db, signer = connect(empty_database), Signer.new(tmp_path)
    scripts = {}
    for name in ("contacts", "members"):
        db.execute((MAPPINGS / f"{name}.sql").read_bytes())
        mapping = load_mapping(MAPPINGS / f"{name}.toml")
        scripts[name] = parse(
            compile_migration(mapping).encode(), file=mapping.migration, environ={}
        )

    def go(name: str, direction: str) -> None:
        with db.transaction():
            for statement in getattr(scripts[name], direction).statements:
                db.execute(statement.data)

    go("contacts", "up")
    go("members", "up")
    one = signer.anchor(empty_database, "contacts.json", refactor="contacts").file
    two = signer.anchor(empty_database, "members.json", refactor="members").file
    for file in (one, two):
        found = signer.verify(empty_database, file)
        assert (said(found), found.verdict) == (set(), Verdict.PASS)
    go("members", "down")
    assert signer.verify(empty_database, one).verdict is Verdict.PASS


# The root over the rows of ODD, with a salt and a snapshot that are written here: a vector, the
# same on every server, on every PostgreSQL; .ci/matrix runs this file on 14 to 17, .ci/run on 18.
ROOT_OF_ODD = "a64acda609f2a395dbe8f3735b9aeac49c9a93f73b8795bcfccb2b3de8c8ff1b"


def test_the_root_of_the_same_rows_is_the_same_on_every_postgresql(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    open_clinic(database_at_10)
    connection = connect(database_at_10)
    connection.execute(ODD.encode())
    connection.execute(
        "UPDATE patients SET created_at = '2020-02-29 12:00+00', updated_at = '-infinity'"
    )
    with pinned(connection, read_only=True):
        form = form_of(connection, "public", "patients")
        salted = sql.SQL("SELECT {salt}, r.* FROM ({rows}) AS r").format(
            salt=sql.Literal(bytes(range(32))), rows=unsalted_query(form)
        )
        before = prefix(snapshot=bytes(16), number=0, form=form)
        found = [section.root for section in sections(rows(connection, salted), before, form)]
    assert {column.name for column in form.columns if column.encoding == "text"} >= AS_TEXT
    assert root(found).hex() == ROOT_OF_ODD
