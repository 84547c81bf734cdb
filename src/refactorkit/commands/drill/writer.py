"""How the application of version 11 writes: one method for each thing that it does."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, LiteralString, Protocol

Value = str | int | None

_MARKED: Final[dict[str, Value]] = {"account_status": "deleted"}
_LETTERS: Final = ("assessment_reminder", "risk_alert", "monthly_summary", "educational")


class Application(Protocol):
    """What the scenario needs to write with."""

    def insert(self, table: LiteralString, values: Mapping[str, Value]) -> int:
        """Add a row; return its id."""

    def update(
        self, table: LiteralString, key: tuple[int, ...] | int, values: Mapping[str, Value]
    ) -> None:
        """Change a row."""

    def delete(self, table: LiteralString, key: tuple[int, ...] | int) -> None:
        """Delete a row."""


@dataclass
class Writer:
    """Writes, and counts what it wrote.

    Attributes:
        application: what carries it out.
        now: the first time that is written; each later one is a second later.
        dice: decides.
        counts: how many writes of each kind were made.
    """

    application: Application
    now: datetime
    dice: random.Random
    counts: dict[str, int] = field(default_factory=dict)
    _serial: int = 0

    def consent(self, user: int, number: int) -> None:
        """Let a user give some consents and withdraw others."""
        some, others = "tf" if number % 2 else "ft"
        self.user(
            user,
            consent_personal_data="t",
            consent_research_participation=some,
            consent_email_updates=others,
            consent_analytics=others,
            consent_updated_at=self.moment(),
        )
        self.count("consents given")

    def settings(self) -> dict[str, Value]:
        """Return what somebody fills in about themselves, clinical columns aside."""
        return {
            "date_of_birth": f"19{self.dice.randint(50, 79)}-02-28",
            "phone": "+00 000 000",
            "address": "1 Drill Street\nTown",
            "menopause_type": self.dice.choice(("natural", "surgical")),
            "assessment_frequency_months": self.dice.choice((1, 2, 12)),
            "reminder_email": "f",
            "last_assessment_reminder_sent": self.moment(),
            "onboarding_completed": "t",
        }

    def user(self, user: int, **values: Value) -> None:
        """Change columns of a user, and when that was."""
        self.application.update("users", user, {**values, "updated_at": self.moment()})

    def mark(self, user: int, number: int) -> None:
        """Mark a user as deleted: in one of the two ways, or in both."""
        if number % 2:
            self.user(user, **_MARKED, deleted_at=self.moment())
        else:
            only: dict[str, Value] = {"deleted_at": self.moment()} if number % 4 else _MARKED
            self.user(user, **only)

    def new_user(self, **values: Value) -> int:
        """Add a user; return the id."""
        self._serial += 1
        return self.application.insert(
            "users",
            {
                "email": f"new-{self._serial}.{self.now:%Y%m%d%H%M%S}@drill.invalid",
                "password_hash": self.secret_hash("password"),
                **values,
            },
        )

    def assessment(self, key: int, **values: Value) -> None:
        """Change columns of an assessment, and when that was."""
        self.application.update("assessments", key, {**values, "updated_at": self.moment()})

    def new_assessment(self, user: int | None) -> None:
        """Add an assessment of somebody, or of nobody."""
        score = self.dice.randint(1, 99)
        self.application.insert(
            "assessments",
            {"user_id": user, "risk_score": score, "fbs": "101.50", "notes": "by herself"},
        )
        self.count("assessments added")

    def token(self, user: int) -> None:
        """Issue a token; some are revoked at once."""
        values: dict[str, Value] = {
            "user_id": user,
            "token_hash": self.secret_hash("token"),
            "expires_at": self.moment(),
        }
        token = self.application.insert("refresh_tokens", values)
        if self._serial % 2:
            gone: dict[str, Value] = {"revoked": "t", "revoked_at": self.moment()}
            self.application.update("refresh_tokens", token, gone)
        self.count("tokens issued")

    def letter(self, user: int) -> None:
        """Queue a letter, as the last one was not: of another type, sent or pending."""
        self._serial += 1
        self.application.insert(
            "notification_queue",
            {
                "user_id": user,
                "notification_type": _LETTERS[self._serial % len(_LETTERS)],
                "subject": "Drill",
                "body": "A line,\nand another.",
                "scheduled_for": self.moment(),
                "priority": 1 + self._serial % 10,
                "error_message": None if self._serial % 3 else "no such mailbox",
                "status": "sent" if self._serial % 2 else "pending",
                "sent_at": self.moment() if self._serial % 2 else None,
            },
        )
        self.count("notifications queued")

    def secret_hash(self, what: str) -> str:
        """Return what could be the hash of a password or token; nobody has its secret."""
        self._serial += 1
        return hashlib.sha256(f"drill/{self.now}/{what}/{self._serial}".encode()).hexdigest()

    def moment(self) -> str:
        """Return a time that was not written before."""
        self._serial += 1
        return (self.now + timedelta(seconds=self._serial)).isoformat(" ")

    def count(self, kind: str, count: int = 1) -> None:
        """Note writes of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + count
