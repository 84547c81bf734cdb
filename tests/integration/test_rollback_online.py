"""rollback --online: what Down does with what was found out before is what it does without."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from refactorkit.errors import BusyError
from refactorkit.mapping.preparation import Preparation, preparation_of
from refactorkit.postgres import preparing
from tests.support.chain import record
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.prepared import both, everything, killed_at, prepare, preparer, told
from tests.support.refactor import turn
from tests.support.roles import fresh_role, with_user

Connect = Callable[..., psycopg.Connection]
CLINICIAN = "(SELECT id FROM public.users WHERE email = 'sixty@clinic.invalid')"
CHOICES = {"custodian": "sixtyone@clinic.invalid"}
CHOSEN = ("--custodian", CHOICES["custodian"])


def subject(number: int) -> str:
    return f"(SELECT target_id FROM archive.patients_map WHERE source_id = {number})"


# One reason each for Down to look at a row; with what is planted in the preparation, or in Down, no
# other one makes up for it.
WRITES = {
    "an edit of a subject": f"UPDATE public.users SET phone = '1' WHERE id = {subject(3)}",
    "a subject deleted": f"DELETE FROM public.users WHERE id = {subject(4)}",
    "a subject softly deleted": (
        f"UPDATE public.users SET deleted_at = '2023-01-01Z' WHERE id = {subject(6)}"
    ),
    "a sign-up": (
        "INSERT INTO public.users (email, password_hash, created_at, updated_at,"
        " consent_updated_at) VALUES ('late@home.invalid', 'h', '2023-01-01Z', '2023-01-01Z',"
        " '2023-01-01Z')"
    ),
    "a sign-up without anything": (
        "INSERT INTO public.users (email, password_hash, consent_personal_data,"
        " consent_analytics, consent_updated_at, created_at, updated_at)"
        " VALUES ('bare@home.invalid', 'h', false, false, NULL, '2023-01-01Z', '2023-01-01Z')"
    ),
    "an assessment of her own": (
        "INSERT INTO public.assessments (user_id, notes, created_at, updated_at)"
        f" VALUES ({subject(2)}, 'mine', '2023-01-01Z', '2023-01-01Z')"
    ),
    "a native softly deleted": (
        "UPDATE public.users SET account_status = 'deleted' WHERE email = 'leaves@clinic.invalid'"
    ),
    "a native with a profile": f"UPDATE public.users SET bmi = 20 WHERE id = {CLINICIAN}",
    "a native with consent": f"UPDATE public.users SET phone = '2' WHERE id = {CLINICIAN}",
    "a native made by a subject": (
        f"UPDATE public.users SET created_by = {subject(3)} WHERE id = {CLINICIAN}"
    ),
    "a native with an assessment": (
        "INSERT INTO public.assessments (user_id, is_self_reported, source, created_at,"
        f" updated_at) VALUES ({CLINICIAN}, false, 'clinic', '2023-01-01Z', '2023-01-01Z')"
    ),
    "an assessment that moves": (
        f"UPDATE public.assessments SET user_id = {CLINICIAN} WHERE user_id = {subject(1)}"
    ),
    "an assessment annotated": (
        f"UPDATE public.assessments SET notes = 'n' WHERE user_id = {subject(2)}"
    ),
    "the archive edited": "UPDATE archive.patients SET age = 77 WHERE id = 3",
    "a fingerprint edited": "UPDATE archive.patients_map SET row_hash = 1 WHERE source_id = 3",
}
NATIVE = f"bmi = 19, phone = 'x' WHERE id = {CLINICIAN}"
# What fires no trigger, or not ours, and leaves the catalog as it was. The first word is what
# makes Down notice it.
UNSEEN = {
    "switched": (
        "ALTER TABLE public.users DISABLE TRIGGER patients_prepared_capture;"
        f" UPDATE public.users SET {NATIVE};"
        " ALTER TABLE public.users ENABLE ALWAYS TRIGGER patients_prepared_capture"
    ),
    "rewritten": (
        "ALTER TABLE public.users ALTER COLUMN bmi TYPE numeric(5,2) USING (bmi + 1)::numeric(5,2)"
    ),
    "truncated": "TRUNCATE public.assessments",
    "dropped": (
        "UPDATE public.users SET chol = 1;"
        " ALTER TABLE public.users DROP COLUMN chol; ALTER TABLE public.users ADD chol integer"
    ),
    "replaced": (
        "CREATE OR REPLACE FUNCTION archive.patients_prepared_capture_target() RETURNS trigger"
        " LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
        " AS 'BEGIN RETURN NULL; END';"
        f" UPDATE public.users SET {NATIVE}"
    ),
    "added": "ALTER TABLE public.users ADD COLUMN extra text",
}


@pytest.fixture(scope="module")
def cut_over(databases: Databases) -> Iterator[str]:
    """A database at version 11, to be copied."""
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        turn(connection, "up")
        record(connection, 11)
    yield url
    databases.drop(url)


@dataclass
class Twins:
    """Two databases at version 11, of which one is prepared."""

    urls: tuple[str, str]
    connections: tuple[psycopg.Connection, psycopg.Connection]

    @property
    def prepared(self) -> psycopg.Connection:
        return self.connections[0]

    def write(self, text: str) -> None:
        assert both(self.connections, text) == ""

    def down(self, **planted: Any) -> list[str]:
        """Take both back; return what the prepared one said."""
        notices = told(self.prepared)
        turn(self.connections[0], "down", CHOICES, **planted)
        turn(self.connections[1], "down", CHOICES)
        return notices

    def differences(self) -> set[str]:
        one, two = (set(everything(url).split("\n")) for url in self.urls)
        return one ^ two


@pytest.fixture
def twins(databases: Databases, cut_over: str) -> Iterator[Twins]:
    urls = databases.copy(cut_over), databases.copy(cut_over)
    with ExitStack() as stack:
        one, two = (stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls)
        yield Twins(urls=urls, connections=(one, two))
    for url in urls:
        databases.drop(url)


def relied_on(notices: list[str]) -> bool:
    said = [text for text in notices if "prepared beforehand" in text]
    assert len(said) == 1, notices
    return "cannot be relied on" not in said[0]


@pytest.mark.parametrize("first", ["before", "after"])
def test_down_does_the_same_with_what_was_found_out_before(twins: Twins, first: str) -> None:
    of_rows = [text for what, text in WRITES.items() if "edited" not in what]
    for number, text in enumerate(of_rows):
        if (number % 2 == 0) == (first == "before"):
            twins.write(text)
    if first == "before":
        for url in twins.urls:
            work_as_version_11(url)
    prepare(twins.prepared)
    for number, text in enumerate(of_rows):
        if (number % 2 == 0) != (first == "before"):
            twins.write(text)
    if first == "after":
        for url in twins.urls:
            work_as_version_11(url)
    assert relied_on(twins.down())
    assert twins.differences() == set()
    # The next turns have nothing to remember either.
    for connection in twins.connections:
        turn(connection, "up")
        turn(connection, "down", CHOICES)
    assert twins.differences() == set()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", [what for what in WRITES if "edited" in what])
def test_an_archive_that_was_written_to_is_looked_at_whole(
    twins: Twins, what: str, when: str
) -> None:
    if when == "before":
        twins.write(WRITES[what])
    prepare(twins.prepared)
    if when == "after":
        twins.write(WRITES[what])
    assert not relied_on(twins.down())
    assert twins.differences() == set()


@pytest.mark.parametrize("what", UNSEEN)
def test_what_fires_no_trigger_is_noticed(twins: Twins, what: str) -> None:
    prepare(twins.prepared)
    twins.prepared.execute(UNSEEN[what].encode())
    ours = ("DISABLE TRIGGER", "ENABLE ALWAYS", "FUNCTION")
    plain = [part for part in UNSEEN[what].split("; ") if not any(o in part for o in ours)]
    plain = [f"UPDATE public.users SET {NATIVE}"] if what == "replaced" else plain
    for part in plain:
        twins.connections[1].execute(part.encode())
    assert not relied_on(twins.down())
    assert twins.differences() == set()


def planted(monkeypatch: pytest.MonkeyPatch, part: str, old: str, new: str) -> None:
    """Plant a fault in one part of the preparation."""

    def faulty(mapping: Any) -> Preparation:
        made = preparation_of(mapping)
        texts = getattr(made, part)
        assert any(old.encode() in text for text in texts), old
        changed = tuple(text.replace(old.encode(), new.encode()) for text in texts)
        return replace(made, make=changed) if part == "make" else replace(made, look=changed)

    monkeypatch.setattr(preparing, "preparation_of", faulty)


OLD, NEW = "IF TG_OP <> 'INSERT' THEN", "IF TG_OP <> 'DELETE' THEN"
FAULTS = [
    ("make", OLD, "IF false THEN", "a subject deleted", "after"),
    ("make", NEW, "IF false THEN", "a sign-up", "after"),
    ("make", "NEW.id, NEW.user_id", "NEW.id, NULL", "a native with an assessment", "after"),
    ("make", "NEW.id, NEW.user_id", "NULL, NEW.user_id", "an assessment of her own", "after"),
    ("look", "OR x.phone", "OR false AND x.phone", "an edit of a subject", "before"),
    ("look", "NOT x.id <@ turn.natives", "false", "a sign-up without anything", "before"),
    ("look", "c.target_id = x.created_by", "false", "a native made by a subject", "before"),
    ("look", "l.user_id = x.id", "false", "a native with an assessment", "before"),
    ("look", "OR x.phone", "OR false AND x.phone", "a native with consent", "before"),
    ("look", "WHERE record_image_ne(", "WHERE false AND record_image_ne(",
     "an assessment annotated", "before"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, fault: tuple[str, str, str, str, str]
) -> None:
    part, old, new, what, when = fault
    planted(monkeypatch, part, old, new)
    if when == "before":
        twins.write(WRITES[what])
    prepare(twins.prepared)
    if when == "after":
        twins.write(WRITES[what])
    try:
        assert relied_on(twins.down())
    except psycopg.Error:
        return  # the counts did not add up, or a foreign key did not hold
    assert twins.differences() != set()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("t.oid, t.xmin), ','", "t.oid, 0), ','", "switched"),
        ("pg_relation_filenode(c.oid)", "0", "rewritten"),
        (
            "a.attnum, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attrelid, a.attnum",
            "0, a.attname, a.atttypid, a.atttypmod), ',' ORDER BY a.attrelid, a.attname",
            "dropped",
        ),
        ("p.oid, p.xmin", "p.oid, 0", "replaced"),
    ],
)
def test_a_fact_that_is_not_compared_is_missed(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, old: str, new: str, what: str
) -> None:
    planted(monkeypatch, "look", old, new)
    prepare(twins.prepared)
    twins.prepared.execute(UNSEEN[what].encode())
    assert relied_on(told_by_down(twins.prepared, (old, new))), (
        "Down notices it by something else: then this fact is not needed"
    )


def told_by_down(connection: psycopg.Connection, fault: tuple[str, str]) -> list[str]:
    notices = told(connection)
    turn(connection, "down", CHOICES, replace=fault)
    return notices


def test_what_is_not_committed_while_all_rows_are_looked_at_is_carried_home(
    twins: Twins, connect: Connect
) -> None:
    ours = preparer(twins.prepared)
    ours.hook()
    slow = connect(twins.urls[0], autocommit=False)
    slow.execute(WRITES["an edit of a subject"].encode())
    ours.find_out()
    slow.commit()
    twins.connections[1].execute(WRITES["an edit of a subject"].encode())
    assert relied_on(twins.down())
    assert twins.differences() == set()


def test_a_writer_who_came_first_is_waited_for_and_the_preparation_can_go_on(
    twins: Twins, connect: Connect
) -> None:
    slow = connect(twins.urls[0], autocommit=False)
    slow.execute(WRITES["an edit of a subject"].encode())
    with pytest.raises(BusyError):
        preparer(twins.prepared).hook()
    slow.commit()
    twins.connections[1].execute(WRITES["an edit of a subject"].encode())
    prepare(twins.prepared)
    assert relied_on(twins.down())
    assert twins.differences() == set()


def test_killed_at_any_moment_it_can_be_given_up_or_begun_anew(twins: Twins) -> None:
    before = everything(twins.urls[0])
    moment = 0
    while killed_at(twins.prepared, moment):
        preparer(twins.prepared).take_away()
        assert everything(twins.urls[0]) == before, moment
        moment += 1
    assert moment == 6
    preparer(twins.prepared).take_away()
    preparer(twins.prepared).take_away()
    assert everything(twins.urls[0]) == before
    assert killed_at(twins.prepared, 3)
    twins.write(WRITES["a subject deleted"])
    prepare(twins.prepared)
    assert relied_on(twins.down())
    assert twins.differences() == set()


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_down_looks_at_all_rows_where_the_preparation_was_stopped(
    twins: Twins, moment: int
) -> None:
    assert killed_at(twins.prepared, moment)
    twins.write(WRITES["an edit of a subject"])
    assert not relied_on(twins.down())
    assert twins.differences() == set()


def test_the_setting_is_not_taken_from_outside(twins: Twins) -> None:
    twins.prepared.execute("SET refactorkit.prepared = 'on'")
    twins.write(WRITES["an edit of a subject"])
    twins.down()
    assert twins.differences() == set()


def test_the_command_prepares_switches_verifies_and_leaves_nothing(twins: Twins) -> None:
    twins.write(WRITES["an edit of a subject"])
    url = twins.urls[0]
    assert run("rollback", "--online", "--status", "--json", url=url).document["prepared"] is False
    before = everything(url)
    staged = run("rollback", "--online", "--stage-only", "--json", url=url)
    assert staged.code == 0, staged.err
    assert staged.document["prepared"] is True
    assert staged.document["version"] == 11
    assert everything(url) != before
    assert run("rollback", "--online", "--abort", url=url).code == 0
    assert everything(url) == before
    outcome = run("rollback", "--online", "--yes", "--json", url=url)
    assert outcome.code == 0, outcome.err
    assert outcome.document["after"] == 10
    assert outcome.document["prepared"]["relied_on"] is True
    plain = run("rollback", "--yes", "--json", url=twins.urls[1])
    assert (plain.code, plain.document["prepared"]) == (0, None)
    assert twins.differences() == set()
    assert run("rollback", "--online", "--abort", url=url).code == 3


def foretold(url: str) -> Any:
    outcome = run("verify", "--rollback", *CHOSEN, "--json", url=url)
    (refactor,) = outcome.document["refactors"]
    return refactor["prepared"]


@pytest.mark.parametrize("spoilt", [None, "the archive edited", "switched", "added"])
def test_that_it_is_prepared_and_whether_down_relies_on_it_is_told_before_and_after(
    twins: Twins, spoilt: str | None
) -> None:
    url = twins.urls[0]
    assert foretold(url) is None
    assert killed_at(twins.prepared, 3)
    assert foretold(url) == {"looked_at": None, "keys": 0, "is_spoilt": False}
    prepare(twins.prepared)
    before = foretold(url)
    assert (before["is_spoilt"], before["looked_at"] is None) == (False, False)
    if spoilt:
        twins.prepared.execute((WRITES | UNSEEN)[spoilt].encode())
    told = foretold(url)
    assert told["is_spoilt"] is bool(spoilt)
    status = run("rollback", "--online", "--status", "--json", url=url).document
    assert (status["is_spoilt"], status["keys"]) == (told["is_spoilt"], told["keys"])
    for more in (("--dry-run",), ("--yes",)):
        outcome = run("rollback", *CHOSEN, *more, "--json", url=url)
        assert outcome.document["after"] == (11 if more == ("--dry-run",) else 10), outcome.err
        assert outcome.document["prepared"]["relied_on"] is not bool(spoilt)
        assert outcome.document["prepared"]["keys"] == told["keys"]


def test_who_may_not_look_at_the_preparation_is_told_that_there_is_one(twins: Twins) -> None:
    prepare(twins.prepared)
    with fresh_role(twins.urls[0]) as role:
        twins.prepared.execute(
            f"GRANT USAGE ON SCHEMA archive TO {role};"
            f" GRANT SELECT ON ALL TABLES IN SCHEMA archive, public TO {role};"
            f" GRANT SELECT ON ALL SEQUENCES IN SCHEMA archive, public TO {role};"
            f" GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA archive TO {role};"
            f" REVOKE SELECT ON archive.patients_prepared FROM {role}".encode()
        )
        asked = run("verify", "--rollback", "--json", url=with_user(twins.urls[0], role))
        assert asked.code == 3, asked.err
        (refactor,) = asked.document["refactors"] or [{}]
        assert refactor["prepared"] == {"looked_at": None, "keys": None, "is_spoilt": None}


def test_a_switch_that_gets_no_lock_says_that_what_is_prepared_stays(
    twins: Twins, connect: Connect
) -> None:
    url = twins.urls[0]
    prepare(twins.prepared)
    holder = connect(url, autocommit=False)
    holder.execute("SELECT FROM public.users LIMIT 1")
    options = ("rollback", *CHOSEN, "--yes", "--lock-timeout-ms", "50", "--retries", "0")
    for online in ((), ("--online",)):
        busy = run(*options, *online, url=url)
        assert busy.code == 4, busy.err
        assert "What is prepared stays" in busy.err
    holder.rollback()
    assert run("rollback", "--online", "--abort", url=url).code == 0
    holder.execute("SELECT FROM public.users LIMIT 1")
    busy = run(*options, url=url)
    assert (busy.code, "prepared" in busy.err) == (4, False)


@pytest.mark.parametrize(
    "options",
    [
        ("--stage-only",),
        ("--online", "--abort", "--status"),
        ("--online", "--stage-only", "--dry-run"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    twins: Twins, options: tuple[str, ...]
) -> None:
    assert run("rollback", *options, url=twins.urls[0]).code == 2


def test_a_second_one_beside_it_is_busy(twins: Twins, connect: Connect) -> None:
    connect(twins.urls[0]).execute("SELECT pg_advisory_lock(4097083626)")
    options = ("rollback", "--online", "--stage-only", "--lock-wait", "0")
    assert run(*options, url=twins.urls[0]).code == 4


def test_a_hardened_archive_is_prepared_given_up_and_rolled_back_alike(twins: Twins) -> None:
    for url in twins.urls:
        assert run("archive", "harden", url=url).code == 0
    before = everything(twins.urls[0])
    prepare(twins.prepared)
    preparer(twins.prepared).take_away()
    assert everything(twins.urls[0]) == before
    prepare(twins.prepared)
    twins.write(WRITES["an edit of a subject"])
    assert relied_on(twins.down())
    assert twins.differences() == set()


def test_who_is_erased_meanwhile_stays_erased(twins: Twins) -> None:
    prepare(twins.prepared)
    erase = ("archive", "erase", "3", "--basis", "request", "--approved-by", "somebody")
    for url in twins.urls:
        erased = run(*erase, url=url)
        assert erased.code == 0, erased.err
    assert not relied_on(twins.down())
    assert twins.differences() == set()
