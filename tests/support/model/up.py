"""Up, by the rules of the design: from version 10 and the archive to version 11 and it."""

from collections.abc import Callable

from tests.support.model.columns import (
    ASSESSED_BEFORE,
    ASSESSMENTS_11,
    CARRIED,
    EXISTING,
    Row,
    placeholder,
)
from tests.support.model.world import Complement, Pair, World


def up(ten: World, *, new_user_id: Callable[[int], int]) -> World:
    """Return the version-11 world.

    `new_user_id` names the subject of a patient who never was one: the design leaves some freedom.
    """
    turn = _Up(ten)
    turn.pair(new_user_id)
    turn.natives()
    turn.subjects()
    turn.creators()
    turn.follow()
    turn.relink()
    turn.look_back()
    return turn.eleven


class _Up:
    def __init__(self, ten: World) -> None:
        self.ten = ten.copy()
        self.before = self.ten.complement
        self.after = Complement(
            patients=dict(self.ten["patients"]),
            last_written=self.before.written_patients,
            last_kept=dict(self.before.kept_users),
            natives_10=self.ten["users"],
            trusted={
                key
                for key, user in self.ten["users"].items()
                if isinstance(key, int) and self._trusts(key, user)
            },
        )
        self.eleven = World(version=11, complement=self.after, used=self.ten.used)
        self.eleven.past = self.ten.past
        self.eleven.tables = {
            "users": {},
            "assessments": {},
            "refresh_tokens": self.ten["refresh_tokens"],
            "clinics": self.ten["clinics"],
            "user_clinics": self.ten["user_clinics"],
            "notification_queue": {},
        }

    def _trusts(self, key: int, user: Row) -> bool:
        """Tell whether version 10 knows this native: it made or let them in."""
        made_in_11 = key in self.before.kept_users and key not in self.before.trusted
        return not made_in_11 or user["is_active"] is True

    def pair(self, new_user_id: Callable[[int], int]) -> None:
        """Find every patient's user: the same as ever, or a new one."""
        for patient_id in sorted(self.ten["patients"]):
            assert isinstance(patient_id, int)
            pair = self.before.pairs.get(patient_id)
            # A native who deleted the account, but whose patient someone else took over.
            if pair is not None and pair.native and pair.user not in self.ten["users"]:
                self.eleven.past.add((patient_id, pair.user))
                pair = None
            if pair is None:
                pair = Pair(user=new_user_id(patient_id), native=False)
                self.before.kept_users.pop(pair.user, None)
            self.after.pairs[patient_id] = pair
        for patient_id, pair in self.before.pairs.items():
            if patient_id not in self.ten["patients"]:
                self.eleven.past.add((patient_id, pair.user))
                self.eleven.decide("patients", patient_id, "", kept=None, lost=None)
        for patient_id, withheld in self.before.withheld.items():
            if withheld.pair.native and withheld.pair.user not in self.ten["users"]:
                self.eleven.past.add((patient_id, withheld.pair.user))
                continue
            self.after.pairs[patient_id] = withheld.pair
            self.after.patients[patient_id] = withheld.row

    def natives(self) -> None:
        """Give the natives back what version 10 could not hold."""
        paired = {pair.user: patient_id for patient_id, pair in self.after.pairs.items()}
        shown = {pair.user: patient for patient, pair in self.before.pairs.items() if pair.native}
        for key, user in self.ten["users"].items():
            assert isinstance(key, int)
            kept = self.before.kept_users.get(key)
            row: Row = {**user, **EXISTING, "is_admin": user["role"] == "admin"}
            if kept is not None:
                row.update({name: kept[name] for name in EXISTING if name != "is_admin"})
                written = self.before.written_users[key]
                if user["role"] == written["role"]:
                    row.update(role=kept["role"], is_admin=kept["is_admin"])
                if user["is_active"] == written["is_active"]:
                    row["is_active"] = kept["is_active"]
                if key in shown and shown[key] not in self.ten["patients"]:
                    row.update(_cleared())
            if key in paired and paired[key] in self.ten["patients"]:
                self._carry_forward(paired[key], row)
            self.eleven.put("users", key, row)
            if key in paired:
                self._in_step(paired[key], row)

    def subjects(self) -> None:
        """Make a user of every patient, or give the one back whom Down took away."""
        taken = {user["email"] for user in self.ten["users"].values()}
        for patient_id, pair in sorted(self.after.pairs.items()):
            if pair.native:
                continue
            patient = self.after.patients[patient_id]
            kept = self.before.kept_users.get(pair.user)
            if kept is None:
                row = _subject(patient_id, pair.user, patient)
            else:
                row = dict(kept)
                if patient_id in self.ten["patients"]:
                    self._carry_forward(patient_id, row)
                    written = self.before.written_patients[patient_id]
                    for name in ("created_at", "updated_at"):
                        if patient[name] != written[name]:
                            row[name] = patient[name]
                if row["email"] in taken:
                    free = placeholder(patient_id)
                    self.eleven.decide("users", pair.user, "email", kept=free, lost=row["email"])
                    row.update(email=free, is_active=False)
            self.eleven.put("users", pair.user, row)
            self._in_step(patient_id, row)

    def _carry_forward(self, patient_id: int, row: Row) -> None:
        """Put what version 10 wrote since Down into the user's row."""
        patient, written = (
            self.ten["patients"][patient_id],
            self.before.written_patients[patient_id],
        )
        for column in CARRIED:
            if patient[column.source] != written[column.source]:
                row.update(zip(column.targets, column.image(patient), strict=True))

    def _in_step(self, patient_id: int, row: Row) -> None:
        withheld = self.before.withheld.get(patient_id)
        # Version 10 never saw what version 11 wrote before the deletion: it is still to be carried.
        self.after.base[self.after.pairs[patient_id].user] = (
            withheld.base if withheld else dict(row)
        )

    def creators(self) -> None:
        """Give `created_by` back where version 10 could not hold it."""
        users = self.eleven["users"]
        for key, row in users.items():
            kept = self.before.kept_users.get(key)
            creator = row["created_by"]
            if kept is not None and key in self.ten["users"]:
                written = self.before.written_users[key]
                if creator == written["created_by"] and kept["created_by"] in users:
                    row["created_by"] = kept["created_by"]
            elif creator not in users:
                row["created_by"] = None

    def follow(self) -> None:
        """Give back what went with the subjects: sessions, memberships, notifications."""
        users = self.eleven["users"]
        tokens = self.eleven["refresh_tokens"]
        for key, row in self.before.kept_tokens.items():
            known = {token["token_hash"] for token in tokens.values()}
            if row["user_id"] in users and row["token_hash"] not in known:
                self.eleven.put("refresh_tokens", key, row)
        for key, row in self.before.kept_memberships.items():
            if row["user_id"] in users and row["clinic_id"] in self.eleven["clinics"]:
                self.eleven.put("user_clinics", key, row)
        for key, row in self.before.kept_notifications.items():
            if row["user_id"] in users:
                self.eleven.put("notification_queue", key, row)

    def relink(self) -> None:
        """Give each assessment to its patient's user."""
        for key, row in self.ten["assessments"].items():
            patient_id = row["patient_id"]
            link = self.after.pairs[patient_id].user if isinstance(patient_id, int) else None
            added = self.before.kept_assessments.get(key, ASSESSED_BEFORE)
            whole: Row = {**row, "user_id": link, **added}
            self.eleven.put("assessments", key, {name: whole[name] for name in ASSESSMENTS_11})
        for key, row in self.before.withheld_assessments.items():
            if row["user_id"] in self.eleven["users"]:
                self.eleven.put("assessments", key, row)
            else:
                self.after.withheld_assessments[key] = row

    def look_back(self) -> None:
        """Remember how the natives were left: what version 11 changes shows against that."""
        users = self.eleven.copy()["users"]
        self.after.natives_11 = {key: users[key] for key in self.ten["users"]}
        self.after.sealed = {key: dict(row) for key, row in self.after.patients.items()}


def _subject(patient_id: int, user_id: int, patient: Row) -> Row:
    row: Row = {
        "id": user_id,
        "email": placeholder(patient_id),
        "password_hash": "!",
        "role": "member",
        "created_at": patient["created_at"],
        "updated_at": patient["updated_at"],
        "is_active": False,
        "last_login_at": None,
        "created_by": None,
        **EXISTING,
    }
    for column in CARRIED:
        row.update(zip(column.targets, column.image(patient), strict=True))
    return row


def _cleared() -> Row:
    """Return a profile without any clinical value."""
    return {
        name: EXISTING[name] for column in CARRIED if column.clinical for name in column.targets
    }
