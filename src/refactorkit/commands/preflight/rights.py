"""What the role that runs Up may do, and what Down will need of it."""

from collections.abc import Iterator

from refactorkit.commands.preflight.finding import Area, Observation, no_go, ok, unknown
from refactorkit.commands.preflight.scene import Check, Scene
from refactorkit.errors import RefusedError
from refactorkit.postgres import checksums
from refactorkit.postgres.foreign_code import refuse_foreign_code


def rights(scene: Scene) -> Iterator[Observation]:
    """Ask for every right beside ownership, which is a guard's business."""
    missing = scene.look.ask(
        "rights",
        runner=scene.runner,
        tables=scene.tables,
        source=scene.source,
        versions=scene.table.label if scene.table and scene.table.exists else None,
    )
    for (what,) in missing:
        yield no_go(
            f"{scene.runner} may not {what}",
            f"GRANT it to {scene.runner}, or run Up as a role that may.",
        )
    if not missing:
        yield ok(f"{scene.runner} has the rights that Up needs now, and Down will need")


def checksum_table(scene: Scene) -> Iterator[Observation]:
    """Up records its file's checksum, and refuses where others could plant something there."""
    try:
        scene.look.attempt(
            lambda: checksums.refuse_unusable(
                scene.look.connection, will_record=True, runner=scene.runner
            )
        )
    except RefusedError as refused:
        yield no_go(refused.message.rstrip("."), refused.hint or "Ask its owner.")
    else:
        yield ok("checksums can be recorded")


def version_table(scene: Scene) -> Iterator[Observation]:
    """Up refuses a version table that would run somebody else's code."""
    table = scene.table
    if table is None:
        yield unknown("the version table could not be read", "See what the check versions says.")
        return
    try:
        scene.look.attempt(
            lambda: refuse_foreign_code(
                scene.look.connection, table.schema, table.name, runner=scene.runner
            )
        )
    except RefusedError as refused:
        yield no_go(refused.message.rstrip("."), refused.hint or "Ask its owner.")
    else:
        yield ok("using the version table runs nobody else's code")


CHECKS = (
    Check(name="rights", area=Area.RIGHTS, run=rights),
    Check(name="checksum_table", area=Area.RIGHTS, run=checksum_table),
    Check(name="version_table", area=Area.RIGHTS, run=version_table),
)
