"""Whether the former version's application could go on beside the new one: advice, and no more."""

from collections.abc import Iterator

from refactorkit.commands.preflight.finding import Area, Observation, note, ok
from refactorkit.commands.preflight.scene import Check, Scene
from refactorkit.mapping.former import former_of


def former_version(scene: Scene) -> Iterator[Observation]:
    """Ask what a cutover that keeps it would refuse; it asks again itself.

    Blind spot: the statements of the application. Which of them a view cannot do, it cannot tell.
    """
    former = former_of(scene.refactor.mapping)
    found = [line for (line,) in scene.look.query(former.obstacles)]
    if found:
        yield note(
            f"cutover --keep-v10 would refuse to make {former.schema}: {'; '.join(found)}",
            "Where the former version's application is to go on after the switch, take away what is"
            " named.",
        )
    else:
        yield ok(
            f"cutover --keep-v10 could make {former.schema}; whether views can do the application's"
            " statements is not to be seen from here"
        )


CHECKS = (Check(name="former_version", area=Area.DEPENDANTS, run=former_version, needed=False),)
