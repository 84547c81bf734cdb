"""What the application of version 11 writes in a drill: a choice that the seed decides.

Every kind of write that a rollback has a rule for. Roles may fall on one person where a database
has few; what comes of it is worked out from the rows, not from this list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from refactorkit.commands.drill.writer import Value, Writer

REQUIRED: Final = (
    "accounts claimed", "consents given", "edits undone", "logins", "subjects deleted",
    "subjects marked as deleted", "users made, with a profile", "users made, with assessments",
    "users made, with nothing", "profiles filled in by users", "assessments added",
    "assessments moved", "assessments deleted", "assessments changed", "tokens issued",
    "memberships made", "notifications queued", "clinics made", "events written",
)  # fmt: skip
"""Kinds of writes without which a drill is incomplete; ``edits of COLUMN`` too, for each column."""

WHERE_POSSIBLE: Final = (
    "values without an image replaced", "admins who lost the flag", "flags given to others",
    "owners deleted", "users marked as deleted",
)  # fmt: skip
"""Kinds that need something that not every database holds."""

_WORDS: Final = ("", " ", "Ada", "Mary Ann", "O'Neil", " Zoë ", "Li", "van der Berg", "e\u0301")
_NUMBERS: Final = ("0", "-1", "120", "2147483647", None)
_CHOICES: Final[Mapping[str, tuple[str | None, ...]]] = {
    "first_name": (*_WORDS, None),
    "last_name": (*_WORDS, None),
    "menopause_status": ("pre", "peri", "post", "surgical", None),
    "years_menopause": ("0", "7", "50", None),
    "hypertension": ("no", "controlled", "uncontrolled", None),
    "heart_disease": ("no", "yes", None),
    "smoking_status": ("never", "former", "current", None),
    "family_history_diabetes": ("t", "f"),
    "bmi": ("21.50", "0.10", "NaN", None),
    "bp_systolic": _NUMBERS,
    "bp_diastolic": _NUMBERS,
    "activity": ("low", "", "on foot, daily", None),
    "phys_activity": ("t", "f", None),
    "chol": _NUMBERS,
    "ldl": _NUMBERS,
    "hdl": _NUMBERS,
    "triglycerides": _NUMBERS,
}
_WHOLE_PROFILE: Final[Mapping[str, Value]] = {
    column: next(value for value in values if value not in {None, "", "f"})
    for column, values in _CHOICES.items()
    if not column.endswith("_name")
}
EDITABLE: Final = tuple(_CHOICES)
_APART: Final = 6  # so many people are not edited, where there are enough
_TIMES_EACH: Final = 3  # so many people have the same column edited


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who takes part.

    Attributes:
        subjects: ids of users who were patients.
        without_image: those of them whose `hypertension` got lost on the way forward.
        natives: ids of other users, in the order in which roles are given.
        admins: those of them with role and flag of an admin.
        owners: those of them who own patients of version 10 and made nobody's account.
        custodian: a native who must stay, or None where there is none.
        users: the rows of all of them, as they are.
        assessments: the ids of the assessments of each who has any.
    """

    subjects: Sequence[int]
    without_image: Sequence[int]
    natives: Sequence[int]
    admins: Sequence[int]
    owners: Sequence[int]
    custodian: int | None
    users: Mapping[int, Mapping[str, str | None]]
    assessments: Mapping[int, Sequence[int]]


@dataclass
class Scenario:
    """One run of the application.

    Attributes:
        writer: what writes.
        cast: who takes part.
        deleted_owner: the native who owned patients and was deleted, or None.
    """

    writer: Writer
    cast: Cast
    deleted_owner: int | None = None

    def __post_init__(self) -> None:
        people = self._some(self.cast.subjects, len(self.cast.subjects))
        gone = max(len(people) // 8, 1) if len(people) > 2 else 0  # noqa: PLR2004
        self._to_delete = people[:gone]
        self._to_mark = people[gone : 2 * gone + 1] if gone else []
        self._staying = people[2 * gone + 1 :] or people[-1:]
        # Some do just one thing each: what it must not touch shows only then.
        apart = len(self._staying) > _APART * 3
        self._plain = self._staying[:_APART] if apart else self._staying
        self._edited = self._staying[_APART:] if apart else self._staying

    @property
    def counts(self) -> Mapping[str, int]:
        """How many writes of each kind were made."""
        return self.writer.counts

    def play(self) -> None:
        """Make all writes."""
        acts: tuple[Callable[[], None], ...] = (
            self._claims, self._undone_edits, self._edits, self._logins, self._replacements,
            self._new_users, self._users, self._assessments, self._letters, self._admins,
            self._deletions,
        )  # fmt: skip
        for act in acts:
            act()

    def unmet(self, edited: Mapping[str, int]) -> tuple[str, ...]:
        """Return what a complete drill needs and this one had nobody for.

        Args:
            edited: how many edits of each column of ``patients`` were left in the end.
        """
        lacking = [kind for kind in REQUIRED if not self.counts.get(kind)]
        return (*lacking, *(f"edits of {column}" for column, count in edited.items() if not count))

    def not_in_data(self) -> tuple[str, ...]:
        """Return the kinds that this database gives no occasion for."""
        return tuple(kind for kind in WHERE_POSSIBLE if not self.counts.get(kind))

    def _claims(self) -> None:
        for number, user in enumerate((*self._plain[:1], *self._some(self._edited, 4))):
            self.writer.user(
                user,
                email=f"claimed-{user}.{self.writer.now:%Y%m%d%H%M%S}@drill.invalid",
                password_hash=self.writer.secret_hash("password"),
                is_active="t",
                last_login_at=self.writer.moment(),
                **self.writer.settings(),
            )
            self.writer.count("accounts claimed")
            self.writer.consent(user, number)
        for user in self._plain[:1]:
            maker = self._first(self._natives())
            self.writer.user(user, role="clinician", is_admin="t", created_by=maker)

    def _edits(self) -> None:
        for number, column in enumerate(EDITABLE):
            for turn in range(_TIMES_EACH if self._edited else 0):
                user = self._edited[(number * 2 + turn * 5) % len(self._edited)]
                self.writer.user(user, **{column: self._other(user, column)})

    def _undone_edits(self) -> None:
        for user in self._plain[1:3] or self._plain:
            row = self.cast.users[user]
            self.writer.user(user, chol="1", first_name="Somebody")
            self.writer.user(user, chol=row["chol"], first_name=row["first_name"])
            self.writer.count("edits undone")

    def _logins(self) -> None:
        for user in (*(self._plain[3:5] or self._plain), *self._some(self._natives(), 2)):
            self.writer.user(user, last_login_at=self.writer.moment())
            self.writer.count("logins")

    def _replacements(self) -> None:
        for user in self._some([u for u in self.cast.without_image if u in self._edited], 3):
            self.writer.user(user, hypertension="controlled")
            self.writer.count("values without an image replaced")

    def _new_users(self) -> None:
        maker = self._staying[0] if self._staying else None
        natives = self._natives()
        with_profile = self.writer.new_user(first_name="Nia", last_name="New", bmi="24.10")
        self.writer.new_user(smoking_status="former", created_by=maker)
        self.writer.new_user(
            family_history_diabetes="t", first_name="Only", is_admin="t", role="admin"
        )
        self.writer.new_user(first_name="All", last_name="Columns", is_active="t", **_WHOLE_PROFILE)
        self.writer.count("users made, with a profile", 4)
        for name in ("Assessed", None):
            user = self.writer.new_user(
                first_name=name, is_active="t", created_by=self._first(natives)
            )
            for _ in range(2):
                self.writer.new_assessment(user)
            self.writer.count("users made, with assessments")
        plain = self.writer.new_user(first_name="Nothing", last_name="Else")
        self.writer.count("users made, with nothing")
        for user in (with_profile, plain):
            self.writer.token(user)
            self.writer.letter(user)

    def _users(self) -> None:
        natives = self._natives()
        for user in self._some(natives, 2):
            self.writer.user(
                user, menopause_status="peri", bmi="30.00", first_name="Clin", last_name="I"
            )
            self.writer.user(user, ldl="99", **self.writer.settings())
            self.writer.count("profiles filled in by users")
        for number, user in enumerate(natives[:2]):
            self.writer.consent(user, number)
        for user in natives[2:3]:
            self.writer.user(
                user, email=f"moved-{user}.{self.writer.now:%Y%m%d%H%M%S}@drill.invalid", phone="1"
            )

    def _assessments(self) -> None:
        owned = [u for u in self._staying if self.cast.assessments.get(u)]
        for user in [*self._some(self._staying, 4), *self._some(self._natives(), 1), None]:
            self.writer.new_assessment(user)
        for giver, taker in zip(owned[:6], [*owned[1:6], None], strict=False):
            moved = self.cast.assessments[giver][0]
            self.writer.assessment(moved, user_id=taker)
            self.writer.count("assessments moved")
        natives = self._natives()
        if owned[6:] and natives:
            self.writer.assessment(self.cast.assessments[owned[6]][0], user_id=natives[-1])
            self.writer.count("assessments moved")
        for user in self._some(owned[::-1], 4):
            assessment = self.cast.assessments[user][-1]
            self.writer.assessment(assessment, notes="seen again", risk_score=51, cluster="MOD")
            self.writer.assessment(assessment, is_self_reported="t", source="device")
            self.writer.count("assessments changed")
        for user in owned[7:10] or owned[-1:]:
            self.writer.application.delete("assessments", self.cast.assessments[user][-1])
            self.writer.count("assessments deleted")

    def _letters(self) -> None:
        clinic = self.writer.application.insert(
            "clinics", {"name": "Drill Clinic", "address": None}
        )
        self.writer.count("clinics made")
        for user in self._some(self._staying, 4) + self._some(self._natives(), 1):
            self.writer.token(user)
            self.writer.letter(user)
            member: dict[str, Value] = {"user_id": user, "clinic_id": clinic, "role": "guest"}
            self.writer.application.insert("user_clinics", member)
            self.writer.count("memberships made")
        for user in (*self._to_mark[:1], *self._to_delete[:1]):
            self.writer.token(user)
            self.writer.letter(user)
        for action in ("user.claim", "user.delete"):
            self.writer.application.insert(
                "audit_events", {"actor": "drill", "action": action, "details": '{"n": 1.10}'}
            )
            self.writer.count("events written")

    def _admins(self) -> None:
        for user in [u for u in self.cast.admins if u != self.cast.custodian][:1]:
            self.writer.user(user, is_admin="f")
            self.writer.count("admins who lost the flag")
        others = [u for u in self._natives() if u not in self.cast.admins]
        for user in others[:1]:
            self.writer.user(user, is_admin="t")
            self.writer.count("flags given to others")
        for number, user in enumerate(u for u in others[3:5] if u != self.cast.custodian):
            self.writer.mark(user, number)
            self.writer.count("users marked as deleted")

    def _deletions(self) -> None:
        for number, user in enumerate(self._to_mark):
            self.writer.user(user, chol="200", consent_personal_data="t")
            self.writer.mark(user, number)
            self.writer.count("subjects marked as deleted")
        for user in self._to_delete:
            self.writer.application.delete("users", user)
            self.writer.count("subjects deleted")
        for user in [u for u in self.cast.owners if u != self.cast.custodian][:1]:
            self.writer.application.delete("users", user)
            self.deleted_owner = user
            self.writer.count("owners deleted")

    def _natives(self) -> list[int]:
        """Return the natives who stay to the end."""
        going = [u for u in self.cast.owners if u != self.cast.custodian][:1]
        return [user for user in self.cast.natives if user not in going]

    def _other(self, user: int, column: str) -> Value:
        """Return a value that is not the one from before."""
        present = self.cast.users[user][column]
        return self.writer.dice.choice([value for value in _CHOICES[column] if value != present])

    def _some(self, people: Sequence[int], count: int) -> list[int]:
        return self.writer.dice.sample(people, min(count, len(people)))

    def _first(self, people: Sequence[int]) -> int | None:
        return people[0] if people else None
