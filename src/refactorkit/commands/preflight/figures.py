"""How many rows Up will find, make and change."""

from collections.abc import Mapping
from dataclasses import dataclass

from refactorkit.mapping.preflight import Questions
from refactorkit.postgres.preflight.looking import Look


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counted, not estimated: on the same rows, Up counts the same.

    Attributes:
        sources: rows of the source.
        natives: rows of the target, without subjects that are staged.
        pairs: sources that there will be, those withheld since the last Down included.
        subjects: pairs whose target row Up makes.
        renumbered: pairs whose target row has another id than the source row.
        collisions: those of them that are new: the source's id was, or may have been, a target's.
        ids_used: the highest id that is, was or may be in use in either table.
        deleted: sources deleted since the last Down: their subjects do not return.
        without_image: values of each lossy column of the source that have no image, by its name.
        links: rows of each table that is relinked, by its name with the schema.
        relinked: those of them that Up must write.
    """

    sources: int
    natives: int
    pairs: int
    subjects: int
    renumbered: int
    collisions: int
    ids_used: int
    deleted: int
    without_image: Mapping[str, int]
    links: Mapping[str, int]
    relinked: Mapping[str, int]


def count(look: Look, questions: Questions, *, again: bool, staged: bool) -> Figures:
    """Count.

    Raises:
        UnseenError: this user may not read the tables, or it took too long.
    """
    row = look.query(questions.figures(again=again, staged=staged))[0]
    *numbers, links, relinked = row
    lossy = questions.lossy
    imageless = look.query(questions.unmapped())[0] if lossy else ()
    sources, natives, pairs, subjects, renumbered, collisions, ids_used, deleted = (
        int(number or 0) for number in numbers
    )
    return Figures(
        sources=sources,
        natives=natives,
        pairs=pairs,
        subjects=subjects,
        renumbered=renumbered,
        collisions=collisions,
        ids_used=ids_used,
        deleted=deleted,
        without_image=dict(zip(lossy, imageless, strict=True)),
        links=dict(zip(questions.links, links, strict=True)),
        relinked=dict(zip(questions.links, relinked, strict=True)),
    )
