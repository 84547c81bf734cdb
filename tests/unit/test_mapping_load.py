"""A mapping file is a Mapping, or every error with its line and what to do."""

from pathlib import Path

import pytest

from refactorkit.errors import FailedError, RefusedError, UsageError
from refactorkit.mapping.load import load_mapping, parse_mapping
from refactorkit.mapping.model import Mapping

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "archive/patients.toml", *sorted((ROOT / "tests/mappings").glob("*.toml"))]
CONTACTS = (ROOT / "tests/mappings/contacts.toml").read_text()


def refusal(text: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        parse_mapping(text, file="x.toml")
    return caught.value


def errors(text: str) -> list[tuple[int, str]]:
    """Return line and sentence of each error."""
    _, *lines = refusal(text).message.split("\n")
    found = []
    for line in lines:
        assert line.startswith("x.toml:")
        assert line.endswith(".")
        number, _, sentence = line.removeprefix("x.toml:").partition(": ")
        found.append((int(number), sentence))
    return found


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1, part
    return text.count("\n", 0, text.index(part)) + 1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_sound_file_is_read_and_can_be_written_down_again(file: Path) -> None:
    mapping = load_mapping(file)

    assert Mapping.model_validate(mapping.model_dump(mode="json")) == mapping


def test_a_refusal_says_how_many_errors_there_are_and_what_to_do() -> None:
    error = refusal(CONTACTS.replace('name = "contacts"', 'name = "Contacts"'))

    assert error.message.startswith("The mapping x.toml cannot be used: 1 error.\nx.toml:4: ")
    assert error.exit_code == 3
    assert error.hint


def test_all_errors_of_a_file_are_named_at_once_in_the_order_of_lines() -> None:
    text = (
        CONTACTS.replace("format = 1", "format = 2")
        .replace('codec = "same"', 'codec = "guess"')
        .replace('phone = "text"\n\n[target]', 'phone = "varchar"\n\n[target]')
        .replace('label = "text"', 'Label = "text"')
    )

    assert [line for line, _ in errors(text)] == [
        line_of(text, "format = 2"),
        line_of(text, 'phone = "varchar"'),
        line_of(text, 'Label = "text"'),
        line_of(text, "[[column]]"),
    ]


def test_all_that_several_parts_disagree_about_is_named_at_once() -> None:
    text = (
        CONTACTS.replace('key = "id"', 'key = "no"', 1)
        .replace('target = "phone"', 'target = "fax"')
        .replace('phone = "text"\n\n[target]', 'phone = "json"\n\n[target]')
    )

    assert {line for line, _ in errors(text)} == {
        line_of(text, 'key = "no"'),
        line_of(text, 'id = "integer NOT NULL serial"\nphone'),
        line_of(text, 'phone = "json"'),
        line_of(text, 'target = "fax"'),
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("format = 1", "format = 1 1", "format = 1", "this is no TOML"),
        ("format = 1", "format = 1\nformat=2", "format=2", "this is no TOML"),
        ('phone = "text"\n\n[target]', 'phone = "text\n\n[target]', 'phone = "text\n', "no TOML"),
        ("format = 1", 'format = "1"', "format =", "`format` must be 1"),
        ("format = 1\n", "", "# The least", "`format` is missing here: add it"),
        ('key = "id"\n\n[target.c', "\n[target.c", "[target]", "`key` is missing here: add it"),
        ('[target]\ntable = "people"', "[target]\ntable = 3", "table = 3", "must be a text"),
        ("[target.adds]", "[target.add]", "[target.add]", "`add` means nothing here"),
        ('label = "text"', "label = 1", "label = 1", "a column is a text"),
        (
            'label = "text"',
            'label = { is = "text", extra = 1 }',
            "label =",
            "unknown key 'extra'",
        ),
        ('label = "text"', 'label = { existing = "1" }', "label =", "a column is a text"),
        ('label = "text"', 'label = "text not null"', "label =", "a column is written as"),
        ('label = "text"', 'label = "text serial"', "label =", "serial column is integer"),
        ('label = "text"', 'label = "text DEFAULT \'a"', "label =", "close the quotes"),
        ('label = "text"', 'label = "text DEFAULT f(1"', "label =", "close the brackets"),
        ('label = "text"', 'label = "text DEFAULT 1)"', "label =", "open the brackets"),
        ('label = "text"', 'label = "text DEFAULT 1, ADD x text"', "label =", "one value"),
        ('label = "text"', 'label = "text DEFAULT 1; DROP TABLE x"', "label =", "not contain ;"),
        ('label = "text"', 'label = "text DEFAULT 1 --"', "label =", "not contain --"),
        ('label = "text"', 'label = "text DEFAULT $a$b$a$"', "label =", "dollar quote"),
        ('label = "text"', "label = \"text DEFAULT E'\\\\n'\"", "label =", "may not contain \\"),
        ('label = "text"', "label = \"text DEFAULT 'a\\nb'\"", "label =", "on one line"),
        ('label = "text"', '"la bel" = "text"', '"la bel"', "'la bel' is an odd name: a name is"),
        ('label = "text"', '"la\\"; --" = "text"', '"la\\"', "is an odd name"),
        ('label = "text"', 'lábel = "text"', "", "this is no TOML"),
        ('label = "text"', '"lábel" = "text"', '"lábel"', "is an odd name"),
        ('label = "text"', f'{"l" * 64} = "text"', "l" * 64, "63 characters at most"),
        ('label = "text"', '"" = "text"', '"" =', "'' is an odd name"),
        ('label = "text"', 'refactorkit_turn = "text"', "refactorkit_turn", "archive's own"),
        ('label = "text"', 'xmin = "xid"', "xmin", "system column"),
        ('name = "contacts"', 'name = "2nd"', "name =", "'2nd' is an odd name"),
        ('name = "contacts"', f'name = "{"n" * 25}"', "name =", "24 characters at most"),
        ('"0002_contacts_to_people.sql"', '"people.sql"', "migration =", "NNNN_description.sql"),
        ('"0002_contacts_to_people.sql"', '"../0002_p.sql"', "migration =", "odd file name"),
        ('"0002_contacts_to_people.sql"', '"0000_p.sql"', "migration =", "a version is 1 at least"),
        ('codec = "same"', 'codec = "values"', "[[column]]", "`forward` is missing here"),
        ('codec = "same"', 'codec = "same"\nprofile = 1', "profile", "must be true or false"),
        ('codec = "same"', "", "[[column]]", "`codec` is missing here"),
        ('codec = "same"', 'codec = "split_last"', 'target = "phone"', "`target` must be a list"),
        ("[[column]]", "[column]", "[column]", "`column` must be a list"),
        ("[source.columns]", "[[source.columns]]", "[[source.columns]]", "must be a table"),
    ],
)
def test_an_odd_value_is_refused_with_its_line(old: str, new: str, line: str, says: str) -> None:
    assert CONTACTS.count(old) >= 1
    text = CONTACTS.replace(old, new, 1)

    found = errors(text)

    assert any(says in sentence for _, sentence in found), found
    if line:
        assert line_of(text, line) in {number for number, _ in found}, found


def test_no_error_repeats_a_text_that_could_be_a_secret_or_a_terminal_code() -> None:
    text = CONTACTS.replace('"contacts"', '"\\u001b[2J\\u202e"', 1)

    assert refusal(text).message.isascii()
    assert "\x1b" not in refusal(text).message


def test_a_file_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no mapping"):
        load_mapping(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="There is no mapping"):
        load_mapping(tmp_path)


def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)

    with pytest.raises(FailedError, match="cannot be read"):
        load_mapping(loop)


def test_what_is_no_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(CONTACTS.encode().replace(b'"people"', b'"pe\xe9ple"'))

    with pytest.raises(RefusedError) as caught:
        load_mapping(file)

    expected = line_of(CONTACTS, 'table = "people"')
    assert f"{file}:{expected}: this is no UTF-8" in caught.value.message


def test_lists_without_end_are_refused() -> None:
    assert errors("x = " + "[" * 100_000)[0][1].startswith(("lists or tables", "this is no TOML"))
