"""What the application of version 10 writes."""

from typing import Any

from hypothesis import strategies as st

from tests.property.machine_turns import write
from tests.property.machine_writes import Writes
from tests.property.strategies import PATIENT, USER, patient_rows, some_of, user_rows


class Writes10(Writes):
    """Writes of version 10."""

    @write(version=10)
    def hire(self, data: st.DataObject) -> None:
        """Insert a user."""
        key = self.new_id(data, "users")
        email = self._free_email(data, key)
        self.put(
            "users", key, data.draw(user_rows) | {"id": key, "email": email, "created_by": None}
        )

    @write("users", version=10)
    def change_a_user(self, data: st.DataObject) -> None:
        """Update columns of a user, rights and logins among them."""
        self.change("users", self.pick(data, "users"), data.draw(some_of(USER)))

    @write("users", version=10)
    def change_an_email(self, data: st.DataObject) -> None:
        """Give a user another email, perhaps one that somebody had in version 11."""
        key = self.pick(data, "users")
        self.change("users", key, {"email": self._free_email(data, key)})

    @write("users", version=10)
    def register(self, data: st.DataObject) -> None:
        """Insert a patient."""
        key = self.new_id(data, "patients")
        owner = self.pick(data, "users")
        self.put("patients", key, data.draw(patient_rows) | {"id": key, "user_id": owner})

    @write("patients", version=10)
    def examine(self, data: st.DataObject) -> None:
        """Update columns of a patient."""
        self.change("patients", self.pick(data, "patients"), data.draw(some_of(PATIENT)))

    @write("patients", version=10)
    def hand_over(self, data: st.DataObject) -> None:
        """Give a patient to another clinician."""
        owner = self.pick(data, "users")
        self.change("patients", self.pick(data, "patients"), {"user_id": owner})

    @write("patients", version=10)
    def discharge(self, data: st.DataObject) -> None:
        """Delete a patient."""
        self.remove("patients", self.pick(data, "patients"))

    def _free_email(self, data: st.DataObject, key: int) -> Any:
        """Draw an email that is free in version 10, perhaps one that version 11 knew."""
        taken = {row["email"] for row in self.world["users"].values()}
        free: list[str] = sorted(
            email
            for email in self.emails - taken
            # A subject's placeholder is refused by a guard, tested elsewhere.
            if not email.endswith("@unclaimed.invalid")
        )
        again: bool = data.draw(st.booleans())
        if free and again:
            return data.draw(st.sampled_from(free))
        self.serial += 1
        return f"{key}.{self.serial}@clinic.invalid"
