"""What a turn `down --to V`, writes at V, `up` must leave at version 10: a small model.

A person is an id and when the row was made. What a version has no place for comes back to the rows
that are still the same; others get what a first Up gives.
"""

from collections.abc import Mapping, Sequence

from tests.support.model.columns import TABLES, Row, Value
from tests.support.model.world import Key, World

TOP = 10
# The version that brings a column of version 10, where that is not the table's own.
BROUGHT_BY: Mapping[tuple[str, str], int] = {
    ("patients", "family_history"): 2,
    ("patients", "phys_activity"): 2,
    ("assessments", "updated_at"): 3,
    ("patients", "user_id"): 5,
    ("users", "is_active"): 10,
    ("users", "last_login_at"): 10,
    ("users", "created_by"): 10,
}
TABLE_BROUGHT_BY: Mapping[str, int] = {
    "users": 1,
    "patients": 1,
    "assessments": 1,
    "refresh_tokens": 4,
    "clinics": 9,
    "user_clinics": 9,
}
# What a first Up gives; an owner and a time of change are looked up.
FIRST_GIVEN: Mapping[str, Value] = {
    "family_history": None,
    "phys_activity": None,
    "is_active": True,
    "last_login_at": None,
    "created_by": None,
}
RISK_LEVELS = (
    None, "low_risk", "moderate_risk", "high_risk", "Low risk", "Moderate risk", "High risk",
)  # fmt: skip
RESPELLED = {"SOIRD": "SIRD", "MIDD": "MOD"}


def columns_at(version: int, table: str) -> Sequence[str]:
    """Return the columns that a table has at a version, in order."""
    return [
        name
        for name in TABLES[TOP][table]
        if version >= BROUGHT_BY.get((table, name), TABLE_BROUGHT_BY[table])
    ]


def renamed(cluster: Value, score: Value, *, version: int) -> Value:
    """Return what 0007 and 0008 make of a cluster that was written at a version."""
    if version < 7 and cluster in RISK_LEVELS:
        points = int(score or 0)
        least = ((80, "SIDD"), (67, "SIRD"), (50, "MOD"))
        cluster = next((name for from_, name in least if points >= from_), "MARD")
    return RESPELLED.get(str(cluster), cluster) if version < 8 else cluster


class Stay:
    """One stay at a version below 10: writes there, and what version 10 must hold afterwards."""

    def __init__(self, world: World, version: int) -> None:
        self.world = world
        self.version = version
        # Users who are gone, also where another row has the id now; patients made without an owner.
        self._gone: set[Key] = set()
        self._unowned: set[Key] = set()
        # Assessments whose time of change Up gives, and clusters that were written here.
        self.timed_by_up: set[Key] = set()
        self._written: set[Key] = set()

    def insert(self, table: str, key: Key, row: Row) -> Row:
        """Put a row into the model; return what is to be written at this version."""
        seen = set(columns_at(self.version, table))
        whole = {name: value for name, value in row.items() if name in seen}
        self.world.tables[table][key] = {
            name: whole.get(name, FIRST_GIVEN.get(name)) for name in TABLES[TOP][table]
        }
        if table == "patients" and "user_id" not in seen:
            self._unowned.add(key)
        if table == "assessments":
            self._written.add(key)
            if "updated_at" not in seen:
                self.timed_by_up.add(key)
        return whole

    def update(self, table: str, key: Key, values: Row) -> None:
        """Change a row of the model."""
        self.world.tables[table][key].update(values)
        if "cluster" in values:
            self._written.add(key)

    def delete(self, table: str, key: Key) -> None:
        """Take a row away, and what the foreign keys of this version, or of a later Up, take."""
        tables = self.world.tables
        if table == "users":
            self._gone.add(key)
            self._drop("refresh_tokens", "user_id", key)
            self._drop("user_clinics", "user_id", key)
            if self.version >= BROUGHT_BY["patients", "user_id"]:
                for patient in [
                    k for k, row in tables["patients"].items() if row["user_id"] == key
                ]:
                    self.delete("patients", patient)
        if table == "patients":
            self._drop("assessments", "patient_id", key)
        del tables[table][key]

    def end(self) -> None:
        """Let the Ups do what they do to what was written here."""
        tables = self.world.tables
        for row in tables["users"].values():
            if row["created_by"] in self._gone:
                row["created_by"] = None
        for key, row in tables["patients"].items():
            below = self.version < BROUGHT_BY["patients", "user_id"]
            if below and (key in self._unowned or row["user_id"] in self._gone):
                row["user_id"] = min(tables["users"])  # type: ignore[assignment]
        for key in self._written & set(tables["assessments"]):
            row = tables["assessments"][key]
            row["cluster"] = renamed(row["cluster"], row["risk_score"], version=self.version)

    def _drop(self, table: str, column: str, value: Key) -> None:
        rows = self.world.tables[table]
        for key in [k for k, row in rows.items() if row[column] == value]:
            self.delete(table, key)
