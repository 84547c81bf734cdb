"""ENVSUB: each expansion, and each thing that is none."""

import pytest

from refactorkit.migrations.envsub import InterpolationError, interpolate

ENVIRON = {
    "V": "value",
    "EMPTY": "",
    "W_2": "two",
    "É": "accent",
    "WIDE": "aéz",
    "RAW": "a\udcffb",
    "ESCAPE": "$V ${V}",
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ""),
        ("nothing", "nothing"),
        ("$V", "value"),
        ("${V}", "value"),
        ("a$V.b", "avalue.b"),
        ("$V$V", "valuevalue"),
        ("$W_2-", "two-"),
        ("$É", "accent"),
        ("$GONE.", "."),
        ("${GONE}.", "."),
        ("$EMPTY.", "."),
    ],
)
def test_a_variable_becomes_its_value_and_nothing_where_it_is_not_set(
    line: str, expected: str
) -> None:
    assert interpolate(line, ENVIRON) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("${V:-d}", "value"),
        ("${EMPTY:-d}", "d"),
        ("${GONE:-d}", "d"),
        ("${GONE:-}", ""),
        ("${V-d}", "value"),
        ("${EMPTY-d}", ""),
        ("${GONE-d}", "d"),
        ("${GONE:-a b; -- c}", "a b; -- c"),
        ("${GONE:-{}}", "{}"),
        ("${GONE:-$V}", "value"),
        ("${GONE:-${GONE:-${V}}}", "value"),
        ("${GONE:-$$}", "$"),
        ("${GONE:-$(x)}", "$(x)"),
        ("${GONE:-\\}}", "\\}"),
        ("${GONE-d}}", "d}"),
    ],
)
def test_a_default_stands_in(line: str, expected: str) -> None:
    assert interpolate(line, ENVIRON) == expected


@pytest.mark.parametrize("line", ["${V?m}", "${V?}", "${V?${GONE?}}"])
def test_a_required_variable_becomes_its_value(line: str) -> None:
    assert interpolate(line, ENVIRON) == "value"


def test_a_required_variable_may_be_empty() -> None:
    assert interpolate("[${EMPTY?m}]", ENVIRON) == "[]"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("${GONE?}", "'GONE' is not set, and the line requires it."),
        ("${GONE?ask the DBA}", "requires it ('ask the DBA')."),
        ("${GONE?ask $V}", "requires it ('ask $V')."),
        ("${GONE?${OTHER?}}", "'OTHER' is not set"),
        ("${GONE:-${OTHER?}}", "'OTHER' is not set"),
    ],
)
def test_a_required_variable_that_is_not_set_is_an_error(line: str, said: str) -> None:
    with pytest.raises(InterpolationError) as caught:
        interpolate(line, ENVIRON)
    assert said in str(caught.value)
    assert "Set it and run again." in str(caught.value)


def test_a_requirement_in_a_default_that_is_not_needed_is_none() -> None:
    assert interpolate("${V:-${GONE?}}${V-${GONE?}}", ENVIRON) == "valuevalue"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("${V:0}", "value"),
        ("${V:2}", "lue"),
        ("${V: -2}", "ue"),
        ("${V: -99}", "value"),
        ("${V:99}", ""),
        ("${V:1:2}", "al"),
        ("${V:1:99}", "alue"),
        ("${V:1:0}", ""),
        ("${V:1:-1}", "alu"),
        ("${V:1:-99}", ""),
        ("${V: +1 : +1 }", "a"),
        ("${V:000000000000000000000001:1}", "a"),
        ("${GONE:1:2}", ""),
        ("${WIDE:3}", "z"),
        ("${WIDE:0:2}", "a\udcc3"),
        ("${RAW:1:1}", "\udcff"),
        ("${V:-2}", "value"),
        ("${GONE:-2}", "2"),
        ("${V:1:9223372036854775807}", "alue"),
    ],
)
def test_a_part_of_a_value_is_counted_in_bytes(line: str, expected: str) -> None:
    assert interpolate(line, ENVIRON) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$$", "$"),
        ("$$V", "$V"),
        ("$$$V", "$value"),
        ("\\$V", "$V"),
        ("\\\\$V", "\\\\value"),
        ("\\n", "\\n"),
        ("$(now)", "$(now)"),
        ("$($V)", "$(value)"),
        ("cost: $", "cost: $"),
        ("$body$$", "$"),
        ("}", "}"),
    ],
)
def test_a_dollar_sign_can_be_written(line: str, expected: str) -> None:
    assert interpolate(line, ENVIRON) == expected


@pytest.mark.parametrize(
    "line",
    [
        "$1",
        "$ 5",
        "$_V",
        "$'",
        "$\u0660",
        "$\ufffd",
        "${1}",
        "${}",
        "${ V}",
        "${_V}",
        "${",
    ],
)
def test_a_name_begins_with_a_letter(line: str) -> None:
    with pytest.raises(InterpolationError, match=r"begins with a letter\. Write \$\$"):
        interpolate(line, ENVIRON)


@pytest.mark.parametrize("line", ["${V", "${V:-", "${V:-d", "${V-${V}", "${V?", "${V:1:1"])
def test_an_expansion_ends_on_its_line(line: str) -> None:
    with pytest.raises(InterpolationError, match="'V' is not closed"):
        interpolate(line, ENVIRON)


@pytest.mark.parametrize("line", ["${V=d}", "${V+d}", "${V#x}", "${V V}", "${V\ufffd}"])
def test_other_operators_are_errors(line: str) -> None:
    with pytest.raises(InterpolationError, match="knows no expansion"):
        interpolate(line, ENVIRON)


@pytest.mark.parametrize(
    "line",
    [
        "${V:}",
        "${V:",
        "${V:x}",
        "${V:1:}",
        "${V:1:x}",
        "${V:=d}",
        "${V:?m}",
        "${V:+d}",
        "${V:1_0}",
        "${V:\u0661}",
        "${V:9223372036854775808}",
        "${V: -9223372036854775809}",
    ],
)
def test_offset_and_length_are_whole_numbers(line: str) -> None:
    with pytest.raises(InterpolationError, match=r"cannot read the (offset|length)"):
        interpolate(line, ENVIRON)


def test_an_error_in_a_default_that_is_not_needed_is_one_all_the_same() -> None:
    with pytest.raises(InterpolationError):
        interpolate("${V:-$1}", ENVIRON)


def test_values_are_not_looked_at_again() -> None:
    assert interpolate("$ESCAPE", ENVIRON) == "$V ${V}"


def test_bytes_that_are_no_utf8_become_the_replacement_character_but_values_are_kept() -> None:
    assert interpolate("\udcff\udcfe $RAW", ENVIRON) == "\ufffd\ufffd a\udcffb"


def test_expansions_may_nest_as_deep_as_a_line_is_long() -> None:
    depth = 50_000
    assert interpolate("${GONE:-" * depth + "x" + "}" * depth, {}) == "x"
