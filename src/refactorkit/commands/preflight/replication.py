"""Who follows the database: standbys, and whoever decodes its log; publications are a guard."""

from collections.abc import Iterator
from typing import Final

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.scene import Check, Scene

_OBEYS_PUBLICATIONS: Final = "pgoutput"
_MUCH_LAG_BYTES: Final = 64 * 2**20


def logical_slots(scene: Scene) -> Iterator[Observation]:
    """Slots that decode this database see what Up does, the archive included."""
    slots = [row for row in scene.look.ask("slots") if row[1] == "logical" and row[4]]
    for name, _kind, plugin, is_active, _here, behind in slots:
        lag = f", {behind / 2**20:,.0f} MiB behind" if behind is not None else ""
        state = "active" if is_active else "not active"
        says = f"logical slot {name} ({plugin}, {state}{lag}) decodes this database"
        if plugin == _OBEYS_PUBLICATIONS:
            yield note(
                f"{says}: its subscriber must know the new tables",
                "Change the subscriber's tables together with the application.",
            )
        else:
            yield no_go(
                f"{says} and obeys no publication: it streams the archive, too",
                "Drop the slot, or tell it to leave out schema archive, and accept it by name.",
                accept="logical_slots",
            )
    if not slots:
        yield ok("nobody decodes this database")


def synchronous_standbys(scene: Scene) -> Iterator[Observation]:
    """A COMMIT that waits for a standby that is not there holds all of Up's locks."""
    values = {
        name: value
        for name, value, _ in scene.look.ask(
            "settings", names=["synchronous_standby_names", "synchronous_commit"]
        )
    }
    names = values.get("synchronous_standby_names", "")
    if not names or values.get("synchronous_commit") in ("off", "local"):
        yield ok("a COMMIT waits for no standby")
        return
    replicas = scene.look.ask("replicas")
    if any(row[2] is None for row in replicas):
        yield unknown(
            "a COMMIT waits for a standby, and whether one is there is not to be seen",
            "GRANT pg_monitor to the role that looks.",
            accept="synchronous_standbys",
        )
    elif any(row[2] == "streaming" and row[3] in ("sync", "quorum") for row in replicas):
        yield ok("a COMMIT waits for a standby, which is there")
    else:
        yield no_go(
            "a COMMIT waits for a synchronous standby, and none is streaming: Up's would hang"
            " while it holds its locks",
            "Bring the standby back, or take it out of synchronous_standby_names.",
            accept="synchronous_standbys",
        )


def replicas(scene: Scene) -> Iterator[Observation]:
    """Standbys and how far behind they are."""
    found = scene.look.ask("replicas")
    hidden = sum(row[2] is None for row in found)
    if hidden:
        yield unknown(
            f"{hidden} standbys follow, and how far behind they are is not to be seen",
            "GRANT pg_monitor to the role that looks.",
        )
    for _pid, application, state, sync, behind, seconds in found:
        if state is None:
            continue
        lag = f"{(behind or 0) / 2**20:,.1f} MiB" + (f", {seconds:,.1f} s" if seconds else "")
        says = f"standby {application} ({state}, {sync}) is {lag} behind"
        if (behind or 0) > _MUCH_LAG_BYTES:
            yield note(says, "Let it catch up first: Up adds the predicted WAL to it.")
        else:
            yield ok(says)
    idle = [row for row in scene.look.ask("slots") if row[1] == "physical" and not row[3]]
    for name, _kind, _plugin, _active, _here, behind in idle:
        yield note(
            f"slot {name} is not active, and keeps {(behind or 0) / 2**20:,.0f} MiB of log",
            "Bring its standby back, or drop the slot: Up adds the predicted WAL to it.",
        )
    if not found and not idle:
        yield ok("no standby follows")


CHECKS = (
    Check(name="logical_slots", area=Area.REPLICATION, run=logical_slots),
    Check(name="synchronous_standbys", area=Area.REPLICATION, run=synchronous_standbys),
    Check(name="replicas", area=Area.REPLICATION, run=replicas, needed=False),
)
