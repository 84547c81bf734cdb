"""Plausible values, in pieces of a row: what is in one piece fits together.

Names are built from syllables. Every text is one that the mapping of ``archive/`` knows, and a few
values are NULL, as in any clinic.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from refactorkit.seed.copy_text import row
from refactorkit.seed.dice import Dice

FIRST_DAY: Final = date(2021, 1, 1)
DAYS: Final = [f"{FIRST_DAY + timedelta(days=day)} " for day in range(1826)]
LAST_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)

_ONSETS: Final = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "st")
_VOWELS: Final = ("a", "e", "i", "o", "u", "ei", "ou")
_ENDS: Final = ("", "", "l", "n", "r", "s", "sk", "th")
_PRE, _PERI, _POST, _SURGICAL = "premenopausal", "perimenopausal", "postmenopausal", "surgical"
_SIDD_FROM, _SIRD_FROM, _MOD_FROM = 80, 67, 50


def word(dice: Dice) -> str:
    """Return a name of two or three syllables."""
    syllables = [dice.pick(_ONSETS) + dice.pick(_VOWELS) for _ in range(dice.pick((2, 2, 3)))]
    return ("".join(syllables) + dice.pick(_ENDS)).capitalize()


def given_name(dice: Dice) -> str:
    """Return a given name; one in ten has two words."""
    first = word(dice)
    return f"{first} {word(dice)}" if dice.chance(10) else first


def time_of_day(dice: Dice) -> str:
    """Return what follows the day: a time to the microsecond, in UTC."""
    seconds = dice.number(6 * 3600, 20 * 3600 - 1)
    hours, rest = divmod(seconds, 3600)
    micro = dice.number(0, 999_999)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}.{micro:06d}+00"


def decimal(dice: Dice, low: int, high: int) -> str:
    """Return a number with two decimals, between two numbers of hundredths."""
    hundredths = dice.number(low, high)
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def menopause(dice: Dice) -> str:
    """Return a patient's age, menopause_status, years_menopause."""
    status = dice.pick((_PRE, _PERI, _PERI, _POST, _POST, _POST, _SURGICAL))
    if status == _PRE:
        return row(dice.number(35, 50), status, dice.pick((None, 0)))
    years = dice.number(0, 3) if status == _PERI else dice.number(1, 25)
    return row(44 + years + dice.number(0, 8), status, years)


def vitals(dice: Dice) -> str:
    """Return a patient's bmi, bp_systolic, bp_diastolic, activity, smoking, hypertension, heart_disease."""  # noqa: E501
    systolic = dice.number(98, 175)
    high = systolic >= 140  # noqa: PLR2004 - mmHg, the usual limit
    return row(
        decimal(dice, 1850, 4200),
        systolic,
        systolic * 3 // 5 + dice.number(-6, 8),
        dice.pick(("low", "low", "moderate", "moderate", "high", None)),
        dice.pick(("never", "never", "never", "former", "current", None)),
        "uncontrolled" if high else dice.pick(("no", "no", "no", "controlled", None)),
        dice.pick(("no",) * 12 + ("yes", None)),
    )


def lipids(dice: Dice) -> str:
    """Return total cholesterol, ldl, hdl, triglycerides, as both tables order them."""
    if dice.chance(16):
        return row(None, None, None, None)
    ldl, hdl, triglycerides = dice.number(70, 190), dice.number(35, 90), dice.number(60, 290)
    return row(ldl + hdl + triglycerides // 5, ldl, hdl, triglycerides)


def habits(dice: Dice) -> str:
    """Return a patient's family_history, phys_activity."""
    return row(dice.pick((True, False, False, None)), dice.pick((True, False, None)))


def sugar(dice: Dice) -> str:
    """Return an assessment's fbs, hba1c."""
    return row(decimal(dice, 7000, 19000), decimal(dice, 470, 980))


def findings(dice: Dice) -> str:
    """Return an assessment's systolic … bmi, the eight columns after the lipids."""
    systolic = dice.number(98, 175)
    return row(
        systolic,
        systolic * 3 // 5 + dice.number(-6, 8),
        dice.pick(("low", "moderate", "high")),
        dice.pick((True, False, False)),
        dice.pick(("never", "never", "former", "current")),
        dice.pick(("no", "no", "controlled", "uncontrolled")),
        dice.pick(("no",) * 9 + ("yes",)),
        decimal(dice, 1850, 4200),
    )


def result(dice: Dice) -> str:
    """Return an assessment's cluster, risk_score, model_version, dataset_hash, validation_status.

    The cluster follows from the score as in the migrations; a failed one has neither.
    """
    model = dice.number(1, 3)
    origin = (f"seed-{model}", f"made-up-{model}")
    if dice.chance(40):
        return row(None, None, *origin, "failed")
    score = dice.number(1, 99)
    return row(cluster(score), score, *origin, "ok")


def cluster(score: int) -> str:
    """Return the diabetes subgroup that a risk score stands for."""
    if score >= _SIDD_FROM:
        return "SIDD"
    if score >= _SIRD_FROM:
        return "SIRD"
    return "MOD" if score >= _MOD_FROM else "MARD"
