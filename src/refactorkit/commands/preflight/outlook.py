"""What follows from the prediction: room on the disks, limits of time."""

from collections.abc import Iterator, Mapping
from typing import Final

from refactorkit.commands.preflight.finding import Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.prediction import Prediction
from refactorkit.postgres.preflight.disk import Room
from refactorkit.postgres.preflight.looking import UnseenError

_MARGIN: Final = 2
"""A forecast is not a measure: less room than so many times the need is worth a note."""


def disk_space(room: Room, prediction: Prediction | UnseenError) -> Iterator[Observation]:
    """Compare the room with the predicted need."""
    need = None if isinstance(prediction, UnseenError) else prediction.disk_bytes
    if isinstance(room.free, UnseenError):
        reason = room.free
        wanted = "" if need is None else f"; {_mib(need)} are needed"
        yield unknown(f"{reason.reason}{wanted}", reason.advice)
    elif need is None:
        yield unknown(
            f"{_mib(room.free)} are free, and the need was not predicted",
            "Run preflight with a sample.",
        )
    elif room.free < need:
        yield no_go(
            f"{_mib(room.free)} are free, and {_mib(need)} are needed",
            "Make room first; Up is rolled back where a disk is full.",
            accept="disk_space",
        )
    elif room.free < _MARGIN * need:
        yield note(
            f"{_mib(room.free)} are free, and {_mib(need)} are needed: that is little",
            "Make room first.",
        )
    else:
        yield ok(f"{_mib(room.free)} are free, and {_mib(need)} are needed")


def forecast(prediction: Prediction | UnseenError) -> Iterator[Observation]:
    """Say whether something was predicted."""
    if isinstance(prediction, UnseenError):
        yield unknown(f"nothing was predicted: {prediction.reason}", prediction.advice)
    else:
        yield ok(
            f"Up writes {prediction.rows:,} rows and holds its locks for about"
            f" {prediction.lock_seconds:,.1f} s (from a sample of {prediction.sampled:,} rows)"
        )


def time_limits(
    limits: Mapping[str, float] | UnseenError, prediction: Prediction | UnseenError
) -> Iterator[Observation]:
    """Compare the limits on statements and transactions with the predicted seconds."""
    if isinstance(limits, UnseenError):
        yield unknown(f"limits of time are not to be seen: {limits.reason}", limits.advice)
        return
    for name, seconds in limits.items():
        do = f"ALTER ROLE ... IN DATABASE ... SET {name} = 0 for the role that runs Up."
        if isinstance(prediction, UnseenError):
            yield note(f"{name} is {seconds:g} s for this user, and nothing was predicted", do)
            continue
        is_statement = name == "statement_timeout"
        need = prediction.longest_seconds if is_statement else prediction.seconds
        if seconds < need:
            yield no_go(
                f"{name} is {seconds:g} s for this user, and Up will need about {need:,.1f} s:"
                " it would be rolled back",
                do,
                accept="time_limits",
            )
        elif seconds < _MARGIN * need:
            yield note(f"{name} is {seconds:g} s for this user, and Up needs {need:,.1f} s", do)
        else:
            yield ok(f"{name} is {seconds:g} s for this user: Up needs less")
    if not limits:
        yield ok("no limit on the length of a statement or transaction")


def _mib(number: int) -> str:
    return f"{number / 2**20:,.0f} MiB"
