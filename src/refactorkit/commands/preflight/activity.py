"""Who is at work on the database: what would keep Up from its locks."""

from collections.abc import Iterator
from typing import Final

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.scene import Check, Scene
from refactorkit.postgres.locks import LOCK_ID

_LONG_SECONDS: Final = 30.0
"""A lock that was held so long will not be gone within Up's short waits."""
_OLD_SECONDS: Final = 3600.0


def other_runner(scene: Scene) -> Iterator[Observation]:
    """The session lock of goose's library and of this program."""
    found = scene.look.ask("other_runner", id=LOCK_ID, besides=scene.request.besides)
    for pid, application in found:
        yield no_go(
            f"another runner is migrating this database: process {pid}{_named(application)}",
            "Wait until it is done.",
        )
    if not found:
        yield ok("no other runner is at work")


def prepared_transactions(scene: Scene) -> Iterator[Observation]:
    """A prepared transaction keeps its locks until somebody ends it."""
    found = scene.look.ask("prepared", tables=scene.tables)
    for gid, owner, seconds, holds_lock in found:
        says = f"prepared transaction {_printable(gid)} of {owner}, {_age(seconds)} old"
        if holds_lock:
            yield no_go(
                f"{says}, holds a lock on the touched tables: Up would never get its own",
                "COMMIT PREPARED or ROLLBACK PREPARED it.",
            )
        else:
            yield note(says, "Find out whether it was forgotten.")
    if not found:
        yield ok("no prepared transaction")


def long_transactions(scene: Scene) -> Iterator[Observation]:
    """Sessions that have held a lock on a touched table for long."""
    found = scene.look.ask("lock_holders", tables=scene.tables)
    unseen = 0
    seen = False
    for pid, user, application, kind, state, seconds in found:
        if seconds is None:
            unseen += 1
        elif seconds > _LONG_SECONDS:
            seen = True
            yield no_go(
                f"process {pid}{f' of {user}' if user else ''}{_named(application)}"
                f" ({state or kind or 'state unknown'}) has held a lock on the touched tables"
                f" in a transaction of {_age(seconds)}",
                "Let it end, or end it; Up waits only shortly, and tries again.",
                accept="long_transactions",
            )
    if unseen:
        yield unknown(
            f"{unseen} sessions of others hold a lock on the touched tables, and for how long is"
            " not to be seen",
            "GRANT pg_monitor to the role that looks.",
        )
    if not seen and not unseen:
        yield ok(
            f"{len(found)} sessions hold a lock on the touched tables, none longer than"
            f" {_LONG_SECONDS:g} s"
        )


def old_transactions(scene: Scene) -> Iterator[Observation]:
    """Transactions that keep dead rows alive, in this database."""
    number, oldest, unseen = scene.look.one("old_transactions", seconds=_OLD_SECONDS)
    if number:
        yield note(
            f"{number} transactions are older than an hour, the oldest {_age(oldest)}",
            "End them if they were forgotten: vacuum cannot clean up behind Up meanwhile.",
        )
    elif unseen:
        yield unknown(
            f"{unseen} transactions of others cannot be dated",
            "GRANT pg_monitor to the role that looks.",
        )
    else:
        yield ok("no transaction is older than an hour")


def _named(application: str | None) -> str:
    shown = _printable(application or "")
    return f', application "{shown}"' if shown else ""


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _age(seconds: float | None) -> str:
    return "of unknown age" if seconds is None else f"{seconds:,.0f} s"


CHECKS = (
    Check(name="other_runner", area=Area.ACTIVITY, run=other_runner),
    Check(name="prepared_transactions", area=Area.ACTIVITY, run=prepared_transactions),
    Check(name="long_transactions", area=Area.ACTIVITY, run=long_transactions, needed=False),
    Check(name="old_transactions", area=Area.ACTIVITY, run=old_transactions, needed=False),
)
