"""audit anchor and audit verify: evidence of a turn is found good, and what is not is named."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from refactorkit.commands.audit.anchor import AnchorRequest, anchor
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import BusyError, FailedError, RefusedError, UsageError
from refactorkit.evidence.envelope import Envelope
from refactorkit.evidence.manifest import PROMISE, Manifest
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.locks import LOCK_ID
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.evidence import Signer, said
from tests.support.refactor import turn


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.new(tmp_path)


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    open_clinic(database_at_10)
    return connect(database_at_10)


def test_evidence_of_every_turn_is_found_good(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    previous = None
    for number, direction in enumerate(("up", "down", "up", "down")):
        turn(db, direction)
        made = signer.anchor(database_at_10, f"{number}.json")
        assert made.verdict is Verdict.PASS
        assert {tie.state for tie in made.manifest.ties} == {"same"}
        assert made.manifest.previous == previous
        previous = made.digest
        for file in (made.file, None):
            found = signer.verify(database_at_10, file)
            assert said(found) == set()
            assert found.verdict is Verdict.PASS, found.notes
            assert all(tree.verified == tree.expected for tree in found.trees)
        if number == 0:
            work_as_version_11(database_at_10)


def test_a_manifest_says_what_was_there_and_no_value_of_anybody(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    db.execute(
        "UPDATE public.patients SET name = 'Canary Canaria', smoking = 'canary' WHERE id = 60"
    )
    turn(db, "up")
    made = signer.anchor(database_at_10)
    manifest = made.manifest
    assert manifest.promise == PROMISE
    assert manifest.counts.holds
    assert (manifest.counts.counted["sources"], manifest.counts.counted["renumbered"]) == (14, 12)
    assert manifest.run.direction == "up"
    assert manifest.identity.system_identifier
    columns = {each.name: each for each in manifest.tree("source").columns}
    assert columns["age"].nulls == 1
    octets = db.execute("SELECT sum(octet_length(name)) FROM archive.patients").fetchone()
    assert octets == (columns["name"].text_octets,)
    text = made.file.read_bytes() + Envelope.from_bytes(made.file.read_bytes()).payload
    for value in (b"anary", b"clinic.invalid", b"Withuser", b"token of"):
        assert value not in text
    assert made.file.stat().st_mode & 0o777 == 0o600


def test_different_values_are_counted_where_that_is_asked_for(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    file = signer.folder / "evidence.json"
    done = run("audit", "anchor", "--profile", "--key", signer.secret, "--out", file, "--json",
               url=database_at_10)  # fmt: skip
    assert done.code == 0, done.err
    manifest = Manifest.from_bytes(Envelope.from_bytes(file.read_bytes()).payload)
    assert manifest.values_without_image is not None
    assert manifest.values_without_image["hypertension"] == 2
    source = manifest.tree("source")
    for column in source.columns:
        query = f"SELECT count(DISTINCT {column.name}::text) FROM archive.patients"
        assert db.execute(query.encode()).fetchone() == (column.distinct,)


def test_the_archive_keeps_no_value_in_its_leaves(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    db.execute("UPDATE public.patients SET name = 'Canary Canaria' WHERE id = 60")
    turn(db, "up")
    signer.anchor(database_at_10)
    rows = db.execute(
        "SELECT t::text FROM archive.patients_leaves AS t"
        " UNION ALL SELECT t::text FROM archive.patients_evidence AS t"
        " UNION ALL SELECT t::text FROM archive.patients_row_salts AS t"
    ).fetchall()
    assert rows
    assert not any("anary" in text or b"anary".hex() in text for (text,) in rows)


def test_every_person_has_a_salt_of_their_own_and_keeps_it(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    signer.anchor(database_at_10, "one.json")
    salts = "SELECT source_id, salt FROM archive.patients_salts ORDER BY 1"
    before = db.execute(salts).fetchall()
    assert len(before) == len({salt for _, salt in before}) == 14
    assert all(len(salt) == 32 for _, salt in before)
    natives = db.execute("SELECT count(*), count(DISTINCT salt) FROM archive.patients_native_salts")
    assert natives.fetchone() == (7, 7)
    turn(db, "down")
    signer.anchor(database_at_10, "two.json")
    assert db.execute(salts).fetchall() == before


def test_the_salts_of_people_have_their_key_when_evidence_was_made(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    keys = (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'archive.patients_salts'::regclass AND contype = 'p'"
    )
    for file in ("one.json", "two.json"):
        signer.anchor(database_at_10, file)
        assert db.execute(keys).fetchall() == [("patients_salts_pkey", "PRIMARY KEY (source_id)")]


def test_an_edit_of_the_application_may_be_allowed_and_one_of_the_archive_may_not(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    db.execute("UPDATE public.users SET last_login_at = now() WHERE id = 61")
    db.execute("INSERT INTO public.users (email, password_hash) VALUES ('x', 'x')")
    strict = signer.verify(database_at_10, file)
    assert {(table, row) for table, row, _, _ in said(strict)} == {
        ("public.users", "61"),
        ("public.users", "1514"),
    }
    assert strict.verdict is Verdict.FAIL
    assert signer.verify(database_at_10, file, allow_edits=True).verdict is Verdict.PASS


NO_EDITS = {
    "a row of the archive": "UPDATE archive.patients SET age = 1 WHERE id = 60",
    "the salt of a living row": "DELETE FROM archive.patients_native_salts WHERE target_id = 61",
    "leaves of a living table": "DELETE FROM archive.patients_leaves"
    " WHERE table_name = 'public.users'",
    "a living table": "DROP TABLE public.users CASCADE",
    "a column of a living table": "ALTER TABLE public.users DROP COLUMN last_login_at",
    "a trigger of a living table": "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'; CREATE TRIGGER spy BEFORE INSERT ON public.users FOR EACH ROW"
    " EXECUTE FUNCTION public.f()",
}


@pytest.mark.parametrize("plant", NO_EDITS.values(), ids=NO_EDITS)
def test_what_no_application_does_is_never_allowed(
    db: psycopg.Connection, database_at_10: str, signer: Signer, plant: str
) -> None:
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    db.execute(plant.encode())
    assert signer.verify(database_at_10, file, allow_edits=True).verdict is Verdict.FAIL


def test_what_changed_between_the_turn_and_the_evidence_is_said(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    """Made after the fact: so it must not pass for evidence of what the change saw."""
    turn(db, "up")
    db.execute("UPDATE public.users SET role = 'admin' WHERE id = 60")
    made = signer.anchor(database_at_10, "one.json")
    assert {tie.table: tie.state for tie in made.manifest.ties} == {
        "archive.patients": "same",
        "public.users": "changed since",
    }
    assert (made.verdict, made.exit_code) == (Verdict.INCOMPLETE, 3)
    db.execute("UPDATE archive.patients SET age = 1 WHERE id = 60")
    made = signer.anchor(database_at_10, "two.json")
    assert {tie.state for tie in made.manifest.ties} == {"changed since"}
    db.execute("UPDATE archive.patients_turns SET fingerprints = '{}'")
    made = signer.anchor(database_at_10, "three.json")
    assert {tie.state for tie in made.manifest.ties} == {"not recorded"}
    assert made.verdict is Verdict.INCOMPLETE
    assert "after the fact" in made.manifest.limitations[0]


def test_an_archive_from_before_fingerprints_gets_them_with_its_next_turn(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    db.execute("ALTER TABLE archive.patients_turns DROP COLUMN fingerprints")
    old = signer.anchor(database_at_10, "old.json")
    assert {tie.state for tie in old.manifest.ties} == {"not recorded"}
    turn(db, "down")
    assert signer.anchor(database_at_10, "new.json").verdict is Verdict.PASS


def test_evidence_of_an_earlier_turn_is_incomplete_and_still_vouches_for_the_log(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    turn(db, "down")
    found = signer.verify(database_at_10, file)
    assert (said(found), found.verdict) == (set(), Verdict.INCOMPLETE)
    assert any("turned since" in note for note in found.notes)
    db.execute("UPDATE archive.patients_turns SET run_by = 'nobody' WHERE turn = 1")
    found = signer.verify(database_at_10, file)
    assert ("archive.patients_turns", "1", "", "was edited") in said(found)
    assert found.verdict is Verdict.FAIL


def test_without_a_public_key_nothing_passes(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    found = signer.verify(database_at_10, file, keys=())
    assert found.verdict is Verdict.INCOMPLETE
    assert any("--key" in note for note in found.notes)


def test_an_erased_person_is_no_difference_and_every_root_still_verifies(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    db.execute("CREATE SCHEMA IF NOT EXISTS archive")
    db.execute("CREATE TABLE archive.visits_of_old (at timestamptz PRIMARY KEY, patient integer)")
    db.execute("INSERT INTO archive.visits_of_old VALUES ('2020-01-01Z', 60), ('2021-01-01Z', 2)")
    turn(db, "up")
    work_as_version_11(database_at_10)
    turn(db, "down")
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    # Keys are texts: the salts of rows that stay must stay too, whatever the session's style.
    for name, value in (("TimeZone", "Asia/Kolkata"), ("DateStyle", "SQL, DMY")):
        db.execute(f"ALTER DATABASE {db.info.dbname} SET {name} = '{value}'".encode())
    who = ("--basis", "a ticket", "--approved-by", "counsel")
    assert run("archive", "erase", "1500", *who, url=database_at_10).code == 0
    assert db.execute(
        "SELECT count(*) FROM archive.patients_salts WHERE source_id = 1500"
    ).fetchone() == (0,)
    found = signer.verify(database_at_10, file)
    assert said(found) == set()
    assert found.verdict is Verdict.PASS
    erased = {tree.table: tree.erased for tree in found.trees if tree.erased}
    assert erased == {
        "archive.patients": 1,
        "public.users": 1,
        "archive.patients_map": 1,
        "archive.patients_kept_users": 1,
        "archive.patients_written_patients": 1,
        **(
            {"archive.patients_decisions": erased["archive.patients_decisions"]}
            if "archive.patients_decisions" in erased
            else {}
        ),
    }
    db.execute("DELETE FROM archive.patients WHERE id = 60")
    found = signer.verify(database_at_10, file)
    assert ("archive.patients", "60", "", "is missing") in said(found)
    refused = run("audit", "prove", "1500", "--out", signer.folder / "p", url=database_at_10)
    assert refused.code == 3
    assert "was erased" in refused.err


def test_a_restored_dump_verifies_and_says_that_it_is_another_server_or_none(
    db: psycopg.Connection, database_at_10: str, signer: Signer, databases: Databases
) -> None:
    """In the same cluster here; into other servers and versions, see test_audit_restore."""
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    db.close()
    url = databases.copy(database_at_10)
    found = signer.verify(url, file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    databases.drop(url)


def test_evidence_waits_for_no_other_runner_and_says_who_is_at_work(
    db: psycopg.Connection, database_at_10: str, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(db, "up")
    monkeypatch.setattr("refactorkit.commands.audit.anchor._LOCK_WAIT_SECONDS", 0.0)
    db.execute("SELECT pg_advisory_lock(%s)", [LOCK_ID])
    with pytest.raises(BusyError, match="Another runner"):
        signer.anchor(database_at_10)
    assert not (signer.folder / "evidence.json").exists()


def test_a_file_is_never_written_over_and_nothing_is_kept_then(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    (signer.folder / "evidence.json").write_text("mine")
    with pytest.raises(UsageError, match="already"):
        signer.anchor(database_at_10)
    assert (signer.folder / "evidence.json").read_text() == "mine"
    assert db.execute("SELECT to_regclass('archive.patients_evidence')").fetchone() == (None,)


@pytest.mark.parametrize("when", ["archive.patients", "public.users", "leaves"])
def test_a_server_that_ends_the_session_leaves_neither_a_file_nor_a_table(
    db: psycopg.Connection, database_at_10: str, signer: Signer, when: str
) -> None:
    turn(db, "up")

    def report(name: str) -> None:
        if name == when:
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    request = AnchorRequest(
        dsn=Dsn.parse(database_at_10), key=signer.source, out=signer.folder / "evidence.json"
    )
    with pytest.raises(FailedError, match="Nothing was changed"):
        anchor(request, report)
    assert not (signer.folder / "evidence.json").exists()
    assert db.execute("SELECT to_regclass('archive.patients_salts')").fetchone() == (None,)
    assert signer.anchor(database_at_10).verdict is Verdict.PASS


PLANTED = {
    "a trigger": "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'; CREATE TRIGGER spy BEFORE INSERT ON archive.patients_salts"
    " FOR EACH ROW EXECUTE FUNCTION public.f()",
    "a rule": "CREATE RULE no AS ON INSERT TO archive.patients_leaves DO INSTEAD NOTHING",
    "another owner": "CREATE ROLE {role}; ALTER TABLE archive.patients_evidence OWNER TO {role}",
    "row security": "ALTER TABLE archive.patients_row_salts ENABLE ROW LEVEL SECURITY",
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_what_was_planted_on_the_tables_of_evidence_is_refused(
    db: psycopg.Connection, database_at_10: str, signer: Signer, plant: str
) -> None:
    turn(db, "up")
    signer.anchor(database_at_10, "one.json")
    role = f"rk_{UUID(int=abs(hash(database_at_10))).hex[:12]}"
    db.execute(plant.format(role=role).encode())
    with pytest.raises(RefusedError, match="Evidence cannot be kept"):
        signer.anchor(database_at_10, "two.json")
    if "ROLE" in plant:
        db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_nobody_else_may_read_the_tables_of_evidence(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    db.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
    turn(db, "up")
    signer.anchor(database_at_10)
    open_to_others = db.execute(
        "SELECT c.relname FROM pg_class AS c, aclexplode(c.relacl) AS x"
        " WHERE c.relnamespace = 'archive'::regnamespace AND x.grantee <> c.relowner"
        " AND c.relname LIKE 'patients\\_%'"
    ).fetchall()
    assert open_to_others == []


def test_a_database_without_a_refactor_or_evidence_is_refused(
    database_at_10: str, signer: Signer
) -> None:
    with pytest.raises(RefusedError, match="no refactor has run"):
        signer.anchor(database_at_10)
    with pytest.raises(RefusedError, match="no evidence"):
        signer.verify(database_at_10)


def test_the_commands_work_together_and_print_one_document_each(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    keys = [tmp_path / "operator", tmp_path / "auditor"]
    secrets = []
    for key in keys:
        made = run("audit", "keygen", key, "--json")
        assert made.code == 0
        assert made.document["public_key"] == f"{key}.pub"
        assert key.stat().st_mode & 0o777 == 0o600
        secrets.append(key.read_text().splitlines()[1])
        assert secrets[-1] not in made.out + made.err
    assert run("audit", "keygen", keys[0]).code == 2
    file = tmp_path / "evidence.json"
    words = ("--ticket", "CHG-1", "--requester", "Ann", "--approver", "Ben", "--operator", "Cy")
    anchored = run("audit", "anchor", "--out", file, "--key", keys[0], *words, "--json",
                   url=database_at_10)  # fmt: skip
    assert (anchored.code, anchored.document["verdict"]) == (0, "pass"), anchored.err
    manifest = json.loads(Envelope.from_bytes(file.read_bytes()).payload)
    assert manifest["authority"] == {
        "ticket": "CHG-1", "requester": "Ann", "approver": "Ben", "operator": "Cy",
    }  # fmt: skip
    publics = [f"{key}.pub" for key in keys]
    both = ["--key", publics[0], "--key", publics[1]]
    early = run("audit", "verify", file, *both, "--json", url=database_at_10)
    assert (early.code, early.document["verdict"]) == (3, "fail")
    cosigned = run("audit", "cosign", file, "--trust", publics[0], "--json",
                   env={"REFACTORKIT_SIGNING_KEY_FILE": str(keys[1])})  # fmt: skip
    assert (cosigned.code, cosigned.document["signatures"]) == (0, 2)
    again = run("audit", "cosign", file, "--json",
                env={"REFACTORKIT_SIGNING_KEY": keys[1].read_text()})  # fmt: skip
    assert (again.document["signatures"], again.document["added"]) == (2, False)
    checked = run("audit", "verify", file, *both, "--json", url=database_at_10)
    assert (checked.code, checked.document["verdict"]) == (0, "pass")
    assert checked.document["rows"]["differences"] == 0
    for outcome in (anchored, early, cosigned, again, checked):
        assert not any(secret in outcome.out + outcome.err for secret in secrets)
    for arguments in (("anchor", "--out", tmp_path / "x"), ("cosign", file)):
        assert run("audit", *arguments, url=database_at_10).code == 2
    people = run("audit", "verify", file, "--key", publics[0], url=database_at_10)
    assert people.code == 0
    assert people.out.endswith("PASS\n")


def test_the_approver_is_not_the_operator(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    refused = run("audit", "anchor", "--out", signer.folder / "x", "--key", signer.secret,
                  "--operator", "Ann", "--approver", "Ann", url=database_at_10)  # fmt: skip
    assert refused.code == 2
    assert "approver" in refused.err


def test_evidence_goes_on_from_the_last_one_or_not_at_all(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    signer.anchor(database_at_10, "one.json")
    db.execute("UPDATE archive.patients_evidence SET envelope = 'x'")
    with pytest.raises(RefusedError, match="copy of the last evidence"):
        signer.anchor(database_at_10, "two.json")
    assert not (signer.folder / "two.json").exists()


def test_a_signing_key_that_others_may_read_is_refused(signer: Signer) -> None:
    (signer.folder / "evidence.json").write_text("{}")
    signer.secret.chmod(0o640)
    refused = run("audit", "cosign", signer.folder / "evidence.json", "--key", signer.secret)
    assert refused.code == 3
    assert "mode 0640" in refused.err


def test_evidence_that_somebody_else_made_is_not_cosigned(
    db: psycopg.Connection, database_at_10: str, signer: Signer
) -> None:
    turn(db, "up")
    file = signer.anchor(database_at_10).file
    other = Signer.new(signer.folder, "other")
    before = file.read_bytes()
    refused = run("audit", "cosign", file, "--key", other.secret, "--trust", other.public)
    assert refused.code == 3
    assert file.read_bytes() == before
