"""What holds for every file, whatever is in it."""

from contextlib import suppress

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refactorkit.migrations.conventions import check
from refactorkit.migrations.envsub import InterpolationError, interpolate
from refactorkit.migrations.lines import trim
from refactorkit.migrations.model import Direction
from refactorkit.migrations.parser import parse
from refactorkit.migrations.sql_tokens import tokenize
from tests.support.goose_files import ENVIRON, WrittenFile, troublesome_file, well_formed_files

FILE = "0001_x.sql"

# A busy machine is no failure.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_environ = st.dictionaries(st.text(min_size=1, max_size=3), st.text(max_size=5), max_size=3)
_files = st.one_of(
    st.binary(max_size=200),
    st.randoms(use_true_random=False).map(troublesome_file),
    st.binary(max_size=60).map(lambda tail: b"-- +goose ENVSUB ON\n-- +goose Up\n" + tail),
)


@settings(_UNHURRIED, max_examples=400)
@given(content=_files, environ=_environ)
@example(content=b"", environ={})
@example(content=b"\n", environ={})
@example(content=b"\r", environ={})
@example(content=b"\0", environ={})
def test_any_bytes_can_be_read(content: bytes, environ: dict[str, str]) -> None:
    migration = parse(content, file=FILE, environ=environ)
    lines = content.count(b"\n") + 1
    for direction in Direction:
        script = migration.script(direction)
        if script.error is None:
            for statement in script.statements:
                assert 1 <= statement.line <= lines
                assert statement.text == trim(statement.text)
        else:
            assert script.statements == ()
            place, _, line = script.error.split(" ", 1)[0].rstrip(":").rpartition(":")
            assert place == FILE
            assert 1 <= int(line) <= lines


@settings(_UNHURRIED, max_examples=200)
@given(content=_files)
def test_any_file_can_be_held_to_the_conventions(content: bytes) -> None:
    for finding in check(parse(content, file=FILE, environ=ENVIRON)):
        assert finding.line >= 1
        finding.text.encode()


@settings(_UNHURRIED, max_examples=300)
@given(written=well_formed_files())
def test_the_statements_of_a_well_formed_file_come_back_exactly_with_their_lines(
    written: WrittenFile,
) -> None:
    migration = parse(written.content, file=FILE, environ={})
    assert (migration.up.error, migration.down.error) == (None, None)
    assert tuple(statement.text for statement in migration.up.statements) == written.up
    assert tuple(s.text for s in migration.down.statements) == (written.down or ())
    assert (migration.down.line is None) == (written.down is None)
    assert migration.transaction is written.transaction
    lines = written.content.decode().split("\n")
    for statement in (*migration.up.statements, *migration.down.statements):
        first = statement.text.split("\n", 1)[0]
        assert trim(lines[statement.line - 1]) == trim(first)


@settings(_UNHURRIED)
@given(line=st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"])))
def test_envsub_leaves_a_line_without_a_dollar_sign_as_it_is(line: str) -> None:
    assert interpolate(line, ENVIRON) == line


@settings(_UNHURRIED)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_envsub_gives_back_a_text_whose_dollar_signs_are_doubled(text: str) -> None:
    # A backslash keeps its meaning before the first of two dollar signs, so there is none here.
    plain = text.replace("\\", "/")
    assert interpolate(plain.replace("$", "$$"), ENVIRON) == plain


@settings(_UNHURRIED)
@given(line=st.text("V{}$:-?\\( 1ax"), value=st.text(max_size=5))
def test_envsub_gives_a_text_or_its_own_error(line: str, value: str) -> None:
    with suppress(InterpolationError):
        assert isinstance(interpolate(line, {"V": value}), str)


@settings(_UNHURRIED)
@given(text=st.text())
def test_tokens_are_pieces_of_the_text_in_order(text: str) -> None:
    end = 0
    for token in tokenize(text):
        assert token.offset >= end
        end = token.offset + len(token.text)
        assert text[token.offset : end] == token.text
        assert token.text
