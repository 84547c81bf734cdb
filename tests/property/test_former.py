"""Both versions write at once: a model of a few lines knows what version 10 sees, to the byte.

It sees so beside version 11, after Down, and beside version 11 again after the next Up. A life of
one patient is several turns long, so that what the last Up gave back is the base of the next merge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from tests.property.effort import effort
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.former import application, switch
from tests.support.refactor import turn

Value = str | int | bool | None

_STATUS = {
    "premenopausal": "pre", "perimenopausal": "peri", "postmenopausal": "post",
    "surgical": "surgical", "pre": "pre", "peri": "peri", "post": "post",
}  # fmt: skip
_HOME = {"pre": "premenopausal", "peri": "perimenopausal", "post": "postmenopausal"}
PATIENT = 1501


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column of version 10 and the columns of version 11 that stand for it."""

    target: tuple[str, ...]
    forward: Callable[[Value], tuple[Value, ...]]
    back: Callable[[tuple[Value, ...]], Value]
    ten: st.SearchStrategy[Value]
    eleven: st.SearchStrategy[tuple[Value, ...]]


def _split(name: Value) -> tuple[Value, ...]:
    first, space, last = str(name).rpartition(" ")
    return (first, last) if space else (last, None)


def _joined(parts: tuple[Value, ...]) -> Value:
    return " ".join(str(part) for part in parts if part is not None)


def _one(value: tuple[Value, ...]) -> Value:
    return value[0]


def _of(*values: Value) -> st.SearchStrategy[tuple[Value, ...]]:
    return st.sampled_from(values).map(lambda value: (value,))


FIELDS = {
    "name": Field(
        target=("first_name", "last_name"),
        forward=_split,
        back=_joined,
        ten=st.sampled_from(["", "Solo", "A B", "A  B ", " "]),
        eleven=st.tuples(st.sampled_from([None, "", "A", "New"]), st.sampled_from([None, "", "B"])),
    ),
    "menopause_status": Field(
        target=("menopause_status",),
        forward=lambda raw: (_STATUS.get(str(raw)),),
        back=lambda v: None if v[0] is None else _HOME.get(str(v[0]), v[0]),
        ten=st.sampled_from([None, "", "pre", "premenopausal", "unknown", "post"]),
        eleven=_of(None, "pre", "post", "surgical"),
    ),
    "years_menopause": Field(
        target=("years_menopause",),
        forward=lambda raw: (raw if isinstance(raw, int) and 0 <= raw <= 50 else None,),
        back=_one,
        ten=st.sampled_from([None, -1, 0, 50, 51]),
        eleven=_of(None, 0, 50),
    ),
    "family_history": Field(
        target=("family_history_diabetes",),
        forward=lambda raw: (bool(raw),),
        back=_one,
        ten=st.sampled_from([None, False, True]),
        eleven=_of(False, True),
    ),
    "chol": Field(
        target=("chol",),
        forward=lambda raw: (raw,),
        back=_one,
        ten=st.sampled_from([None, 1, 2]),
        eleven=_of(None, 1, 2),
    ),
}


@dataclass(kw_only=True)
class Model:
    """One patient: raw values, the living ones, and what the last Up made of which raw value."""

    raw: dict[str, Value]
    age: Value
    touched: int = 0
    living: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    living_touched: int = 0
    bases: dict[str, tuple[Value, tuple[Value, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.living = {name: FIELDS[name].forward(raw) for name, raw in self.raw.items()}
        self.bases = {name: (raw, self.living[name]) for name, raw in self.raw.items()}

    def image(self, name: str, raw: Value) -> tuple[Value, ...]:
        base, living = self.bases[name]
        return living if (base, type(base)) == (raw, type(raw)) else FIELDS[name].forward(raw)

    def edited(self, name: str) -> bool:
        return self.living[name] != self.image(name, self.raw[name])

    def seen(self, name: str) -> Value:
        return FIELDS[name].back(self.living[name]) if self.edited(name) else self.raw[name]

    @property
    def row(self) -> tuple[Value, ...]:
        any_edited = any(map(self.edited, FIELDS))
        touched = self.living_touched if any_edited else self.touched
        return (*map(self.seen, FIELDS), self.age, touched)

    def ten_writes(self, name: str, value: Value, at: int) -> None:
        if name == "age":
            self.age = value
        elif value != self.seen(name):
            self.living[name] = self.image(name, value)
            self.raw[name] = value
        self.living_touched = at
        if not any(map(self.edited, FIELDS)):  # else the living row's time is what Down takes
            self.touched = at

    def eleven_writes(self, name: str, value: tuple[Value, ...], at: int) -> None:
        self.living[name] = value
        self.living_touched = at

    def down_and_up(self) -> None:
        *values, self.age, touched = self.row
        assert isinstance(touched, int)
        self.touched = touched
        self.raw = dict(zip(FIELDS, values, strict=True))
        self.bases = {name: (raw, self.living[name]) for name, raw in self.raw.items()}


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, str, object]:
    name = draw(st.sampled_from([*FIELDS, "age"]))
    if name == "age":
        return "ten", name, draw(st.sampled_from([None, 40, 41]))
    if draw(st.booleans()):
        return "ten", name, draw(FIELDS[name].ten)
    return "eleven", name, draw(FIELDS[name].eleven)


TIME = "to_timestamp(1.6e9 + %s)"


def seen_in(connection: psycopg.Connection) -> tuple[Value, ...]:
    names = ", ".join(FIELDS)
    row = connection.execute(
        f"SELECT {names}, age, (extract(epoch FROM updated_at) - 1.6e9)::int FROM patients"
        f" WHERE id = {PATIENT}".encode()
    ).fetchone()
    assert row is not None
    return row


@given(lives=st.lists(st.lists(writes(), min_size=1, max_size=8), min_size=2, max_size=3))
@effort(6)
def test_version_10_sees_what_the_model_knows_whoever_writes(
    databases: Databases, lives: list[list[tuple[str, str, object]]]
) -> None:
    url = databases.create(10)
    try:
        open_clinic(url)
        model = Model(
            raw={"name": "Solo", "menopause_status": "pre", "years_menopause": 0,
                 "family_history": None, "chol": None},
            age=44,
        )  # fmt: skip
        with application(url) as connection:
            connection.execute(
                f"UPDATE patients SET updated_at = {TIME} WHERE id = {PATIENT}".encode(), (0,)
            )
            clock = 0
            for life in lives:
                switch(url)
                for who, name, value in life:
                    clock += 1
                    _write(connection, who, name, value, clock)
                    if who == "ten":
                        model.ten_writes(name, value, clock)  # type: ignore[arg-type]
                    else:
                        model.eleven_writes(name, value, clock)  # type: ignore[arg-type]
                    assert seen_in(connection) == model.row
                with psycopg.connect(url) as other:
                    turn(other, "down", version=11)
                    other.execute("DELETE FROM goose_db_version WHERE version_id = 11")
                assert seen_in(connection) == model.row
                model.down_and_up()
    finally:
        databases.drop(url)


def _write(connection: psycopg.Connection, who: str, name: str, value: object, at: int) -> None:
    if who == "ten":
        query = f"UPDATE patients SET {name} = %s, updated_at = {TIME} WHERE id = {PATIENT}"
        connection.execute(query.encode(), (value, at))
        return
    assert isinstance(value, tuple)
    assignments = ", ".join(f"{column} = %s" for column in FIELDS[name].target)
    query = (
        f"UPDATE public.users SET {assignments}, updated_at = {TIME} WHERE id ="
        f" (SELECT target_id FROM archive.patients_map WHERE source_id = {PATIENT})"
    )
    connection.execute(query.encode(), (*value, at))
