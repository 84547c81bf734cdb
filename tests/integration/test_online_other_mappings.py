"""The online cutover knows mappings, not patients: the ones of tests/mappings."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.online import OnlineRequest, Phase, Progress, abort, cutover, stage
from refactorkit.commands.operation.evidence import EvidenceRequest
from refactorkit.commands.operation.foresight import preflight_gate
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.errors import RefusedError
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.evidence_tables import SUFFIXES
from tests.integration.compile_stories import STORIES
from tests.integration.test_compile_other_mappings import MAPPINGS, down, up
from tests.support.dump import pg_dump
from tests.support.evidence import Signer, said
from tests.support.online import KilledError, Meanwhile, request

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]
BESIDE = ("public.goose_db_version", "archive.migration_checksums", "archive.*_free")

# What version 10 writes once everything is staged: a row more, one less, one changed.
WRITES = {
    "contacts": (
        "INSERT INTO public.contacts (phone) VALUES ('+31')",
        "UPDATE public.contacts SET phone = 'new' WHERE id = 70",
        "DELETE FROM public.contacts WHERE id = 2",
        "INSERT INTO public.people (label) VALUES ('Dora')",
    ),
    "devices": ("UPDATE public.devices SET label = label || '!'", "DELETE FROM public.devices"),
    "members": (
        "INSERT INTO public.members (full_name, points) VALUES ('Jo March', 3)",
        "UPDATE public.members SET full_name = 'Meg' WHERE member_no = 1",
        "UPDATE public.persons SET enabled = NOT enabled",
    ),
    "orders": (
        'INSERT INTO public."order" ("user", "select") SELECT min("unique"), \'x y\' FROM "user"',
        'UPDATE public."order" SET "limit" = 3, "case" = \'then\'',
        'UPDATE public."user" SET "group" = \'grant\'',
        'DELETE FROM public."user" WHERE "group" = \'none\'',
    ),
}


@pytest.fixture(params=sorted(STORIES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(name: str, empty_database: str, tmp_path: Path) -> OnlineRequest:
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    (tmp_path / mapping.migration).write_text(compile_migration(mapping), encoding="utf-8")
    with psycopg.connect(empty_database) as connection:
        connection.execute((MAPPINGS / f"{name}.sql").read_bytes())
    gates = (preflight_gate(()),)  # asked again each time: nothing staged is in its own way
    return replace(request(empty_database, directory=tmp_path), gates=gates)


def mapping_name(name: str) -> str:
    return load_mapping(MAPPINGS / f"{name}.toml").name


def whole(url: str, *, schema_only: bool = False) -> str:
    return pg_dump(url, exclude_schemas=(), exclude_tables=BESIDE, schema_only=schema_only)


def test_staged_given_up_staged_again_and_switched_with_writes_on_the_way(
    name: str,
    asked: OnlineRequest,
    empty_database: str,
    make_database: MakeDatabase,
    connect: Connect,
) -> None:
    before = whole(empty_database)
    for moment in (3, 6):
        with suppress(KilledError):
            stage(asked, Meanwhile(lambda _moment, _progress: None, stop_at=moment))
    abort(asked)
    assert whole(empty_database).replace(SCHEMA, "") == before.replace(SCHEMA, "")
    plain = connect(make_database(0))
    plain.execute((MAPPINGS / f"{name}.sql").read_bytes())
    connection = connect(empty_database)

    ten: list[list[str]] = []

    def write(progress: Progress) -> None:
        if progress.phase is Phase.SWITCH:
            for statement in WRITES[name]:
                connection.execute(statement.encode())
            ten.append(old_rows(connection, name))

    signer = Signer.new(asked.chain.directory)
    evidence = EvidenceRequest(key=signer.source, folder=signer.folder)
    made = cutover(replace(asked, evidence=evidence), write).evidence[0].made
    assert made is not None
    assert not made.manifest.made.after_the_fact
    assert said(signer.verify(empty_database, made.file)) == set()
    for suffix in SUFFIXES:
        connection.execute(f"DROP TABLE archive.{mapping_name(name)}_{suffix}".encode())

    result = verify(VerifyRequest(dsn=Dsn.parse(empty_database)))
    assert result.exit_code == 0
    up(plain, name)
    assert whole(empty_database, schema_only=True) == whole(_url(plain), schema_only=True)
    down(connection, name)
    assert old_rows(connection, name) == ten[-1]


def test_after_a_rollback_it_is_staged_given_up_staged_again_and_gives_back_what_down_kept(
    name: str, asked: OnlineRequest, empty_database: str, connect: Connect
) -> None:
    story, connection = STORIES[name], connect(empty_database)
    cutover(asked)
    connection.execute(story.new_writes.encode())
    connection.execute(story.settings.encode())
    down(connection, name)
    connection.execute(
        "DELETE FROM public.goose_db_version WHERE version_id = %s",
        [load_mapping(MAPPINGS / f"{name}.toml").version],
    )
    before = whole(empty_database)
    with suppress(KilledError):
        stage(asked, Meanwhile(lambda _moment, _progress: None, stop_at=6))
    abort(asked)
    assert whole(empty_database) == before

    def write(progress: Progress) -> None:
        if progress.phase is Phase.COMPARE and left:
            connection.execute(left.pop().encode())

    left = [story.old_writes]
    result = cutover(asked, write)

    assert result.verification is not None
    assert result.verification.exit_code == 0
    for query, rows in story.again:
        if query.startswith("SELECT id "):  # a new one, which lies beyond those that are kept free
            continue
        assert connection.execute(query.encode()).fetchall() == list(rows), query


def test_a_file_that_its_mapping_does_not_compile_to_is_refused(
    asked: OnlineRequest, empty_database: str
) -> None:
    before = whole(empty_database)
    (path,) = asked.chain.directory.iterdir()
    path.write_text(path.read_text() + "\n-- edited\n")

    with pytest.raises(RefusedError, match="is not what"):
        stage(asked)

    assert whole(empty_database) == before


# An archive that was made for ids that are left free stays.
SCHEMA = """
--
-- Name: archive; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA archive;


ALTER SCHEMA archive OWNER TO postgres;
"""


def _url(connection: psycopg.Connection) -> str:
    info = connection.info
    return (
        f"postgresql://{info.user}:{info.password}@/{info.dbname}?host={info.host}&port={info.port}"
    )


def old_rows(connection: psycopg.Connection, name: str) -> list[str]:
    """Return the rows of the old version; subjects are none of them."""
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    target = mapping.target
    tables = [mapping.source.table, *(link.table for link in mapping.link)]
    tables += [part.table for part in mapping.dependant]
    queries = [f'SELECT t::text FROM public."{table}" AS t' for table in tables]
    columns = ", ".join(f't."{column}"' for column in target.columns)
    queries.append(
        f'SELECT ROW({columns})::text FROM public."{target.table}" AS t WHERE NOT EXISTS (SELECT'
        f' FROM archive.{mapping.name}_map AS m WHERE m.target_id = t."{target.key}"'
        " AND m.kind = 'subject')"
    )
    found = (connection.execute(query.encode()) for query in queries)
    return sorted(row for cursor in found for (row,) in cursor)
