"""Erasure, by the rules of the design: a person goes for good, and their ids stay used."""

from tests.support.model.world import Key, RestrictedError, Table, World


def ids_of(world: World, patient_id: int) -> tuple[set[Key], set[Key]]:
    """Return all ids of the person of this patient: in patients, and in users."""
    pairs = {(key, pair.user) for key, pair in world.complement.pairs.items()} | world.past
    pairs |= {(key, each.pair.user) for key, each in world.complement.withheld.items()}
    patients: set[Key] = {patient_id}
    users: set[Key] = set()
    while True:
        found = [pair for pair in pairs if pair[0] in patients or pair[1] in users]
        if {key for key, _ in found} <= patients and {key for _, key in found} <= users:
            return patients, users
        patients |= {key for key, _ in found}
        users |= {key for _, key in found}


def erase(world: World, patient_id: int) -> None:
    """Take a person away for good.

    Raises:
        RestrictedError: in version 10 the person's account has patients of other people.
    """
    patients, users = ids_of(world, patient_id)
    living = world.tables.get("patients", {})
    if any(row["user_id"] in users and key not in patients for key, row in living.items()):
        raise RestrictedError
    for user in world["users"].values():
        if user["created_by"] in users:
            user["created_by"] = None
    _remove(world["assessments"], world.person, patients if world.version == 10 else users)
    _remove(living, "id", patients)
    for table in ("refresh_tokens", "user_clinics", "notification_queue"):
        _remove(world.tables.get(table, {}), "user_id", users)
    _remove(world["users"], "id", users)
    _forget(world, patients, users)


def _forget(world: World, patients: set[Key], users: set[Key]) -> None:
    kept = world.complement
    for table in (
        kept.kept_tokens,
        kept.kept_memberships,
        kept.kept_notifications,
        kept.withheld_assessments,
    ):
        _remove(table, "user_id", users)
    for table in (kept.kept_users, kept.written_users, kept.natives_10, kept.natives_11):
        _remove(table, "id", users)
    for table in (kept.patients, kept.written_patients):
        _remove(table, "id", patients)
    kept.base = {key: row for key, row in kept.base.items() if key not in users}
    kept.pairs = {key: pair for key, pair in kept.pairs.items() if key not in patients}
    kept.withheld = {key: each for key, each in kept.withheld.items() if key not in patients}
    kept.trusted = {key for key in kept.trusted if key not in users}
    world.past = {pair for pair in world.past if pair[0] not in patients}


def _remove(table: Table, column: str, ids: set[Key]) -> None:
    for key in [key for key, row in table.items() if row[column] in ids]:
        del table[key]
