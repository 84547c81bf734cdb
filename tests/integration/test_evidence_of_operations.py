"""cutover and rollback make evidence themselves: of exactly what their change saw."""

import json
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.chain import Chain
from refactorkit.commands.cutover import CutoverRequest, cutover
from refactorkit.commands.operation.evidence import EvidenceMaker, EvidenceRequest
from refactorkit.commands.operation.result import OperationResult
from refactorkit.commands.rollback import RollbackRequest, rollback
from refactorkit.commands.verdict import Verdict
from refactorkit.evidence.manifest import WITHIN, Manifest
from refactorkit.migrations.plan import Step
from refactorkit.postgres.dsn import Dsn
from tests.support.chain import SQL
from tests.support.cli import run, start
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.evidence import Signer, said
from tests.support.processes import wait_until
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.new(tmp_path)


@pytest.fixture
def url(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch, url: str) -> list[str]:
    """SQL that an application commits between the commit of a change and the first leaf."""
    statements: list[str] = []
    make = EvidenceMaker.make

    def after_the_application(self: EvidenceMaker, step: Step) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        make(self, step)

    monkeypatch.setattr(EvidenceMaker, "make", after_the_application)
    return statements


def wanted(signer: Signer) -> EvidenceRequest:
    return EvidenceRequest(key=signer.source, folder=signer.folder)


def chain(url: str) -> Chain:
    return Chain(dsn=Dsn.parse(url), directory=SQL, table="goose_db_version", environ={})


def up(url: str, signer: Signer) -> OperationResult:
    return cutover(CutoverRequest(chain=chain(url), evidence=wanted(signer)))


def down(url: str, signer: Signer) -> OperationResult:
    return rollback(RollbackRequest(chain=chain(url), evidence=wanted(signer)))


def manifest_of(result: OperationResult) -> Manifest:
    (outcome,) = result.evidence
    assert outcome.made is not None, outcome.problem
    return outcome.made.manifest


def test_every_turn_has_evidence_of_what_it_left_and_it_is_found_good(
    url: str, signer: Signer
) -> None:
    previous = None
    for number, operation in enumerate((up, down, up, down)):
        result = operation(url, signer)
        assert result.verdict is Verdict.PASS, result.evidence
        (outcome,) = result.evidence
        assert outcome.made is not None
        assert outcome.sentence.startswith("Evidence: PASS.")
        manifest = manifest_of(result)
        assert not manifest.made.after_the_fact
        assert manifest.limitations[0] == WITHIN
        assert {tie.state for tie in manifest.ties} == {"same"}
        assert manifest.previous == previous
        previous = outcome.made.digest
        found = signer.verify(url, outcome.made.file)
        assert said(found) == set()
        assert found.verdict is Verdict.PASS, found.notes
        if number == 0:
            work_as_version_11(url)


def test_what_the_application_wrote_right_after_the_commit_is_not_in_the_leaves(
    url: str, signer: Signer, writes: list[str], connect: Connect
) -> None:
    db = connect(url)
    (native,), (other,) = db.execute("SELECT id FROM users ORDER BY id LIMIT 2").fetchall()
    gone = db.execute(
        "INSERT INTO users (email, password_hash) VALUES ('gone@x.invalid', '!') RETURNING id"
    ).fetchone()
    assert gone is not None
    writes += [
        f"UPDATE users SET last_login_at = now() WHERE id = {native}",
        f"UPDATE users SET email = 'other@x.invalid' WHERE id = {other}",
        f"DELETE FROM users WHERE id = {gone[0]}",
        "INSERT INTO users (email, password_hash) VALUES ('new@x.invalid', '!')",
    ]
    result = up(url, signer)
    manifest = manifest_of(result)
    assert not manifest.made.after_the_fact
    assert [(tie.state, tie.written_since) for tie in manifest.ties] == [
        ("same", None),
        ("same", 4),
    ]
    assert manifest.tree("target").rows == manifest.counts.counted["targets"]
    assert result.evidence[0].made is not None
    found = signer.verify(url, result.evidence[0].made.file, allow_edits=True)
    target = {(id_, what) for table, id_, _, what in said(found) if table == "public.users"}
    new = db.execute("SELECT id FROM users WHERE email = 'new@x.invalid'").fetchone()
    assert new is not None
    assert target == {
        (str(native), "was edited"),
        (str(other), "was edited"),
        (str(gone[0]), "is missing"),
        (str(new[0]), "was added"),
    }, target
    # Written back as it was, the row is the one of the leaf again: it was the old value.
    db.execute("UPDATE users SET last_login_at = NULL WHERE id = %s", (native,))
    found = signer.verify(url, result.evidence[0].made.file, allow_edits=True)
    assert str(native) not in {id_ for _, id_, _, _ in said(found)}


def test_after_a_rollback_edits_of_both_tables_are_told_from_what_it_left(
    url: str, signer: Signer, writes: list[str], connect: Connect
) -> None:
    up(url, signer)
    db = connect(url)
    ids = [row[0] for row in db.execute("SELECT id FROM archive.patients ORDER BY id").fetchall()]
    writes += [
        f"UPDATE patients SET age = 99 WHERE id = {ids[0]}",
        f"DELETE FROM patients WHERE id = {ids[1]}",
        "INSERT INTO patients (name, user_id) SELECT 'New One', min(id) FROM users",
        "UPDATE users SET last_login_at = now() WHERE id = (SELECT min(id) FROM users)",
    ]
    result = down(url, signer)
    manifest = manifest_of(result)
    assert not manifest.made.after_the_fact, manifest.ties
    assert [(tie.state, tie.written_since) for tie in manifest.ties] == [("same", 3), ("same", 1)]
    assert manifest.tree("source").rows == len(ids)
    assert manifest.counts.holds
    assert result.evidence[0].made is not None
    found = signer.verify(url, result.evidence[0].made.file, allow_edits=True)
    source = {(id_, what) for table, id_, _, what in said(found) if table == "public.patients"}
    new = db.execute("SELECT id FROM patients WHERE name = 'New One'").fetchone()
    assert new is not None
    assert source == {
        (str(ids[0]), "was edited"),
        (str(ids[1]), "is missing"),
        (str(new[0]), "was added"),
    }


def test_a_row_that_the_change_and_the_application_wrote_is_said_and_never_passed_off(
    url: str, signer: Signer, writes: list[str], connect: Connect
) -> None:
    up(url, signer)
    db = connect(url)
    row = db.execute(
        "SELECT target_id, source_id FROM archive.patients_map ORDER BY 2 LIMIT 1"
    ).fetchone()
    assert row is not None
    db.execute("UPDATE users SET bmi = 33 WHERE id = %s", (row[0],))  # Down carries it home
    writes.append(f"UPDATE patients SET age = 98 WHERE id = {row[1]}")
    result = down(url, signer)
    assert result.checked.verdict is Verdict.PASS
    assert result.verdict is Verdict.INCOMPLETE
    manifest = manifest_of(result)
    assert manifest.made.after_the_fact
    assert manifest.ties[0].state == "changed since"
    assert "public.patients (1 rows)" in result.evidence[0].problem


def test_without_a_key_it_says_that_there_is_no_evidence_and_how_to_have_it(url: str) -> None:
    outcome = run("cutover", "--yes", "--json", url=url)
    assert outcome.code == 0, outcome.err
    assert outcome.document["verdict"] == "pass"
    (said_of_it,) = outcome.document["evidence"]
    assert said_of_it["verdict"] == "incomplete"
    assert "No signing key was given" in said_of_it["problem"]
    back = run("rollback", "--yes", "--no-evidence", url=url)
    assert back.code == 0, back.err
    assert "Evidence: INCOMPLETE. It was left out on purpose" in back.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--key", "nobody.pem"), "cannot be read"),
        (("--evidence-dir", "/nowhere/at/all"), "Evidence cannot be written to the folder"),
        (("--approver", "me", "--operator", "me"), "nobody approves their own change"),
        (("--no-evidence", "--evidence-dir", "."), "exclude each other"),
    ],
)
def test_what_could_not_sign_is_said_before_anything_is_changed(
    options: tuple[str, ...], says: str, url: str, signer: Signer
) -> None:
    key = () if "--key" in options else ("--key", str(signer.secret))
    if "--no-evidence" in options:
        key = ()
    outcome = run("cutover", "--yes", *key, *options, url=url)
    assert outcome.code == 2
    assert says in outcome.err.replace("\n", " ")
    assert run("version", "--json", url=url).document["version"] == 10


def test_where_no_file_can_be_written_the_cutover_is_done_and_evidence_is_made_later(
    url: str, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = EvidenceMaker.make

    def with_no_room(self: EvidenceMaker, step: Step) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            make(self, step)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patched:
        patched.setattr(EvidenceMaker, "make", with_no_room)
        result = up(url, signer)
    assert (result.after, result.checked.verdict) == (11, Verdict.PASS)
    assert (result.verdict, result.exit_code) == (Verdict.INCOMPLETE, 3)
    assert "cannot be written" in result.evidence[0].problem
    assert "audit anchor" in result.evidence[0].sentence
    assert [file.name for file in signer.folder.glob("evidence*")] == []

    # The same command again makes up for it, once, and says that it was afterwards.
    again = up(url, signer)
    assert again.done == ()
    assert manifest_of(again).made.after_the_fact
    assert again.verdict is Verdict.PASS
    assert up(url, signer).evidence == ()


def test_killed_after_the_commit_the_evidence_is_made_by_the_same_command(
    url: str, signer: Signer, connect: Connect
) -> None:
    reader, watching = connect(url, autocommit=False), connect(url)
    reader.execute("SELECT count(*) FROM public.users")
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    options = ("--yes", "--key", signer.secret, "--evidence-dir", signer.folder)
    process = start("cutover", *options, "--lock-timeout-ms", "60000", url=url)
    assert wait_until(lambda: scalar(watching, waits) == 1)
    with ThreadPoolExecutor(max_workers=1) as pool:
        # In the queue behind the cutover, this one has the table before any leaf is made.
        locking = connect(url, autocommit=False)
        locked = pool.submit(locking.execute, "LOCK TABLE public.users IN ACCESS EXCLUSIVE MODE")
        assert wait_until(lambda: scalar(watching, waits) == 2)
        reader.rollback()
        locked.result(timeout=30)
    assert wait_until(lambda: scalar(watching, waits) == 1)
    process.kill()
    process.communicate()
    locking.rollback()
    gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'refactorkit'"
    assert wait_until(lambda: scalar(watching, gone) == 0)
    assert scalar(watching, "SELECT max(version_id) FROM goose_db_version") == 11
    assert scalar(watching, "SELECT to_regclass('archive.patients_evidence') IS NULL")
    again = run("cutover", *options, "--json", url=url)
    assert again.code == 0, again.err
    assert [each["after_the_fact"] for each in again.document["evidence"]] == [True]


def test_evidence_of_a_deep_rollback_is_made_before_the_files_below_run(
    url: str, signer: Signer
) -> None:
    up(url, signer)
    result = rollback(RollbackRequest(chain=chain(url), to=8, evidence=wanted(signer)))
    assert result.after == 8
    manifest = manifest_of(result)
    assert not manifest.made.after_the_fact
    assert "is_active" in {column.name for column in manifest.tree("target").columns}


def test_the_command_prints_one_document_with_its_evidence(url: str, signer: Signer) -> None:
    outcome = run(
        "cutover", "--yes", "--json", "--key", signer.secret, "--evidence-dir", signer.folder,
        "--ticket", "CHG-1", "--approver", "Ada", "--operator", "Ben", url=url,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (told,) = outcome.document["evidence"]
    assert (told["verdict"], told["after_the_fact"], told["turn"]) == ("pass", False, 1)
    assert Path(told["file"]).parent == signer.folder
    assert Path(told["file"]).stat().st_mode & 0o777 == 0o600
    payload = json.loads(Path(told["file"]).read_bytes())
    assert len(payload["signatures"]) == 1
