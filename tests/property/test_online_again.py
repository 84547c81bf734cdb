"""An online cutover after a rollback gives what Up gives, whatever was written at whatever moment.

Two copies of a database that came back from version 11 get the same writes of version 10. One is
cut over at the end, as goose would; in the other one the writes come at moments of an online
cutover that Hypothesis chooses.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import psycopg
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

from refactorkit.commands.online import Phase, Progress, abort, cutover, stage
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify import VerifyRequest, verify
from refactorkit.errors import RefactorkitError
from refactorkit.postgres.dsn import Dsn
from tests.property import strategies_11
from tests.property.effort import effort
from tests.property.strategies_online import Write, writes
from tests.property.test_online_cutover import AFTER, MOMENTS, catalog
from tests.support.chain import record
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.dump import pg_dump
from tests.support.evidence import states_of_ties
from tests.support.online import (
    KilledError,
    Meanwhile,
    former_pairs,
    request,
    version_10,
    version_11,
)
from tests.support.prepared import both
from tests.support.refactor import turn

CHOICES = {"custodian": "sixtyone@clinic.invalid"}
BESIDE = ("archive.patients_free", "archive.migration_checksums")
# What meets what is kept: an address that is taken meanwhile, a native whose patient somebody else
# has, ids that come back.
LATER = [
    Write(text)
    for text in (
        "INSERT INTO public.users (email, password_hash, created_at, updated_at)"
        " VALUES ('me@home.invalid', 'h', '2024-01-01Z', '2024-01-01Z')",
        "DELETE FROM public.users WHERE email = 'me@home.invalid'",
        "UPDATE public.patients SET user_id = 61",
        "DELETE FROM public.users WHERE id IN (60, 30000)",
        "INSERT INTO public.users (id, email, password_hash, role, created_at, updated_at)"
        " VALUES (30000, 'new@home.invalid', 'h', 'member', '2023-01-01Z', '2023-01-01Z')",
        "INSERT INTO public.users (id, email, password_hash, role, created_at, updated_at)"
        " VALUES (60, 'sixty@clinic.invalid', 'h', 'member', '2020-01-01Z', '2020-01-02Z')",
        "UPDATE public.users SET is_active = true WHERE id = 30000",
        "DELETE FROM public.patients WHERE id IN (60, 30000)",
        "INSERT INTO public.patients (id, name, user_id, created_at, updated_at)"
        " VALUES (60, 'Collides Withuser', 61, '2021-01-01Z', '2021-01-02Z')",
        "INSERT INTO public.patients (id, name, user_id, created_at, updated_at)"
        " VALUES (1500, '', 61, '2021-01-01Z', '2021-01-02Z')",
        "DELETE FROM public.patients WHERE id = 1500",
        "UPDATE public.patients SET bmi = 40 WHERE id = 1500",
    )
]
schedules = st.lists(
    st.tuples(st.integers(0, MOMENTS), st.one_of(writes(), st.sampled_from(LATER))),
    min_size=4,
    max_size=14,
).map(lambda found: sorted(found, key=lambda each: each[0]))


@pytest.fixture(scope="module")
def bases(databases: Databases) -> Iterator[tuple[str, str]]:
    """A database at version 11, and the same one in which people have worked."""
    urls = []
    for works in (False, True):
        url = databases.create(10)
        open_clinic(url)
        with psycopg.connect(url, autocommit=True) as connection:
            turn(connection, "up")
        if works:
            work_as_version_11(url)
        urls.append(url)
    yield urls[0], urls[1]
    for url in urls:
        databases.drop(url)


class Twins:
    """Two databases with the same rows and archive; `one` is cut over online."""

    def __init__(
        self, urls: tuple[str, str], stack: ExitStack, schedule: Sequence[tuple[int, Write]]
    ) -> None:
        self.url, self.other = urls
        self.one, self.two = (
            stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls
        )
        self.left = list(schedule)
        self.watched: list[str] = []
        self.meanwhile = Meanwhile(self.write)
        self.before = self.archive()
        self.schema, self.old = catalog(self.url), pg_dump(self.url, schema_only=True)

    def archive(self) -> str:
        return pg_dump(self.url, exclude_schemas=("public",), exclude_tables=BESIDE)

    def write(self, moment: int, progress: Progress) -> None:
        """Write in both what is due."""
        self.watched.append(progress.phase)
        last = progress.phase is Phase.SWITCH
        while self.left and (last or self.left[0][0] <= moment) and not self.is_over:
            _, one_write = self.left.pop(0)
            note(f"{progress.phase}: {one_write}")
            met = one_write.run(self.one)
            assert met == one_write.run(self.two), one_write

    def write_the_rest(self) -> None:
        self.meanwhile.stop_at = None
        self.write(MOMENTS, Progress(phase=Phase.SWITCH))

    @property
    def is_over(self) -> bool:
        return bool(self.watched) and self.watched[-1] in AFTER

    def go_on(self, stops: Sequence[int], ending: str) -> None:
        """Cut over, killed here and there, given up once or switched by goose."""
        for stop in sorted(stops):
            self.meanwhile.stop_at = stop
            try:
                cutover(request(self.url), self.meanwhile)
            except KilledError:
                event(f"killed at {self.watched[-1] if self.watched else 'the beginning'}")
            else:
                break
        self.meanwhile.stop_at = None
        is_over = self.is_over
        if ending == "abort" and not is_over:
            self.give_up()
        if ending == "goose" and not stops:
            stage(request(self.url), self.meanwhile)
        if ending == "goose" and not is_over:
            self.write_the_rest()
            turn(self.one, "up", {"batch": "2"})
            record(self.one, 11)
            assert verify(VerifyRequest(dsn=Dsn.parse(self.url))).verdict is Verdict.PASS
        else:
            assert cutover(request(self.url), self.meanwhile).verdict is Verdict.PASS

    def give_up(self) -> None:
        abort(request(self.url), self.meanwhile)
        assert catalog(self.url) == self.schema
        assert version_10(self.one) == version_10(self.two)
        assert self.archive() == self.before

    def compare(self) -> None:
        assert self.left == []
        assert states_of_ties(self.one) == ["same", "same"]
        assert version_11(self.one) == version_11(self.two)
        assert former_pairs(self.one) == former_pairs(self.two)
        assert catalog(self.url) == catalog(self.other)
        refused = down(self.one)
        assert refused == down(self.two)
        if not refused:
            assert version_10(self.one) == version_10(self.two)
            assert pg_dump(self.url, schema_only=True) == self.old


def down(connection: psycopg.Connection) -> str:
    """Go back to version 10; return why not, if not."""
    try:
        turn(connection, "down", CHOICES)
    except psycopg.Error as error:
        return str(error)
    return ""


@effort(6)
@given(
    worked=st.booleans(),
    first=st.lists(strategies_11.writes(), min_size=2, max_size=10),
    schedule=schedules,
    moments=st.tuples(
        st.lists(st.integers(0, MOMENTS), max_size=2),
        st.sampled_from(["online", "online", "goose", "abort"]),
    ),
)
def test_what_down_kept_is_given_back_once_whatever_version_10_writes_meanwhile(
    databases: Databases,
    bases: tuple[str, str],
    *,
    worked: bool,
    first: Sequence[str],
    schedule: Sequence[tuple[int, Write]],
    moments: tuple[Sequence[int], str],
) -> None:
    with ExitStack() as stack:
        url = databases.copy(bases[worked])
        stack.callback(databases.drop, url)
        with psycopg.connect(url, autocommit=True) as connection:
            for text in first:
                both([connection], text)
            if down(connection):
                event("no way back")
                return
        other = databases.copy(url)
        stack.callback(databases.drop, other)
        twins = Twins((url, other), stack, schedule)
        try:
            twins.go_on(*moments)
        except (RefactorkitError, psycopg.Error):
            # Somebody wrote what Up refuses; perhaps it was mended since.
            twins.write_the_rest()
            try:
                turn(twins.two, "up")
            except psycopg.Error as error:
                event("refused")
                note(str(error))
                with pytest.raises(RefactorkitError):
                    cutover(request(url))
                twins.give_up()
                return
            event("refused on the way")
            assert cutover(request(url)).verdict is Verdict.PASS
        else:
            turn(twins.two, "up")
        twins.compare()
