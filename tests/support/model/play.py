"""A database and its model, side by side: the same writes and turns, compared every time."""

from collections.abc import Callable

import psycopg
import pytest

from refactorkit.errors import RefusedError
from tests.support.model.columns import TABLES, Row
from tests.support.model.down import Settings, down, may_be_custodian, needs_custodian
from tests.support.model.erase import erase, ids_of
from tests.support.model.live import Live
from tests.support.model.up import up
from tests.support.model.world import Key, RestrictedError, Table, World

REFUSED = "RK001"


class Play:
    """Writes and turns on the server and in the model; a difference is an assertion."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.world = World()
        # The highest ids that the sequences have given out.
        self.given_out = {"users": 0, "patients": 0}
        # The ids that a turn has met. A row that came and went since, with an id past its sequence,
        # left no trace.
        self._met: dict[str, set[int]] = {"users": set(), "patients": set()}
        # The same as they stood at the first cutover: a row that had such an id may be gone since.
        self._first: dict[str, int] = {}
        # Emails that version 11 knew: somebody may take one in version 10.
        self.emails: set[str] = set()

    def begin(self, world: World, positions: dict[str, tuple[int, bool]]) -> None:
        """Fill the empty database; these sequences stand here, the others where they should."""
        self.world = world
        self.live.load(world)
        for table in ("assessments", "refresh_tokens", "clinics"):
            top = max([1, *(key for key in world[table] if isinstance(key, int))])
            self.live.set_sequence(table, top)
        for table, (last, called) in positions.items():
            self.live.set_sequence(table, last, called=called)
        self.given_out = self.live.last_values()

    def note(self, text: str) -> None:
        """Hear of each write; nobody listens here."""

    def put(self, table: str, key: Key, row: Row) -> None:
        """Insert a row, here and there."""
        self.note(f"INSERT {table} {row}")
        self.live.insert(table, row)
        self.world.put(table, key, row)

    def change(self, table: str, key: Key, values: Row) -> None:
        """Update a row, here and there."""
        self.note(f"UPDATE {table} {key} {values}")
        self.live.update(table, key, values)
        self.world.change(table, key, values)

    def remove(self, table: str, key: Key) -> None:
        """Delete a row with what hangs on it, here and there."""
        self.note(f"DELETE {table} {key}")
        self.world.remove(table, key)
        self.live.delete(table, key)

    def erase(self, patient_id: int) -> bool:
        """Erase a person, here and there; False where the account has patients of other people."""
        self.note(f"ERASE {patient_id}")
        patients, users = ids_of(self.world, patient_id)
        for table, ids in (("patients", patients), ("users", users)):
            self._met[table] |= {key for key in ids if isinstance(key, int)}
            self.world.used[table] |= {key for key in ids if isinstance(key, int)}
        try:
            erase(self.world, patient_id)
        except RestrictedError:
            with pytest.raises(RefusedError, match="belong to the person's account"):
                self.live.erase(patient_id)
            self.compare()
            return False
        self.live.erase(patient_id)
        self.compare()
        return True

    def compare(self) -> None:
        """Hold every row of every table to the model's."""
        live = self.live.tables(self.world.version)
        found = [
            difference
            for table in TABLES[self.world.version]
            for difference in differences(table, live[table], self.world[table])
        ]
        if found:
            raise AssertionError("\n".join(["the server has, and the model says:", *found]))

    def turn(self, settings: Settings) -> bool:
        """Turn to the other version; False where Down needs a custodian and there is none."""
        if self.world.version == 10:
            self._up()
            return True
        return self._down(settings)

    def there_and_back(self) -> None:
        """Turn twice: nothing is any different, and no setting was needed (laws 1 and 2)."""
        before, version = self.world.copy().tables, self.world.version
        if self.turn(Settings()):
            self.turn(Settings())
        assert self.world.version == version
        assert self.world.tables == before, "the model itself breaks law 1 or 2"

    def visit(self, version: int) -> None:
        """Go down to a version below 10 and come back: nothing is any different (laws 1 and 2)."""
        if self.world.version == 11:
            before = self.world.copy().tables
            if self.turn(Settings()):
                self.visit(version)
                self.turn(Settings())
            assert self.world.tables == before, "the model itself breaks law 2"
            return
        self.compare()
        self.note(f"VISIT {version}")
        self.live.visit(version)
        self.compare()

    def _up(self) -> None:
        self.compare()
        self._look_at_ids()
        self._first = self._first or dict(self.given_out)
        before = self.world.copy()
        # Whoever changes all that identifies a row is still the same person here.
        self.live.turn("up", {"accept": "reused_ids"})
        pairs = self.live.pairs()
        chosen = self._choice(before, pairs, space="users", own="patients")
        self.world = up(before, new_user_id=chosen)
        self.compare()
        self._check_archive(pairs)

    def _down(self, settings: Settings) -> bool:
        self.compare()
        settings = self._with_custodian(settings)
        if settings.custodian is None and needs_custodian(self.world):
            return False
        self._look_at_ids()
        before = self.world.copy()
        now = self.live.turn("down", settings.texts())
        pairs = self.live.pairs()
        patient_of = {user: patient for patient, user in pairs.items()}
        chosen = self._choice(before, patient_of, space="patients", own="users")
        self.world = down(before, settings, new_patient_id=chosen, now=now)
        self.compare()
        self._check_archive(pairs)
        kept = self.world.complement.kept_users.values()
        self.emails.update(str(row["email"]) for row in kept)
        return True

    def _with_custodian(self, settings: Settings) -> Settings:
        """Find a custodian where one is needed, after a look at the refusal without one."""
        if not needs_custodian(self.world):
            return settings
        with pytest.raises(psycopg.Error) as refused:
            self.live.turn("down", settings.texts())
        assert refused.value.sqlstate == REFUSED
        self.compare()
        emails = sorted(str(self.world["users"][key]["email"]) for key in self.world.natives())
        for email in emails:
            if may_be_custodian(self.world, email):
                return settings.entrusted_to(email)
        return settings

    def _look_at_ids(self) -> None:
        self.given_out = self.live.last_values()
        for table, used in self.world.used.items():
            met = self._met[table] | set(self.world.tables.get(table, ()))
            used.intersection_update(met | {key for key in used if key <= self.given_out[table]})
            self._met[table] = set(used)

    def _choice(
        self, before: World, chosen: dict[int, int], *, space: str, own: str
    ) -> Callable[[int], int]:
        """Hold new ids to the rules: a row's own where it is free, or one unheard of."""
        ids = before.used[space] | before.used[own]
        top = max([*ids, *self.given_out.values()])

        def check(key: int) -> int:
            assert key in chosen, f"{key} was given no row in {space}"
            found = chosen[key]
            if found == key:
                assert key not in before.used[space], f"{space} has had the id {key}"
                assert key > self._first[space], f"a row of {space} may have had the id {key}"
            else:
                assert found > top, f"{found} is not past every id that was"
                assert key <= max([*before.used[space], self.given_out[space]]), (
                    f"{key} was free in {space}, and {found} was taken"
                )
            return found

        return check

    def _check_archive(self, pairs: dict[int, int]) -> None:
        """Hold pairs, decisions and sequences to the model's and to laws 5 and 8."""
        model = self.world.complement.pairs
        assert pairs == {patient: pair.user for patient, pair in model.items()}
        assert self.live.decisions() == self.world.decisions
        top = max([0, *(key for used in self.world.used.values() for key in used)])
        found = self.live.last_values()
        for table, last in found.items():
            assert last >= self.given_out[table], f"{table}: {last} after {self.given_out[table]}"
            # Nobody takes a patient's id in version 11: Down looks after that sequence in time.
            if table == "users" or self.world.version == 10:
                assert last >= top, f"{table}: {last}, and {top} was in use"
        self.given_out = found


def differences(table: str, live: Table, model: Table) -> list[str]:
    """Return what differs, a value a line; pytest's own comparison of such tables takes seconds."""
    found = []
    for key in {**live, **model}:
        here, there = live.get(key), model.get(key)
        if here is None or there is None:
            found.append(f"{table} {key}: {here} | {there}")
        elif here != there:
            found.extend(
                f"{table} {key} {name}: {here[name]!r} | {there[name]!r}"
                for name in there
                if here[name] != there[name]
            )
    return found
