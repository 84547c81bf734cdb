"""What became of values: rules, and figures that tell of nobody."""

from typing import Literal

from refactorkit.report.model.parts import Count, Part


class Term(Part):
    """One line of a table of values, both of them words of the mapping."""

    raw: str
    image: str


class Rule(Part):
    """What becomes of one column, forward and back.

    Attributes:
        without_image: values that have none: NULL in the target, kept in the archive; None where
            every value has one.
    """

    source: str
    target: list[str]
    codec: str
    forward: str
    back: str
    terms: list[Term]
    without_image: Count | None


class ColumnFacts(Part):
    """How the values of one column are spread, without any of them.

    Attributes:
        side: of the source as it is kept, or of the subjects in the target.
        distinct: different values.
        text_octets: the length of all texts together; None for what is no text, and where there
            are so few texts that it would tell of one.
    """

    side: Literal["before", "after"]
    table: str
    column: str
    type: str
    rows: Count
    nulls: Count
    distinct: Count
    text_octets: Count | None


class Cell(Part):
    """One bar of a plot; None: hidden, for it would tell of few people."""

    label: str
    before: Count | None
    after: Count | None


class Distribution(Part):
    """One column before and after, over classes that no person's value has chosen.

    Attributes:
        kind: classes are terms of the mapping, or ranges of one grid that is the same everywhere.
        cells: in the order of the mapping or the grid; values that are NULL or have no image are
            in ``before_missing`` and ``after_missing``.
        note: why something is not shown; empty where all is.
    """

    source: str
    target: str | None
    kind: Literal["terms", "ranges"]
    cells: list[Cell]
    before_missing: Count
    after_missing: Count | None
    note: str


class Decided(Part):
    """How often one rule let a value or a row give way."""

    rule: str
    table: str
    column: str
    last_turn: Count
    all_turns: Count
