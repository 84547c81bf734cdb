"""verify --rollback on random databases of version 11: Down does what was foretold."""

from hypothesis.stateful import run_state_machine_as_test

from tests.property.effort import effort
from tests.property.machine_writes_10 import Writes10
from tests.property.machine_writes_11 import Writes11
from tests.support.databases import Databases
from tests.support.metered import MeteredLive


def test_whatever_was_written_down_does_what_was_foretold(databases: Databases) -> None:
    class Machine(Writes10, Writes11):
        def __init__(self) -> None:
            super().__init__()
            self.live = MeteredLive(self.live.connection)

    Machine.databases = databases
    run_state_machine_as_test(Machine, settings=effort(6, steps=5))
