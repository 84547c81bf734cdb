"""Texts of pg_dump and positions of sequences against each other."""

from refactorkit.postgres import sequences
from refactorkit.postgres.catalogs import Catalog, differences
from refactorkit.postgres.sequences import Position, Sighting

TABLE = """--
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    id integer NOT NULL,
    role text DEFAULT 'clinician'::text NOT NULL
);

"""
INDEX = """--
-- Name: idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX idx ON public.users USING btree (role);

"""


def named(expected: str, actual: str) -> list[tuple[str, str]]:
    found = differences(Catalog.parse(expected), Catalog.parse(actual))
    return [(each.name, each.what) for each in found]


def test_equal_definitions_have_no_differences_whatever_the_run_added() -> None:
    top = "-- Dumped by pg_dump version {0}\n\\restrict {0}\n"
    assert named(top.format("1") + TABLE + INDEX, top.format("2") + TABLE + INDEX) == []


def test_missing_new_and_changed_objects_are_named() -> None:
    assert named(TABLE + INDEX, TABLE) == [("INDEX public.idx", "is missing")]
    assert named(TABLE, TABLE + INDEX) == [("INDEX public.idx", "is new")]
    changed = TABLE.replace("'clinician'", "'member'")
    assert named(TABLE, changed) == [("TABLE public.users", "changed at role")]


def test_columns_and_objects_in_another_order_are_differences() -> None:
    lines = TABLE.splitlines()
    lines[5], lines[6] = lines[6] + ",", lines[5].removesuffix(",")
    (found,) = named(TABLE, "\n".join(lines) + "\n\n")
    assert found == ("TABLE public.users", "has the same parts in another order")
    (found,) = named(TABLE + INDEX, INDEX + TABLE)
    assert found == ("all objects", "are the same in another order")


def sighting(when: str, **last: int) -> Sighting:
    positions = {
        number: Position(label=f"public.{name}", last=value, increment=1)
        for number, (name, value) in enumerate(last.items())
    }
    return Sighting(when=when, positions=positions)


def test_a_sequence_that_went_back_or_is_gone_is_named() -> None:
    seen = [sighting("a", x=5, y=1), sighting("b", x=4, y=1), sighting("c", x=4)]
    found = sequences.moved_backward(seen)
    assert [(d.table, d.what) for d in found] == [
        ("public.x", "moved backward: b"),
        ("public.y", "the sequence is gone after c"),
    ]


def test_a_sequence_that_went_back_and_forward_again_is_named_too() -> None:
    seen = [sighting("a", x=5), sighting("b", x=3), sighting("c", x=9)]
    assert len(sequences.moved_backward(seen)) == 1


def test_a_sequence_below_an_id_in_use_is_named() -> None:
    assert sequences.behind(sighting("a", x=5), {"x": 5}) == ()
    assert len(sequences.behind(sighting("a", x=5), {"x": 6})) == 1
