"""What knows the tables by name or by number, beyond what the guards look at."""

from collections.abc import Iterator

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok
from refactorkit.commands.preflight.scene import Check, Scene


def function_bodies(scene: Scene) -> Iterator[Observation]:
    """Functions whose text names the source or a renamed column: no dependency knows of it."""
    found = scene.look.ask("functions", words=scene.questions.words, staying=_staying(scene))
    for (name,) in found:
        yield note(
            f"the body of function {name} names what goes away: it will fail when it is called",
            "Change it together with the application, or drop it.",
        )
    if not found:
        yield ok("no function's body names what goes away")


def trigger_bodies(scene: Scene) -> Iterator[Observation]:
    """Triggers on tables that stay whose function names what goes away: writes would fail."""
    triggers = scene.look.ask(
        "triggers", words=scene.questions.words, tables=scene.tables, leaving=_leaving(scene)
    )
    seen = False
    for table, name, function, names_it, is_leaving, is_off in triggers:
        if names_it and not is_leaving and not is_off:
            seen = True
            yield no_go(
                f"trigger {name} on {table} calls {function}, whose body names what goes away:"
                f" after Up, writes to {table} would fail",
                "Change the function so that it works in both versions, or drop the trigger.",
                accept="trigger_bodies",
            )
    moved = sum(is_leaving for _, _, _, _, is_leaving, _ in triggers)
    if moved:
        seen = True
        yield note(
            f"{moved} triggers of {scene.source} move into the archive with it, and do not fire"
            " in the new version",
            "See that the application does not rely on them.",
        )
    if not seen:
        yield ok(
            f"{len(triggers)} triggers are kept quiet while Up writes, none names what goes away"
        )


def event_triggers(scene: Scene) -> Iterator[Observation]:
    """Event triggers fire for what Up and Down do to the catalog."""
    found = scene.look.ask("event_triggers")
    for name, event, function in found:
        yield note(
            f"event trigger {name} ({event}) calls {function} for each definition that Up changes",
            "See that it lets them pass; nothing is changed where it does not.",
        )
    if not found:
        yield ok("no event trigger")


def extension_members(scene: Scene) -> Iterator[Observation]:
    """What belongs to an extension goes with it, and pg_dump leaves its rows out."""
    found = scene.look.ask("extension_members", tables=scene.tables)
    for what, extension, is_ours in found:
        if is_ours:
            yield no_go(
                f"{what} belongs to extension {extension}: DROP EXTENSION takes it along, the"
                " archived rows too, and pg_dump leaves them out",
                f"ALTER EXTENSION {extension} DROP it, so that it stands alone.",
                accept="extension_members",
            )
        else:
            yield note(
                f"{what} of extension {extension} uses the touched tables",
                "See that the extension can do with the new version.",
            )
    if not found:
        yield ok("no extension owns or uses the touched tables")


def used_elsewhere(scene: Scene) -> Iterator[Observation]:
    """Policies, defaults and triggers of other tables that use the source or its sequence."""
    found = scene.look.ask("used_elsewhere", leaving=_leaving(scene))
    for what, table in found:
        yield no_go(
            f"{what} uses {table}, and would go on seeing the archived rows",
            "Drop it for the cutover, and make it again for the new version.",
            accept="used_elsewhere",
        )
    if not found:
        yield ok("no policy, default or trigger of another table uses what goes away")


def renamed_columns(scene: Scene) -> Iterator[Observation]:
    """What hangs on a column that is renamed follows it by its number."""
    links = scene.refactor.mapping.link
    own = [link.foreign_key for link in links]
    own += [index for link in links for index in link.indexes]
    found = scene.look.ask(
        "renamed_columns",
        tables=[f"public.{link.table}" for link in links],
        columns=[link.column for link in links],
        own=own,
    )
    for what, column in found:
        yield note(
            f"{what} uses {column}, and follows its new name", "Nothing, or see that it does."
        )
    if not found:
        yield ok("nothing but the mapping's own hangs on a column that is renamed")


def _leaving(scene: Scene) -> list[str]:
    return list(scene.guards.leaving)


def _staying(scene: Scene) -> list[str]:
    return [table for table in scene.tables if table not in scene.guards.leaving]


CHECKS = (
    Check(name="function_bodies", area=Area.DEPENDANTS, run=function_bodies),
    Check(name="trigger_bodies", area=Area.DEPENDANTS, run=trigger_bodies),
    Check(name="event_triggers", area=Area.DEPENDANTS, run=event_triggers),
    Check(name="extension_members", area=Area.DEPENDANTS, run=extension_members),
    Check(name="renamed_columns", area=Area.DEPENDANTS, run=renamed_columns),
    Check(name="used_elsewhere", area=Area.DEPENDANTS, run=used_elsewhere),
)
