"""An online cutover gives what Up gives, whatever version 10 writes at whatever moment of it.

Two databases get the same writes. One is cut over at the end, as goose would; in the other one the
writes come at moments of an online cutover that Hypothesis chooses.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from hypothesis import event, given
from hypothesis import strategies as st

from refactorkit.commands.online import Phase, Progress, abort, cutover, stage
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.postgres.dsn import Dsn
from tests.property.effort import effort
from tests.property.strategies import positions, worlds
from tests.property.strategies_online import Write, writes
from tests.support.chain import record
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.evidence import states_of_ties
from tests.support.model.live import Live
from tests.support.model.world import World
from tests.support.online import (
    KilledError,
    Meanwhile,
    renumbered_links,
    request,
    version_10,
    version_11,
)

MOMENTS = 18


@contextmanager
def database(databases: Databases) -> Iterator[tuple[str, psycopg.Connection]]:
    url = databases.create(10)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            yield url, connection
    finally:
        databases.drop(url)


@st.composite
def placed(draw: st.DrawFn) -> tuple[World, Mapping[str, tuple[int, bool]]]:
    world = draw(worlds(least=1))
    return world, draw(positions(world))


def fill(live: Live, placed: tuple[World, Mapping[str, tuple[int, bool]]]) -> None:
    world, at = placed
    live.load(world)
    for table, (last, called) in at.items():
        # Where it stands behind, version 10 fails to sign up, and staging would mend that.
        top = max([0, *(key for key in world[table] if isinstance(key, int))])
        live.connection.execute(
            "SELECT setval(%s, %s, %s)",
            [f"public.{table}_id_seq", max(last, top, 1), called or last <= top],
        )
    live.connection.execute("SELECT setval('public.assessments_id_seq', 1000)")


# Rather late than early: what comes before a row is come to is found without any trigger.
moments = st.one_of(st.integers(0, MOMENTS), st.integers(MOMENTS // 2, MOMENTS))
schedules = st.lists(st.tuples(moments, writes()), min_size=4, max_size=14).map(
    lambda found: sorted(found, key=lambda each: each[0])
)


@effort(5)
@given(
    placed=placed(),
    schedule=schedules,
    stops=st.lists(st.integers(0, MOMENTS), max_size=2),
    ending=st.sampled_from(["online", "online", "goose", "abort"]),
)
def test_every_write_of_version_10_is_in_version_11_once_whatever_the_moment(
    databases: Databases,
    placed: tuple[World, Mapping[str, tuple[int, bool]]],
    schedule: Sequence[tuple[int, Write]],
    stops: Sequence[int],
    ending: str,
) -> None:
    with database(databases) as (url, one), database(databases) as (other, two):
        live, plain = Live(one), Live(two)
        fill(live, placed)
        fill(plain, placed)
        schema, old = catalog(url), pg_dump(url, schema_only=True)
        used = highest_used(one)
        left = list(schedule)
        watched: list[str] = []

        def write(moment: int, progress: Progress) -> None:
            watched.append(progress.phase)
            last = progress.phase is Phase.SWITCH
            while left and (last or left[0][0] <= moment) and progress.phase not in AFTER:
                _, one_write = left.pop(0)
                met = one_write.run(one)
                assert met == one_write.run(two), one_write

        meanwhile = Meanwhile(write)
        for stop in sorted(stops):
            meanwhile.stop_at = stop
            try:
                cutover(request(url), meanwhile)
            except KilledError:
                event(f"killed at {watched[-1] if watched else 'the beginning'}")
            else:
                break
        meanwhile.stop_at = None
        is_over = bool(watched) and watched[-1] in AFTER
        if ending == "abort" and not is_over:
            abort(request(url), meanwhile)
            assert catalog(url) == schema
            assert version_10(one) == version_10(two)
        if ending == "goose" and not stops:
            stage(request(url), meanwhile)
        if ending == "goose" and not is_over:
            write(MOMENTS, Progress(phase=Phase.SWITCH))
            live.turn("up", {"batch": "2"})
            record(one, 11)
            assert verify(VerifyRequest(dsn=Dsn.parse(url))).verdict is Verdict.PASS
        else:
            result = cutover(request(url), meanwhile)
            assert result.verdict is Verdict.PASS
        assert left == []
        assert states_of_ties(one) == ["same", "same"]
        ten = version_10(two)
        plain.turn("up")
        assert version_11(one) == version_11(two)
        assert renumbered_links(one) == []
        assert all(key > used for key in kept_ids(one))
        assert catalog(url) == catalog(other)
        live.turn("down")
        assert version_10(one) == ten
        assert pg_dump(url, schema_only=True) == old


AFTER = (Phase.VALIDATE, Phase.VERIFY)


def catalog(url: str) -> str:
    """Everything but rows; which files ran, and which ids an abort left free, is no part of it."""
    beside = ("archive.migration_checksums", "archive.patients_free")
    return pg_dump(url, schema_only=True, exclude_schemas=(), exclude_tables=beside)


def highest_used(connection: psycopg.Connection) -> int:
    """Return the highest id that a user has or had."""
    query = """
        SELECT greatest((SELECT max(id) FROM public.users),
            (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END
            FROM public.users_id_seq))
    """
    found = connection.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def kept_ids(connection: psycopg.Connection) -> list[int]:
    """Return the ids that subjects have from their patients."""
    query = "SELECT source_id FROM archive.patients_map WHERE NOT renumbered"
    return [row[0] for row in connection.execute(query)]
