"""Down, by the rules of the design: from version 11 and the archive to version 10 and it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.support.model.columns import (
    ASSESSED_BEFORE,
    ASSESSMENTS_10,
    CARRIED,
    PATIENTS,
    USERS_10,
    Carried,
    Row,
    Value,
    has_profile,
    is_deleted,
)
from tests.support.model.world import Complement, Pair, Withheld, World

NOW = "the transaction's time"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The operator's choices."""

    on_conflict: str | None = None
    custodian: str | None = None
    keep_logins: bool = False

    def entrusted_to(self, email: str) -> "Settings":
        """Return the same with a custodian."""
        return replace(self, custodian=email)

    def texts(self) -> Mapping[str, str]:
        """Return them as settings of the session."""
        given = {
            "on_conflict": self.on_conflict,
            "custodian": self.custodian,
            "keep_logins": "on" if self.keep_logins else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def needs_custodian(world: World) -> set[int]:
    """Return the ids of the patients who would come back and whose owner is gone."""
    complement = world.complement
    return {
        patient_id
        for patient_id, pair in complement.pairs.items()
        if pair.user in world["users"]
        and not is_deleted(world["users"][pair.user])
        and complement.patients[patient_id]["user_id"] not in world["users"]
    }


def may_be_custodian(world: World, email: str) -> bool:
    """Tell whether this email is an existing native's, who is not deleted."""
    return any(
        world["users"][user_id]["email"] == email and not is_deleted(world["users"][user_id])
        for user_id in world.natives()
    )


def down(
    eleven: World, settings: Settings, *, new_patient_id: Callable[[int], int], now: str = NOW
) -> World:
    """Return the version-10 world.

    `new_patient_id` names the patient that a native becomes: the design leaves some freedom there.
    """
    turn = _Down(eleven, settings, now)
    turn.withhold()
    turn.carry_home()
    turn.show_natives(new_patient_id)
    turn.let_subjects_go()
    turn.relink()
    return turn.ten


class _Down:
    def __init__(self, eleven: World, settings: Settings, now: str) -> None:
        self.eleven = eleven.copy()
        self.settings = settings
        self.now = now
        self.before = self.eleven.complement
        self.after = Complement(
            trusted=set(self.before.trusted),
            kept_users=dict(self.eleven["users"]),
            kept_assessments={
                key: {name: row[name] for name in ASSESSED_BEFORE}
                for key, row in self.eleven["assessments"].items()
            },
            kept_notifications=self.eleven["notification_queue"],
            # Who was softly deleted in an earlier turn and never found their way back.
            withheld_assessments=self.before.withheld_assessments,
        )
        self.ten = World(version=10, complement=self.after, used=self.eleven.used)
        self.ten.past = self.eleven.past
        self.ten.tables["clinics"] = self.eleven["clinics"]

    def user(self, pair: Pair) -> Row | None:
        return self.eleven["users"].get(pair.user)

    def withhold(self) -> None:
        """Leave the deleted out: for good where the account is gone, else until the next Up."""
        for patient_id, pair in self.before.pairs.items():
            if self.eleven.edited_by_hand(patient_id):
                self.ten.decide("patients", patient_id, "", kept=None, lost=None)
            user = self.user(pair)
            if user is None:
                self.ten.past.add((patient_id, pair.user))
                continue
            if is_deleted(user):
                self.after.withheld[patient_id] = Withheld(
                    row=self.before.patients[patient_id],
                    pair=pair,
                    base=self.before.base[pair.user],
                )
            else:
                self.after.pairs[patient_id] = pair

    def carry_home(self) -> None:
        """Merge each patient: what version 11 changed since it was in step, else the raw value."""
        for patient_id, pair in self.after.pairs.items():
            user = self.eleven["users"][pair.user]
            raw = self.before.patients[patient_id]
            merged = dict(raw)
            for column in CARRIED:
                if column.of(user) != self._base(column, patient_id, raw):
                    merged[column.source] = self._merge(column, patient_id, raw, user)
            if merged != raw:
                same = user["updated_at"] == raw["updated_at"]
                merged["updated_at"] = self.now if same else user["updated_at"]
            if merged["user_id"] not in self.eleven["users"]:
                custodian = self._custodian()
                self.ten.decide(
                    "patients", patient_id, "user_id", kept=custodian, lost=raw["user_id"]
                )
                merged["user_id"] = custodian
            self.ten.put("patients", patient_id, merged)

    def _base(self, column: Carried, patient_id: int, raw: Row) -> tuple[Value, ...]:
        """Return what the last Up wrote, as far as an edit by hand lets anybody know."""
        before, user_id = self.before, self.before.pairs[patient_id].user
        if raw[column.source] == before.sealed[patient_id][column.source]:
            return column.of(before.base[user_id])
        written = before.last_written.get(patient_id)
        if written is not None and written[column.source] == raw[column.source]:
            return column.of(before.last_kept[user_id])
        return column.image(raw)

    def _merge(self, column: Carried, patient_id: int, raw: Row, user: Row) -> Value:
        """Return the new value; raw ones without an image, or edited by hand, are conflicts."""
        old = raw[column.source]
        new = _home(column, user, native=self.after.pairs[patient_id].native)
        imageless = column.lossy and old is not None and column.image(raw) == (None,)
        if not imageless and not self.eleven.edited_by_hand(patient_id):
            return new
        kept, lost = (old, new) if self.settings.on_conflict == "archive" else (new, old)
        self.ten.decide("patients", patient_id, column.source, kept=kept, lost=lost)
        return kept

    def _custodian(self) -> int:
        (found,) = (
            key
            for key, user in self.eleven["users"].items()
            if user["email"] == self.settings.custodian
        )
        assert isinstance(found, int)
        return found

    def show_natives(self, new_patient_id: Callable[[int], int]) -> None:
        """Make patients of natives with a profile or assessments: they own themselves."""
        paired = {pair.user for pair in self.before.pairs.values()}
        assessed = {row["user_id"] for row in self.eleven["assessments"].values()}
        for user_id, user in sorted(self.eleven["users"].items()):
            assert isinstance(user_id, int)
            if user_id in paired or is_deleted(user):
                continue
            if not has_profile(user) and user_id not in assessed:
                continue
            patient_id = new_patient_id(user_id)
            row: Row = dict.fromkeys(PATIENTS)
            row.update({column.source: _home(column, user, native=True) for column in CARRIED})
            row.update(
                id=patient_id,
                user_id=user_id,
                created_at=user["created_at"],
                updated_at=user["updated_at"],
            )
            self.after.pairs[patient_id] = Pair(user=user_id, native=True)
            self.ten.put("patients", patient_id, row)

    def let_subjects_go(self) -> None:
        """Leave subjects and what is theirs out of version 10; natives keep their v10 columns."""
        gone = self.eleven.subjects()
        for key, user in self.eleven["users"].items():
            if key not in gone:
                assert isinstance(key, int)
                self.ten.put("users", key, self._native(key, user, gone))
        for table, kept in (
            ("refresh_tokens", self.after.kept_tokens),
            ("user_clinics", self.after.kept_memberships),
        ):
            for key, row in self.eleven[table].items():
                if row["user_id"] in gone:
                    kept[key] = row
                else:
                    self.ten.put(table, key, row)
        self.after.written_users = self.ten.copy()["users"]
        self.after.written_patients = self.ten.copy()["patients"]

    def _native(self, key: int, user: Row, gone: set[int]) -> Row:
        row = {name: user[name] for name in USERS_10}
        if user["role"] == "admin" and not user["is_admin"]:
            row["role"] = "clinician"
        if user["is_admin"] != (user["role"] == "admin"):
            lost = "admin" if user["is_admin"] else user["role"]
            self.ten.decide("users", key, "role", kept=row["role"], lost=lost)
        known = key in self.after.trusted or self.settings.keep_logins
        row["is_active"] = bool(user["is_active"]) and not is_deleted(user) and known
        if known == (key in self.after.trusted) and self._may_log_in_as_before(key, user):
            row["is_active"] = self.before.natives_10[key]["is_active"]
        if user["is_active"] and not row["is_active"]:
            self.ten.decide("users", key, "is_active", kept=False, lost=True)
        if user["created_by"] in gone:
            row["created_by"] = None
        return row

    def _may_log_in_as_before(self, key: int, user: Row) -> bool:
        """Tell whether version 11 left this native's login alone: then version 10's stays."""
        before = self.before.natives_11.get(key)
        return before is not None and (user["is_active"], is_deleted(user)) == (
            before["is_active"],
            is_deleted(before),
        )

    def relink(self) -> None:
        """Give each assessment to the patient whom its user is."""
        patient_of = {pair.user: patient for patient, pair in self.after.pairs.items()}
        users = self.eleven["users"]
        for key, row in self.eleven["assessments"].items():
            user_id = row["user_id"]
            if isinstance(user_id, int) and is_deleted(users[user_id]):
                self.after.withheld_assessments[key] = row
                continue
            link = patient_of[user_id] if isinstance(user_id, int) else None
            values: Row = {name: row.get(name) for name in ASSESSMENTS_10}
            self.ten.put("assessments", key, values | {"patient_id": link})


def _home(column: Carried, user: Row, *, native: bool) -> Value:
    value = column.back(column.of(user))
    # A native who has no name is named by their email.
    return user["email"] if native and column.source == "name" and value == "" else value
