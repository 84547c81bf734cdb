"""What version 10 must look like after the rollback, worked out from the rows and the rules.

From the state before the cutover, the rows that the application wrote (as they were before it wrote
and as they are now), and ``rules``. Nothing here asks the archive. One thing is not to be foreseen:
which new id a native's patient got; it is read after Down, and held against its rule.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from refactorkit.commands.drill import rules
from refactorkit.commands.drill.rules import Row, Text, ValueMaps
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.drill_application import KEYS, Key
from refactorkit.postgres.drill_expected import (
    add_rows,
    patients_of_natives,
    remove_rows,
    replace_value,
)
from refactorkit.postgres.drill_people import Pairs, assessments_of, pair_of, read_rows
from refactorkit.postgres.snapshots import Comparison, Snapshot, Table
from refactorkit.postgres.verification import Difference

_NO_IMAGE = (*rules.MAPPED_TEXTS, "years_menopause")
_SPECIAL = ("users", "assessments", "notification_queue")
_FOLLOWING = ("refresh_tokens", "user_clinics")


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The highest ids that were in use, or had been, when the cutover began.

    Attributes:
        users: of users.
        patients: of patients.
        known: False where the refactor had run before: then who had which id is not known.
    """

    users: int
    patients: int
    known: bool

    @property
    def highest(self) -> int:
        """Of both."""
        return max(self.users, self.patients)


@dataclass(frozen=True, kw_only=True)
class Writes:
    """What the application did.

    Attributes:
        touched: keys of rows, by table.
        base: the rows of users who take part, as they were.
        deleted_owner: a native who owned patients and is gone, or None.
        custodian: who takes them over.
    """

    touched: Mapping[str, AbstractSet[Key]]
    base: Mapping[int, Mapping[str, Text]]
    deleted_owner: int | None
    custodian: int | None


@dataclass(kw_only=True)
class Expectation:
    """Version 10 after the rollback.

    Attributes:
        connection: to the database, with pinned settings.
        tables: copies of version 10's tables, by label; they are made into what is expected.
        pairs: who was whom before the application wrote.
        maps: the value maps.
        ids: in use at the cutover.
        edits: how many edits of each column of patients are left.
        decisions: table, row and column where one value gives way to another.
    """

    connection: Connection
    tables: Snapshot
    pairs: Pairs
    maps: ValueMaps
    ids: Ids
    edits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(rules.TARGETS, 0))
    decisions: set[tuple[str, str, str]] = field(default_factory=set)
    _shown: dict[int, Row] = field(default_factory=dict)
    _waiting: list[Row] = field(default_factory=list)
    _withheld: set[int] = field(default_factory=set)

    @property
    def orphans(self) -> int:
        """How many patients come back who have lost their owner."""
        return sum(column == "user_id" for _, _, column in self.decisions)

    def foresee(self, writes: Writes, live: Snapshot) -> None:
        """Make the copies into what is expected; at version 11, after the application wrote.

        Args:
            writes: what it did.
            live: the tables of version 11, by label.
        """
        links = {key[0] for key in writes.touched.get("assessments", ())}
        assessments = self._read(live["public.assessments"], "id", links)
        people = {key[0] for key in writes.touched.get("users", ())}
        people |= {int(row["user_id"]) for row in assessments if row["user_id"] is not None}
        now = {int(row["id"] or 0): row for row in self._read(live["public.users"], "id", people)}
        pairs = pair_of(self.connection, self.pairs, people)
        natives = people - {user for user, (_, kind) in pairs.items() if kind == "subject"}
        marked = {user for user, row in now.items() if rules.is_deleted(row)}
        self._users(natives, now, writes)
        self._patients(pairs, now, writes)
        self._natives_shown(natives - set(pairs), now, marked)
        self._assessments(assessments, links, marked, pairs)
        for table, keys in writes.touched.items():
            if table not in _SPECIAL:
                self._others(table, {key[0] for key in keys}, live[f"public.{table}"])

    def complete(self) -> Comparison:
        """Add the natives who became patients, under the ids that they got; at version 10 again.

        Returns:
            What is wrong with these ids.
        """
        found = Comparison()
        patients = self.tables["public.patients"]
        got = patients_of_natives(self.connection, patients, self._shown)
        for native in self._shown:
            key = got.get(native)
            wrong = "is not shown as a patient" if key is None else self._wrong_id(native, key)
            if wrong:
                found += _difference("public.users", native, wrong)
        add_rows(
            self.connection,
            patients,
            ({**self._shown[native], "id": str(key)} for native, key in got.items()),
        )
        add_rows(
            self.connection,
            self.tables["public.assessments"],
            (
                {**row, "patient_id": _text(got.get(int(row["user_id"] or 0)))}
                for row in self._waiting
            ),
        )
        return found

    def _users(self, natives: set[int], now: Mapping[int, Row], writes: Writes) -> None:
        table = self.tables["public.users"]
        creators = {int(r["created_by"]) for r in now.values() if r["created_by"] is not None}
        subjects = {
            str(user)
            for user, (_, kind) in pair_of(self.connection, self.pairs, creators).items()
            if kind == "subject"
        }
        rows = []
        for user in sorted(natives & set(now)):
            row = now[user]
            changed = rules.native_after(
                row, was_there=user in writes.base, is_subject=lambda key: key in subjects
            )
            rows.append({**row, **changed})
            if (row["is_admin"] == rules.TRUE) != (row["role"] == "admin"):
                self.decisions.add(("users", str(user), "role"))
            if row["is_active"] != changed["is_active"]:
                self.decisions.add(("users", str(user), "is_active"))
        remove_rows(self.connection, table, "id", natives)
        add_rows(self.connection, table, rows)

    def _patients(
        self, pairs: Mapping[int, tuple[int, str]], now: Mapping[int, Row], writes: Writes
    ) -> None:
        table = self.tables["public.patients"]
        sources = {source for source, _ in pairs.values()}
        before = {int(row["id"] or 0): row for row in self._read(table, "id", sources)}
        rows = []
        for user, (source, kind) in sorted(pairs.items()):
            row = now.get(user)
            if row is None or rules.is_deleted(row):
                self._withheld.add(source)
                continue
            base = writes.base.get(user, row)
            rows.append(
                rules.patient_after(
                    before[source], base, row, is_native=kind == "native", maps=self.maps
                )
            )
            self._note_edits(before[source], base, row)
        remove_rows(self.connection, table, "id", sources)
        add_rows(self.connection, table, rows)
        if writes.deleted_owner is not None and writes.custodian is not None:
            for orphan in self._read(table, "user_id", {writes.deleted_owner}):
                self.decisions.add(("patients", orphan["id"] or "", "user_id"))
            replace_value(self.connection, table, "user_id", writes.deleted_owner, writes.custodian)

    def _note_edits(
        self, patient: Mapping[str, Text], base: Mapping[str, Text], now: Mapping[str, Text]
    ) -> None:
        for source, targets in rules.TARGETS.items():
            if not rules.edited(source, base, now):
                continue
            self.edits[source] += 1
            lost = source in _NO_IMAGE and patient[source] is not None and base[targets[0]] is None
            if lost and now[targets[0]] is not None:
                self.decisions.add(("patients", patient["id"] or "", source))

    def _natives_shown(self, natives: set[int], now: Mapping[int, Row], marked: set[int]) -> None:
        assessed = assessments_of(self.connection, natives)
        for user in sorted(natives & set(now) - marked):
            if rules.has_profile(now[user]) or user in assessed:
                self._shown[user] = rules.patient_of_native(now[user], self.maps)

    def _assessments(
        self,
        rows: Collection[Row],
        touched: set[int],
        marked: set[int],
        pairs: Mapping[int, tuple[int, str]],
    ) -> None:
        table = self.tables["public.assessments"]
        withheld = assessments_of(self.connection, marked)
        gone = touched.union(*withheld.values())
        remove_rows(self.connection, table, "id", gone)
        ready = []
        for row in rows:
            user = None if row["user_id"] is None else int(row["user_id"])
            if user in marked:
                continue
            if user is None or user in pairs:
                patient = None if user is None else pairs[user][0]
                ready.append({**row, "patient_id": _text(patient)})
            else:
                self._waiting.append(row)
        add_rows(self.connection, table, ready)

    def _others(self, name: str, keys: set[int], live: Table) -> None:
        """Expect rows of a table of both versions as they are now; those of subjects are away."""
        table = self.tables[f"public.{name}"]
        column = KEYS[name][0]
        rows = self._read(live, column, keys)
        if name in _FOLLOWING:
            users = {int(row["user_id"] or 0) for row in rows}
            kinds = pair_of(self.connection, self.pairs, users)
            rows = [r for r in rows if kinds.get(int(r["user_id"] or 0), (0, ""))[1] != "subject"]
        remove_rows(self.connection, table, column, keys)
        add_rows(self.connection, table, rows)

    def _wrong_id(self, native: int, key: int) -> str:
        if key in self._withheld:
            return "is shown under the id of a patient who is kept away"
        if not self.ids.known or key == native > self.ids.patients:
            return ""
        if native > self.ids.patients:
            return "is shown under another id than its own, which no patient ever had"
        return "" if key > self.ids.highest else "is shown under an id that was in use"

    def _read(self, table: Table, column: str, values: Iterable[int]) -> list[Row]:
        return list(read_rows(self.connection, table, column, set(values)))


def _difference(table: str, key: int, what: str) -> Comparison:
    listed = (Difference(table=table, row_id=str(key), column="", what=what),)
    return Comparison(differences=1, listed=listed)


def _text(value: int | None) -> Text:
    return None if value is None else str(value)
