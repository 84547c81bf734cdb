"""Erasure reaches every place: each one is forgotten once, and the checks see it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg
import pytest

from refactorkit.errors import RefactorkitError
from refactorkit.mapping import erasure as mapping_erasure
from refactorkit.mapping import erasure_found, erasure_others
from refactorkit.mapping.erasure import Place
from refactorkit.mapping.model import Mapping
from refactorkit.mapping.verification import checks
from refactorkit.migrations.model import Direction
from refactorkit.postgres import erasure
from refactorkit.postgres.erasure import Authority
from refactorkit.postgres.erasure_places import found_places
from refactorkit.postgres.refactors import Turn, last_turn
from tests.integration.test_erase import STAGES
from tests.support.databases import Databases
from tests.support.erasure import NEIGHBOUR, mark, play

AUTHORITY = Authority(basis="a ticket", approved_by="somebody", operator="else")
STAGE_OF = {Direction.DOWN: "10 again", Direction.UP: "11 again"}
# Tables that the chain keeps, or may keep one day; the rest are the mapping's own.
FOUND = (
    "archive.assessments_cluster_0007",
    "archive.chain_9002_patients",
    "archive.chain_9004_refresh_tokens",
    "archive.mock_data_0006",
    "archive.patients_salts",
)
OWN = (
    "archive.patients_map",
    "archive.patients_past",
    "archive.patients_decisions",
    "archive.patients_kept_users",
    "archive.patients_written_patients",
    "archive.patients_withheld_patients",
    "archive.patients_written_users",
    "archive.patients_kept_assessments",
    "archive.patients_withheld_assessments",
    "archive.patients_kept_refresh_tokens",
    "archive.patients_kept_user_clinics",
    "archive.patients_kept_notification_queue",
    "public.assessments",
    "public.refresh_tokens",
    "public.user_clinics",
    "public.notification_queue",
    "archive.notification_queue",
    "public.patients",
    "archive.patients",
    "public.users",
)


class Stage:
    """A database at a stage in which every kind of person is there; nothing done to it stays."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        found = last_turn(connection, "patients")
        assert found is not None
        assert found.mapping is not None
        self.turn: Turn = found
        self.mapping: Mapping = found.mapping
        self.deleted: Counter[str] = Counter()
        assert self.wrong() == []
        self.reached = frozenset(name for name, rows in self.deleted.items() if rows)

    def wrong(self) -> list[str]:
        """Erase everybody, look at what is wrong then, and take it all back."""
        db = self.connection
        self.deleted = Counter()
        with db.transaction(force_rollback=True):
            before = self._count("true")
            try:
                for key in STAGES[STAGE_OF[self.turn.direction]]:
                    done = erasure.erase(db, self.turn, self.mapping, key, AUTHORITY)
                    self.deleted.update({count.name: count.rows for count in done.deleted})
            except (psycopg.Error, RefactorkitError) as error:
                return [type(error).__name__]
            after = self._count("true")
            gone = before - after
            marks = "|".join(
                mark(key).replace(".", "[.]") for key in STAGES[STAGE_OF[self.turn.direction]]
            )
            wrong = [f"marks in {name}" for name in self._count(f"x::text ~ '{marks}'")]
            wrong += [
                f"{name}: {gone[name]} rows gone, and {self.deleted[name]} said"
                for name in {*gone, *self.deleted}
                if gone[name] != self.deleted[name]
            ]
            if self._neighbours() != 1:
                wrong.append("what is kept of the assessment that the neighbour took over")
            found = found_places(db, self.mapping, self.turn.direction)
            for check in checks(self.mapping, self.turn.direction, found.places):
                if not check.is_edit and db.execute(check.differences.encode()).fetchall():
                    wrong.append(check.name)
        return wrong

    def _neighbours(self) -> int:
        row = self.connection.execute(
            "SELECT count(*) FROM archive.patients_kept_assessments"
            " WHERE notes = 'the neighbour''s'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _count(self, condition: str) -> Counter[str]:
        """Count the rows of every table that meet a condition; tables without such are left out."""
        tables = self.connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('public', 'archive') AND c.relkind = 'r'"
            " AND c.relname <> 'patients_tombstones'"
        ).fetchall()
        query = " UNION ALL ".join(
            f"SELECT '{name}', count(*) FROM {name} AS x WHERE {condition}" for (name,) in tables
        )
        rows = self.connection.execute(query.encode()).fetchall()
        return Counter({name: count for name, count in rows if count})


@pytest.fixture(scope="module")
def stages(databases: Databases) -> Iterator[dict[Direction, Stage]]:
    """Both stages, in which erasing everybody was seen to leave nothing wrong."""
    made = {}
    with contextlib.ExitStack() as stack:
        for direction, stage in STAGE_OF.items():
            url = databases.create(10)
            stack.callback(databases.drop, url)
            connection = stack.enter_context(psycopg.connect(url, autocommit=True))
            play(connection, stage)
            made[direction] = Stage(connection)
        yield made


def forget(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Take one place away from what erasure empties."""
    own, found = mapping_erasure.places, erasure_found.place

    def without(mapping: Mapping, after: Direction) -> tuple[Place, ...]:
        return tuple(place for place in own(mapping, after) if place.name != name)

    def unseen(*arguments: object, **more: object) -> Place | None:
        place = found(*arguments, **more)  # type: ignore[arg-type]
        return None if place is not None and place.name == name else place

    monkeypatch.setattr(mapping_erasure, "places", without)
    monkeypatch.setattr(erasure_found, "place", unseen)


def test_the_list_of_places_is_whole(stages: dict[Direction, Stage]) -> None:
    listed = set()
    for direction, stage in stages.items():
        listed |= {place.name for place in mapping_erasure.places(stage.mapping, direction)}
        found = found_places(stage.connection, stage.mapping, direction)
        assert {place.name for place in found.places} >= set(FOUND)
        assert "archive.weather" in found.not_looked_into
    assert listed == set(OWN)


@pytest.mark.parametrize("name", [*OWN, *FOUND])
def test_a_place_that_is_forgotten_is_seen(
    name: str, stages: dict[Direction, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding = [stage for stage in stages.values() if name in stage.reached]
    assert holding, f"nobody of the story has a row in {name}"
    forget(monkeypatch, name)
    assert holding[0].wrong() != []


OTHERS: dict[str, tuple[Direction, Callable[[pytest.MonkeyPatch], None]]] = {
    "whose an assessment is by now": (
        Direction.DOWN,
        lambda patch: patch.setattr(erasure_others, "relabels", lambda *_: ()),
    ),
    "whom an erased person made": (
        Direction.DOWN,
        lambda patch: patch.setattr(erasure_others, "unlinks", lambda *_: ()),
    ),
    "pairs that are no more": (
        Direction.UP,
        lambda patch: patch.setattr(
            mapping_erasure,
            "pairs",
            lambda mapping, real=mapping_erasure.pairs: real(mapping).replace(
                "archive.patients_past", "archive.patients_past WHERE false"
            ),
        ),
    ),
    "assessments that are gone": (
        Direction.DOWN,
        lambda patch: patch.setattr(
            mapping_erasure,
            "relations",
            lambda mapping, after, real=mapping_erasure.relations: tuple(
                each
                if each.name != "assessments"
                else type(each)(
                    **{
                        **{k: getattr(each, k) for k in each.__dataclass_fields__},
                        "keys": each.keys.replace("x.refactorkit_target_id =", "0 ="),
                    }
                )
                for each in real(mapping, after)
            ),
        ),
    ),
}


@pytest.mark.parametrize(("direction", "plant"), OTHERS.values(), ids=OTHERS)
def test_what_is_forgotten_of_others_is_seen(
    direction: Direction,
    plant: Callable[[pytest.MonkeyPatch], None],
    stages: dict[Direction, Stage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    assert stages[direction].wrong() != []


def test_the_neighbour_is_there_to_be_missed(stages: dict[Direction, Stage]) -> None:
    for stage in stages.values():
        assert stage._count(f"x::text LIKE '%{mark(NEIGHBOUR)}%'")  # noqa: SLF001
