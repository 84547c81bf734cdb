"""Values that break software, each of which a version-10 database may hold.

Texts that no mapping knows, texts that look like something else, the ends of the number ranges,
NaN, infinite times and times before Christ.
"""

from collections.abc import Callable
from typing import Final

from refactorkit.seed import ordinary
from refactorkit.seed.copy_text import row, text
from refactorkit.seed.dice import Dice

INT_MIN: Final = -(2**31)
INT_MAX: Final = 2**31 - 1
LONG_NAME_CHARACTERS: Final = 1_000_000
_ONE_IN: Final = 6  # pieces of a row are awkward this often

# Spaces are U+0020 unless written as an escape.
NAMES: Final = tuple(
    text(name)
    for name in (
        "",
        " ",
        "Solo",
        "  Leading Spaces",
        "Trailing Spaces  ",
        "Two  Inner",
        "One Two Three Four Five",
        "No\u00a0Break\u00a0Space",
        "Tab\tStop",
        "Line\nBreak\r\nTwice",
        'Quote\'s "Double" `Back`',
        "Back\\slash \\N \\.",
        "NULL",
        "\\N",
        "cafe\u0301 n\u0303",
        "caf\u00e9 \u00f1",
        "a\u0301\u0328\u0323 \u1e69\u0307",
        "\U0001f469\u200d\u2695\ufe0f \U0001f9ec",
        "\u202egnorw yaw",
        "\ufeffMark \u200bWidth",
        "\u0130I\u0131i \u00df\u1e9e \u03c3\u03c2",
        "=1+1 @SUM(A1)",
        "'; DROP TABLE patients; --",
        "$1 %s {0} ${HOME} $$ $body$",
        '{"a": [1.10, null]}',
        "<b>x</b> &amp;",
        "x" * 2000,
        "y " * 1000,
    )
)
LONG_NAME: Final = "long " * (LONG_NAME_CHARACTERS // 5)
TIMES: Final = (
    "infinity",
    "-infinity",
    "0044-03-15 12:00:00+00 BC",
    "4713-01-01 00:00:00+00 BC",
    "0001-01-01 00:00:00+00",
    "9999-12-31 23:59:59.999999+00",
    "10000-01-01 00:00:00+00",
    "294276-12-31 23:59:59.999999+00",
    "1970-01-01 00:00:00+00",
    "2000-02-29 23:59:59.999999+00",
)
DETAILS: Final = (
    None,
    "null",
    "{}",
    "[]",
    '{"a": 1.10, "b": 1.1, "c": 1e2, "d": -0.0}',
    '{"e\u0301": "\u00e9", "tab\\t": "\\\\ \\" \\u2028"}',
    '{"n": 123456789012345678901234567890.123456789012345678901234567890}',
)
ROLES: Final = ("Clinician", "", "nurse", " admin", "clinician")

_INTS: Final = (None, 0, -1, 1, INT_MIN, INT_MAX)
_STATUS: Final = (None, "", "unknown", "post", "pre", "peri", "POST", " postmenopausal", "n/a")
_YEARS: Final = (None, 0, -1, 50, 51, 60, INT_MIN, INT_MAX)
_BMI: Final = (None, "NaN", "0.00", "-0.01", "1.10", "999.99", "-999.99")
_TEXTS: Final = (None, "", " ", "yes", "Yes", "no", "unknown", "maybe", "e\u0301", "controlled ")
_BOOLS: Final = (None, True, False)
_CLUSTERS: Final = (None, "", "SOIRD", "MIDD", "low_risk", "High risk", "unknown", "sidd", "MOD")

Piece = Callable[[Dice], str]


def sometimes(usual: Piece, odd: Piece) -> Piece:
    """Return a maker of pieces of a row that makes an odd one, one time in six."""

    def make(dice: Dice) -> str:
        return (odd if dice.chance(_ONE_IN) else usual)(dice)

    return make


def _menopause(dice: Dice) -> str:
    return row(dice.pick((None, 0, -1, 150, INT_MAX)), dice.pick(_STATUS), dice.pick(_YEARS))


def _vitals(dice: Dice) -> str:
    texts = [dice.pick(_TEXTS) for _ in range(4)]
    return row(dice.pick(_BMI), dice.pick(_INTS), dice.pick(_INTS), *texts)


def _lipids(dice: Dice) -> str:
    return row(*(dice.pick(_INTS) for _ in range(4)))


def _habits(dice: Dice) -> str:
    return row(dice.pick(_BOOLS), dice.pick(_BOOLS))


def _sugar(dice: Dice) -> str:
    return row(
        dice.pick((None, "NaN", "-9999.99", "9999.99", "0.10")),
        dice.pick((None, "NaN", "-99.99", "99.99", "0.10")),
    )


def _findings(dice: Dice) -> str:
    return row(
        dice.pick(_INTS),
        dice.pick(_INTS),
        dice.pick(_TEXTS),
        dice.pick(_BOOLS),
        *(dice.pick(_TEXTS) for _ in range(3)),
        dice.pick(_BMI),
    )


def _result(dice: Dice) -> str:
    texts = [dice.pick(_TEXTS) for _ in range(3)]
    return row(dice.pick(_CLUSTERS), dice.pick(_INTS), *texts)


menopause: Final = sometimes(ordinary.menopause, _menopause)
vitals: Final = sometimes(ordinary.vitals, _vitals)
lipids: Final = sometimes(ordinary.lipids, _lipids)
habits: Final = sometimes(ordinary.habits, _habits)
sugar: Final = sometimes(ordinary.sugar, _sugar)
findings: Final = sometimes(ordinary.findings, _findings)
result: Final = sometimes(ordinary.result, _result)
