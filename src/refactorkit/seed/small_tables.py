"""The tables around patients and assessments: users, clinics, tokens, runs and events."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, LiteralString

from refactorkit.seed import awkward, ordinary
from refactorkit.seed.copy_text import row
from refactorkit.seed.dice import Dice
from refactorkit.seed.ids import Size, Taken
from refactorkit.seed.table_rows import TableRows, in_blocks

NO_LOGIN: Final = "!"  # no password has this hash
LOGIN_ROLES: Final = ("admin", "researcher", "clinician")  # of the first users, in this order

_MODEL_RUNS: Final = 3
_CLINICIANS_PER_CLINIC: Final = 20

_USERS: Final[tuple[LiteralString, ...]] = (
    "id", "email", "password_hash", "role", "created_at", "updated_at", "is_active",
    "last_login_at", "created_by",
)  # fmt: skip
_CLINICS: Final[tuple[LiteralString, ...]] = ("id", "name", "address", "created_at", "updated_at")
_USER_CLINICS: Final[tuple[LiteralString, ...]] = ("user_id", "clinic_id", "role", "created_at")
_REFRESH_TOKENS: Final[tuple[LiteralString, ...]] = (
    "id", "user_id", "token_hash", "expires_at", "revoked", "created_at", "revoked_at",
)  # fmt: skip
_MODEL_RUN: Final[tuple[LiteralString, ...]] = (
    "id", "model_version", "dataset_hash", "notes", "created_at",
)  # fmt: skip
_AUDIT_EVENTS: Final[tuple[LiteralString, ...]] = (
    "id", "actor", "action", "target_type", "target_id", "details", "created_at",
)  # fmt: skip


def tables(
    size: Size, users: Sequence[int], taken: Mapping[str, Taken], password_hashes: Sequence[str]
) -> Iterator[TableRows]:
    """Yield what each small table gets, referenced tables first.

    Args:
        size: how much.
        users: the ids of the users.
        taken: the ids in use, of each table with an ``id``.
        password_hashes: for the first users; the others get one that no password has.
    """
    first_clinic = taken["clinics"].highest + 1
    clinics = range(first_clinic, first_clinic + 1 + size.clinicians // _CLINICIANS_PER_CLINIC)
    yield _table("users", _USERS, _users(size, users, password_hashes))
    yield _table("clinics", _CLINICS, _clinics(size, clinics))
    yield _table("user_clinics", _USER_CLINICS, _memberships(size, users, clinics))
    yield _table("refresh_tokens", _REFRESH_TOKENS, _tokens(size, users, taken["refresh_tokens"]))
    yield _table("model_runs", _MODEL_RUN, _model_runs(size, taken["model_runs"]))
    yield _table("audit_events", _AUDIT_EVENTS, _events(size, users, taken["audit_events"]))


def email_of(role: str, user: int) -> str:
    """Return a made-up user's address; the id keeps it apart from all others."""
    return f"{role}-{user}@seed.invalid"


def _table(
    table: LiteralString, columns: tuple[LiteralString, ...], lines: Iterator[str]
) -> TableRows:
    # As many rows as users at most a few times over: these may stand in memory.
    made = list(lines)
    return TableRows(table=table, columns=columns, count=len(made), blocks=in_blocks(made))


def _moment(dice: Dice, day: int) -> str:
    return ordinary.DAYS[day] + ordinary.time_of_day(dice)


def _users(size: Size, users: Sequence[int], password_hashes: Sequence[str]) -> Iterator[str]:
    admin = users[0]
    for index, user in enumerate(users):
        dice = Dice(f"{size.seed}/users/{index}")
        role = LOGIN_ROLES[min(index, 2)]
        email = email_of(role, user)
        created = _moment(dice, dice.number(0, 300))
        updated = _moment(dice, dice.number(301, 900))
        active, login = not dice.chance(20), dice.pick((None, updated))
        maker = None if user == admin else dice.pick((admin, admin, None))
        password_hash = NO_LOGIN
        if index < len(password_hashes):
            password_hash, active = password_hashes[index], True
        elif size.awkward and index >= len(LOGIN_ROLES) and dice.chance(3):
            email = dice.pick((email.upper(), f"Zo\u00eb O'{email}", f" {email}"))
            role, login = dice.pick(awkward.ROLES), dice.pick(awkward.TIMES)
            created, updated = dice.pick(awkward.TIMES), dice.pick(awkward.TIMES)
        yield row(user, email, password_hash, role, created, updated, active, login, maker)


def _clinics(size: Size, clinics: Sequence[int]) -> Iterator[str]:
    for clinic in clinics:
        dice = Dice(f"{size.seed}/clinics/{clinic - clinics[0]}")
        name = f"{ordinary.word(dice)} Clinic"
        address = dice.pick((None, f"{dice.number(1, 99)} {ordinary.word(dice)} Street"))
        created = _moment(dice, dice.number(0, 300))
        yield row(clinic, name, address, created, created)


def _memberships(size: Size, users: Sequence[int], clinics: Sequence[int]) -> Iterator[str]:
    for index, user in enumerate(users[2:]):
        dice = Dice(f"{size.seed}/user_clinics/{index}")
        home = index % len(clinics)
        created = _moment(dice, dice.number(301, 900))
        yield row(user, clinics[home], "owner" if index < len(clinics) else "member", created)
        if len(clinics) > 1 and dice.chance(10):
            yield row(user, clinics[home - 1], "member", created)


def _tokens(size: Size, users: Sequence[int], taken: Taken) -> Iterator[str]:
    for index, user in enumerate(users[::2]):
        dice = Dice(f"{size.seed}/refresh_tokens/{index}")
        token = hashlib.sha256(f"{size.seed}/{user}".encode()).hexdigest()
        created, day = _moment(dice, dice.number(1000, 1100)), dice.number(1101, 1800)
        revoked = dice.chance(4)
        yield row(
            taken.highest + 1 + index, user, token, _moment(dice, day), revoked, created,
            _moment(dice, day - 1) if revoked else None,
        )  # fmt: skip


def _model_runs(size: Size, taken: Taken) -> Iterator[str]:
    for index in range(_MODEL_RUNS):
        dice = Dice(f"{size.seed}/model_runs/{index}")
        names = (f"seed-{index + 1}", f"made-up-{index + 1}")
        yield row(taken.highest + 1 + index, *names, None, _moment(dice, 300 * index))


def _events(size: Size, users: Sequence[int], taken: Taken) -> Iterator[str]:
    for index, user in enumerate(users):
        dice = Dice(f"{size.seed}/audit_events/{index}")
        details = dice.pick(awkward.DETAILS) if size.awkward else '{"made_up": true}'
        created = _moment(dice, dice.number(0, 900))
        actor = email_of(LOGIN_ROLES[0], users[0])
        yield row(taken.highest + 1 + index, actor, "user.create", "user", user, details, created)
