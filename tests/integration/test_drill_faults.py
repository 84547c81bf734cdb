"""Faults planted in a copy of the migration: the drill must fail, and name the place."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from refactorkit.commands.drill import notary
from refactorkit.commands.drill.notary import Notary
from refactorkit.commands.drill.steps import Outcome
from refactorkit.errors import RefusedError
from refactorkit.evidence.keys import SigningKey
from refactorkit.postgres.connection import connected
from tests.support import cli
from tests.support.chain import SQL
from tests.support.servers import Server

FILE = "0011_refactor_to_menopausal.sql"


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A fault.

    Attributes:
        old: a text of the migration; its last occurrence is replaced in Down, its first in Up.
        new: what stands there instead.
        step: the step that must fail.
        table: what it must name, the beginning of it.
        column: the column that it must name; None: any.
    """

    old: str
    new: str
    step: str
    table: str
    column: str | None = None
    in_down: bool = True


PLANTS = {
    "an edit is not carried home": Plant(
        old="    bmi = new.bmi,\n", new="", step="rollback-rows", table="public.patients",
        column="bmi",
    ),
    "two columns change places": Plant(
        old="        ldl = new.ldl,\n        hdl = new.hdl,\n",
        new="        ldl = new.hdl,\n        hdl = new.ldl,\n",
        step="rollback-rows", table="public.patients", column="ldl",
    ),
    "a login is taken for an edit": Plant(
        old="ROW(s.name, s.menopause_status, s.years_menopause, s.hypertension,",
        new="ROW(NULL::text, s.menopause_status, s.years_menopause, s.hypertension,",
        step="rollback-rows", table="public.patients", column="updated_at",
    ),
    "an admin keeps the rights that were taken": Plant(
        old="role = CASE WHEN t.role = 'admin' AND NOT k.is_admin THEN 'clinician' ELSE t.role END",
        new="role = t.role",
        step="rollback-rows", table="public.users", column="role",
    ),
    "accounts of version 11 stay active": Plant(
        old="    is_active = t.is_active AND ", new="    is_active = t.is_active OR ",
        step="rollback-rows", table="public.users", column="is_active",
    ),
    "a decision is not written down": Plant(
        old="c.changed AND (c.imageless OR c.by_hand)", new="c.changed AND c.by_hand",
        step="rollback-decisions", table="public.patients", column="hypertension",
    ),
    "an index does not come back": Plant(
        old="-- == patients comes home ==", new="DROP INDEX public.idx_users_role;",
        step="undo-catalog", table="INDEX public.idx_users_role",
    ),
    "a default does not come back": Plant(
        old="    ALTER COLUMN role SET DEFAULT 'clinician'::text,\n", new="",
        step="undo-catalog", table="TABLE public.users",
    ),
    "a grant is dropped": Plant(
        old="-- == patients comes home ==",
        new="REVOKE SELECT ON archive.patients FROM pg_monitor;",
        step="undo-catalog", table="ACL public.TABLE patients",
    ),
    "a trigger comes back in another state": Plant(
        old="WHEN 'A' THEN 'ALWAYS'", new="WHEN 'A' THEN ''",
        step="undo-catalog", table="TRIGGER public.users drill_users_trace",
    ),
    "a comment is lost": Plant(
        old="-- == patients comes home ==", new="COMMENT ON TABLE public.users IS NULL;",
        step="undo-catalog", table="COMMENT public.TABLE users",
    ),
    "a sequence is reset": Plant(
        old="-- == patients comes home ==", new="SELECT setval('public.users_id_seq', 1);",
        step="sequences", table="public.users_id_seq",
    ),
    "a row is changed that nobody wrote to": Plant(
        old="-- == patients comes home ==",
        new="UPDATE public.users SET email = upper(email) WHERE id = 1;",
        step="undo-rows", table="public.users", column="email",
    ),
    "a number loses its scale": Plant(
        old="-- == patients comes home ==",
        new="ALTER TABLE public.assessments ALTER COLUMN fbs TYPE numeric;"
        " UPDATE public.assessments SET fbs = trim_scale(fbs);",
        step="undo-rows", table="public.assessments", column="fbs",
    ),
    "a value is mapped to another": Plant(
        old="WHEN 'perimenopausal' THEN 'peri'", new="WHEN 'perimenopausal' THEN 'post'",
        step="people", table="public.users", column="menopause_status", in_down=False,
    ),
    "a consent is made up": Plant(
        old="consent_analytics boolean NOT NULL DEFAULT false",
        new="consent_analytics boolean NOT NULL DEFAULT true",
        step="people", table="public.users", column="consent_analytics", in_down=False,
    ),
    "an assessment goes to somebody else": Plant(
        old="ALTER TABLE public.assessments ADD CONSTRAINT assessments_user_id_fkey",
        new="UPDATE public.assessments SET user_id = (SELECT max(id) FROM public.users)"
        " WHERE id = (SELECT min(id) FROM public.assessments WHERE user_id IS NOT NULL);\n"
        "ALTER TABLE public.assessments ADD CONSTRAINT assessments_user_id_fkey",
        step="people", table="public.assessments", column="user_id", in_down=False,
    ),
    "an index of version 11 is forgotten": Plant(
        old="CREATE INDEX IF NOT EXISTS idx_users_menopause_status ON public.users"
        " (menopause_status);",
        new="", step="people", table="public.users", in_down=False,
    ),
    "the archive is open by default privileges": Plant(
        old="EXECUTE format('REVOKE ALL ON TABLE %s FROM %s'", new="PERFORM format('%s %s'",
        step="verify", table="archive.patients_", in_down=False,
    ),
    "triggers fire at the refactor's own writes": Plant(
        old="EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.table_id::regclass,"
        " t.trigger_name);",
        new="NULL;",
        step="people", table="public.audit_events", in_down=False,
    ),
    "a table of the complement is forgotten": Plant(
        old="SELECT %2$s FROM archive.patients_kept_user_clinics AS x\n        WHERE ",
        new="SELECT %2$s FROM archive.patients_kept_user_clinics AS x\n        WHERE false AND ",
        step="redo-rows", table="public.user_clinics", in_down=False,
    ),
    "a claimed account comes back without its phone": Plant(
        old="    k.phone,\n", new="    NULL,\n",
        step="redo-rows", table="public.users", column="phone", in_down=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_found_where_it_is(fault: str, server: Server, tmp_path: Path) -> None:
    plant = PLANTS[fault]
    directory = planted(tmp_path, plant)
    outcome = cli.run(
        "--dir", directory, "--json", "--log-level", "error", "drill", "--patients", "150",
        "--limit", "1000",
        url=server.url("postgres"),
    )  # fmt: skip
    document = outcome.document
    assert (outcome.code, document["verdict"]) == (3, "fail"), document
    steps = {step["name"]: step for step in document["steps"]}
    assert steps[plant.step]["verdict"] == "fail", steps
    named = {(each["table"], each["column"]) for each in steps[plant.step]["listed"]}
    assert any(
        table.startswith(plant.table) and plant.column in (None, column) for table, column in named
    ), named


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE archive.patients SET bmi = 1 WHERE id = 7", "archive.patients"),
        ("DELETE FROM archive.patients_map WHERE source_id = 7", "archive.patients_map"),
        ("ALTER TABLE public.users ALTER COLUMN phone SET DEFAULT 'x'", "public.users.phone"),
        ("SELECT setval('public.users_id_seq', 1)", "public.users_id_seq"),
    ],
)
def test_what_is_changed_after_it_was_signed_is_named(
    statement: str, table: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = Notary.sign

    def sign_and_change(notary: Notary) -> Outcome:
        signed = sign(notary)
        with connected(notary.dsn) as connection:
            connection.execute(statement.encode())
        return signed

    monkeypatch.setattr(Notary, "sign", sign_and_change)
    assert table in {each["table"] for each in evidence_step(server)["listed"]}


def test_a_signature_of_another_key_is_no_evidence(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = Notary.sign

    def sign_and_forge(notary: Notary) -> Outcome:
        signed = sign(notary)
        (public,) = notary.folder.glob("*.pub")
        public.write_bytes(SigningKey.generate().public.pem)
        return signed

    monkeypatch.setattr(Notary, "sign", sign_and_forge)
    named = {each["difference"] for each in evidence_step(server)["listed"]}
    assert named == {"signature is not valid"}


def test_without_evidence_a_drill_is_no_pass_and_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise RefusedError("The archive is of somebody else.", hint="Ask them.")

    monkeypatch.setattr(notary, "anchor", refused)
    outcome = cli.run(
        "--dir", SQL, "--json", "--log-level", "error", "drill", "--patients", "20",
        url=server.url("postgres"),
    )  # fmt: skip
    assert (outcome.code, outcome.document["verdict"]) == (3, "incomplete")
    reasons = {
        step["name"]: step["reason"]
        for step in outcome.document["steps"]
        if step["verdict"] != "pass"
    }
    assert reasons == {
        "evidence": "The archive is of somebody else. Ask them.",
        "evidence-rows": "There is no evidence.",
    }


def evidence_step(server: Server) -> Any:
    """Drill, and return the step that must have failed."""
    outcome = cli.run(
        "--dir", SQL, "--json", "--log-level", "error", "drill", "--patients", "20",
        url=server.url("postgres"),
    )  # fmt: skip
    assert (outcome.code, outcome.document["verdict"]) == (3, "fail")
    (step,) = (each for each in outcome.document["steps"] if each["name"] == "evidence-rows")
    assert step["verdict"] == "fail", step
    return step


def test_no_output_holds_a_value_of_a_row(database_at_10: str, tmp_path: Path) -> None:
    canary = "Canary Q7x9"
    with psycopg.connect(database_at_10) as connection:
        connection.execute("UPDATE public.patients SET name = %s || id", [canary])
        connection.execute("UPDATE public.users SET email = %s || id WHERE id > 1", [canary])
    plant = Plant(
        old="-- == patients comes home ==",
        new="UPDATE public.users SET email = 'x' || email; UPDATE archive.patients SET name = name"
        " || 'x'; COMMENT ON TABLE public.users IS 'y';",
        step="undo-rows", table="public.users",
    )  # fmt: skip
    directory = planted(tmp_path, plant)
    for form in (("--json",), ()):
        outcome = cli.run(
            "--dir", directory, "--log-level", "debug", *form, "drill", "--from", database_at_10,
        )  # fmt: skip
        assert outcome.code == 3
        assert "name" in outcome.out
        assert canary.split()[1] not in outcome.out + outcome.err


def test_a_value_that_breaks_a_constraint_is_not_repeated(
    database_at_10: str, tmp_path: Path
) -> None:
    canary = "canary-q7x9@x.invalid"
    with psycopg.connect(database_at_10) as connection:
        connection.execute("UPDATE public.users SET email = %s WHERE id = 1", [canary])
    plant = Plant(
        old="-- == patients comes home ==",
        new="UPDATE public.users SET email = (SELECT email FROM public.users WHERE id = 1);",
        step="down", table="",
    )  # fmt: skip
    outcome = cli.run(
        "--dir", planted(tmp_path, plant), "--log-level", "debug", "drill", "--from", database_at_10
    )
    assert outcome.code == 3
    assert "23505" in outcome.out
    assert "q7x9" not in outcome.out + outcome.err


def test_a_migration_that_breaks_off_is_a_failure_with_its_line(
    server: Server, tmp_path: Path
) -> None:
    plant = Plant(old="-- == patients comes home ==", new="SELECT 1/0;", step="down", table="")
    outcome = cli.run(
        "--dir", planted(tmp_path, plant), "--json", "--log-level", "error",
        "drill", "--patients", "5",
        url=server.url("postgres"),
    )  # fmt: skip
    assert (outcome.code, outcome.document["verdict"]) == (3, "fail")
    steps = {step["name"]: step for step in outcome.document["steps"]}
    assert steps["down"]["verdict"] == "fail"
    assert f"{FILE}:" in steps["down"]["reason"]
    assert "22012" in steps["down"]["reason"]
    assert steps["sequences"]["verdict"] == "incomplete"


def test_a_guard_that_lets_everything_through_is_noticed(server: Server, tmp_path: Path) -> None:
    plant = Plant(
        old="-- Whose owner is gone goes to the custodian.",
        new="UPDATE archive.patients AS s SET user_id = (SELECT min(id) FROM public.users)"
        " WHERE NOT EXISTS (SELECT FROM public.users AS t WHERE t.id = s.user_id);",
        step="custodian", table="",
    )  # fmt: skip
    directory = planted(tmp_path, plant)
    file = directory / FILE
    text = file.read_text()
    guard = (
        "IF found > 0 AND coalesce(current_setting('refactorkit.custodian', true), '') = '' THEN"
    )
    assert text.count(guard) == 1
    file.write_text(text.replace(guard, "IF false THEN"))
    outcome = cli.run(
        "--dir", directory, "--json", "--log-level", "error", "drill", "--patients", "30",
        url=server.url("postgres"),
    )  # fmt: skip
    steps = {step["name"]: step for step in outcome.document["steps"]}
    assert steps["custodian"]["verdict"] == "fail"


def planted(tmp_path: Path, plant: Plant) -> Path:
    directory = tmp_path / "sql"
    shutil.copytree(SQL, directory)
    file = directory / FILE
    up, separator, down = file.read_text().partition("-- +goose Down\n")
    block = down if plant.in_down else up
    assert plant.old in block, f"the migration no longer says {plant.old!r}"
    block = block.replace(plant.old, plant.new)
    file.write_text(up + separator + block if plant.in_down else block + separator + down)
    return directory
