"""What the application of version 11 writes."""

from typing import Any

from hypothesis import strategies as st

from tests.property.machine_turns import write
from tests.property.machine_writes import Writes
from tests.property.strategies import (
    ACCOUNT,
    NOTIFICATION,
    PATIENT,
    PROFILE,
    SELF_REPORT,
    TIMES,
    maybe,
    some_of,
    values,
)
from tests.support.model.columns import SIGNED_UP, Row, is_deleted


class Writes11(Writes):
    """Writes of version 11."""

    @write("users", version=11)
    def fill_in_a_profile(self, data: st.DataObject) -> None:
        """Update the health profile of a subject or a native, and perhaps say when."""
        row: Row = data.draw(some_of(PROFILE))
        touched = data.draw(maybe(st.sampled_from(TIMES)))
        moved: Row = {} if touched is None else {"updated_at": touched}
        self.change("users", self.pick(data, "users"), row | moved)

    @write("users", version=11)
    def rename(self, data: st.DataObject) -> None:
        """Change one name or both."""
        names = {name: ACCOUNT[name] for name in ("first_name", "last_name")}
        self.change("users", self.pick(data, "users"), data.draw(some_of(names)))

    @write("users", version=11)
    def change_an_account(self, data: st.DataObject) -> None:
        """Update what else an account holds: consents, settings, a login."""
        self.change("users", self.pick(data, "users"), data.draw(some_of(ACCOUNT)))

    @write("users", version=11)
    def claim(self, data: st.DataObject) -> None:
        """Take over an account: an email of one's own, a password, and in."""
        key = self.pick(data, "users")
        row: Row = {"password_hash": "claimed", "is_active": True}
        self.change("users", key, {"email": self._own_email(key)} | row)

    @write(version=11)
    def sign_up(self, data: st.DataObject) -> None:
        """Insert a native, with or without a profile, made by somebody or by themselves."""
        key = self.new_id(data, "users")
        row: Row = {
            "id": key,
            "email": self._own_email(key),
            "password_hash": "h",
            "role": "member",
            "created_at": TIMES[0],
            "updated_at": TIMES[0],
            "is_active": data.draw(st.booleans()),
            "last_login_at": None,
            "created_by": self.somebody(data),
            **SIGNED_UP,
            "consent_updated_at": TIMES[1],
        }
        told = data.draw(st.one_of(some_of(PROFILE), some_of(ACCOUNT), st.just({})))
        self.put("users", key, row | told)

    @write("users", version=11)
    def change_rights(self, data: st.DataObject) -> None:
        """Give or take the flag, perhaps with another role."""
        role = data.draw(maybe(st.sampled_from(["clinician", "researcher", "member"])))
        row: Row = {"is_admin": data.draw(st.booleans())}
        self.change(
            "users", self.pick(data, "users"), row | ({} if role is None else {"role": role})
        )

    @write("users", version=11)
    def let_in_or_lock_out(self, data: st.DataObject) -> None:
        """Switch an account on or off."""
        self.change("users", self.pick(data, "users"), {"is_active": data.draw(st.booleans())})

    @write("users", version=11)
    def delete_softly_or_restore(self, data: st.DataObject) -> None:
        """Mark an account as deleted, in one of the ways that there are, or no longer."""
        key = self.pick(data, "users")
        how = data.draw(st.sampled_from(["status", "time", "both"]))
        row: Row = {"account_status": "active", "deleted_at": None}
        if not is_deleted(self.world["users"][key]):
            row = {
                "account_status": "active" if how == "time" else "deleted",
                "deleted_at": None if how == "status" else TIMES[1],
            }
        self.change("users", key, row)

    @write("assessments", version=11)
    def annotate(self, data: st.DataObject) -> None:
        """Update what only version 11 knows of an assessment."""
        self.change("assessments", self.pick(data, "assessments"), data.draw(some_of(SELF_REPORT)))

    @write("users", version=11)
    def notify(self, data: st.DataObject) -> None:
        """Queue a message for somebody."""
        key = self.live.next_id("notification_queue")
        row: Row = {"id": key, "user_id": self.pick(data, "users")}
        self.put("notification_queue", key, row | data.draw(values(NOTIFICATION)))

    @write("notification_queue", version=11)
    def work_off_the_queue(self, data: st.DataObject) -> None:
        """Change a message, or delete it."""
        key = self.pick(data, "notification_queue")
        if data.draw(st.booleans()):
            self.remove("notification_queue", key)
        else:
            self.change("notification_queue", key, data.draw(some_of(NOTIFICATION)))

    @write(version=11)
    def edit_the_archive(self, data: st.DataObject) -> None:
        """Update an archived patient by hand, as somebody with the rights to it may."""
        patients = self.world.complement.patients
        if patients:
            key = data.draw(st.sampled_from(sorted(patients)))
            values: Row = data.draw(some_of(PATIENT))
            self.note(f"UPDATE archive.patients {key} {values}")
            self.live.update_archived("patients", key, values)
            patients[key].update(values)

    def _own_email(self, key: int) -> Any:
        self.serial += 1
        return f"{key}.{self.serial}@home.invalid"
