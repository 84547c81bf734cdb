"""What the rows of the version table mean."""

import pytest

from refactorkit.errors import RefusedError
from refactorkit.migrations.history import AppliedRow, History


def history(*rows: tuple[int, bool]) -> History:
    """Rows from the oldest to the newest."""
    return History(
        rows=tuple(
            AppliedRow(id=number, version=version, applied=applied)
            for number, (version, applied) in enumerate(rows, start=1)
        )
    )


def test_without_rows_the_version_is_0_and_nothing_is_applied() -> None:
    assert History().current == 0
    assert History().applied == frozenset()
    assert History().highest == 0


def test_a_new_table_is_at_version_0() -> None:
    assert history((0, True)).current == 0


def test_the_current_version_is_the_one_applied_last_not_the_highest() -> None:
    late = history((0, True), (1, True), (3, True), (2, True))
    assert late.current == 2
    assert late.highest == 3


def test_the_newest_row_of_a_version_decides() -> None:
    turned = history((0, True), (1, True), (2, True), (2, False), (1, False), (1, True))
    assert turned.applied == {0, 1}
    assert turned.current == 1
    assert turned.is_applied(1)
    assert not turned.is_applied(2)
    assert not turned.is_applied(3)


def test_the_id_decides_what_is_newest_not_the_order_of_the_rows() -> None:
    rows = history((0, True), (1, True), (1, False)).rows
    assert History(rows=rows[::-1]).applied == {0}
    assert History(rows=rows[::-1]).current == 0


def test_a_version_may_have_several_rows() -> None:
    twice = history((0, True), (1, True), (1, True))
    assert twice.current == 1
    assert twice.newest[1].id == 3


def test_applied_versions_are_listed_newest_first() -> None:
    rows = history((0, True), (1, True), (3, True), (2, True), (1, True), (3, False))
    assert rows.newest_first == (1, 2, 0)


def test_rows_none_of_which_is_applied_make_no_sense() -> None:
    with pytest.raises(RefusedError, match="none of them says that its version is applied"):
        _ = history((0, False)).current
