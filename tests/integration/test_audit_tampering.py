"""Every manipulation that is planted is found, and named: report found of planted.

The database has gone up, down and up again with writes in between, so that the archive's tables
have rows. Each case is planted in a copy of it, by a superuser.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from refactorkit.commands.verdict import Verdict
from refactorkit.evidence.envelope import Envelope
from refactorkit.evidence.keys import SigningKey
from tests.support.clinic import open_clinic, work_as_version_11
from tests.support.databases import Databases
from tests.support.evidence import Signer, said
from tests.support.refactor import turn

Named = tuple[str, str, str, str]
LEAVES = "leaves are gone or were edited"
EDITED, ADDED, MISSING = "was edited", "was added", "is missing"
ARCHIVED, USERS, PAIRS = "archive.patients", "public.users", "archive.patients_map"

DRESS = """
CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER guard BEFORE UPDATE ON public.patients FOR EACH ROW EXECUTE FUNCTION public.noted();
CREATE TRIGGER second BEFORE UPDATE ON public.patients FOR EACH ROW
    EXECUTE FUNCTION public.noted();
CREATE TRIGGER third BEFORE UPDATE ON public.patients FOR EACH ROW
    EXECUTE FUNCTION public.noted();
CREATE TRIGGER watch AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.noted();
CREATE TABLE archive.kept_by_hand (id integer PRIMARY KEY, note text);
INSERT INTO archive.kept_by_hand VALUES (1, 'a note');
"""
OTHER = {
    "text": "coalesce({0}, '') || 'x'",
    "integer": "coalesce({0}, 0) + 1",
    "numeric(5,2)": "CASE WHEN {0} = 'NaN' OR {0} IS NULL THEN 1 ELSE {0} + 0.01 END",
    "boolean": "NOT coalesce({0}, false)",
    "timestamp with time zone": "'2001-01-01Z'",
}
PATIENT_COLUMNS = {
    "name": "text", "age": "integer", "menopause_status": "text", "years_menopause": "integer",
    "bmi": "numeric(5,2)", "bp_systolic": "integer", "bp_diastolic": "integer",
    "activity": "text", "smoking": "text", "hypertension": "text", "heart_disease": "text",
    "chol": "integer", "ldl": "integer", "hdl": "integer", "triglycerides": "integer",
    "created_at": "timestamp with time zone", "updated_at": "timestamp with time zone",
    "family_history": "boolean", "phys_activity": "boolean", "user_id": "integer",
}  # fmt: skip
USER_COLUMNS = {
    "email": "text", "password_hash": "text", "role": "text",
    "created_at": "timestamp with time zone", "updated_at": "timestamp with time zone",
    "is_active": "boolean", "last_login_at": "timestamp with time zone", "created_by": "integer",
}  # fmt: skip


PATIENTS = (1, 2, 3, 4, 6, 7, 8, 9, 60, -7, 1500, 1501, 30000)
NATIVES = (1, 2, 3, 4, 60, 61, 900, 30000)


def cases() -> Iterator[tuple[str, str, Named]]:
    """Yield where a case is planted, how, and what must be named.

    Cases that leave each other alone share a copy of the database: each is in a row of its own.
    """
    for number, (column, kind) in enumerate(PATIENT_COLUMNS.items()):
        row, change = PATIENTS[number % 10], OTHER[kind].format(column)
        yield (
            f"columns {number // 10}",
            f"UPDATE archive.patients SET {column} = {change} WHERE id = {row}",
            (ARCHIVED, str(row), "", EDITED),
        )
    for row, (column, kind) in zip(NATIVES, USER_COLUMNS.items(), strict=True):
        yield (
            "columns 0",
            f"UPDATE public.users SET {column} = {OTHER[kind].format(column)} WHERE id = {row}",
            (USERS, str(row), "", EDITED),
        )
    for row, change in {
        60: "target_id = target_id + 77777",
        -7: "kind = 'native'",
        1500: "turn = turn + 1",
        1501: "row_hash = row_hash + 1",
    }.items():
        yield (
            "columns 2",
            f"UPDATE archive.patients_map SET {change} WHERE source_id = {row}",
            (PAIRS, str(row), "", EDITED),
        )
    for batch, turn_number, change in (
        ("columns 0", "1", "mapping = (mapping::jsonb || '{\"format\": 2}')::json"),
        ("columns 0", "2", "settings = settings || '{\"keep_logins\": true}'"),
        ("columns 0", "3", "run_by = 'somebody else'"),
        ("columns 1", "1", "fingerprints = '{}'"),
        ("columns 1", "2", "mapping_hash = 'x'"),
        ("columns 1", "3", "counts = '{}'"),
    ):
        yield (
            batch,
            f"UPDATE archive.patients_turns SET {change} WHERE turn = {turn_number}",
            ("archive.patients_turns", turn_number, "", EDITED),
        )
    yield from ROWS
    yield from EVIDENCE
    for name, plant, named in SCHEMA:
        alone = named[3] in ("the table is gone", "the column is gone, or of another type")
        yield (name if alone else "schema", plant, named)


ROWS: list[tuple[str, str, Named]] = [
    (
        "an empty text instead of NULL",
        "UPDATE archive.patients SET activity = '' WHERE id = 1501",
        (ARCHIVED, "1501", "", EDITED),
    ),
    (
        "another id for a patient: the old one is missing",
        "UPDATE archive.patients SET id = 4242 WHERE id = 60",
        (ARCHIVED, "60", "", MISSING),
    ),
    (
        "another id for a patient: the new one has no salt and no leaf",
        "UPDATE archive.patients SET id = 4242 WHERE id = 60",
        (ARCHIVED, "4242", "", ADDED),
    ),
    (
        "a patient deleted",
        "DELETE FROM archive.patients WHERE id = 3",
        (ARCHIVED, "3", "", MISSING),
    ),
    (
        "the last patient deleted",
        "DELETE FROM archive.patients WHERE id = (SELECT max(id) FROM archive.patients)",
        (ARCHIVED, "30000", "", MISSING),
    ),
    (
        "a patient added at the end",
        "INSERT INTO archive.patients (id, name, user_id) VALUES (900000, 'x', 1)",
        (ARCHIVED, "900000", "", ADDED),
    ),
    (
        "a patient added before the first",
        "INSERT INTO archive.patients (id, name, user_id) VALUES (-900000, 'x', 1)",
        (ARCHIVED, "-900000", "", ADDED),
    ),
    (
        "two patients who changed their values",
        "UPDATE archive.patients AS a SET (name, age, menopause_status, years_menopause, bmi,"
        " bp_systolic, bp_diastolic, activity, smoking, hypertension, heart_disease, chol, ldl,"
        " hdl, triglycerides, created_at, updated_at, family_history, phys_activity, user_id) ="
        " (SELECT name, age, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic,"
        " activity, smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides,"
        " created_at, updated_at, family_history, phys_activity, user_id"
        " FROM archive.patients AS b WHERE b.id = CASE a.id WHEN 2 THEN 4 ELSE 2 END)"
        " WHERE a.id IN (2, 4)",
        (ARCHIVED, "2", "", "was swapped with 4"),
    ),
    (
        "two patients who changed their ids",
        "UPDATE archive.patients SET id = 999999 WHERE id = 2;"
        " UPDATE archive.patients SET id = 2 WHERE id = 4;"
        " UPDATE archive.patients SET id = 4 WHERE id = 999999",
        (ARCHIVED, "4", "", "was swapped with 2"),
    ),
    (
        "one patient's values given to another",
        "UPDATE archive.patients AS a SET (name, age, menopause_status, years_menopause, bmi,"
        " bp_systolic, bp_diastolic, activity, smoking, hypertension, heart_disease, chol, ldl,"
        " hdl, triglycerides, created_at, updated_at, family_history, phys_activity, user_id) ="
        " (SELECT name, age, menopause_status, years_menopause, bmi, bp_systolic, bp_diastolic,"
        " activity, smoking, hypertension, heart_disease, chol, ldl, hdl, triglycerides,"
        " created_at, updated_at, family_history, phys_activity, user_id"
        " FROM archive.patients AS b WHERE b.id = 4) WHERE a.id = 2",
        (ARCHIVED, "2", "", EDITED),
    ),
    ("patients truncated", "TRUNCATE archive.patients", (ARCHIVED, "60", "", MISSING)),
    (
        "a pair deleted",
        "DELETE FROM archive.patients_map WHERE source_id = 60",
        (PAIRS, "60", "", MISSING),
    ),
    (
        "two pairs crossed",
        "UPDATE archive.patients_map SET target_id = -target_id WHERE source_id IN (2, 4);"
        " UPDATE archive.patients_map AS a SET target_id = (SELECT -b.target_id"
        " FROM archive.patients_map AS b WHERE b.source_id = 4) WHERE source_id = 2;"
        " UPDATE archive.patients_map AS a SET target_id = 2 WHERE source_id = 4",
        (PAIRS, "4", "", EDITED),
    ),
    ("pairs truncated", "TRUNCATE archive.patients_map", (PAIRS, "1", "", MISSING)),
    (
        "a native deleted",
        "DELETE FROM public.users WHERE id = 61",
        (USERS, "61", "", MISSING),
    ),
    (
        "a native added",
        "INSERT INTO public.users (id, email, password_hash) VALUES (900000, 'x', 'x')",
        (USERS, "900000", "", ADDED),
    ),
    (
        "a turn struck from the log",
        "DELETE FROM archive.patients_turns WHERE turn = 2",
        ("archive.patients_turns", "2", "", MISSING),
    ),
    (
        "the last turn struck from the log",
        "DELETE FROM archive.patients_turns WHERE turn = 3",
        ("archive.patients_turns", "3", "", MISSING),
    ),
    (
        "decisions truncated",
        "TRUNCATE archive.patients_decisions",
        (
            "archive.patients_decisions",
            "2,patients,-7,menopause_status,replaced a value without an image",
            "",
            MISSING,
        ),
    ),
    (
        "a decision's value",
        "UPDATE archive.patients_decisions SET lost_value = 'x' WHERE row_id = '-7'",
        (
            "archive.patients_decisions",
            "2,patients,-7,menopause_status,replaced a value without an image",
            "",
            EDITED,
        ),
    ),
    (
        "a kept user's row",
        "UPDATE archive.patients_kept_users SET phone = '+1' WHERE id = 1500",
        ("archive.patients_kept_users", "2,1500", "", EDITED),
    ),
    (
        "a kept user's row deleted",
        "DELETE FROM archive.patients_kept_users WHERE id = 1500",
        ("archive.patients_kept_users", "2,1500", "", MISSING),
    ),
    (
        "a base of the next merge",
        "UPDATE archive.patients_written_patients SET bmi = 1 WHERE source_id = 1500",
        ("archive.patients_written_patients", "2,1500", "", EDITED),
    ),
    (
        "a base of a native",
        "UPDATE archive.patients_written_users SET is_active = NOT is_active"
        " WHERE target_id = 30000",
        ("archive.patients_written_users", "2,30000", "", EDITED),
    ),
    (
        "a withheld patient",
        "UPDATE archive.patients_withheld_patients SET name = 'x' WHERE id = 5",
        ("archive.patients_withheld_patients", "2,5", "", EDITED),
    ),
    (
        "a kept assessment",
        "UPDATE archive.patients_kept_assessments SET notes = 'x'",
        ("archive.patients_kept_assessments", "2,31", "", EDITED),
    ),
    (
        "a table of the archive that is no refactor's",
        "UPDATE archive.kept_by_hand SET note = 'x' WHERE id = 1",
        ("archive.kept_by_hand", "1", "", EDITED),
    ),
    (
        "a row of it deleted",
        "DELETE FROM archive.kept_by_hand",
        ("archive.kept_by_hand", "1", "", MISSING),
    ),
]
EVIDENCE: list[tuple[str, str, Named]] = [
    (
        "a salt edited",
        "UPDATE archive.patients_salts SET salt = sha256('x') WHERE source_id = 60",
        (ARCHIVED, "60", "", EDITED),
    ),
    (
        "a salt deleted, with no tombstone",
        "DELETE FROM archive.patients_salts WHERE source_id = 60",
        (ARCHIVED, "60", "", "has lost its salt"),
    ),
    (
        "a patient and the salt deleted, with no tombstone",
        "DELETE FROM archive.patients_salts WHERE source_id = 60;"
        " DELETE FROM archive.patients WHERE id = 60",
        (ARCHIVED, "60", "", MISSING),
    ),
    (
        "a native's salt deleted",
        "DELETE FROM archive.patients_native_salts WHERE target_id = 61",
        (USERS, "61", "", "has lost its salt"),
    ),
    (
        "the salts truncated",
        "TRUNCATE archive.patients_salts",
        (ARCHIVED, "60", "", "has lost its salt"),
    ),
    (
        "the salts gone",
        "DROP TABLE archive.patients_salts",
        (ARCHIVED, "", "", "cannot be verified: archive.patients_salts is gone"),
    ),
    (
        "a leaf and its row edited together",
        "UPDATE archive.patients SET age = 1 WHERE id = 60;"
        " UPDATE archive.patients_leaves SET leaves = set_byte(leaves, 0, 0)"
        " WHERE table_name = 'archive.patients'",
        (
            ARCHIVED,
            "60",
            "",
            "cannot be verified: its leaf is gone, and its section is not what it was",
        ),
    ),
    (
        "leaves edited",
        "UPDATE archive.patients_leaves SET leaves = set_byte(leaves, 5, 255 - get_byte(leaves, 5))"
        " WHERE table_name = 'archive.patients'",
        ("section of leaves", "archive.patients_leaves archive.patients 0", "", LEAVES),
    ),
    (
        "keys of leaves edited",
        "UPDATE archive.patients_leaves SET keys = set_byte(keys, 7, 77)"
        " WHERE table_name = 'archive.patients_map'",
        ("section of leaves", "archive.patients_leaves archive.patients_map 0", "", LEAVES),
    ),
    (
        "leaves deleted",
        "DELETE FROM archive.patients_leaves WHERE table_name = 'public.users'",
        ("section of leaves", "archive.patients_leaves public.users 0", "", LEAVES),
    ),
    (
        "the leaves gone",
        "DROP TABLE archive.patients_leaves",
        ("section of leaves", "archive.patients_leaves archive.patients 0", "", LEAVES),
    ),
    (
        "the copy of the evidence deleted",
        "DELETE FROM archive.patients_evidence",
        ("copy of the evidence", "archive.patients_evidence {snapshot}", "", "is gone"),
    ),
    (
        "the copy of the evidence edited",
        "UPDATE archive.patients_evidence SET envelope = 'x'",
        ("copy of the evidence", "archive.patients_evidence {snapshot}", "", EDITED),
    ),
]
SCHEMA: list[tuple[str, str, Named]] = [
    (
        "a trigger disabled",
        "ALTER TABLE archive.patients DISABLE TRIGGER guard",
        ("trigger state", "archive.patients.guard", "", "is now disabled"),
    ),
    (
        "a trigger for replicas only",
        "ALTER TABLE archive.patients ENABLE REPLICA TRIGGER third",
        ("trigger state", "archive.patients.third", "", "is now replica only"),
    ),
    (
        "a trigger dropped",
        "DROP TRIGGER second ON archive.patients",
        ("trigger", "archive.patients.second", "", "is gone"),
    ),
    (
        "a trigger added",
        "CREATE TRIGGER spy AFTER UPDATE ON archive.patients_map FOR EACH ROW"
        " EXECUTE FUNCTION public.noted()",
        ("trigger", "archive.patients_map.spy", "", ADDED),
    ),
    (
        "the checks of foreign keys disabled",
        "ALTER TABLE public.users DISABLE TRIGGER ALL",
        ("checks of foreign keys", USERS, "", "was changed"),
    ),
    (
        "an event trigger added",
        "CREATE FUNCTION public.quiet() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        " CREATE EVENT TRIGGER hush ON sql_drop EXECUTE FUNCTION public.quiet()",
        ("event trigger", "hush", "", ADDED),
    ),
    (
        "a column added",
        "ALTER TABLE archive.patients ADD COLUMN extra text",
        ("column", "archive.patients.extra", "", ADDED),
    ),
    (
        "a column dropped",
        "ALTER TABLE archive.patients DROP COLUMN ldl",
        (ARCHIVED, "", "ldl", "the column is gone, or of another type"),
    ),
    (
        "a column renamed",
        "ALTER TABLE archive.patients_map RENAME COLUMN turn TO turned",
        (PAIRS, "", "turn", "the column is gone, or of another type"),
    ),
    (
        "a column of another type",
        "ALTER TABLE archive.patients ALTER COLUMN bmi TYPE numeric(6,2)",
        (ARCHIVED, "", "bmi", "the column is gone, or of another type"),
    ),
    (
        "a default changed",
        "ALTER TABLE archive.patients ALTER COLUMN name SET DEFAULT 'x'",
        ("column", "archive.patients.name", "", "was changed"),
    ),
    (
        "a constraint dropped",
        "ALTER TABLE archive.patients_map DROP CONSTRAINT patients_map_target_id_key",
        ("constraint", "archive.patients_map.patients_map_target_id_key", "", "is gone"),
    ),
    (
        "an index dropped",
        "DROP INDEX archive.idx_patients_created_at",
        ("index", "archive.idx_patients_created_at", "", "is gone"),
    ),
    (
        "a foreign key into the archive",
        "CREATE TABLE public.x (p integer REFERENCES archive.patients)",
        ("foreign key to it", "archive.patients from public.x.x_p_fkey", "", ADDED),
    ),
    (
        "row security",
        "ALTER TABLE archive.patients ENABLE ROW LEVEL SECURITY",
        ("table", ARCHIVED, "", "was changed"),
    ),
    (
        "a policy",
        "CREATE POLICY hide ON archive.patients USING (false)",
        ("policy", "archive.patients.hide", "", ADDED),
    ),
    (
        "a rule",
        "CREATE RULE nothing AS ON DELETE TO archive.patients DO INSTEAD NOTHING",
        ("rule", "archive.patients.nothing", "", ADDED),
    ),
    (
        "an unlogged table",
        "ALTER TABLE archive.patients_past SET UNLOGGED",
        ("table", "archive.patients_past", "", "was changed"),
    ),
    (
        "a child that adds rows to a parent",
        "CREATE TABLE public.child () INHERITS (archive.patients_past)",
        ("table", "archive.patients_past", "", "was changed"),
    ),
    (
        "an archive table gone",
        "DROP TABLE archive.patients_past",
        ("archive.patients_past", "", "", "the table is gone"),
    ),
    (
        "the source gone",
        "DROP TABLE archive.patients",
        (ARCHIVED, "", "", "the table is gone"),
    ),
    (
        "the source moved away",
        "ALTER TABLE archive.patients SET SCHEMA public",
        (ARCHIVED, "", "", "the table is gone"),
    ),
    (
        "a table added to the archive",
        "CREATE TABLE archive.patients_more (id integer)",
        ("relation of the archive", "archive.patients_more", "", ADDED),
    ),
    (
        "a view of the archive",
        "CREATE VIEW archive.leak AS SELECT * FROM archive.patients",
        ("relation of the archive", "archive.leak", "", ADDED),
    ),
    (
        "a function of the mapping replaced",
        "CREATE OR REPLACE FUNCTION archive.patients_columns(keeper regclass, live regclass,"
        " prefix text) RETURNS text LANGUAGE sql STABLE RETURN 'id'",
        (
            "function of the archive",
            "archive.patients_columns(regclass,regclass,text)",
            "",
            "was changed",
        ),
    ),
    (
        "a function of the mapping gone",
        "DROP FUNCTION archive.patients_widen(regclass, regclass)",
        ("function of the archive", "archive.patients_widen(regclass,regclass)", "", "is gone"),
    ),
    (
        "a right on an archived table",
        "GRANT SELECT ON archive.patients_map TO PUBLIC",
        ("right", PAIRS, "", ADDED),
    ),
    (
        "a right on the archive",
        "GRANT USAGE ON SCHEMA archive TO PUBLIC",
        ("right", "schema archive", "", ADDED),
    ),
    (
        "a publication",
        "CREATE PUBLICATION leak FOR TABLE archive.patients",
        ("publication", "archive.patients in leak", "", ADDED),
    ),
    (
        "a sequence set back",
        "SELECT setval('public.users_id_seq', 5)",
        ("sequence position", "public.users_id_seq", "", "was set back"),
    ),
    (
        "an archived sequence moved on",
        "SELECT nextval('archive.patients_id_seq')",
        ("sequence position", "archive.patients_id_seq", "", "was moved on"),
    ),
    (
        "a sequence that counts otherwise",
        "ALTER SEQUENCE public.users_id_seq INCREMENT 5",
        ("sequence", "public.users_id_seq", "", "was changed"),
    ),
]
CASES = list(cases())
COPIES = {name: [case[1:] for case in CASES if case[0] == name] for name, _, _ in CASES}


@pytest.fixture(scope="module")
def anchored(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Signer, Path]]:
    """A database with evidence of its third turn, and its file."""
    url = databases.create(10)
    open_clinic(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DRESS.encode())
        turn(connection, "up")
        work_as_version_11(url)
        turn(connection, "down")
        turn(connection, "up")
    signer = Signer.new(tmp_path_factory.mktemp("evidence"))
    made = signer.anchor(url)
    assert made.verdict is Verdict.PASS
    found = signer.verify(url, made.file)
    assert (said(found), found.verdict) == (set(), Verdict.PASS)
    yield url, signer, made.file
    databases.drop(url)


@pytest.fixture
def planted(databases: Databases, anchored: tuple[str, Signer, Path]) -> Iterator[str]:
    url = databases.copy(anchored[0])
    yield url
    databases.drop(url)


def test_at_least_sixty_manipulations_are_planted() -> None:
    assert len({plant for _, plant, _ in CASES}) >= 100


@pytest.mark.parametrize("planting", COPIES.values(), ids=COPIES)
def test_every_manipulation_is_found_and_named(
    planted: str, anchored: tuple[str, Signer, Path], planting: list[tuple[str, Named]]
) -> None:
    _, signer, file = anchored
    with psycopg.connect(planted, autocommit=True) as connection:
        for plant, _ in planting:
            connection.execute(plant.encode())
    found = signer.verify(planted, file)
    named = said(found)
    snapshot = found.manifest.snapshot
    wanted = {
        (kind, name.format(snapshot=snapshot), column, what)
        for _, (kind, name, column, what) in planting
    }
    assert wanted - named == set(), f"found {len(wanted & named)} of {len(wanted)} planted"
    assert found.verdict is Verdict.FAIL
    assert found.exit_code == 3


def test_evidence_that_is_signed_again_by_another_key_is_not_signed(
    planted: str, anchored: tuple[str, Signer, Path], tmp_path: Path
) -> None:
    _, signer, file = anchored
    envelope = Envelope.from_bytes(file.read_bytes())
    forged = Envelope(payload=envelope.payload).signed_by(SigningKey.generate())
    (tmp_path / "forged.json").write_bytes(forged.to_bytes())
    found = signer.verify(planted, tmp_path / "forged.json")
    assert [each.is_valid for each in found.signatures] == [False]
    assert found.verdict is Verdict.FAIL
    with psycopg.connect(planted) as connection:
        connection.execute(
            "UPDATE archive.patients_evidence SET envelope = %s", [forged.to_bytes()]
        )
    assert signer.verify(planted).verdict is Verdict.FAIL
