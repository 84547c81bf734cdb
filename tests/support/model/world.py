"""The tables of one version, as dicts, and what either version cannot hold."""

from dataclasses import dataclass, field, fields
from typing import Any

from tests.support.model.columns import PERSON, TABLES, Row, Value

# A row's primary key: the id, or user and clinic.
Key = int | tuple[int, int]
Table = dict[Key, Row]


class RestrictedError(Exception):
    """Version 10 and 11 both forbid to delete a user who created another."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Who a patient is in users: a subject that Up made, or a native shown as a patient."""

    user: int
    native: bool


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """A patient whom version 10 does not see, for the account was softly deleted in version 11."""

    row: Row
    pair: Pair
    base: Row


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A value that gave way: where, and what stands and what does not, as text."""

    table: str
    row_id: int
    column: str
    kept: str | None
    lost: str | None


@dataclass(kw_only=True)
class Complement:
    """What the present version has no place for."""

    pairs: dict[int, Pair] = field(default_factory=dict)
    # While version 11 runs: the patients rows, and what each pair's user held when it was last in
    # step with its patient.
    patients: Table = field(default_factory=dict)
    base: dict[int, Row] = field(default_factory=dict)
    # The patients rows as Up left them: whoever edits one by hand breaks its fingerprint. What it
    # can be compared with then is the Down before: what that wrote and kept.
    sealed: Table = field(default_factory=dict)
    last_written: Table = field(default_factory=dict)
    last_kept: Table = field(default_factory=dict)
    # Natives as Up found them, and as it left them.
    natives_10: Table = field(default_factory=dict)
    natives_11: Table = field(default_factory=dict)
    # Users who are known to version 10 of its own: not made in version 11, or let in by 10 since.
    trusted: set[int] = field(default_factory=set)
    # While version 10 runs: version 11 as Down found it, and version 10 as Down left it.
    kept_users: Table = field(default_factory=dict)
    kept_assessments: Table = field(default_factory=dict)
    kept_tokens: Table = field(default_factory=dict)
    kept_memberships: Table = field(default_factory=dict)
    kept_notifications: Table = field(default_factory=dict)
    written_users: Table = field(default_factory=dict)
    written_patients: Table = field(default_factory=dict)
    withheld: dict[int, Withheld] = field(default_factory=dict)
    withheld_assessments: Table = field(default_factory=dict)


@dataclass(kw_only=True)
class World:
    """A database: its version, its rows, its complement, and every id that was ever seen."""

    version: int = 10
    tables: dict[str, Table] = field(default_factory=lambda: {name: {} for name in TABLES[10]})
    complement: Complement = field(default_factory=Complement, repr=False)
    used: dict[str, set[int]] = field(
        default_factory=lambda: {"users": set(), "patients": set()}, repr=False
    )

    # Patients and users who were pairs once: the archive knows that they are the same person.
    past: set[tuple[int, int]] = field(default_factory=set, repr=False)

    # What gave way in the turn that made this world.
    decisions: set[Decision] = field(default_factory=set, repr=False)

    def copy(self) -> "World":
        """Return a world of its own; `deepcopy` would take longer than a turn does."""
        kept = {each.name: _copied(getattr(self.complement, each.name)) for each in _FIELDS}
        return World(
            version=self.version,
            tables={name: _copied(table) for name, table in self.tables.items()},
            complement=Complement(**kept),
            used={name: set(ids) for name, ids in self.used.items()},
            past=set(self.past),
        )

    def __getitem__(self, table: str) -> Table:
        return self.tables[table]

    @property
    def person(self) -> str:
        """The column of assessments that says whose it is."""
        return PERSON[self.version]

    def edited_by_hand(self, patient_id: int) -> bool:
        """Tell whether an archived row is not as Up left it."""
        found = self.complement
        return found.patients[patient_id] != found.sealed[patient_id]

    def subjects(self) -> set[int]:
        """Return the ids of the users whom Up made."""
        return {pair.user for pair in self.complement.pairs.values() if not pair.native}

    def decide(self, table: str, row_id: int, column: str, *, kept: Value, lost: Value) -> None:
        """Record that a value gave way to another."""
        self.decisions.add(
            Decision(table=table, row_id=row_id, column=column, kept=_text(kept), lost=_text(lost))
        )

    def natives(self) -> set[int]:
        """Return the ids of the users who are nobody's subject."""
        return set(self["users"]) - self.subjects()  # type: ignore[return-value]

    def put(self, table: str, key: Key, row: Row) -> None:
        """Insert or replace a row."""
        columns = TABLES[self.version][table]
        assert set(row) == set(columns), (table, set(row) ^ set(columns))
        self.tables[table][key] = {name: row[name] for name in columns}
        if table in self.used and isinstance(key, int):
            self.used[table].add(key)

    def change(self, table: str, key: Key, values: Row) -> None:
        """Update columns of a row."""
        assert set(values) <= set(TABLES[self.version][table])
        self.tables[table][key].update(values)

    def remove(self, table: str, key: Key) -> None:
        """Delete a row and, as the foreign keys say, what hangs on it.

        Raises:
            RestrictedError: when another user was created by this one.
        """
        if table == "users":
            if any(u["created_by"] == key for k, u in self["users"].items() if k != key):
                raise RestrictedError
            owned = "patients" if self.version == 10 else "notification_queue"
            self._remove_where(owned, "user_id", key)
            self._remove_where("refresh_tokens", "user_id", key)
            self._remove_where("user_clinics", "user_id", key)
        if (table, self.person) in {("users", "user_id"), ("patients", "patient_id")}:
            self._remove_where("assessments", self.person, key)
        if table == "clinics":
            self._remove_where("user_clinics", "clinic_id", key)
        del self.tables[table][key]

    def _remove_where(self, table: str, column: str, value: Key) -> None:
        for key in [k for k, row in self.tables[table].items() if row[column] == value]:
            self.remove(table, key)


_FIELDS = fields(Complement)


def _copied(value: Any) -> Any:
    """Copy sets, and tables row by row; what else a table holds is frozen."""
    if isinstance(value, set):
        return set(value)
    return {key: dict(row) if isinstance(row, dict) else row for key, row in value.items()}


def _text(value: Value) -> str | None:
    """Return a value as the server casts it to text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
