"""Names and values as SQL text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.mapping.sql import any_text, identifier, literal

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def test_a_key_word_stands_in_quotes_and_a_name_as_it_is() -> None:
    assert identifier("order") == '"order"'
    assert identifier("orders") == "orders"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (-3, "-3"), ("it's", "'it''s'"), ("", "''")],
)
def test_a_constant_is_written_as_postgresql_writes_it(
    value: str | bool | int, expected: str
) -> None:
    assert literal(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "''"),
        ("it's", "'it''s'"),
        ("ß\u0301\U0001f600", "'ß\u0301\U0001f600'"),
        ("a\\'b", r"E'a\\''b'"),
        ("a\nb\t\x7f", r"E'a\u000Ab\u0009\u007F'"),
        ("\u202egnp.exe", r"E'\u202Egnp.exe'"),
        ("\u00a0\ufeff\U000e0041", r"E'\u00A0\uFEFF\U000E0041'"),
        ("a; --b", r"E'a; -\x2Db'"),
        ("---", r"E'-\x2D-'"),
    ],
)
def test_any_text_shows_what_is_in_it(value: str, expected: str) -> None:
    assert any_text(value) == expected


@given(TEXT)
def test_any_text_stands_on_one_line_and_begins_no_comment(value: str) -> None:
    written = any_text(value)

    assert written.isprintable()
    assert "--" not in written
    assert value.isprintable() or written.startswith("E'")
