"""The machine's turns: work for a while, then Up, Down, or there and back."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getmembers
from typing import Any, ClassVar

import psycopg
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.property.strategies import positions, worlds
from tests.support.databases import Databases
from tests.support.model.down import Settings
from tests.support.model.live import Live
from tests.support.model.play import Play

Write = Callable[[Any, st.DataObject], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """When a write can be made: in which version (None: in both), and what there must be."""

    version: int | None
    needs: tuple[str, ...]


def write(*needs: str, version: int | None = None) -> Callable[[Write], Write]:
    """Say that a method is one of the writes that `Turns.work` draws from."""

    def marked(method: Write) -> Write:
        method.kind = Kind(version=version, needs=needs)  # type: ignore[attr-defined]
        return method

    return marked


class Turns(Play, RuleBasedStateMachine):
    """A random version-10 database on the server, and the same one in Python.

    A rule is a stretch of work and what ends it: turns cost a hundred times as much as writes do,
    and single writes as rules would leave most runs without an interesting turn.
    """

    databases: ClassVar[Databases]

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self._url = self.databases.create(10)
        self._connection = psycopg.connect(self._url, autocommit=True)
        Play.__init__(self, Live(self._connection))
        self.serial = 0

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Fill the database; the sequences stand anywhere."""
        world = data.draw(worlds(least=1))
        self.begin(world, data.draw(positions(world)))

    def teardown(self) -> None:
        """Look once more, from the other version and from this one; then leave nothing."""
        try:
            self.there_and_back()
        finally:
            self._connection.close()
            self.databases.drop(self._url)

    @rule(data=st.data())
    def work_and_turn(self, data: st.DataObject) -> None:
        """Work, then turn to the other version as plain goose would."""
        self.work(data)
        self.turn(Settings())

    @rule(
        data=st.data(),
        on_conflict=st.sampled_from([None, "live", "archive", ""]),
        keep_logins=st.booleans(),
    )
    def work_and_choose(
        self, data: st.DataObject, on_conflict: str | None, *, keep_logins: bool
    ) -> None:
        """Work, then turn to the other version by the operator's choices."""
        self.work(data)
        self.turn(Settings(on_conflict=on_conflict, keep_logins=keep_logins))

    @rule(data=st.data())
    def work_and_look(self, data: st.DataObject) -> None:
        """Work, then turn twice: nothing is any different."""
        self.work(data)
        self.there_and_back()

    @rule(data=st.data(), version=st.integers(0, 9))
    def work_and_visit(self, data: st.DataObject, version: int) -> None:
        """Work, then go down the chain and up again: nothing is any different."""
        self.work(data)
        self.visit(version)

    def work(self, data: st.DataObject) -> None:
        """Write for a while as the application of the present version does, no kind twice."""
        kinds = {
            name: method.kind
            for name, method in getmembers(type(self), lambda member: hasattr(member, "kind"))
            if method.kind.version in {None, self.world.version}
        }
        names = st.lists(st.sampled_from(sorted(kinds)), min_size=5, unique=True)
        for name in data.draw(names):
            if all(self.world.tables.get(table) for table in kinds[name].needs):
                getattr(self, name)(data)

    def note(self, text: str) -> None:
        """Let Hypothesis tell each write of a failing run."""
        note(text)

    def pick(self, data: st.DataObject, table: str) -> Any:
        """Draw the key of a row of this table."""
        return data.draw(st.sampled_from(sorted(self.world[table])))

    def new_id(self, data: st.DataObject, table: str) -> int:
        """Draw the id of a new row: the sequence's, or now and then one that someone typed in."""
        gaps = sorted(set(range(-5, 60)) - self.world.used[table])
        free = [key for key in gaps if key < self.given_out[table]]
        if free and data.draw(st.integers(0, 3)) == 0:
            return int(data.draw(st.sampled_from(free)))
        return self.live.next_id(table)
