"""What the applications of both versions write, and a DBA by hand."""

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from tests.property.machine_turns import Turns, write
from tests.property.strategies import (
    ASSESSMENT,
    CLINIC,
    MEMBERSHIP,
    SELF_REPORT,
    TOKEN,
    assessment_rows,
    maybe,
    some_of,
    values,
)
from tests.support.model.columns import ASSESSED_IN_11, Row
from tests.support.model.world import RestrictedError


class Writes(Turns):
    """Writes that both versions know."""

    @write()
    def assess(self, data: st.DataObject) -> None:
        """Insert an assessment of somebody, or of nobody."""
        key = self.live.next_id("assessments")
        link = data.draw(maybe(st.sampled_from(self._people())))
        row: Row = data.draw(assessment_rows) | {"id": key, self.world.person: link}
        if self.world.version == 11:
            row.update(dict(ASSESSED_IN_11) | data.draw(some_of(SELF_REPORT)))
        self.put("assessments", key, row)

    @write("assessments")
    def correct_an_assessment(self, data: st.DataObject) -> None:
        """Update columns that both versions have."""
        self.change("assessments", self.pick(data, "assessments"), data.draw(some_of(ASSESSMENT)))

    @write("assessments")
    def move_an_assessment(self, data: st.DataObject) -> None:
        """Give an assessment to another person, or to nobody."""
        link = data.draw(maybe(st.sampled_from(self._people())))
        self.change("assessments", self.pick(data, "assessments"), {self.world.person: link})

    @write("assessments")
    def remove_an_assessment(self, data: st.DataObject) -> None:
        """Delete an assessment."""
        self.remove("assessments", self.pick(data, "assessments"))

    @write("users")
    def log_in(self, data: st.DataObject) -> None:
        """Give somebody a session."""
        key = self.live.next_id("refresh_tokens")
        row: Row = {"id": key, "user_id": self.pick(data, "users"), "token_hash": f"login {key}"}
        self.put("refresh_tokens", key, row | data.draw(values(TOKEN)))

    @write("refresh_tokens")
    def log_out(self, data: st.DataObject) -> None:
        """Change a session, or end it."""
        key = self.pick(data, "refresh_tokens")
        if data.draw(st.booleans()):
            self.remove("refresh_tokens", key)
        else:
            self.change("refresh_tokens", key, data.draw(some_of(TOKEN)))

    @write()
    def open_a_clinic(self, data: st.DataObject) -> None:
        """Insert a clinic."""
        key = self.live.next_id("clinics")
        row: Row = data.draw(values(CLINIC))
        self.put("clinics", key, {"id": key, **row})

    @write("clinics")
    def close_a_clinic(self, data: st.DataObject) -> None:
        """Delete a clinic with its memberships."""
        self.remove("clinics", self.pick(data, "clinics"))

    @write("users", "clinics")
    def join_or_leave_a_clinic(self, data: st.DataObject) -> None:
        """Make somebody a member of a clinic, or no longer."""
        key = (self.pick(data, "users"), self.pick(data, "clinics"))
        if key in self.world["user_clinics"]:
            self.remove("user_clinics", key)
        else:
            row: Row = data.draw(values(MEMBERSHIP))
            self.put("user_clinics", key, {"user_id": key[0], "clinic_id": key[1], **row})

    @write("users")
    def delete_a_user(self, data: st.DataObject) -> None:
        """Delete an account; in version 10 its patients go with it."""
        with suppress(RestrictedError):
            self.remove("users", self.pick(data, "users"))

    @write("users")
    def name_a_creator(self, data: st.DataObject) -> None:
        """Say, or no longer say, who made an account."""
        creator = self.somebody(data)
        self.change("users", self.pick(data, "users"), {"created_by": creator})

    @write()
    def erase_a_person(self, data: st.DataObject) -> None:
        """Erase somebody whom this version or the archive knows; never before the first Up."""
        known = self.world.complement
        people = {*self.world.tables.get("patients", ()), *known.pairs, *known.withheld}
        people |= {patient for patient, _ in self.world.past}
        wanted: bool = data.draw(st.booleans())
        if self._first and people and wanted:
            self.erase(data.draw(st.sampled_from(sorted(people))))

    def somebody(self, data: st.DataObject) -> Any:
        """Draw a user, or nobody."""
        users: list[Any] = sorted(self.world["users"])
        return data.draw(st.sampled_from([None, *users]))

    def _people(self) -> list[Any]:
        return sorted(self.world["users" if self.world.version == 11 else "patients"]) or [None]
