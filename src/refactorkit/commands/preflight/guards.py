"""The guards of Up, run so that they list what they would refuse.

The block is the migration's own template, so Up refuses exactly where this says no-go.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.scene import Scene
from refactorkit.mapping.collecting import ACCEPT, FOUND, RUNNER, Part, collected_guards
from refactorkit.migrations.model import Direction
from refactorkit.postgres.preflight.looking import UnseenError

_OVERRULED_BY: Final = re.compile(r" \(--accept \w+\)$")
_NAMES: Final = re.compile(r"'(\w+)' (?:<> ALL|= ANY) \(accepted\)")


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of guards, as the template names it.

    Attributes:
        area: where it looks.
        do: what to do about a refusal of its kind.
    """

    area: Area
    do: str


GROUPS: Final[Mapping[str, Group]] = {
    "staged": Group(
        area=Area.TABLES,
        do="Take away what is staged (cutover --abort), and begin again.",
    ),
    "columns": Group(
        area=Area.TABLES,
        do="Bring the column to its definition in the mapping, or change the mapping and compile;"
        " rename one whose name the archive needs.",
    ),
    "owners": Group(
        area=Area.RIGHTS,
        do="Run Up as the owner of all of them (--runner names who will), or change the owner.",
    ),
    "ordinary_tables": Group(
        area=Area.TABLES,
        do="Detach the partition or the heir (ALTER TABLE ... NO INHERIT), or move its rows.",
    ),
    "foreign_keys": Group(
        area=Area.TABLES,
        do="Drop a key that is unknown and make it again afterwards, or put it into the mapping;"
        " mend one that differs (VALIDATE CONSTRAINT, or drop and add).",
    ),
    "dependants": Group(
        area=Area.DEPENDANTS,
        do="Drop it, and make it again for the new version; what hangs on a table that stays"
        " can be accepted.",
    ),
    "row_filters": Group(
        area=Area.DEPENDANTS,
        do="Drop it or switch it off for the cutover, as the finding says.",
    ),
    "publications": Group(
        area=Area.REPLICATION,
        do="Take the tables out of the publication, or accept that it streams what it covers.",
    ),
    "sequences": Group(
        area=Area.IDS,
        do="ALTER SEQUENCE ... CACHE 1 NO CYCLE NO MAXVALUE, or OWNED BY the column.",
    ),
    "attribute_numbers": Group(
        area=Area.TABLES,
        do="Rebuild the table: dump it, make it anew, restore it.",
    ),
    "names": Group(
        area=Area.TABLES,
        do="Find out whose it is; rename it or drop it.",
    ),
    "new_readers": Group(
        area=Area.READERS,
        do="REVOKE it on the target, grant it on the source too, or say yes to it by name.",
    ),
    "archive": Group(
        area=Area.ARCHIVE,
        do="Find out who made or opened it and why; then drop, revoke, or change the owner.",
    ),
    "owners_of_rows": Group(
        area=Area.VALUES,
        do="Give these rows an owner that is there, or delete them.",
    ),
    "placeholders": Group(
        area=Area.VALUES,
        do="Change the value of these rows.",
    ),
    "ids": Group(
        area=Area.IDS,
        do="Change the highest ids, set the sequence back, or make the keys bigint first.",
    ),
    "what_down_kept": Group(
        area=Area.ARCHIVE,
        do="Restore what is missing from a backup, or run the file that Down was run from.",
    ),
}
"""The groups of Up in the order in which it asks."""

DATA_GROUPS: Final = ("owners_of_rows", "placeholders", "ids", "what_down_kept")

STAGED_BEFORE: Final = ("owners_of_rows", "placeholders")
"""Those that Up does not ask where subjects are staged: each row was looked at then."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One sentence of a guard.

    Attributes:
        group: whose it is.
        says: the sentence, without the name that overrules it.
    """

    group: str
    says: str


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What one part of the guards said.

    Attributes:
        refusals: in order.
        groups: those that were asked, in order.
    """

    refusals: tuple[Refusal, ...]
    groups: tuple[str, ...]


class Interview:
    """Asks Up's guards what they would refuse.

    Attributes:
        seconds: how long the guards took once, catalog and rows, as Up runs them.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.seconds = 0.0

    @cached_property
    def catalog(self) -> str:
        """The guards that ask the catalog alone."""
        return collected_guards(self.scene.refactor.mapping, Direction.UP, Part.CATALOG)

    @cached_property
    def data(self) -> str:
        """The guards that look at rows."""
        return collected_guards(self.scene.refactor.mapping, Direction.UP, Part.DATA)

    def ask(self, block: str, *, accept: str | None) -> Collected:
        """Run a part of the guards.

        Args:
            block: which part.
            accept: the names that are accepted, as the setting has them; None for the session's.

        Raises:
            UnseenError: the block could not run to its end.
        """
        look = self.scene.look
        before = look.setting(ACCEPT)
        look.set(RUNNER, self.scene.runner)
        if accept is not None:
            look.set(ACCEPT, accept)
        try:
            look.run(block)
            found = json.loads(look.setting(FOUND))
        finally:
            look.set(ACCEPT, before)
        return _parse(found["refusals"], found["groups"])

    def timed(self, block: str, *, accept: str | None) -> Collected:
        """Run a part of the guards, and add to ``seconds`` what it took.

        Raises:
            UnseenError: as ``ask``.
        """
        started = time.monotonic()
        collected = self.ask(block, accept=accept)
        self.seconds += time.monotonic() - started
        return collected

    def overruled_by(self, everything: Collected) -> dict[Refusal, str]:
        """Return the name that overrules each refusal that can be: the guards are asked by name."""
        if not everything.refusals:
            return {}
        found: dict[Refusal, str] = {}
        for name in sorted(set(_NAMES.findall(self.catalog))):
            left = set(self.ask(self.catalog, accept=name).refusals)
            found |= {each: name for each in everything.refusals if each not in left}
        return found


def guard_observations(interview: Interview) -> Iterator[tuple[str, Observation]]:
    """Give what each group of guards would refuse, or that it would not."""
    accept = ",".join(interview.scene.request.accept) or None
    try:
        binding = interview.timed(interview.catalog, accept=accept)
        everything = interview.ask(interview.catalog, accept="")
        names = interview.overruled_by(everything)
    except UnseenError as unseen:
        for name in GROUPS:
            if name not in DATA_GROUPS:
                yield (
                    name,
                    unknown(f"the guards could not be asked: {unseen.reason}", unseen.advice),
                )
    else:
        yield from _observations(binding, everything, names, interview.scene.request.accept)
    try:
        data = interview.timed(interview.data, accept=accept)
    except UnseenError as unseen:
        for name in DATA_GROUPS:
            yield name, unknown(f"the rows could not be looked at: {unseen.reason}", unseen.advice)
    else:
        yield from _observations(data, data, {}, ())


def _observations(
    binding: Collected,
    everything: Collected,
    names: Mapping[Refusal, str],
    accepted: tuple[str, ...],
) -> Iterator[tuple[str, Observation]]:
    for name in everything.groups:
        refused = [each for each in binding.refusals if each.group == name]
        overruled = [
            each
            for each in everything.refusals
            if each.group == name and each not in binding.refusals
        ]
        for each in refused:
            yield name, no_go(each.says, GROUPS[name].do, accept=names.get(each, ""))
        for each in overruled:
            overrules = names.get(each, "")
            if overrules in accepted:
                yield name, no_go(each.says, GROUPS[name].do, accept=overrules)
            else:  # by the database's or the role's own setting
                yield name, note(f"{each.says} (accepted: {overrules or 'by name'})")
        if not refused and not overruled:
            yield name, ok("Up's guards have nothing to say")


def _parse(sentences: list[str], groups: list[str]) -> Collected:
    starts = [(int(number), name) for number, _, name in (each.partition(" ") for each in groups)]
    refusals = []
    for position, sentence in enumerate(sentences):
        group = [name for start, name in starts if start <= position][-1]
        refusals.append(Refusal(group=group, says=_OVERRULED_BY.sub("", sentence)))
    return Collected(refusals=tuple(refusals), groups=tuple(name for _, name in starts))
