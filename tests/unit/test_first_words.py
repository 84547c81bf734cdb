"""How a statement begins is told without any value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.migrations.first_words import first_words

CASES = {
    "SELECT name FROM patients WHERE id = 7": "SELECT name FROM patients WHERE id = …",
    "select * from public.users where email='a@b.example'": (
        "select * from public.users where email = …"
    ),
    "INSERT INTO patients (name, age) VALUES ('Canary', 3)": (
        "INSERT INTO patients(name, age) VALUES( …"
    ),
    "/* user=Canary */ UPDATE users SET email = $1": "UPDATE users SET email = …",
    "-- Canary\nBEGIN": "BEGIN",
    "SET app.user TO canary": "SET app.user …",
    "SET app.user = canary": "SET app.user …",
    "set session app.user = canary": "set session app …",
    "NOTIFY channel, 'Canary'": "NOTIFY channel …",
    "EXECUTE find(canary)": "EXECUTE find …",
    "LOCK TABLE a, b IN SHARE MODE;": "LOCK TABLE a, b IN SHARE MODE;",
    "SELECT a, b, c, d, e, f, g, h, i, j, k FROM t": "SELECT a, b, c, d, e, f, g, h, i …",
    "UPDATE t SET x = E'\\'Canary'": "UPDATE t SET x = …",
    'SELECT "Canary" FROM t': "SELECT …",
    "'Canary'": "",
    "": "",
    "SELECT \x1b[31m": "SELECT …",
}


@pytest.mark.parametrize(("query", "shown"), CASES.items())
def test_keywords_and_names_are_shown_until_the_first_literal(query: str, shown: str) -> None:
    assert first_words(query) == shown


@given(st.text(alphabet=st.characters(exclude_characters="'\\\0"), min_size=3), st.booleans())
def test_no_quoted_text_is_ever_shown(value: str, comment: bool) -> None:
    canary = f"Canary{value}"
    before = "/* Canary */ -- Canary\n" if comment else ""
    assert "Canary" not in first_words(f"{before}UPDATE t SET a = '{canary}', b = '{canary}'")
    assert "Canary" not in first_words(f"SELECT $x${canary}$x$, 1")


def test_what_is_shown_is_short_however_long_a_name_is() -> None:
    assert len(first_words("SELECT " + "x" * 5000)) < 120
