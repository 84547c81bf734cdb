"""Each rule of goose's parser, one by one."""

import hashlib

import pytest

from refactorkit.errors import RefusedError
from refactorkit.migrations.model import Direction, Migration, Script, Statement
from refactorkit.migrations.parser import parse

FILE = "0007_cluster_names.sql"
LIMIT = 4_194_304


def read(text: str | bytes, **environ: str) -> Migration:
    content = text.encode() if isinstance(text, str) else text
    return parse(content, file=FILE, environ=environ)


def texts(script: Script) -> list[str]:
    assert script.error is None
    return [statement.text for statement in script.statements]


def up(body: str, **environ: str) -> list[str]:
    return texts(read("-- +goose Up\n" + body, **environ).up)


def up_error(text: str | bytes, **environ: str) -> str:
    error = read(text, **environ).up.error
    assert error is not None
    return error


def test_a_file_says_its_version_name_checksum_and_both_directions() -> None:
    content = b"-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\nSELECT 3;\n"
    assert read(content) == Migration(
        version=7,
        name="cluster_names",
        file=FILE,
        checksum=hashlib.sha256(content).hexdigest(),
        transaction=True,
        up=Script(statements=(Statement(text="SELECT 1;", line=2),), line=1),
        down=Script(
            statements=(Statement(text="SELECT 2;", line=4), Statement(text="SELECT 3;", line=5)),
            line=3,
        ),
    )


def test_a_migration_hands_out_the_script_of_a_direction() -> None:
    migration = read("-- +goose Up\nSELECT 1;\n-- +goose Down\n")
    assert migration.script(Direction.UP) is migration.up
    assert migration.script(Direction.DOWN) is migration.down


def test_a_name_that_is_none_of_a_migration_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"notes\.sql"):
        parse(b"-- +goose Up\n", file="notes.sql", environ={})


class TestLines:
    def test_crlf_becomes_lf_inside_statements(self) -> None:
        assert up("SELECT 1,\r\n  2;\r\n") == ["SELECT 1,\n  2;"]

    def test_only_one_carriage_return_is_dropped(self) -> None:
        assert up("SELECT 1,\r\r\n  2;\n") == ["SELECT 1,\r\n  2;"]

    def test_a_carriage_return_at_the_end_of_the_file_is_dropped(self) -> None:
        assert up("SELECT 1;\r") == ["SELECT 1;"]

    def test_a_carriage_return_alone_ends_no_line(self) -> None:
        assert up("SELECT 1;\rSELECT 2;\n") == ["SELECT 1;\rSELECT 2;"]

    def test_the_last_line_needs_no_newline(self) -> None:
        assert up("SELECT 1;") == ["SELECT 1;"]

    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_a_line_of_the_limit_is_an_error_in_both_directions(self, end: str) -> None:
        migration = read("-- +goose Up\n" + "x" * LIMIT + end)
        for script in (migration.up, migration.down):
            assert script.error is not None
            assert script.error.startswith(f"{FILE}:2: the line has 4,194,304 bytes or more")

    @pytest.mark.parametrize("end", ["", "\n"])
    def test_a_line_just_below_the_limit_is_read(self, end: str) -> None:
        line = "x" * (LIMIT - 2) + ";"
        assert up(line + end) == [line]

    def test_the_limit_counts_a_carriage_return(self) -> None:
        assert up_error("-- +goose Up\n" + "x" * (LIMIT - 2) + ";\r\n").startswith(f"{FILE}:2: ")

    def test_the_limit_counts_bytes_not_characters(self) -> None:
        assert up_error("-- +goose Up\n" + "é" * (LIMIT // 2) + "\n").startswith(f"{FILE}:2: ")

    def test_an_error_above_a_line_that_is_too_long_is_said_first(self) -> None:
        assert up_error("SELECT 1;\n" + "x" * LIMIT).startswith(f"{FILE}:1: ")

    def test_a_byte_order_mark_is_an_error(self) -> None:
        error = up_error(b"\xef\xbb\xbf-- +goose Up\nSELECT 1;\n")
        assert error == (
            f"{FILE}:1: the file begins with a byte order mark, which goose takes for SQL. "
            "Save it as UTF-8 without one."
        )

    def test_bytes_that_are_no_utf8_are_kept(self) -> None:
        (statement,) = read(b"-- +goose Up\nSELECT '\xff\xfe\xe9';\n").up.statements
        assert statement.data == b"SELECT '\xff\xfe\xe9';"


class TestAnnotations:
    @pytest.mark.parametrize(
        "line",
        [
            "-- +goose Up",
            "--+goose up",
            "-- +goose UP",
            "-- Up +goose",
            "-- +gooseUp",
            "-- +goose   uP \t",
            "-- -- +goose Up --",
            "-- U--p +goose",
            "\v-- +goose Up",
            "\u00a0-- +goose Up",
        ],
    )
    def test_up_can_be_written_in_many_ways(self, line: str) -> None:
        assert texts(read(f"{line}\nSELECT 1;\n").up) == ["SELECT 1;"]

    @pytest.mark.parametrize(
        "line",
        [
            "-- +goose",
            "-- +goose NO  TRANSACTION",
            "-- +goose NO\tTRANSACTION",
            "-- see +goose docs",
            "-- +goose Up; ",
            "-- +goose Upp",
            "-- +goose ENVSUB",
            "-- +goose \ufb06atementBegin",
        ],
    )
    def test_an_annotation_says_something_known_or_is_an_error(self, line: str) -> None:
        error = up_error(f"-- +goose Up\n{line}\nSELECT 1;\n")
        assert error.startswith(f"{FILE}:2: goose knows no annotation '{line.strip()[:5]}")
        assert "NO TRANSACTION" in error

    @pytest.mark.parametrize("indent", [" ", "\t", "   "])
    def test_an_indented_annotation_is_an_error(self, indent: str) -> None:
        error = up_error(f"{indent}-- +goose Up\nSELECT 1;\n")
        assert error.startswith(f"{FILE}:1: the annotation '-- +goose Up' is indented")

    @pytest.mark.parametrize("line", ["-- +goose +goose Up", "-- +goose Up +goose", "-- +go+goose"])
    def test_goose_twice_in_a_line_is_an_error(self, line: str) -> None:
        assert up_error(f"{line}\n").startswith(f"{FILE}:1: ")

    def test_a_marker_that_appears_only_when_dashes_are_taken_away_counts_as_a_second_one(
        self,
    ) -> None:
        assert "more than once" in up_error("-- +goose +go--ose Up\n")

    @pytest.mark.parametrize("line", ["-- +Goose Down", "-- goose Down", "-- + goose Down"])
    def test_the_marker_is_case_sensitive_and_else_a_comment(self, line: str) -> None:
        assert up(f"{line}\nSELECT 1;\n") == ["SELECT 1;"]

    def test_the_long_s_is_an_s_as_in_unicode_case_folding(self) -> None:
        assert up("-- +goose \u017ftatementBegin\nSELECT 1\n-- +goose StatementEnd\n") == [
            "SELECT 1"
        ]

    def test_annotations_are_recognised_inside_literals(self) -> None:
        error = up_error("-- +goose Up\nSELECT '\n-- +goose Down\n';\n")
        assert error.startswith(f"{FILE}:2: the statement that begins here has no semicolon")

    def test_annotations_are_recognised_in_the_middle_of_a_statement(self) -> None:
        migration = read("-- +goose Up\nSELECT 1,\n-- +goose NO TRANSACTION\n2;\n")
        assert texts(migration.up) == ["SELECT 1,\n2;"]
        assert not migration.transaction

    def test_an_annotation_behind_sql_is_a_comment(self) -> None:
        assert up("select 1; -- +goose Down\nselect 2;\n") == [
            "select 1; -- +goose Down",
            "select 2;",
        ]


class TestOrder:
    def test_before_up_blank_lines_and_comments_are_ignored(self) -> None:
        assert texts(read("\n  \n-- hello\n  -- hello\n\u3000\n-- +goose Up\nSELECT 1;").up) == [
            "SELECT 1;"
        ]

    @pytest.mark.parametrize("line", ["SELECT 1;", "/* hello */", ";", "'", "\ufeff", "\x1c"])
    def test_before_up_anything_else_is_an_error(self, line: str) -> None:
        migration = read(f"-- hello\n{line}\n-- +goose Up\n")
        for script in (migration.up, migration.down):
            assert script.error is not None
            assert script.error.startswith(f"{FILE}:2: ")

    @pytest.mark.parametrize("text", ["", "\n\n", "-- hello\n", "-- +goose NO TRANSACTION\n"])
    def test_a_file_without_up_is_an_error(self, text: str) -> None:
        assert "the file ends without '-- +goose Up'" in up_error(text)

    @pytest.mark.parametrize(
        "before",
        [
            "-- +goose Up\n",
            "-- +goose Up\nSELECT 1;\n-- +goose Down\n",
            "-- +goose Up\n-- +goose StatementBegin\n",
            "-- +goose Up\n-- +goose StatementBegin\nSELECT 1\n-- +goose StatementEnd\n",
        ],
    )
    def test_a_second_up_is_an_error(self, before: str) -> None:
        migration = read(f"{before}-- +goose Up\n-- +goose StatementEnd\n")
        line = before.count("\n") + 1
        for script in (migration.up, migration.down):
            assert script.error is not None
            assert script.error.startswith(f"{FILE}:{line}: '-- +goose Up' cannot stand here")

    def test_down_comes_after_up(self) -> None:
        assert up_error("-- +goose Down\n-- +goose Up\n").startswith(
            f"{FILE}:1: '-- +goose Down' cannot stand here: there is no '-- +goose Up' above"
        )

    def test_a_second_down_is_an_error(self) -> None:
        error = up_error("-- +goose Up\n-- +goose Down\nSELECT 1;\n-- +goose Down\n")
        assert error.startswith(f"{FILE}:4: '-- +goose Down' cannot stand here")

    def test_down_after_a_block_in_down_is_an_error(self) -> None:
        error = up_error(
            "-- +goose Up\n-- +goose Down\n-- +goose StatementBegin\nSELECT 1\n"
            "-- +goose StatementEnd\n-- +goose Down\n"
        )
        assert error.startswith(f"{FILE}:6: ")

    def test_down_inside_a_block_is_an_error(self) -> None:
        error = up_error("-- +goose Up\n-- +goose StatementBegin\n-- +goose Down\n")
        assert "the block of line 2 is still open" in error

    def test_down_may_follow_a_block(self) -> None:
        migration = read(
            "-- +goose Up\n-- +goose StatementBegin\nSELECT 1\n-- +goose StatementEnd\n"
            "-- +goose Down\nSELECT 2;\n"
        )
        assert texts(migration.up) == ["SELECT 1"]
        assert texts(migration.down) == ["SELECT 2;"]

    def test_down_may_be_left_out(self) -> None:
        down = read("-- +goose Up\nSELECT 1;\n").down
        assert down == Script(statements=(), error=None, line=None)

    @pytest.mark.parametrize("line", range(8))
    def test_no_transaction_is_valid_anywhere_and_covers_both_directions(self, line: int) -> None:
        lines = [
            "-- +goose Up",
            "SELECT 1,",
            "2;",
            "-- +goose StatementBegin",
            "SELECT 3",
            "-- +goose StatementEnd",
            "-- +goose Down",
        ]
        lines.insert(line, "-- +goose NO TRANSACTION")
        migration = read("\n".join(lines))
        assert (migration.up.error, migration.down.error) == (None, None)
        assert not migration.transaction

    def test_no_transaction_counts_where_only_the_other_direction_can_be_read(self) -> None:
        migration = read("-- +goose Up\n1\n-- +goose Down\n-- +goose NO TRANSACTION\nSELECT 2;\n")
        assert migration.up.error is not None
        assert texts(migration.down) == ["SELECT 2;"]
        assert not migration.transaction


class TestBlocks:
    def test_a_block_is_one_statement_whatever_semicolons_it_holds(self) -> None:
        body = "DO $$\nBEGIN\n  NULL;\nEND;\n$$;"
        assert up(f"-- +goose StatementBegin\n{body}\n-- +goose StatementEnd\n") == [body]

    def test_a_block_may_hold_several_statements(self) -> None:
        assert up("-- +goose StatementBegin\nSELECT 1;\nSELECT 2;\n-- +goose StatementEnd\n") == [
            "SELECT 1;\nSELECT 2;"
        ]

    def test_a_block_needs_no_semicolon(self) -> None:
        assert up("-- +goose StatementBegin\nSELECT 1\n-- +goose StatementEnd\nSELECT 2;\n") == [
            "SELECT 1",
            "SELECT 2;",
        ]

    def test_comments_and_empty_lines_that_begin_a_block_are_skipped(self) -> None:
        assert up(
            "-- +goose StatementBegin\n\n-- why\nSELECT 1 -- kept\n\n-- kept\n"
            "-- +goose StatementEnd\n"
        ) == ["SELECT 1 -- kept\n\n-- kept"]

    def test_blocks_do_not_nest(self) -> None:
        error = up_error("-- +goose Up\n-- +goose StatementBegin\n-- +goose StatementBegin\n")
        assert error.startswith(f"{FILE}:3: ")
        assert "the block of line 2 is still open" in error

    @pytest.mark.parametrize("annotation", ["StatementBegin", "StatementEnd"])
    def test_a_block_before_up_is_an_error(self, annotation: str) -> None:
        assert up_error(f"-- +goose {annotation}\n-- +goose Up\n").startswith(
            f"{FILE}:1: '-- +goose {annotation}' cannot stand here"
        )

    @pytest.mark.parametrize(
        "before",
        ["", "-- +goose StatementBegin\nSELECT 1\n-- +goose StatementEnd\n", "-- +goose Down\n"],
    )
    def test_an_end_without_a_beginning_is_an_error(self, before: str) -> None:
        error = up_error(f"-- +goose Up\n{before}-- +goose StatementEnd\n")
        assert "no block is open" in error

    @pytest.mark.parametrize("section", ["", "-- +goose Down\n"])
    def test_an_open_block_at_the_end_is_an_error_in_both_directions(self, section: str) -> None:
        migration = read(f"-- +goose Up\n{section}-- +goose StatementBegin\nSELECT 1;\n")
        line = 2 + section.count("\n")
        for script in (migration.up, migration.down):
            assert script.error is not None
            assert script.error.startswith(f"{FILE}:{line}: the block that begins here has no")

    def test_unfinished_text_before_a_block_merges_into_it(self) -> None:
        migration = read(
            "-- +goose Up\nSELECT 1,\n-- +goose StatementBegin\n2;\n3\n-- +goose StatementEnd\n"
        )
        assert texts(migration.up) == ["SELECT 1,\n2;\n3"]
        assert migration.up.statements[0].line == 2

    @pytest.mark.parametrize("inside", ["", "\n", "-- only a comment\n"])
    def test_an_empty_block_swallows_the_next_line_of_text(self, inside: str) -> None:
        block = f"-- +goose StatementBegin\n{inside}-- +goose StatementEnd\n"
        migration = read(f"-- +goose Up\n{block}\n-- hello\nCREATE TABLE t (\nid int);\nSELECT 2;")
        assert texts(migration.up) == ["", "id int);", "SELECT 2;"]
        assert migration.up.statements[0].line == 2 + block.count("\n") + 2

    def test_an_empty_block_at_the_end_is_nothing(self) -> None:
        assert up("-- +goose StatementBegin\n-- +goose StatementEnd\n") == []

    def test_a_block_of_spaces_is_an_empty_statement(self) -> None:
        assert up("-- +goose StatementBegin\n  \n-- +goose StatementEnd\nSELECT 1;\n") == [
            "",
            "SELECT 1;",
        ]


class TestStatements:
    def test_comments_and_empty_lines_before_a_statement_are_skipped(self) -> None:
        migration = read("-- +goose Up\n\n-- one\n  -- two\n\nSELECT 1;\n")
        assert migration.up.statements == (Statement(text="SELECT 1;", line=6),)

    def test_once_a_statement_has_begun_everything_is_kept(self) -> None:
        body = "SELECT 1,\n\n  -- why\n\t\n  2;"
        assert up(body) == [body]

    def test_a_line_of_only_spaces_begins_a_statement_and_is_trimmed_away(self) -> None:
        migration = read("-- +goose Up\n   \n-- kept\nSELECT 1;\n")
        assert migration.up.statements == (Statement(text="-- kept\nSELECT 1;", line=3),)

    def test_the_text_is_trimmed_and_keeps_its_semicolon(self) -> None:
        assert up("   SELECT 1  ;  \n") == ["SELECT 1  ;"]

    def test_white_space_is_unicodes_and_not_pythons(self) -> None:
        assert up("\u2003SELECT 1\u00a0;\u3000\n") == ["SELECT 1\u00a0;"]
        assert up("\x1cSELECT 1;\n") == ["\x1cSELECT 1;"]
        assert "has no semicolon" in up_error("-- +goose Up\nSELECT 1; \x1c\n")

    @pytest.mark.parametrize(
        "line",
        [
            "select 1;",
            "select 1; -- why",
            "select 1; --why",
            "; -- why",
            ";",
            "select 1;\t\u00a0",
            "select 1 ;",
            "select 'a;",
            "/* c */ ;",
            "select 1; -- why not -- this",
        ],
    )
    def test_a_statement_ends_at_a_semicolon_that_ends_a_line(self, line: str) -> None:
        assert up(f"{line}\nselect 2;\n")[1:] == ["select 2;"]

    @pytest.mark.parametrize(
        "line",
        ["select 1;--c", "select 1; /* c */", "select 1 -- ;", "--c;\u00a0x", "a -- b;", '"; "'],
    )
    def test_nothing_else_ends_a_statement(self, line: str) -> None:
        assert up(f"begin\n{line}\nend;\n") == [f"begin\n{line}\nend;"]

    def test_two_statements_in_a_line_are_one(self) -> None:
        assert up("select 1; select 2;\n") == ["select 1; select 2;"]

    def test_quotes_mean_nothing(self) -> None:
        assert up("select 'a;\nb';\n") == ["select 'a;", "b';"]

    def test_dollar_quotes_mean_nothing(self) -> None:
        assert up("do $$\nbegin null;\nend $$;\n") == ["do $$\nbegin null;", "end $$;"]


class TestMissingSemicolon:
    def test_text_left_over_at_down_is_an_error_of_up_only(self) -> None:
        migration = read("-- +goose Up\nSELECT 1\n-- +goose Down\nSELECT 2;\n")
        assert migration.up.error == (
            f"{FILE}:2: the statement that begins here has no semicolon at the end of a line "
            "before '-- +goose Down' on line 3. End its last line with ';' (a comment may follow "
            "after a space), or put it between '-- +goose StatementBegin' and "
            "'-- +goose StatementEnd'."
        )
        assert texts(migration.down) == ["SELECT 2;"]

    def test_text_left_over_at_the_end_is_an_error_of_down_only(self) -> None:
        migration = read("-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 0;\n\nSELECT\n2\n")
        assert texts(migration.up) == ["SELECT 1;"]
        assert migration.down.error is not None
        assert migration.down.error.startswith(f"{FILE}:6: ")
        assert "before the end of the file" in migration.down.error

    def test_text_left_over_at_the_end_without_down_is_an_error_of_up(self) -> None:
        migration = read("-- +goose Up\nSELECT 1\n")
        assert migration.up.error is not None
        assert migration.down.error is None

    def test_a_script_with_an_error_has_no_statements(self) -> None:
        assert read("-- +goose Up\nSELECT 1;\nSELECT 2\n").up.statements == ()

    def test_left_over_spaces_are_no_error(self) -> None:
        assert up("SELECT 1;\n   \n") == ["SELECT 1;"]


class TestEnvsub:
    def test_it_is_off_until_it_is_switched_on(self) -> None:
        assert up("SELECT '$V';\n", V="x") == ["SELECT '$V';"]

    @pytest.mark.parametrize("first", ["-- +goose ENVSUB ON\n-- +goose Up\n", ""])
    def test_it_can_be_switched_on_and_off_anywhere(self, first: str) -> None:
        start = first or "-- +goose Up\n-- +goose ENVSUB ON\n"
        migration = read(f"{start}SELECT '$V',\n-- +goose ENVSUB OFF\n'$V';\n", V="x")
        assert texts(migration.up) == ["SELECT 'x',\n'$V';"]

    def test_it_goes_on_from_up_to_down(self) -> None:
        migration = read("-- +goose Up\n-- +goose ENVSUB ON\n-- +goose Down\nSELECT $V;\n", V="1")
        assert texts(migration.down) == ["SELECT 1;"]

    def test_variables_are_put_in_before_the_semicolon_is_looked_for(self) -> None:
        text = "-- +goose ENVSUB ON\nSELECT 1 $V\nSELECT 2;\n"
        assert up(text, V=";") == ["SELECT 1 ;", "SELECT 2;"]
        assert up(text, V="-- ;") == ["SELECT 1 -- ;\nSELECT 2;"]

    def test_a_value_with_newlines_counts_as_one_line(self) -> None:
        assert up("-- +goose ENVSUB ON\n$V\n;\n", V="a;\nb") == ["a;\nb\n;"]

    def test_a_value_is_no_annotation(self) -> None:
        assert up("-- +goose ENVSUB ON\n$V\n;\n", V="-- +goose Down") == ["-- +goose Down\n;"]

    def test_comments_before_a_statement_are_not_looked_at(self) -> None:
        assert up("-- +goose ENVSUB ON\n-- costs $1\nSELECT 1;\n") == ["SELECT 1;"]

    def test_comments_inside_a_statement_are_looked_at_in_the_direction_being_read(self) -> None:
        migration = read("-- +goose ENVSUB ON\n-- +goose Up\nSELECT\n-- costs $1\n1;\n")
        assert migration.up.error is not None
        assert migration.up.error.startswith(f"{FILE}:4: ENVSUB cannot read '$1'")
        assert migration.down.error is None

    @pytest.mark.parametrize("section", ["", "-- +goose Down\n"])
    def test_an_error_in_a_line_of_sql_is_one_in_both_directions(self, section: str) -> None:
        migration = read(f"-- +goose ENVSUB ON\n-- +goose Up\n{section}SELECT $1;\n")
        for script in (migration.up, migration.down):
            assert script.error is not None
            assert script.error.startswith(f"{FILE}:{3 + section.count('-') // 2}: ENVSUB")

    def test_an_error_never_shows_a_value(self) -> None:
        error = up_error(
            "-- +goose ENVSUB ON\n-- +goose Up\nSELECT $KEY ${GONE?ask $KEY};\n",
            KEY="hunter2",
        )
        assert "hunter2" not in error
        assert "'GONE' is not set" in error

    def test_a_word_beyond_the_limit_hides_what_comes_after_it(self) -> None:
        # Only a value can make one; goose's scanner of words stops there.
        values = {"V": "x" * (LIMIT // 32)}
        longest = "-- +goose ENVSUB ON\nSELECT " + "$V" * 32 + " ;\nSELECT 1;\n"
        (statement,) = up(longest, **values)
        assert statement.endswith("SELECT 1;")
        assert len(up(longest.replace("$V" * 32, "$V" * 31), **values)) == 2
