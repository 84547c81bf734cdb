"""The table locks, as table 13.2 of PostgreSQL's manual has them."""

import pytest

from refactorkit.postgres.lock_modes import LockMode, adds_to

# Requested mode against existing mode, in the manual's order; X: conflict.
TABLE = """
AccessShareLock          . . . . . . . X
RowShareLock             . . . . . . X X
RowExclusiveLock         . . . . X X X X
ShareUpdateExclusiveLock . . . X X X X X
ShareLock                . . X X . X X X
ShareRowExclusiveLock    . . X X X X X X
ExclusiveLock            . X X X X X X X
AccessExclusiveLock      X X X X X X X X
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_modes_conflict_as_in_the_manual(row: str) -> None:
    name, *cells = row.split()
    mode = LockMode.of_pg_locks(name)
    expected = {other for other, cell in zip(LockMode, cells, strict=True) if cell == "X"}
    assert mode.conflicts == expected
    assert mode.blocks


def test_a_lock_adds_nothing_where_those_that_are_held_keep_the_same_people_out() -> None:
    held = frozenset({LockMode.SHARE, LockMode.ROW_EXCLUSIVE})
    assert not adds_to(held, LockMode.SHARE_UPDATE_EXCLUSIVE)
    assert not adds_to(frozenset({LockMode.ACCESS_EXCLUSIVE}), LockMode.EXCLUSIVE)
    assert adds_to(held, LockMode.EXCLUSIVE)
    assert adds_to(frozenset(), LockMode.ACCESS_SHARE)


def test_a_mode_that_no_table_has_is_refused() -> None:
    with pytest.raises(ValueError, match="SIReadLock"):
        LockMode.of_pg_locks("SIReadLock")
