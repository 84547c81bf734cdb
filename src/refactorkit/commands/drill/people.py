"""Version 11 as the design says it is: worked out row by row, and compared."""

from dataclasses import dataclass, replace
from typing import Final

from refactorkit.commands.drill import rules
from refactorkit.commands.drill.expectation import Ids
from refactorkit.commands.drill.rules import Row, Text, ValueMaps
from refactorkit.commands.drill.states import Observer
from refactorkit.postgres import drill_expected
from refactorkit.postgres.drill_people import Pairs, transform
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.snapshots import Comparison, Snapshot, Table, compare, compare_all
from refactorkit.postgres.verification import Difference

USERS: Final = "public.users"
PATIENTS: Final = "public.patients"
ASSESSMENTS: Final = "public.assessments"
_NEW: Final = "public.notification_queue"
_NATIVE: Final = (
    "id", "email", "password_hash", "role", "created_at", "updated_at", "is_active",
    "last_login_at", "created_by",
)  # fmt: skip
_COLUMNS: Final = (*_NATIVE, *rules.NATIVE_ADDS)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What became of people and assessments.

    Attributes:
        comparison: of version 11 with what it should be.
        patients: how many there were.
        patients_as_users: how many of them have a user.
        assessments: how many had a patient.
        assessments_at_home: how many of them belong to that patient's user.
    """

    comparison: Comparison
    patients: int
    patients_as_users: int
    assessments: int
    assessments_at_home: int


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A cutover that was just made.

    Attributes:
        observer: looks at the database.
        dsn: to write expected rows with.
        before: copies of version 10's tables.
        pairs: who became whom.
        ids: in use when it began.
        maps: the value maps.
    """

    observer: Observer
    dsn: Dsn
    before: Snapshot
    pairs: Pairs
    ids: Ids
    maps: ValueMaps

    def arrival(self) -> Arrival:
        """Compare version 11 with what version 10 must have become.

        Where the refactor had run before, rows that it gave back from its archive are left to
        ``verify``, and so are the ids of people.
        """
        connection, limit = self.observer.connection, self.observer.limit
        found = drill_expected.people_without_user(
            connection, self.before[PATIENTS], self.pairs, limit=limit
        )
        lost = found.differences
        found += drill_expected.missing_objects(
            connection, rules.NEW_INDEXES, rules.NEW_CONSTRAINTS
        )
        found += self._users()
        if self.ids.known:
            found += drill_expected.wrong_ids(
                connection,
                self.pairs,
                users_used=self.ids.users,
                all_used=self.ids.highest,
                limit=limit,
            )
            found += self._assessments()
            found += self._all_others()
        had, have = drill_expected.assessments_with_their_person(
            connection, self.before[ASSESSMENTS], self.pairs
        )
        patients = drill_expected.count_rows(connection, self.before[PATIENTS])
        if have != had and not found.differences:
            found += _difference(ASSESSMENTS, "user_id", f"{had - have} have lost their person")
        return Arrival(
            comparison=found,
            patients=patients,
            patients_as_users=patients - lost,
            assessments=had,
            assessments_at_home=have,
        )

    def _users(self) -> Comparison:
        observer, live = self.observer, self.observer.live()[USERS]
        missing = [column for column in _COLUMNS if column not in live.columns]
        if missing:
            return _difference(USERS, missing[0], "the column is missing")
        known = {column: live.columns[column] for column in _COLUMNS}
        expected = observer.scratch.empty(replace(live, columns=known))
        for query, make in (
            (drill_expected.users_query(self.before[USERS], _NATIVE), _native),
            (drill_expected.subjects_query(self.before[PATIENTS], self.pairs), self._subject),
        ):
            transform(observer.connection, self.dsn, *query, into=expected, make=make)
        if not self.ids.known:
            drill_expected.take_kept_as_found(observer.connection, expected)
        return self._compared(USERS, expected, live)

    def _subject(self, patient: dict[str, Text]) -> Row:
        return {"id": patient["target_id"], **rules.subject(patient, self.maps)}

    def _assessments(self) -> Comparison:
        live = self.observer.live()[ASSESSMENTS]
        missing = [c for c in ("user_id", *rules.ASSESSMENT_ADDS) if c not in live.columns]
        if missing:
            return _difference(ASSESSMENTS, missing[0], "the column is missing")
        expected = drill_expected.expected_assessments(
            self.observer.scratch,
            self.before[ASSESSMENTS],
            live,
            self.pairs,
            rules.ASSESSMENT_ADDS,
        )
        return self._compared(ASSESSMENTS, expected, live)

    def _compared(self, label: str, expected: Table, live: Table) -> Comparison:
        found = compare(
            self.observer.connection,
            label,
            expected,
            live,
            columns=expected.columns,
            limit=self.observer.limit,
        )
        self.observer.scratch.discard((expected,))
        return found

    def _all_others(self) -> Comparison:
        aside = {USERS, PATIENTS, ASSESSMENTS, _NEW, self.observer.version_table}
        live = self.observer.live()
        return compare_all(
            self.observer.connection,
            {label: table for label, table in self.before.items() if label not in aside},
            {label: table for label, table in live.items() if label not in aside},
            limit=self.observer.limit,
        )


def _native(user: dict[str, Text]) -> Row:
    return {**user, **rules.native_adds(user)}


def _difference(table: str, column: str, what: str) -> Comparison:
    listed = (Difference(table=table, row_id="", column=column, what=what),)
    return Comparison(differences=1, listed=listed)
