"""The server, its settings, and what a transaction of some length would run into."""

from collections.abc import Iterator, Mapping
from typing import Final

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok
from refactorkit.commands.preflight.scene import Check, Scene

_OLDEST, _NEWEST = 14, 18
_LIMITS: Final = ("statement_timeout", "transaction_timeout")
_MS_PER_SECOND: Final = 1000
_SAFE: Final = {
    "fsync": "a crash of the machine can destroy the database, whatever Up does",
    "full_page_writes": "a crash of the machine can destroy the database, whatever Up does",
    "autovacuum": "the statistics that Up makes under the lock are not refined afterwards",
}


def primary(scene: Scene) -> Iterator[Observation]:
    """Up writes."""
    if scene.identity.is_standby:
        yield no_go(
            "the server is a standby: it can only be read", "Use the address of the primary."
        )
        return
    values = _settings(scene, "default_transaction_read_only")
    if values["default_transaction_read_only"] == "on":
        yield no_go(
            "transactions are read-only by default (default_transaction_read_only)",
            "Set default_transaction_read_only to off for this user or database.",
        )
    else:
        yield ok("the server is a primary, and transactions may write")


def server_version(scene: Scene) -> Iterator[Observation]:
    """The refactor is tested on these versions."""
    major = scene.identity.version_number // 10_000
    if major < _OLDEST:
        yield no_go(
            f"PostgreSQL {scene.identity.server_version} is older than {_OLDEST}",
            f"Upgrade the server to {_OLDEST} or later first.",
        )
    elif major > _NEWEST:
        yield note(
            f"PostgreSQL {scene.identity.server_version} is newer than {_NEWEST}, the newest that"
            " this program is tested on",
            "Run refactorkit drill against this version first.",
        )
    else:
        yield ok(f"PostgreSQL {scene.identity.server_version}")


def time_limits(scene: Scene) -> Mapping[str, float]:
    """Return the limits of a new session of this user that can end Up in its middle, in seconds.

    Raises:
        UnseenError: they are not to be seen.
    """
    values = _settings(scene, *_LIMITS)
    return {name: int(value) / _MS_PER_SECOND for name, value in values.items() if int(value) > 0}


def settings(scene: Scene) -> Iterator[Observation]:
    """Settings that do not stop Up, and matter."""
    values = _settings(scene, *_SAFE, "session_replication_role", "temp_file_limit")
    seen = False
    for name, meaning in _SAFE.items():
        if values.get(name) == "off":
            seen = True
            yield note(f"{name} is off: {meaning}", f"Switch {name} on.")
    if values.get("session_replication_role", "origin") != "origin":
        seen = True
        yield note(
            f"session_replication_role is {values['session_replication_role']} for this user:"
            " foreign keys are not enforced while Up runs",
            "RESET session_replication_role for the role that runs Up.",
        )
    if values.get("temp_file_limit", "-1") != "-1":
        seen = True
        yield note(
            f"temp_file_limit is {values['temp_file_limit']} kB: big sorts of Up may not fit",
            "Compare it with the predicted size.",
        )
    for where, name, value in scene.look.ask("own_settings", runner=scene.runner):
        seen = True
        yield note(
            f"{name} is set to '{value}' on {where}: every Up and Down obeys it",
            "Reset it unless it is meant for all of them.",
        )
    if not seen:
        yield ok("no setting that matters is out of the ordinary")


def _settings(scene: Scene, *names: str) -> dict[str, str]:
    """Return what a new session begins with; a server does not know every setting."""
    return {name: value for name, value, _unit in scene.look.ask("settings", names=list(names))}


CHECKS = (
    Check(name="primary", area=Area.SERVER, run=primary),
    Check(name="server_version", area=Area.SERVER, run=server_version),
    Check(name="settings", area=Area.SERVER, run=settings, needed=False),
)
