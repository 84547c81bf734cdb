"""What happens around the refactors of tests/mappings, and what must be found afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

Rows = Sequence[tuple[object, ...]]


@dataclass(frozen=True, kw_only=True)
class Story:
    """What happens around a refactor.

    Attributes:
        new_writes: what is written in the new version.
        settings: what the operator sets for Down.
        home: queries to the old version after Down, with their rows.
        old_writes: what is written in the old version then.
        again: queries to the new version after the next Up, with their rows.
    """

    new_writes: str
    home: Sequence[tuple[str, Rows]]
    old_writes: str
    again: Sequence[tuple[str, Rows]]
    settings: str = ""


STORIES = {
    "contacts": Story(
        new_writes="""
            UPDATE people SET phone = '+9' WHERE id =
                (SELECT target_id FROM archive.contacts_map WHERE source_id = 2);
            DELETE FROM people WHERE id =
                (SELECT target_id FROM archive.contacts_map WHERE source_id = 3);
            UPDATE people SET phone = '+5' WHERE label = 'Ann';
            INSERT INTO people (label, phone) VALUES ('Zoe', '+77');
            UPDATE people SET label = 'claimed' WHERE id = 70;
        """,
        home=[
            (
                "SELECT id, phone FROM contacts ORDER BY id",
                [(-4, " e\u0301 "), (2, "+9"), (5, "\\"), (70, "")],
            ),
            (
                "SELECT label FROM people ORDER BY label NULLS FIRST",
                [(None,), ("",), ("Ann",), ("Zoe",)],
            ),
        ],
        old_writes="""
            UPDATE contacts SET phone = '+70' WHERE id = 70;
            DELETE FROM contacts WHERE id = 5;
            INSERT INTO contacts (phone) VALUES ('+fresh');
            UPDATE people SET label = 'Anne' WHERE label = 'Ann';
        """,
        again=[
            (
                "SELECT label, phone FROM people WHERE phone > '' ORDER BY phone",
                [
                    (None, " e\u0301 "),
                    ("Anne", "+5"),
                    ("claimed", "+70"),
                    ("Zoe", "+77"),
                    (None, "+9"),
                    (None, "+fresh"),
                ],
            ),
            ("SELECT count(*) FROM people", [(8,)]),
        ],
    ),
    "members": Story(
        new_writes="""
            UPDATE persons SET given = 'Anne', family = 'Shirley', grade = 'none',
                tags = '{"",z}', weight = 1.1 WHERE login = 'm1';
            UPDATE persons SET shoe_size = 40, points = 7, nickname = '-' WHERE login = 'm2';
            UPDATE persons SET vip = true WHERE login = 'ben';
            INSERT INTO persons (login, given, points) VALUES ('new', 'New', 3), ('none', NULL, 0);
            INSERT INTO visits (person_id, at) SELECT id, '2021-01-01' FROM persons
                WHERE login IN ('ann', 'm8000000000');
            DELETE FROM visits WHERE person_id = (SELECT id FROM persons WHERE login = 'm-9');
            DELETE FROM persons WHERE login = 'm-9';
            UPDATE loans SET due = '2022-02-02' WHERE person = (SELECT id FROM persons
                WHERE login = 'm1');
            INSERT INTO sessions SELECT id, 'tablet' FROM persons;
            INSERT INTO reminders (person_id) SELECT id FROM persons;
            UPDATE persons SET login = 'claimed', enabled = true, club_id = 7, seen_at = now()
                WHERE login = 'm3';
        """,
        home=[
            (
                """SELECT member_no, full_name, grade, shoe_size, points, nickname, weight::text,
                tags::text FROM members WHERE member_no < 5 ORDER BY member_no""",
                [
                    (1, "Anne Shirley", "", 38, 5, "A", "1.100", '{"",z}'),
                    (2, " ", "it's", 40, 7, None, "NaN", "{}"),
                    (3, "", "N\\A", -5, 0, "-", None, None),
                    (4, "no id of its own", "", None, None, None, None, None),
                ],
            ),
            ("SELECT count(*) FROM members WHERE member_no = -9", [(0,)]),
            (
                """SELECT full_name, vip, points FROM members WHERE member_no > 8000000000
                ORDER BY full_name, vip""",
                [("", True, 0), ("", None, 0), ("New", None, 3)],
            ),
            (
                """SELECT m.full_name FROM visits AS v JOIN members AS m USING (member_no)
                WHERE v.at = '2021-01-01' ORDER BY 1""",
                [("",), ("Zoë ",)],
            ),
            (
                "SELECT login, enabled FROM persons ORDER BY login",
                [("ann", True), ("ben", True), ("cy", True), ("new", False), ("none", False)],
            ),
            ("SELECT count(*) FROM sessions", [(2 + 5,)]),
            ("SELECT count(*), count(borrower) FROM loans", [(7, 5)]),
        ],
        old_writes="""
            UPDATE members SET full_name = 'Anna B. Shirley', shoe_size = 61 WHERE member_no = 1;
            UPDATE members SET weight = 2.5 WHERE full_name = 'New';
            DELETE FROM persons WHERE login = 'none';
            INSERT INTO members (member_no, full_name) VALUES (9000000000, 'Far');
        """,
        again=[
            (
                "SELECT given, family, grade, shoe_size FROM persons WHERE login = 'm1'",
                [("Anna B.", "Shirley", "none", None)],
            ),
            ("SELECT weight::text, points FROM persons WHERE login = 'new'", [("2.500", 3)]),
            (
                "SELECT login, enabled, club_id FROM persons WHERE given = '' ORDER BY enabled",
                [("m2", False, None), ("claimed", True, 7)],
            ),
            ("SELECT id FROM persons WHERE given = 'Far'", [(9000000000,)]),
            ("SELECT count(*) FROM persons WHERE login = 'none'", [(0,)]),
            ("SELECT due::text FROM loans WHERE due IS NOT NULL", [("2022-02-02",)]),
        ],
    ),
    "orders": Story(
        settings="SET refactorkit.custodian = 'ben'",
        new_writes="""
            UPDATE "user" SET "left" = 'one', "right" = NULL, "limit" = NULL
                WHERE "authorization" = 'order-500';
            UPDATE "user" SET "null" = false, "case" = 'y' WHERE "authorization" = 'order-1';
            UPDATE "user" SET "not" = now() WHERE "authorization" = 'order-2';
            UPDATE "user" SET "all" = false WHERE "authorization" = 'ann';
            UPDATE "user" SET "all" = true, "limit" = 3 WHERE "authorization" = 'ben';
            DELETE FROM "user" WHERE "authorization" = 'cy';
            INSERT INTO "user" ("authorization", "left", "right", "case")
                VALUES ('dee', 'Dee', 'Dum', 'x'), ('eve', NULL, NULL, NULL);
            UPDATE "user" SET "table" = 'out' WHERE "authorization" = 'eve';
            UPDATE "user" SET "authorization" = 'me', "default" = true,
                "from" = (SELECT "unique" FROM "user" WHERE "authorization" = 'ben')
                WHERE "authorization" = 'order-3';
            INSERT INTO "in" ("user", "both")
                SELECT "unique", 'more' FROM "user" WHERE "authorization" IN ('me', 'ann');
            INSERT INTO "grant" SELECT gen_random_uuid(), "unique", 1 FROM "user"
                WHERE "authorization" IN ('me', 'dee');
            INSERT INTO "constraint" ("user") SELECT "unique" FROM "user";
        """,
        home=[
            (
                """SELECT "primary", "select", "case", "limit", "null" FROM "order"
                WHERE "primary" IN (-1, 1, 3, 4, 500) ORDER BY 1""",
                [
                    (-1, "z", None, None, None),
                    (1, "a b c", "then", 5, False),
                    (3, " x", "other", None, False),
                    (4, "w", None, 9, None),
                    (500, "one", None, None, None),
                ],
            ),
            ('SELECT count(*) FROM "order" WHERE "primary" = 2', [(0,)]),
            (
                """SELECT o."select", o."case", o."user" = u."unique" FROM "order" AS o
                JOIN "user" AS u ON u."unique" = o."user" WHERE o."primary" > 500 ORDER BY 1""",
                [("Dee Dum", "else", True), ("ann", None, True), ("ben", None, True)],
            ),
            (
                """SELECT DISTINCT u."authorization" FROM "order" AS o
                JOIN "user" AS u ON u."unique" = o."user" WHERE o."primary" IN (4, -1)""",
                [("ben",)],
            ),
            (
                'SELECT "authorization", "group", "default" FROM "user" ORDER BY 1',
                [
                    ("ann", "any", True),
                    ("ben", "any", True),
                    ("dee", "none", False),
                    ("eve", "none", False),
                ],
            ),
        ],
        old_writes="""
            UPDATE "order" SET "select" = 'Dee Dee' WHERE "select" = 'Dee Dum';
            UPDATE "order" SET "case" = 'strange' WHERE "primary" = 1;
            UPDATE "user" SET "group" = 'grant' WHERE "authorization" = 'ann';
        """,
        again=[
            (
                """SELECT "left", "right", "case", "limit", "null" FROM "user"
                WHERE "authorization" IN ('order-1', 'order-500', 'me') ORDER BY 1 NULLS LAST""",
                [
                    ("", "x", None, None, False),
                    ("a b", "c", None, 5, False),
                    ("one", None, None, None, False),
                ],
            ),
            ('SELECT "right" FROM "user" WHERE "authorization" = \'dee\'', [("Dee",)]),
            (
                """SELECT "authorization", "all", "table" FROM "user"
                WHERE "authorization" < 'f' ORDER BY 1""",
                [
                    ("ann", True, "in"),
                    ("ben", True, "in"),
                    ("dee", False, "in"),
                    ("eve", False, "out"),
                ],
            ),
            ('SELECT count(*) FROM "user" WHERE "not" IS NOT NULL', [(1,)]),
        ],
    ),
    "devices": Story(
        settings="SET refactorkit.custodian = 'vault'",
        new_writes="""
            UPDATE assets SET label = 'Scale', grams = 0 WHERE tag = 'd-1-100%';
            UPDATE assets SET note = NULL, state = 'bad' WHERE tag = 'd-4-100%';
            DELETE FROM assets WHERE tag = 'shelf';
            UPDATE assets SET label = 'Vault' WHERE tag = 'vault';
            INSERT INTO assets (tag, label, state, note) VALUES ('rack', '', 'good', 'n');
            INSERT INTO assets (tag, label) VALUES ('bin', 'Bin');
            INSERT INTO tickets (asset_id) SELECT id FROM assets UNION ALL VALUES (NULL::integer);
            INSERT INTO asset_settings SELECT id, id > 2 FROM assets;
        """,
        home=[
            (
                """SELECT id, label, keeper_id, site_id, state::text, grams::text, note FROM devices
                WHERE id < 5 ORDER BY id""",
                [
                    (1, "Scale", 1, 1, "good", "0", "x"),
                    (2, "", None, None, None, "NaN", None),
                    (3, "50% $ off", 1, None, "bad", "-Infinity", ""),
                    (4, "lamp", None, 2, "bad", "1e-300", None),
                ],
            ),
            (
                """SELECT d.label, d.note FROM devices AS d JOIN assets AS a ON a.id = d.keeper_id
                AND a.tag = 'rack'""",
                [("rack", "n")],
            ),
            ("SELECT tag FROM assets ORDER BY tag", [("bin",), ("rack",), ("vault",)]),
        ],
        old_writes="""
            UPDATE devices SET note = 'home' WHERE label = 'rack';
            DELETE FROM devices WHERE id = 2;
        """,
        again=[
            (
                "SELECT tag, label, note, kind FROM assets ORDER BY tag",
                [
                    ("bin", "Bin", None, "new"),
                    ("d-1-100%", "Scale", "x", "device"),
                    ("d-3-100%", "50% $ off", "", "device"),
                    ("d-4-100%", "lamp", None, "device"),
                    ("rack", "", "home", "new"),
                    ("vault", "Vault", "old", "asset"),
                ],
            ),
            ("SELECT count(*), count(asset_id) FROM tickets", [(7, 6)]),
        ],
    ),
}
