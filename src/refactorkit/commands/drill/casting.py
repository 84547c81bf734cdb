"""Who takes part in a drill's writes."""

from typing import Final

from refactorkit.commands.drill.scenario import Cast
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.drill_people import (
    Pairs,
    assessments_of,
    natives,
    read_rows,
    subjects,
)
from refactorkit.postgres.snapshots import Table

_SUBJECTS: Final = 32
_NATIVES: Final = 12


def cast(connection: Connection, pairs: Pairs, patients: Table, users: Table, *, seed: int) -> Cast:
    """Choose people, the same for the same seed.

    Args:
        connection: to a database at version 11.
        pairs: who became whom.
        patients: a copy of version 10's patients.
        users: the living table.
        seed: decides.
    """
    chosen = subjects(connection, pairs, patients, seed=seed, count=_SUBJECTS)
    others = natives(connection, pairs, patients, seed=seed, count=_NATIVES)
    everybody = {subject.target_id for subject in chosen} | {native.id for native in others}
    # Somebody who has no other part to play, if there is one.
    custodian = min(others, key=lambda n: (n.is_admin, n.owns_patients, n.id), default=None)
    rows = read_rows(connection, users, "id", everybody)
    return Cast(
        subjects=[subject.target_id for subject in chosen],
        without_image=[s.target_id for s in chosen if s.has_value_without_image],
        natives=[native.id for native in others],
        admins=[native.id for native in others if native.is_admin],
        owners=[n.id for n in others if n.owns_patients and not n.made_others],
        custodian=custodian.id if custodian else None,
        users={int(row["id"] or 0): row for row in rows},
        assessments=assessments_of(connection, everybody),
    )
