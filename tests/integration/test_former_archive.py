"""The archive beside version 10's writes: what audit, verify, erasure and guards say of them."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from tests.support.cli import run
from tests.support.clinic import open_clinic
from tests.support.evidence import Signer, said
from tests.support.former import application, seen, switch
from tests.support.queries import scalar
from tests.support.refactor import turn
from tests.support.roles import fresh_role, with_user

MakeDatabase = Callable[[int], str]
Connect = Callable[..., psycopg.Connection]


@pytest.fixture
def clinic(make_database: MakeDatabase) -> str:
    url = make_database(10)
    open_clinic(url)
    switch(url)
    return url


def write_as_version_10(url: str) -> None:
    with application(url) as ten:
        ten.execute("UPDATE patients SET hypertension = 'yes', age = 60 WHERE id = 60")
        ten.execute("INSERT INTO patients (name, user_id) VALUES ('New Comer', 60)")
        ten.execute("DELETE FROM patients WHERE id = 1501")
        ten.execute("INSERT INTO users (email, password_hash) VALUES ('n@x.invalid', 'h')")


def test_an_audit_lists_what_version_10_wrote_apart_from_tampering(
    clinic: str, tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    evidence = signer.anchor(clinic).file
    assert signer.verify(clinic, evidence).verdict is Verdict.PASS
    write_as_version_10(clinic)
    result = signer.verify(clinic, evidence)
    assert result.verdict is Verdict.FAIL
    by_table = {tree.table: (tree.differences, tree.former) for tree in result.trees}
    assert by_table["archive.patients"] == (2, 2)
    assert by_table["archive.patients_map"] == (2, 2)
    assert any("former version wrote" in note for note in result.notes)
    assert signer.verify(clinic, evidence, allow_edits=True).verdict is Verdict.PASS, said(result)

    with psycopg.connect(clinic, autocommit=True) as thief:
        thief.execute("UPDATE archive.patients SET age = 1 WHERE id = -7")
    caught = signer.verify(clinic, evidence, allow_edits=True)
    assert caught.verdict is Verdict.FAIL
    assert ("archive.patients", "-7", "", "was edited") in said(caught)


def test_verify_in_both_directions_is_right_after_its_writes(clinic: str) -> None:
    write_as_version_10(clinic)
    told = run("verify", "--allow-edits", "--json", url=clinic)
    assert (told.code, told.document["beside"]) == (0, ["v10"])
    assert run("status", "--json", url=clinic).document["beside"] == ["v10"]
    foreseen = run("verify", "--rollback", "--json", url=clinic)
    assert foreseen.code == 0, foreseen.out
    with application(clinic) as ten:
        now = seen(ten)
    assert run("rollback", "--yes", url=clinic).code == 0
    with application(clinic) as ten:
        assert seen(ten) == now


def test_an_auditor_measures_a_rollback_for_its_runner_and_no_view_is_in_the_way(
    clinic: str, connect: Connect
) -> None:
    connection = connect(clinic)
    with fresh_role(clinic) as auditor:
        for grant in (
            "GRANT USAGE ON SCHEMA archive TO {0}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA archive, public TO {0}",
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA archive, public TO {0}",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA archive TO {0}",
        ):
            connection.execute(grant.format(auditor).encode())
        asking = ("verify", "--rollback", "--json", "--accept", "archive_readers")
        theirs = run(*asking, "--run-by", connection.info.user, url=with_user(clinic, auditor))
        assert theirs.code == 0, theirs.out
        assert theirs.document == run(*asking, url=clinic).document
        # Down refuses schema v10 of somebody whom its runner cannot speak for.
        connection.execute(f"ALTER SCHEMA v10 OWNER TO {auditor}".encode())
        connection.execute(b"CREATE ROLE rk_runner_of_test")
        try:
            alone = run(
                *asking, "--run-by", "rk_runner_of_test", url=with_user(clinic, auditor)
            ).document
        finally:
            connection.execute(b"DROP ROLE rk_runner_of_test")
        texts = [each["text"] for each in alone["refactors"][0]["refusals"]]
        assert any("v10.users" in text for text in texts), texts


def test_its_writes_pass_the_guards_and_nobody_elses(clinic: str, connect: Connect) -> None:
    assert run("archive", "harden", "--skip", "roles", "--skip", "public", url=clinic).code in {
        0,
        3,
    }
    connection = connect(clinic)
    guarded = "SELECT count(*) FROM pg_trigger WHERE tgname = 'patients_guard'"
    assert int(str(scalar(connection, guarded))) > 10
    write_as_version_10(clinic)
    with pytest.raises(psycopg.Error, match="is refused"):
        connection.execute("UPDATE archive.patients SET age = 1")
    with pytest.raises(psycopg.Error, match="is refused"):
        connection.execute("DELETE FROM archive.patients_former_writes")
    # In the application's own transaction nothing stays open behind its statement.
    with application(clinic) as ten, ten.transaction():
        ten.execute("UPDATE patients SET age = 61 WHERE id = 60")
        with pytest.raises(psycopg.Error, match="is refused"):
            ten.execute("UPDATE archive.patients SET age = 1")
    with psycopg.connect(clinic) as other:
        turn(other, "down")


def test_an_erased_person_leaves_the_log_and_never_comes_back(
    clinic: str, connect: Connect
) -> None:
    write_as_version_10(clinic)
    connection = connect(clinic)
    log = "SELECT count(*) FROM archive.patients_former_writes WHERE table_name = 'patients'"
    log += " AND row_id = 60"
    assert scalar(connection, log) == 1
    erased = run(
        "archive", "erase", "60", "--basis", "asked", "--approved-by", "somebody",
        url=clinic,
    )  # fmt: skip
    assert erased.code == 0, erased.err
    assert scalar(connection, log) == 0
    with application(clinic) as ten:
        assert scalar(ten, "SELECT count(*) FROM patients WHERE id = 60") == 0
        with pytest.raises(psycopg.errors.UniqueViolation):
            ten.execute("INSERT INTO patients (id, name, user_id) VALUES (60, 'Again', 61)")
    assert run("verify", "--allow-edits", url=clinic).code == 0


def test_a_stranger_in_the_way_is_refused_and_named(make_database: MakeDatabase) -> None:
    url = make_database(10)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA v10")
        refused = run("cutover", "--yes", "--keep-v10", url=url)
        assert (refused.code, "schema v10 is there already" in refused.err) == (3, True)
        admin.execute("DROP SCHEMA v10")
        admin.execute("ALTER TABLE patients ADD COLUMN more text")
        refused = run("cutover", "--yes", "--keep-v10", "--online", url=url)
        assert (refused.code, "column more of patients" in refused.err) == (3, True)
        admin.execute("ALTER TABLE patients DROP COLUMN more")
        assert run("cutover", "--yes", "--keep-v10", url=url).code == 0
        admin.execute("CREATE VIEW public.mine AS SELECT id FROM v10.patients")
        for arguments in (("cutover", "--drop-v10"), ("down",)):
            refused = run(*arguments, url=url)
            assert (refused.code, "hangs on its views" in refused.err) == (3, True), refused.err
        admin.execute("DROP VIEW public.mine")
        with application(url) as ten, ten.transaction():
            ten.execute("SELECT FROM patients")
            busy = run(
                "cutover", "--drop-v10", "--retries", "0", "--lock-timeout-ms", "50", url=url
            )
            assert (busy.code, "In use by" in busy.err) == (4, True), busy.err
        assert run("cutover", "--drop-v10", url=url).code == 0
        assert run("down", url=url).code == 0
