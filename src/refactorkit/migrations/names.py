"""File names: what a name says, and how a new one is made.

Source: goose's rules for ``NumericComponent``, ``create`` and ``fix``, as observed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from refactorkit.errors import NOTHING_CHANGED, RefusedError
from refactorkit.migrations.quoting import excerpt, quoted

SUFFIX = ".sql"
TIMESTAMP_FORMAT = "%Y%m%d%H%M%S"
MAX_VERSION = 2**63 - 1
"""The highest version: the table keeps it in a bigint."""

_DECIMAL = re.compile(r"[+-]?[0-9]+")
_TIMESTAMP_DIGITS = 14
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class FileName:
    """What the name of a migration file says.

    Attributes:
        version: the number before the first underscore, 1 to 2^63-1.
        name: what stands between that underscore and the ending; may be empty.
    """

    version: int
    name: str


def read_name(file: str) -> FileName:
    """Read ``0010_admin_features.sql`` as version 10, ``admin_features``.

    The version is the text before the first underscore, read as a decimal number; leading zeros
    and a sign are allowed, as goose allows them.

    Raises:
        RefusedError: the name is not one of a migration; the sentence says why.
    """
    problem = name_problem(file)
    if problem is not None:
        raise RefusedError(
            f"{quoted(file)} is no name of a migration: {problem}.",
            state=NOTHING_CHANGED,
            hint="Name it like 0012_add_visits.sql, or move it out of the folder.",
        )
    digits, _, rest = file.partition("_")
    return FileName(version=int(digits.lstrip("+0")), name=rest.removesuffix(SUFFIX))


def name_problem(file: str) -> str | None:
    """Say why a file's name is not one of a migration; None where it is one."""
    if not file.endswith(SUFFIX):
        return f"it does not end in {SUFFIX}"
    digits, underscore, _ = file.partition("_")
    if not underscore:
        return "there is no underscore after the version"
    if not _DECIMAL.fullmatch(digits):
        return (
            f"what stands before the first underscore, {excerpt(digits)}, is not a decimal number"
        )
    magnitude = digits.lstrip("+-0")
    if digits.startswith("-") or not magnitude:
        return "its version is below 1"
    if len(magnitude) > len(str(MAX_VERSION)) or int(magnitude) > MAX_VERSION:
        return f"its version is above {MAX_VERSION}"
    return None


def is_timestamp(version: int) -> bool:
    """Whether a version is a time stamp ``20060102150405`` after 1970 began (UTC)."""
    moment = _as_timestamp(version)
    return moment is not None and moment > _EPOCH


def is_sequential(version: int) -> bool:
    """Whether ``create -s`` counts on from a version: whether it is no time stamp since 1970."""
    moment = _as_timestamp(version)
    return moment is None or moment < _EPOCH


def snake_case(text: str) -> str:
    """Turn ``Add users, again!`` into ``add_users_again``.

    Letters and digits of any script are kept, in lower case; whatever stands between them becomes
    one underscore. The result is empty where there is no letter and no digit.
    """
    kept = "".join(_lower(char) if char.isalnum() else "_" for char in text)
    return "_".join(part for part in kept.split("_") if part)


def _as_timestamp(version: int) -> datetime | None:
    digits = str(version)
    if len(digits) != _TIMESTAMP_DIGITS:
        return None
    try:
        return datetime.strptime(digits, TIMESTAMP_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _lower(char: str) -> str:
    # One character for one character: only 'İ' has a longer lower case, and Go cuts it too.
    return char.lower()[0]
