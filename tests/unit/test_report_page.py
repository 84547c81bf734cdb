"""What the page makes of a report's figures: shorter, never other than they are."""

from typing import Literal

import pytest

from refactorkit.report.model import Catalog, Cell, Distribution
from refactorkit.report.page import compared, drawn

HASH = "0" * 64


def distribution(
    *cells: tuple[str, int | None, int | None],
    kind: Literal["terms", "ranges"] = "ranges",
    after_missing: int | None = 0,
) -> Distribution:
    return Distribution(
        source="age",
        target="age",
        kind=kind,
        cells=[Cell(label=label, before=b, after=a) for label, b, a in cells],
        before_missing=0,
        after_missing=after_missing,
        note="",
    )


def shown(found: Distribution) -> list[tuple[str, int | None, int | None]]:
    return [(cell.label, cell.before, cell.after) for cell in drawn(found)]


def test_empty_ranges_side_by_side_are_one_range() -> None:
    found = distribution(
        ("below 0", 0, 0), ("0 to below 10", 7, 7), ("10 to below 20", 0, 0),
        ("20 to below 25", 0, 0), ("25 to below 30", 0, 0), ("30 to below 35", 9, 9),
        ("35 to below 40", 0, 0), ("1000 and more", 0, 0),
    )  # fmt: skip
    assert shown(found) == [
        ("below 0", 0, 0), ("0 to below 10", 7, 7), ("10 to below 30", 0, 0),
        ("30 to below 35", 9, 9), ("35 to below 40", 0, 0), ("1000 and more", 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "second",
    [("10 to below 20", None, None), ("10 to below 20", 0, None), ("10 to below 20", 0, 5)],
)
def test_what_is_hidden_or_not_empty_stays_by_itself(
    second: tuple[str, int | None, int | None],
) -> None:
    cells = (("0 to below 10", 0, 0), second)
    assert shown(distribution(*cells)) == list(cells)


def test_without_an_after_ranges_are_empty_before() -> None:
    found = distribution(
        ("0 to below 10", 0, None), ("10 to below 20", 0, None), after_missing=None
    )
    assert shown(found) == [("0 to below 20", 0, None)]


def test_terms_stay_as_they_are() -> None:
    cells = (("up to below a", 0, 0), ("b to below c", 0, 0))
    assert shown(distribution(*cells, kind="terms")) == list(cells)


def test_a_schema_that_changed_since_an_earlier_turn_is_said_to_have_changed() -> None:
    def after(
        turn: int, direction: Literal["up", "down"], fingerprint: str, same_as: int | None
    ) -> Catalog:
        return Catalog(
            turn=turn,
            direction=direction,
            version=11 if direction == "up" else 10,
            digest=HASH,
            fingerprint=fingerprint * 64,
            same_as=same_as,
        )

    turns = [
        after(1, "up", "a", None),
        after(2, "down", "b", None),
        after(3, "up", "c", None),
        after(4, "down", "b", 2),
    ]
    assert [compared(each, turns) for each in turns] == [
        "the first of its kind", "the first of its kind", "CHANGED since turn 1",
        "same as after turn 2",
    ]  # fmt: skip
