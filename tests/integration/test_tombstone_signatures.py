"""A tombstone that was signed says what it said, or is found; one that nobody signed is told apart.

Each fault is planted in a copy of a database in which three people were erased, two of them signed.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.audit.report import ReportRequest, audit_report
from refactorkit.commands.verdict import Verdict
from refactorkit.evidence.envelope import Envelope
from refactorkit.evidence.keys import SigningKey
from refactorkit.evidence.tombstone import PAYLOAD_TYPE, SignatureState
from refactorkit.mapping.load import load_mapping
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from tests.support import mappings
from tests.support.cli import Outcome, run
from tests.support.clinic import open_clinic, tell
from tests.support.databases import Databases
from tests.support.evidence import Signer, said
from tests.support.refactor import turn

WHO = ("--basis", "GDPR 17(1)(b), ticket 7", "--approved-by", "privacy officer", "--json")
FIRST, SECOND, UNSIGNED = 3, 60, 7
SIGNATURES = "archive.patients_tombstone_signatures"
NONE = "is signed by none of the keys that were given"


def value(connection: psycopg.Connection, query: str) -> Any:
    """Return the one value of a fixed query."""
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def erase(url: str, key: int, *more: str | Path, code: int = 0) -> Outcome:
    outcome = run("archive", "erase", str(key), *WHO, *more, url=url)
    assert outcome.code == code, outcome.err
    return outcome


@pytest.fixture(scope="module")
def erased(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Signer, list[str]]]:
    """A database with evidence, from before three people were erased, and two digests."""
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        turn(connection, "up")
    signer = Signer.new(tmp_path_factory.mktemp("evidence"))
    assert signer.anchor(url).verdict is Verdict.PASS
    digests = []
    for who in (FIRST, SECOND):
        document = erase(url, who, "--key", signer.secret).document
        (stone,) = document["tombstones"]
        assert stone["signed"]
        digests.append(stone["digest"])
    (stone,) = erase(url, UNSIGNED).document["tombstones"]
    assert (stone["signed"], stone["digest"], stone["key_id"]) == (False, None, None)
    yield url, signer, digests
    databases.drop(url)


@pytest.fixture
def planted(databases: Databases, erased: tuple[str, Signer, list[str]]) -> Iterator[str]:
    url = databases.copy(erased[0])
    yield url
    databases.drop(url)


def forged(url: str, signer: Signer) -> set[tuple[str, str]]:
    """Which tombstones an audit names, and why; nothing else may be named."""
    found = signer.verify(url, signer.folder / "evidence.json")
    assert {kind for kind, _, _, _ in said(found)} <= {"tombstone"}
    assert found.verdict is (Verdict.FAIL if said(found) else Verdict.PASS)
    return {(name.rpartition(" ")[2], what) for _, name, _, what in said(found)}


def test_what_was_signed_is_the_tombstone_and_where_its_leaf_is_and_no_value(
    erased: tuple[str, Signer, list[str]],
) -> None:
    url, signer, digests = erased
    assert forged(url, signer) == set()
    found = signer.verify(url, signer.folder / "evidence.json")
    assert [(each.tombstone, each.state.value, each.digest) for each in found.tombstones] == [
        (1, "signed", digests[0]),
        (2, "signed", digests[1]),
        (3, "unsigned", None),
    ]
    assert [note for note in found.notes if note.startswith("1 of 3 tombstones were never signed")]
    outcome = run("archive", "tombstones", "--json", url=url)
    listed = outcome.document["refactors"][0]["tombstones"]
    assert [each["digest"] for each in listed] == [*digests, None]
    with psycopg.connect(url) as connection:
        content = value(connection, f"SELECT envelope FROM {SIGNATURES} WHERE tombstone = 2")
        row = value(
            connection, "SELECT to_jsonb(t) FROM archive.patients_tombstones t WHERE tombstone = 2"
        )
        keys = value(
            connection,
            "SELECT keys FROM archive.patients_leaves WHERE table_name = 'archive.patients'",
        )
    envelope = Envelope.from_bytes(bytes(content), PAYLOAD_TYPE)
    said_of = json.loads(envelope.payload)
    assert said_of["previous"] == digests[0]
    assert {"source_id": SECOND, "basis": "GDPR 17(1)(b), ticket 7"}.items() <= said_of.items()
    assert set(said_of) - set(row) == {"format", "refactor", "leaf", "previous"}
    assert set(row) - set(said_of) == set()
    index = said_of["leaf"]["index"]
    assert bytes(keys)[index * 8 : index * 8 + 8] == (4).to_bytes(4) + SECOND.to_bytes(4)


EDITS = {
    "source_id": "source_id + 1",
    "target_id": "NULL",
    "kind": "'none'",
    "turn": "turn + 1",
    "version": "version + 1",
    "erasure": "erasure + 70",
    "at": "'infinity'",
    "transaction_id": "'1'",
    "run_by": "run_by || 'x'",
    "operator": "operator || 'x'",
    "approved_by": "approved_by || 'x'",
    "basis": "'another'",
    "counts": "counts || '{\"archive.patients\": true}'",
}


def test_an_edit_of_any_column_after_signing_is_found(
    planted: str, erased: tuple[str, Signer, list[str]]
) -> None:
    signer = erased[1]
    with psycopg.connect(planted, autocommit=True) as connection:
        names = value(
            connection,
            "SELECT array_agg(attname::text) FROM pg_attribute WHERE attnum > 0"
            " AND attrelid = 'archive.patients_tombstones'::regclass",
        )
        assert set(names) == {"tombstone", *EDITS}
        for column, edit in EDITS.items():
            where = "WHERE tombstone = 1"
            connection.execute(
                "CREATE TEMPORARY TABLE kept AS SELECT * FROM archive.patients_tombstones"
            )
            connection.execute(
                f"UPDATE archive.patients_tombstones SET {column} = {edit} {where}".encode()
            )
            found = signer.verify(planted, signer.folder / "evidence.json")
            what = f"was edited since it was signed: {column}"
            assert ("tombstone", "archive.patients_tombstones 1", "", what) in said(found), column
            connection.execute(
                f"DELETE FROM archive.patients_tombstones {where};"
                f" INSERT INTO archive.patients_tombstones SELECT * FROM kept {where};"
                " DROP TABLE kept".encode()
            )
    assert forged(planted, signer) == set()


def signed_again(url: str) -> None:
    """Edit a tombstone, and sign what it says now by another key."""
    with psycopg.connect(url, autocommit=True) as connection:
        content = value(connection, f"SELECT envelope FROM {SIGNATURES} WHERE tombstone = 2")
        document = json.loads(Envelope.from_bytes(bytes(content), PAYLOAD_TYPE).payload)
        document["basis"] = "another"
        made = Envelope(payload=json.dumps(document).encode(), payload_type=PAYLOAD_TYPE)
        connection.execute(
            f"UPDATE {SIGNATURES} SET envelope = %s WHERE tombstone = 2".encode(),
            (made.signed_by(SigningKey.generate()).to_bytes(),),
        )
        connection.execute(
            "UPDATE archive.patients_tombstones SET basis = 'another' WHERE tombstone = 2"
        )


FAULTS = {
    "swapped": (
        f"UPDATE {SIGNATURES} AS a SET envelope = (SELECT b.envelope FROM {SIGNATURES} AS b"
        " WHERE b.tombstone = 3 - a.tombstone) WHERE tombstone IN (1, 2)",
        {(str(n), "its signature is of another tombstone") for n in (1, 2)},
    ),
    "given to the one that nobody signed": (
        f"INSERT INTO {SIGNATURES} SELECT 3, envelope FROM {SIGNATURES} WHERE tombstone = 2",
        {("3", "its signature is of another tombstone")},
    ),
    "evidence for a signature": (
        f"UPDATE {SIGNATURES} SET envelope = (SELECT envelope FROM archive.patients_evidence)"
        " WHERE tombstone = 2",
        {("2", "its signature was edited")},
    ),
    "a tombstone gone": (
        "DELETE FROM archive.patients_tombstones WHERE tombstone = 1",
        {("1", "is gone, and its signature is still there")},
    ),
    "the first signature gone": (
        f"DELETE FROM {SIGNATURES} WHERE tombstone = 1",
        {("2", "the signed tombstone before it is gone, or is another")},
    ),
}


@pytest.mark.parametrize(("plant", "named"), FAULTS.values(), ids=FAULTS)
def test_signatures_that_are_moved_or_gone_are_found(
    planted: str,
    erased: tuple[str, Signer, list[str]],
    plant: str,
    named: set[tuple[str, str]],
) -> None:
    tell(planted, plant)
    found = erased[1].verify(planted, erased[1].folder / "evidence.json")
    stones = {(n.rpartition(" ")[2], what) for k, n, _, what in said(found) if k == "tombstone"}
    assert stones == named
    assert found.verdict is Verdict.FAIL


def test_a_signature_of_another_key_is_none_until_that_key_is_given(
    planted: str, erased: tuple[str, Signer, list[str]], tmp_path: Path
) -> None:
    _, signer, _ = erased
    signed_again(planted)
    assert forged(planted, signer) == {("2", NONE)}
    other = Signer.new(tmp_path)
    (stone,) = erase(planted, 4, "--key", other.secret).document["tombstones"]
    assert forged(planted, signer) == {("2", NONE), (str(stone["tombstone"]), NONE)}
    options = (signer.folder / "evidence.json", "--key", signer.public)
    outcome = run(
        "audit", "verify", *options, "--tombstone-key", other.public, "--json", url=planted
    )
    found = {each["tombstone"]: each["signature"] for each in outcome.document["tombstones"]}
    assert found == {1: "signed", 2: "forged", 3: "unsigned", stone["tombstone"]: "signed"}
    without = signer.verify(planted, signer.folder / "evidence.json", keys=())
    states = {each.tombstone: each.state for each in without.tombstones}
    assert (states[1], states[3]) == (SignatureState.UNVERIFIED, SignatureState.UNSIGNED)


def test_a_report_says_who_was_erased_with_a_signature_and_fails_where_it_is_forged(
    planted: str, erased: tuple[str, Signer, list[str]], tmp_path: Path
) -> None:
    signer = erased[1]

    def report(name: str, evidence: Path, *keys: Path) -> tuple[list[str], str]:
        made = audit_report(
            ReportRequest(
                dsn=Dsn.parse(planted), output=tmp_path / name, evidence=evidence, keys=keys
            )
        ).report
        (check,) = (check for check in made.checks if check.name == "tombstones")
        return [each.signature for each in made.tombstones], check.verdict

    before = signer.folder / "evidence.json"
    told = ["signed", "signed", "unsigned"]
    assert report("a", before, signer.public) == (told, "incomplete")
    assert ">unsigned</td>" in (tmp_path / "a" / "report.html").read_text()
    assert report("b", before) == (["not verified", "not verified", "unsigned"], "incomplete")
    after = tmp_path / "after.json"
    Signer(folder=tmp_path, secret=signer.secret, public=signer.public).anchor(
        planted, "after.json"
    )
    assert report("c", after, signer.public) == (told, "pass")
    signed_again(planted)
    assert report("d", before, signer.public) == (["signed", "forged", "unsigned"], "fail")


def test_turns_keep_signatures_and_evidence_that_was_made_later_holds_them(
    planted: str, erased: tuple[str, Signer, list[str]], tmp_path: Path
) -> None:
    signer = replace(erased[1], folder=tmp_path)
    with psycopg.connect(planted, autocommit=True) as connection:
        turn(connection, "down")
        turn(connection, "up")
    made = signer.anchor(planted)
    found = signer.verify(planted, made.file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    assert [each.state.value for each in found.tombstones] == ["signed", "signed", "unsigned"]
    tell(planted, f"DELETE FROM {SIGNATURES} WHERE tombstone = 2")
    named = said(signer.verify(planted, made.file))
    assert (SIGNATURES, "2", "", "is missing") in named


def test_an_erasure_with_a_bad_key_changes_nothing(
    planted: str, erased: tuple[str, Signer, list[str]], tmp_path: Path
) -> None:
    open_to_all = tmp_path / "key"
    open_to_all.write_bytes(erased[1].secret.read_bytes())
    open_to_all.chmod(0o644)
    assert "Nothing was changed" in erase(planted, 4, "--key", open_to_all, code=3).err
    assert "Nothing was changed" in erase(planted, 4, "--key", erased[1].public, code=2).err
    with psycopg.connect(planted) as connection:
        assert value(connection, "SELECT count(*) FROM archive.patients_tombstones") == 3
        assert value(connection, "SELECT count(*) FROM archive.patients WHERE id = 4") == 1
    environment = {"REFACTORKIT_SIGNING_KEY_FILE": str(erased[1].secret)}
    outcome = run("archive", "erase", "4", *WHO[:-1], url=planted, env=environment)
    assert outcome.code == 0
    assert "Tombstone 4 is signed by" in outcome.out


def test_other_mappings_have_signed_tombstones_too(
    empty_database: str, connect: Callable[..., psycopg.Connection], tmp_path: Path
) -> None:
    signer = Signer.new(tmp_path)
    db = connect(empty_database)
    mappings.prepare(db, "members")
    mappings.turn(db, "members", Direction.UP)
    assert signer.anchor(empty_database).verdict is Verdict.PASS
    name = load_mapping(mappings.MAPPINGS / "members.toml").name
    erase(empty_database, 8_000_000_000, "--key", signer.secret)
    found = signer.verify(empty_database, tmp_path / "evidence.json")
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    assert [each.state.value for each in found.tombstones] == ["signed"]
    db.execute(f"UPDATE archive.{name}_tombstones SET source_id = 1".encode())
    named = said(signer.verify(empty_database, tmp_path / "evidence.json"))
    what = "was edited since it was signed: source_id"
    assert ("tombstone", f"archive.{name}_tombstones 1", "", what) in named
