"""Erasure knows mappings, not patients: other tables, other types, names that are key words."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
import pytest

from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.parser import parse
from tests.support.cli import run
from tests.support.erasure import rows

MAPPINGS = Path(__file__).parents[1] / "mappings"
WHO = ("--basis", "a ticket", "--approved-by", "somebody else")
Connect = Callable[..., psycopg.Connection]


@dataclass(frozen=True, kw_only=True)
class Story:
    """A mapping's tables with a person whose values are marked with `canary`.

    Attributes:
        source_id: the person's.
        marks: before the first Up, statements that mark the old version's values.
        claims: in the new version, statements that mark the new one's.
        edits: back in the old version.
    """

    source_id: int
    marks: str
    claims: str
    edits: str


STORIES = {
    # bigint keys, two links (one SET NULL), no owner; an id beyond integer.
    "members": Story(
        source_id=8_000_000_000,
        marks="""
            UPDATE members SET full_name = 'canary one', grade = 'canary', nickname = 'canary',
                tags = '{canary}' WHERE member_no = 8000000000;
            UPDATE loans SET title = 'canary' WHERE borrower = 8000000000;
        """,
        claims="""
            UPDATE persons SET login = 'canary', family = 'canary' WHERE login = 'm8000000000';
            INSERT INTO sessions SELECT id, 'canary' FROM persons WHERE login = 'canary';
            INSERT INTO reminders (person_id, text)
                SELECT id, 'canary' FROM persons WHERE login = 'canary';
            UPDATE loans SET due = '2030-01-01' WHERE title = 'canary';
        """,
        edits="UPDATE members SET nickname = 'canary 2' WHERE member_no = 8000000000;",
    ),
    # Key words everywhere, RESTRICT and SET NULL, rights, the prefix is not the table's name.
    "orders": Story(
        source_id=500,
        marks="""
            UPDATE "order" SET "select" = 'canary far', "case" = 'canary' WHERE "primary" = 500;
            UPDATE "in" SET "analyze" = 'canary' WHERE "order" = 500;
        """,
        claims="""
            UPDATE "user" SET "authorization" = 'canary', "left" = 'canary', "table" = 'canary'
                WHERE "authorization" = 'order-500';
            UPDATE "user" SET "from" = (SELECT "unique" FROM "user" WHERE "left" = 'canary')
                WHERE "authorization" = 'ben';
            UPDATE "in" SET "both" = 'canary' WHERE "analyze" = 'canary';
            INSERT INTO "constraint" ("user", "when")
                SELECT "unique", 'canary' FROM "user" WHERE "left" = 'canary';
            INSERT INTO "grant" ("to", "user")
                SELECT gen_random_uuid(), "unique" FROM "user" WHERE "left" = 'canary';
        """,
        edits="""UPDATE "order" SET "select" = 'canary near' WHERE "primary" = 500;""",
    ),
}


@cache
def migration(name: str) -> Migration:
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    return parse(compile_migration(mapping).encode(), file=mapping.migration, environ={})


def turn(db: psycopg.Connection, name: str, direction: str) -> None:
    with db.transaction():
        for statement in migration(name).script(Direction(direction)).statements:
            db.execute(statement.data)


@pytest.mark.parametrize("stage", ["new", "old again", "new again"])
@pytest.mark.parametrize("name", STORIES)
def test_the_person_is_gone_for_good_and_nobody_else_is_touched(
    name: str, stage: str, empty_database: str, connect: Connect
) -> None:
    story = STORIES[name]
    db = connect(empty_database)
    db.execute((MAPPINGS / f"{name}.sql").read_bytes())
    db.execute(story.marks.encode())
    turn(db, name, "up")
    db.execute(story.claims.encode())
    if stage != "new":
        turn(db, name, "down")
        db.execute(story.edits.encode())
    if stage == "new again":
        turn(db, name, "up")
    before = rows(empty_database)
    assert any("canary" in line for _, line in before)

    outcome = run("archive", "erase", str(story.source_id), *WHO, "--json", url=empty_database)

    assert outcome.code == 0, outcome.err
    told = Counter({t: n for t, n in outcome.document["deleted"].items() if n})
    after = rows(empty_database)
    gone, new = before - after, after - before
    assert not any("canary" in line for _, line in after)
    rewritten = Counter(table for table, _ in new)
    assert Counter(table for table, _ in gone) - rewritten == told
    tombstones = f"archive.{load_mapping(MAPPINGS / f'{name}.toml').name}_tombstones"
    assert set(rewritten) <= {tombstones, "public.user"}
    for direction in ("up", "down", "up") if stage == "old again" else ("down", "up", "down"):
        turn(db, name, direction)
        assert not any("canary" in line for _, line in rows(empty_database)), direction
        verified = run("verify", "--allow-edits", "--json", url=empty_database)
        assert verified.code == 0, verified.out


def test_an_account_that_a_foreign_key_restricts_is_not_erased_over_it(
    empty_database: str, connect: Connect
) -> None:
    """In the old version an order of somebody else belongs to the account: RESTRICT."""
    db = connect(empty_database)
    db.execute((MAPPINGS / "orders.sql").read_bytes())
    turn(db, "orders", "up")
    db.execute("""UPDATE "user" SET "limit" = 3 WHERE "authorization" = 'ann'""")
    turn(db, "orders", "down")
    (native,) = db.execute("SELECT source_id FROM archive.shop_map WHERE kind = 'native'")
    before = rows(empty_database)
    refused = run("archive", "erase", str(native[0]), *WHO, url=empty_database)
    assert refused.code == 3, refused.err
    assert "2 order of other people belong to the person's account (user): 1, 500" in refused.err
    assert rows(empty_database) == before


def test_a_database_with_two_refactors_asks_whose_id_it_is(
    empty_database: str, connect: Connect
) -> None:
    db = connect(empty_database)
    for name in ("members", "orders"):
        db.execute((MAPPINGS / f"{name}.sql").read_bytes())
        turn(db, name, "up")
    asked = run("archive", "erase", "1", *WHO, url=empty_database)
    assert asked.code == 2
    assert "several refactors: members, shop" in asked.err
    before = rows(empty_database)
    done = run("archive", "erase", "1", *WHO, "--refactor", "shop", url=empty_database)
    assert done.code == 0, done.err
    gone = {table for table, _ in before - rows(empty_database)}
    assert not any("member" in table for table in gone)
    unknown = run("archive", "erase", "1", *WHO, "--refactor", "x", url=empty_database)
    assert unknown.code == 3
