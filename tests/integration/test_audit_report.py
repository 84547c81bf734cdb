"""audit report: what is not known is no pass, what is wrong fails, and nobody's value is in it."""

import copy
import json
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest

from refactorkit.commands.audit.report import ReportRequest, ReportResult, audit_report
from refactorkit.commands.audit.report.writing import write_all
from refactorkit.errors import NOTHING_CHANGED, FailedError, RefusedError, UsageError
from refactorkit.migrations.model import Direction
from refactorkit.postgres.dsn import Dsn
from refactorkit.report.schema import schema, schema_text
from tests.support import mappings
from tests.support.cli import run
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.evidence import Signer
from tests.support.refactor import turn

ROOT = Path(__file__).parents[2]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.new(tmp_path)


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    open_clinic(database_at_10)
    return connect(database_at_10)


def report(url: str, folder: Path, **options: Any) -> ReportResult:
    made = audit_report(ReportRequest(dsn=Dsn.parse(url), output=folder, **options))
    for path in made.files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    jsonschema.Draft202012Validator(schema()).validate(
        json.loads((folder / "report.json").read_bytes())
    )
    return made


def answers(made: ReportResult) -> dict[str, str]:
    return {check.name: check.verdict for check in made.report.checks}


def preflight_of(database: str, **other: Any) -> dict[str, Any]:
    return {
        "verdict": "pass",
        "refactor": "0011_refactor_to_menopausal.sql",
        "identity": {"database": database},
        "checks": [{"name": "counts", "verdict": "ok", "finding": "14 rows"}],
        **other,
    }


def operation_of(db: psycopg.Connection, **other: Any) -> dict[str, Any]:
    row = db.execute(
        "SELECT turn, counts, current_database() FROM archive.patients_turns"
        " ORDER BY turn DESC LIMIT 1"
    ).fetchone()
    assert row is not None
    counts = {name.replace(" ", "_"): count for name, count in row[1].items()}
    return {
        "verdict": "pass",
        "operation": "cutover",
        "dry_run": False,
        "database": row[2],
        "before": 10,
        "after": 11,
        "seconds": 1.5,
        "longest_exclusive_lock_ms": 20.0,
        "refactors": [{"name": "patients", "turn": row[0], "counts": counts}],
        **other,
    }


DRILL = {
    "verdict": "pass",
    "server": {"kind": "embedded", "version": "18.6"},
    "steps": [{"title": "Cutover", "verdict": "pass", "differences": 0, "seconds": 0.5}],
    "counts": {"rows_compared": 100, "differences": 0},
}


@contextmanager
def no_file_longer_than(octets: int) -> Iterator[None]:
    """Let no process of ours write more than this into a file, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def kept(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def everything(db: psycopg.Connection, signer: Signer, url: str) -> dict[str, Any]:
    """Do and hand in all that a PASS needs."""
    name = db.info.dbname
    db.execute(f"ALTER DATABASE {name} SET refactorkit.environment = 'test'".encode())
    db.execute(f"ALTER DATABASE {name} SET refactorkit.retention = '6 years'".encode())
    done = run("up", "--dir", ROOT / "sql", url=url)
    assert done.code == 0, done.err
    file = signer.folder / "evidence.json"
    done = run("audit", "anchor", "--key", signer.secret, "--out", file, "--ticket", "CHG-7",
               "--requester", "R", "--approver", "B. Boss", "--operator", "O", url=url)  # fmt: skip
    assert done.code == 0, done.err
    return {
        "evidence": file,
        "keys": (signer.public,),
        "preflights": (kept(signer.folder / "preflight.json", preflight_of(name)),),
        "drills": (kept(signer.folder / "drill.json", DRILL),),
        "operations": (kept(signer.folder / "cutover.json", operation_of(db)),),
    }


def test_when_the_operation_began_is_what_it_says_itself(
    database_at_10: str, tmp_path: Path
) -> None:
    open_clinic(database_at_10)
    done = run("cutover", "--yes", "--no-preflight", "--json", url=database_at_10)
    assert done.code == 0, done.err
    given = kept(tmp_path / "cutover.json", done.document)
    made = report(database_at_10, tmp_path / "report", operations=(given,))
    assert made.report.run.started_at == done.document["started_at"]
    assert made.report.run.seconds == pytest.approx(done.document["seconds"], abs=0.001)


def test_all_that_is_known_and_good_is_a_pass_and_each_part_that_lacks_or_is_wrong_is_not(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    given = everything(db, signer, database_at_10)
    made = report(database_at_10, tmp_path / "all", **given)
    assert set(answers(made).values()) == {"pass"}, made.report.checks
    assert made.exit_code == 0
    assert all(equation.holds for equation in made.report.equations)
    assert len(made.report.equations) == 2
    assert made.report.run.seconds == 1.5

    def without(name: str, **changed: Any) -> dict[str, str]:
        found = report(database_at_10, tmp_path / name, **{**given, **changed})
        assert found.exit_code == 3
        return {key: word for key, word in answers(found).items() if word != "pass"}

    folder = signer.folder
    other = Signer.new(tmp_path, "other")
    assert without("a", drills=()) == {"drill": "incomplete"}
    assert without("b", preflights=()) == {"preflight": "incomplete"}
    assert without("c", operations=()) == {"operation": "incomplete"}
    assert without("d", keys=()) == {"evidence": "incomplete"}
    assert without("e", evidence=None) == {"evidence": "incomplete"}
    assert without("f", keys=(other.public,)) == {"evidence": "fail"}
    strange = kept(folder / "strange.json", preflight_of("elsewhere"))
    assert without("g", preflights=(strange,)) == {"preflight": "fail"}
    no_go = kept(folder / "no.json", preflight_of(db.info.dbname, verdict="fail"))
    assert without("h", preflights=(no_go,)) == {"preflight": "fail"}
    liar = copy.deepcopy(operation_of(db))
    liar["refactors"][0]["counts"]["sources"] += 1
    assert without("i", operations=(kept(folder / "l.json", liar),)) == {"operation": "fail"}
    broken = {**DRILL, "counts": {"rows_compared": 100, "differences": 1}}
    assert without("j", drills=(kept(folder / "d.json", broken),)) == {"drill": "fail"}
    db.execute("UPDATE archive.patients SET chol = coalesce(chol, 0) + 1 WHERE id = 60")
    assert without("k") == {"evidence": "fail", "reconciliation": "fail", "sample": "incomplete"}


def test_without_anything_in_hand_it_is_incomplete_and_says_what_lacks(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    made = report(database_at_10, tmp_path / "out")
    assert made.report.verdict == "incomplete"
    assert made.report.authority.approver.source == "not said"
    lacking = {name for name, word in answers(made).items() if word == "incomplete"}
    assert {"evidence", "ties", "authority", "preflight", "drill", "operation"} <= lacking


def test_the_approver_is_not_the_operator(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    row = db.execute("SELECT session_user").fetchone()
    assert row is not None
    made = report(database_at_10, tmp_path / "out", approver=str(row[0]).upper())
    assert answers(made)["authority"] == "fail"


def test_what_was_signed_is_not_overruled(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    given = everything(db, signer, database_at_10)
    with pytest.raises(UsageError, match="another approver"):
        report(database_at_10, tmp_path / "out", **given, approver="Somebody Else")


def test_nobody_is_in_it(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    """Planted values, and the ids of people: neither is in any file."""
    db.execute(
        "UPDATE public.patients SET name = 'Canary Canaria', smoking = 'canary', chol = 987654,"
        " years_menopause = 876543, activity = 'canary' WHERE id = 60"
    )
    db.execute(
        "INSERT INTO public.patients (id, name, user_id) SELECT 7654321, 'Canary', min(id)"
        " FROM public.users"
    )
    turn(db, "up")
    signer.anchor(database_at_10)
    work_as_version_11(database_at_10)
    row = db.execute(
        "UPDATE public.users SET chol = 555555, first_name = 'Canary' WHERE id ="
        " (SELECT target_id FROM archive.patients_map WHERE source_id = 7654321) RETURNING id"
    ).fetchone()
    assert row is not None
    done = run("archive", "hold", "7654321", "--reason", "case", "--by", "counsel",
               url=database_at_10)  # fmt: skip
    assert done.code == 0, done.err
    made = report(database_at_10, tmp_path / "out", keys=(signer.public,))
    assert made.report.verdict == "fail"
    for path in made.files:
        text = path.read_text()
        for value in ("anary", "987654", "876543", "555555", "7654321"):
            assert value not in text, (path, value)
    references = [
        each for one in made.report.reconciliation for kind in one.kinds for each in kind.references
    ]
    assert made.report.holds[0].reference in references


def test_a_reference_says_nothing_once_the_person_is_erased(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    turn(db, "up")
    signer.anchor(database_at_10)
    before = report(database_at_10, tmp_path / "before")
    done = run("archive", "erase", "60", "--basis", "ticket-7", "--approved-by", "counsel",
               url=database_at_10)  # fmt: skip
    assert done.code == 0, done.err
    after = report(database_at_10, tmp_path / "after")
    assert before.report.sample is not None
    assert after.report.sample is not None
    assert len(after.report.sample.people) == len(before.report.sample.people) - 1
    assert [each.basis for each in after.report.tombstones] == ["ticket-7"]
    assert all(equation.holds for equation in after.report.equations), after.report.equations


def test_counts_are_those_of_the_tables(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    db.execute(
        "INSERT INTO public.patients (name, user_id, heart_disease, chol)"
        " SELECT 'X Y', min(u.id), CASE WHEN n < 30 THEN 'yes' ELSE 'no' END, 150 + n"
        " FROM public.users AS u, generate_series(1, 60) AS n GROUP BY n"
    )
    turn(db, "up")
    made = report(database_at_10, tmp_path / "out").report
    by_source = {each.source: each for each in made.distributions}
    heart = by_source["heart_disease"]
    for cell in heart.cells:
        row = db.execute(
            "SELECT count(*) FROM archive.patients WHERE heart_disease = %s", [cell.label]
        ).fetchone()
        assert row == (cell.before,)
        assert cell.after == cell.before
    for column in made.columns:
        if column.side == "before":
            name = column.column
            query = f"SELECT count(*) - count({name}), count(DISTINCT {name}) FROM archive.patients"
            assert db.execute(query.encode()).fetchone() == (column.nulls, column.distinct)
    assert "user_id" not in by_source
    assert not any(cell.before in range(1, 5) for each in made.distributions for cell in each.cells)


def test_after_a_rollback_the_same_schema_has_the_same_fingerprint(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    for number, direction in enumerate(("up", "down", "up", "down")):
        turn(db, direction)
        signer.anchor(database_at_10, f"{number}.json")
    made = report(database_at_10, tmp_path / "out", keys=(signer.public,)).report
    assert [each.same_as for each in made.catalogs] == [None, None, 1, 2]
    assert [each.what for each in made.timeline if each.what != "evidence made"] == [
        "up to version 11", "down to version 11", "up to version 11", "down to version 11",
    ]  # fmt: skip
    assert {each.after_missing for each in made.distributions} == {None}
    assert report(database_at_10, tmp_path / "no keys").report.catalogs == []


@pytest.mark.parametrize("name", ["contacts", "devices", "members", "orders"])
def test_it_knows_mappings_and_not_one_table(
    name: str, databases: Databases, connect: Callable[..., psycopg.Connection], tmp_path: Path
) -> None:
    url = databases.create()
    connection = connect(url)
    mappings.prepare(connection, name)
    for number, direction in enumerate((Direction.UP, Direction.DOWN)):
        mappings.turn(connection, name, direction)
        made = report(url, tmp_path / str(number))
        assert answers(made)["reconciliation"] == "pass"
        assert answers(made)["equations"] == "pass"
        assert "patient" not in (tmp_path / str(number) / "report.html").read_text()


def test_nothing_is_written_over_and_nothing_half_is_left(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    out = tmp_path / "out"
    report(database_at_10, out)
    before = (out / "report.html").read_bytes()
    with pytest.raises(UsageError, match="already"):
        report(database_at_10, out)
    assert (out / "report.html").read_bytes() == before
    (out / "report.html").write_bytes(b"an old one")
    report(database_at_10, out, replace=True)
    assert (out / "report.html").read_bytes().startswith(before[:100])
    assert not [path for path in out.rglob("*") if path.name.endswith(".new")]
    (tmp_path / "file").write_text("")
    with pytest.raises((FailedError, UsageError)):
        report(database_at_10, tmp_path / "file" / "out")


@pytest.mark.parametrize("room", [0, 100, 20_000])
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "replaced"])
def test_a_full_disk_leaves_the_report_that_was_there_or_none(
    room: int, is_there: bool, db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    out = tmp_path / "a" / "out"
    before: dict[Path, bytes] = {}
    if is_there:
        report(database_at_10, out)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    options = ["--format", "csv,json,html", *(["--force"] if is_there else [])]
    with no_file_longer_than(room):
        done = run("audit", "report", "--output", out, *options, "--json", url=database_at_10)
    assert done.code == 1, done.err
    assert done.document["error"]["kind"] == "failed"
    assert str(out) in done.document["error"]["message"]
    assert "File too large" in done.document["error"]["message"]
    assert done.document["error"]["state"] == NOTHING_CHANGED
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert is_there or not (tmp_path / "a").exists()


def test_where_the_last_file_is_taken_meanwhile_the_first_do_not_stay(tmp_path: Path) -> None:
    """Somebody else's file is made between our look and our writing."""
    first, last = tmp_path / "new" / "a", tmp_path / "b"

    class Taken(dict[Path, bytes]):
        def items(self) -> Any:
            last.write_bytes(b"theirs")
            return super().items()

    with pytest.raises(UsageError, match="already"):
        write_all(Taken({first: b"1", last: b"2"}), replace=False)
    assert list(tmp_path.rglob("*")) == [last]
    assert last.read_bytes() == b"theirs"


def test_no_table_of_an_older_report_stays_beside_a_newer_one(
    db: psycopg.Connection, database_at_10: str, signer: Signer, tmp_path: Path
) -> None:
    turn(db, "up")
    signer.anchor(database_at_10)
    with_evidence = report(database_at_10, tmp_path / "out", keys=(signer.public,))
    assert with_evidence.report.evidence is not None
    db.execute("TRUNCATE archive.patients_evidence")
    without = report(database_at_10, tmp_path / "out", replace=True)
    assert without.report.evidence is None
    assert without.files == with_evidence.files
    trees = (tmp_path / "out" / "tables" / "evidence_trees.csv").read_text()
    assert trees.splitlines() == ["table,role,rows,root,verified,erased,differences"]


def test_one_format_goes_into_one_file(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    file = tmp_path / "page.html"
    done = run("audit", "report", "--output", file, "--json", url=database_at_10)
    assert done.code == 3, done.err
    assert done.document["verdict"] == "incomplete"
    assert done.document["files"] == [str(file)]
    assert run("audit", "report", "--output", file, "--format", "csv", "--force",
               url=database_at_10).code == 2  # fmt: skip
    assert run("audit", "report", "--output", tmp_path / "o", "--format", "pdf",
               url=database_at_10).code == 2  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"verdict": "pass"}'])
def test_a_document_that_is_something_else_is_named(
    content: bytes, db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.json is not what drill --json prints"):
        report(database_at_10, tmp_path / "out", drills=(tmp_path / "odd.json",))
    assert not os.path.lexists(tmp_path / "out")


def test_where_no_refactor_has_run_there_is_nothing_to_report(
    database_at_10: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError):
        report(database_at_10, tmp_path / "out")


def test_the_schema_is_published() -> None:
    assert (ROOT / "docs" / "report.schema.json").read_text() == schema_text()


def test_the_schema_refuses_what_it_does_not_know(
    db: psycopg.Connection, database_at_10: str, tmp_path: Path
) -> None:
    turn(db, "up")
    report(database_at_10, tmp_path / "out")
    good = json.loads((tmp_path / "out" / "report.json").read_bytes())
    validator = jsonschema.Draft202012Validator(schema())
    plants: list[Callable[[Any], Any]] = [
        lambda d: d.update(extra=1),
        lambda d: d["identity"].update(extra=1),
        lambda d: d["checks"][0].update(extra=1),
        lambda d: d["checks"][0].update(verdict="maybe"),
        lambda d: d.pop("limitations"),
        lambda d: d.update(format="refactorkit-report-v2"),
        lambda d: d["counts"][0].update(rows="1"),
        lambda d: d["columns"][0].update(nulls=-1),
        lambda d: d["authority"]["ticket"].pop("source"),
    ]
    for plant in plants:
        bad = copy.deepcopy(good)
        plant(bad)
        assert not validator.is_valid(bad)
    assert validator.is_valid(good)
