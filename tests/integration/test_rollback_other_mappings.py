"""verify --rollback knows mappings, and not only ours: what is foretold is what happens."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.sql import identifier as q
from refactorkit.migrations.parser import parse
from refactorkit.postgres.lock_waits import LockLimits
from refactorkit.postgres.preparing import Preparer
from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.rollback import measure
from refactorkit.postgres.rollback_figures import Measured
from refactorkit.postgres.verification import snapshot
from tests.integration.compile_stories import STORIES
from tests.support.prepared import everything
from tests.support.prepared import told as told_by

MAPPINGS = Path(__file__).parents[1] / "mappings"
Connect = Callable[..., psycopg.Connection]


def run(connection: psycopg.Connection, mapping: Mapping, direction: str) -> None:
    migration = parse(compile_migration(mapping).encode(), file=mapping.migration, environ={})
    with connection.transaction():
        for statement in getattr(migration, direction).statements:
            connection.execute(statement.data)


def foretold(connection: psycopg.Connection) -> Measured:
    with snapshot(connection, pin_times=False):
        (turn,) = last_turns(connection)
        assert turn.mapping is not None
        return measure(connection, turn.mapping, settings={})


def one(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def happened(connection: psycopg.Connection, mapping: Mapping) -> dict[str, object]:
    n, source, target = mapping.name, q(mapping.source.table), q(mapping.target.table)
    turn = f"(SELECT max(turn) FROM archive.{n}_turns)"

    def kept(table: str, column: str = "refactorkit_turn") -> int:
        return one(connection, f"SELECT count(*) FROM archive.{n}_{table} WHERE {column} = {turn}")

    withheld = kept(f"withheld_{mapping.source.table}")
    created = f"SELECT count(*) FROM archive.{n}_map WHERE kind = 'native' AND turn = {turn}"
    decided = f"SELECT rule, table_name, column_name FROM archive.{n}_decisions WHERE turn = {turn}"
    return {
        "sources": one(connection, f"SELECT count(*) FROM public.{source}"),
        "created": one(connection, created),
        "withheld": withheld,
        "natives": one(connection, f"SELECT count(*) FROM public.{target}"),
        "kept": kept(f"kept_{mapping.target.table}"),
        "links": [
            (
                one(connection, f"SELECT count(*) FROM public.{q(link.table)}"),
                kept(f"withheld_{link.table}"),
                kept(f"kept_{link.table}", "turn") if link.adds else 0,
            )
            for link in mapping.link
        ],
        "dependants": [kept(f"kept_{each.table}") for each in mapping.dependant],
        "tables": [
            one(connection, f"SELECT count(*) FROM archive.{q(table.table)}")
            for table in mapping.table
        ],
        "decisions": Counter(connection.execute(decided.encode()).fetchall()),
    }


def told(measured: Measured) -> dict[str, object]:
    figures = measured.figures
    assert figures is not None
    decisions: Counter[tuple[str, str, str]] = Counter()
    for each in measured.decisions:
        decisions[each.rule, each.table, each.column] += each.count
    return {
        "sources": figures.restored + figures.created,
        "created": figures.created,
        "withheld": figures.withheld_soft + figures.withheld_hard,
        "natives": figures.natives,
        "kept": figures.kept_subjects + figures.kept_natives,
        "links": [(link.rows - link.withheld, link.withheld, link.kept) for link in figures.links],
        "dependants": [each.kept for each in figures.dependants],
        "tables": list(figures.new_tables.values()),
        "decisions": decisions,
    }


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("name", sorted(STORIES))
def test_down_of_another_mapping_does_the_same_with_what_was_found_out_before(
    name: str, first: int, make_database: Callable[[int], str], connect: Connect
) -> None:
    urls = make_database(0), make_database(0)
    mapping, story = load_mapping(MAPPINGS / f"{name}.toml"), STORIES[name]
    writes = [each for each in story.new_writes.split(";") if each.strip()]
    for number, url in enumerate(urls):
        db = connect(url)
        db.execute((MAPPINGS / f"{name}.sql").read_bytes())
        run(db, mapping, "up")
        notices = told_by(db)
        share = len(writes) * first // 2
        for position, text in enumerate([*writes, ""]):
            if number == 0 and position == share:
                prepared = Preparer(db, mapping, limits=LockLimits(), state=lambda: "")
                prepared.hook()
                prepared.find_out()
            db.execute(text.encode())
        db.execute(story.settings.encode())
        run(db, mapping, "down")
        if number == 0:
            assert any("and no others" in text for text in notices)
    assert everything(urls[0]) == everything(urls[1])


@pytest.mark.parametrize("name", sorted(STORIES))
def test_down_of_another_mapping_does_what_was_foretold(
    name: str, empty_database: str, connect: Connect
) -> None:
    db = connect(empty_database)
    db.execute((MAPPINGS / f"{name}.sql").read_bytes())
    mapping, story = load_mapping(MAPPINGS / f"{name}.toml"), STORIES[name]
    seen = []
    for new_writes, old_writes in (
        (story.new_writes + ";" + story.settings, story.old_writes),
        ("SELECT 1", "SELECT 1"),
    ):
        run(db, mapping, "up")
        db.execute(new_writes.encode())
        measured = foretold(db)
        assert (measured.sentence, measured.obstacles, measured.unknown) == (None, (), ())
        run(db, mapping, "down")
        assert told(measured) == happened(db, mapping)
        db.execute(old_writes.encode())
        seen.append(measured.figures)
    assert seen[0] is not None
    assert seen[0].merged


def test_an_owner_who_is_gone_is_foretold_by_the_other_mappings_names(
    empty_database: str, connect: Connect
) -> None:
    db = connect(empty_database)
    db.execute((MAPPINGS / "orders.sql").read_bytes())
    mapping = load_mapping(MAPPINGS / "orders.toml")
    run(db, mapping, "up")
    db.execute('DELETE FROM "user" WHERE "authorization" = \'cy\'')
    sentence = foretold(db).sentence
    with pytest.raises(psycopg.Error) as refused:
        run(db, mapping, "down")
    assert refused.value.diag.message_primary == sentence
    assert "owner of 2 order is gone" in str(sentence)
