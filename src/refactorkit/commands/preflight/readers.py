"""Law 10: who could read the source, who will read the profiles, whose dumps will fail."""

from collections.abc import Iterator

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok
from refactorkit.commands.preflight.scene import Check, Scene


def readers(scene: Scene) -> Iterator[Observation]:
    """List by name who reads profiles now and then; superusers are not listed.

    Who would be new is refused by the guard ``new_readers``.
    """
    found = scene.look.ask("readers", source=scene.source, target=scene.target)
    today = [role for role, reads_source, _ in found if reads_source]
    tomorrow = [role for role, _, reads_target in found if reads_target]
    lost = [role for role in today if role not in tomorrow]
    yield note(
        f"who may read {scene.source} now: {_names(today)}; who will read the profiles in"
        f" {scene.target}: {_names(tomorrow)}; superusers aside"
    )
    if lost:
        yield note(
            f"these may read {scene.source} now, and will not read the profiles: {_names(lost)}",
            f"GRANT SELECT ON {scene.target} after Up, if the new application needs it.",
        )


def dumpers(scene: Scene) -> Iterator[Observation]:
    """Roles that dump today and could not tomorrow."""
    found = scene.look.ask("dumpers", runner=scene.runner)
    whole = [role for role, reads_all in found if reads_all]
    public = [role for role, reads_all in found if not reads_all]
    advice = (
        f"GRANT pg_read_all_data to it, or dump as the owner: the archive holds {scene.source},"
        " and must be in the backup."
    )
    if whole:
        yield no_go(
            f"these can dump the whole database now, and pg_dump will fail for them after Up:"
            f" {_names(whole)}",
            advice,
            accept="dumpers",
        )
    if public:
        yield note(
            f"these can dump schema public now; after Up their dumps are without the rows of"
            f" {scene.source}: {_names(public)}",
            advice,
        )
    if not found:
        yield ok("whoever can dump now can do so after Up")


def _names(roles: list[str]) -> str:
    return ", ".join(roles) or "nobody"


CHECKS = (
    Check(name="readers", area=Area.READERS, run=readers),
    Check(name="dumpers", area=Area.READERS, run=dumpers),
)
