"""A proof for one person: verified by a program that knows nothing of us, and shows nobody else."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.cli import run
from tests.support.clinic import open_clinic
from tests.support.databases import Databases
from tests.support.evidence import Signer
from tests.support.refactor import turn
from tests.support.verifier import run_alone, verifier

Document = dict[str, Any]


class Proved:
    """An anchored database, its evidence, and a proof of patient 60."""

    def __init__(self, url: str, signer: Signer) -> None:
        self.url = url
        self.signer = signer
        self.evidence = signer.anchor(url).file
        self.proof = signer.folder / "proof.json"
        self.done = run("audit", "prove", "60", "--out", self.proof, "--json", url=url)

    @property
    def document(self) -> Document:
        found: Document = json.loads(self.proof.read_text())
        return found


@pytest.fixture(scope="module")
def proved(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proved]:
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        # More than one section, so that the path has both of its parts.
        connection.execute(
            "INSERT INTO public.patients (id, name, user_id, created_at, bmi)"
            " SELECT n, 'Somebody Else ' || n, 1, '2020-01-01Z', n % 100"
            " FROM generate_series(10000, 14999) AS n"
        )
        turn(connection, "up")
    yield Proved(url, Signer.new(tmp_path_factory.mktemp("proof")))
    databases.drop(url)


def test_a_proof_is_verified_by_a_program_that_stands_alone(proved: Proved) -> None:
    assert proved.done.code == 0, proved.done.err
    done = run_alone(proved.proof, proved.evidence, proved.signer.public)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "id: 60"
    assert "name: 'Collides Withuser'" in lines
    assert "bmi: 20.10" in lines
    assert "family_history: true" in lines
    assert "chol: NULL" in lines
    assert "created_at: 2021-01-01 00:00:00+00:00" in lines
    assert "VERIFIED" in done.stdout
    assert "says nothing about whether the data was right before" in done.stdout


def test_a_proof_is_small_and_shows_nobody_else(proved: Proved) -> None:
    document = proved.done.document
    assert document["bytes"] == proved.proof.stat().st_size
    assert document["bytes"] - document["row_bytes"] <= 2048
    assert 12 <= document["path_hashes"] <= 13
    with psycopg.connect(proved.url) as connection:
        others = connection.execute(
            "SELECT s.name, z.salt FROM archive.patients AS s"
            " JOIN archive.patients_salts AS z ON z.source_id = s.id WHERE s.id <> 60"
        ).fetchall()
    text = proved.proof.read_bytes()
    parts = b"\n".join(_decoded(proved.document))
    for name, salt in others:
        assert len(name) < 4 or name.encode() not in text + parts
        assert salt not in parts
    assert proved.proof.stat().st_mode & 0o777 == 0o600


def _decoded(document: Document) -> list[bytes]:
    return [base64.b64decode(each) for each in [*document["row"], *document["path"]] if each]


def test_a_million_rows_would_still_fit() -> None:
    """20 hashes of 32 bytes in base64, a salt, a digest, and the words around them."""
    from refactorkit.evidence.proof import Proof  # noqa: PLC0415

    proof = Proof(evidence="0" * 64, table="archive.patients", index=999_999, salt=bytes(32),
                  fields=(None,) * 21, path=(bytes(32),) * 20)  # fmt: skip
    assert len(proof.to_bytes()) - proof.row_bytes <= 2048


def flipped(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(bytes(data)).decode()


SPOILED: dict[str, Callable[[Document], Document]] = {
    "another index": lambda d: d | {"index": d["index"] + 1},
    "an index before": lambda d: d | {"index": d["index"] - 1},
    "an index that is true": lambda d: d | {"index": True},
    "an index below zero": lambda d: d | {"index": -1},
    "an index beyond the tree": lambda d: d | {"index": 10**9},
    "an index of another kind": lambda d: d | {"index": str(d["index"])},
    "a size of its own": lambda d: d | {"size": 1, "rows": 1, "path": []},
    "a root of its own": lambda d: d | {"root": "00" * 32, "path": []},
    "a flipped bit in a field": lambda d: d | {"row": [d["row"][0], flipped(d["row"][1]),
                                                      *d["row"][2:]]},
    "a flipped bit in the salt": lambda d: d | {"salt": flipped(d["salt"])},
    "a short salt": lambda d: d | {"salt": d["salt"][:4]},
    "a flipped bit in the path": lambda d: d | {"path": [flipped(d["path"][0]), *d["path"][1:]]},
    "a path cut short": lambda d: d | {"path": d["path"][:-1]},
    "a path without its beginning": lambda d: d | {"path": d["path"][1:]},
    "no path": lambda d: d | {"path": []},
    "a longer path": lambda d: d | {"path": [*d["path"], d["path"][0]]},
    "a path turned round": lambda d: d | {"path": d["path"][::-1]},
    "a hash twice": lambda d: d | {"path": [d["path"][0], *d["path"]]},
    "a short hash": lambda d: d | {"path": [d["path"][0][:4], *d["path"][1:]]},
    "NULL for a value": lambda d: d | {"row": [d["row"][0], None, *d["row"][2:]]},
    "an empty text for NULL": lambda d: d | {"row": [e if e is not None else "" for e in d["row"]]},
    "fields that changed places": lambda d: d | {"row": [d["row"][1], d["row"][0], *d["row"][2:]]},
    "a field too many": lambda d: d | {"row": [*d["row"], None]},
    "a field too few": lambda d: d | {"row": d["row"][:-1]},
    "another table": lambda d: d | {"table": "archive.patients_map"},
    "a table that is none": lambda d: d | {"table": "public.nothing"},
    "other evidence": lambda d: d | {"evidence": "00" * 32},
    "another format": lambda d: d | {"format": "refactorkit-proof-v2"},
    "no row": lambda d: {k: v for k, v in d.items() if k != "row"},
    "no table": lambda d: {k: v for k, v in d.items() if k != "table"},
    "a path of numbers": lambda d: d | {"path": [1, 2]},
    "no base64": lambda d: d | {"salt": d["salt"] + "="},
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_proof_is_rejected(
    proved: Proved, spoil: Callable[[Document], Document], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "spoiled.json"
    file.write_text(json.dumps(spoil(proved.document)))
    arguments = [str(file), str(proved.evidence), "--key", str(proved.signer.public)]
    assert verifier.main(arguments) == 3
    assert "NOT VERIFIED" in capsys.readouterr().out


def test_a_proof_does_not_hold_for_other_evidence_or_by_other_keys(
    proved: Proved, tmp_path: Path
) -> None:
    other = Signer.new(tmp_path)
    second = other.anchor(proved.url, "second.json").file
    assert run_alone(proved.proof, second, other.public).returncode == 3
    assert run_alone(proved.proof, proved.evidence, other.public).returncode == 3
    both = run_alone(proved.proof, proved.evidence, proved.signer.public, other.public)
    assert both.returncode == 3
    assert other.public.read_text().splitlines()[1] not in both.stdout


SPOILED_EVIDENCE: dict[str, Callable[[bytes], bytes]] = {
    "a row more": lambda payload: payload.replace(b'"rows": 5014', b'"rows": 5015'),
    "a space more": lambda payload: payload + b" ",
    "another promise": lambda payload: payload.replace(b"says nothing", b"says all"),
}


@pytest.mark.parametrize("spoil", SPOILED_EVIDENCE.values(), ids=SPOILED_EVIDENCE)
def test_evidence_that_was_edited_after_it_was_signed_is_rejected(
    proved: Proved, spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    document = json.loads(proved.evidence.read_text())
    payload = base64.b64decode(document["payload"])
    edited = spoil(payload)
    assert edited != payload
    document["payload"] = base64.b64encode(edited).decode()
    (tmp_path / "edited.json").write_text(json.dumps(document))
    done = run_alone(proved.proof, tmp_path / "edited.json", proved.signer.public)
    assert done.returncode == 3
    assert "not signed" in done.stdout


def test_files_that_are_not_there_or_hold_something_else(proved: Proved, tmp_path: Path) -> None:
    key = proved.signer.public
    assert run_alone(tmp_path / "none", proved.evidence, key).returncode == 2
    assert run_alone(proved.evidence, proved.proof, key).returncode == 3
    assert run_alone(proved.proof, proved.evidence, proved.signer.secret).returncode == 3
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert run_alone(tmp_path / "deep.json", proved.evidence, key).returncode == 3


@pytest.mark.parametrize(
    ("patient", "why"),
    [("999999", "is not in this evidence"), ("99999999999", "is not in this evidence")],
)
def test_who_is_not_in_the_evidence_has_no_proof(
    proved: Proved, patient: str, why: str, tmp_path: Path
) -> None:
    refused = run("audit", "prove", patient, "--out", tmp_path / "p", url=proved.url)
    assert refused.code == 3
    assert why in refused.err
    assert not (tmp_path / "p").exists()


def test_a_row_that_was_edited_since_has_no_proof(
    database_at_10: str, connect: Callable[..., psycopg.Connection], tmp_path: Path
) -> None:
    db = connect(database_at_10)
    turn(db, "up")
    Signer.new(tmp_path).anchor(database_at_10)
    db.execute("UPDATE archive.patients SET age = 1 WHERE id = 3")
    for patient, why in (("3", "is not what it was"), ("4", "")):
        out = tmp_path / patient
        done = run("audit", "prove", patient, "--out", out, url=database_at_10)
        assert done.code == (3 if why else 0), done.err
        assert why in done.err
    db.execute("DELETE FROM archive.patients WHERE id = 4")
    gone = run("audit", "prove", "4", "--out", tmp_path / "x", url=database_at_10)
    assert (gone.code, "is gone" in gone.err) == (3, True)
    db.execute("DELETE FROM archive.patients_leaves")
    lost = run("audit", "prove", "5", "--out", tmp_path / "x", url=database_at_10)
    assert (lost.code, "leaves" in lost.err) == (3, True)
