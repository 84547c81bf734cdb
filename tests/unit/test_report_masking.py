"""Counts of few people are hidden, and so is what they could be reckoned from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refactorkit.report.csv import safe
from refactorkit.report.masking import CHANGED_FEW, FEW, masked

COUNTS = st.lists(st.one_of(st.just(0), st.integers(1, 12), st.integers(0, 10**6)), max_size=12)


@given(counts=COUNTS)
def test_no_class_of_few_people_is_shown_and_none_can_be_reckoned_from_the_total(
    counts: list[int],
) -> None:
    shown = masked(counts, counts).before
    assert not any(count is not None and 0 < count < FEW for count in shown)
    hidden = [count for count, seen in zip(counts, shown, strict=True) if seen is None]
    if any(0 < count < FEW for count in counts):
        everything = len(hidden) == len(counts)
        assert everything or (len(hidden) > 1 and sum(hidden) >= 2 * FEW)
    else:
        assert shown == tuple(counts)


@given(counts=COUNTS)
def test_what_is_hidden_before_is_hidden_after(counts: list[int]) -> None:
    found = masked(counts, counts)
    assert found.before == found.after


@pytest.mark.parametrize("moved", range(1, FEW))
def test_the_difference_to_before_does_not_tell_of_few_people(moved: int) -> None:
    found = masked([100, 50], [100 - moved, 50 + moved])
    assert found.before == (100, 50)
    assert found.after == (None, None)
    assert CHANGED_FEW in found.note


def test_a_change_of_many_is_shown() -> None:
    assert masked([100, 50], [60, 90]).after == (60, 90)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    assert safe(f"{start}1+1") == f"'{start}1+1"


def test_a_number_is_no_formula() -> None:
    assert safe(-5) == "-5"
