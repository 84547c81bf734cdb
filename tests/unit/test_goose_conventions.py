"""The conventions of sql/: each is seen where it is broken, and only there."""

from pathlib import Path

import pytest

from refactorkit.migrations.conventions import Finding, Rule, check
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.parser import parse
from refactorkit.migrations.sql_tokens import Kind, tokenize

SQL = Path(__file__).parents[2] / "sql"
FILE = "0012_add_visits.sql"


def findings(text: str | bytes, file: str = FILE) -> tuple[Finding, ...]:
    content = text.encode() if isinstance(text, str) else text
    return check(parse(content, file=file, environ={}))


def rules(sql: str) -> list[Rule]:
    """The rules that one piece of SQL, in a block, breaks."""
    block = f"-- +goose StatementBegin\n{sql}\n-- +goose StatementEnd\n"
    return [finding.rule for finding in findings(f"-- +goose Up\n{block}-- +goose Down\n")]


def capitals(sql: str) -> list[str]:
    """The words that are to be written in capitals."""
    block = f"-- +goose StatementBegin\n{sql}\n-- +goose StatementEnd\n"
    found = findings(f"-- +goose Up\n{block}-- +goose Down\n")
    texts = [f.text for f in found if f.rule is Rule.KEYWORDS]
    return [w for t in texts for w in t.removeprefix("Write in capitals: ")[:-1].split(", ")]


def test_our_own_files_meet_the_conventions() -> None:
    migrations = read_folder(SQL, environ={})
    assert migrations
    assert [finding for migration in migrations for finding in check(migration)] == []


def test_a_finding_says_file_line_rule_and_what_to_do() -> None:
    text = "-- +goose Up\n\nSELECT\n  1\n  from t;\n-- +goose Down\nDROP TABLE t;\n"
    assert findings(text) == (
        Finding(file=FILE, line=5, rule=Rule.KEYWORDS, text="Write in capitals: from."),
        Finding(file=FILE, line=7, rule=Rule.IF_EXISTS, text="Write DROP TABLE IF EXISTS."),
    )


class TestBlocks:
    def test_a_file_without_down_is_found(self) -> None:
        (finding,) = findings("-- +goose Up\nSELECT 1;\n")
        assert finding.rule is Rule.BLOCKS
        assert "-- +goose Down" in finding.text

    def test_an_empty_down_is_there(self) -> None:
        assert findings("-- +goose Up\nSELECT 1;\n-- +goose Down\n-- Nothing to undo.\n") == ()

    def test_a_file_that_cannot_be_read_has_no_finding_on_its_blocks(self) -> None:
        assert findings("SELECT 1;\n") == ()

    @pytest.mark.parametrize("inside", ["", "-- nothing\n"])
    def test_an_empty_block_that_swallows_a_line_is_found(self, inside: str) -> None:
        block = f"-- +goose StatementBegin\n{inside}-- +goose StatementEnd\n"
        found = findings(f"-- +goose Up\n{block}SELECT 1;\n-- +goose Down\n")
        assert [finding.rule for finding in found] == [Rule.EMPTY_STATEMENT]


@pytest.mark.parametrize("file", ["0001_init.sql", "0012_add_visits.sql", "0012_2nd_try.sql"])
def test_four_digits_and_snake_case_are_the_way_to_name_a_file(file: str) -> None:
    assert findings("-- +goose Up\n-- +goose Down\n", file) == ()


@pytest.mark.parametrize(
    "file",
    [
        "1_init.sql",
        "00012_add_visits.sql",
        "20260704010203_add_visits.sql",
        "0012_AddVisits.sql",
        "0012_add-visits.sql",
        "0012_add__visits.sql",
        "0012_.sql",
        "0012_visits_.sql",
    ],
)
def test_any_other_name_is_found(file: str) -> None:
    (finding,) = findings("-- +goose Up\n-- +goose Down\n", file)
    assert finding.rule is Rule.NAMING


@pytest.mark.parametrize(
    "content", [b"SELECT '\xff';", b"SELECT '\xed\xa0\x80';", b"SELECT '\x00';"]
)
def test_what_is_no_utf8_without_nul_is_found(content: bytes) -> None:
    (finding,) = findings(b"-- +goose Up\n" + content + b"\n-- +goose Down\n")
    assert finding.rule is Rule.ENCODING


class TestIfExists:
    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE t (id INTEGER);",
            "CREATE UNLOGGED TABLE t (id INTEGER);",
            "CREATE TABLE t AS SELECT 1 WHERE NOT EXISTS (SELECT 1);",
            "CREATE INDEX i ON t (id);",
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (id);",
            "CREATE SEQUENCE s;",
            "CREATE SCHEMA s;",
            "CREATE EXTENSION e;",
            "CREATE MATERIALIZED VIEW v AS SELECT 1;",
            "CREATE FOREIGN TABLE t () SERVER s;",
            "DROP TABLE t;",
            "DROP TABLE public.t;",
            "DROP INDEX CONCURRENTLY i;",
            "DROP FUNCTION f (INTEGER);",
            "DROP TRIGGER r ON t;",
            "DROP TYPE t;",
            "ALTER TABLE t ADD COLUMN c INTEGER;",
            "ALTER TABLE t ADD c INTEGER;",
            "ALTER TABLE IF EXISTS ONLY public.t ADD COLUMN c INTEGER;",
            "ALTER TABLE t DROP COLUMN c;",
            "ALTER TABLE t DROP c;",
            "ALTER TABLE t DROP CONSTRAINT k;",
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS a NUMERIC(5, 2), ADD COLUMN b INTEGER;",
            "ALTER TABLE t ADD COLUMN a INTEGER, DROP COLUMN IF EXISTS b;",
            "ALTER TABLE t * DROP CONSTRAINT k;",
            "ALTER TYPE t ADD VALUE 'x';",
            "SELECT 1; /* hello */ DROP TABLE t;",
        ],
    )
    def test_a_statement_without_it_is_found(self, sql: str) -> None:
        assert rules(sql) == [Rule.IF_EXISTS]

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TABLE IF NOT EXISTS t (id INTEGER);",
            "CREATE TEMPORARY TABLE t (id INTEGER);",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (id);",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1;",
            "CREATE OR REPLACE VIEW v AS SELECT 1;",
            "CREATE VIEW v AS SELECT 1;",
            "CREATE FUNCTION f () RETURNS INTEGER LANGUAGE sql AS 'DROP TABLE t';",
            "CREATE TYPE t AS ENUM ('x');",
            "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f ();",
            "DROP TABLE IF EXISTS t;",
            "DROP OWNED BY r;",
            "DROP FUNCTION IF EXISTS f (INTEGER);",
            "ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0);",
            "ALTER TABLE t ADD UNIQUE (c), ADD PRIMARY KEY (d), ADD FOREIGN KEY (e) REFERENCES u;",
            "ALTER TABLE t ALTER COLUMN c DROP NOT NULL, ALTER COLUMN c DROP DEFAULT;",
            "ALTER TABLE t DROP CONSTRAINT IF EXISTS k, DROP COLUMN IF EXISTS c;",
            "ALTER TABLE t ADD COLUMN IF NOT EXISTS c NUMERIC(5, 2) DEFAULT (1);",
            "ALTER TABLE t RENAME COLUMN a TO b;",
            "ALTER TABLE t SET SCHEMA archive;",
            "ALTER TYPE t ADD VALUE IF NOT EXISTS 'x';",
            "ALTER FOREIGN DATA WRAPPER w OPTIONS (ADD x 'y');",
            "DO $$ BEGIN DROP TABLE t; END $$;",
            "SELECT 'DROP TABLE t'; -- DROP TABLE t",
        ],
    )
    def test_a_statement_that_has_it_or_cannot_have_it_is_fine(self, sql: str) -> None:
        assert rules(sql) == []


class TestKeywords:
    @pytest.mark.parametrize(
        ("sql", "words"),
        [
            ("select 1;", ["select"]),
            ("Select 1;", ["Select"]),
            ("SELECT a from t where b is not null;", ["from", "where", "is", "not", "null"]),
            ("insert INTO t values (1);", ["insert", "values"]),
            ("UPDATE t set a = 1;", ["set"]),
            ("CREATE table IF NOT EXISTS t (id INTEGER primary key);", ["table", "primary", "key"]),
            ("CREATE index IF NOT EXISTS i ON t (c desc);", ["index", "desc"]),
            ("CREATE or replace view v AS SELECT 1;", ["or", "replace", "view"]),
            ("DROP TABLE if exists t cascade;", ["if", "exists", "cascade"]),
            ("SELECT 1 ORDER by 1;", ["by"]),
            ("ALTER TABLE t add COLUMN IF NOT EXISTS c BOOLEAN not null;", ["add", "not", "null"]),
            ("SELECT 1; delete FROM t;", ["delete"]),
            ("INSERT INTO t VALUES (1) ON conflict DO nothing;", ["conflict", "nothing"]),
            ("SELECT 1 FROM t left JOIN u ON TRUE;", ["left"]),
            ("SELECT 1\nfrom t\nwhere a;", ["from", "where"]),
        ],
    )
    def test_a_keyword_in_small_letters_is_found(self, sql: str, words: list[str]) -> None:
        assert capitals(sql) == words

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT now(), count(*), left('abc', 1), replace('a', 'b', 'c'), current_user;",
            "SELECT name, role, type, value, action, cluster, status, source, key FROM t;",
            "SELECT t.order, t.from FROM t;",
            'SELECT "from", "select" FROM "where";',
            "SELECT 'select from', E'it\\'s from', U&'from', $$from$$, $a$ from $a$;",
            "SELECT 1 -- from where\n;",
            "SELECT 1 /* from /* where */ select */;",
            "SELECT true, FALSE, a::timestamp(3) with time zone, b::time without time zone;",
            "SELECT 1::integer, '1'::text, CAST(1 AS numeric(5, 2));",
            "CREATE TABLE IF NOT EXISTS t (id serial, role text DEFAULT 'from');",
            "DO $$ begin null; end $$;",
            "SELECT $1, a$from$, 1e5;",
            "(SELECT 1);",
        ],
    )
    def test_names_functions_types_and_what_is_quoted_are_let_be(self, sql: str) -> None:
        assert capitals(sql) == []

    def test_words_of_one_line_are_one_finding(self) -> None:
        found = findings("-- +goose Up\nselect 1\nfrom t where a;\n-- +goose Down\n")
        assert [(finding.line, finding.text) for finding in found] == [
            (2, "Write in capitals: select."),
            (3, "Write in capitals: from, where."),
        ]


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "tokens"),
        [
            ("a b", ["a", "b"]),
            ("a--b\nc", ["a", "c"]),
            ("a/* b /* c */ d */e", ["a", "e"]),
            ("'it''s' b", ["'it''s'", "b"]),
            ("E'it\\'s' b", ["E'it\\'s'", "b"]),
            ("e'a\\\\' b", ["e'a\\\\'", "b"]),
            ("'a\\' b", ["'a\\'", "b"]),
            ('"a""b" c', ['"a""b"', "c"]),
            ("$$a;b$$;", ["$$a;b$$", ";"]),
            ("$x$ $$ $y$ $x$;", ["$x$ $$ $y$ $x$", ";"]),
            ("a$x$ b", ["a$x$", "b"]),
            ("$1 $2", ["$1", "$2"]),
            ("1.5e10 .5", ["1.5e10", ".5"]),
            ("a::b", ["a", ":", ":", "b"]),
            ("é_1 b", ["é_1", "b"]),
        ],
    )
    def test_a_text_falls_into_its_tokens(self, text: str, tokens: list[str]) -> None:
        assert [token.text for token in tokenize(text)] == tokens

    @pytest.mark.parametrize("text", ["'a b", "E'a b\\", '"a b', "$$a b", "$x$a $$ b"])
    def test_what_is_not_closed_reaches_to_the_end(self, text: str) -> None:
        assert [(token.kind, token.text) for token in tokenize(text)] == [(Kind.QUOTED, text)]

    def test_a_comment_that_is_not_closed_reaches_to_the_end(self) -> None:
        assert [token.text for token in tokenize("a /* b /* c */ d")] == ["a"]

    def test_a_long_literal_is_read_in_one_go(self) -> None:
        literal = "'" + "x''" * 1_000_000 + "'"
        assert [token.text for token in tokenize(literal + " b")] == [literal, "b"]
