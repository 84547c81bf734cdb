"""Laws 1 to 4 and 8: both versions, written to and turned any number of times, against a model."""

from hypothesis.stateful import run_state_machine_as_test

from tests.property.effort import effort
from tests.property.machine_writes_10 import Writes10
from tests.property.machine_writes_11 import Writes11
from tests.support.databases import Databases


def test_no_sequence_of_turns_and_writes_loses_or_gives_away_a_value(
    databases: Databases,
) -> None:
    class Machine(Writes10, Writes11):
        pass

    Machine.databases = databases
    run_state_machine_as_test(Machine, settings=effort(60, steps=6))
