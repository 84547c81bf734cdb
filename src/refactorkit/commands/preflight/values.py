"""The rows: values without an image, what a subject would break, how far the ids have come."""

from collections.abc import Iterator
from typing import Final

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.scene import Check, Scene
from refactorkit.mapping.preflight import ExtraColumn
from refactorkit.postgres.preflight.looking import UnseenError

_FOREIGN: Final = "it calls a function that is no superuser's, and a superuser looks"
_MUCH_OF_A_SEQUENCE: Final = 0.75


def values_without_image(scene: Scene) -> Iterator[Observation]:
    """Count them by column: they stay in the archive and come back as they were."""
    found = {name: count for name, count in scene.counted.without_image.items() if count}
    if found:
        listed = ", ".join(f"{name} {count:,}" for name, count in found.items())
        yield note(
            f"values of {scene.source} without an image: {listed}; they are NULL in"
            f" {scene.target}, stay in the archive, and come back as they were",
            "Where a value means one of the images, add it to the mapping, and compile.",
        )
    else:
        yield ok("every value of the mapped columns has an image")


def counts(scene: Scene) -> Iterator[Observation]:
    """Say what Up will count."""
    figures = scene.counted
    yield ok(
        f"{figures.pairs:,} rows of {scene.source} become {figures.subjects:,} subjects beside"
        f" {figures.natives:,} rows of {scene.target}"
    )
    if figures.deleted:
        yield note(
            f"{figures.deleted:,} rows of {scene.source} were deleted since the last Down: their"
            " subjects do not return, and what is kept of them stays in the archive",
            "See that these deletions were meant.",
        )


def collisions(scene: Scene) -> Iterator[Observation]:
    """Ids of sources that are, were or may have been a target's: those subjects get new ones."""
    figures = scene.counted
    relinked = ", ".join(f"{count:,} of {table}" for table, count in figures.relinked.items())
    says = f"{figures.renumbered:,} of {figures.pairs:,} subjects have another id than their source"
    yield ok(f"{says}; rows to be relinked: {relinked or 'none'}")


def subject_checks(scene: Scene) -> Iterator[Observation]:
    """Hold the subjects that Up will make against checks that somebody added to the target."""
    known = set(scene.guards.own_constraints)
    extra = _extra(scene)
    seen = 0
    rows = scene.look.ask("constraints", target=scene.target)
    for name, plain_name, condition, columns, is_foreign in rows:
        if plain_name in known:
            continue
        seen += 1
        yield from _counted(
            scene,
            f"check {name} of {scene.target}",
            scene.questions.broken_check(extra, condition),
            _FOREIGN if is_foreign else _unforeseeable(extra, columns),
            breaks="would not be met by {} subjects",
            accept="subject_checks",
        )
    if not seen:
        yield ok(f"{scene.target} has no check that the mapping does not know")


def subject_keys(scene: Scene) -> Iterator[Observation]:
    """Hold them against unique indexes of the target, the primary key aside."""
    extra, staged = _extra(scene), scene.is_staged
    seen = 0
    found = scene.look.ask("unique_indexes", target=scene.target)
    for name, keys, condition, columns, nulls_are_equal, is_exclusion, is_foreign in found:
        seen += 1
        reason = _FOREIGN if is_foreign else _unforeseeable(extra, columns)
        if is_exclusion:
            reason = "it is an exclusion constraint, which only the insert tries"
        yield from _counted(
            scene,
            f"unique index {name}",
            scene.questions.broken_unique(
                extra, keys, condition, nulls_are_equal=nulls_are_equal, staged=staged
            ),
            reason,
            breaks="would meet the same key twice for {} subjects",
            accept="subject_keys",
        )
    if not seen:
        yield ok(f"{scene.target} has no unique index beside its primary key")


def headroom(scene: Scene) -> Iterator[Observation]:
    """How far the sequences of all touched tables have come; what Up needs is a guard."""
    far, unseen, total = [], [], 0
    for name, last, limit, may_look in scene.look.ask("sequences", tables=scene.tables):
        total += 1
        if not may_look:
            unseen.append(name)
        elif last is not None and last > limit * _MUCH_OF_A_SEQUENCE:
            far.append(f"{name} ({100 * last / limit:.1f} % of {limit:,})")
    if far:
        yield note(f"ids are running out: {', '.join(far)}", "Plan to make these keys bigint.")
    if unseen:
        yield unknown(
            f"this user may not look at {', '.join(unseen)}",
            "GRANT SELECT on the sequence, or run preflight as the owner.",
        )
    if not far and not unseen:
        yield ok(f"none of {total} sequences has come to 75 % of its ids")


def _extra(scene: Scene) -> tuple[ExtraColumn, ...]:
    rows = scene.look.ask(
        "extra_columns", table=scene.target, known=list(scene.questions.known_columns())
    )
    return tuple(ExtraColumn(name=name, type=kind, value=value) for name, kind, value in rows)


def _unforeseeable(extra: tuple[ExtraColumn, ...], columns: list[str]) -> str:
    """Return why only the insert can tell; empty where it can be foreseen."""
    names = [column.name for column in extra if column.value is None and column.name in columns]
    return f"it depends on {', '.join(names)}, which only the insert makes" if names else ""


def _counted(
    scene: Scene, what: str, query: str, reason: str, *, breaks: str, accept: str
) -> Iterator[Observation]:
    if reason:
        yield unknown(
            f"whether subjects meet {what} is not foreseen: {reason}",
            "Try Up on a copy of the database (refactorkit drill --from), or drop it meanwhile.",
            accept=accept,
        )
        return
    try:
        (count,) = scene.look.query(query)[0]
    except UnseenError as unseen:
        yield unknown(f"{what}: {unseen.reason}", unseen.advice, accept=accept)
        return
    if count:
        yield no_go(
            f"{what} {breaks.format(f'{count:,}')}: Up would fail there",
            "Mend the rows, or drop it for the cutover.",
        )
    else:
        yield ok(f"every subject meets {what}")


CHECKS = (
    Check(name="counts", area=Area.VALUES, run=counts),
    Check(name="values_without_image", area=Area.VALUES, run=values_without_image),
    Check(name="collisions", area=Area.IDS, run=collisions),
    Check(name="headroom", area=Area.IDS, run=headroom),
    Check(name="subject_checks", area=Area.VALUES, run=subject_checks),
    Check(name="subject_keys", area=Area.VALUES, run=subject_keys),
)
