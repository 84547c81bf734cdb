"""The online cutover: its turn records fingerprints without reading a table, and has evidence."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.online import Phase, Progress, cutover, stage
from refactorkit.commands.operation.evidence import EvidenceMaker, EvidenceRequest
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from tests.support.clinic import open_clinic
from tests.support.evidence import Signer, said
from tests.support.online import Meanwhile, request
from tests.support.queries import scalar

Connect = Callable[..., psycopg.Connection]
WRITES = (
    "UPDATE patients SET age = coalesce(age, 0) + 1 WHERE id = (SELECT min(id) FROM patients)",
    "UPDATE users SET last_login_at = clock_timestamp() WHERE id ="
    " (SELECT min(id) FROM users WHERE is_active)",
    "INSERT INTO users (email, password_hash) VALUES (gen_random_uuid() || '@x.invalid', '!')",
    "DELETE FROM users WHERE email LIKE '%@x.invalid' AND id ="
    " (SELECT max(id) FROM users WHERE email LIKE '%@x.invalid')",
    "INSERT INTO patients (name, user_id) SELECT 'New One', min(id) FROM users WHERE is_active",
    "DELETE FROM patients WHERE id = (SELECT max(id) FROM patients WHERE name = 'New One')",
)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.new(tmp_path)


@pytest.fixture
def clinic(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


def test_what_is_edited_while_it_is_staged_is_in_the_leaves_with_its_last_value(
    clinic: str, signer: Signer, connect: Connect
) -> None:
    db, dice = connect(clinic), random.Random(7)

    def work(moment: int, progress: Progress) -> None:
        if progress.phase not in (Phase.VALIDATE, Phase.EVIDENCE, Phase.VERIFY):
            db.execute(dice.choice(WRITES).encode())
            db.execute("UPDATE patients SET bp_systolic = %s WHERE id = 60", (moment,))

    wanted = EvidenceRequest(key=signer.source, folder=signer.folder)
    result = cutover(replace(request(clinic), evidence=wanted), Meanwhile(acts=work))
    assert result.verdict is Verdict.PASS
    (outcome,) = result.evidence
    assert outcome.made is not None, outcome.problem
    assert not outcome.made.manifest.made.after_the_fact
    assert {tie.state for tie in outcome.made.manifest.ties} == {"same"}
    assert scalar(db, "SELECT settings -> 'staged' FROM archive.patients_turns") is True
    found = signer.verify(clinic, outcome.made.file)
    assert said(found) == set()
    assert found.verdict is Verdict.PASS, found.notes
    # The first value, put in the place of the last one, is not the one of the leaf.
    db.execute("UPDATE archive.patients SET bp_systolic = 0 WHERE id = 60")
    assert ("archive.patients", "60", "", "was edited") in said(signer.verify(clinic))


def test_what_is_written_right_after_the_switch_is_not_in_the_leaves(
    clinic: str, signer: Signer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = connect(clinic)
    native = scalar(db, "SELECT min(id) FROM users")
    make = EvidenceMaker.make_of

    def after_the_application(self: EvidenceMaker, name: str) -> None:
        db.execute("UPDATE users SET last_login_at = now() WHERE id = %s", (native,))
        make(self, name)

    monkeypatch.setattr(EvidenceMaker, "make_of", after_the_application)
    wanted = EvidenceRequest(key=signer.source, folder=signer.folder)
    result = cutover(replace(request(clinic), evidence=wanted))
    (outcome,) = result.evidence
    assert outcome.made is not None
    assert [tie.written_since for tie in outcome.made.manifest.ties] == [None, 1]
    assert not outcome.made.manifest.made.after_the_fact
    db.execute("UPDATE users SET last_login_at = NULL WHERE id = %s", (native,))
    assert said(signer.verify(clinic, outcome.made.file)) == set()


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE archive.patients_stage SET source_xor = source_xor # 1",
        "UPDATE archive.patients_stage_natives SET row_hash = row_hash # 1 WHERE target_id ="
        " (SELECT min(target_id) FROM archive.patients_stage_natives)",
    ],
)
def test_sums_that_are_not_those_of_the_rows_stop_the_switch(
    planted: str, clinic: str, connect: Connect
) -> None:
    stage(request(clinic))
    connect(clinic).execute(planted.encode())
    with pytest.raises(RefusedError, match="are not staged as they must be"):
        cutover(request(clinic))
